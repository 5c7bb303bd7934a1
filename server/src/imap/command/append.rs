//! APPEND (RFC 3501, 6.3.11) with APPENDUID (RFC 4315).
//!
//! What can be refused is refused before the client sends the message.

use coldpost_engine::write;

use crate::imap::ast::{Append, AppendMessage};
use crate::imap::completion::{Completion, Outcome, target_failure};
use crate::imap::framing::Event;
use crate::imap::input::Input;
use crate::imap::out::Out;
use crate::imap::reply::{self, Code};
use crate::imap::session::Session;
use crate::imap::spool::{Spool, Spooled};

/// Runs up to the end of the command; `synchronising`: the client waits for a continuation.
pub(crate) async fn run(
    session: &mut Session,
    append: Append,
    synchronising: bool,
    input: &mut Input<'_>,
    out: &mut Out<'_>,
) -> Outcome {
    let Append { mailbox, messages } = append;
    let (account, message) = match acceptable(session, &mailbox, messages) {
        Ok(acceptable) => acceptable,
        Err(failure) => {
            input.skip_message(out).await?;
            return Err(failure);
        }
    };
    input.accept_message();
    if synchronising {
        reply::continuation(out.buffer(), "Ready for the message");
    }
    let spooled = match receive(session, input, out).await? {
        Ok(spooled) => spooled,
        Err(completion) => return Ok(completion),
    };
    let append = write::Append {
        message: spooled.message.clone(),
        flags: message.flags,
        internal_date: message.internal_date,
        email_id: None,
    };
    let appended = session
        .ctx
        .engine
        .append(account, &mailbox, vec![append])
        .await;
    drop(spooled);
    let appended = appended.map_err(target_failure(&mailbox))?;
    let code = Code::AppendUid {
        uid_validity: appended.uid_validity,
        uids: appended.uids,
    };
    Ok(Completion::ok("Append completed").with(code))
}

/// Whether the message may come.
fn acceptable(
    session: &Session,
    mailbox: &str,
    messages: Vec<AppendMessage>,
) -> Outcome<(coldpost_engine::ids::AccountRef, AppendMessage)> {
    let account = session.account()?;
    session
        .ctx
        .engine
        .status(account, mailbox)
        .map_err(target_failure(mailbox))?;
    match <[AppendMessage; 1]>::try_from(messages) {
        Ok([message]) => Ok((account, message)),
        Err(_) => Err(one_message().into()),
    }
}

fn one_message() -> Completion {
    Completion::bad("One message per APPEND: MULTIAPPEND is not supported")
}

/// Takes the octets of the message; the inner error is an answer after which the command is over.
async fn receive(
    session: &Session,
    input: &mut Input<'_>,
    out: &mut Out<'_>,
) -> Outcome<Result<Spooled, Completion>> {
    let mut spool = Spool::new(&session.ctx.settings.spool);
    loop {
        let refused = match input.event(out).await? {
            Event::AppendData(octets) if octets.contains(&0) => {
                Completion::no(Code::Cannot, "The message contains a NUL")
            }
            Event::AppendData(octets) => match spool.write(&octets).await {
                Ok(()) => continue,
                Err(error) => disk(&error),
            },
            Event::AppendLiteral { .. } => one_message(),
            Event::AppendEnd(rest) if rest.is_empty() => break,
            Event::AppendEnd(_) => {
                return Ok(Err(Completion::bad("Something stands behind the message")));
            }
            Event::Refused(refusal) => return Ok(Err(Completion::from(refusal))),
            other => unreachable!("{other:?} in the middle of an APPEND"),
        };
        input.skip_message(out).await?;
        return Ok(Err(refused));
    }
    let settings = &session.ctx.settings;
    Ok(spool
        .finish(&session.ctx.memory, settings.memory_kib)
        .await
        .map_err(|error| disk(&error)))
}

fn disk(error: &std::io::Error) -> Completion {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a message could not be spooled"
    );
    Completion::no(
        Code::Unavailable,
        "The server's disk does not take the message now",
    )
}
