//! CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE (RFC 3501, 6.3.3 to 6.3.7).

use coldpost_engine::Kind;
use coldpost_engine::view::{MailboxInfo, SpecialUse};

use crate::imap::command::mailbox_objectid;
use crate::imap::completion::{Completion, Outcome};
use crate::imap::pattern::SEPARATOR;
use crate::imap::reply::Code;
use crate::imap::session::Session;

/// CREATE. A separator at the end only says that names below are to come (RFC 3501, 6.3.3).
pub(super) async fn create(session: &mut Session, mailbox: &str, uses: &[SpecialUse]) -> Outcome {
    let name = mailbox.strip_suffix(SEPARATOR).unwrap_or(mailbox);
    let special_use = match uses {
        [] => None,
        [one] => Some(*one),
        _ => {
            return Ok(Completion::no(
                Code::UseAttr,
                "A mailbox has one special use",
            ));
        }
    };
    let account = session.account()?;
    let id = session
        .ctx
        .engine
        .create(account, name, special_use)
        .await?;
    let id = mailbox_objectid(account, id);
    Ok(Completion::ok("Create completed").with(Code::MailboxId(id)))
}

/// DELETE. A session that has it selected itself has nothing selected afterwards; others end (RFC 2180, 3.3).
pub(super) async fn delete(session: &mut Session, mailbox: &str) -> Outcome {
    let account = session.account()?;
    let id = session
        .ctx
        .engine
        .status(account, mailbox)
        .ok()
        .map(|status| status.id);
    if let Err(error) = session.ctx.engine.delete(account, mailbox).await {
        let parent =
            |info: &MailboxInfo| info.name == mailbox && info.id.is_none() && info.has_children;
        if error.kind() == Kind::Invalid
            && session.ctx.engine.mailboxes(account)?.iter().any(parent)
        {
            let text = "It is no mailbox, only the parent of others (RFC 9051, 6.3.5)";
            return Ok(Completion::no(Code::HasChildren, text));
        }
        return Err(error.into());
    }
    if session
        .selected
        .as_ref()
        .is_some_and(|selected| Some(selected.view.mailbox()) == id)
    {
        session.selected = None;
    }
    Ok(Completion::ok("Delete completed"))
}

/// RENAME.
pub(super) async fn rename(session: &mut Session, from: &str, to: &str) -> Outcome {
    session
        .ctx
        .engine
        .rename(session.account()?, from, to)
        .await?;
    Ok(Completion::ok("Rename completed"))
}

/// SUBSCRIBE (`on`) and UNSUBSCRIBE.
pub(super) async fn subscribe(session: &mut Session, mailbox: &str, on: bool) -> Outcome {
    session
        .ctx
        .engine
        .subscribe(session.account()?, mailbox, on)
        .await?;
    Ok(Completion::ok(if on {
        "Subscribe completed"
    } else {
        "Unsubscribe completed"
    }))
}
