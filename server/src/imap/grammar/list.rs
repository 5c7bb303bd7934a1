//! LIST, basic and extended (RFC 3501, 6.3.8; RFC 5258; RFC 5819; RFC 6154).

use winnow::Parser;
use winnow::combinator::{alt, opt, preceded};

use super::error::{Parsed, bad};
use super::mailbox::{list_mailbox, mailbox, status_items};
use super::token::{keyword, list, list1, sp, word};
use crate::imap::ast::{CommandBody, List, ListReturn, ListSelect};
use crate::limits::IMAP_LIST_ITEMS_MAX;

/// `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]`, from behind its name.
pub(super) fn list_command(input: &mut &[u8]) -> Parsed<CommandBody> {
    let select = opt(preceded(b' ', list_select_opts)).parse_next(input)?;
    let (reference, _, (patterns, several)) = (mailbox, sp, mbox_or_pat).parse_next(input)?;
    let returns = opt(preceded(b' ', list_return_opts)).parse_next(input)?;
    Ok(CommandBody::List(List {
        reference,
        patterns,
        extended: select.is_some() || several || returns.is_some(),
        select: select.unwrap_or_default(),
        returns: returns.unwrap_or_default(),
    }))
}

/// `mbox-or-pat = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")"`, and whether it was the second.
fn mbox_or_pat(input: &mut &[u8]) -> Parsed<(Vec<String>, bool)> {
    alt((
        list1(IMAP_LIST_ITEMS_MAX, list_mailbox).map(|patterns| (patterns, true)),
        list_mailbox.map(|pattern| (vec![pattern], false)),
    ))
    .parse_next(input)
}

/// `list-select-opts = "(" [list-select-opt *(SP list-select-opt)] ")"`
fn list_select_opts(input: &mut &[u8]) -> Parsed<ListSelect> {
    let mut select = ListSelect::default();
    for name in list(IMAP_LIST_ITEMS_MAX, word).parse_next(input)? {
        match name.as_str() {
            "SUBSCRIBED" => select.subscribed = true,
            "REMOTE" => select.remote = true,
            "RECURSIVEMATCH" => select.recursive_match = true,
            "SPECIAL-USE" => select.special_use = true,
            _ => return Err(bad(format!("unknown selection option {name}"))),
        }
    }
    // SPECIAL-USE is no list-select-base-opt (RFC 6154, 6): nothing says that a child of a parent has one.
    if select.recursive_match && !select.subscribed {
        return Err(bad("RECURSIVEMATCH needs SUBSCRIBED beside it"));
    }
    Ok(select)
}

/// `list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"`
fn list_return_opts(input: &mut &[u8]) -> Parsed<ListReturn> {
    (keyword("RETURN"), sp).parse_next(input)?;
    let mut returns = ListReturn::default();
    let option = |input: &mut &[u8]| {
        let name = word(input)?;
        match name.as_str() {
            "SUBSCRIBED" => returns.subscribed = true,
            "CHILDREN" => returns.children = true,
            "SPECIAL-USE" => returns.special_use = true,
            "STATUS" => returns.status = Some(preceded(sp, status_items).parse_next(input)?),
            _ => return Err(bad(format!("unknown return option {name}"))),
        }
        Ok(())
    };
    list(IMAP_LIST_ITEMS_MAX, option).parse_next(input)?;
    Ok(returns)
}
