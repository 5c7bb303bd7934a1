//! Content-Transfer-Encoding, taken off piece by piece (RFC 2045, 6).
//!
//! Promises: the same octets whatever the pieces were; memory is that of one piece and a line. What is no base64 between base64 is passed
//! over, a `=` that encodes nothing stays: the rules of [`super::decode`], so that a client reads what a search found.

use mail_parser::decoders::base64::base64_decode;

use super::content::Content;
use super::decode::quoted_printable;

/// Bytes of a line of quoted-printable that are looked at together; a longer one is cut there.
const LINE_MAX: usize = 64 * 1024;

/// A body under way, and what of it waits for more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// 7bit, 8bit, binary: octets as they are.
    Identity,
    /// base64: less than four digits wait.
    Base64(Vec<u8>),
    /// quoted-printable: a line that has not ended waits.
    QuotedPrintable(Vec<u8>),
}

impl Transfer {
    /// What the header of a part says; `None` for an encoding that nobody knows. Without MIME-Version only a part of a multipart has one.
    pub(crate) fn of(raw_header: &[u8], is_part: bool) -> Option<Transfer> {
        let content = Content::read(raw_header, is_part);
        let is_plain = |encoding: &[u8]| {
            ["7bit", "8bit", "binary"]
                .iter()
                .any(|plain| encoding.eq_ignore_ascii_case(plain.as_bytes()))
        };
        if content.is_base64() {
            Some(Transfer::Base64(Vec::new()))
        } else if content.is_quoted_printable() {
            Some(Transfer::QuotedPrintable(Vec::new()))
        } else if content.encoding.as_deref().is_none_or(is_plain) {
            Some(Transfer::Identity)
        } else {
            None
        }
    }

    /// The octets that the next piece gives.
    pub(crate) fn decode(&mut self, piece: &[u8]) -> Vec<u8> {
        match self {
            Transfer::Identity => piece.to_vec(),
            Transfer::Base64(waiting) => base64(waiting, piece),
            Transfer::QuotedPrintable(waiting) => {
                waiting.extend_from_slice(piece);
                let mut decoded = Vec::with_capacity(piece.len());
                let mut done = 0;
                while let Some(length) = line_length(waiting.get(done..).unwrap_or_default()) {
                    let line = waiting.get(done..done + length).unwrap_or_default();
                    decoded.extend(quoted_printable(line));
                    done += length;
                }
                waiting.drain(..done);
                decoded
            }
        }
    }

    /// The octets that were waiting for more.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        match self {
            Transfer::Identity => Vec::new(),
            Transfer::Base64(waiting) => {
                base64_decode(&std::mem::take(waiting)).unwrap_or_default()
            }
            Transfer::QuotedPrintable(waiting) => quoted_printable(&std::mem::take(waiting)),
        }
    }
}

/// Padding ends a text; what follows is another one.
fn base64(waiting: &mut Vec<u8>, piece: &[u8]) -> Vec<u8> {
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let mut decoded = Vec::with_capacity(piece.len());
    for (n, run) in piece.split(|&b| b == b'=').enumerate() {
        if n > 0 {
            decoded.extend(base64_decode(&std::mem::take(waiting)).unwrap_or_default());
        }
        waiting.extend(run.iter().copied().filter(is_digit));
        let whole = waiting.len() / 4 * 4;
        let rest = waiting.split_off(whole);
        decoded.extend(base64_decode(waiting).unwrap_or_default());
        *waiting = rest;
    }
    decoded
}

/// How long the first line is, with its end; `None` when more may belong to it. A line without end is cut, not inside of `=XX`.
fn line_length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.get(..LINE_MAX).unwrap_or(bytes);
    if let Some(end) = line.iter().position(|&b| b == b'\n') {
        return Some(end + 1);
    }
    if line.len() < LINE_MAX {
        return None;
    }
    let last = line.iter().skip(LINE_MAX - 2).position(|&b| b == b'=');
    Some(last.map_or(LINE_MAX, |at| LINE_MAX - 2 + at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(mut transfer: Transfer, raw: &[u8], piece: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in raw.chunks(piece) {
            out.extend(transfer.decode(piece));
        }
        out.extend(transfer.finish());
        out
    }

    fn of(encoding: &str) -> Option<Transfer> {
        let header = format!("Content-Transfer-Encoding: {encoding}\r\n\r\n");
        Transfer::of(header.as_bytes(), true)
    }

    #[test]
    fn encodings_are_known_by_name_and_others_are_not_guessed() {
        assert_eq!(of("8BIT"), Some(Transfer::Identity));
        assert_eq!(of("Base64"), Some(Transfer::Base64(Vec::new())));
        assert_eq!(of("x-uuencode"), None);
        assert_eq!(
            Transfer::of(b"Subject: x\r\n\r\n", true),
            Some(Transfer::Identity)
        );
    }

    #[test]
    fn nul_comes_out_as_it_went_in() {
        let transfer = || of("base64").expect("it is known");
        assert_eq!(
            decoded(transfer(), b"AAEC\r\nAw==\r\nAAA=", 3),
            [0, 1, 2, 3, 0, 0]
        );
        let transfer = || of("quoted-printable").expect("it is known");
        assert_eq!(decoded(transfer(), b"a=00b=\r\nc\r\n=4", 1), b"a\0bc\r\n=4");
        assert_eq!(decoded(transfer(), b"a=00b=\r\nc=", 1), b"a\0bc");
    }

    proptest! {
        #[test]
        fn pieces_do_not_change_what_comes_out(
            raw in proptest::collection::vec(prop_oneof![
                3 => proptest::sample::select(b"=\r\n ABCdef012+/".to_vec()),
                1 => any::<u8>(),
            ], 0..300),
            piece in 1usize..40,
        ) {
            for encoding in ["7bit", "base64", "quoted-printable"] {
                let transfer = || of(encoding).expect("it is known");
                prop_assert_eq!(
                    decoded(transfer(), &raw, piece),
                    decoded(transfer(), &raw, usize::MAX),
                    "{}", encoding
                );
            }
        }
    }

    #[test]
    fn a_line_without_end_is_decoded_in_bounded_memory() {
        let raw = [b"=41".repeat(LINE_MAX), b"=4".to_vec()].concat();
        let mut transfer = of("quoted-printable").expect("it is known");
        let mut length = 0;
        for piece in raw.chunks(1000) {
            length += transfer.decode(piece).len();
            let Transfer::QuotedPrintable(waiting) = &transfer else {
                panic!("it stays what it is");
            };
            assert!(waiting.len() < LINE_MAX);
        }
        assert_eq!(length + transfer.finish().len(), LINE_MAX + 2);
    }
}
