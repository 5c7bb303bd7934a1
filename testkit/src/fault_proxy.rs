//! A proxy before the object store that misbehaves on order: down, slow, wrong.
//!
//! Promises: the mode can change between any two requests; every request line is kept, so a test can count them.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::dice::Dice;
use crate::http::{self, Head};
use crate::must::Must;
use crate::s3_faults::{S3Fault, S3Faults};
use crate::wait;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing special.
    Pass,
    /// The connection is closed at once.
    Refuse,
    /// No answer until the mode changes.
    Hang,
    /// An answer after this time.
    Delay(Duration),
    /// This status, not asking the store (403, 404, 500, 503).
    Status(u16),
    /// This status and this body, not asking the store.
    Say(u16, &'static str),
    /// 412 to every put, a page in HTML to everything else: a gateway that wants somebody to log in.
    Page,
    /// Only the first half of the body, then the end.
    Truncate,
    /// One bit in the middle of the body is another one.
    Flip,
    /// The store does it, the answer is lost.
    LoseAnswer,
}

#[derive(Debug)]
struct Shared {
    mode: Mode,
    only: String,
    requests: Vec<String>,
    faults: S3Faults,
    connections: Vec<TcpStream>,
    stopped: bool,
}

/// A running proxy; ends when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl FaultProxy {
    /// Listens on a free port and passes on to `upstream`.
    pub fn start(upstream: SocketAddr) -> FaultProxy {
        FaultProxy::start_with(upstream, Dice::new(0))
    }

    /// The same with a seed for what is drawn at random (nothing, before it is asked for: [`FaultProxy::faults`]).
    pub fn start_with(upstream: SocketAddr, dice: Dice) -> FaultProxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).must("listening for the fault proxy");
        let addr = listener.local_addr().must("the fault proxy's address");
        let shared = Shared {
            mode: Mode::Pass,
            only: String::new(),
            requests: vec![],
            faults: S3Faults::new(dice),
            connections: vec![],
            stopped: false,
        };
        let shared = Arc::new(Mutex::new(shared));
        let state = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                let mut now = state.lock().must("the fault proxy's state");
                if now.stopped {
                    return;
                }
                if let Ok(copy) = stream.try_clone() {
                    now.connections.push(copy);
                }
                drop(now);
                let state = Arc::clone(&state);
                thread::spawn(move || {
                    let _ = serve(&stream, upstream, &state);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        FaultProxy { addr, shared }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on, for every request.
    pub fn set(&self, mode: Mode) {
        self.set_for("", mode);
    }

    /// From now on, for requests whose line (`GET /mail/segments/1/...`) contains `part`; the others pass.
    pub fn set_for(&self, part: &str, mode: Mode) {
        let mut shared = self.shared.lock().must("the fault proxy's state");
        shared.mode = mode;
        shared.only = part.to_owned();
    }

    /// Faults of single requests, on order and at random; they count while the mode is [`Mode::Pass`].
    pub fn faults<T>(&self, change: impl FnOnce(&mut S3Faults) -> T) -> T {
        change(&mut self.shared.lock().must("the fault proxy's state").faults)
    }

    /// The request lines so far, with `Range` values behind them.
    pub fn requests(&self) -> Vec<String> {
        self.shared
            .lock()
            .must("the fault proxy's state")
            .requests
            .clone()
    }

    /// Forgets the request lines.
    pub fn forget_requests(&self) {
        self.shared
            .lock()
            .must("the fault proxy's state")
            .requests
            .clear();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Ok(mut shared) = self.shared.lock() {
            shared.stopped = true;
            for connection in &shared.connections {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        let _ = TcpStream::connect(self.addr);
    }
}

fn serve(client: &TcpStream, upstream: SocketAddr, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut client = client.try_clone()?;
    // Head and body are two writes: without this each answer waits for a delayed acknowledgement.
    client.set_nodelay(true)?;
    loop {
        let Some(head) = http::read_head(&mut reader)? else {
            return Ok(());
        };
        if head.value("Expect").is_some() {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = http::read_body(&mut reader, &head)?;
        note(shared, &head);
        let mode = hold_while_hanging(shared, &head.first)?;
        match mode {
            Mode::Refuse => return Ok(()),
            Mode::Status(status) => {
                let text =
                    format!("<Error><Code>Injected</Code><Message>{status}</Message></Error>");
                client.write_all(&invented(&head, status, &text))?;
                continue;
            }
            Mode::Say(status, text) => {
                client.write_all(&invented(&head, status, text))?;
                continue;
            }
            Mode::Page => {
                let status = if head.first.starts_with("PUT") {
                    412
                } else {
                    200
                };
                client.write_all(&invented(&head, status, "<html>sign in</html>"))?;
                continue;
            }
            Mode::Delay(span) => wait::pause(span),
            Mode::Pass => {
                let fault = shared
                    .lock()
                    .must("the fault proxy's state")
                    .faults
                    .meet(&head);
                match misbehave(&mut client, upstream, shared, (&head, &body), fault)? {
                    Then::GoOn => continue,
                    Then::End => return Ok(()),
                }
            }
            Mode::Hang | Mode::Truncate | Mode::Flip | Mode::LoseAnswer => {}
        }
        let (answer_head, mut answer) = forward(upstream, &head, &body)?;
        match mode {
            Mode::LoseAnswer => return Ok(()),
            Mode::Flip if !answer.is_empty() => {
                let middle = answer.len() / 2;
                answer[middle] ^= 1;
            }
            _ => {}
        }
        client.write_all(&answer_head.to_bytes())?;
        if mode == Mode::Truncate && !answer.is_empty() {
            return client.write_all(&answer[..answer.len() / 2]);
        }
        client.write_all(&answer)?;
    }
}

fn note(shared: &Mutex<Shared>, head: &Head) {
    let range = head.value("Range").map(|range| format!(" [{range}]"));
    let line = format!("{}{}", head.first, range.unwrap_or_default());
    let mut shared = shared.lock().must("the fault proxy's state");
    shared.requests.push(line);
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    End,
}

/// Answers one request under a fault, or as the store does.
fn misbehave(
    client: &mut TcpStream,
    upstream: SocketAddr,
    shared: &Mutex<Shared>,
    (head, body): (&Head, &[u8]),
    fault: Option<S3Fault>,
) -> io::Result<Then> {
    let say = |client: &mut TcpStream, status: u16| {
        let text = format!("<Error><Code>Injected</Code><Message>{status}</Message></Error>");
        client.write_all(&invented(head, status, &text))
    };
    match fault {
        Some(S3Fault::Status(status)) => return say(client, status).map(|()| Then::GoOn),
        Some(S3Fault::Discard) => {
            client.write_all(&invented(head, 200, ""))?;
            return Ok(Then::GoOn);
        }
        Some(S3Fault::Hang(span)) => {
            wait::pause(span);
            return Ok(Then::End);
        }
        Some(S3Fault::Delay(span)) => wait::pause(span),
        _ => {}
    }
    let (answer_head, mut answer) = forward(upstream, head, body)?;
    let faults = || shared.lock().must("the fault proxy's state");
    match fault {
        Some(S3Fault::DoneAnd500) => return say(client, 500).map(|()| Then::GoOn),
        Some(S3Fault::Race) => return say(client, 412).map(|()| Then::GoOn),
        Some(S3Fault::DoneAndCut) => return Ok(Then::End),
        Some(S3Fault::Flip) => faults().faults.flip(&mut answer),
        Some(S3Fault::Swap) => {
            if let Some(other) = faults().faults.swap(&head.first, &answer) {
                answer = other;
            }
        }
        _ if head.first.starts_with("GET") => faults().faults.remember(&head.first, &answer),
        _ => {}
    }
    client.write_all(&answer_head.to_bytes())?;
    if fault == Some(S3Fault::Truncate) && !answer.is_empty() {
        client.write_all(&answer[..answer.len() / 2])?;
        return Ok(Then::End);
    }
    client.write_all(&answer)?;
    Ok(Then::GoOn)
}

/// An answer that the store did not give.
fn invented(head: &Head, status: u16, text: &str) -> Vec<u8> {
    let body = if head.first.starts_with("HEAD") {
        ""
    } else {
        text
    };
    let length = text.len();
    let about = "ETag: \"x\"\r\nLast-Modified: Wed, 25 Nov 2026 10:00:00 GMT";
    format!("HTTP/1.1 {status} Injected\r\n{about}\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Waits while the mode is to hang; gives the mode for this request.
fn hold_while_hanging(shared: &Mutex<Shared>, line: &str) -> io::Result<Mode> {
    loop {
        let now = shared.lock().must("the fault proxy's state");
        let mode = if line.contains(&now.only) {
            now.mode
        } else {
            Mode::Pass
        };
        if now.stopped {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        drop(now);
        if mode != Mode::Hang {
            return Ok(mode);
        }
        wait::pause(Duration::from_millis(10));
    }
}

/// Asks the store on a connection of its own; the body comes whole, with its length in the head.
fn forward(upstream: SocketAddr, head: &Head, body: &[u8]) -> io::Result<(Head, Vec<u8>)> {
    let mut stream = TcpStream::connect(upstream)?;
    stream.set_nodelay(true)?;
    let mut asked = head.clone();
    asked.lines.retain(|line| {
        !is_header(
            line,
            &[
                "connection",
                "transfer-encoding",
                "expect",
                "content-length",
            ],
        )
    });
    asked.lines.push("Connection: close".to_owned());
    if !body.is_empty() || head.value("Content-Length").is_some() {
        asked.lines.push(format!("Content-Length: {}", body.len()));
    }
    stream.write_all(&asked.to_bytes())?;
    stream.write_all(body)?;
    let mut reader = BufReader::new(stream);
    let mut answer = loop {
        let answer = http::read_head(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if answer.status() != Some(100) {
            break answer;
        }
    };
    if head.first.starts_with("HEAD ") {
        answer
            .lines
            .retain(|line| !is_header(line, &["connection"]));
        return Ok((answer, vec![]));
    }
    let body = http::read_body(&mut reader, &answer)?;
    answer
        .lines
        .retain(|line| !is_header(line, &["connection", "transfer-encoding", "content-length"]));
    if !matches!(answer.status(), Some(204 | 304)) {
        answer.lines.push(format!("Content-Length: {}", body.len()));
    }
    Ok((answer, body))
}

fn is_header(line: &str, names: &[&str]) -> bool {
    line.split_once(':')
        .is_some_and(|(name, _)| names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)))
}
