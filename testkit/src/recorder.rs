//! An LMTP server on a unix socket that accepts everything and keeps it exactly.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::must::Must;
use crate::{place, wait};

/// One transaction.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The reverse path, without brackets.
    pub from: String,
    /// The recipients, without brackets.
    pub to: Vec<String>,
    /// What DATA carried, dots removed, without the last line's dot.
    pub data: Vec<u8>,
}

/// A listening recorder; ends when dropped.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    messages: Arc<Mutex<Vec<Recorded>>>,
    stopped: Arc<Mutex<bool>>,
}

impl Recorder {
    /// Listens on `path`, which anybody may connect to.
    pub fn start(path: &Path) -> Recorder {
        let listener = UnixListener::bind(path).must("listening on the recorder's socket");
        place::writable_by_all(path);
        let messages = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(Mutex::new(false));
        let (kept, stop) = (Arc::clone(&messages), Arc::clone(&stopped));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if *stop.lock().must("the recorder's stop flag") {
                    return;
                }
                let (Ok(stream), kept) = (stream, Arc::clone(&kept)) else {
                    return;
                };
                thread::spawn(move || serve(&stream, &kept));
            }
        });
        Recorder {
            path: path.to_owned(),
            messages,
            stopped,
        }
    }

    /// What came so far.
    pub fn messages(&self) -> Vec<Recorded> {
        self.messages.lock().must("the recorder's list").clone()
    }

    /// Waits for `count` messages.
    pub fn wait_for(&self, count: usize, at_most: Duration) -> Vec<Recorded> {
        wait::until(&format!("{count} recorded messages"), at_most, || {
            self.messages.lock().is_ok_and(|list| list.len() >= count)
        });
        self.messages()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Ok(mut stopped) = self.stopped.lock() {
            *stopped = true;
        }
        let _ = UnixStream::connect(&self.path);
    }
}

fn serve(stream: &UnixStream, kept: &Mutex<Vec<Recorded>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    writer.write_all(b"220 recorder LMTP\r\n")?;
    let (mut from, mut to) = (String::new(), Vec::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let upper = line.to_ascii_uppercase();
        if upper.starts_with("LHLO") {
            writer.write_all(b"250-recorder\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n")?;
        } else if upper.starts_with("MAIL") {
            from = path_of(&line);
            to.clear();
            writer.write_all(b"250 2.1.0 ok\r\n")?;
        } else if upper.starts_with("RCPT") {
            to.push(path_of(&line));
            writer.write_all(b"250 2.1.5 ok\r\n")?;
        } else if upper.starts_with("DATA") {
            writer.write_all(b"354 go on\r\n")?;
            let data = read_data(&mut reader)?;
            kept.lock().must("the recorder's list").push(Recorded {
                from: from.clone(),
                to: to.clone(),
                data,
            });
            for _ in &to {
                writer.write_all(b"250 2.0.0 kept\r\n")?;
            }
        } else if upper.starts_with("QUIT") {
            return writer.write_all(b"221 2.0.0 bye\r\n");
        } else {
            writer.write_all(b"250 2.0.0 ok\r\n")?;
        }
    }
}

fn path_of(line: &str) -> String {
    let inside = line
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inside.map(|(path, _)| path.to_owned()).unwrap_or_default()
}

/// Reads to CRLF.CRLF; a dot at the start of a line (after CRLF) is removed, nothing else changed.
fn read_data(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    let mut line_start = true;
    loop {
        let mut piece = Vec::new();
        if reader.read_until(b'\n', &mut piece)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line_start && piece == b".\r\n" {
            return Ok(data);
        }
        let skip = usize::from(line_start && piece.starts_with(b"."));
        data.extend_from_slice(&piece[skip..]);
        line_start = data.ends_with(b"\r\n");
    }
}
