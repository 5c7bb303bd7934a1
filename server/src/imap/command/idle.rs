//! IDLE (RFC 2177): changes are told as they happen, and every two minutes a line shows that the connection lives.

use coldpost_engine::uidset::UidSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::imap::ast::Numbers;
use crate::imap::completion::{Completion, Failure, Outcome};
use crate::imap::framing::Event;
use crate::imap::input::{Input, Patience};
use crate::imap::out::Out;
use crate::imap::reply;
use crate::imap::selected::Expunges;
use crate::imap::session::Session;
use crate::limits::IMAP_KEEP_ALIVE;

pub(super) async fn run(
    session: &mut Session,
    input: &mut Input<'_>,
    out: &mut Out<'_>,
) -> Outcome {
    session
        .tell_changes(Expunges::Told, Numbers::Sequence, &UidSet::new(), out)
        .await?;
    input.expect_line();
    reply::continuation(out.buffer(), "idling");
    let mut keep_alive = interval_at(Instant::now() + IMAP_KEEP_ALIVE, IMAP_KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        match input.ready(out).await? {
            Some(Event::Line(line)) if line.eq_ignore_ascii_case(b"DONE") => {
                return Ok(Completion::ok("Idle completed"));
            }
            Some(Event::Line(_)) => return Ok(Completion::bad("IDLE ends with DONE")),
            Some(Event::Refused(refusal)) => return Ok(Completion::from(refusal)),
            Some(other) => unreachable!("{other:?} where a line was expected"),
            None => {
                out.flush().await?;
                input.rest(out);
            }
        }
        tokio::select! {
            read = input.read(Patience::Idle) => read?,
            () = changed(session) => {
                let told = session.tell_changes(Expunges::Told, Numbers::Sequence, &UidSet::new(), out).await;
                if matches!(told, Err(Failure::MailboxDeleted)) {
                    // So it is, too, when the account was.
                    session.is_still_there()?;
                }
                told?;
            }
            _ = keep_alive.tick() => {
                session.is_still_there()?;
                Completion::ok("Still here").untagged(out.buffer());
            }
        }
    }
}

/// Returns when something may have happened in the selected mailbox; never without one.
async fn changed(session: &mut Session) {
    match &mut session.selected {
        Some(selected) => selected.view.changed().await,
        None => std::future::pending().await,
    }
}
