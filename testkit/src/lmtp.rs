//! An LMTP client (RFC 2033): pipelined deliveries, a reply for each recipient.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::must::Must;

/// Longest wait for one line of a reply.
const PATIENCE: Duration = Duration::from_secs(60);

/// A reply, its lines joined.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The code.
    pub code: u16,
    /// The text of all lines, without codes.
    pub text: String,
}

impl Reply {
    /// Whether the code begins with 2.
    pub fn is_ok(&self) -> bool {
        self.code / 100 == 2
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

/// A session after LHLO.
pub struct Lmtp {
    reader: BufReader<Box<dyn Read + Send>>,
    writer: Box<dyn Write + Send>,
    /// The lines of the answer to LHLO.
    pub capabilities: Vec<String>,
}

impl fmt::Debug for Lmtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lmtp({:?})", self.capabilities)
    }
}

impl Lmtp {
    /// Connects and says LHLO.
    ///
    /// # Panics
    /// When nobody answers.
    pub fn connect(addr: SocketAddr) -> Lmtp {
        Lmtp::try_connect(addr).must(&format!("an LMTP session with {addr}"))
    }

    /// As `connect`.
    ///
    /// # Errors
    /// Those of the connection; `ConnectionRefused` when the greeting or LHLO is refused.
    pub fn try_connect(addr: SocketAddr) -> io::Result<Lmtp> {
        Lmtp::try_connect_as(addr, "LHLO")
    }

    /// As `try_connect`, with another word than LHLO (EHLO makes it an SMTP session).
    ///
    /// # Errors
    /// As `try_connect`.
    pub fn try_connect_as(addr: SocketAddr, hello: &str) -> io::Result<Lmtp> {
        let stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Lmtp::greet(Box::new(stream.try_clone()?), Box::new(stream), hello)
    }

    /// Over a unix socket.
    ///
    /// # Errors
    /// As `try_connect`.
    pub fn try_connect_unix(path: &Path) -> io::Result<Lmtp> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Lmtp::greet(Box::new(stream.try_clone()?), Box::new(stream), "LHLO")
    }

    fn greet(
        reader: Box<dyn Read + Send>,
        writer: Box<dyn Write + Send>,
        hello: &str,
    ) -> io::Result<Lmtp> {
        let mut lmtp = Lmtp {
            reader: BufReader::new(reader),
            writer,
            capabilities: vec![],
        };
        let greeting = lmtp.reply()?;
        let hello = lmtp.command(&format!("{hello} testkit.example"))?;
        if !greeting.is_ok() || !hello.is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("{greeting:?}, {hello:?}"),
            ));
        }
        lmtp.capabilities = hello.text.lines().skip(1).map(str::to_owned).collect();
        Ok(lmtp)
    }

    /// Sends a line and reads its reply.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.writer.flush()
    }

    /// Reads one reply of one or more lines.
    ///
    /// # Errors
    /// Those of the connection; `InvalidData` for what is no reply.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut text = String::new();
        loop {
            let mut line = Vec::new();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code: u16 =
                code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, line.clone()))?;
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(line.get(4..).unwrap_or_default());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text });
            }
        }
    }

    /// Delivers a message in one pipelined transaction; a reply for each recipient, in order: that of RCPT where it was refused,
    /// otherwise the one after DATA.
    ///
    /// # Errors
    /// Those of the connection. What was not answered is not known then.
    pub fn try_deliver(
        &mut self,
        from: &str,
        to: &[&str],
        message: &[u8],
    ) -> io::Result<Vec<Reply>> {
        let mut batch = format!("MAIL FROM:<{from}> BODY=8BITMIME\r\n");
        for recipient in to {
            batch.push_str(&format!("RCPT TO:<{recipient}>\r\n"));
        }
        batch.push_str("DATA\r\n");
        self.send(batch.as_bytes())?;
        let mail = self.reply()?;
        let mut replies = Vec::with_capacity(to.len());
        for _ in to {
            replies.push(self.reply()?);
        }
        let data = self.reply()?;
        if data.code != 354 {
            let refused = if mail.is_ok() { data } else { mail };
            let all = replies.into_iter().map(|reply| {
                if reply.is_ok() {
                    refused.clone()
                } else {
                    reply
                }
            });
            return Ok(all.collect());
        }
        self.send(&stuffed(message))?;
        for reply in replies.iter_mut().filter(|reply| reply.is_ok()) {
            *reply = self.reply()?;
        }
        Ok(replies)
    }

    /// Delivers to one recipient.
    ///
    /// # Panics
    /// Unless it is accepted.
    #[track_caller]
    pub fn deliver(&mut self, from: &str, to: &str, message: &[u8]) {
        let replies = self.try_deliver(from, &[to], message).must("delivering");
        assert!(replies[0].is_ok(), "{to}: {:?}", replies[0]);
    }
}

/// What goes over the wire after DATA: dots doubled after CRLF and at the start, the end marked. A message that does not end
/// with CRLF gets one, as every client must.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    let mut line_start = true;
    for (at, byte) in message.iter().enumerate() {
        if line_start && *byte == b'.' {
            out.push(b'.');
        }
        out.push(*byte);
        line_start = *byte == b'\n' && at > 0 && message[at - 1] == b'\r';
    }
    if !line_start {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}
