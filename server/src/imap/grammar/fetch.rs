//! FETCH: items and sections (RFC 3501, 6.4.5; RFC 3516, RFC 7162, RFC 8474, RFC 8514, RFC 8970, RFC 9394).

use winnow::Parser;
use winnow::ascii::Caseless;
use winnow::combinator::{alt, opt, preceded};
use winnow::token::take_while;

use coldpost_engine::ids::ModSeq;
use coldpost_engine::mail::{Section, SectionText};

use super::error::{Parsed, bad, expect, unfit};
use super::search::partial_range;
use super::set::sequence_set;
use super::token::{ascii_astring, keyword, list1, number64, nz_number, sp, word};
use crate::imap::ast::{CommandBody, Fetch, FetchItem, FetchSection, Numbers, Page, Partial};
use crate::limits::IMAP_LIST_ITEMS_MAX;

/// `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" … ")") [fetch-modifiers]`, from behind its name.
pub(super) fn fetch(numbers: Numbers) -> impl FnMut(&mut &[u8]) -> Parsed<CommandBody> {
    move |input| {
        let (_, set, _) = (sp, expect("a set of messages", sequence_set), sp).parse_next(input)?;
        let items = expect("FETCH items", fetch_items).parse_next(input)?;
        let modifiers = opt(preceded(b' ', fetch_modifiers)).parse_next(input)?;
        let Modifiers {
            changed_since,
            vanished,
            page,
        } = modifiers.unwrap_or_default();
        if page.is_some() && numbers == Numbers::Sequence {
            return Err(bad("PARTIAL is for UID FETCH"));
        }
        if vanished && (numbers == Numbers::Sequence || changed_since.is_none()) {
            return Err(bad("VANISHED is for UID FETCH with CHANGEDSINCE"));
        }
        Ok(CommandBody::Fetch(Fetch {
            numbers,
            set,
            items,
            changed_since,
            vanished,
            page,
        }))
    }
}

/// `"ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")"`
fn fetch_items(input: &mut &[u8]) -> Parsed<Vec<FetchItem>> {
    alt((
        list1(IMAP_LIST_ITEMS_MAX, fetch_att),
        fetch_macro,
        fetch_att.map(|item| vec![item]),
    ))
    .parse_next(input)
}

/// `"ALL" / "FULL" / "FAST"`, spelled out.
fn fetch_macro(input: &mut &[u8]) -> Parsed<Vec<FetchItem>> {
    let fast = [
        FetchItem::Flags,
        FetchItem::InternalDate,
        FetchItem::Rfc822Size,
    ];
    let more: &[FetchItem] = match word(input)?.as_str() {
        "FAST" => &[],
        "ALL" => &[FetchItem::Envelope],
        "FULL" => &[FetchItem::Envelope, FetchItem::Body],
        _ => return Err(unfit()),
    };
    Ok(fast.into_iter().chain(more.iter().cloned()).collect())
}

/// `fetch-att`, and the items of the extensions.
fn fetch_att(input: &mut &[u8]) -> Parsed<FetchItem> {
    let is_name_char = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
    let name: &[u8] = take_while(1.., is_name_char).parse_next(input)?;
    let name = name.to_ascii_uppercase();
    let section = input.first() == Some(&b'[');
    Ok(match name.as_slice() {
        b"BODY" if section => FetchItem::Section(fetch_section(false, input)?),
        b"BODY.PEEK" if section => FetchItem::Section(fetch_section(true, input)?),
        b"BINARY" if section => FetchItem::Binary(fetch_binary(false, input)?),
        b"BINARY.PEEK" if section => FetchItem::Binary(fetch_binary(true, input)?),
        b"BINARY.SIZE" if section => FetchItem::BinarySize(section_binary(input)?),
        b"UID" => FetchItem::Uid,
        b"FLAGS" => FetchItem::Flags,
        b"INTERNALDATE" => FetchItem::InternalDate,
        b"ENVELOPE" => FetchItem::Envelope,
        b"BODY" => FetchItem::Body,
        b"BODYSTRUCTURE" => FetchItem::BodyStructure,
        b"RFC822" => FetchItem::Rfc822,
        b"RFC822.HEADER" => FetchItem::Rfc822Header,
        b"RFC822.TEXT" => FetchItem::Rfc822Text,
        b"RFC822.SIZE" => FetchItem::Rfc822Size,
        b"MODSEQ" => FetchItem::ModSeq,
        b"EMAILID" => FetchItem::EmailId,
        b"THREADID" => FetchItem::ThreadId,
        b"SAVEDATE" => FetchItem::SaveDate,
        b"PREVIEW" => FetchItem::Preview {
            lazy: opt(preview_lazy).parse_next(input)?.is_some(),
        },
        _ => return Err(unfit()),
    })
}

/// `SP "(" preview-mod ")"`, `preview-mod = "LAZY"` (RFC 8970); what else stands in parentheses is a modifier of FETCH.
fn preview_lazy(input: &mut &[u8]) -> Parsed<()> {
    (b' ', b'(', keyword("LAZY"), b')').void().parse_next(input)
}

/// `section ["<" number "." nz-number ">"]`; a count of 0 is taken, as Dovecot does.
fn fetch_section(peek: bool, input: &mut &[u8]) -> Parsed<FetchSection> {
    Ok(FetchSection {
        section: section(input)?,
        peek,
        partial: partial(input)?,
    })
}

/// `section-binary ["<" number "." nz-number ">"]` (RFC 3516)
fn fetch_binary(peek: bool, input: &mut &[u8]) -> Parsed<FetchSection> {
    let section = Section {
        path: section_binary(input)?,
        text: SectionText::All,
    };
    Ok(FetchSection {
        section,
        peek,
        partial: partial(input)?,
    })
}

/// `section-binary = "[" [section-part] "]"` (RFC 3516)
fn section_binary(input: &mut &[u8]) -> Parsed<Vec<u32>> {
    match section(input)? {
        Section {
            path,
            text: SectionText::All,
        } => Ok(path),
        _ => Err(bad("BINARY takes the numbers of a part only")),
    }
}

/// `["<" number "." nz-number ">"]`
fn partial(input: &mut &[u8]) -> Parsed<Option<Partial>> {
    let partial = opt((b'<', number64, b'.', number64, b'>')).parse_next(input)?;
    Ok(partial.map(|(_, origin, _, count, _)| Partial { origin, count }))
}

/// `section = "[" [section-spec] "]"`, `section-spec = section-msgtext / (section-part ["." section-text])`
fn section(input: &mut &[u8]) -> Parsed<Section> {
    b'['.parse_next(input)?;
    let mut path = Vec::new();
    while input.first().is_some_and(u8::is_ascii_digit) {
        path.push(nz_number(input)?);
        if opt(b'.').parse_next(input)?.is_none() {
            close(input)?;
            return Ok(Section {
                path,
                text: SectionText::All,
            });
        }
    }
    let text = if path.is_empty() && input.first() == Some(&b']') {
        SectionText::All
    } else {
        expect("a section", section_text).parse_next(input)?
    };
    if path.is_empty() && text == SectionText::Mime {
        return Err(bad("MIME needs the number of a part before it"));
    }
    close(input)?;
    Ok(Section { path, text })
}

/// `"]"`
fn close(input: &mut &[u8]) -> Parsed<()> {
    expect("a closing bracket", |input: &mut &[u8]| {
        b']'.void().parse_next(input)
    })
    .parse_next(input)
}

/// `section-text = section-msgtext / "MIME"`
fn section_text(input: &mut &[u8]) -> Parsed<SectionText> {
    alt((
        preceded(Caseless("HEADER.FIELDS.NOT "), header_list).map(SectionText::HeaderFieldsNot),
        preceded(Caseless("HEADER.FIELDS "), header_list).map(SectionText::HeaderFields),
        keyword("HEADER").value(SectionText::Header),
        keyword("TEXT").value(SectionText::Text),
        keyword("MIME").value(SectionText::Mime),
    ))
    .parse_next(input)
}

/// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`
fn header_list(input: &mut &[u8]) -> Parsed<Vec<String>> {
    list1(IMAP_LIST_ITEMS_MAX, ascii_astring).parse_next(input)
}

/// What stands behind the items.
#[derive(Default)]
struct Modifiers {
    changed_since: Option<ModSeq>,
    vanished: bool,
    page: Option<Page>,
}

/// `fetch-modifiers = "(" fetch-modifier *(SP fetch-modifier) ")"` (RFC 4466): CHANGEDSINCE, VANISHED, PARTIAL.
fn fetch_modifiers(input: &mut &[u8]) -> Parsed<Modifiers> {
    let mut modifiers = Modifiers::default();
    let modifier = |input: &mut &[u8]| {
        match word(input)?.as_str() {
            "CHANGEDSINCE" => {
                modifiers.changed_since = Some(preceded(sp, number64).parse_next(input)?);
            }
            "VANISHED" => modifiers.vanished = true,
            "PARTIAL" => {
                let page = preceded(sp, partial_range).parse_next(input)?;
                if modifiers.page.replace(page).is_some() {
                    return Err(bad("PARTIAL can be asked for once"));
                }
            }
            name => return Err(bad(format!("unknown modifier {name}"))),
        }
        Ok(())
    };
    list1(IMAP_LIST_ITEMS_MAX, modifier).parse_next(input)?;
    Ok(modifiers)
}
