//! The tokens of RFC 3501, 9: atoms, strings, numbers, lists. Each function is the ABNF rule of its name.

use winnow::Parser;
use winnow::ascii::Caseless;
use winnow::combinator::{alt, delimited, opt, preceded};
use winnow::token::{any, one_of, take, take_while};

use super::error::{Parsed, bad, expect, unfit};
use crate::limits::IMAP_TAG_MAX;

/// `SP`, and nothing else can stand here.
pub(super) fn sp(input: &mut &[u8]) -> Parsed<()> {
    expect("a space and an argument", |input: &mut &[u8]| {
        b' '.void().parse_next(input)
    })
    .parse_next(input)
}

/// `tag = 1*<any ASTRING-CHAR except "+">`
pub(super) fn tag(input: &mut &[u8]) -> Parsed<String> {
    take_while(1..=IMAP_TAG_MAX, |b| is_astring_char(b) && b != b'+')
        .map(ascii)
        .parse_next(input)
}

/// `ATOM-CHAR = <any CHAR except atom-specials>`
pub(super) fn is_atom_char(b: u8) -> bool {
    is_astring_char(b) && b != b']'
}

/// `ASTRING-CHAR = ATOM-CHAR / resp-specials`
pub(super) fn is_astring_char(b: u8) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
}

/// `atom = 1*ATOM-CHAR`
pub(super) fn atom(input: &mut &[u8]) -> Parsed<String> {
    take_while(1.., is_atom_char).map(ascii).parse_next(input)
}

/// An atom that is a word of the protocol, in upper case.
pub(super) fn word(input: &mut &[u8]) -> Parsed<String> {
    atom.map(|word| word.to_ascii_uppercase()).parse_next(input)
}

/// This word of the protocol in any case, and no longer one.
pub(super) fn keyword<'i>(text: &'static str) -> impl FnMut(&mut &'i [u8]) -> Parsed<()> {
    move |input| {
        Caseless(text).void().parse_next(input)?;
        match input.first() {
            Some(&b) if is_atom_char(b) => Err(unfit()),
            _ => Ok(()),
        }
    }
}

/// `astring = 1*ASTRING-CHAR / string`
pub(super) fn astring(input: &mut &[u8]) -> Parsed<Vec<u8>> {
    alt((take_while(1.., is_astring_char).map(<[u8]>::to_vec), string)).parse_next(input)
}

/// `astring` that has to be ASCII, such as the name of a header field.
pub(super) fn ascii_astring(input: &mut &[u8]) -> Parsed<String> {
    let text = astring(input)?;
    match String::from_utf8(text) {
        Ok(text) if text.is_ascii() => Ok(text),
        _ => Err(bad("8-bit characters are not allowed here")),
    }
}

/// `string = quoted / literal`
pub(super) fn string(input: &mut &[u8]) -> Parsed<Vec<u8>> {
    alt((quoted, literal)).parse_next(input)
}

/// `nstring = string / nil`
pub(super) fn nstring(input: &mut &[u8]) -> Parsed<Option<Vec<u8>>> {
    alt((string.map(Some), keyword("NIL").value(None))).parse_next(input)
}

/// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`. 8-bit characters are taken, as RFC 9051 does; what must not have them refuses them.
pub(super) fn quoted(input: &mut &[u8]) -> Parsed<Vec<u8>> {
    b'"'.parse_next(input)?;
    let mut text = Vec::new();
    loop {
        let plain: &[u8] = take_while(0.., |b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0))
            .parse_next(input)?;
        text.extend_from_slice(plain);
        match expect("a closing quote", |input: &mut &[u8]| any.parse_next(input))(input)? {
            b'"' => return Ok(text),
            b'\\' => text.push(
                expect("\\\" or \\\\ in a quoted string", |input: &mut &[u8]| {
                    one_of([b'"', b'\\']).parse_next(input)
                })
                .parse_next(input)?,
            ),
            _ => return Err(bad("a quoted string cannot hold NUL, CR or LF")),
        }
    }
}

/// `literal = "{" number ["+"] "}" CRLF *CHAR8`, its octets inline as the framing leaves them.
pub(super) fn literal(input: &mut &[u8]) -> Parsed<Vec<u8>> {
    let size = literal_marker(input)?;
    let octets = |input: &mut &[u8]| {
        let size = usize::try_from(size).map_err(|_| unfit())?;
        let octets: &[u8] = preceded(b"\r\n", take(size)).parse_next(input)?;
        Ok(octets.to_vec())
    };
    let octets = expect("the octets of a literal", octets).parse_next(input)?;
    if octets.contains(&0) {
        return Err(bad("a literal cannot hold NUL"));
    }
    Ok(octets)
}

/// `"{" number64 ["+"] "}"` (RFC 7888)
pub(super) fn literal_marker(input: &mut &[u8]) -> Parsed<u64> {
    delimited(b'{', number64, (opt(b'+'), b'}')).parse_next(input)
}

/// `number = 1*DIGIT`, below 2^32.
pub(super) fn number(input: &mut &[u8]) -> Parsed<u32> {
    digits(input)?
        .parse()
        .map_err(|_| bad("a number here is less than 4294967296"))
}

/// `nz-number = digit-nz *DIGIT`; leading zeros are taken.
pub(super) fn nz_number(input: &mut &[u8]) -> Parsed<u32> {
    match number(input)? {
        0 => Err(bad("a number here is at least 1")),
        number => Ok(number),
    }
}

/// `number64 = 1*DIGIT`, below 2^63 (RFC 9051); also `mod-sequence-valzer` (RFC 7162).
pub(super) fn number64(input: &mut &[u8]) -> Parsed<u64> {
    let number: Option<i64> = digits(input)?.parse().ok();
    number
        .and_then(|number| u64::try_from(number).ok())
        .ok_or_else(|| bad("a number here is less than 9223372036854775808"))
}

fn digits(input: &mut &[u8]) -> Parsed<String> {
    take_while(1.., |b: u8| b.is_ascii_digit())
        .map(ascii)
        .parse_next(input)
}

/// `item *(SP item)`, at most `most`.
pub(super) fn spaced<'i, O>(
    most: usize,
    mut item: impl FnMut(&mut &'i [u8]) -> Parsed<O>,
) -> impl FnMut(&mut &'i [u8]) -> Parsed<Vec<O>> {
    move |input| {
        let mut items = vec![item(input)?];
        while input.first() == Some(&b' ') && input.get(1).is_some_and(|&b| !b" )".contains(&b)) {
            if items.len() == most {
                return Err(bad(format!("a list here has at most {most} items")));
            }
            sp(input)?;
            items.push(item(input)?);
        }
        Ok(items)
    }
}

/// `"(" [item *(SP item)] ")"`, at most `most` items.
pub(super) fn list<'i, O>(
    most: usize,
    item: impl FnMut(&mut &'i [u8]) -> Parsed<O>,
) -> impl FnMut(&mut &'i [u8]) -> Parsed<Vec<O>> {
    let mut items = spaced(most, item);
    move |input| {
        b'('.parse_next(input)?;
        let items = match input.first() {
            Some(b')') => Vec::new(),
            _ => items(input)?,
        };
        // Some clients leave a space before it.
        expect("a closing parenthesis", |input: &mut &[u8]| {
            (opt(b' '), b')').parse_next(input)
        })
        .parse_next(input)?;
        Ok(items)
    }
}

/// [`list`] with at least one item.
pub(super) fn list1<'i, O>(
    most: usize,
    item: impl FnMut(&mut &'i [u8]) -> Parsed<O>,
) -> impl FnMut(&mut &'i [u8]) -> Parsed<Vec<O>> {
    let mut list = list(most, item);
    move |input| {
        let items = list(input)?;
        if items.is_empty() {
            return Err(bad("a list here has at least one item"));
        }
        Ok(items)
    }
}

fn ascii(text: &[u8]) -> String {
    text.iter().copied().map(char::from).collect()
}
