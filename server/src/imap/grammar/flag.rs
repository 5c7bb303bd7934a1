//! Flags in commands (RFC 3501, 9: flag-list, store-att-flags).

use winnow::Parser;
use winnow::combinator::alt;
use winnow::token::take_while;

use coldpost_engine::flags::{Flags, SystemFlags};
use coldpost_engine::limits::KEYWORD_LENGTH_MAX;

use super::error::{Parsed, bad, no};
use super::token::{atom, is_astring_char, list, spaced};
use crate::imap::reply::Code;
use crate::limits::IMAP_FLAGS_MAX;

/// A flag as one of its two kinds.
enum Flag {
    System(SystemFlags),
    Keyword(String),
}

/// `flag-list = "(" [flag *(SP flag)] ")"`
pub(super) fn flag_list(input: &mut &[u8]) -> Parsed<Flags> {
    list(IMAP_FLAGS_MAX, flag).map(collect).parse_next(input)
}

/// `flag-list / (flag *(SP flag))`
pub(super) fn flag_list_or_flags(input: &mut &[u8]) -> Parsed<Flags> {
    alt((flag_list, spaced(IMAP_FLAGS_MAX, flag).map(collect))).parse_next(input)
}

/// `flag = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword`. \Recent cannot be set and other names with a
/// backslash mean nothing here.
fn flag(input: &mut &[u8]) -> Parsed<Flag> {
    if input.first() != Some(&b'\\') {
        return flag_keyword.map(Flag::Keyword).parse_next(input);
    }
    b'\\'.parse_next(input)?;
    let name = atom(input)?;
    Ok(Flag::System(match name.to_ascii_uppercase().as_str() {
        "ANSWERED" => SystemFlags::ANSWERED,
        "FLAGGED" => SystemFlags::FLAGGED,
        "DELETED" => SystemFlags::DELETED,
        "SEEN" => SystemFlags::SEEN,
        "DRAFT" => SystemFlags::DRAFT,
        _ => return Err(bad(format!("\\{name} is no flag that can be set"))),
    }))
}

/// `flag-keyword = atom`; one with `]`, which no atom has but clients send, gets a NO and not a BAD.
pub(super) fn flag_keyword(input: &mut &[u8]) -> Parsed<String> {
    let keyword: &[u8] = take_while(1.., is_astring_char).parse_next(input)?;
    let keyword: String = keyword.iter().copied().map(char::from).collect();
    if keyword.contains(']') {
        return Err(no(Code::Cannot, "a keyword cannot hold ]"));
    }
    if keyword.len() > KEYWORD_LENGTH_MAX {
        let text = format!("a keyword has at most {KEYWORD_LENGTH_MAX} characters");
        return Err(no(Code::Limit, text));
    }
    Ok(keyword)
}

/// Without duplicates; the first spelling of a keyword stays.
fn collect(flags: Vec<Flag>) -> Flags {
    let mut all = Flags::default();
    for flag in flags {
        match flag {
            Flag::System(flag) => all.system = all.system.union(flag),
            Flag::Keyword(name) => {
                if !all.keywords.iter().any(|k| k.eq_ignore_ascii_case(&name)) {
                    all.keywords.insert(name);
                }
            }
        }
    }
    all
}
