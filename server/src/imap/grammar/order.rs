//! SORT and THREAD (RFC 5256; RFC 5957; RETURN of RFC 5267).

use winnow::Parser;
use winnow::combinator::{opt, preceded};

use coldpost_engine::order::{Algorithm, SortBy, SortKey};

use super::error::{Parsed, bad, expect};
use super::search::{all_keys, search_return_opts};
use super::token::{ascii_astring, list1, sp, word};
use crate::imap::ast::{CommandBody, Numbers, Search, SearchReturn, Sort, Thread};
use crate::limits::IMAP_LIST_ITEMS_MAX;

/// `sort = "SORT" [SP search-return-opts] SP sort-criteria SP search-criteria`, from behind its name.
pub(super) fn sort(numbers: Numbers) -> impl FnMut(&mut &[u8]) -> Parsed<CommandBody> {
    move |input| {
        let returns = opt(preceded(b' ', search_return_opts)).parse_next(input)?;
        sp(input)?;
        let keys = list1(IMAP_LIST_ITEMS_MAX, sort_criterion);
        let asked = expect("sort keys in parentheses", keys).parse_next(input)?;
        let mut by: Vec<SortBy> = Vec::new();
        // Asked for again, a key tells nothing more.
        for one in asked {
            if by.iter().all(|other| other.key != one.key) {
                by.push(one);
            }
        }
        let search = search_criteria(numbers, returns, input)?;
        Ok(CommandBody::Sort(Sort { by, search }))
    }
}

/// `thread = "THREAD" SP thread-alg SP search-criteria`, from behind its name.
pub(super) fn thread(numbers: Numbers) -> impl FnMut(&mut &[u8]) -> Parsed<CommandBody> {
    move |input| {
        sp(input)?;
        let name = expect("how to thread", word).parse_next(input)?;
        let algorithm = match name.as_str() {
            "ORDEREDSUBJECT" => Algorithm::OrderedSubject,
            "REFERENCES" => Algorithm::References,
            "REFS" => Algorithm::Refs,
            _ => return Err(bad(format!("unknown way to thread {name}"))),
        };
        let search = search_criteria(numbers, None, input)?;
        Ok(CommandBody::Thread(Thread { algorithm, search }))
    }
}

/// `SP search-criteria`, `search-criteria = charset 1*(SP search-key)`
fn search_criteria(
    numbers: Numbers,
    returns: Option<SearchReturn>,
    input: &mut &[u8],
) -> Parsed<Search> {
    let charset = preceded(sp, expect("a charset", ascii_astring)).parse_next(input)?;
    Ok(Search {
        numbers,
        returns,
        charset: Some(charset),
        keys: all_keys(input)?,
    })
}

/// `sort-criterion = ["REVERSE" SP] sort-key`
fn sort_criterion(input: &mut &[u8]) -> Parsed<SortBy> {
    let mut name = word(input)?;
    let reverse = name == "REVERSE";
    if reverse {
        name = preceded(sp, expect("a sort key", word)).parse_next(input)?;
    }
    let key = match name.as_str() {
        "ARRIVAL" => SortKey::Arrival,
        "CC" => SortKey::Cc,
        "DATE" => SortKey::Date,
        "FROM" => SortKey::From,
        "SIZE" => SortKey::Size,
        "SUBJECT" => SortKey::Subject,
        "TO" => SortKey::To,
        "DISPLAYFROM" => SortKey::DisplayFrom,
        "DISPLAYTO" => SortKey::DisplayTo,
        "RELEVANCY" => SortKey::Relevancy,
        _ => return Err(bad(format!("unknown sort key {name}"))),
    };
    Ok(SortBy { key, reverse })
}
