//! Message ids for threading (RFC 5256, 3): read from Message-ID, References and In-Reply-To, kept as hashes.
//!
//! Promises: equal ids give equal hashes whatever their quoting; at most `REFERENCES_MAX` references, the last ones; linear time.

use crate::limits::REFERENCES_MAX;
use crate::mail::token::Cursor;

/// The hash of the first valid id in a raw Message-ID value; 0 when it has none.
pub(crate) fn message_id(value: &[u8]) -> u64 {
    ids(value, 1).first().copied().unwrap_or(0)
}

/// Hashes of the ids in References, else of the first one in In-Reply-To.
pub(crate) fn references(references: Option<&[u8]>, in_reply_to: Option<&[u8]>) -> Vec<u64> {
    let mut hashes = references
        .map(|value| ids(value, usize::MAX))
        .unwrap_or_default();
    if hashes.is_empty() {
        hashes = in_reply_to.map(|value| ids(value, 1)).unwrap_or_default();
    }
    hashes.split_off(hashes.len().saturating_sub(REFERENCES_MAX))
}

/// Hashes of the first `count_max` valid ids (`<left@right>`) of a raw value.
fn ids(value: &[u8], count_max: usize) -> Vec<u64> {
    let mut cursor = Cursor::new(value);
    let mut hashes = Vec::new();
    while hashes.len() < count_max && !cursor.is_at_end() {
        if !cursor.pass_if(b'<') {
            cursor.pass();
        } else if let Some(id) = id(&mut cursor) {
            hashes.push(hash(&id));
        }
    }
    hashes
}

/// msg-id without its brackets, the left part unquoted.
fn id(cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
    let mut id = Vec::new();
    if cursor.skip_cfws() != Ok(true) {
        return None;
    }
    let left = if cursor.peek() == Some(b'"') {
        cursor.quoted_string(&mut id)
    } else {
        cursor.dot_atom(&mut id)
    };
    if left != Ok(true) || cursor.peek() != Some(b'@') {
        return None;
    }
    id.push(b'@');
    (cursor.domain(&mut id) == Ok(true) && cursor.pass_if(b'>')).then_some(id)
}

/// First 8 bytes of BLAKE3, little endian; never 0, which stands for no id.
fn hash(id: &[u8]) -> u64 {
    let digest = blake3::hash(id);
    let (first, _) = digest
        .as_bytes()
        .split_first_chunk::<8>()
        .expect("a BLAKE3 digest has 32 bytes");
    u64::from_le_bytes(*first).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_and_white_space_do_not_change_an_id() {
        let plain = message_id(b"<a.b@example.org>");
        assert_ne!(plain, 0);
        assert_eq!(message_id(b" junk <\"a.b\"@example.org>"), plain);
        assert_eq!(message_id(b"< a.b @ example.org >"), plain);
        assert_ne!(message_id(b"<A.b@example.org>"), plain);
    }

    #[test]
    fn what_is_no_id_is_passed_over() {
        for junk in [
            &b""[..],
            b"<>",
            b"<a b@c>",
            b"a@b",
            b"<a@b",
            b"<<<<",
            b"<\"a",
        ] {
            assert_eq!(message_id(junk), 0, "{}", junk.escape_ascii());
        }
    }

    #[test]
    fn references_come_before_in_reply_to_and_the_last_ones_are_kept() {
        let many: String = (0..100).map(|n| format!("<{n}@x>\r\n ")).collect();
        let kept = references(Some(many.as_bytes()), Some(b"<r@x>"));
        assert_eq!(kept.len(), REFERENCES_MAX);
        assert_eq!(kept.last(), Some(&message_id(b"<99@x>")));
        assert_eq!(
            references(Some(b"none"), Some(b"<r@x> <s@x>")),
            [message_id(b"<r@x>")]
        );
        assert!(references(None, None).is_empty());
    }
}
