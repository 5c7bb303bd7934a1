//! APPEND (RFC 3501, 6.3.11) with APPENDUID (RFC 4315), of several messages (RFC 3502) and of messages with NUL (RFC 3516, 4.4).
//!
//! What can be refused is refused before the client sends the message. Nothing is appended before the last message has come, and then
//! all or nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use coldpost_engine::append::{Appending, Messages};
use coldpost_engine::ids::AccountRef;
use coldpost_engine::limits::KEYWORDS_MAX;
use coldpost_engine::write::{self, Appended};

use crate::imap::ast::{Append, AppendMessage};
use crate::imap::completion::{Completion, Outcome, target_failure};
use crate::imap::framing::Event;
use crate::imap::grammar;
use crate::imap::input::Input;
use crate::imap::out::Out;
use crate::imap::reply::{self, Code};
use crate::imap::session::Session;
use crate::imap::spool::{Files, NoFileFree, Spool};
use crate::limits::{IMAP_APPEND_BYTES_MAX, IMAP_APPEND_MESSAGES_MAX};

/// A message that is announced, and whether the client waits for a continuation.
type Announced = (AppendMessage, bool);

/// Runs up to the end of the command; `synchronising`: the client waits for a continuation.
pub(crate) async fn run(
    session: &mut Session,
    append: Append,
    synchronising: bool,
    input: &mut Input<'_>,
    out: &mut Out<'_>,
) -> Outcome {
    let Append { mailbox, messages } = append;
    let account = match is_there(session, &mailbox) {
        Ok(account) => account,
        Err(failure) => {
            input.skip_message(out).await?;
            return Err(failure);
        }
    };
    let ctx = Arc::clone(&session.ctx);
    let files = Files {
        all: &ctx.append_files,
        of_account: &ctx.append_files_of,
        account: account.number,
    };
    let mut spool = Spool::new(&ctx.settings.spool, files);
    let mut arrived = Vec::new();
    let mut next = messages
        .into_iter()
        .next()
        .map(|message| (message, synchronising));
    while let Some((message, synchronising)) = next {
        if let Some(refused) = unacceptable(&message, arrived.len(), spool.size()) {
            input.skip_message(out).await?;
            return Ok(refused);
        }
        input.accept_message();
        if synchronising {
            reply::continuation(out.buffer(), "Ready for the message");
        }
        next = match receive(&mut spool, &message, input, out).await? {
            Ok(next) => next,
            Err(completion) => return Ok(completion),
        };
        arrived.push(message);
    }
    let appended = match store(session, account, &mailbox, arrived, spool).await? {
        Ok(appended) => appended,
        Err(completion) => return Ok(completion),
    };
    let code = Code::AppendUid {
        uid_validity: appended.uid_validity,
        uids: appended.uids,
    };
    Ok(Completion::ok("Append completed").with(code))
}

/// Whether the mailbox is there.
fn is_there(session: &Session, mailbox: &str) -> Outcome<AccountRef> {
    let account = session.account()?;
    session
        .ctx
        .engine
        .status(account, mailbox)
        .map_err(target_failure(mailbox))?;
    Ok(account)
}

/// Why a message may not come behind `before` others of `bytes` octets; nothing is appended then.
fn unacceptable(message: &AppendMessage, before: usize, bytes: u64) -> Option<Completion> {
    if message.size == 0 {
        let text = "Cancelled: a message of no octets is not appended";
        return Some(Completion::no(Code::Cannot, text));
    }
    if before >= IMAP_APPEND_MESSAGES_MAX {
        let text = format!("One APPEND has at most {IMAP_APPEND_MESSAGES_MAX} messages");
        return Some(Completion::no(Code::Limit, text));
    }
    let all = bytes.saturating_add(message.size);
    (before > 0 && all > IMAP_APPEND_BYTES_MAX).then(|| {
        let text =
            format!("The messages of one APPEND have at most {IMAP_APPEND_BYTES_MAX} octets");
        Completion::no(Code::TooBig, text)
    })
}

/// Takes the octets of a message; gives the next one that is announced. The inner error is an answer after which the command is over.
async fn receive(
    spool: &mut Spool<'_>,
    message: &AppendMessage,
    input: &mut Input<'_>,
    out: &mut Out<'_>,
) -> Outcome<Result<Option<Announced>, Completion>> {
    let whole = spool.size().saturating_add(message.size);
    loop {
        let refused = match input.event(out).await? {
            Event::AppendData(octets) if !message.binary && octets.contains(&0) => {
                let text = "The message contains a NUL: it may come as a literal8, ~{n}";
                Completion::no(Code::Cannot, text)
            }
            Event::AppendData(octets) => match spool.write(&octets, whole).await {
                Ok(()) => continue,
                Err(error) => disk(&error),
            },
            Event::AppendLiteral {
                command,
                synchronising,
                ..
            } => match grammar::parse_append_message(&command) {
                Ok(next) => return Ok(Ok(Some((next, synchronising)))),
                Err(refusal) => Completion::from(refusal),
            },
            Event::AppendEnd(rest) if rest.is_empty() => return Ok(Ok(None)),
            Event::AppendEnd(_) => {
                return Ok(Err(Completion::bad("Something stands behind the message")));
            }
            Event::Refused(refusal) => return Ok(Err(Completion::from(refusal))),
            other => unreachable!("{other:?} in the middle of an APPEND"),
        };
        input.skip_message(out).await?;
        return Ok(Err(refused));
    }
}

/// Appends what arrived, one message in memory at a time. The inner error is an answer.
async fn store(
    session: &Session,
    account: AccountRef,
    mailbox: &str,
    arrived: Vec<AppendMessage>,
    spool: Spool<'_>,
) -> Outcome<Result<Appended, Completion>> {
    let mut spooled = match spool.finish().await {
        Ok(spooled) => spooled,
        Err(error) => return Ok(Err(disk(&error))),
    };
    let many = match arrived.len() {
        0 | 1 => Messages::One,
        _ => Messages::Several,
    };
    let engine = &session.ctx.engine;
    if many == Messages::Several {
        let there = engine.status(account, mailbox);
        let known = there.map_err(target_failure(mailbox))?.keywords;
        if !keywords_fit(&known, &arrived) {
            return Ok(Err(Completion::no(
                Code::Limit,
                format!("A mailbox has at most {KEYWORDS_MAX} different keywords over its life"),
            )));
        }
    }
    let begun = engine.begin_append(account, mailbox, many).await;
    let mut appending: Appending = begun.map_err(target_failure(mailbox))?;
    let memory_kib = session.ctx.settings.memory_kib;
    for message in arrived {
        let taken = spooled.next(message.size, &session.ctx.memory, memory_kib);
        let taken = match taken.await {
            Ok(taken) => taken,
            Err(error) => {
                appending.undo().await?;
                return Ok(Err(disk(&error)));
            }
        };
        let append = write::Append {
            message: taken.message.clone(),
            flags: message.flags,
            internal_date: message.internal_date,
            email_id: None,
        };
        let added = appending.add(append).await;
        appending = added.map_err(target_failure(mailbox))?;
    }
    Ok(Ok(appending.end().await?))
}

/// Whether a mailbox that has learned `known` can learn the keywords of all messages. What it learns it keeps, so nothing is begun that
/// would be undone for want of one.
fn keywords_fit(known: &[String], messages: &[AppendMessage]) -> bool {
    let named = messages.iter().flat_map(|message| &message.flags.keywords);
    let all: BTreeSet<String> = known
        .iter()
        .chain(named)
        .map(|keyword| keyword.to_ascii_lowercase())
        .collect();
    all.len() <= KEYWORDS_MAX
}

fn disk(error: &std::io::Error) -> Completion {
    if error.get_ref().is_some_and(|e| e.is::<NoFileFree>()) {
        let text = "Too many large messages are arriving at once; try again";
        return Completion::no(Code::Limit, text);
    }
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a message could not be spooled"
    );
    Completion::no(
        Code::Unavailable,
        "The server's disk does not take the message now",
    )
}
