//! CLOSE (RFC 3501, 6.4.2) and UNSELECT (RFC 3691): nothing is selected afterwards.

use crate::imap::completion::{Completion, Outcome};
use crate::imap::session::Session;

/// CLOSE: what has \Deleted goes, silently; nothing in a mailbox that was opened by EXAMINE. No HIGHESTMODSEQ: the client was not told what
/// went (RFC 7162, 3.2.8).
pub(super) async fn close(session: &mut Session) -> Outcome {
    let account = session.account()?;
    let selected = session.selected()?;
    if !selected.read_only {
        session
            .ctx
            .engine
            .expunge(account, selected.view.mailbox(), None)
            .await?;
    }
    session.selected = None;
    Ok(Completion::ok("Close completed"))
}

/// UNSELECT: nothing goes.
pub(super) fn unselect(session: &mut Session) -> Outcome {
    session.selected()?;
    session.selected = None;
    Ok(Completion::ok("Unselect completed"))
}
