//! Clients that are slower than any honest one: many connections, each of which sends one byte a second.
//!
//! Promises: a connection that the server ends is made again, so their number stays; none of them ever completes what it began.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::must::Must;
use crate::wait;

/// One byte of each connection in this time.
const ROUND: Duration = Duration::from_secs(1);
/// Longest wait for an answer while a connection is brought to where it slows down.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where they go.
#[derive(Clone, Debug)]
pub struct Target {
    /// LMTP: every other connection.
    pub lmtp: SocketAddr,
    /// IMAP: the others.
    pub imap: SocketAddr,
    /// Who logs in, and is written to.
    pub user: String,
    /// Lets him in.
    pub password: String,
}

/// Running until it is dropped.
#[derive(Debug)]
pub struct Sluggards {
    over: Arc<AtomicBool>,
    again: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// Where a connection slows down.
#[derive(Clone, Copy, Debug)]
enum Place {
    LmtpCommand,
    LmtpMessage,
    ImapBeforeLogin,
    ImapCommand,
    ImapLiteral,
}

/// Every second of them speaks LMTP.
const PLACES: [Place; 6] = [
    Place::LmtpMessage,
    Place::ImapLiteral,
    Place::LmtpCommand,
    Place::ImapBeforeLogin,
    Place::LmtpMessage,
    Place::ImapCommand,
];

struct Connection {
    place: Place,
    stream: TcpStream,
    sent: usize,
}

impl Sluggards {
    /// Makes `count` connections and goes on in a thread of its own.
    ///
    /// # Panics
    /// When one is refused.
    pub fn begin(target: &Target, count: usize) -> Sluggards {
        let make = |number: usize| Connection::make(target, PLACES[number % PLACES.len()]);
        let mut connections: Vec<Connection> = (0..count).map(make).collect();
        let (over, again) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (ends, counts, target) = (Arc::clone(&over), Arc::clone(&again), target.clone());
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let begun = Instant::now();
                for connection in &mut connections {
                    if !connection.drip() && !ends.load(Ordering::Relaxed) {
                        counts.fetch_add(1, Ordering::Relaxed);
                        *connection = Connection::make(&target, connection.place);
                    }
                }
                wait::try_until(ROUND.saturating_sub(begun.elapsed()), || {
                    ends.load(Ordering::Relaxed)
                });
            }
        });
        Sluggards {
            over,
            again,
            thread: Some(thread),
        }
    }

    /// Connections that the server ended and that were made again.
    pub fn made_again(&self) -> usize {
        self.again.load(Ordering::Relaxed)
    }
}

impl Drop for Sluggards {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if let Some(Err(panic)) = ended
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Connection {
    fn make(target: &Target, place: Place) -> Connection {
        let (user, password) = (&target.user, &target.password);
        let login = format!("a LOGIN {user} {password}\r\n");
        let (addr, steps) = match place {
            Place::LmtpCommand => (target.lmtp, vec![String::new()]),
            Place::LmtpMessage => (
                target.lmtp,
                vec![
                    String::new(),
                    "LHLO slow.example\r\n".to_owned(),
                    "MAIL FROM:<slow@example.org>\r\n".to_owned(),
                    format!("RCPT TO:<{user}>\r\n"),
                    "DATA\r\n".to_owned(),
                ],
            ),
            Place::ImapBeforeLogin => (target.imap, vec![String::new()]),
            Place::ImapCommand => (target.imap, vec![String::new(), login]),
            Place::ImapLiteral => (
                target.imap,
                vec![
                    String::new(),
                    login,
                    "b APPEND INBOX {100000}\r\n".to_owned(),
                ],
            ),
        };
        let mut stream = TcpStream::connect(addr).must("a slow connection");
        stream
            .set_read_timeout(Some(PATIENCE))
            .must("a socket's patience");
        stream.set_nodelay(true).must("a socket's mode");
        for step in steps {
            stream.write_all(step.as_bytes()).must("beginning slowly");
            await_answer(&mut stream);
        }
        stream.set_nonblocking(true).must("a socket's mode");
        Connection {
            place,
            stream,
            sent: 0,
        }
    }

    /// Sends one byte; whether the server still listens.
    fn drip(&mut self) -> bool {
        let text: &[u8] = match self.place {
            Place::LmtpCommand => b"LHLO a-name-that-takes-its-time",
            Place::LmtpMessage | Place::ImapLiteral => b"Subject: slowly\r\n",
            Place::ImapBeforeLogin => b"a LOGIN ",
            Place::ImapCommand => b"b SELECT ",
        };
        // A command goes on in its last word, a message line by line.
        let byte = match self.place {
            Place::LmtpMessage | Place::ImapLiteral => text[self.sent % text.len()],
            _ => text.get(self.sent).copied().unwrap_or(b'x'),
        };
        self.sent += 1;
        let mut answer = [0; 512];
        let ended = matches!(self.stream.read(&mut answer), Ok(0));
        let written = match self.stream.write(&[byte]) {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        written && !ended
    }
}

/// Reads one answer: up to a line that is the last of a reply of LMTP, or a tagged line or continuation of IMAP.
fn await_answer(stream: &mut TcpStream) {
    let mut got = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).must("an answer to a slow client");
        assert!(count > 0, "ended: {}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&got);
        let last = text
            .strip_suffix("\r\n")
            .and_then(|text| text.lines().last());
        let Some(last) = last else { continue };
        let of_lmtp = last.as_bytes().get(3) == Some(&b' ') && last.as_bytes()[0].is_ascii_digit();
        let accepted = last.starts_with(['2', '3']) || last.starts_with('+') || last.contains("OK");
        if of_lmtp || last.starts_with(['*', '+', 'a', 'b']) {
            assert!(accepted, "a slow client was refused: {last}");
            return;
        }
    }
}
