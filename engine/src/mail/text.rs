//! The decoded text of a message for SEARCH (RFC 3501, 6.4.4): headers and text parts, nested messages included.
//!
//! Promises: pieces of at most `TEXT_PIECE_MAX` bytes, which joined give the text; memory for one piece. HTML is handed over as its
//! decoded source. Never: folds; the search does.

use std::ops::ControlFlow;

use crate::limits::TEXT_PIECE_MAX;
use crate::mail::content::Content;
use crate::mail::decode;
use crate::mail::header;
use crate::mail::part::{Part, PartKind};

/// What of a message is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// BODY: all but the header of the message itself.
    Body,
    /// TEXT: all.
    Text,
    /// What TEXT has and BODY has not: the header of the message itself.
    Header,
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'t> {
    /// Decoded.
    pub text: &'t str,
    /// Whether it goes on where the last one ended; else it begins another text.
    pub goes_on: bool,
}

/// Who takes the pieces, until it breaks.
type Each<'e> = &'e mut dyn FnMut(Piece<'_>) -> ControlFlow<()>;

/// Hands over the decoded texts of a whole message in pieces, until `each` breaks: headers (one text each, fields on lines of
/// their own) and bodies of text parts, in the order of the parts.
pub fn texts(message: &[u8], parts: &[Part], scope: Scope, each: Each<'_>) -> ControlFlow<()> {
    for (index, part) in parts.iter().enumerate() {
        let header = slice(message, part.header, part.body);
        if index > 0 || scope != Scope::Body {
            header_text(header, each)?;
        }
        if scope == Scope::Header {
            break;
        }
        // A multipart without parts is all text that there is.
        let has_parts = parts
            .get(index + 1)
            .is_some_and(|next| usize::try_from(next.parent) == Ok(index));
        if part.kind == PartKind::Leaf || part.kind == PartKind::Multipart && !has_parts {
            let holder = parts.get(usize::try_from(part.parent).unwrap_or(0));
            let is_in_multipart =
                index > 0 && holder.is_some_and(|holder| holder.kind == PartKind::Multipart);
            let content = Content::read(header, is_in_multipart);
            body_text(slice(message, part.body, part.end), &content, each)?;
        }
    }
    ControlFlow::Continue(())
}

/// The same for one leaf, for callers that read a message part by part: its raw header and its raw body.
pub fn part_texts(raw_header: &[u8], raw_body: &[u8], each: Each<'_>) -> ControlFlow<()> {
    header_text(raw_header, each)?;
    body_text(raw_body, &Content::read(raw_header, true), each)
}

fn header_text(raw_header: &[u8], each: Each<'_>) -> ControlFlow<()> {
    let mut pieces = Pieces::new(each);
    for field in header::fields(raw_header) {
        if !field.name.is_empty() {
            pieces.add(&String::from_utf8_lossy(field.name));
            pieces.add(": ");
        }
        pieces.add(&decode::value_text(field.value));
        pieces.add("\n");
        if pieces.has_ended {
            return ControlFlow::Break(());
        }
    }
    pieces.finish()
}

fn body_text(raw: &[u8], content: &Content, each: Each<'_>) -> ControlFlow<()> {
    let is_searched = content.media.as_ref().is_none_or(|media| {
        media.is("text", "*")
            || media.is("message", "*")
            || media.is("multipart", "*")
            || media.subtype.is_empty()
    });
    if !is_searched {
        return ControlFlow::Continue(());
    }
    let mut pieces = Pieces::new(each);
    decode::body(raw, content, &mut |text| {
        pieces.add(text);
        !pieces.has_ended
    });
    pieces.finish()
}

/// Collects text and hands it over in pieces.
struct Pieces<'e> {
    text: String,
    goes_on: bool,
    has_ended: bool,
    each: Each<'e>,
}

impl<'e> Pieces<'e> {
    fn new(each: Each<'e>) -> Pieces<'e> {
        Pieces {
            text: String::new(),
            goes_on: false,
            has_ended: false,
            each,
        }
    }

    fn add(&mut self, mut text: &str) {
        while !text.is_empty() && !self.has_ended {
            let room = TEXT_PIECE_MAX - self.text.len();
            let taken = floor_char_boundary(text, room);
            self.text.push_str(&text[..taken]);
            text = &text[taken..];
            if !text.is_empty() {
                self.has_ended = self.give().is_break();
            }
        }
    }

    fn give(&mut self) -> ControlFlow<()> {
        let piece = Piece {
            text: &self.text,
            goes_on: self.goes_on,
        };
        let given = (self.each)(piece);
        self.text.clear();
        self.goes_on = true;
        given
    }

    fn finish(mut self) -> ControlFlow<()> {
        if self.has_ended {
            return ControlFlow::Break(());
        }
        if self.text.is_empty() {
            ControlFlow::Continue(())
        } else {
            self.give()
        }
    }
}

/// The last border between characters at or before `at`.
pub(crate) fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|&i| text.is_char_boundary(i))
        .unwrap_or(0)
}

fn slice(message: &[u8], start: u64, end: u64) -> &[u8] {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    message.get(index(start)..index(end)).unwrap_or_default()
}
