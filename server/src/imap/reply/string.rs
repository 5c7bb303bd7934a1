//! Strings on the wire: which form a text needs (RFC 3501, 4.3).

use crate::imap::mutf7;
use crate::limits::IMAP_QUOTED_MAX;

/// A quoted string where it can be one, else a literal: 8-bit, NUL, CR, LF and long texts cannot. A NUL becomes 0x80, since no
/// string can hold one (RFC 3501, 4.3.1).
pub fn string(out: &mut Vec<u8>, text: &[u8]) {
    let quotable = |&b: &u8| b.is_ascii() && !matches!(b, 0 | b'\r' | b'\n');
    if text.len() <= IMAP_QUOTED_MAX && text.iter().all(quotable) {
        return quoted(out, text);
    }
    literal_mark(out, u64::try_from(text.len()).unwrap_or(u64::MAX));
    octets(out, text);
}

/// A number in decimal.
pub(super) fn decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A quoted string; `text` holds no 8-bit, NUL, CR, LF.
pub fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &b in text {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}

/// An atom where it can be one, else as [`string`].
pub fn astring(out: &mut Vec<u8>, text: &[u8]) {
    let atom_char = |&b: &u8| {
        b.is_ascii_graphic() && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
    };
    if !text.is_empty() && !text.eq_ignore_ascii_case(b"NIL") && text.iter().all(atom_char) {
        return out.extend_from_slice(text);
    }
    string(out, text);
}

/// NIL or as [`string`].
pub fn nstring(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// A mailbox name in modified UTF-7.
pub fn mailbox_name(out: &mut Vec<u8>, name: &str) {
    astring(out, mutf7::encode(name).as_bytes());
}

/// The start of a literal: exactly `size` octets follow with [`octets`].
pub fn literal_mark(out: &mut Vec<u8>, size: u64) {
    out.extend_from_slice(format!("{{{size}}}\r\n").as_bytes());
}

/// Octets of a literal, NUL as 0x80.
pub fn octets(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes.iter().map(|&b| if b == 0 { 0x80 } else { b }));
}
