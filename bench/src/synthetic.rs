//! Many distinct messages with real headers, as fast as a server takes them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use coldpost_testkit::corpus;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::lmtp::Lmtp;

/// Connections that deliver.
const CONNECTIONS: usize = 32;
/// Bytes of the body that are kept: rows are to be those of real mail, bodies only take time here.
const BODY_KEPT: usize = 512;
/// Characters of a line of base64.
const BASE64_LINE: usize = 76;
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Message `number`: the header of one of the corpus with a Message-ID of its own, and the beginning of its body.
pub(crate) fn message(number: usize) -> Vec<u8> {
    let mails = corpus::spam_assassin();
    let mail = corpus::crlf(&mails[number % mails.len()].1);
    let header = mail
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map_or(mail.len(), |at| at + 4);
    let mut out = Vec::with_capacity(header + BODY_KEPT + 64);
    for line in mail[..header].split_inclusive(|byte| *byte == b'\n') {
        if line.len() > 11 && line[..11].eq_ignore_ascii_case(b"Message-ID:") {
            out.extend_from_slice(
                format!("Message-ID: <{number}.made@example.org>\r\n").as_bytes(),
            );
        } else {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(&mail[header..mail.len().min(header + BODY_KEPT)]);
    corpus::crlf(&out)
}

/// Delivers messages `from` up to `to` to one user.
pub(crate) fn fill(lmtp: SocketAddr, user: &str, from: usize, to: usize) {
    let next = AtomicUsize::new(from);
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut session = Lmtp::connect(lmtp);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= to {
                        break;
                    }
                    session.deliver("sender@example.org", user, &message(number));
                }
            });
        }
    });
}

/// A message of exactly `bytes`: a short text and an attachment in base64 that does not compress but by its encoding.
pub(crate) fn with_attachment(seed: u64, bytes: usize) -> Vec<u8> {
    let head = format!(
        "From: sender@example.org\r\nTo: reader@example.org\r\nSubject: attachment {seed}\r\n\
        Date: Tue, 1 Jul 2025 10:00:00 +0200\r\nMessage-ID: <attachment-{seed}@example.org>\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=\"edge\"\r\n\r\n--edge\r\nContent-Type: text/plain\r\n\r\nas attached\r\n\
        --edge\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    );
    let end = b"\r\n--edge--\r\n";
    let mut out = Vec::with_capacity(bytes);
    out.extend_from_slice(head.as_bytes());
    let mut dice = Dice::new(seed);
    while out.len() + end.len() < bytes {
        for _ in 0..BASE64_LINE {
            out.push(*dice.pick(BASE64));
        }
        out.extend_from_slice(b"\r\n");
    }
    out.truncate(bytes.saturating_sub(end.len()));
    out.extend_from_slice(end);
    out
}
