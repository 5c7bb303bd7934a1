//! The body of DATA as a stream: finds its end and takes the transparency dots away (RFC 5321, 4.5.2).
//!
//! Promises: only CRLF.CRLF ends the message, and a dot is removed only directly after CRLF (or as the first byte): never after
//! a bare LF or CR, which are content like any other byte. Wherever the input is split, the result is the same.
//! Never: keeps more than two bytes back; looks into the message.

/// What of the next byte is already known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At the start of the message or directly after CRLF.
    LineStart,
    /// After a dot at a line's start, which is held back.
    Dot,
    /// After a dot and a CR at a line's start, both held back.
    DotCr,
    /// After a CR.
    Cr,
    /// Anywhere else.
    Line,
}

/// The state between two pieces of input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Data {
    at: At,
}

/// What one piece of input gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fed {
    /// All of it belonged to the message; there is more to come.
    More,
    /// The message ended; so many bytes of the input were used.
    End(usize),
}

impl Data {
    /// The state directly after the 354 reply.
    pub(crate) fn new() -> Data {
        Data { at: At::LineStart }
    }

    /// Takes `input` and appends the message's bytes in it to `message`, at most `input.len() + 1` of them.
    pub(crate) fn feed(&mut self, input: &[u8], message: &mut Vec<u8>) -> Fed {
        let mut rest = input;
        while let Some((&byte, after)) = rest.split_first() {
            self.at = match (self.at, byte) {
                (At::Line, _) => {
                    let run = rest.iter().position(|&b| b == b'\r');
                    let (line, after) = rest.split_at(run.map_or(rest.len(), |cr| cr + 1));
                    message.extend_from_slice(line);
                    rest = after;
                    self.at = if run.is_some() { At::Cr } else { At::Line };
                    continue;
                }
                (At::LineStart, b'.') => At::Dot,
                (At::Dot, b'\r') => At::DotCr,
                (At::DotCr, b'\n') => return Fed::End(input.len() - after.len()),
                (At::DotCr, _) => {
                    message.push(b'\r');
                    self.at = At::Cr;
                    continue;
                }
                (before, _) => {
                    message.push(byte);
                    match (before, byte) {
                        (_, b'\r') => At::Cr,
                        (At::Cr, b'\n') => At::LineStart,
                        _ => At::Line,
                    }
                }
            };
            rest = after;
        }
        Fed::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unstuff(input: &[u8]) -> Option<(Vec<u8>, usize)> {
        let mut message = Vec::new();
        match Data::new().feed(input, &mut message) {
            Fed::End(used) => Some((message, used)),
            Fed::More => None,
        }
    }

    fn text(input: &str) -> String {
        match unstuff(input.as_bytes()) {
            Some((message, used)) => {
                format!(
                    "{:?} then {:?}",
                    String::from_utf8_lossy(&message),
                    &input[used..]
                )
            }
            None => "no end".to_owned(),
        }
    }

    #[test]
    fn a_dot_alone_on_a_line_ends_the_message() {
        assert_eq!(text("a\r\n.\r\nQUIT\r\n"), r#""a\r\n" then "QUIT\r\n""#);
        assert_eq!(text(".\r\n"), r#""" then """#);
    }

    #[test]
    fn only_crlf_dot_crlf_ends_the_message() {
        for smuggled in [
            "a\n.\nb",
            "a\n.\r\nb",
            "a\r\n.\nb",
            "a\r.\rb",
            "a\r.\r\nb",
            "a\r\n.\rb",
            "a\n\r.\r\nb",
            "a\r\n.\r\r",
        ] {
            assert_eq!(text(smuggled), "no end", "{smuggled:?}");
        }
        assert_eq!(text("a\r\n.\r\r\n.\r\n"), r#""a\r\n\r\r\n" then """#);
    }

    #[test]
    fn a_dot_is_removed_only_after_crlf() {
        assert_eq!(
            text("..a\r\n..\r\n.b\r\n.\r\n"),
            r#"".a\r\n.\r\nb\r\n" then """#
        );
        assert_eq!(
            text("a\n.b\r.c\n..\r\n.\r\n"),
            r#""a\n.b\r.c\n..\r\n" then """#
        );
    }

    fn stuff(message: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for (number, &byte) in message.iter().enumerate() {
            if byte == b'.' && (number == 0 || message[..number].ends_with(b"\r\n")) {
                wire.push(b'.');
            }
            wire.push(byte);
        }
        wire.extend_from_slice(b"\r\n.\r\n");
        wire
    }

    proptest! {
        #[test]
        fn what_was_stuffed_comes_back(message in "[.\r\na\\x00]{0,40}") {
            let wire = stuff(message.as_bytes());
            let mut expected = message.into_bytes();
            expected.extend_from_slice(b"\r\n");
            prop_assert_eq!(unstuff(&wire), Some((expected, wire.len())));
        }

        #[test]
        fn a_split_at_any_byte_changes_nothing(input in "[.\r\nab]{0,40}", cut in 0usize..40) {
            let whole = unstuff(input.as_bytes());
            let (first, second) = input.as_bytes().split_at(cut.min(input.len()));
            let (mut data, mut message) = (Data::new(), Vec::new());
            let split = match data.feed(first, &mut message) {
                Fed::End(used) => Some((message, used)),
                Fed::More => match data.feed(second, &mut message) {
                    Fed::End(used) => Some((message, first.len() + used)),
                    Fed::More => None,
                },
            };
            prop_assert_eq!(split, whole);
        }
    }
}
