//! The other commands about messages: APPEND, STORE, COPY, MOVE, EXPUNGE (RFC 3501, 6.3.11 and 6.4; RFC 6851; RFC 7162).

use winnow::Parser;
use winnow::ascii::Caseless;
use winnow::combinator::{alt, delimited, opt, preceded};

use coldpost_engine::flags::FlagAction;
use coldpost_engine::ids::ModSeq;

use super::date::date_time;
use super::error::{Parsed, expect};
use super::flag::{flag_list, flag_list_or_flags};
use super::mailbox::mailbox;
use super::set::sequence_set;
use super::token::{keyword, literal_marker, number64, sp};
use crate::imap::ast::{Append, AppendMessage, CommandBody, Numbers, SequenceSet, Store, Transfer};

/// `append = "APPEND" SP mailbox 1*append-message` up to the octets of the first message, from behind its name.
pub(super) fn append(input: &mut &[u8]) -> Parsed<CommandBody> {
    let (mailbox, message) = (mailbox, append_message).parse_next(input)?;
    Ok(CommandBody::Append(Append {
        mailbox,
        messages: vec![message],
    }))
}

/// `append-message = [SP flag-list] [SP date-time] SP (literal / literal8)` up to the octets (RFC 3502, RFC 3516)
pub(super) fn append_message(input: &mut &[u8]) -> Parsed<AppendMessage> {
    let flags = opt(preceded(b' ', flag_list)).parse_next(input)?;
    let internal_date = opt(preceded(b' ', date_time)).parse_next(input)?;
    sp(input)?;
    let binary = opt(b'~').parse_next(input)?.is_some();
    let size = expect("the literal of a message", literal_marker).parse_next(input)?;
    Ok(AppendMessage {
        flags: flags.unwrap_or_default(),
        internal_date,
        size,
        binary,
    })
}

/// `SP sequence-set`
fn set(input: &mut &[u8]) -> Parsed<SequenceSet> {
    preceded(sp, expect("a set of messages", sequence_set)).parse_next(input)
}

/// `store = "STORE" SP sequence-set [SP store-modifiers] SP store-att-flags`, from behind its name.
pub(super) fn store(numbers: Numbers) -> impl FnMut(&mut &[u8]) -> Parsed<CommandBody> {
    move |input| {
        let set = set(input)?;
        let unchanged_since = opt(preceded(b' ', store_modifiers)).parse_next(input)?;
        let (_, (action, silent), _) =
            (sp, expect("FLAGS, +FLAGS or -FLAGS", store_att), sp).parse_next(input)?;
        let flags = expect("flags", flag_list_or_flags).parse_next(input)?;
        Ok(CommandBody::Store(Store {
            numbers,
            set,
            unchanged_since,
            action,
            silent,
            flags,
        }))
    }
}

/// `store-modifiers = "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"` (RFC 7162)
fn store_modifiers(input: &mut &[u8]) -> Parsed<ModSeq> {
    let modifier = preceded((Caseless("UNCHANGEDSINCE"), sp), number64);
    delimited(b'(', modifier, b')').parse_next(input)
}

/// `["+" / "-"] "FLAGS" [".SILENT"]`
fn store_att(input: &mut &[u8]) -> Parsed<(FlagAction, bool)> {
    let action = alt((
        b'+'.value(FlagAction::Add),
        b'-'.value(FlagAction::Remove),
        b"".value(FlagAction::Replace),
    ))
    .parse_next(input)?;
    let silent = alt((
        keyword("FLAGS.SILENT").value(true),
        keyword("FLAGS").value(false),
    ))
    .parse_next(input)?;
    Ok((action, silent))
}

/// `SP sequence-set SP mailbox`: what follows COPY and MOVE.
pub(super) fn transfer(numbers: Numbers) -> impl FnMut(&mut &[u8]) -> Parsed<Transfer> {
    move |input| {
        let (set, mailbox) = (set, mailbox).parse_next(input)?;
        Ok(Transfer {
            numbers,
            set,
            mailbox,
        })
    }
}

/// `uid-expunge = "UID" SP "EXPUNGE" SP sequence-set` (RFC 4315), from behind its name.
pub(super) fn uid_expunge(input: &mut &[u8]) -> Parsed<CommandBody> {
    set.map(|set| CommandBody::Expunge(Some(set)))
        .parse_next(input)
}
