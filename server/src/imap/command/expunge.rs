//! EXPUNGE (RFC 3501, 6.4.3) and UID EXPUNGE (RFC 4315, 2.1).

use coldpost_engine::uidset::UidSet;

use crate::imap::ast::{Numbers, SequenceSet};
use crate::imap::completion::{Completion, Outcome};
use crate::imap::out::Out;
use crate::imap::session::Session;

/// The EXPUNGE lines are sent by the session, with those that other sessions caused; under QRESYNC before the answer is made.
pub(super) async fn run(
    session: &mut Session,
    set: Option<SequenceSet>,
    out: &mut Out<'_>,
) -> Outcome {
    let account = session.account()?;
    let selected = session.selected()?;
    selected.writable()?;
    let uids = set
        .map(|set| selected.resolve(&set, Numbers::Uid))
        .transpose()?;
    let completion = Completion::ok("Expunge completed");
    if uids.as_ref().is_some_and(UidSet::is_empty) {
        return Ok(completion);
    }
    let numbers = match uids {
        Some(_) => Numbers::Uid,
        None => Numbers::Sequence,
    };
    let mailbox = selected.view.mailbox();
    let gone = session.ctx.engine.expunge(account, mailbox, uids).await?;
    if gone.is_empty() {
        return Ok(completion);
    }
    session.expunged(completion, numbers, out).await
}
