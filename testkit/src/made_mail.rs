//! Mail made for a purpose: texts that do not compress, attachments.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::dice::Dice;

/// Bytes that nobody compresses, a multiple of eight of them.
pub fn drawn(dice: &mut Dice, bytes: u64) -> Vec<u8> {
    let words = (0..bytes / 8).map(|_| dice.draw().to_le_bytes());
    words.flatten().collect()
}

/// A message of 35 KB that does not compress well, and of no other number.
pub fn dense(number: u64) -> Vec<u8> {
    let mut dice = Dice::new(number);
    let mut text = format!("Subject: {number}\r\n\r\n");
    for _ in 0..700 {
        let line = [dice.draw(), dice.draw(), dice.draw()].map(|n| format!("{n:016x}"));
        text.push_str(&format!("{}\r\n", line.concat()));
    }
    text.into_bytes()
}

/// Base64 in lines of so many characters, none behind the last one.
pub fn base64_lines(bytes: &[u8], characters: usize) -> String {
    let encoded = STANDARD.encode(bytes);
    let lines = encoded
        .as_bytes()
        .chunks(characters)
        .map(String::from_utf8_lossy);
    lines.collect::<Vec<_>>().join("\r\n")
}

/// A part of a multipart message with the boundary `b`.
pub fn attachment(bytes: &[u8], characters: usize) -> String {
    let encoded = base64_lines(bytes, characters);
    format!(
        "--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n"
    )
}

/// A message with a text and parts that [`attachment`] made.
pub fn with_parts(subject: &str, text: &str, parts: &[String]) -> Vec<u8> {
    let parts = parts.concat();
    format!(
        "Subject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n{parts}--b--\r\n"
    )
    .into_bytes()
}

/// A message whose text is its subject, with one attachment.
pub fn attached(subject: &str, bytes: &[u8]) -> Vec<u8> {
    with_parts(subject, subject, &[attachment(bytes, 76)])
}
