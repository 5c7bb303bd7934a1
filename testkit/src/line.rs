//! A client of lines, in clear or in TLS: says what it is told to, byte for byte, and reads what comes.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::certificate::Certificate;
use crate::must::Must;

/// Longest wait for one line.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which version a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2 only.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// How a client does TLS that trusts `trusted` and nobody else.
///
/// # Panics
/// When that cannot be set up.
pub fn client_config(trusted: &Certificate, version: Version) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(trusted.der()))
        .must("trusting a certificate");
    let version = match version {
        Version::Tls12 => &TLS12,
        Version::Tls13 => &TLS13,
    };
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .must("a version of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// A connection.
pub struct Line {
    socket: TcpStream,
    stream: BufReader<Box<dyn Both>>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({:?})", self.socket)
    }
}

impl Line {
    /// Connects in clear.
    ///
    /// # Panics
    /// When nobody answers.
    pub fn connect(addr: SocketAddr) -> Line {
        let socket = TcpStream::connect(addr).must(&format!("connecting to {addr}"));
        socket
            .set_read_timeout(Some(PATIENCE))
            .must("a time limit of a socket");
        socket.set_nodelay(true).must("a socket's option");
        let stream: Box<dyn Both> = Box::new(socket.try_clone().must("a second handle"));
        Line {
            socket,
            stream: BufReader::new(stream),
        }
    }

    /// Connects in TLS.
    ///
    /// # Panics
    /// When nobody answers, or with another certificate.
    pub fn connect_tls(addr: SocketAddr, trusted: &Certificate, version: Version) -> Line {
        let mut line = Line::connect(addr);
        line.begin_tls(trusted, version)
            .must(&format!("a TLS handshake with {addr}"));
        line
    }

    /// The handshake, on a connection that was in clear. What had come in clear and was not read is lost.
    ///
    /// # Errors
    /// Those of the handshake: another certificate among them.
    pub fn begin_tls(&mut self, trusted: &Certificate, version: Version) -> io::Result<()> {
        let config = Arc::new(client_config(trusted, version));
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, self.socket.try_clone()?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        self.stream = BufReader::new(Box::new(stream));
        Ok(())
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// When the connection fails.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.stream.get_mut();
        stream.write_all(bytes.as_ref()).must("sending");
        stream.flush().must("sending");
    }

    /// The next line without its end; `None` at the end of the connection.
    ///
    /// # Errors
    /// Those of the connection; of TLS also `UnexpectedEof` when it ends without being said.
    pub fn read(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    /// Lines up to and with the one that begins with `last`.
    ///
    /// # Panics
    /// When the connection ends before.
    #[track_caller]
    pub fn until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.read().must(&format!("{last:?} after {lines:?}"));
            lines.push(line.must(&format!("{last:?} before the end, after {lines:?}")));
            if lines.last().is_some_and(|line| line.starts_with(last)) {
                return lines;
            }
        }
    }

    /// Sends a line and reads up to and with the one that begins with `last`.
    ///
    /// # Panics
    /// As `until`.
    #[track_caller]
    pub fn ask(&mut self, line: &str, last: &str) -> Vec<String> {
        self.send(format!("{line}\r\n"));
        self.until(last)
    }

    /// All that comes until the other end closes.
    ///
    /// # Errors
    /// As `read`.
    pub fn rest(&mut self) -> io::Result<String> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(String::from_utf8_lossy(&rest).into_owned())
    }

    /// The socket below.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }
}
