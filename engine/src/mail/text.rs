//! The decoded texts of a message for SEARCH (RFC 3501, 6.4.4): header fields and text parts, nested messages included (`docs/search.md`, "What counts
//! as text").
//!
//! Promises: pieces of at most `TEXT_PIECE_MAX` bytes, which joined give the texts; memory for one piece and what `html` keeps. Whoever indexes and whoever
//! reads a message itself gets the same. Never: folds; the search does.

use std::ops::ControlFlow;

use crate::limits::TEXT_PIECE_MAX;
use crate::mail::content::Content;
use crate::mail::decode;
use crate::mail::header;
use crate::mail::html::{Html, Wanted};
use crate::mail::part::{Part, PartKind};

/// What of a message is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// BODY: all but the header of the message itself.
    Body,
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

/// Hands over the decoded texts of a whole message in pieces, until `each` breaks: header fields and bodies of text parts, in the order of the parts.
pub fn texts(message: &[u8], parts: &[Part], scope: Scope, each: Each<'_>) -> ControlFlow<()> {
    for (index, part) in parts.iter().enumerate() {
        let header = slice(message, part.header, part.body);
        match scope {
            Scope::Header => return header_texts(header, each),
            Scope::Body if index > 0 => {
                header_texts(header, each)?;
                names(header, each)?;
            }
            Scope::Body => {}
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

/// Each field is a text, with its name; a line without one too.
fn header_texts(raw_header: &[u8], each: Each<'_>) -> ControlFlow<()> {
    for field in header::fields(raw_header) {
        let mut pieces = Pieces::new(each);
        if !field.name.is_empty() {
            pieces.add(&String::from_utf8_lossy(field.name));
            pieces.add(": ");
        }
        pieces.add(&decode::value_text(field.value));
        pieces.finish()?;
    }
    ControlFlow::Continue(())
}

/// Names of attachments that are encoded so that the text of their field does not show them (RFC 2231).
fn names(raw_header: &[u8], each: Each<'_>) -> ControlFlow<()> {
    let fields = header::fields(raw_header);
    let fields = fields.filter(|field| field.is("Content-Disposition") || field.is("Content-Type"));
    for name in fields.flat_map(|field| decode::encoded_names(field.value)) {
        let mut pieces = Pieces::new(each);
        pieces.add(&name);
        pieces.finish()?;
    }
    ControlFlow::Continue(())
}

fn body_text(raw: &[u8], content: &Content, each: Each<'_>) -> ControlFlow<()> {
    let is = |kind, subtype| {
        let media = content.media.as_ref();
        media.is_some_and(|media| media.is(kind, subtype))
    };
    if is("text", "html") || is("application", "xhtml+xml") {
        return html_text(raw, content, each);
    }
    let is_other = content
        .media
        .as_ref()
        .is_none_or(|media| media.subtype.is_empty());
    if !is_other && !is("text", "*") && !is("message", "*") && !is("multipart", "*") {
        return ControlFlow::Continue(());
    }
    let mut pieces = Pieces::new(each);
    decode::body(raw, content, &mut |text| {
        pieces.add(text);
        !pieces.has_ended
    });
    pieces.finish()
}

/// What a reader sees, then where it leads. Where there are more addresses than are kept meanwhile, the source is read once more for them.
fn html_text(raw: &[u8], content: &Content, each: Each<'_>) -> ControlFlow<()> {
    let mut values = Vec::new();
    let mut are_all = true;
    let mut pieces = Pieces::new(each);
    read_html(raw, content, Wanted::Text, &mut |html| {
        html.text(|text| pieces.add(text));
        are_all &= html.values(&mut values);
        !pieces.has_ended
    });
    pieces.finish()?;
    let mut give = |value: &str| {
        let mut pieces = Pieces::new(each);
        pieces.add(value);
        pieces.finish()
    };
    if are_all {
        return values.iter().try_for_each(|value| give(value));
    }
    drop(values);
    let mut flow = ControlFlow::Continue(());
    read_html(raw, content, Wanted::Values, &mut |html| {
        let mut some = Vec::new();
        html.values(&mut some);
        flow = some.iter().try_for_each(|value| give(value));
        flow.is_continue()
    });
    flow
}

fn read_html(
    raw: &[u8],
    content: &Content,
    wanted: Wanted,
    each: &mut dyn FnMut(&mut Html) -> bool,
) {
    let mut html = Html::new(wanted);
    let goes_on = decode::body(raw, content, &mut |text| {
        html.read(text);
        each(&mut html)
    });
    if goes_on {
        html.end();
        each(&mut html);
    }
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
