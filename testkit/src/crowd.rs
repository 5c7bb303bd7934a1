//! Many IMAP sessions that wait in IDLE, watched by one thread.
//!
//! Promises: a session costs the client a socket and a few bytes, so that what is measured is the server.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::must::Must;

/// Threads that log in.
const ENTERING: usize = 8;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// What tells a session of new mail.
const TOLD: &[u8] = b" EXISTS\r\n";

/// Sessions in IDLE on INBOX.
#[derive(Debug)]
pub struct Crowd {
    sessions: Vec<Session>,
    events: OwnedFd,
}

#[derive(Debug)]
struct Session {
    stream: TcpStream,
    /// The end of what it read, in which the beginning of [`TOLD`] may stand.
    rest: Vec<u8>,
    told: bool,
}

impl Crowd {
    /// Logs in `count` sessions, session n as `user(n)`, selects INBOX and begins IDLE in each.
    ///
    /// # Panics
    /// When one of them is refused.
    pub fn enter(
        addr: SocketAddr,
        password: &str,
        count: usize,
        user: impl Fn(usize) -> String + Sync,
    ) -> Crowd {
        let mut sessions = Vec::with_capacity(count);
        std::thread::scope(|scope| {
            let enter = |first: usize| {
                let user = &user;
                scope.spawn(move || {
                    (first..count)
                        .step_by(ENTERING)
                        .map(|number| idle(addr, &user(number), password))
                        .collect::<Vec<Session>>()
                })
            };
            let threads: Vec<_> = (0..ENTERING).map(enter).collect();
            for thread in threads {
                match thread.join() {
                    Ok(more) => sessions.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        let events = epoll::create(CreateFlags::CLOEXEC).must("an epoll instance");
        for (number, session) in sessions.iter().enumerate() {
            let data = EventData::new_u64(number as u64);
            epoll::add(&events, &session.stream, data, EventFlags::IN).must("watching a socket");
        }
        Crowd { sessions, events }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Does `work` in another thread and waits until every session was told of new mail since it began; how long that took.
    ///
    /// # Panics
    /// When a session ends, or not all were told within `at_most`.
    pub fn all_told(&mut self, at_most: Duration, work: impl FnOnce() + Send) -> Duration {
        for session in &mut self.sessions {
            session.told = false;
        }
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(work);
            let mut missing = self.sessions.len();
            while missing > 0 {
                let left = at_most.saturating_sub(begun.elapsed());
                assert!(
                    !left.is_zero(),
                    "{missing} of {} sessions were not told within {} s",
                    self.sessions.len(),
                    at_most.as_secs()
                );
                missing -= self.look(left);
            }
            begun.elapsed()
        })
    }

    /// Reads what is there; how many sessions were told that had not been.
    fn look(&mut self, at_most: Duration) -> usize {
        let mut events = Vec::with_capacity(4_096);
        let at_most = rustix::event::Timespec::try_from(at_most).must("a time to wait");
        let buffer = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.events, buffer, Some(&at_most)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("waiting for sessions: {error}"),
        }
        let mut newly = 0;
        for event in events {
            let number = usize::try_from(event.data.u64()).must("a session's number");
            newly += usize::from(self.sessions[number].read());
        }
        newly
    }
}

impl Session {
    /// Takes what is there; whether it was told for the first time.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("a session that waited in IDLE was ended by the server"),
                Ok(count) => {
                    self.rest.extend_from_slice(&buffer[..count]);
                    if count < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("a session that waited in IDLE: {error}"),
            }
        }
        let has = self.rest.windows(TOLD.len()).any(|bytes| bytes == TOLD);
        let keep = self.rest.len().min(TOLD.len() - 1);
        self.rest.drain(..self.rest.len() - keep);
        let newly = has && !self.told;
        self.told |= has;
        newly
    }
}

fn idle(addr: SocketAddr, user: &str, password: &str) -> Session {
    let mut stream = TcpStream::connect(addr).must("an IMAP session");
    stream
        .set_read_timeout(Some(PATIENCE))
        .must("a socket's patience");
    await_line(&mut stream, "* OK");
    for (command, answer) in [
        (format!("a LOGIN {user} {password}"), "a OK"),
        ("b SELECT INBOX".to_owned(), "b OK"),
        ("c IDLE".to_owned(), "+ "),
    ] {
        stream
            .write_all(format!("{command}\r\n").as_bytes())
            .must("writing to a session");
        await_line(&mut stream, answer);
    }
    stream.set_nonblocking(true).must("a socket's mode");
    Session {
        stream,
        rest: Vec::new(),
        told: false,
    }
}

/// Reads up to the end of a line that begins with `start`; what comes before it is not wanted.
fn await_line(stream: &mut TcpStream, start: &str) {
    let mut got = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).must("reading from a session");
        assert!(count > 0, "ended: {}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&got);
        let whole = text
            .split_inclusive("\r\n")
            .filter(|line| line.ends_with("\r\n"));
        if whole.last().is_some_and(|line| line.starts_with(start)) {
            return;
        }
    }
}
