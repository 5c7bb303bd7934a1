//! Mail in every shape that encoders have been seen to give it: other line lengths, missing padding, blanks, bare LF, uuencode, nesting.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::dice::Dice;

/// Contents that come again and again, as attachments do.
const POOL: u64 = 24;

/// A message drawn from the dice: octets that an APPEND takes (no NUL in text, any line ends).
pub fn drawn(dice: &mut Dice) -> Vec<u8> {
    let end = line_end(dice);
    let mut mail = Vec::new();
    let subject = dice.draw();
    line(
        &mut mail,
        &format!("From: a{}@example.org", dice.below(9)),
        end,
    );
    line(&mut mail, &format!("Subject: odd {subject:x}"), end);
    line(&mut mail, "MIME-Version: 1.0", end);
    entity(dice, &mut mail, end, 0);
    if dice.below(4) == 0 {
        mail.extend_from_slice(end);
    }
    mail
}

fn line_end(dice: &mut Dice) -> &'static [u8] {
    match dice.below(8) {
        0 => b"\n",
        _ => b"\r\n",
    }
}

fn line(mail: &mut Vec<u8>, text: &str, end: &[u8]) {
    mail.extend_from_slice(text.as_bytes());
    mail.extend_from_slice(end);
}

/// Header fields, a blank line and a body.
fn entity(dice: &mut Dice, mail: &mut Vec<u8>, end: &[u8], depth: u32) {
    match dice.below(10) {
        0..4 if depth < 3 => multipart(dice, mail, end, depth),
        4 if depth < 3 => {
            line(mail, "Content-Type: message/rfc822", end);
            mail.extend_from_slice(end);
            line(mail, "Subject: inside", end);
            line(mail, "MIME-Version: 1.0", end);
            entity(dice, mail, end, depth + 1);
        }
        5 => text(dice, mail, end),
        _ => attachment(dice, mail, end),
    }
}

fn multipart(dice: &mut Dice, mail: &mut Vec<u8>, end: &[u8], depth: u32) {
    let boundary = format!("=_{:x}", dice.draw());
    line(
        mail,
        &format!("Content-Type: multipart/mixed; boundary=\"{boundary}\""),
        end,
    );
    mail.extend_from_slice(end);
    if dice.below(3) == 0 {
        line(mail, "This is a multi-part message.", end);
    }
    for _ in 0..1 + dice.below(3) {
        line(mail, &format!("--{boundary}"), end);
        entity(dice, mail, end, depth + 1);
        mail.extend_from_slice(end);
    }
    // Some forget it.
    if dice.below(8) != 0 {
        line(mail, &format!("--{boundary}--"), end);
    }
}

fn text(dice: &mut Dice, mail: &mut Vec<u8>, end: &[u8]) {
    if dice.below(2) == 0 {
        line(mail, "Content-Type: text/plain; charset=utf-8", end);
        line(mail, "Content-Transfer-Encoding: quoted-printable", end);
        mail.extend_from_slice(end);
        for n in 0..dice.below(60) {
            line(
                mail,
                &format!("line {n} =C3=A4 with a soft break =20 ="),
                end,
            );
        }
    } else {
        line(mail, "Content-Type: application/octet-stream", end);
        line(mail, "Content-Transfer-Encoding: x-uuencode", end);
        mail.extend_from_slice(end);
        line(mail, "begin 644 file", end);
        for _ in 0..dice.below(80) {
            line(
                mail,
                "M5&AE('%U:6-K(&)R;W=N(&9O>\"!J=6UP<R!O=F5R('1H92!L87IY(&1O9RX*",
                end,
            );
        }
        line(mail, "end", end);
    }
}

fn attachment(dice: &mut Dice, mail: &mut Vec<u8>, end: &[u8]) {
    let kind = *dice.pick(&["image/png", "application/pdf", "text/csv", "application/x"]);
    line(mail, &format!("Content-Type: {kind}; name=\"f\""), end);
    let encoding = *dice.pick(&["base64", "BASE64", "Base64 ", "base64 (comment)"]);
    line(mail, &format!("Content-Transfer-Encoding: {encoding}"), end);
    mail.extend_from_slice(end);
    encoded(dice, mail, end);
}

/// Base64, mostly as it should be.
fn encoded(dice: &mut Dice, mail: &mut Vec<u8>, end: &[u8]) {
    let mut characters = STANDARD.encode(content(dice)).into_bytes();
    match dice.below(12) {
        // No padding, too much of it, or bits that mean nothing.
        0 => characters.retain(|c| *c != b'='),
        1 => characters.push(b'='),
        2 => {
            if let Some(last) = characters.iter_mut().rfind(|c| **c != b'=') {
                *last = b'/';
            }
        }
        3 => {
            let at = dice.index(characters.len());
            characters.insert(at, *dice.pick(b"*-.\xe4 "));
        }
        _ => {}
    }
    let length = *dice.pick(&[76, 76, 76, 76, 60, 64, 72, 4, 73, 1, 998, 100_000]);
    let trouble = dice.below(10);
    if dice.below(6) == 0 {
        mail.extend_from_slice(end);
    }
    for (n, row) in characters.chunks(length).enumerate() {
        mail.extend_from_slice(row);
        match trouble {
            // Lines of another length, blanks at their ends, another line end, a blank line.
            0 if n == 3 => mail.extend_from_slice(b"AAAA"),
            1 if n % 5 == 1 => mail.extend_from_slice(b"  "),
            2 if n == 2 => mail.push(b'\n'),
            3 if n == 4 => mail.extend_from_slice(end),
            _ => {}
        }
        mail.extend_from_slice(end);
    }
    match dice.below(8) {
        0 => line(mail, "-- \r\na list's footer", end),
        1 => mail.extend_from_slice(b"\r\n \t\r\n"),
        2 => mail.truncate(mail.len() - end.len()),
        _ => {}
    }
}

/// Mostly from a small pool, some of it larger than what an entry of a journal holds.
fn content(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Dice::new(match dice.below(4) {
        0 => dice.draw(),
        _ => dice.below(POOL),
    });
    let length = match bytes.below(400) {
        0 => 700_000,
        1..40 => 5_000 + bytes.below(30_000),
        _ => bytes.below(5_000),
    };
    (0..length).map(|_| bytes.draw().to_le_bytes()[0]).collect()
}
