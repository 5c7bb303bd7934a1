//! Strings as IMAP sends them in ENVELOPE and BODYSTRUCTURE (RFC 3501, 4.3): quoted where possible, else a literal.
//!
//! Promises: what is written is one `string`; NUL goes out as 0x80, since RFC 3501 forbids it even in literals.
//! Never: decodes or loses a byte, but for the line ends of folding and, in text for people, runs of white space.

/// Escapes from which on a literal is shorter than a quoted string; Dovecot's choice, so that the bytes are equal.
const ESCAPES_MAX: usize = 4;

/// Writes `NIL`, or the string without CR and LF.
pub(crate) fn write_unfolded(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => out.extend_from_slice(b"NIL"),
        Some(value) if value.iter().any(|&b| b == b'\r' || b == b'\n') => {
            let line: Vec<u8> = value
                .iter()
                .copied()
                .filter(|&b| b != b'\r' && b != b'\n')
                .collect();
            write(out, &line);
        }
        Some(value) => write(out, value),
    }
}

/// Writes `NIL` or the string.
pub(crate) fn write_optional(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => out.extend_from_slice(b"NIL"),
        Some(value) => write(out, value),
    }
}

/// Writes the string: quoted, or as a literal when it has 8-bit bytes, NUL, line ends or more than four escapes.
pub(crate) fn write(out: &mut Vec<u8>, value: &[u8]) {
    let unusual = value
        .iter()
        .any(|&b| b >= 0x80 || matches!(b, 0 | b'\r' | b'\n'));
    let escapes = value.iter().filter(|&&b| b == b'"' || b == b'\\').count();
    if unusual || escapes > ESCAPES_MAX {
        write_literal(out, value);
        return;
    }
    out.push(b'"');
    for &byte in value {
        if byte == b'"' || byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Writes text meant for people (Subject, display names): runs of white space as one space, none at the ends, no line ends;
/// quoted only when nothing had to be changed or escaped, as Dovecot does.
pub(crate) fn write_text(out: &mut Vec<u8>, value: &[u8]) {
    let mut text = Vec::with_capacity(value.len());
    let mut after_blank = true;
    for &byte in value {
        match byte {
            b'\n' => {}
            b' ' | b'\t' | b'\r' => {
                if !after_blank {
                    text.push(b' ');
                }
                after_blank = true;
            }
            _ => {
                text.push(byte);
                after_blank = false;
            }
        }
    }
    if text.last() == Some(&b' ') {
        text.pop();
    }
    let plain = text == value
        && value
            .iter()
            .all(|&b| (1..0x80).contains(&b) && b != b'"' && b != b'\\');
    if plain || text.is_empty() {
        out.push(b'"');
        out.extend_from_slice(&text);
        out.push(b'"');
    } else {
        write_literal(out, &text);
    }
}

/// Writes a decimal number.
pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(number.to_string().as_bytes());
}

fn write_literal(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'{');
    write_number(out, u64::try_from(value.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(b"}\r\n");
    out.extend(value.iter().map(|&b| if b == 0 { 0x80 } else { b }));
}
