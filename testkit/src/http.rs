//! HTTP/1.1 for one request at a time: metrics, health, the store's side doors.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for a connection, and for each read.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Header lines as they came.
    pub header: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// GET, with a bearer token if there is one.
///
/// # Errors
/// Those of the connection.
pub fn get(addr: SocketAddr, path: &str, token: Option<&str>) -> io::Result<Reply> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let header: Vec<(&str, &str)> = bearer
        .iter()
        .map(|value| ("Authorization", value.as_str()))
        .collect();
    request(addr, "GET", path, &header, b"")
}

/// One request on a connection of its own.
///
/// # Errors
/// Those of the connection, and `InvalidData` for what is not HTTP.
pub fn request(
    addr: SocketAddr,
    method: &str,
    path: &str,
    header: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in header {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut reader = BufReader::new(stream);
    let head = read_head(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head
        .status()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, head.first.clone()))?;
    let body = if method == "HEAD" {
        vec![]
    } else {
        read_body(&mut reader, &head)?
    };
    Ok(Reply {
        status,
        header: head.lines,
        body,
    })
}

/// First line and header lines of a request or answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The request or status line.
    pub first: String,
    /// The header lines, without line ends.
    pub lines: Vec<String>,
}

impl Head {
    /// A header's value.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut pairs = self.lines.iter().filter_map(|line| line.split_once(':'));
        pairs
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The status code of an answer.
    pub fn status(&self) -> Option<u16> {
        self.first.split(' ').nth(1)?.parse().ok()
    }

    /// As bytes, with the empty line.
    pub fn to_bytes(&self) -> Vec<u8> {
        format!("{}\r\n{}\r\n\r\n", self.first, self.lines.join("\r\n")).into_bytes()
    }
}

/// Reads a head; none at the end of the stream.
///
/// # Errors
/// Those of the connection.
pub fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end_matches(['\r', '\n']).to_owned();
        if line.is_empty() && !lines.is_empty() {
            let first = lines.remove(0);
            return Ok(Some(Head { first, lines }));
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
}

/// Reads a body by its length, its chunks, or to the end.
///
/// # Errors
/// Those of the connection, and `InvalidData` for a broken chunk.
pub fn read_body(reader: &mut impl BufRead, head: &Head) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if head
        .value("Transfer-Encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = line.trim().split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size, 16)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, line.clone()))?;
            reader.by_ref().take(size).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    if let Some(length) = head
        .value("Content-Length")
        .and_then(|value| value.parse().ok())
    {
        reader.by_ref().take(length).read_to_end(&mut body)?;
    } else if head.first.starts_with("HTTP/") && !matches!(head.status(), Some(204 | 304)) {
        reader.read_to_end(&mut body)?;
    }
    Ok(body)
}

/// The sum over all label sets of a metric in Prometheus' text form.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let mut sum = None;
    for line in text.lines() {
        let rest = line
            .strip_prefix(name)
            .filter(|rest| rest.starts_with([' ', '{']));
        let value = rest
            .and_then(|rest| rest.rsplit(' ').next())
            .and_then(|value| value.parse::<f64>().ok());
        if let Some(value) = value {
            sum = Some(sum.unwrap_or(0.0) + value);
        }
    }
    sum
}
