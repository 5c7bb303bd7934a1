//! Base64 as it stands in mail: recognised piece by piece, decoded, and written again, any range of it, as the same bytes.
//!
//! Promises: what [`Recogniser::finish`] accepts, [`Shape::write`] gives back byte for byte; what stands in any other shape (lines of different
//! lengths, blanks at their ends, both line ends, bits that mean nothing) is not accepted. Memory is that of a piece.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use coldpost_tiers::address::Recode;

/// Flag of [`Recode::Base64`]: padded with `=`, or nothing to pad.
const PADDED: u8 = 1;

/// How base64 stands in its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Characters of every line but the last.
    line: u64,
    /// CRLF between lines, or LF.
    is_crlf: bool,
    /// Padded with `=`.
    is_padded: bool,
    /// Bytes that it decodes to.
    decoded: u64,
}

impl Shape {
    /// Of a blob of `decoded` bytes. `None`: bytes as they are, or numbers that no recogniser gave.
    pub fn of(recode: Recode, decoded: u64) -> Option<Shape> {
        match recode {
            Recode::Base64 { line, crlf, flags } if line > 0 => Some(Shape {
                line: line.into(),
                is_crlf: crlf,
                is_padded: flags & PADDED != 0,
                decoded,
            }),
            Recode::Base64 { .. } | Recode::Same => None,
        }
    }

    /// As it is kept.
    pub fn recode(&self) -> Recode {
        Recode::Base64 {
            line: u32::try_from(self.line).unwrap_or(u32::MAX),
            crlf: self.is_crlf,
            flags: if self.is_padded { PADDED } else { 0 },
        }
    }

    /// Bytes of the text, from the first character to the last.
    pub fn len(&self) -> u64 {
        let characters = self.characters();
        let line_ends = characters.saturating_sub(1) / self.line;
        characters.saturating_add(line_ends.saturating_mul(self.line_end()))
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.decoded == 0
    }

    /// The decoded bytes that the range of the text is made of.
    pub fn source(&self, range: Range<u64>) -> Range<u64> {
        let (first, last) = (self.character(range.start), self.character(range.end));
        let end = last.div_ceil(4).saturating_mul(3).min(self.decoded);
        (first / 4 * 3).min(end)..end
    }

    /// The range of the text, out of the decoded bytes that [`Shape::source`] named for it.
    pub fn write(&self, range: Range<u64>, decoded: &[u8]) -> Vec<u8> {
        let characters = match self.is_padded {
            true => STANDARD.encode(decoded),
            false => STANDARD_NO_PAD.encode(decoded),
        };
        let first = self.character(range.start) / 4 * 4;
        let row = self.line + self.line_end();
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        let mut text = Vec::with_capacity(length);
        let mut at = range.start;
        while at < range.end {
            let column = at % row;
            if column >= self.line {
                let is_cr = self.is_crlf && column == self.line;
                text.push(if is_cr { b'\r' } else { b'\n' });
                at += 1;
                continue;
            }
            let many = (self.line - column).min(range.end - at);
            let from = usize::try_from(self.character(at) - first).unwrap_or(usize::MAX);
            let many_bytes = usize::try_from(many).unwrap_or(usize::MAX);
            let bytes = characters.as_bytes().get(from..).unwrap_or_default();
            text.extend_from_slice(bytes.get(..many_bytes).unwrap_or(bytes));
            at += many;
        }
        text
    }

    /// How many characters stand before a place in the text.
    fn character(&self, at: u64) -> u64 {
        let row = self.line + self.line_end();
        let character = at / row * self.line + (at % row).min(self.line);
        character.min(self.characters())
    }

    fn characters(&self) -> u64 {
        match self.is_padded {
            true => self.decoded.div_ceil(3).saturating_mul(4),
            false => self.decoded.saturating_mul(4).div_ceil(3),
        }
    }

    fn line_end(&self) -> u64 {
        if self.is_crlf { 2 } else { 1 }
    }
}

/// What a recogniser found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// From the first character to the last, in the bytes that it was given.
    pub range: Range<u64>,
    /// How it stands there.
    pub shape: Shape,
    /// The last decoded bytes, those that no piece gave.
    pub rest: Vec<u8>,
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Blanks before the first character.
    Before,
    InLine,
    /// Behind the CR of a line.
    Cr,
    /// Behind the end of a line.
    LineEnd,
    /// Only blanks may follow.
    Tail,
}

/// Reads base64 piece by piece.
#[derive(Clone, Debug)]
pub struct Recogniser {
    place: Place,
    /// Bytes read.
    read: u64,
    first: u64,
    /// Behind the last character.
    last: u64,
    /// Characters of the line that is being read.
    column: u64,
    /// Characters of a full line, once one has ended.
    line: Option<u64>,
    /// CRLF or LF, once a line was followed by another.
    is_crlf: Option<bool>,
    /// How the line before ended.
    ended_crlf: bool,
    padding: u32,
    decoded: u64,
    /// Characters that are not decoded yet.
    waiting: Vec<u8>,
}

impl Default for Recogniser {
    fn default() -> Recogniser {
        Recogniser {
            place: Place::Before,
            read: 0,
            first: 0,
            last: 0,
            column: 0,
            line: None,
            is_crlf: None,
            ended_crlf: false,
            padding: 0,
            decoded: 0,
            waiting: Vec::new(),
        }
    }
}

impl Recogniser {
    /// The bytes that the next piece decodes to, as far as they are whole; `None`: it is not such a text.
    pub fn push(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        for byte in piece {
            self.byte(*byte)?;
            self.read += 1;
        }
        let whole = self.waiting.len() / 4 * 4;
        // The last four may be those with the padding.
        let whole = whole.saturating_sub(4);
        let decoded = STANDARD_NO_PAD.decode(&self.waiting[..whole]).ok()?;
        self.waiting.drain(..whole);
        self.decoded += length(&decoded);
        Some(decoded)
    }

    /// What all pieces were; `None`: no such text, or an empty one.
    pub fn finish(mut self) -> Option<Found> {
        let rest = STANDARD_NO_PAD.decode(&self.waiting).ok()?;
        self.decoded += length(&rest);
        let missing = match self.decoded % 3 {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        let is_padded = self.padding == missing;
        if self.decoded == 0 || self.place == Place::Cr || !is_padded && self.padding != 0 {
            return None;
        }
        let line = self.line.unwrap_or(self.column);
        // As it is kept, it must fit.
        u32::try_from(line).ok()?;
        let shape = Shape {
            line,
            is_crlf: self.is_crlf.unwrap_or(true),
            is_padded,
            decoded: self.decoded,
        };
        let range = self.first..self.last;
        (shape.len() == range.end - range.start).then_some(Found { range, shape, rest })
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        let is_character = byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
        if is_character || byte == b'=' && self.place != Place::Before {
            return self.character(byte);
        }
        self.place = match (self.place, byte) {
            (Place::Before, b'\r' | b'\n' | b' ' | b'\t') => Place::Before,
            (Place::InLine, b'\r') => Place::Cr,
            (Place::InLine, b'\n') => self.end_line(false),
            (Place::Cr, b'\n') => self.end_line(true),
            (Place::InLine | Place::LineEnd | Place::Tail, b'\r' | b'\n' | b' ' | b'\t') => {
                Place::Tail
            }
            _ => return None,
        };
        Some(())
    }

    fn character(&mut self, byte: u8) -> Option<()> {
        match self.place {
            Place::Before => self.first = self.read,
            Place::InLine => {}
            Place::LineEnd => {
                // Another line follows: the one before it was a full one, and ended as all do.
                let line = *self.line.get_or_insert(self.column);
                let is_crlf = *self.is_crlf.get_or_insert(self.ended_crlf);
                if self.column != line || is_crlf != self.ended_crlf {
                    return None;
                }
                self.column = 0;
            }
            Place::Cr | Place::Tail => return None,
        }
        self.place = Place::InLine;
        self.column += 1;
        if self.line.is_some_and(|line| self.column > line) {
            return None;
        }
        match byte {
            b'=' if self.padding < 2 => self.padding += 1,
            b'=' => return None,
            _ if self.padding > 0 => return None,
            _ => self.waiting.push(byte),
        }
        self.last = self.read + 1;
        Some(())
    }

    fn end_line(&mut self, is_crlf: bool) -> Place {
        self.ended_crlf = is_crlf;
        Place::LineEnd
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8], pieces: usize) -> Option<(Found, Vec<u8>)> {
        let mut reader = Recogniser::default();
        let mut decoded = Vec::new();
        for piece in text.chunks(pieces.max(1)) {
            decoded.extend(reader.push(piece)?);
        }
        let found = reader.finish()?;
        decoded.extend_from_slice(&found.rest);
        Some((found, decoded))
    }

    fn within(range: &Range<u64>) -> Range<usize> {
        let place = |n: u64| usize::try_from(n).expect("a small text");
        place(range.start)..place(range.end)
    }

    fn lines(characters: &str, line: usize, end: &str) -> Vec<u8> {
        let lines: Vec<&[u8]> = characters.as_bytes().chunks(line).collect();
        lines.join(end.as_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_accepted_is_written_again_byte_for_byte_any_range_of_it(
            bytes in prop::collection::vec(any::<u8>(), 1..300),
            (line, crlf, padded) in any::<(u8, bool, bool)>(),
            (before, after) in ("[ \t\r\n]{0,4}", "(\r\n|\n| ){0,4}"),
            pieces in 1_usize..80,
            cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let characters = if padded { STANDARD.encode(&bytes) } else { STANDARD_NO_PAD.encode(&bytes) };
            let text = lines(&characters, usize::from(line).max(1), if crlf { "\r\n" } else { "\n" });
            let whole = [before.as_bytes(), &text, after.as_bytes()].concat();
            let (found, decoded) = read(&whole, pieces).expect("it is base64 in lines");
            prop_assert_eq!(&decoded, &bytes);
            prop_assert_eq!(found.range.start, before.len() as u64);
            prop_assert_eq!(found.shape.len(), text.len() as u64);
            let shape = Shape::of(found.shape.recode(), bytes.len() as u64).unwrap();
            let (a, b) = (cut.0.index(text.len() + 1), cut.1.index(text.len() + 1));
            let range = a.min(b)..a.max(b);
            let source = shape.source(range.start as u64..range.end as u64);
            let source = within(&source);
            prop_assert_eq!(shape.write(range.start as u64..range.end as u64, &bytes[source]), &text[range]);
        }

        #[test]
        fn whatever_is_accepted_comes_out_as_it_went_in(
            text in "[A-C=/+ ]{0,4}([A-Z=\r\n]{1,6}|QUJD|QQ==|\r\n|\n){0,12}",
            pieces in 1_usize..9,
        ) {
            if let Some((found, decoded)) = read(text.as_bytes(), pieces) {
                let range = within(&found.range);
                prop_assert_eq!(found.shape.write(0..found.shape.len(), &decoded), &text.as_bytes()[range]);
            }
        }
    }

    #[test]
    fn other_shapes_are_not_accepted() {
        let refused = [
            "QUJD\r\nQUI=\r\nQUJD",
            "QUJD \r\nQUJD",
            "QUJD\r\nQUJD\nQUJD",
            "QUJD\r\n\r\nQUJD",
            "QUJDRE\r\nQUJDREVG",
            "QUJD\rQUJD",
            "QUJD\r",
            "QR==",
            "QQ=",
            "QQ===",
            "QUJD=",
            "QQ==QQ==",
            "Q",
            "",
            "\r\n",
            "QUJD\r\n-- \r\nlist",
            "QUJ*",
        ];
        for text in refused {
            assert_eq!(read(text.as_bytes(), 3), None, "{text:?}");
        }
    }
}
