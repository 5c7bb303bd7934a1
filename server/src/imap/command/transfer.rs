//! COPY (RFC 3501, 6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315).

use coldpost_engine::uidset::UidSet;
use coldpost_engine::write::Copied;

use crate::imap::ast::{Numbers, Transfer};
use coldpost_engine::{Error, Kind};

use crate::imap::completion::{Completion, Failure, Outcome, target_failure};
use crate::imap::out::Out;
use crate::imap::reply::Code;
use crate::imap::session::Session;

pub(super) async fn copy(session: &mut Session, transfer: Transfer) -> Outcome {
    let account = session.account()?;
    let selected = session.selected()?;
    let uids = selected.resolve(&transfer.set, transfer.numbers)?;
    let gone = selected.gone(&uids)?;
    if transfer.numbers == Numbers::Sequence && !gone.is_empty() {
        // All or nothing (RFC 2180, 4.4.2).
        return Ok(some_were_gone());
    }
    let uids = uids.difference(&gone);
    if uids.is_empty() {
        return still_there(session, &transfer.mailbox)
            .map(|()| Completion::ok("No message to copy"));
    }
    let from = selected.view.mailbox();
    let copied = session
        .ctx
        .engine
        .copy(account, from, &uids, &transfer.mailbox)
        .await
        .map_err(|error| failure(session, &transfer.mailbox, error))?;
    let completion = Completion::ok("Copy completed");
    Ok(match copyuid(&copied) {
        Some(code) => completion.with(code),
        None => completion,
    })
}

/// MOVE. The EXPUNGE lines are sent by the session after COPYUID (RFC 6851, 4.3).
pub(super) async fn r#move(
    session: &mut Session,
    transfer: Transfer,
    out: &mut Out<'_>,
) -> Outcome {
    let account = session.account()?;
    let selected = session.selected()?;
    selected.writable()?;
    let uids = selected.resolve(&transfer.set, transfer.numbers)?;
    let gone = selected.gone(&uids)?;
    let uids = uids.difference(&gone);
    let some_gone = transfer.numbers == Numbers::Sequence && !gone.is_empty();
    let completion = Completion::ok("Move completed");
    if uids.is_empty() {
        still_there(session, &transfer.mailbox)?;
    } else {
        let from = selected.view.mailbox();
        let moved = session
            .ctx
            .engine
            .r#move(account, from, &uids, &transfer.mailbox)
            .await;
        let moved = moved.map_err(|error| failure(session, &transfer.mailbox, error))?;
        if let Some(code) = copyuid(&moved) {
            Completion::ok("Moved").with(code).untagged(out.buffer());
        }
        if !some_gone && !moved.uids.is_empty() {
            return session.expunged(completion, transfer.numbers, out).await;
        }
    }
    Ok(if some_gone {
        some_were_gone()
    } else {
        completion
    })
}

/// What an error means: when the target is there, it is the selected mailbox that is not there any more.
fn failure(session: &Session, target: &str, error: Error) -> Failure {
    let is_there = |account| session.ctx.engine.status(account, target).is_ok();
    if error.kind() == Kind::NotFound && session.account().is_ok_and(is_there) {
        return Failure::MailboxDeleted;
    }
    target_failure(target)(error)
}

/// With no message to transfer, too, a target that is not there is told.
fn still_there(session: &Session, mailbox: &str) -> Outcome<()> {
    session
        .ctx
        .engine
        .status(session.account()?, mailbox)
        .map(|_| ())
        .map_err(target_failure(mailbox))
}

fn some_were_gone() -> Completion {
    Completion::no(
        Code::ExpungeIssued,
        "Some of the messages were expunged meanwhile",
    )
}

/// The response code; `None` when nothing was copied. Both of its sets are read in step (RFC 4315, 3), which ranges can
/// only say when both ascend.
fn copyuid(copied: &Copied) -> Option<Code> {
    if copied.uids.is_empty() || !copied.uids.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1) {
        return None;
    }
    let from: UidSet = copied.uids.iter().map(|pair| pair.0).collect();
    let to: UidSet = copied.uids.iter().map(|pair| pair.1).collect();
    Some(Code::CopyUid {
        uid_validity: copied.uid_validity,
        from,
        to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copyuid_is_told_only_when_its_sets_can_be_read_in_step() {
        let copied = |uids: &[(u32, u32)]| {
            copyuid(&Copied {
                uid_validity: 7,
                uids: uids.to_vec(),
            })
        };
        let set = |members: &[u32]| members.iter().copied().collect::<UidSet>();
        let wanted = Code::CopyUid {
            uid_validity: 7,
            from: set(&[1, 2, 5]),
            to: set(&[10, 11, 14]),
        };
        assert_eq!(copied(&[(1, 10), (2, 11), (5, 14)]), Some(wanted));
        assert_eq!(copied(&[(1, 11), (2, 10)]), None);
        assert_eq!(copied(&[]), None);
    }
}
