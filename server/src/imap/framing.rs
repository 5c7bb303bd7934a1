//! Cuts the bytes of a client into commands, literals included, before anything else looks at them.
//!
//! Promises: every bound is checked here, and a synchronising literal is refused before one of its octets is sent; the same bytes give
//! the same events however they were split; memory is bounded by the bounds of a command, since octets of a message are handed on as
//! they come. Never: touches a socket, understands a command beyond its tag, whether it takes literals and whether it is an APPEND.
//!
//! Lines end with CRLF; a bare LF is taken too, as Dovecot does. Inside a command both are written CRLF. What is refused is read to its
//! end and thrown away, so that the answer stands where the client expects it (RFC 7888, 4).

mod marker;

use bytes::{Buf, Bytes, BytesMut};

pub(in crate::imap) use marker::tag_of;
use marker::{MARKER_MAX, Marker, announces_message, marker, may_have_literal};

use crate::imap::reply::{Code, Refusal};
use crate::limits;

/// The bounds of a connection, which grow with the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramerLimits {
    /// Bytes of all lines of a command.
    pub line: usize,
    /// Bytes of a literal that is not a message.
    pub literal: usize,
    /// Octets of a message; `None`: APPEND is a command like any other, its literal is not streamed.
    pub message: Option<u64>,
}

impl FramerLimits {
    /// For clients that have not logged in.
    pub fn before_login() -> FramerLimits {
        FramerLimits {
            line: limits::IMAP_LINE_BEFORE_LOGIN_MAX,
            literal: limits::IMAP_LITERAL_BEFORE_LOGIN_MAX,
            message: None,
        }
    }

    /// For clients that have; `max_message` is the largest message in octets.
    pub fn after_login(max_message: u64) -> FramerLimits {
        FramerLimits {
            line: limits::IMAP_LINE_MAX,
            literal: limits::IMAP_LITERAL_MAX,
            message: Some(max_message),
        }
    }
}

/// What the bytes were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole command: its lines joined by CRLF, literals inline with their markers, without the last line end.
    Command(Vec<u8>),
    /// The client waits before it sends a literal that is within the bounds: send a continuation now.
    NeedContinuation,
    /// An APPEND up to its message: answer with [`Framer::accept`] or [`Framer::refuse`]; until then `next` gives nothing.
    AppendLiteral {
        /// The command up to and with the marker of the message, as the grammar wants it. For a further message of the same
        /// APPEND: what stands between the two.
        command: Vec<u8>,
        /// Octets that will follow; within the bound.
        size: u64,
        /// Whether the client waits for a continuation.
        synchronising: bool,
        /// False for the second and later messages of one APPEND (RFC 3502).
        first: bool,
    },
    /// The next octets of the accepted message; `size` in all.
    AppendData(Bytes),
    /// The end of the APPEND: what stood behind its last message, which must be nothing.
    AppendEnd(Vec<u8>),
    /// The line that was asked for with [`Framer::expect_line`], without its end.
    Line(Vec<u8>),
    /// A command that is over, an APPEND under way included: send this answer.
    Refused(Refusal),
}

#[derive(Debug)]
enum State {
    /// A line of a command; what came of the command before is in `command`.
    Line,
    /// One line that is no command.
    Answer,
    /// Octets of an inline literal still to come.
    Literal(usize),
    /// The session has to decide on a message.
    Undecided { size: u64, synchronising: bool },
    /// Octets of a message still to come.
    Message(u64),
    /// The line behind a message.
    MessageEnd,
    /// The rest of a line is thrown away; its last bytes are kept to see a marker.
    SwallowLine { tail: Vec<u8>, markers: bool },
    /// Octets of a literal are thrown away.
    SwallowLiteral(u64),
    /// Nothing more is read.
    Closed(Refusal),
}

/// The state between two reads of a connection.
#[derive(Debug)]
pub struct Framer {
    limits: FramerLimits,
    state: State,
    /// Not yet looked at, except for the first `scanned` bytes, which hold no LF.
    input: BytesMut,
    scanned: usize,
    /// What came of the current command.
    command: Vec<u8>,
    /// Bytes of its lines, and how many literals it has.
    line_bytes: usize,
    literals: usize,
    /// Why the current command is thrown away, and how many bytes of it were.
    refusal: Option<Refusal>,
    swallowed: u64,
}

impl Framer {
    /// At the start of a connection.
    pub fn new(limits: FramerLimits) -> Framer {
        Framer {
            limits,
            state: State::Line,
            input: BytesMut::new(),
            scanned: 0,
            command: Vec::new(),
            line_bytes: 0,
            literals: 0,
            refusal: None,
            swallowed: 0,
        }
    }

    /// Sets the bounds for the commands to come.
    pub fn set_limits(&mut self, limits: FramerLimits) {
        self.limits = limits;
    }

    /// Takes bytes from the client. Take all events with [`Framer::next`] before the next call, so that no more than one read waits.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Gives back what long commands needed, where nothing of one has come.
    pub fn rest(&mut self) {
        if self.input.is_empty() && self.command.is_empty() {
            self.input = BytesMut::new();
            self.command = Vec::new();
        }
    }

    /// Bytes that were pushed and not yet looked at. More than 0 after STARTTLS or AUTHENTICATE was read means that the client did
    /// not wait.
    pub fn buffered(&self) -> usize {
        self.input.len()
    }

    /// Forgets what was pushed and not yet looked at (RFC 3501, 6.2.1: nothing from before TLS counts).
    pub fn discard_buffered(&mut self) {
        self.input.clear();
        self.scanned = 0;
    }

    /// Between two commands: nothing of one has come yet.
    pub fn is_between_commands(&self) -> bool {
        matches!(self.state, State::Line) && self.command.is_empty() && self.input.is_empty()
    }

    /// The next line is no command but the answer to a continuation (AUTHENTICATE) or DONE (IDLE): it comes as [`Event::Line`].
    pub fn expect_line(&mut self) {
        if matches!(self.state, State::Line) && self.command.is_empty() {
            self.state = State::Answer;
        }
    }

    /// The message that [`Event::AppendLiteral`] announced is wanted. Send a continuation when the client waits for it.
    pub fn accept(&mut self) {
        if let State::Undecided { size, .. } = self.state {
            self.state = State::Message(size);
        }
    }

    /// The message that [`Event::AppendLiteral`] announced is not wanted, or is not wanted any more: `refusal` comes back as
    /// [`Event::Refused`] when the client has sent what it is going to send.
    pub fn refuse(&mut self, refusal: Refusal) {
        match self.state {
            State::Undecided {
                size,
                synchronising: false,
            }
            | State::Message(size) => self.swallow(refusal, State::SwallowLiteral(size)),
            State::Undecided { .. } => self.swallow(refusal, State::Line),
            State::MessageEnd => self.swallow(refusal, State::SwallowLiteral(0)),
            _ => {}
        }
    }

    /// What the bytes so far are; `None`: more are needed, or [`Framer::accept`] or [`Framer::refuse`].
    ///
    /// # Errors
    /// A BYE: the client is so far beyond a bound that what it sends is no longer read. Send it and close; nothing else comes.
    #[expect(
        clippy::should_implement_trait,
        reason = "no iterator: input and decisions come in between"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, Refusal> {
        loop {
            let event = match &mut self.state {
                State::Closed(refusal) => return Err(refusal.clone()),
                State::Undecided { .. } => return Ok(None),
                State::Line if self.refusal.is_some() => self.finish_refused(),
                State::Line | State::Answer | State::MessageEnd => match self.take_line() {
                    Some(line) => self.line(line),
                    None => return Ok(None),
                },
                State::Literal(left) => {
                    let now = (*left).min(self.input.len());
                    *left -= now;
                    let done = *left == 0;
                    self.command.extend_from_slice(&self.input.split_to(now));
                    if !done {
                        return Ok(None);
                    }
                    self.state = State::Line;
                    None
                }
                State::Message(0) => {
                    self.state = State::MessageEnd;
                    None
                }
                State::Message(left) => {
                    let now = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(self.input.len());
                    if now == 0 {
                        return Ok(None);
                    }
                    *left -= u64::try_from(now).unwrap_or(u64::MAX);
                    Some(Event::AppendData(self.input.split_to(now).freeze()))
                }
                State::SwallowLine { .. } | State::SwallowLiteral(_) => {
                    if !self.swallow_on() {
                        return Ok(None);
                    }
                    None
                }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// A whole line without its end, when it is there and within the bound; a longer one starts to be swallowed (`Some(None)`).
    fn take_line(&mut self) -> Option<Option<Vec<u8>>> {
        let room = self.limits.line.saturating_sub(self.line_bytes);
        let unscanned = self.input.get(self.scanned..).unwrap_or_default();
        let Some(at) = unscanned.iter().position(|&b| b == b'\n') else {
            self.scanned = self.input.len();
            return (self.input.len() > room.saturating_add(1)).then_some(None);
        };
        let end = self.scanned + at;
        let line = self.input.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > room {
            return Some(None);
        }
        let line = line.to_vec();
        self.input.advance(end + 1);
        self.scanned = 0;
        Some(Some(line))
    }

    fn line(&mut self, line: Option<Vec<u8>>) -> Option<Event> {
        let state = std::mem::replace(&mut self.state, State::Line);
        let Some(line) = line else {
            return self.line_too_long(&state);
        };
        if matches!(state, State::Answer) {
            return Some(Event::Line(line));
        }
        self.line_bytes += line.len();
        let found = marker(&line);
        match (state, found) {
            (State::MessageEnd, None) => {
                self.reset();
                Some(Event::AppendEnd(line))
            }
            (State::MessageEnd, Some(found)) => {
                self.line_bytes = 0;
                self.message(line, found, false)
            }
            (_, None) => {
                self.command.extend_from_slice(&line);
                let command = std::mem::take(&mut self.command);
                self.reset();
                Some(Event::Command(command))
            }
            (_, Some(found)) => {
                self.command.extend_from_slice(&line);
                if self.limits.message.is_some() && announces_message(&self.command, found) {
                    let command = self.command.clone();
                    self.message(command, found, true)
                } else {
                    self.literal(found)
                }
            }
        }
    }

    fn line_too_long(&mut self, state: &State) -> Option<Event> {
        let answer = matches!(state, State::Answer);
        if self.command.is_empty() && !answer {
            let start = self.input.len().min(limits::IMAP_TAG_MAX + 1);
            self.command
                .extend_from_slice(self.input.get(..start).unwrap_or_default());
        }
        let refusal = Refusal::bad(format!(
            "the command line is longer than {} bytes",
            self.limits.line
        ));
        let rest = State::SwallowLine {
            tail: Vec::new(),
            markers: !answer,
        };
        self.swallow(refusal, rest);
        None
    }

    fn literal(&mut self, found: Marker) -> Option<Event> {
        self.literals += 1;
        let size = usize::try_from(found.size).unwrap_or(usize::MAX);
        let refusal = if found.binary {
            Refusal::bad("binary literals (~{n}) are not supported here")
        } else if !may_have_literal(&self.command) {
            Refusal::bad("no literal can stand here: expected a tag and a command that takes one")
        } else if self.literals > limits::IMAP_LITERALS_MAX {
            let most = limits::IMAP_LITERALS_MAX;
            Refusal::bad(format!("the command has more than {most} literals"))
        } else if size > self.limits.literal {
            let most = self.limits.literal;
            Refusal::no(
                Code::TooBig,
                format!("a literal here has at most {most} bytes"),
            )
        } else {
            self.command.extend_from_slice(b"\r\n");
            self.state = State::Literal(size);
            return found.synchronising.then_some(Event::NeedContinuation);
        };
        self.refuse_literal(refusal, found)
    }

    fn message(&mut self, command: Vec<u8>, found: Marker, first: bool) -> Option<Event> {
        let most = self.limits.message.unwrap_or(0);
        if found.size > most {
            let text = format!("a message has at most {most} bytes");
            return self.refuse_literal(Refusal::no(Code::TooBig, text), found);
        }
        self.state = State::Undecided {
            size: found.size,
            synchronising: found.synchronising,
        };
        Some(Event::AppendLiteral {
            command,
            size: found.size,
            synchronising: found.synchronising,
            first,
        })
    }

    /// A literal that is not read: nothing of it comes when the client waits, all of it and the rest of the command otherwise.
    fn refuse_literal(&mut self, refusal: Refusal, found: Marker) -> Option<Event> {
        let rest = match found.synchronising {
            true => State::Line,
            false => State::SwallowLiteral(found.size),
        };
        self.swallow(refusal, rest);
        None
    }

    fn swallow(&mut self, mut refusal: Refusal, rest: State) {
        if refusal.tag.is_none() {
            refusal.tag = tag_of(&self.command);
        }
        self.refusal = Some(refusal);
        self.state = rest;
    }

    /// Throws away what is there; false when more is needed.
    fn swallow_on(&mut self) -> bool {
        let most = limits::IMAP_SWALLOW_MAX.saturating_add(self.limits.message.unwrap_or(0));
        let (now, next) = match &mut self.state {
            State::SwallowLiteral(left) => {
                if self.swallowed.saturating_add(*left) > most {
                    return self.close(most);
                }
                let now = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(self.input.len());
                *left -= u64::try_from(now).unwrap_or(u64::MAX);
                let rest = State::SwallowLine {
                    tail: Vec::new(),
                    markers: true,
                };
                (now, (*left == 0).then_some(rest))
            }
            State::SwallowLine { tail, markers } => {
                let end = self.input.iter().position(|&b| b == b'\n');
                let now = end.map_or(self.input.len(), |end| end + 1);
                let line = self.input.get(..now).unwrap_or_default();
                tail.extend_from_slice(
                    line.get(line.len().saturating_sub(MARKER_MAX)..)
                        .unwrap_or_default(),
                );
                tail.drain(..tail.len().saturating_sub(MARKER_MAX));
                let line = tail.strip_suffix(b"\n").unwrap_or(tail);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let found = marker(line).filter(|found| *markers && !found.synchronising);
                let next = found.map_or(State::Line, |found| State::SwallowLiteral(found.size));
                (now, end.map(|_| next))
            }
            _ => return true,
        };
        self.input.advance(now);
        self.scanned = 0;
        self.swallowed = self
            .swallowed
            .saturating_add(u64::try_from(now).unwrap_or(u64::MAX));
        if self.swallowed > most {
            return self.close(most);
        }
        match next {
            Some(next) => {
                self.state = next;
                true
            }
            None => false,
        }
    }

    fn close(&mut self, most: u64) -> bool {
        let text = format!("more than {most} bytes after a command was refused");
        self.state = State::Closed(Refusal::bye(Some(Code::TooBig), text));
        self.input.clear();
        true
    }

    fn finish_refused(&mut self) -> Option<Event> {
        let refusal = self.refusal.take();
        self.reset();
        refusal.map(Event::Refused)
    }

    fn reset(&mut self) {
        self.state = State::Line;
        self.command.clear();
        self.line_bytes = 0;
        self.literals = 0;
        self.refusal = None;
        self.swallowed = 0;
    }
}

#[cfg(test)]
mod tests;
