//! What the client sends, as events; and how long it is waited for.
//!
//! Promises: whatever was said to the client is on its way before it is waited for; a stop of the daemon ends the wait.
//! Never: reads further than one buffer ahead of what was asked for.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::imap::completion::{Completion, Failure, Outcome};
use crate::imap::framing::{Event, Framer, FramerLimits};
use crate::imap::out::Out;
use crate::imap::reply::{self, Code, Refusal};
use crate::limits::{
    IMAP_INACTIVITY_TIMEOUT, IMAP_INPUT_BUFFER, IMAP_INPUT_BUFFER_WAITING, IMAP_INPUT_TIMEOUT,
    IMAP_LOGIN_TIMEOUT, IMAP_REST_AFTER,
};

/// How long the next bytes are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until the time for logging in is over, or by what is expected next.
    Normal,
    /// For ever: in IDLE the keep-alive lines find out when nobody is there any more.
    Idle,
}

/// The client's half of a connection.
pub(crate) struct Input<'a> {
    reader: &'a mut (dyn AsyncRead + Unpin + Send),
    framer: Framer,
    buffer: Vec<u8>,
    shutdown: watch::Receiver<bool>,
    /// Until when the client must have logged in; `None` once it has.
    login_until: Option<Instant>,
}

impl<'a> Input<'a> {
    pub(crate) fn new(
        reader: &'a mut (dyn AsyncRead + Unpin + Send),
        shutdown: watch::Receiver<bool>,
    ) -> Input<'a> {
        Input {
            reader,
            framer: Framer::new(FramerLimits::before_login()),
            buffer: Vec::new(),
            shutdown,
            login_until: Some(Instant::now() + IMAP_LOGIN_TIMEOUT),
        }
    }

    /// The client has logged in: larger commands, more time.
    pub(crate) fn logged_in(&mut self, max_message: u64) {
        self.framer
            .set_limits(FramerLimits::after_login(max_message));
        self.login_until = None;
    }

    /// The next event. Continuations that only the framing needs are sent here.
    ///
    /// # Errors
    /// `Connection` (`UnexpectedEof`) when the client has closed; `Bye` when it was waited for too long or is out of bounds.
    pub(crate) async fn event(&mut self, out: &mut Out<'_>) -> Outcome<Event> {
        loop {
            if let Some(event) = self.ready(out).await? {
                return Ok(event);
            }
            out.flush().await?;
            match timeout(IMAP_REST_AFTER, self.read(Patience::Normal)).await {
                Ok(read) => read?,
                Err(_) => {
                    self.rest(out);
                    self.read(Patience::Normal).await?;
                }
            }
        }
    }

    /// The next event, if the bytes read so far make one.
    pub(crate) async fn ready(&mut self, out: &mut Out<'_>) -> Outcome<Option<Event>> {
        loop {
            match self.framer.next() {
                Err(refusal) => return Err(Failure::Bye(Completion::from(refusal))),
                Ok(Some(Event::NeedContinuation)) => {
                    reply::continuation(out.buffer(), "Ready for literal data")
                }
                Ok(event) => return Ok(event),
            }
        }
    }

    /// Gives back what the last commands needed: the client may be silent for long. `out` was flushed.
    pub(crate) fn rest(&mut self, out: &mut Out<'_>) {
        out.rest();
        self.framer.rest();
    }

    /// As much as one read takes: little where the client may be silent for long.
    fn make_room(&mut self, patience: Patience) {
        let wanted = if patience == Patience::Idle || self.framer.is_between_commands() {
            IMAP_INPUT_BUFFER_WAITING
        } else {
            IMAP_INPUT_BUFFER
        };
        if self.buffer.len() != wanted {
            self.buffer = vec![0; wanted];
        }
    }

    /// Reads once. May be dropped while it waits: nothing is lost.
    pub(crate) async fn read(&mut self, patience: Patience) -> Outcome<()> {
        let wait = match (patience, self.login_until) {
            (Patience::Idle, _) => None,
            (Patience::Normal, Some(until)) => Some(until),
            (Patience::Normal, None) if self.framer.is_between_commands() => {
                Some(after(IMAP_INACTIVITY_TIMEOUT))
            }
            (Patience::Normal, None) => Some(after(IMAP_INPUT_TIMEOUT)),
        };
        self.make_room(patience);
        let read = async {
            let read = self.reader.read(self.buffer.as_mut_slice());
            match wait {
                Some(until) => timeout_at(until, read).await,
                None => Ok(read.await),
            }
        };
        let read = tokio::select! {
            biased;
            () = stopped(&mut self.shutdown) => return Err(Failure::Bye(Completion::bye("The server stops").with(Code::Unavailable))),
            read = read => read,
        };
        let count = match read {
            Ok(read) => read?,
            Err(_) => return Err(Failure::Bye(Completion::bye("Waited too long for you"))),
        };
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.framer
            .push(self.buffer.get(..count).unwrap_or_default());
        Ok(())
    }

    /// The next line, which is not a command: the answer to a continuation.
    pub(crate) async fn line(&mut self, out: &mut Out<'_>) -> Outcome<Vec<u8>> {
        self.framer.expect_line();
        match self.event(out).await? {
            Event::Line(line) => Ok(line),
            Event::Refused(refusal) => Err(Completion::from(refusal).into()),
            other => unreachable!("{other:?} where a line was expected"),
        }
    }

    /// From here on until it came: the next line is not a command.
    pub(crate) fn expect_line(&mut self) {
        self.framer.expect_line();
    }

    /// The announced message of an APPEND is wanted.
    pub(crate) fn accept_message(&mut self) {
        self.framer.accept();
    }

    /// The announced message of an APPEND is not wanted (any more): reads what the client sends of it all the same.
    pub(crate) async fn skip_message(&mut self, out: &mut Out<'_>) -> Outcome<()> {
        self.framer.refuse(Refusal::bad("not wanted"));
        while !matches!(self.event(out).await?, Event::Refused(_)) {}
        Ok(())
    }
}

fn after(time: Duration) -> Instant {
    Instant::now() + time
}

/// Returns when the daemon stops.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|stop| *stop).await.is_err() {
        // Whoever could say so is gone: it will not be said.
        std::future::pending::<()>().await;
    }
}
