//! SELECT and EXAMINE (RFC 3501, 6.3.1 and 6.3.2; CONDSTORE and QRESYNC of RFC 7162, 3.1.8 and 3.2.5).

use crate::imap::ast::{Select, SelectMode};
use crate::imap::command::mailbox_objectid;
use crate::imap::completion::{Completion, Outcome, missing};
use crate::imap::out::Out;
use crate::imap::reply::{self, Code};
use crate::imap::resync;
use crate::imap::selected::Selected;
use crate::imap::session::Session;

pub(super) async fn run(session: &mut Session, select: Select, out: &mut Out<'_>) -> Outcome {
    let account = session.account()?;
    if select.qresync.is_some() && !session.qresync {
        return Ok(Completion::bad("QRESYNC is not enabled"));
    }
    // Even a SELECT that fails leaves nothing selected (RFC 3501, 6.3.1).
    if session.selected.take().is_some() {
        Completion::ok("The previous mailbox is closed")
            .with(Code::Closed)
            .untagged(out.buffer());
    }
    let read_only = select.mode == SelectMode::ReadOnly;
    let view = session
        .ctx
        .engine
        .select(account, &select.mailbox, !read_only)
        .map_err(missing(&select.mailbox))?;
    session.condstore |= select.condstore;

    let selected = Selected::new(view, read_only);
    let status = selected.view.status().clone();
    selected.tell_keywords(out.buffer());
    reply::exists(out.buffer(), selected.view.uids().len());
    reply::recent(out.buffer(), selected.view.recent().len());
    let unseen = selected
        .view
        .first_unseen()?
        .and_then(|uid| selected.sequence(uid));
    let codes = [
        (unseen.map(Code::Unseen), "The first message without \\Seen"),
        (
            Some(Code::UidValidity(status.uid_validity)),
            "UIDs are valid",
        ),
        (Some(Code::UidNext(status.uid_next)), "The next UID"),
        (
            Some(Code::HighestModSeq(status.highest_modseq)),
            "The highest modseq",
        ),
        (
            Some(Code::MailboxId(mailbox_objectid(account, status.id))),
            "The mailbox's id",
        ),
    ];
    for (code, text) in codes {
        if let Some(code) = code {
            Completion::ok(text).with(code).untagged(out.buffer());
        }
    }
    if let Some(known) = &select.qresync {
        resync::tell(&selected, known, out).await?;
    }
    session.selected = Some(selected);
    Ok(match select.mode {
        SelectMode::ReadWrite => Completion::ok("Select completed").with(Code::ReadWrite),
        SelectMode::ReadOnly => Completion::ok("Examine completed").with(Code::ReadOnly),
    })
}
