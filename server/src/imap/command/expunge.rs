//! EXPUNGE (RFC 3501, 6.4.3) and UID EXPUNGE (RFC 4315, 2.1).

use crate::imap::ast::{Numbers, SequenceSet};
use crate::imap::completion::{Completion, Outcome};
use crate::imap::session::Session;

/// The EXPUNGE lines are sent by the session, with those that other sessions caused.
pub(super) async fn run(session: &mut Session, set: Option<SequenceSet>) -> Outcome {
    let account = session.account()?;
    let selected = session.selected()?;
    selected.writable()?;
    let uids = set
        .map(|set| selected.resolve(&set, Numbers::Uid))
        .transpose()?;
    if uids.as_ref().is_none_or(|uids| !uids.is_empty()) {
        session
            .ctx
            .engine
            .expunge(account, selected.view.mailbox(), uids)
            .await?;
    }
    Ok(Completion::ok("Expunge completed"))
}
