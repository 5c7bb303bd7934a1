//! The commands: a file each (or for a family), all of the same shape.
//!
//! A command gets the session and where its untagged replies go; it gives the tagged answer. What other sessions
//! changed is told by the session, after the command and before its answer.

pub(super) mod append;
mod close;
mod expunge;
mod extension;
mod fetch;
mod idle;
mod list;
mod login;
mod mailbox;
mod multisearch;
mod search;
mod select;
mod sort;
mod status;
mod store;
mod transfer;

use coldpost_engine::ids::{AccountRef, MailboxId};

use crate::imap::ast::{CommandBody, Numbers, Search, SelectMode};
use crate::imap::completion::{Completion, Outcome};
use crate::imap::input::Input;
use crate::imap::out::Out;
use crate::imap::search_key::asks_numbers;
use crate::imap::selected::Expunges;
use crate::imap::session::Session;

/// In which state a command is allowed (RFC 3501, 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Any.
    Nothing,
    /// Before login.
    NoLogin,
    /// After login.
    Login,
    /// With a mailbox selected.
    Mailbox,
}

/// What the session must know of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    /// Its name, for metrics.
    pub(super) name: &'static str,
    pub(super) needs: Needs,
    /// Whether EXPUNGE may be sent in its course.
    pub(super) expunges: Expunges,
    /// Whether its numbers are UIDs.
    pub(super) numbers: Numbers,
}

/// The one table of commands.
pub(super) fn traits(command: &CommandBody) -> Traits {
    use Needs::{Login, Mailbox, NoLogin, Nothing};
    match command {
        CommandBody::Capability => plain("CAPABILITY", Nothing),
        CommandBody::Noop => plain("NOOP", Nothing),
        CommandBody::Logout => plain("LOGOUT", Nothing),
        CommandBody::Id(_) => plain("ID", Nothing),
        CommandBody::StartTls => plain("STARTTLS", NoLogin),
        CommandBody::Authenticate(_) => plain("AUTHENTICATE", NoLogin),
        CommandBody::Login(_) => plain("LOGIN", NoLogin),
        CommandBody::Enable(_) => plain("ENABLE", Login),
        CommandBody::Namespace => plain("NAMESPACE", Login),
        CommandBody::Select(select) => match select.mode {
            SelectMode::ReadWrite => plain("SELECT", Login),
            SelectMode::ReadOnly => plain("EXAMINE", Login),
        },
        CommandBody::Create { .. } => plain("CREATE", Login),
        CommandBody::Delete(_) => plain("DELETE", Login),
        CommandBody::Rename { .. } => plain("RENAME", Login),
        CommandBody::Subscribe(_) => plain("SUBSCRIBE", Login),
        CommandBody::Unsubscribe(_) => plain("UNSUBSCRIBE", Login),
        CommandBody::List(_) => plain("LIST", Login),
        CommandBody::Lsub { .. } => plain("LSUB", Login),
        CommandBody::Status { .. } => plain("STATUS", Login),
        CommandBody::Append(_) => plain("APPEND", Login),
        CommandBody::Idle => plain("IDLE", Login),
        CommandBody::Check => plain("CHECK", Mailbox),
        CommandBody::Close => plain("CLOSE", Mailbox),
        CommandBody::Unselect => plain("UNSELECT", Mailbox),
        CommandBody::Expunge(None) => plain("EXPUNGE", Mailbox),
        CommandBody::Expunge(Some(_)) => Traits {
            numbers: Numbers::Uid,
            ..plain("UID EXPUNGE", Mailbox)
        },
        CommandBody::Search(search) => searching(["SEARCH", "UID SEARCH"], search),
        CommandBody::Sort(sort) => searching(["SORT", "UID SORT"], &sort.search),
        CommandBody::Thread(thread) => searching(["THREAD", "UID THREAD"], &thread.search),
        CommandBody::Multisearch(multi) => Traits {
            needs: Login,
            ..searching(["ESEARCH"; 2], &multi.search)
        },
        CommandBody::Fetch(fetch) => numbered(["FETCH", "UID FETCH"], fetch.numbers, true),
        CommandBody::Store(store) => numbered(["STORE", "UID STORE"], store.numbers, true),
        CommandBody::Copy(copy) => numbered(["COPY", "UID COPY"], copy.numbers, false),
        CommandBody::Move(r#move) => numbered(["MOVE", "UID MOVE"], r#move.numbers, false),
    }
}

fn plain(name: &'static str, needs: Needs) -> Traits {
    Traits {
        name,
        needs,
        expunges: Expunges::Told,
        numbers: Numbers::Sequence,
    }
}

/// Of a command and its UID form; `held`: no number moves while it is answered.
fn numbered(names: [&'static str; 2], numbers: Numbers, held: bool) -> Traits {
    match numbers {
        Numbers::Uid => Traits {
            numbers,
            ..plain(names[1], Needs::Mailbox)
        },
        Numbers::Sequence if held => Traits {
            expunges: Expunges::Held,
            ..plain(names[0], Needs::Mailbox)
        },
        Numbers::Sequence => plain(names[0], Needs::Mailbox),
    }
}

fn searching(names: [&'static str; 2], search: &Search) -> Traits {
    Traits {
        // Numbers in the keys of UID SEARCH must not move either (RFC 7162, 3.2.10.2).
        expunges: if search.numbers == Numbers::Sequence || asks_numbers(&search.keys) {
            Expunges::Held
        } else {
            Expunges::Told
        },
        ..numbered(names, search.numbers, true)
    }
}

/// Runs a command whose state was checked. APPEND does not come here: its message follows its tree. Each has a box of its own: a session
/// in IDLE does not keep the room of the largest.
pub(super) async fn run(
    session: &mut Session,
    tag: &str,
    command: CommandBody,
    input: &mut Input<'_>,
    out: &mut Out<'_>,
) -> Outcome {
    match command {
        CommandBody::Capability => extension::capability(session, out),
        CommandBody::Noop => Ok(Completion::ok("Noop completed")),
        CommandBody::Check => Ok(Completion::ok("Check completed")),
        CommandBody::Logout => {
            session.ended = true;
            // Behind BYE nothing is told any more.
            session.selected = None;
            Completion::bye("Logging out").untagged(out.buffer());
            Ok(Completion::ok("Logout completed"))
        }
        CommandBody::Id(pairs) => extension::id(session, &pairs, out),
        CommandBody::StartTls => login::start_tls(session),
        CommandBody::Authenticate(authenticate) => {
            Box::pin(login::authenticate(session, authenticate, input, out)).await
        }
        CommandBody::Login(login) => Box::pin(login::login(session, login)).await,
        CommandBody::Enable(names) => extension::enable(session, &names, out),
        CommandBody::Namespace => extension::namespace(out),
        CommandBody::Select(select) => Box::pin(select::run(session, select, out)).await,
        CommandBody::Create {
            mailbox,
            special_use,
        } => Box::pin(mailbox::create(session, &mailbox, &special_use)).await,
        CommandBody::Delete(mailbox) => Box::pin(mailbox::delete(session, &mailbox)).await,
        CommandBody::Rename { from, to } => Box::pin(mailbox::rename(session, &from, &to)).await,
        CommandBody::Subscribe(mailbox) => {
            Box::pin(mailbox::subscribe(session, &mailbox, true)).await
        }
        CommandBody::Unsubscribe(mailbox) => {
            Box::pin(mailbox::subscribe(session, &mailbox, false)).await
        }
        CommandBody::List(list) => Box::pin(list::run(session, list, out)).await,
        CommandBody::Lsub { reference, pattern } => {
            Box::pin(list::subscribed(session, &reference, &pattern, out)).await
        }
        CommandBody::Status { mailbox, items } => {
            Box::pin(status::run(session, &mailbox, &items, out)).await
        }
        CommandBody::Append(_) => Ok(Completion::bad("APPEND ends with its message as a literal")),
        CommandBody::Idle => idle::run(session, input, out).await,
        CommandBody::Close => Box::pin(close::close(session)).await,
        CommandBody::Unselect => close::unselect(session),
        CommandBody::Expunge(set) => Box::pin(expunge::run(session, set, out)).await,
        CommandBody::Search(search) => Box::pin(search::run(session, tag, search, out)).await,
        CommandBody::Sort(sort) => Box::pin(sort::sort(session, tag, sort, out)).await,
        CommandBody::Thread(thread) => Box::pin(sort::thread(session, thread, out)).await,
        CommandBody::Multisearch(multi) => {
            Box::pin(multisearch::run(session, tag, multi, out)).await
        }
        CommandBody::Fetch(fetch) => Box::pin(fetch::run(session, fetch, out)).await,
        CommandBody::Store(store) => Box::pin(store::run(session, store, out)).await,
        CommandBody::Copy(transfer) => Box::pin(transfer::copy(session, transfer)).await,
        CommandBody::Move(transfer) => Box::pin(transfer::r#move(session, transfer, out)).await,
    }
}

/// MAILBOXID (RFC 8474, 4): never used again, not even by another account of the same name.
fn mailbox_objectid(account: AccountRef, id: MailboxId) -> String {
    format!("F{:016x}{:08x}", account.number.0, id.0)
}
