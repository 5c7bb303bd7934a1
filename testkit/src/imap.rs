//! An IMAP client over a plain socket: sends lines, reads responses with their literals, shows both as they were.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::must::Must;

mod reply;

pub use reply::{Fetch, Reply};

/// Longest wait for one line of an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A session.
pub struct Imap {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    commands: u64,
    /// The greeting, without `* `.
    pub greeting: String,
}

impl fmt::Debug for Imap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Imap after {} commands", self.commands)
    }
}

impl Imap {
    /// Connects and reads the greeting.
    ///
    /// # Panics
    /// When nobody answers.
    pub fn connect(addr: SocketAddr) -> Imap {
        Imap::try_connect(addr).must(&format!("an IMAP session with {addr}"))
    }

    /// As `connect`.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn try_connect(addr: SocketAddr) -> io::Result<Imap> {
        let writer = TcpStream::connect(addr)?;
        writer.set_read_timeout(Some(PATIENCE))?;
        writer.set_nodelay(true)?;
        let reader = BufReader::with_capacity(1 << 16, writer.try_clone()?);
        let mut imap = Imap {
            reader,
            writer,
            commands: 0,
            greeting: String::new(),
        };
        let greeting = imap.response()?;
        imap.greeting = String::from_utf8_lossy(&greeting)
            .trim_start_matches("* ")
            .trim_end()
            .to_owned();
        Ok(imap)
    }

    /// Connects and logs in.
    ///
    /// # Panics
    /// When that fails.
    pub fn login(addr: SocketAddr, user: &str, password: &str) -> Imap {
        let mut imap = Imap::connect(addr);
        imap.command(&format!("LOGIN {user} {password}")).ok();
        imap
    }

    /// Longest wait for a line from now on.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn set_patience(&mut self, span: Duration) -> io::Result<()> {
        self.writer.set_read_timeout(Some(span))
    }

    /// Sends a command (without tag and CRLF) and reads to its end.
    ///
    /// # Panics
    /// When the connection fails.
    #[track_caller]
    pub fn command(&mut self, command: &str) -> Reply {
        self.try_command(command).must(&format!("IMAP {command}"))
    }

    /// As `command`. A `{n}` at a line's end inside of it waits for the server's `+` before the rest is sent.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn try_command(&mut self, command: &str) -> io::Result<Reply> {
        self.try_command_bytes(command.as_bytes())
    }

    /// As `try_command` for bytes that are not text.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn try_command_bytes(&mut self, command: &[u8]) -> io::Result<Reply> {
        let tag = self.next_tag();
        let mut wire = format!("{tag} ").into_bytes();
        wire.extend_from_slice(command);
        wire.extend_from_slice(b"\r\n");
        let mut untagged = Vec::new();
        let mut rest = wire.as_slice();
        let mut literal = 0;
        while let Some((end, length)) = synchronising_literal(rest, literal) {
            self.send(&rest[..end])?;
            (rest, literal) = (&rest[end..], length);
            loop {
                let response = self.response()?;
                if response.starts_with(b"+") {
                    break;
                }
                if let Some(reply) = tagged(&response, &tag) {
                    return Ok(Reply { untagged, ..reply });
                }
                untagged.push(bare(&response));
            }
        }
        self.send(rest)?;
        self.finish(&tag, untagged)
    }

    /// Runs a command and only counts the octets of its answer: for measuring servers rather than clients.
    ///
    /// # Errors
    /// Those of the connection; `InvalidData` when the command fails.
    pub fn count(&mut self, command: &str) -> io::Result<u64> {
        let tag = self.next_tag();
        self.send(format!("{tag} {command}\r\n").as_bytes())?;
        let mut line = Vec::new();
        let mut octets = 0;
        loop {
            line.clear();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            octets += line.len() as u64;
            if let Some(length) = literal_length(&line) {
                octets += io::copy(&mut self.reader.by_ref().take(length), &mut io::sink())?;
            } else if let Some(reply) = tagged(&line, &tag) {
                let failed =
                    || io::Error::new(io::ErrorKind::InvalidData, format!("{command}: {reply:?}"));
                return if reply.is_ok() {
                    Ok(octets)
                } else {
                    Err(failed())
                };
            }
        }
    }

    /// Several commands sent at once; their replies in order.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn pipeline(&mut self, commands: &[String]) -> io::Result<Vec<Reply>> {
        let mut wire = String::new();
        let mut tags = Vec::new();
        for command in commands {
            let tag = self.next_tag();
            wire.push_str(&format!("{tag} {command}\r\n"));
            tags.push(tag);
        }
        self.send(wire.as_bytes())?;
        tags.iter().map(|tag| self.finish(tag, vec![])).collect()
    }

    /// APPEND with a synchronising literal.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn try_append(
        &mut self,
        mailbox: &str,
        options: &str,
        message: &[u8],
    ) -> io::Result<Reply> {
        let space = if options.is_empty() { "" } else { " " };
        let mut command =
            format!("APPEND {mailbox}{space}{options} {{{}}}\r\n", message.len()).into_bytes();
        command.extend_from_slice(message);
        self.try_command_bytes(&command)
    }

    /// APPEND; gives UIDVALIDITY and UID.
    ///
    /// # Panics
    /// Unless it is accepted with APPENDUID.
    #[track_caller]
    pub fn append(&mut self, mailbox: &str, options: &str, message: &[u8]) -> (u32, u32) {
        let reply = self
            .try_append(mailbox, options, message)
            .must("APPEND")
            .ok();
        let code = reply
            .code("APPENDUID")
            .must(&format!("APPENDUID in {reply:?}"));
        (
            code[0].parse().must("UIDVALIDITY"),
            code[1].parse().must("a UID"),
        )
    }

    /// FETCH or UID FETCH; the responses.
    ///
    /// # Panics
    /// Unless it ends with OK.
    #[track_caller]
    pub fn fetch(&mut self, command: &str) -> Vec<Fetch> {
        self.command(command).ok().fetches()
    }

    /// Selects a mailbox and expunges messages by number.
    ///
    /// # Panics
    /// Unless all of it ends with OK.
    #[track_caller]
    pub fn expunge(&mut self, mailbox: &str, numbers: impl Iterator<Item = u64>) {
        let numbers: Vec<_> = numbers.map(|number| number.to_string()).collect();
        let set = numbers.join(",");
        self.command(&format!("SELECT {mailbox}")).ok();
        self.command(&format!("STORE {set} +FLAGS.SILENT (\\Deleted)"))
            .ok();
        self.command("EXPUNGE").ok();
    }

    /// Begins IDLE; returns after the continuation.
    ///
    /// # Errors
    /// Those of the connection; `InvalidData` for another answer.
    pub fn idle(&mut self) -> io::Result<String> {
        let tag = self.next_tag();
        self.send(format!("{tag} IDLE\r\n").as_bytes())?;
        loop {
            let response = self.response()?;
            if response.starts_with(b"+") {
                return Ok(tag);
            }
            if tagged(&response, &tag).is_some() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    String::from_utf8_lossy(&response).into_owned(),
                ));
            }
        }
    }

    /// Ends the IDLE with this tag.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn done(&mut self, tag: &str) -> io::Result<Reply> {
        self.send(b"DONE\r\n")?;
        self.finish(tag, vec![])
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Reads one response: a line and the literals in it, with the last CRLF.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn response(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let start = bytes.len();
            if self.reader.read_until(b'\n', &mut bytes)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some(length) = literal_length(&bytes[start..]) else {
                return Ok(bytes);
            };
            if self.reader.by_ref().take(length).read_to_end(&mut bytes)? as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn finish(&mut self, tag: &str, mut untagged: Vec<Vec<u8>>) -> io::Result<Reply> {
        loop {
            let response = self.response()?;
            if let Some(reply) = tagged(&response, tag) {
                return Ok(Reply { untagged, ..reply });
            }
            untagged.push(bare(&response));
        }
    }

    fn next_tag(&mut self) -> String {
        self.commands += 1;
        format!("t{}", self.commands)
    }
}

fn tagged(response: &[u8], tag: &str) -> Option<Reply> {
    if !response.starts_with(tag.as_bytes()) {
        return None;
    }
    let line = String::from_utf8_lossy(response);
    let rest = line.strip_prefix(tag)?.strip_prefix(' ')?.trim_end();
    let (status, text) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(Reply {
        status: status.to_owned(),
        text: text.to_owned(),
        untagged: vec![],
    })
}

fn bare(response: &[u8]) -> Vec<u8> {
    let line = response.strip_prefix(b"* ").unwrap_or(response);
    line.strip_suffix(b"\r\n").unwrap_or(line).to_vec()
}

/// The length in `{n}` or `{n+}` at a line's end.
fn literal_length(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"}\r\n")?;
    let open = line.iter().rposition(|byte| *byte == b'{')?;
    std::str::from_utf8(&line[open + 1..])
        .ok()?
        .trim_end_matches('+')
        .parse()
        .ok()
}

/// Where the line of the first synchronising literal at or after `at` ends, and the literal's length.
fn synchronising_literal(wire: &[u8], mut at: usize) -> Option<(usize, usize)> {
    while let Some(newline) = wire.get(at..)?.iter().position(|byte| *byte == b'\n') {
        let end = at + newline + 1;
        let length = literal_length(&wire[at..end]).and_then(|length| usize::try_from(length).ok());
        match length {
            Some(length) if wire[..end].ends_with(b"+}\r\n") => at = end + length,
            Some(length) => return Some((end, length)),
            None => at = end,
        }
    }
    None
}
