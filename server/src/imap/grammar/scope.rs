//! Where ESEARCH searches (RFC 7377, 2.2; RFC 5465, 6).

use winnow::Parser;
use winnow::combinator::{alt, opt, preceded};

use super::error::{Parsed, bad, expect};
use super::mailbox::{mailbox, mailbox_name};
use super::token::{keyword, list1, sp, spaced, word};
use crate::imap::ast::Source;
use crate::limits::IMAP_LIST_ITEMS_MAX;

/// `esearch-source-opts = "IN" SP "(" source-mbox [SP "(" scope-options ")"] ")"`; no scope option is known.
pub(super) fn source_opts(input: &mut &[u8]) -> Parsed<Vec<Source>> {
    (keyword("IN"), sp).parse_next(input)?;
    expect("mailboxes in parentheses", |input: &mut &[u8]| {
        b'('.void().parse_next(input)
    })
    .parse_next(input)?;
    let sources = expect("where to search", spaced(IMAP_LIST_ITEMS_MAX, source));
    let sources = { sources }.parse_next(input)?;
    expect("a closing parenthesis", |input: &mut &[u8]| {
        (opt(b' '), b')').void().parse_next(input)
    })
    .parse_next(input)?;
    Ok(sources)
}

/// `filter-mailboxes`
fn source(input: &mut &[u8]) -> Parsed<Source> {
    let name = word(input)?;
    Ok(match name.as_str() {
        "SELECTED" => Source::Selected,
        "INBOXES" => Source::Inboxes,
        "PERSONAL" => Source::Personal,
        "SUBSCRIBED" => Source::Subscribed,
        "SUBTREE" => Source::Subtree(names(input)?),
        "SUBTREE-ONE" => Source::SubtreeOne(names(input)?),
        "MAILBOXES" => Source::Mailboxes(names(input)?),
        "SELECTED-DELAYED" => return Err(bad("SELECTED-DELAYED is for NOTIFY")),
        _ => return Err(bad(format!("unknown place to search {name}"))),
    })
}

/// `SP one-or-more-mailbox`, `one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")"`
fn names(input: &mut &[u8]) -> Parsed<Vec<String>> {
    let many = preceded(b' ', list1(IMAP_LIST_ITEMS_MAX, mailbox_name));
    alt((many, mailbox.map(|name| vec![name]))).parse_next(input)
}
