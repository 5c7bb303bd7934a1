//! A session: which state it is in, and how a command is run and answered in it.
//!
//! Promises: every command is answered exactly once, an error leaves the session usable, changes are told before the
//! answer. Never: knows a socket; what it says goes to [`Out`], what it hears comes from [`Input`].

use std::sync::Arc;
use std::time::Instant;

use coldpost_engine::ids::{AccountId, AccountRef};
use coldpost_engine::uidset::UidSet;

use crate::auth::{Login, Peer};
use crate::imap::ast::{Command, CommandBody, Numbers};
use crate::imap::command::{self, Needs, Traits, traits};
use crate::imap::completion::{Completion, Failure, Outcome, refusal};
use crate::imap::context::Context;
use crate::imap::framing::Event;
use crate::imap::grammar;
use crate::imap::input::Input;
use crate::imap::out::Out;
use crate::imap::reply::{Code, Refusal, Status};
use crate::imap::selected::{Expunges, Selected, Unasked};
use crate::limits::IMAP_BAD_COMMANDS_MAX;
use crate::places::Place;

/// Why a session ends when another one deletes its mailbox.
const DELETED: &str = "The selected mailbox was deleted";
/// Why a session ends when its account is deleted.
const GONE: &str = "The account was deleted";

/// One client's session.
pub(crate) struct Session {
    pub(crate) ctx: Arc<Context>,
    pub(crate) peer: Peer,
    /// Who is logged in.
    pub(crate) login: Option<Login>,
    /// Its place among the sessions of the account; never without a login.
    pub(crate) place: Option<Place<AccountId>>,
    /// What is selected; never without a login.
    pub(crate) selected: Option<Selected>,
    /// The client knows CONDSTORE: MODSEQ stands in every FETCH that tells flags (RFC 7162, 3.1).
    pub(crate) condstore: bool,
    /// The client enabled QRESYNC: expunges are told by UID (RFC 7162, 3.2.3).
    pub(crate) qresync: bool,
    /// LOGOUT was answered.
    pub(crate) ended: bool,
    /// STARTTLS was answered: the handshake is next, and nothing of this session counts behind it.
    pub(crate) starts_tls: bool,
    bad_in_a_row: u32,
}

impl Session {
    pub(crate) fn new(ctx: Arc<Context>, peer: Peer) -> Session {
        Session {
            ctx,
            peer,
            login: None,
            place: None,
            selected: None,
            condstore: false,
            qresync: false,
            ended: false,
            starts_tls: false,
            bad_in_a_row: 0,
        }
    }

    /// The account that is logged in.
    pub(crate) fn account(&self) -> Outcome<AccountRef> {
        match &self.login {
            Some(login) => Ok(login.account),
            None => Err(Completion::bad("Log in first").into()),
        }
    }

    /// The selected mailbox.
    pub(crate) fn selected(&self) -> Outcome<&Selected> {
        self.selected
            .as_ref()
            .ok_or_else(|| Completion::bad("Select a mailbox first").into())
    }

    /// The client has shown that it knows CONDSTORE. In the selected state it is told the modseq (RFC 7162, 3.1).
    pub(crate) fn enable_condstore(&mut self, buffer: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.condstore, true)
            && let Some(selected) = &self.selected
        {
            let modseq = selected.view.told_modseq();
            Completion::ok("CONDSTORE is enabled")
                .with(Code::HighestModSeq(modseq))
                .untagged(buffer);
        }
    }

    /// The form of what is told unasked in the course of a command with such numbers.
    pub(crate) fn unasked(&self, numbers: Numbers) -> Unasked {
        Unasked {
            modseq: self.condstore,
            uid: self.condstore || numbers == Numbers::Uid,
            vanished: self.qresync,
        }
    }

    /// The answer to a command that expunged: under QRESYNC what went is told first, and the answer says up to which modseq the client
    /// knows everything (RFC 7162, 3.2.7).
    pub(crate) async fn expunged(
        &mut self,
        completion: Completion,
        numbers: Numbers,
        out: &mut Out<'_>,
    ) -> Outcome {
        if !self.qresync {
            return Ok(completion);
        }
        let told = self
            .tell_changes(Expunges::Told, numbers, &UidSet::new(), out)
            .await;
        match told {
            Ok(()) => {
                let modseq = self.selected()?.view.told_modseq();
                Ok(completion.with(Code::HighestModSeq(modseq)))
            }
            // The command was carried out, whatever became of the mailbox.
            Err(Failure::Engine(_) | Failure::MailboxDeleted) => Ok(completion),
            Err(over) => Err(over),
        }
    }

    /// Tells what changed in the selected mailbox, if there is one, but for the flags of `own`, which the command tells.
    pub(crate) async fn tell_changes(
        &mut self,
        expunges: Expunges,
        numbers: Numbers,
        own: &UidSet,
        out: &mut Out<'_>,
    ) -> Outcome<()> {
        let unasked = self.unasked(numbers);
        match &mut self.selected {
            Some(selected) => selected.tell_changes(expunges, unasked, own, out).await,
            None => Ok(()),
        }
    }

    /// Takes an event to its answer.
    ///
    /// # Errors
    /// `Bye` and `Connection` only: the session is over.
    pub(crate) async fn take(
        &mut self,
        event: Event,
        input: &mut Input<'_>,
        out: &mut Out<'_>,
    ) -> Outcome<()> {
        match event {
            Event::Command(bytes) => match grammar::parse(&bytes) {
                Ok(command) => self.run(command, None, input, out).await,
                Err(refusal) => self.refuse(refusal, out).await,
            },
            Event::AppendLiteral {
                command,
                synchronising,
                ..
            } => match grammar::parse(&command) {
                Ok(command) => self.run(command, Some(synchronising), input, out).await,
                Err(refusal) => {
                    input.skip_message(out).await?;
                    self.refuse(refusal, out).await
                }
            },
            Event::Refused(refusal) => self.refuse(refusal, out).await,
            other => unreachable!("{other:?} outside of the command that asks for it"),
        }
    }

    /// Answers what never became a command.
    async fn refuse(&mut self, refusal: Refusal, out: &mut Out<'_>) -> Outcome<()> {
        self.ctx.metrics.command(
            "none",
            if refusal.status == Status::No {
                "no"
            } else {
                "bad"
            },
            Default::default(),
        );
        let bad = refusal.status == Status::Bad;
        refusal.write(out.buffer());
        out.relieve().await?;
        self.count_bad(bad)
    }

    /// Runs a command; `message` says that a message of APPEND follows, and whether the client waits for a continuation.
    async fn run(
        &mut self,
        command: Command,
        message: Option<bool>,
        input: &mut Input<'_>,
        out: &mut Out<'_>,
    ) -> Outcome<()> {
        let started = Instant::now();
        self.is_still_there()?;
        let traits = traits(&command.body);
        let Command { tag, body } = command;
        let outcome = match (self.allows(traits), message, body) {
            (Err(failure), None, _) => Err(failure),
            (Err(failure), Some(_), _) => input.skip_message(out).await.and(Err(failure)),
            (Ok(()), Some(synchronising), CommandBody::Append(append)) => {
                Box::pin(command::append::run(
                    self,
                    append,
                    synchronising,
                    input,
                    out,
                ))
                .await
            }
            (Ok(()), _, body) => command::run(self, &tag, body, input, out).await,
        };
        let completion = match outcome {
            Ok(completion) | Err(Failure::Refused(completion)) => completion,
            Err(Failure::Engine(error)) => refusal(&error),
            Err(Failure::MailboxDeleted) => Completion::no(Code::NonExistent, DELETED),
            Err(over) => return Err(over),
        };
        let told = self
            .tell_changes(traits.expunges, traits.numbers, &UidSet::new(), out)
            .await;
        if let (true, Some(selected)) = (self.condstore, &mut self.selected) {
            selected.tell_known_modseq(out.buffer());
        }
        // The command was carried out and is answered, whatever became of the mailbox.
        completion.tagged(out.buffer(), &tag);
        out.relieve().await?;
        self.ctx
            .metrics
            .command(traits.name, completion.word(), started.elapsed());
        match told {
            Err(Failure::Engine(error)) => drop(refusal(&error)),
            Err(Failure::MailboxDeleted) => return Err(Failure::Bye(Completion::bye(DELETED))),
            told => told?,
        }
        self.count_bad(completion.status == Status::Bad)
    }

    /// Whether the account that is logged in is.
    ///
    /// # Errors
    /// `Bye`: it was deleted. What cannot be read now is the command's to find out.
    pub(crate) fn is_still_there(&self) -> Outcome<()> {
        match &self.login {
            Some(login)
                if self
                    .ctx
                    .engine
                    .is_open(login.account)
                    .is_ok_and(|open| !open) =>
            {
                Err(Failure::Bye(Completion::bye(GONE)))
            }
            _ => Ok(()),
        }
    }

    /// Whether the command is allowed in this state.
    fn allows(&self, traits: Traits) -> Outcome<()> {
        match traits.needs {
            Needs::Nothing => Ok(()),
            Needs::NoLogin if self.login.is_some() => {
                Err(Completion::bad("You are logged in already").into())
            }
            Needs::NoLogin => Ok(()),
            Needs::Login => self.account().map(|_| ()),
            Needs::Mailbox => self.account().and(self.selected().map(|_| ())),
        }
    }

    fn count_bad(&mut self, bad: bool) -> Outcome<()> {
        self.bad_in_a_row = if bad { self.bad_in_a_row + 1 } else { 0 };
        if self.bad_in_a_row < IMAP_BAD_COMMANDS_MAX {
            return Ok(());
        }
        let bye = format!("{IMAP_BAD_COMMANDS_MAX} bad commands in a row");
        Err(Failure::Bye(Completion::bye(bye).with(Code::ClientBug)))
    }
}
