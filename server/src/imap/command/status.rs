//! STATUS (RFC 3501, 6.3.10) with the items of RFC 7162, 7889, 8438, 8474 and 9051.

use coldpost_engine::ids::AccountRef;

use crate::imap::ast::StatusItem;
use crate::imap::command::mailbox_objectid;
use crate::imap::completion::{Completion, Outcome, missing};
use crate::imap::out::Out;
use crate::imap::reply::{self, StatusValue};
use crate::imap::session::Session;

pub(super) async fn run(
    session: &mut Session,
    mailbox: &str,
    items: &[StatusItem],
    out: &mut Out<'_>,
) -> Outcome {
    let account = session.account()?;
    if items.contains(&StatusItem::HighestModSeq) {
        session.enable_condstore(out.buffer());
    }
    tell(session, account, mailbox, items, out.buffer()).map_err(missing(mailbox))?;
    Ok(Completion::ok("Status completed"))
}

/// Writes the untagged STATUS of a mailbox; LIST sends it too (RFC 5819).
///
/// # Errors
/// The engine's; `NotFound` when the mailbox is not there.
pub(super) fn tell(
    session: &Session,
    account: AccountRef,
    mailbox: &str,
    items: &[StatusItem],
    buffer: &mut Vec<u8>,
) -> coldpost_engine::Result<()> {
    use StatusValue::{Id, Number};
    let status = session.ctx.engine.status(account, mailbox)?;
    let recent = if items.contains(&StatusItem::Recent) {
        session.ctx.engine.recent(account, status.id)?
    } else {
        0
    };
    let value = |item: StatusItem| match item {
        StatusItem::Messages => Number(status.exists.into()),
        StatusItem::Recent => Number(recent.into()),
        StatusItem::UidNext => Number(status.uid_next.into()),
        StatusItem::UidValidity => Number(status.uid_validity.into()),
        StatusItem::Unseen => Number(status.unseen.into()),
        StatusItem::Deleted => Number(status.deleted.into()),
        StatusItem::Size => Number(status.size),
        StatusItem::HighestModSeq => Number(status.highest_modseq),
        StatusItem::MailboxId => Id(mailbox_objectid(account, status.id)),
        StatusItem::AppendLimit => Number(session.ctx.settings.max_message),
    };
    let values: Vec<(StatusItem, StatusValue)> =
        items.iter().map(|item| (*item, value(*item))).collect();
    reply::status(buffer, mailbox, &values);
    Ok(())
}
