//! Cuts a raw header into its fields, by hand: mail-parser gives decoded values and drops what it does not understand, but
//! ENVELOPE, HEADER.FIELDS and the main fields need the bytes as they came.
//!
//! Promises: the fields follow each other without a gap, whatever the bytes; linear time. Never: decodes anything.

use std::ops::Range;

/// One field of a header, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field<'m> {
    /// What stands before the colon, without trailing white space; empty when there is no colon.
    pub(crate) name: &'m [u8],
    /// What stands after the colon and its white space, folded lines included, without the last line end; all when there is no colon.
    pub(crate) value: &'m [u8],
    /// The field in the header, its last line end included.
    pub(crate) range: Range<usize>,
}

impl Field<'_> {
    /// Whether the field has this name, without regard to ASCII case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of `header`, up to the empty line or the end.
pub(crate) fn fields(header: &[u8]) -> Fields<'_> {
    Fields { header, at: 0 }
}

/// Iterator over the fields of a header.
pub(crate) struct Fields<'m> {
    header: &'m [u8],
    at: usize,
}

impl<'m> Iterator for Fields<'m> {
    type Item = Field<'m>;

    fn next(&mut self) -> Option<Field<'m>> {
        let start = self.at;
        let rest = self.header.get(start..)?;
        if rest.is_empty() || is_empty_line(rest) {
            return None;
        }
        let mut end = start + line_length(rest);
        while let Some(b' ' | b'\t') = self.header.get(end) {
            end += line_length(&self.header[end..]);
        }
        self.at = end;
        let field = trim_line_end(&self.header[start..end]);
        let first_line = trim_line_end(&self.header[start..start + line_length(rest)]);
        let (name, value) = match memchr::memchr(b':', first_line) {
            None => (&[][..], field),
            Some(colon) => {
                let name = trim_end(&field[..colon]);
                let after = &first_line[colon + 1..];
                let blank = after
                    .iter()
                    .take_while(|&&b| b == b' ' || b == b'\t')
                    .count();
                // A first line of nothing but white space loses one blank only: its rest belongs to the value.
                let skipped = if blank == after.len() {
                    blank.min(1)
                } else {
                    blank
                };
                (name, &field[colon + 1 + skipped..])
            }
        };
        Some(Field {
            name,
            value,
            range: start..end,
        })
    }
}

/// Bytes of the line at the start of `bytes`, line end included.
pub(crate) fn line_length(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1)
}

/// Whether `bytes` begin with an empty line (CRLF or LF).
pub(crate) fn is_empty_line(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\n") || bytes.starts_with(b"\r\n")
}

/// `line` without one CRLF or LF at its end.
pub(crate) fn trim_line_end(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(cut) => cut.strip_suffix(b"\r").unwrap_or(cut),
        None => line,
    }
}

/// `bytes` without spaces and tabs at their end.
fn trim_end(bytes: &[u8]) -> &[u8] {
    let kept = bytes
        .iter()
        .rposition(|&b| b != b' ' && b != b'\t')
        .map_or(0, |at| at + 1);
    &bytes[..kept]
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(header: &[u8], expected: Expect) {
        let mut shown = String::new();
        for field in fields(header) {
            shown.push_str(&format!(
                "{} = {}\n",
                field.name.escape_ascii(),
                field.value.escape_ascii()
            ));
        }
        expected.assert_eq(&shown);
    }

    #[test]
    fn folded_lines_belong_to_their_field_and_the_empty_line_ends_the_header() {
        check(
            b"Subject: a\r\n\tb\r\nTo : c\n\r\nFrom: body",
            expect![[r"
                Subject = a\r\n\tb
                To = c
            "]],
        );
    }

    #[test]
    fn a_line_without_colon_has_no_name_and_white_space_alone_loses_one_blank() {
        check(
            b"garbage\r\nSubject:   \r\n x\r\n: y",
            expect![[r"
                 = garbage
                Subject =   \r\n x
                 = y
            "]],
        );
    }

    #[test]
    fn the_fields_follow_each_other_without_a_gap() {
        let header = b"a\r\n b\n\tc\r\r\nd:\0\xff\r\n \r\ne";
        let mut at = 0;
        for field in fields(header) {
            assert_eq!(field.range.start, at);
            at = field.range.end;
        }
        assert_eq!(at, header.len());
    }
}
