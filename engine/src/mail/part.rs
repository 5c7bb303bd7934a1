//! The parts of a message as byte ranges, and the sections of RFC 3501, 6.4.5 that name them.

use std::collections::HashSet;
use std::ops::Range;

use crate::mail::{header, main_field};

/// What a part is; decides how its sections are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// A leaf: text, image, … and whatever was too deep or too many to be parsed.
    Leaf,
    /// multipart/*: has children, no section text of its own below the top.
    Multipart,
    /// message/rfc822: its one child is the nested message. (message/global is a leaf: RFC 3501 does not know it.)
    Message,
}

/// One part: ranges of raw bytes in the message as it came. Parts stand in the order of a depth-first walk; the first is the message itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Index of the part that holds it; the root holds itself (0). The nested message of a `Message` part has that part as parent.
    pub parent: u32,
    /// What it is.
    pub kind: PartKind,
    /// First byte of its header (MIME header of a part, or header of a message). Empty header: equal to `body`.
    pub header: u64,
    /// First byte of its body (after the blank line).
    pub body: u64,
    /// One past its last byte (the CRLF before a boundary line belongs to the boundary, RFC 2046, 5.1.1).
    pub end: u64,
    /// Whether it is an encoded (base64) leaf that is not text: such a part begins and ends a frame when it is large.
    pub encoded: bool,
}

/// The end of a section: which text of the part is meant (RFC 3501 section-msgtext / section-text).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// `BODY[]` or `BODY[1.2]`: all of it.
    All,
    /// HEADER
    Header,
    /// HEADER.FIELDS (names)
    HeaderFields(Vec<String>),
    /// HEADER.FIELDS.NOT (names)
    HeaderFieldsNot(Vec<String>),
    /// TEXT
    Text,
    /// MIME
    Mime,
}

/// A section of a message: part numbers (empty for the message itself) and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// `1.2` as [1, 2].
    pub path: Vec<u32>,
    /// What of it.
    pub text: SectionText,
}

impl Section {
    /// Whether it is made of main fields alone, which the row has unless there are too many.
    pub fn is_main_fields(&self) -> bool {
        matches!(&self.text, SectionText::HeaderFields(names)
            if self.path.is_empty() && names.iter().all(|name| main_field::is_main(name)))
    }
}

/// Where the bytes of a section lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// The raw bytes of this range.
    Range(Range<u64>),
    /// The header in this range, filtered: named fields only (`true`) or all but these (`false`); ends with an empty line.
    Filtered(Range<u64>, Vec<String>, bool),
    /// The part is not there: FETCH answers NIL.
    Absent,
}

/// Finds `section` among `parts` (depth-first, root first) by the numbering rules of RFC 3501, 6.4.5.
pub fn locate(parts: &[Part], section: &Section) -> Located {
    let Some(place) = place(parts, &section.path) else {
        return Located::Absent;
    };
    let index = match place {
        Place::Message(index) | Place::Part(index) => index,
        Place::Nothing(_) => 0,
    };
    let Some(part) = parts.get(index) else {
        return Located::Absent;
    };
    match (&section.text, place) {
        (SectionText::All | SectionText::Mime, Place::Nothing(at)) => Located::Range(at..at),
        (SectionText::All, Place::Message(_)) => Located::Range(part.header..part.end),
        (SectionText::All, Place::Part(_)) => Located::Range(part.body..part.end),
        (SectionText::Mime, Place::Message(_)) => Located::Absent,
        (SectionText::Mime, Place::Part(_)) => Located::Range(part.header..part.body),
        (_, Place::Message(_)) => message_text(part, &section.text),
        // HEADER and TEXT of a part are those of the message in it.
        (_, Place::Part(_)) if part.kind == PartKind::Message => {
            match children(parts, index).next() {
                Some(nested) => message_text(&parts[nested], &section.text),
                None => Located::Absent,
            }
        }
        (_, Place::Part(_) | Place::Nothing(_)) => Located::Absent,
    }
}

/// The content of a part, and what says how it is encoded.
pub(crate) struct Contents {
    /// Its raw octets; of a whole message with its header.
    pub(crate) body: Range<u64>,
    /// The header of a leaf; a message or a multipart has no encoding of its own (RFC 2045, 6.4).
    pub(crate) header: Option<Range<u64>>,
    /// It is a part of a multipart, whose Content-* fields count without MIME-Version.
    pub(crate) is_part: bool,
}

/// The content of the part at `path`, for BINARY (RFC 3516); `None` when it is not there.
pub(crate) fn contents(parts: &[Part], path: &[u32]) -> Option<Contents> {
    let plain = |body| Contents {
        body,
        header: None,
        is_part: false,
    };
    let index = match place(parts, path)? {
        Place::Nothing(at) => return Some(plain(at..at)),
        Place::Message(index) => {
            let message = parts.get(index)?;
            return Some(plain(message.header..message.end));
        }
        Place::Part(index) => index,
    };
    let part = parts.get(index)?;
    let parent = parts.get(usize::try_from(part.parent).ok()?)?;
    Some(Contents {
        header: (part.kind == PartKind::Leaf).then_some(part.header..part.body),
        is_part: index > 0 && parent.kind == PartKind::Multipart,
        ..plain(part.body..part.end)
    })
}

/// Where a part number leads to.
#[derive(Clone, Copy)]
enum Place {
    /// A message: the root, or the one in a message/rfc822 part.
    Message(usize),
    /// A part with a number; for a message that is no multipart, part 1 is the message seen as a part.
    Part(usize),
    /// Part 1 of a multipart without parts, at its end: the grammar of BODYSTRUCTURE demands one (RFC 3501, 9, body-type-mpart).
    Nothing(u64),
}

fn place(parts: &[Part], path: &[u32]) -> Option<Place> {
    let mut place = Place::Message(0);
    for &number in path {
        place = step(parts, place, number)?;
    }
    Some(place)
}

fn step(parts: &[Part], place: Place, number: u32) -> Option<Place> {
    let message = match place {
        Place::Message(index) => index,
        Place::Nothing(_) => return None,
        Place::Part(index) => match parts.get(index)?.kind {
            PartKind::Leaf => return None,
            PartKind::Multipart => return nth(parts, index, number),
            PartKind::Message => children(parts, index).next()?,
        },
    };
    match parts.get(message)?.kind {
        PartKind::Multipart => nth(parts, message, number),
        _ => (number == 1).then_some(Place::Part(message)),
    }
}

/// A part of a multipart by its number.
fn nth(parts: &[Part], multipart: usize, number: u32) -> Option<Place> {
    let before = usize::try_from(number.checked_sub(1)?).ok()?;
    let mut below = children(parts, multipart).peekable();
    if below.peek().is_none() && number == 1 {
        return Some(Place::Nothing(parts.get(multipart)?.end));
    }
    below.nth(before).map(Place::Part)
}

/// Indexes of the parts directly below `parent`.
fn children(parts: &[Part], parent: usize) -> impl Iterator<Item = usize> {
    let below = parts.iter().enumerate().skip(parent + 1);
    below
        .filter(move |(_, part)| usize::try_from(part.parent) == Ok(parent))
        .map(|(index, _)| index)
}

/// HEADER, TEXT and the filtered headers of a message.
fn message_text(message: &Part, text: &SectionText) -> Located {
    let header = message.header..message.body;
    match text {
        SectionText::Header => Located::Range(header),
        SectionText::HeaderFields(names) => Located::Filtered(header, names.clone(), true),
        SectionText::HeaderFieldsNot(names) => Located::Filtered(header, names.clone(), false),
        SectionText::Text => Located::Range(message.body..message.end),
        SectionText::All | SectionText::Mime => Located::Absent,
    }
}

/// Picks fields out of a raw header (RFC 3501 HEADER.FIELDS): names compare without ASCII case, order and bytes as they came, folded
/// lines with their field, an empty line at the end. `keep` true: the named; false: all others. A message without an empty line gets none for
/// the others (RFC 3501, 6.4.5); for the named it gets one all the same, as with Dovecot.
pub fn filter_header(header: &[u8], names: &[String], keep: bool) -> Vec<u8> {
    let mut picked = Vec::new();
    let names: HashSet<Vec<u8>> = names
        .iter()
        .map(|name| name.to_ascii_lowercase().into_bytes())
        .collect();
    for field in header::fields(header) {
        if names.contains(&field.name.to_ascii_lowercase()) == keep {
            picked.extend_from_slice(&header[field.range]);
        }
    }
    if !picked.is_empty() && !picked.ends_with(b"\n") {
        picked.extend_from_slice(b"\r\n");
    }
    let has_blank_line = header == b"\n"
        || header == b"\r\n"
        || header.ends_with(b"\n\n")
        || header.ends_with(b"\n\r\n");
    if !keep && !has_blank_line {
        return picked;
    }
    let uses_lf = picked.ends_with(b"\n") && !picked.ends_with(b"\r\n");
    picked.extend_from_slice(if uses_lf { b"\n" } else { b"\r\n" });
    picked
}
