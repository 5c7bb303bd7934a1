//! Decoded text of header fields, transfer encodings and charsets: the part of reading mail that mail-parser does.
//!
//! Promises: whatever cannot be decoded stays as it is (with U+FFFD for bytes that are no text); linear time.
//! Never: fails.

use encoding_rs::{CoderResult, Decoder, Encoding};
use mail_parser::HeaderValue;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;

use crate::mail::content::Content;
use crate::mail::header;

/// Encoded bytes that are decoded at a time.
const CHUNK: usize = 256 * 1024;
/// Encoded bytes of a text in a charset that is decoded as a whole.
const WHOLE_BYTES: usize = 1024 * 1024;
/// Bytes of a Date field that are looked at.
const DATE_BYTES: usize = 1024;
/// Bytes of a field that is looked through for names.
const NAMES_BYTES: usize = 16 * 1024;
/// Broken encoded words that are tolerated in a value; one with more stays as it is.
const BROKEN_WORDS_MAX: usize = 16;

/// The decoded texts of all fields called `name` in a raw header, in order: encoded words (RFC 2047) decoded, folding undone,
/// white space at the ends cut.
pub fn header_text(raw_header: &[u8], name: &str) -> Vec<String> {
    header::fields(raw_header)
        .filter(|field| field.is(name))
        .map(|field| value_text(field.value))
        .collect()
}

/// The decoded text of a raw field value.
pub(crate) fn value_text(value: &[u8]) -> String {
    let has_words = value.windows(2).any(|pair| pair == b"=?");
    if !has_words || broken_words(value) > BROKEN_WORDS_MAX {
        return unfolded(value);
    }
    let mut line = Vec::with_capacity(value.len() + 1);
    line.extend_from_slice(value);
    line.push(b'\n');
    match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => text.trim().to_owned(),
        _ => String::new(),
    }
}

/// How many beginnings of encoded words (RFC 2047) do not become one. The parser looks for the end of each in all that follows.
fn broken_words(value: &[u8]) -> usize {
    let mut broken = 0;
    let mut at = 0;
    while let Some(start) = value[at..].windows(2).position(|pair| pair == b"=?") {
        at += start + 2;
        let mut parts = value[at..].splitn(4, |&b| b == b'?');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(charset), Some(b"q" | b"Q" | b"b" | b"B"), Some(text), Some(rest))
                if charset.len() <= 80 && rest.first() == Some(&b'=') =>
            {
                // Past the end of the word, which is no beginning of another.
                at += charset.len() + 1 + 1 + 1 + text.len() + 2;
            }
            _ => broken += 1,
        }
        if broken > BROKEN_WORDS_MAX {
            break;
        }
    }
    broken
}

/// The raw value as text, not decoded: each line end with the white space around it as one space, white space at the ends cut.
pub(crate) fn unfolded(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let mut lines = text.split('\n');
    let mut whole = lines.next().unwrap_or_default().trim_end().to_owned();
    for line in lines {
        whole.push(' ');
        whole.push_str(line.trim());
    }
    whole.trim().to_owned()
}

/// Names of a file in the value of Content-Type or Content-Disposition that are encoded or cut as RFC 2231 has it.
pub(crate) fn encoded_names(value: &[u8]) -> Vec<String> {
    if value.len() > NAMES_BYTES || !value.contains(&b'*') {
        return Vec::new();
    }
    let mut line = value.to_vec();
    line.push(b'\n');
    let HeaderValue::ContentType(content) = MessageStream::new(&line).parse_content_type() else {
        return Vec::new();
    };
    let names = ["filename", "name"].into_iter();
    let names = names.filter_map(|name| content.attribute(name));
    names.map(str::to_owned).collect()
}

/// A Date field as seconds since 1970 in UTC, and the day as written as days since 1970-01-01.
pub(crate) fn date(value: &[u8]) -> Option<(i64, i32)> {
    parsed_date(value.get(..DATE_BYTES).unwrap_or(value)).or_else(|| parsed_date(&tidy_date(value)))
}

fn parsed_date(value: &[u8]) -> Option<(i64, i32)> {
    let mut line = value.to_vec();
    line.push(b'\n');
    let HeaderValue::DateTime(mut date) = MessageStream::new(&line).parse_date() else {
        return None;
    };
    if date.second == 60 {
        // A leap second is no reason to lose the date.
        date.second = 59;
    }
    let day = i32::try_from(date.to_timestamp_local().div_euclid(86_400)).ok()?;
    date.is_valid().then(|| (date.to_timestamp(), day))
}

/// A date as the parser wants it, mended rather than read by hand or by a stricter parser, which takes none without a zone: no comments, short names, seconds, a zone (RFC 5322, 3.3 leaves the seconds out if it likes, 4.3 knows zones by
/// name; many programs leave the zone out).
fn tidy_date(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let (mut depth, mut bytes) = (0_u32, value.iter());
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if depth == 0 && text.len() < DATE_BYTES => text.push(byte),
            _ => {}
        }
    }
    let mut tidy = Vec::with_capacity(text.len() + 8);
    let mut has_zone = None;
    for word in text
        .split(u8::is_ascii_whitespace)
        .filter(|w| !w.is_empty())
    {
        let is_name = has_zone.is_none() && word.iter().all(u8::is_ascii_alphabetic);
        tidy.extend_from_slice(if is_name {
            &word[..word.len().min(3)]
        } else {
            word
        });
        let colons = word.iter().filter(|&&b| b == b':').count();
        if colons == 1 {
            tidy.extend_from_slice(b":00");
        }
        has_zone = match has_zone {
            None if colons > 0 => Some(false),
            Some(_) => Some(true),
            None => None,
        };
        tidy.push(b' ');
    }
    if has_zone == Some(false) {
        tidy.extend_from_slice(b"+0000");
    }
    tidy
}

/// Decodes a body by its transfer encoding and charset and hands the text over in pieces; `each` gives false to stop.
pub(crate) fn body(raw: &[u8], content: &Content, each: &mut dyn FnMut(&str) -> bool) -> bool {
    let charset = content
        .media
        .as_ref()
        .and_then(|media| media.parameter("charset"))
        .unwrap_or_default();
    let mut reader = CharsetReader::new(charset);
    if content.is_base64() {
        return base64_body(raw, &mut reader, each);
    }
    let mut rest = raw;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(chunk_length(rest));
        let decoded;
        let bytes = if content.is_quoted_printable() {
            decoded = quoted_printable(chunk);
            &decoded
        } else {
            chunk
        };
        rest = after;
        if !reader.read(bytes, rest.is_empty(), each) {
            return false;
        }
    }
    true
}

/// Whole lines of about a chunk, or a chunk of a line without end.
fn chunk_length(bytes: &[u8]) -> usize {
    if bytes.len() <= CHUNK {
        return bytes.len();
    }
    let chunk = &bytes[..CHUNK];
    let end = chunk.iter().rposition(|&b| b == b'\n');
    end.map_or_else(
        // Not between a `=` and what belongs to it, should it be quoted-printable.
        || match chunk[CHUNK - 2..].iter().position(|&b| b == b'=') {
            Some(at) => CHUNK - 2 + at,
            None => CHUNK,
        },
        |at| at + 1,
    )
}

/// Decodes line by line; a `=` that begins no octet and no soft line break stays (RFC 2045, 6.7, note 2), and costs nothing beside it.
/// One at the very end is a soft line break.
pub(crate) fn quoted_printable(lines: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(lines.len());
    for line in lines.split_inclusive(|&b| b == b'\n') {
        // The decoder would pass over half an octet at the end.
        let ends_in_half = matches!(line, [.., b'=', last] if last.is_ascii_hexdigit());
        let whole = (!ends_in_half).then(|| quoted_printable_decode(line));
        match whole.flatten() {
            Some(text) => decoded.extend_from_slice(&text),
            None => match quoted_printable_decode(&with_encoded_equal_signs(line)) {
                Some(text) => decoded.extend_from_slice(&text),
                None => decoded.extend_from_slice(line),
            },
        }
    }
    decoded
}

/// A line whose broken `=` are octets.
fn with_encoded_equal_signs(line: &[u8]) -> Vec<u8> {
    let mut mended = Vec::with_capacity(line.len() + 8);
    for (at, &byte) in line.iter().enumerate() {
        mended.push(byte);
        let behind = &line[at + 1..];
        let is_octet =
            behind.len() >= 2 && behind[..2].iter().all(|digit| digit.is_ascii_hexdigit());
        if byte == b'=' && !is_octet && !behind.trim_ascii_start().is_empty() {
            mended.extend_from_slice(b"3D");
        }
    }
    mended
}

fn base64_body(raw: &[u8], reader: &mut CharsetReader, each: &mut dyn FnMut(&str) -> bool) -> bool {
    let mut quads = Vec::with_capacity(CHUNK.min(raw.len()) + 4);
    for chunk in raw.chunks(CHUNK) {
        let mut decoded = Vec::with_capacity(chunk.len());
        // Padding ends a text; what follows is another one, as when encoded texts were put one behind the other.
        for (n, run) in chunk.split(|&b| b == b'=').enumerate() {
            if n > 0 {
                decoded.extend(base64_decode(&quads).unwrap_or_default());
                quads.clear();
            }
            quads.extend(
                run.iter()
                    .copied()
                    .filter(|b| b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/'),
            );
            let whole = quads.len() / 4 * 4;
            decoded.extend(base64_decode(&quads[..whole]).unwrap_or_default());
            quads.drain(..whole);
        }
        if !reader.read(&decoded, false, each) {
            return false;
        }
    }
    let decoded = base64_decode(&quads).unwrap_or_default();
    reader.read(&decoded, true, each)
}

/// The name by which the web knows a code page of Windows that mail names by its number.
fn label(charset: &[u8]) -> &[u8] {
    let pages: [(&[u8], &[u8]); 4] = [
        (b"cp932", b"shift_jis"),
        (b"cp936", b"gbk"),
        (b"cp949", b"euc-kr"),
        (b"cp950", b"big5"),
    ];
    let page = pages
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(charset));
    page.map_or(charset, |(_, label)| label)
}

/// Turns bytes of a charset into text, across the borders of chunks where the charset allows it.
enum CharsetReader {
    /// A charset that the web knows, with its state.
    Stream(Box<Decoder>),
    /// One that only mail knows (UTF-7 …), and what was not decoded yet: cut only where a body is long.
    Whole(fn(&[u8]) -> String, Vec<u8>),
}

impl CharsetReader {
    /// A reader for a charset name; none, us-ascii and unknown ones are read as UTF-8.
    fn new(charset: &[u8]) -> CharsetReader {
        let encoding = if charset.is_empty() || charset.eq_ignore_ascii_case(b"us-ascii") {
            Some(encoding_rs::UTF_8)
        } else {
            Encoding::for_label(label(charset))
                .filter(|encoding| *encoding != encoding_rs::REPLACEMENT)
        };
        match (encoding, charset_decoder(charset)) {
            (Some(encoding), _) => {
                CharsetReader::Stream(Box::new(encoding.new_decoder_without_bom_handling()))
            }
            (None, Some(decode)) => CharsetReader::Whole(decode, Vec::new()),
            (None, None) => CharsetReader::Stream(Box::new(
                encoding_rs::UTF_8.new_decoder_without_bom_handling(),
            )),
        }
    }

    fn read(&mut self, bytes: &[u8], is_last: bool, each: &mut dyn FnMut(&str) -> bool) -> bool {
        if bytes.is_empty() && !is_last {
            return true;
        }
        let decoder = match self {
            CharsetReader::Whole(decode, waiting) => {
                waiting.extend_from_slice(bytes);
                if waiting.is_empty() || waiting.len() < WHOLE_BYTES && !is_last {
                    return true;
                }
                return each(&decode(&std::mem::take(waiting)));
            }
            CharsetReader::Stream(decoder) => decoder,
        };
        let mut text =
            String::with_capacity(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(CHUNK));
        let mut rest = bytes;
        loop {
            let (result, read, _) = decoder.decode_to_string(rest, &mut text, is_last);
            rest = &rest[read..];
            if !text.is_empty() && !each(&text) {
                return false;
            }
            text.clear();
            if result == CoderResult::InputEmpty {
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn decoded(raw: &[u8], header: &str) -> String {
        let mut text = String::new();
        body(raw, &Content::read(header.as_bytes(), true), &mut |piece| {
            text.push_str(piece);
            true
        });
        text
    }

    #[test]
    fn encoded_words_and_folding_are_undone_in_header_text() {
        let header = b"Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\n =?utf-8?B?IGF1cyDwn42O?=\r\nsubject:  plain\r\n\tfolded \r\nX: y\r\n\r\n";
        expect![[r#"["Grüße aus 🍎", "plain folded"]"#]]
            .assert_eq(&format!("{:?}", header_text(header, "SUBJECT")));
    }

    #[test]
    fn broken_words_are_left_alone_and_many_of_them_cost_nothing() {
        assert_eq!(broken_words(b"=?a?q?x?= =?b?B?eA==?= =?= =?x"), 2);
        assert_eq!(value_text(b"=?a =?utf-8?q?=C3=A9?="), "=?a \u{e9}");
        let many = "=?ab?q?x".repeat(20_000);
        assert_eq!(value_text(many.as_bytes()), many);
    }

    #[test]
    fn transfer_encodings_and_charsets_are_undone_in_bodies() {
        expect!["é–ü"].assert_eq(&decoded(b"=E9=\r\n=96=FC", "Content-Type: text/plain; charset=windows-1252\nContent-Transfer-Encoding: quoted-printable\n"));
        expect!["ハロー"].assert_eq(&decoded(
            b"g26D\r\njYFb",
            "Content-Type: text/plain; charset=shift_jis\nContent-Transfer-Encoding: BASE64\n",
        ));
        expect!["文致出版社"].assert_eq(&decoded(
            b"+ZYeB9FH6ckh5Pg-",
            "Content-Type: text/plain; charset=utf-7\n",
        ));
        expect!["日本語 x"].assert_eq(&decoded(
            b"K1plVm5MSXE=\r\nZQ==\r\nLSB4\r\n",
            "Content-Type: text/plain; charset=utf-7\nContent-Transfer-Encoding: base64\n",
        ));
        expect!["ハロー"].assert_eq(&decoded(
            b"g26DjYFb",
            "Content-Type: text/plain; charset=CP932\nContent-Transfer-Encoding: base64\n",
        ));
        expect!["a=ZZ\nb"].assert_eq(&decoded(
            b"a=ZZ\nb",
            "Content-Transfer-Encoding: quoted-printable\n",
        ));
    }

    #[test]
    fn a_broken_octet_costs_nothing_beside_it() {
        let header = "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n";
        expect!["é=ZZé = é=ok\n"].assert_eq(&decoded(b"=E9=ZZ=E9 = =E9==\r\nok\n", header));
        expect!["a=ZZb"].assert_eq(&decoded(b"a=ZZ=\r\nb", header));
    }

    #[test]
    fn base64_texts_one_behind_the_other_are_all_read() {
        let header = "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n";
        expect!["hello world!"].assert_eq(&decoded(b"aGVsbG8=\r\nIA==\r\nd29ybGQh\r\n", header));
    }

    #[test]
    fn a_character_cut_by_a_chunk_border_is_whole_again() {
        let text = "é".repeat(CHUNK);
        assert_eq!(
            decoded(format!("x{text}").as_bytes(), ""),
            format!("x{text}")
        );
    }

    #[test]
    fn an_encoded_octet_at_a_chunk_border_is_decoded() {
        let header = "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n";
        for before in CHUNK - 3..=CHUNK {
            let before = "x".repeat(before);
            let raw = format!("{before}=E9=E9 end");
            assert!(decoded(raw.as_bytes(), header) == format!("{before}éé end"));
        }
    }

    #[test]
    fn dates_give_the_moment_and_the_day_as_written() {
        assert_eq!(date(b"Thu, 01 Jan 1970 23:30:00 -0100"), Some((88_200, 0)));
        assert_eq!(
            date(b"Fri, 31 Dec 1999 23:59:60 +0000").map(|(_, day)| day),
            Some(10_956)
        );
        for legal in [
            "Fri, 1 Jan 1999 10:00 GMT",
            "Fri, 1 Jan 1999 05:00 EST",
            "1 Jan 99 05:00 EST",
            "Fri, 1 Jan 1999 10:00:00",
            "1 January 1999 10:00 +0000",
            "Fri, 1 Jan 1999 10:00",
        ] {
            assert_eq!(
                date(legal.as_bytes()),
                Some((915_184_800, 10_592)),
                "{legal}"
            );
        }
        let long = format!(
            "({}) Fri, 1 Jan 1999 10:00:00 (a (b)) +0000",
            "c".repeat(2_000)
        );
        assert_eq!(date(long.as_bytes()), Some((915_184_800, 10_592)));
        assert_eq!(date(b"yesterday"), None);
        assert_eq!(date(b"\xff\0"), None);
    }
}
