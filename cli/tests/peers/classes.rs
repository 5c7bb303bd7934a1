//! What SEARCH finds here alone, or by Dovecot alone, and why: the classes that `docs/search.md` decides.

use std::ops::ControlFlow;

use coldpost_engine::mail::text::{Scope, texts};
use coldpost_engine::mail::{PartKind, decode, describe};
use coldpost_search::fold::{fold, fold_collapsed};
use coldpost_testkit::Must;

/// Why one of the two finds a message alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A line end, or a run of white space, is a space here.
    WhiteSpace,
    /// BODY looks at the headers of parts here.
    PartHeader,
    /// HTML is read here, across its tags.
    HtmlText,
    /// And its tags, comments and scripts are not.
    Markup,
    /// FROM is a field here, and an address put together anew there.
    Address,
    /// Where one sees parts and the other none, or none that are whole: what is there is text here.
    Parts,
    /// Text in an encoding of no known name is text here.
    Encoding,
    /// Bytes that are no character of their charset: one stands for each here; ISO-8859-1 is windows-1252 here, as on the web.
    Charset,
}

/// What stands for bytes that are no character.
const NONE: char = '\u{fffd}';

/// What windows-1252 has where ISO-8859-1 has controls.
const ONLY_1252: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";

/// Who finds a message alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alone {
    Here,
    There,
}

/// The class of a difference; none: it is a defect of one of the two.
pub(crate) fn class(mail: &[u8], key: &str, needle: &str, alone: Alone) -> Option<Class> {
    match (key, alone) {
        ("FROM", _) => is_rewritten(mail, needle).then_some(Class::Address),
        ("BODY" | "TEXT", Alone::Here) => found_here(mail, key, needle),
        ("BODY" | "TEXT", Alone::There) => found_there(mail, needle),
        _ => needle.contains(NONE).then_some(Class::Charset),
    }
}

/// The decoded texts of a message: of its body, and of its header.
pub(crate) fn decoded(mail: &[u8]) -> [Vec<String>; 2] {
    let parts = describe(mail).parts;
    [Scope::Body, Scope::Header].map(|scope| {
        let mut all: Vec<String> = Vec::new();
        let ended = texts(mail, &parts, scope, &mut |piece| {
            match all.last_mut() {
                Some(last) if piece.goes_on => last.push_str(piece.text),
                _ => all.push(piece.text.to_owned()),
            }
            ControlFlow::Continue(())
        });
        assert!(ended.is_continue(), "nobody broke");
        all
    })
}

/// A body that is text, and the header of its part.
pub(crate) struct Body {
    /// Whether the header is the message's own.
    is_own: bool,
    header: Vec<u8>,
    is_multipart: bool,
    /// As it is read here.
    pub(crate) texts: Vec<String>,
    /// HTML before it is read.
    source: Option<Vec<String>>,
}

/// The bodies of a message that have no parts in them.
pub(crate) fn bodies(mail: &[u8]) -> Vec<Body> {
    let mut bodies = Vec::new();
    for (number, part) in describe(mail).parts.iter().enumerate() {
        let slice = |from: u64, to: u64| -> Vec<u8> {
            let place = |at| usize::try_from(at).must("a place");
            mail[place(from)..place(to)].to_vec()
        };
        let header = slice(part.header, part.body);
        let alone = [header.clone(), slice(part.body, part.end)].concat();
        let kind = decode::header_text(&header, "content-type")
            .concat()
            .to_lowercase();
        let is_multipart = part.kind == PartKind::Multipart;
        let parts = describe(&alone).parts.len();
        let source = kind.contains("html").then(|| {
            let plain = [
                b"Content-Type: text/plain;".as_slice(),
                parameters(&kind).as_bytes(),
                b"\r\n",
            ];
            let encoding = decode::header_text(&header, "content-transfer-encoding").concat();
            let encoding = format!("Content-Transfer-Encoding: {encoding}\r\n\r\n");
            let body = slice(part.body, part.end);
            let [texts, _] = decoded(&[&plain.concat(), encoding.as_bytes(), &body].concat());
            texts
        });
        let texts = match parts {
            1 => decoded(&alone)[0].clone(),
            _ => vec![],
        };
        bodies.push(Body {
            is_own: number == 0,
            header,
            is_multipart,
            texts,
            source,
        });
    }
    bodies
}

/// Those of a content type.
fn parameters(kind: &str) -> &str {
    kind.split_once(';')
        .map_or("", |(_, parameters)| parameters)
}

fn is_in(texts: &[String], needle: &str) -> bool {
    let needle = fold(needle);
    texts.iter().any(|text| fold(text).contains(&needle))
}

fn is_in_collapsed(texts: &[String], needle: &str) -> bool {
    let needle = fold_collapsed(needle);
    texts
        .iter()
        .any(|text| fold_collapsed(text).contains(&needle))
}

fn found_here(mail: &[u8], key: &str, needle: &str) -> Option<Class> {
    let bodies = bodies(mail);
    for body in &bodies {
        let header = decoded(&[body.header.as_slice(), b"\r\n"].concat())[1].clone();
        let raw = [String::from_utf8_lossy(&body.header).into_owned()];
        if !is_in_collapsed(&header, needle) || body.is_own && key == "BODY" {
            continue;
        }
        if key == "BODY" {
            return Some(Class::PartHeader);
        }
        let is_in_raw = !is_in(&raw, needle) && is_in_collapsed(&raw, needle);
        if is_in_raw || !is_in_collapsed(&lines_apart(&body.header), needle) {
            return Some(Class::WhiteSpace);
        }
        if !body.is_own && lacks_semicolon(&bodies) {
            return Some(Class::Parts);
        }
    }
    for body in bodies
        .iter()
        .filter(|body| is_in_collapsed(&body.texts, needle))
    {
        let encoding = decode::header_text(&body.header, "content-transfer-encoding").concat();
        let encoding = encoding.trim().to_lowercase();
        let known = ["", "7bit", "8bit", "binary", "base64", "quoted-printable"];
        let class = match &body.source {
            _ if body.is_multipart => Class::Parts,
            _ if !known.contains(&encoding.as_str()) => Class::Encoding,
            _ if !is_in_collapsed(&without_1252(body), needle) => Class::Charset,
            Some(source) if !is_in(source, needle) => Class::HtmlText,
            _ if !is_in(&body.texts, needle) => Class::WhiteSpace,
            _ if needle.contains(NONE) => Class::Charset,
            _ => continue,
        };
        return Some(class);
    }
    None
}

/// The fields of a header, folded lines kept apart by what is no white space.
fn lines_apart(header: &[u8]) -> Vec<String> {
    let mut apart = Vec::new();
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            let end = apart.strip_suffix(b"\r\n").map_or(apart.len(), <[u8]>::len);
            apart.truncate(end);
            apart.extend_from_slice(b" \x01 ");
        }
        apart.extend_from_slice(line);
    }
    apart.extend_from_slice(b"\r\n");
    decoded(&apart)[1].clone()
}

/// A body of ISO-8859-1 without the characters that windows-1252 has where ISO-8859-1 has controls; of any other charset as it is.
fn without_1252(body: &Body) -> Vec<String> {
    let kind = decode::header_text(&body.header, "content-type").concat();
    let texts = body.texts.iter();
    if !kind.to_lowercase().contains("iso-8859-1") {
        return texts.cloned().collect();
    }
    let without = |text: &String| text.replace(|c| ONLY_1252.contains(c), "\u{1}");
    texts.map(without).collect()
}

/// Whether a multipart does not tell its kind from its boundary.
fn lacks_semicolon(bodies: &[Body]) -> bool {
    bodies.iter().any(|body| {
        let kind = decode::header_text(&body.header, "content-type").concat();
        body.is_multipart && !kind.contains(';')
    })
}

fn found_there(mail: &[u8], needle: &str) -> Option<Class> {
    for body in bodies(mail) {
        let source = body.source.unwrap_or_default();
        let read: Vec<String> = source.iter().map(|source| without_markup(source)).collect();
        // What stands outside of tags is not to be missed.
        if is_in(&source, needle) && !is_in(&read, needle) {
            return Some(Class::Markup);
        }
    }
    None
}

/// HTML without its comments, scripts, styles, tags and character references: in a simple way that owes nothing to the one in which it is read.
fn without_markup(source: &str) -> String {
    let left = without(source, "<!--", "-->");
    let left = without(&left, "<script", "</script");
    let left = without(&left, "<style", "</style");
    let left = without(&left, "<", ">");
    let mut read = String::new();
    for (number, piece) in left.split('&').enumerate() {
        let name = piece.split_once(';').filter(|(name, _)| {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '#';
            number > 0 && name.chars().all(is_of_name)
        });
        read.push('\n');
        read.push_str(name.map_or(piece, |(_, behind)| behind));
    }
    read
}

/// Without what stands between two marks, whatever their case; a line feed keeps what was before from what is behind.
fn without(text: &str, begin: &str, end: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let (mut left, mut at) = (String::new(), 0);
    while let Some(found) = lower[at..].find(begin) {
        left.push_str(&text[at..at + found]);
        left.push('\n');
        let inside = at + found + begin.len();
        let length = lower[inside..].find(end);
        at = length.map_or(text.len(), |length| inside + length + end.len());
    }
    left.push_str(&text[at..]);
    left
}

/// Whether a needle has what an address of the message's From has but for what sets its parts apart.
fn is_rewritten(mail: &[u8], needle: &str) -> bool {
    let bare = |text: &str| -> String {
        let is_mark = |c: &char| c.is_whitespace() || "<>\"()\\,".contains(*c);
        fold(text).chars().filter(|c| !is_mark(c)).collect()
    };
    let from = decode::header_text(mail, "from").concat() + " MISSING_MAILBOX@MISSING_DOMAIN";
    bare(&from).contains(&bare(needle))
}
