//! Makes BODY out of BODYSTRUCTURE by leaving out the extension data (RFC 3501, 9: body), so that a row keeps only one of them.
//!
//! Promises: linear time, at most `NESTING_MAX` levels; what is no BODYSTRUCTURE gives `None`, never a panic.

use crate::limits::LEVELS_MAX;

/// Levels of parentheses: a part on every level, and its parameters or envelope in it.
const NESTING_MAX: usize = LEVELS_MAX + 8;

/// BODY of the message whose BODYSTRUCTURE this is.
pub(crate) fn from_bodystructure(bodystructure: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader {
        bytes: bodystructure,
        at: 0,
    };
    let mut out = Vec::with_capacity(bodystructure.len());
    reader.body(&mut out, 0)?;
    (reader.at == bodystructure.len()).then_some(out)
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next.then_some(())
    }

    /// body = "(" (body-type-1part / body-type-mpart) ")"
    fn body(&mut self, out: &mut Vec<u8>, level: usize) -> Option<()> {
        if level > NESTING_MAX {
            return None;
        }
        self.expect(b'(')?;
        out.push(b'(');
        if self.peek() == Some(b'(') {
            while self.peek() == Some(b'(') {
                self.body(out, level + 1)?;
            }
            self.copy_next(out)?;
        } else {
            self.single(out, level)?;
        }
        out.push(b')');
        while self.peek() == Some(b' ') {
            self.at += 1;
            self.item(0)?;
        }
        self.expect(b')')
    }

    /// Type, subtype, parameters, id, description, encoding, octets; then what text and messages add.
    fn single(&mut self, out: &mut Vec<u8>, level: usize) -> Option<()> {
        let kind = self.item(0)?;
        out.extend_from_slice(kind);
        let subtype = self.copy_next(out)?;
        for _ in 0..5 {
            self.copy_next(out)?;
        }
        if kind.eq_ignore_ascii_case(b"\"text\"") {
            self.copy_next(out)?;
        } else if kind.eq_ignore_ascii_case(b"\"message\"")
            && subtype.eq_ignore_ascii_case(b"\"rfc822\"")
        {
            self.copy_next(out)?;
            self.expect(b' ')?;
            out.push(b' ');
            self.body(out, level + 1)?;
            self.copy_next(out)?;
        }
        Some(())
    }

    /// Copies a space and the item behind it.
    fn copy_next(&mut self, out: &mut Vec<u8>) -> Option<&'b [u8]> {
        self.expect(b' ')?;
        let item = self.item(0)?;
        out.push(b' ');
        out.extend_from_slice(item);
        Some(item)
    }

    /// A string, a number, NIL or a list of such.
    fn item(&mut self, level: usize) -> Option<&'b [u8]> {
        let start = self.at;
        match self.peek()? {
            _ if level > NESTING_MAX => return None,
            b'(' => {
                self.at += 1;
                while self.peek()? != b')' {
                    if self.peek() == Some(b' ') {
                        self.at += 1;
                    }
                    self.item(level + 1)?;
                }
                self.at += 1;
            }
            b'"' => self.quoted()?,
            b'{' => self.literal()?,
            _ => {
                let rest = &self.bytes[self.at..];
                let length = rest
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric())
                    .count();
                if length == 0 {
                    return None;
                }
                self.at += length;
            }
        }
        self.bytes.get(start..self.at)
    }

    fn quoted(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    fn literal(&mut self) -> Option<()> {
        self.at += 1;
        let digits = self.bytes[self.at..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let length: usize = std::str::from_utf8(&self.bytes[self.at..self.at + digits])
            .ok()?
            .parse()
            .ok()?;
        self.at += digits;
        for byte in *b"}\r\n" {
            self.expect(byte)?;
        }
        self.at = self
            .at
            .checked_add(length)
            .filter(|end| *end <= self.bytes.len())?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_data_is_left_out_on_every_level() {
        let long = b"((\"text\" \"plain\" (\"charset\" \"x\") NIL {2}\r\n)( \"7bit\" 3 1 NIL (\"inline\" NIL) (\"en\") NIL)(\"message\" \"rfc822\" \
            NIL NIL NIL \"7bit\" 9 (NIL \"a\\\"\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"image\" \"png\" NIL NIL NIL \"base64\" 5 \
            \"md5\" NIL NIL NIL) 2 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)";
        let short = b"((\"text\" \"plain\" (\"charset\" \"x\") NIL {2}\r\n)( \"7bit\" 3 1)(\"message\" \"rfc822\" \
            NIL NIL NIL \"7bit\" 9 (NIL \"a\\\"\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"image\" \"png\" NIL NIL NIL \"base64\" 5) 2) \"mixed\")";
        assert_eq!(
            from_bodystructure(long).map(|b| b.escape_ascii().to_string()),
            Some(short.escape_ascii().to_string())
        );
    }

    #[test]
    fn what_is_no_bodystructure_gives_nothing() {
        for junk in [
            &b""[..],
            b"(",
            b"()",
            b"(\"text\"",
            b"NIL",
            b"(\"a\" {9999999999999999999999}\r\n",
            b"(\"\\",
            b"({18446744073709551615}\r\n",
        ] {
            assert_eq!(from_bodystructure(junk), None, "{}", junk.escape_ascii());
        }
        assert_eq!(from_bodystructure("(".repeat(100_000).as_bytes()), None);
    }
}
