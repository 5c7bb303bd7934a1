//! The LMTP session as a state machine (RFC 2033): bytes in, replies and events out; no socket, no clock, no storage.
//!
//! Promises: the same bytes give the same replies and events wherever they are split; after DATA one reply for each accepted recipient,
//! in their order; every buffer is bounded by `limits.rs`.
//! Never: says 250 to a recipient whose delivery its caller has not reported.

use std::sync::Arc;

use coldpost_engine::account::AccountName;
use coldpost_engine::write::Delivered;

use super::Settings;
use super::address::Address;
use super::command::{Command, Mail, parse};
use super::data::{Data, Fed};
use super::input::{ENDLESS, Input};
use super::limits::BAD_COMMANDS_MAX;
use super::reply::{self, Reply};
use super::trace::Envelope;
use super::transaction::{TOO_LARGE, Transaction};
use crate::metrics::{self, Refusal};

/// What the session wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Ask whether its mail is taken and answer with [`Session::recipient`].
    Recipient(AccountName),
    /// A message begins: put its trace lines before it.
    Begin(Envelope),
    /// The next bytes of the message.
    Chunk(Vec<u8>),
    /// The message became too large: forget it. No `Deliver` follows.
    Discard,
    /// A message or recipient was refused before anybody was asked: count it.
    Refused(Refusal),
    /// The message is complete: deliver it and answer with [`Session::delivered`].
    Deliver {
        /// Its last bytes.
        last: Vec<u8>,
        /// To whom, one for each accepted recipient.
        to: Vec<AccountName>,
    },
    /// Write what is in the output, then begin TLS: a new session takes this one's place, nothing of which counts any more.
    StartTls,
    /// Write what is in the output, then close the connection.
    Close,
}

/// Who can read along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    /// Whoever carries the bytes; there is no TLS here.
    Clear,
    /// The same, but STARTTLS is offered.
    StartTls,
    /// Nobody: the connection is TLS.
    Tls,
}

#[derive(Clone, Debug)]
enum State {
    /// Commands come in.
    Command,
    /// The caller asks whether mail for this name is taken.
    Lookup(Address, AccountName),
    /// A message comes in; so many bytes of it were seen.
    Data(Data, u64),
    /// The caller delivers.
    Delivery,
    /// `StartTls` comes next.
    StartingTls,
    /// `Close` comes next.
    Closing,
    /// Nothing comes any more.
    Closed,
}

/// A session of one connection.
pub(crate) struct Session {
    settings: Arc<Settings>,
    cover: Cover,
    input: Input,
    output: Vec<u8>,
    state: State,
    lhlo: Option<String>,
    transaction: Option<Transaction>,
    bad_commands: u32,
}

const OK: Reply = Reply::new(250, "2.0.0", "OK");
const NO_TLS: Reply = Reply::new(502, "5.5.1", "There is no TLS here");
const NEED_LHLO: Reply = Reply::new(503, "5.5.1", "Say LHLO first");
const NEED_MAIL: Reply = Reply::new(503, "5.5.1", "Say MAIL first");

impl Session {
    /// A session with its greeting in the output.
    pub(crate) fn new(settings: Arc<Settings>, cover: Cover) -> Session {
        let greeting = format!("220 {} LMTP Coldpost\r\n", settings.hostname).into_bytes();
        Session {
            cover,
            output: greeting,
            ..Session::after_starttls(settings)
        }
    }

    /// A session behind the handshake of STARTTLS: there is no second greeting (RFC 3207, 4.2).
    pub(crate) fn after_starttls(settings: Arc<Settings>) -> Session {
        Session {
            settings,
            cover: Cover::Tls,
            input: Input::default(),
            output: Vec::new(),
            state: State::Command,
            lhlo: None,
            transaction: None,
            bad_commands: 0,
        }
    }

    /// Takes bytes of the client; [`Session::next`] says what they mean.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.input.feed(bytes);
    }

    /// Replies to be written, before more is read.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Bytes of replies that wait.
    pub(crate) fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Whether the connection is TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.cover == Cover::Tls
    }

    /// Whether a message is coming in: a shutdown waits for its end.
    pub(crate) fn in_data(&self) -> bool {
        matches!(self.state, State::Data(..))
    }

    /// Whether the next line would be a command.
    pub(crate) fn takes_commands(&self) -> bool {
        matches!(self.state, State::Command)
    }

    /// The next event. `None`: it wants an answer to the last one, or more bytes.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            match &self.state {
                State::Lookup(..) | State::Delivery | State::Closed => return None,
                State::StartingTls => {
                    self.state = State::Closed;
                    return Some(Event::StartTls);
                }
                State::Closing => {
                    self.state = State::Closed;
                    return Some(Event::Close);
                }
                State::Data(..) if self.input.bytes().is_empty() => return None,
                State::Data(data, seen) => {
                    if let Some(event) = self.data(*data, *seen) {
                        return Some(event);
                    }
                }
                State::Command => match self.next_line()?.and_then(|line| self.command(&line)) {
                    Ok(Some(event)) => return Some(event),
                    Ok(None) => {}
                    Err(reply) => {
                        self.refuse(&reply);
                        if let Some(reason) = counted(&reply) {
                            return Some(Event::Refused(reason));
                        }
                    }
                },
            }
        }
    }

    /// The next command line, or its refusal.
    fn next_line(&mut self) -> Option<Result<Vec<u8>, Reply>> {
        let line = self.input.line();
        if line.is_none() && self.input.is_endless() {
            self.state = State::Closing;
            return Some(Err(ENDLESS));
        }
        line
    }

    /// Answers [`Event::Recipient`]: whether its mail is taken, or why that cannot be told.
    pub(crate) fn recipient(&mut self, taken: coldpost_engine::Result<bool>) {
        let State::Lookup(address, name) = std::mem::replace(&mut self.state, State::Command)
        else {
            unreachable!("a recipient is answered once, when it was asked for");
        };
        match (taken, &mut self.transaction) {
            (Ok(true), Some(transaction)) => {
                transaction.accept(address, name);
                self.accept(&Reply::new(250, "2.1.5", "OK"));
            }
            (Ok(_), _) => self.refuse(&reply::UNKNOWN_RECIPIENT),
            (Err(error), _) => self.refuse(&reply::lookup_failed(&error)),
        }
    }

    /// Answers [`Event::Deliver`]: what became of each recipient, in their order, or why nothing was stored.
    pub(crate) fn delivered(&mut self, result: coldpost_engine::Result<Vec<Delivered>>) {
        assert!(
            matches!(self.state, State::Delivery),
            "a delivery is answered once, when it was asked for"
        );
        self.state = State::Command;
        let recipients = self
            .transaction
            .take()
            .map(|t| t.recipients)
            .unwrap_or_default();
        match result {
            Ok(outcomes) => {
                let asked = recipients.len();
                assert_eq!(outcomes.len(), asked, "one outcome for each recipient");
                for (recipient, outcome) in recipients.iter().zip(&outcomes) {
                    reply::delivered(outcome, &recipient.address.typed).write(&mut self.output);
                }
            }
            Err(error) => {
                let reply = reply::delivery_failed(&error);
                recipients
                    .iter()
                    .for_each(|_| reply.write(&mut self.output));
            }
        }
    }

    /// Ends the session from our side: 421 and close.
    pub(crate) fn end(&mut self, reply: &Reply) {
        reply.write(&mut self.output);
        self.state = State::Closing;
    }

    /// Carries a command out; `Err` is its refusal.
    fn command(&mut self, line: &[u8]) -> Result<Option<Event>, Reply> {
        let command = parse(line)?;
        let verb = command.verb();
        let event = self.carry_out(command)?;
        metrics::lmtp_command(verb);
        Ok(event)
    }

    fn carry_out(&mut self, command: Command) -> Result<Option<Event>, Reply> {
        let answer = match command {
            Command::Lhlo(name) => {
                self.lhlo = Some(name);
                self.transaction = None;
                self.write_extensions();
                self.bad_commands = 0;
                return Ok(None);
            }
            Command::Mail(mail) => self.mail(mail)?,
            Command::Rcpt(address) => return self.rcpt(address).map(Some),
            Command::Data => return self.begin().map(Some),
            Command::Rset => {
                self.transaction = None;
                OK
            }
            Command::Noop => OK,
            Command::StartTls => match self.cover {
                Cover::Clear => return Err(NO_TLS),
                Cover::Tls => return Err(Reply::new(503, "5.5.1", "TLS is on already")),
                Cover::StartTls => {
                    self.state = State::StartingTls;
                    Reply::new(220, "2.0.0", "Begin TLS now")
                }
            },
            Command::Vrfy => Reply::new(252, "2.5.0", "Ask with MAIL and RCPT"),
            Command::Help => Reply::new(
                214,
                "2.0.0",
                "LHLO MAIL RCPT DATA RSET NOOP VRFY HELP STARTTLS QUIT",
            ),
            Command::Quit => {
                self.end(&Reply::new(221, "2.0.0", "Bye"));
                return Ok(None);
            }
        };
        self.accept(&answer);
        Ok(None)
    }

    fn accept(&mut self, reply: &Reply) {
        self.bad_commands = 0;
        reply.write(&mut self.output);
    }

    /// Writes a refusal; too many wrong commands in a row end the session. Recipients and sizes that are refused are not wrong commands.
    fn refuse(&mut self, reply: &Reply) {
        reply.write(&mut self.output);
        if matches!(reply.code(), 500..=503 | 555) {
            self.bad_commands += 1;
        }
        if self.bad_commands >= BAD_COMMANDS_MAX {
            self.end(&Reply::new(421, "4.7.0", "Too many wrong commands"));
        }
    }

    fn write_extensions(&mut self) {
        let Settings {
            hostname,
            max_message,
            ..
        } = &*self.settings;
        let tls = match self.cover {
            Cover::StartTls => "250-STARTTLS\r\n",
            Cover::Clear | Cover::Tls => "",
        };
        let lines = format!(
            "250-{hostname}\r\n250-PIPELINING\r\n{tls}250-SIZE {max_message}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n"
        );
        self.output.extend_from_slice(lines.as_bytes());
    }

    fn mail(&mut self, mail: Mail) -> Result<Reply, Reply> {
        if self.lhlo.is_none() {
            return Err(NEED_LHLO);
        }
        if self.transaction.is_some() {
            return Err(Reply::new(
                503,
                "5.5.1",
                "MAIL was said already; RSET begins anew",
            ));
        }
        self.transaction = Some(Transaction::new(mail, &self.settings)?);
        Ok(Reply::new(250, "2.1.0", "OK"))
    }

    fn rcpt(&mut self, address: Address) -> Result<Event, Reply> {
        let transaction = self.transaction.as_ref().ok_or(NEED_MAIL)?;
        let name = transaction.consider(&address, &self.settings)?;
        self.state = State::Lookup(address, name.clone());
        Ok(Event::Recipient(name))
    }

    fn begin(&mut self) -> Result<Event, Reply> {
        let transaction = self.transaction.as_ref().ok_or(NEED_MAIL)?;
        let envelope = transaction.envelope(self.lhlo.as_deref().unwrap_or_default())?;
        self.state = State::Data(Data::new(), 0);
        self.output
            .extend_from_slice(b"354 End the message with CRLF.CRLF\r\n");
        Ok(Event::Begin(envelope))
    }

    /// Reads what came of a message. Too large: it is read to its end and refused there.
    fn data(&mut self, mut data: Data, seen: u64) -> Option<Event> {
        let max = self.settings.max_message;
        let mut chunk = Vec::with_capacity(self.input.bytes().len() + 1);
        let fed = data.feed(self.input.bytes(), &mut chunk);
        match fed {
            Fed::More => self.input.consume_all(),
            Fed::End(used) => self.input.consume(used),
        }
        let now_seen = seen.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        let over = now_seen > max;
        match fed {
            Fed::More => {
                self.state = State::Data(data, now_seen);
                if over {
                    (seen <= max).then_some(Event::Discard)
                } else {
                    Some(Event::Chunk(chunk))
                }
            }
            Fed::End(_) if over => {
                self.state = State::Command;
                let recipients = self
                    .transaction
                    .take()
                    .map(|t| t.recipients)
                    .unwrap_or_default();
                recipients
                    .iter()
                    .for_each(|_| TOO_LARGE.write(&mut self.output));
                (seen <= max).then_some(Event::Discard)
            }
            Fed::End(_) => {
                self.state = State::Delivery;
                let recipients = self.transaction.iter().flat_map(|t| &t.recipients);
                Some(Event::Deliver {
                    last: chunk,
                    to: recipients.map(|r| r.account.clone()).collect(),
                })
            }
        }
    }
}

/// What the refusal of a command is counted as, where it is about a message or recipient.
fn counted(reply: &Reply) -> Option<Refusal> {
    if *reply == TOO_LARGE {
        Some(Refusal::TooLarge)
    } else if *reply == reply::UNKNOWN_RECIPIENT {
        Some(Refusal::UnknownRecipient)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
