//! The grammar of commands (RFC 3501, 9 and the extensions in `docs/imap.md`), a function for every ABNF rule.
//!
//! Promises: takes any bytes, never panics, works in one pass over what the framing has bounded; what it refuses it refuses with the
//! tag, the place and what was expected. Lenient only where clients need it: spaces before the end of the line, 8-bit characters in
//! quoted strings. Never: knows the state of the session.

mod date;
mod error;
mod fetch;
mod flag;
mod list;
mod mailbox;
mod message;
mod order;
mod scope;
mod search;
mod session;
mod set;
mod token;

use winnow::Parser;
use winnow::error::ErrMode;
use winnow::token::take_while;

use error::{Parsed, Wrong, bad, expect};
use token::{sp, tag, word};

use crate::imap::ast::{AppendMessage, Command, CommandBody, Numbers, SelectMode};
use crate::imap::framing::tag_of;
use crate::imap::reply::Refusal;

/// The command in `bytes`: lines joined by CRLF with literals inline, as [`Event::Command`](super::framing::Event::Command) brings it,
/// or an APPEND up to the marker of its message, as [`Event::AppendLiteral`](super::framing::Event::AppendLiteral) does.
///
/// # Errors
/// The answer to send: BAD where the grammar does not fit, NO where a name, flag or number in it cannot be.
pub fn parse(bytes: &[u8]) -> Result<Command, Refusal> {
    whole(bytes, command).map_err(|refusal| Refusal {
        tag: tag_of(bytes),
        ..refusal
    })
}

/// What stands between two messages of one APPEND (RFC 3502), up to the marker of the second.
///
/// # Errors
/// As [`parse`], without a tag.
pub fn parse_append_message(bytes: &[u8]) -> Result<AppendMessage, Refusal> {
    whole(bytes, message::append_message)
}

fn whole<O>(bytes: &[u8], mut parser: impl FnMut(&mut &[u8]) -> Parsed<O>) -> Result<O, Refusal> {
    let mut input = bytes;
    let parsed = parser(&mut input).and_then(|parsed| {
        expect("the end of the line", end).parse_next(&mut input)?;
        Ok(parsed)
    });
    parsed.map_err(|error| {
        let place = bytes.len() - input.len() + 1;
        match error {
            ErrMode::Cut(Wrong::Refused(refusal)) | ErrMode::Backtrack(Wrong::Refused(refusal)) => {
                *refusal
            }
            ErrMode::Cut(Wrong::Expected(what)) if input.is_empty() => {
                Refusal::bad(format!("the command ends too early: expected {what}"))
            }
            ErrMode::Cut(Wrong::Expected(what)) | ErrMode::Backtrack(Wrong::Expected(what)) => {
                Refusal::bad(format!("expected {what} at byte {place}"))
            }
            _ => Refusal::bad(format!("syntax error at byte {place}")),
        }
    })
}

/// The end of the command; spaces before it do no harm.
fn end(input: &mut &[u8]) -> Parsed<()> {
    (take_while(0.., b' '), winnow::combinator::eof)
        .void()
        .parse_next(input)
}

/// `command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF`
fn command(input: &mut &[u8]) -> Parsed<Command> {
    let tag = expect("a tag", tag).parse_next(input)?;
    sp(input)?;
    let name = expect("the name of a command", word).parse_next(input)?;
    let body = if name == "UID" {
        uid(input)?
    } else {
        body(&name, input)?
    };
    Ok(Command { tag, body })
}

/// Everything behind the tag, by the name of the command.
fn body(name: &str, input: &mut &[u8]) -> Parsed<CommandBody> {
    use Numbers::Sequence;
    Ok(match name {
        "CAPABILITY" => CommandBody::Capability,
        "NOOP" => CommandBody::Noop,
        "LOGOUT" => CommandBody::Logout,
        "STARTTLS" => CommandBody::StartTls,
        "CHECK" => CommandBody::Check,
        "CLOSE" => CommandBody::Close,
        "UNSELECT" => CommandBody::Unselect,
        "EXPUNGE" => CommandBody::Expunge(None),
        "IDLE" => CommandBody::Idle,
        "NAMESPACE" => CommandBody::Namespace,
        "AUTHENTICATE" => session::authenticate(input)?,
        "LOGIN" => session::login(input)?,
        "ID" => session::id(input)?,
        "ENABLE" => session::enable(input)?,
        "SELECT" => mailbox::select(SelectMode::ReadWrite)(input)?,
        "EXAMINE" => mailbox::select(SelectMode::ReadOnly)(input)?,
        "CREATE" => mailbox::create(input)?,
        "DELETE" => CommandBody::Delete(mailbox::mailbox(input)?),
        "RENAME" => mailbox::rename(input)?,
        "SUBSCRIBE" => CommandBody::Subscribe(mailbox::mailbox(input)?),
        "UNSUBSCRIBE" => CommandBody::Unsubscribe(mailbox::mailbox(input)?),
        "LIST" => list::list_command(input)?,
        "LSUB" => mailbox::lsub(input)?,
        "STATUS" => mailbox::status(input)?,
        "APPEND" => message::append(input)?,
        "SEARCH" => search::search(Sequence)(input)?,
        "ESEARCH" => search::multisearch(input)?,
        "SORT" => order::sort(Sequence)(input)?,
        "THREAD" => order::thread(Sequence)(input)?,
        "FETCH" => fetch::fetch(Sequence)(input)?,
        "STORE" => message::store(Sequence)(input)?,
        "COPY" => CommandBody::Copy(message::transfer(Sequence)(input)?),
        "MOVE" => CommandBody::Move(message::transfer(Sequence)(input)?),
        _ => return Err(bad(format!("unknown command {name}"))),
    })
}

/// `uid = "UID" SP (copy / fetch / search / store)`, MOVE (RFC 6851), EXPUNGE (RFC 4315), SORT and THREAD (RFC 5256)
fn uid(input: &mut &[u8]) -> Parsed<CommandBody> {
    use Numbers::Uid;
    sp(input)?;
    let name = expect("the name of a command", word).parse_next(input)?;
    Ok(match name.as_str() {
        "COPY" => CommandBody::Copy(message::transfer(Uid)(input)?),
        "EXPUNGE" => message::uid_expunge(input)?,
        "FETCH" => fetch::fetch(Uid)(input)?,
        "MOVE" => CommandBody::Move(message::transfer(Uid)(input)?),
        "SEARCH" => search::search(Uid)(input)?,
        "SORT" => order::sort(Uid)(input)?,
        "THREAD" => order::thread(Uid)(input)?,
        "STORE" => message::store(Uid)(input)?,
        _ => return Err(bad(format!("unknown command UID {name}"))),
    })
}
