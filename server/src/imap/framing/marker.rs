//! What the framing must understand of a line: a literal announced at its end, its tag, and whether it is an APPEND.

use crate::limits::IMAP_TAG_MAX;

/// Bytes from the end of a line that are enough to see the longest marker, `~{18446744073709551615+}`.
pub(super) const MARKER_MAX: usize = 32;

/// A literal announced at the end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// Octets; numbers beyond 64 bits are the largest one.
    pub(super) size: u64,
    /// `{n}`: the client waits for a continuation. `{n+}` (RFC 7888): it does not.
    pub(super) synchronising: bool,
    /// `~{n}` (RFC 3516): a literal8.
    pub(super) binary: bool,
    /// Bytes of the marker itself.
    pub(super) length: usize,
}

/// The marker at the end of `line` (without its line end), if there is one.
pub(super) fn marker(line: &[u8]) -> Option<Marker> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|&b| b == b'{')?;
    let (before, inner) = (inner.get(..open)?, inner.get(open + 1..)?);
    let (digits, synchronising) = match inner.strip_suffix(b"+") {
        Some(digits) => (digits, false),
        None => (inner, true),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0u64, |size, &digit| {
        size.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    let binary = before.ends_with(b"~");
    Some(Marker {
        size,
        synchronising,
        binary,
        length: line.len() - open + usize::from(binary),
    })
}

/// Whether the literal whose marker ends `command` is the message of an APPEND, and not the name of its mailbox.
pub(super) fn announces_message(command: &[u8], marker: Marker) -> bool {
    let end = command.len().saturating_sub(marker.length);
    let text = command.get(..end).unwrap_or_default();
    let mut words = text.splitn(3, |&b| b == b' ');
    let (_tag, name, rest) = (words.next(), words.next(), words.next());
    name.is_some_and(|name| name.eq_ignore_ascii_case(b"APPEND"))
        && rest.is_some_and(|rest| !rest.is_empty())
}

/// Names of commands that may have a literal.
const WITH_LITERALS: [&str; 18] = [
    "APPEND",
    "COPY",
    "CREATE",
    "DELETE",
    "EXAMINE",
    "FETCH",
    "ID",
    "LIST",
    "LOGIN",
    "LSUB",
    "MOVE",
    "RENAME",
    "SEARCH",
    "SELECT",
    "STATUS",
    "SUBSCRIBE",
    "UID",
    "UNSUBSCRIBE",
];

/// Whether a literal may follow `command`: it has a tag and a name that is known and takes one.
pub(super) fn may_have_literal(command: &[u8]) -> bool {
    let name = command.split(|&b| b == b' ').nth(1).unwrap_or_default();
    let mut names = WITH_LITERALS.iter();
    tag_of(command).is_some() && names.any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// The tag at the start of a command, as far as it is one.
pub(in crate::imap) fn tag_of(command: &[u8]) -> Option<String> {
    let end = command
        .iter()
        .take(IMAP_TAG_MAX + 1)
        .position(|&b| !is_tag_char(b))?;
    let tag = command.get(..end)?;
    if tag.is_empty() || command.get(end) != Some(&b' ') {
        return None;
    }
    String::from_utf8(tag.to_vec()).ok()
}

/// `ASTRING-CHAR` without `+` (RFC 3501, 9: tag).
fn is_tag_char(b: u8) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b'+')
}
