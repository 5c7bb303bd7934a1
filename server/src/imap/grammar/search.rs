//! SEARCH: its options and keys (RFC 3501, 6.4.4; RFC 4731; RFC 7162, 3.1.5; RFC 8474; RFC 8514).

use winnow::Parser;
use winnow::combinator::{alt, delimited, opt, peek, preceded};
use winnow::error::ErrMode;

use coldpost_engine::flags::SystemFlags;
use coldpost_engine::query::DateField;

use super::date::date;
use super::error::{Parsed, Wrong, bad, expect};
use super::flag::flag_keyword;
use super::scope::source_opts;
use super::set::sequence_set;
use super::token::{
    ascii_astring, astring, atom, keyword, list, number64, nz_number, quoted, sp, spaced, word,
};
use crate::imap::ast::{CommandBody, Multisearch, Numbers, Page, Search, SearchKey, SearchReturn};
use crate::limits::{IMAP_DEPTH_MAX, IMAP_LIST_ITEMS_MAX, IMAP_SEARCH_KEYS_MAX};

/// `search = "SEARCH" [search-return-opts] SP [CHARSET SP] search-key *(SP search-key)`, from behind its name.
pub(super) fn search(numbers: Numbers) -> impl FnMut(&mut &[u8]) -> Parsed<CommandBody> {
    move |input| {
        let returns = opt(preceded(b' ', search_return_opts)).parse_next(input)?;
        let charset = opt(charset).parse_next(input)?;
        Ok(CommandBody::Search(Search {
            numbers,
            returns,
            charset,
            keys: all_keys(input)?,
        }))
    }
}

/// `esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program` (RFC 7377), from behind its name.
pub(super) fn multisearch(input: &mut &[u8]) -> Parsed<CommandBody> {
    let sources = opt(preceded(b' ', source_opts)).parse_next(input)?;
    let returns = opt(preceded(b' ', search_return_opts)).parse_next(input)?;
    let charset = opt(charset).parse_next(input)?;
    let search = Search {
        numbers: Numbers::Uid,
        returns,
        charset,
        keys: all_keys(input)?,
    };
    Ok(CommandBody::Multisearch(Multisearch { sources, search }))
}

/// `1*(SP search-key)`
pub(super) fn all_keys(input: &mut &[u8]) -> Parsed<Vec<SearchKey>> {
    sp(input)?;
    let mut left = IMAP_SEARCH_KEYS_MAX;
    let keys = expect("a search key", |input: &mut &[u8]| {
        keys(0, &mut left, input)
    });
    { keys }.parse_next(input)
}

/// `search-return-opts = "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"` (RFC 4466, RFC 4731)
pub(super) fn search_return_opts(input: &mut &[u8]) -> Parsed<SearchReturn> {
    (keyword("RETURN"), sp).parse_next(input)?;
    let mut returns = SearchReturn::default();
    let option = |input: &mut &[u8]| {
        match word(input)?.as_str() {
            "MIN" => returns.min = true,
            "MAX" => returns.max = true,
            "ALL" => returns.all = true,
            "COUNT" => returns.count = true,
            "SAVE" => returns.save = true,
            "RELEVANCY" => returns.relevancy = true,
            "PARTIAL" => {
                let page = preceded(sp, partial_range).parse_next(input)?;
                if returns.partial.replace(page).is_some() {
                    return Err(bad("PARTIAL can be asked for once"));
                }
            }
            name => return Err(bad(format!("unknown return option {name}"))),
        }
        Ok(())
    };
    let is_empty = list(IMAP_LIST_ITEMS_MAX, option)
        .parse_next(input)?
        .is_empty();
    if returns.all && returns.partial.is_some() {
        return Err(bad("PARTIAL and ALL exclude each other"));
    }
    returns.all |= is_empty;
    Ok(returns)
}

/// `partial-range = nz-number ":" nz-number / "-" nz-number ":" "-" nz-number` (RFC 9394)
pub(super) fn partial_range(input: &mut &[u8]) -> Parsed<Page> {
    let end = |input: &mut &[u8]| (opt(b'-'), nz_number).parse_next(input);
    let range = |input: &mut &[u8]| (end, b':', end).parse_next(input);
    let ((sign, first), _, (same, last)) =
        expect("a range such as 1:100 or -1:-100", range).parse_next(input)?;
    if sign != same {
        return Err(bad("a range of PARTIAL counts from one end"));
    }
    Ok(Page {
        first,
        last,
        from_end: sign.is_some(),
    })
}

/// `SP "CHARSET" SP charset`
fn charset(input: &mut &[u8]) -> Parsed<String> {
    (b' ', keyword("CHARSET"), sp).parse_next(input)?;
    expect("a charset", ascii_astring).parse_next(input)
}

/// `search-key *(SP search-key)`; `left` counts keys of all levels down.
fn keys(depth: usize, left: &mut usize, input: &mut &[u8]) -> Parsed<Vec<SearchKey>> {
    spaced(usize::MAX, |input: &mut &[u8]| {
        search_key(depth, left, input)
    })
    .parse_next(input)
}

/// `search-key`: by its first byte a list, a set, or a name with what it takes.
fn search_key(depth: usize, left: &mut usize, input: &mut &[u8]) -> Parsed<SearchKey> {
    if depth > IMAP_DEPTH_MAX {
        return Err(bad(format!(
            "search keys are nested more than {IMAP_DEPTH_MAX} levels deep"
        )));
    }
    *left = left.checked_sub(1).ok_or_else(too_many)?;
    match input.first() {
        Some(b'(') => {
            let keys = |input: &mut &[u8]| keys(depth + 1, left, input);
            delimited(b'(', keys, (opt(b' '), b')'))
                .map(SearchKey::And)
                .parse_next(input)
        }
        Some(b'0'..=b'9' | b'*' | b'$') => sequence_set.map(SearchKey::Sequence).parse_next(input),
        _ => {
            let name = word(input)?;
            match simple_key(&name) {
                Some(key) => Ok(key),
                None => key_with_argument(&name, depth, left, input),
            }
        }
    }
}

fn too_many() -> ErrMode<Wrong> {
    bad(format!("a search has at most {IMAP_SEARCH_KEYS_MAX} keys"))
}

/// Keys that are only a name.
fn simple_key(name: &str) -> Option<SearchKey> {
    Some(match name {
        "ALL" => SearchKey::All,
        "ANSWERED" => SearchKey::Flag(SystemFlags::ANSWERED),
        "DELETED" => SearchKey::Flag(SystemFlags::DELETED),
        "DRAFT" => SearchKey::Flag(SystemFlags::DRAFT),
        "FLAGGED" => SearchKey::Flag(SystemFlags::FLAGGED),
        "SEEN" => SearchKey::Flag(SystemFlags::SEEN),
        "UNANSWERED" => SearchKey::NotFlag(SystemFlags::ANSWERED),
        "UNDELETED" => SearchKey::NotFlag(SystemFlags::DELETED),
        "UNDRAFT" => SearchKey::NotFlag(SystemFlags::DRAFT),
        "UNFLAGGED" => SearchKey::NotFlag(SystemFlags::FLAGGED),
        "UNSEEN" => SearchKey::NotFlag(SystemFlags::SEEN),
        "RECENT" => SearchKey::Recent,
        "NEW" => SearchKey::New,
        "OLD" => SearchKey::Old,
        "SAVEDATESUPPORTED" => SearchKey::SaveDateSupported,
        _ => return None,
    })
}

/// Keys that take something.
fn key_with_argument(
    name: &str,
    depth: usize,
    left: &mut usize,
    input: &mut &[u8],
) -> Parsed<SearchKey> {
    let text = |input: &mut &[u8]| preceded(sp, expect("a text", astring)).parse_next(input);
    let day = |input: &mut &[u8]| preceded(sp, expect("a date", date)).parse_next(input);
    let octets = |input: &mut &[u8]| preceded(sp, expect("a number", number64)).parse_next(input);
    let seconds = |input: &mut &[u8]| preceded(sp, expect("a number", nz_number)).parse_next(input);
    let id = |input: &mut &[u8]| preceded(sp, expect("an object id", atom)).parse_next(input);
    let keyword =
        |input: &mut &[u8]| preceded(sp, expect("a keyword", flag_keyword)).parse_next(input);
    let mut key = |input: &mut &[u8]| {
        let key = |input: &mut &[u8]| search_key(depth + 1, left, input);
        preceded(sp, expect("a search key", key))
            .map(Box::new)
            .parse_next(input)
    };
    Ok(match name {
        "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => {
            SearchKey::Header(name.to_owned(), text(input)?)
        }
        "HEADER" => {
            let field =
                preceded(sp, expect("the name of a field", ascii_astring)).parse_next(input)?;
            SearchKey::Header(field, text(input)?)
        }
        "BODY" => SearchKey::Body(text(input)?),
        "TEXT" => SearchKey::Text(text(input)?),
        "BEFORE" => SearchKey::Before(DateField::Internal, day(input)?),
        "ON" => SearchKey::On(DateField::Internal, day(input)?),
        "SINCE" => SearchKey::Since(DateField::Internal, day(input)?),
        "SENTBEFORE" => SearchKey::Before(DateField::Sent, day(input)?),
        "SENTON" => SearchKey::On(DateField::Sent, day(input)?),
        "SENTSINCE" => SearchKey::Since(DateField::Sent, day(input)?),
        "SAVEDBEFORE" => SearchKey::Before(DateField::Saved, day(input)?),
        "SAVEDON" => SearchKey::On(DateField::Saved, day(input)?),
        "SAVEDSINCE" => SearchKey::Since(DateField::Saved, day(input)?),
        "OLDER" => SearchKey::Older(seconds(input)?),
        "YOUNGER" => SearchKey::Younger(seconds(input)?),
        "LARGER" => SearchKey::Larger(octets(input)?),
        "SMALLER" => SearchKey::Smaller(octets(input)?),
        "KEYWORD" => SearchKey::Keyword(keyword(input)?),
        "UNKEYWORD" => SearchKey::NotKeyword(keyword(input)?),
        "UID" => {
            SearchKey::Uid(preceded(sp, expect("a set of UIDs", sequence_set)).parse_next(input)?)
        }
        "MODSEQ" => SearchKey::ModSeq(modseq(input)?),
        "EMAILID" => SearchKey::EmailId(id(input)?),
        "THREADID" => SearchKey::ThreadId(id(input)?),
        "NOT" => SearchKey::Not(key(input)?),
        "FUZZY" => SearchKey::Fuzzy(key(input)?),
        "OR" => SearchKey::Or(any_of(depth, left, input)?),
        _ => return Err(bad(format!("unknown search key {name}"))),
    })
}

/// `SP search-key SP search-key`, from behind OR. IMAP's OR takes two, so clients say `OR a OR b OR c d` or `OR OR OR a b c d` for one of
/// many: an OR in an OR is no level more.
fn any_of(depth: usize, left: &mut usize, input: &mut &[u8]) -> Parsed<Vec<SearchKey>> {
    let mut any = Vec::new();
    let mut missing = 2_usize;
    while missing > 0 {
        let or = (b' ', keyword("OR"), peek(b' ')).void();
        if opt(or).parse_next(input)?.is_some() {
            *left = left.checked_sub(1).ok_or_else(too_many)?;
            missing += 1;
        } else {
            let key = |input: &mut &[u8]| search_key(depth + 1, left, input);
            any.push(preceded(sp, expect("a search key", key)).parse_next(input)?);
            missing -= 1;
        }
    }
    Ok(any)
}

/// `[SP entry-name SP entry-type-req] SP mod-sequence-valzer`
fn modseq(input: &mut &[u8]) -> Parsed<u64> {
    let entry = (b' ', quoted, sp, expect("all, priv or shared", entry_type));
    opt(entry).parse_next(input)?;
    preceded(sp, expect("a modseq", number64)).parse_next(input)
}

/// `entry-type-req = "priv" / "shared" / "all"`
fn entry_type(input: &mut &[u8]) -> Parsed<()> {
    alt((keyword("ALL"), keyword("PRIV"), keyword("SHARED"))).parse_next(input)
}
