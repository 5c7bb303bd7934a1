//! Messages that share a few attachments, each with words that are its own, so that a byte of it can be found wherever it is left.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use coldpost_testkit::dice::Dice;

use crate::mail::{PartKind, describe};

/// Decoded bytes of the attachments. Of each, the text of both shapes that can be written again is equally long.
const ATTACHMENTS: [usize; 4] = [60, 120, 180, 300];
/// Encoded parts above this are taken out.
pub(super) const THRESHOLD: u64 = 40;
/// Decoded attachments from this size on lie alone.
pub(super) const ALONE_MIN: usize = 180;

/// How an attachment stands in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    Of76,
    Of38,
    /// No shape that can be written again.
    Odd,
}

/// A message as it came.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) raw: Vec<u8>,
    /// Octets of the header, its blank line included.
    pub(super) header: u64,
    /// The encoded attachment.
    pub(super) part: Range<u64>,
    /// Words that no other message has: in the header, in the body.
    pub(super) words: [String; 2],
    /// Which attachment.
    pub(super) attachment: usize,
}

/// The bytes of an attachment.
pub(super) fn attachment(which: usize) -> Vec<u8> {
    let mut dice = Dice::new(77 + which as u64);
    (0..ATTACHMENTS[which])
        .map(|_| dice.draw().to_le_bytes()[0])
        .collect()
}

/// How many there are.
pub(super) fn attachments() -> usize {
    ATTACHMENTS.len()
}

/// What every form of an attachment in a message begins with.
pub(super) fn first_line(which: usize) -> String {
    let text = STANDARD.encode(attachment(which));
    text[..38].to_owned()
}

impl Mail {
    /// The `number`th message.
    pub(super) fn new(number: usize, pick: u8) -> Mail {
        let which = usize::from(pick) % ATTACHMENTS.len();
        let lines = [
            Lines::Of76,
            Lines::Of38,
            Lines::Of76,
            Lines::Of38,
            Lines::Odd,
        ];
        let encoded = encode(which, lines[usize::from(pick / 4) % lines.len()]);
        let words = [format!("header-{number:04}."), format!("body-{number:04}.")];
        let raw = format!(
            "Subject: {}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{}\r\n--b\r\n\
             Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n--b--\r\n",
            words[0], words[1]
        );
        let raw = raw.into_bytes();
        let parts = describe(&raw).parts;
        let part = parts
            .iter()
            .find(|part| part.kind == PartKind::Leaf && part.encoded)
            .expect("it has an attachment");
        Mail {
            header: parts[0].body,
            part: part.body..part.end,
            words,
            attachment: which,
            raw,
        }
    }
}

fn encode(which: usize, lines: Lines) -> String {
    let text = STANDARD.encode(attachment(which));
    let (many, end) = match lines {
        Lines::Of76 => (76, "\r\n"),
        Lines::Of38 => (38, "\n"),
        Lines::Odd => (40, " \r\n"),
    };
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(many)
        .map(|line| std::str::from_utf8(line).expect("base64"))
        .collect();
    lines.join(end)
}

#[test]
fn an_attachment_is_equally_long_in_both_shapes() {
    for which in 0..attachments() {
        let (a, b) = (encode(which, Lines::Of76), encode(which, Lines::Of38));
        assert_eq!(a.len(), b.len());
        assert_ne!(a, b);
    }
}
