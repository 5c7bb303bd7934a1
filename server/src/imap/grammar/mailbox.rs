//! Commands about mailboxes (RFC 3501, 6.3), and the names they take.

use winnow::Parser;
use winnow::combinator::{alt, opt, preceded};
use winnow::error::ErrMode;
use winnow::token::take_while;

use coldpost_engine::limits::MAILBOX_NAME_MAX;
use coldpost_engine::view::SpecialUse;

use super::error::{Parsed, Wrong, bad, expect, no};
use super::set::known_set;
use super::token::{
    astring, is_astring_char, keyword, list, list1, number64, nz_number, sp, string, word,
};
use crate::imap::ast::{CommandBody, QResync, Select, SelectMode, StatusItem};
use crate::imap::mutf7::{self, Malformed};
use crate::imap::reply::Code;
use crate::limits::IMAP_LIST_ITEMS_MAX;

/// `mailbox = "INBOX" / astring`, with the space before it. INBOX in any case is `INBOX`, also as the first level of a name.
pub(super) fn mailbox(input: &mut &[u8]) -> Parsed<String> {
    preceded(sp, mailbox_name).parse_next(input)
}

/// The same without the space.
pub(super) fn mailbox_name(input: &mut &[u8]) -> Parsed<String> {
    let wire = expect("a mailbox name", astring).parse_next(input)?;
    let mut name = decoded(&wire)?;
    let inbox = name
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("INBOX"));
    if inbox && name.as_bytes().get(5).is_none_or(|&b| b == b'/') {
        name.replace_range(..5, "INBOX");
    }
    Ok(name)
}

/// A name off the wire.
pub(super) fn decoded(wire: &[u8]) -> Parsed<String> {
    bounded(mutf7::decode(wire).map_err(|malformed| match malformed {
        Malformed::EightBit => eight_bit(),
        Malformed::Encoding => no(Code::Cannot, "the mailbox name is not valid modified UTF-7"),
    })?)
}

/// A pattern off the wire: one that is no modified UTF-7 is no error, it stands for itself (a wild card may be in the middle of a code).
fn decoded_pattern(wire: &[u8]) -> Parsed<String> {
    bounded(match mutf7::decode(wire) {
        Ok(pattern) => pattern,
        Err(Malformed::EightBit) => return Err(eight_bit()),
        Err(Malformed::Encoding) => String::from_utf8_lossy(wire).into_owned(),
    })
}

fn bounded(name: String) -> Parsed<String> {
    if name.len() > MAILBOX_NAME_MAX {
        let text = format!("a mailbox name has at most {MAILBOX_NAME_MAX} bytes");
        return Err(no(Code::Limit, text));
    }
    Ok(name)
}

fn eight_bit() -> ErrMode<Wrong> {
    bad("8-bit mailbox names are not allowed: encode them in modified UTF-7")
}

/// `list-mailbox = 1*list-char / string`
pub(super) fn list_mailbox(input: &mut &[u8]) -> Parsed<String> {
    let is_list_char = |b| is_astring_char(b) || matches!(b, b'%' | b'*');
    let pattern = |input: &mut &[u8]| {
        let chars = take_while(1.., is_list_char).map(<[u8]>::to_vec);
        alt((chars, string)).parse_next(input)
    };
    decoded_pattern(&expect("a pattern", pattern).parse_next(input)?)
}

/// `lsub = "LSUB" SP mailbox SP list-mailbox`, from behind its name.
pub(super) fn lsub(input: &mut &[u8]) -> Parsed<CommandBody> {
    let (reference, _, pattern) = (mailbox, sp, list_mailbox).parse_next(input)?;
    Ok(CommandBody::Lsub { reference, pattern })
}

/// `select = "SELECT" SP mailbox [select-params]` (RFC 4466), `examine` alike, from behind the name.
pub(super) fn select(mode: SelectMode) -> impl FnMut(&mut &[u8]) -> Parsed<CommandBody> {
    move |input| {
        let mut select = Select {
            mode,
            mailbox: mailbox(input)?,
            condstore: false,
            qresync: None,
        };
        let params = opt(preceded(b' ', list1(2, select_param))).parse_next(input)?;
        for param in params.unwrap_or_default() {
            match param {
                SelectParam::CondStore => select.condstore = true,
                SelectParam::QResync(known) => select.qresync = Some(known),
            }
        }
        Ok(CommandBody::Select(select))
    }
}

enum SelectParam {
    CondStore,
    QResync(QResync),
}

/// `select-param = "CONDSTORE" / "QRESYNC" SP "(" … ")"` (RFC 7162, 7)
fn select_param(input: &mut &[u8]) -> Parsed<SelectParam> {
    match expect("CONDSTORE or QRESYNC", word)
        .parse_next(input)?
        .as_str()
    {
        "CONDSTORE" => Ok(SelectParam::CondStore),
        "QRESYNC" => preceded(sp, qresync)
            .map(SelectParam::QResync)
            .parse_next(input),
        other => Err(bad(format!("unknown parameter {other}"))),
    }
}

/// `"(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"`
fn qresync(input: &mut &[u8]) -> Parsed<QResync> {
    let (_, uid_validity, _, modseq) = (b'(', nz_number, b' ', number64).parse_next(input)?;
    let known_uids = opt(preceded(b' ', known_set)).parse_next(input)?;
    let match_data =
        (b'(', known_set, b' ', known_set, b')').map(|(_, numbers, _, uids, _)| (numbers, uids));
    let match_data = opt(preceded(b' ', match_data)).parse_next(input)?;
    if match_data
        .as_ref()
        .is_some_and(|(numbers, uids)| numbers.len() != uids.len())
    {
        return Err(bad(
            "the sets of sequence numbers and UIDs have not the same length",
        ));
    }
    b')'.parse_next(input)?;
    Ok(QResync {
        uid_validity,
        modseq,
        known_uids,
        match_data,
    })
}

/// `create = "CREATE" SP mailbox [SP "(" "USE" SP "(" … ")" ")"]` (RFC 6154), from behind its name.
pub(super) fn create(input: &mut &[u8]) -> Parsed<CommandBody> {
    let mailbox = mailbox(input)?;
    let special_use = |input: &mut &[u8]| {
        (b" (", keyword("USE"), sp).parse_next(input)?;
        let uses = list(7, use_attr).parse_next(input)?;
        b')'.parse_next(input)?;
        Ok(uses)
    };
    let special_use = opt(special_use).parse_next(input)?.unwrap_or_default();
    Ok(CommandBody::Create {
        mailbox,
        special_use,
    })
}

/// `use-attr = "\All" / "\Archive" / …`
fn use_attr(input: &mut &[u8]) -> Parsed<SpecialUse> {
    let name = preceded(b'\\', word).parse_next(input)?;
    Ok(match name.as_str() {
        "ALL" => SpecialUse::All,
        "ARCHIVE" => SpecialUse::Archive,
        "DRAFTS" => SpecialUse::Drafts,
        "FLAGGED" => SpecialUse::Flagged,
        "JUNK" => SpecialUse::Junk,
        "SENT" => SpecialUse::Sent,
        "TRASH" => SpecialUse::Trash,
        _ => return Err(no(Code::UseAttr, format!("\\{name} is no special use"))),
    })
}

/// `rename = "RENAME" SP mailbox SP mailbox`, from behind its name.
pub(super) fn rename(input: &mut &[u8]) -> Parsed<CommandBody> {
    let (from, to) = (mailbox, mailbox).parse_next(input)?;
    Ok(CommandBody::Rename { from, to })
}

/// `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"`, from behind its name.
pub(super) fn status(input: &mut &[u8]) -> Parsed<CommandBody> {
    let (mailbox, _, items) = (mailbox, sp, status_items).parse_next(input)?;
    Ok(CommandBody::Status { mailbox, items })
}

/// `"(" status-att *(SP status-att) ")"`; duplicates are dropped.
pub(super) fn status_items(input: &mut &[u8]) -> Parsed<Vec<StatusItem>> {
    let items = expect(
        "a list of status items",
        list1(IMAP_LIST_ITEMS_MAX, status_att),
    )
    .parse_next(input)?;
    let mut once = Vec::new();
    for item in items {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    Ok(once)
}

/// `status-att = "MESSAGES" / "RECENT" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN"` and those of the extensions.
fn status_att(input: &mut &[u8]) -> Parsed<StatusItem> {
    let name = word(input)?;
    Ok(match name.as_str() {
        "MESSAGES" => StatusItem::Messages,
        "RECENT" => StatusItem::Recent,
        "UIDNEXT" => StatusItem::UidNext,
        "UIDVALIDITY" => StatusItem::UidValidity,
        "UNSEEN" => StatusItem::Unseen,
        "DELETED" => StatusItem::Deleted,
        "SIZE" => StatusItem::Size,
        "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
        "MAILBOXID" => StatusItem::MailboxId,
        "APPENDLIMIT" => StatusItem::AppendLimit,
        _ => return Err(bad(format!("unknown status item {name}"))),
    })
}
