//! Messages that carry their name, so that what is found can be compared with what was sent.

use coldpost_testkit::dice::Dice;
use coldpost_testkit::made_mail::{base64_lines, drawn};

/// The field that has the name.
pub(crate) const FIELD: &str = "X-Fact";

/// Messages over this many bytes of body are a few in a hundred; they do not fit into one journal entry.
const LARGE: usize = 700_000;

/// Attachments that come again and again.
const ATTACHMENTS: u64 = 12;

/// Body of a message with the attachment of a number.
fn attached(number: u64) -> Vec<u8> {
    let mut dice = Dice::new(number);
    let bytes = 8 * (200 + dice.below(2_000));
    let encoded = base64_lines(&drawn(&mut dice, bytes), 76);
    let head =
        "MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    format!("{head}{encoded}\r\n").into_bytes()
}

/// The message called `id`: always the same bytes.
pub(crate) fn message(id: &str) -> Vec<u8> {
    let seed = id.bytes().fold(7_u64, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut dice = Dice::new(seed);
    let size = match dice.below(100) {
        0 => LARGE,
        1..=30 => dice.index(30_000),
        _ => dice.index(2_000),
    };
    let head = format!("From: a@example.org\r\nSubject: {id}\r\n{FIELD}: {id}\r\n");
    if dice.below(5) == 0 {
        return [head.as_bytes(), &attached(dice.below(ATTACHMENTS))].concat();
    }
    let mut text = [head.as_bytes(), b"\r\n"].concat();
    let end = text.len() + size;
    while text.len() < end {
        text.extend_from_slice(format!("{:016x} line of {id}\r\n", dice.draw()).as_bytes());
    }
    text
}

/// The name in a fetched `X-Fact` field.
pub(crate) fn id_of(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field).into_owned();
    text.split_once(':')
        .map(|(_, id)| id.trim().to_owned())
        .unwrap_or_default()
}
