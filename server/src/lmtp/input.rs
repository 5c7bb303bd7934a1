//! What came of the client and was not used yet: commands are cut from it as lines, messages as they lie.
//!
//! Promises: holds at most a command line and what was fed last. Lines end with CRLF and with nothing else (RFC 5321, 2.3.8): a line with a
//! bare LF or CR in it is refused as a whole, so that nobody sees two commands where another server sees one.

use super::limits::COMMAND_LINE_MAX;
use super::reply::Reply;

const TOO_LONG: Reply = Reply::new(500, "5.5.2", "The line is too long");
const WRONG_END: Reply = Reply::new(
    500,
    "5.5.2",
    "A command ends with CRLF and has no other CR or LF",
);

/// Bytes that wait.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// The rest of a line that is too long goes unread.
    skipping: bool,
}

impl Input {
    /// Takes bytes of the client.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// All that waits.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.bytes.drain(..count);
    }

    /// Forgets all bytes.
    pub(crate) fn consume_all(&mut self) {
        self.bytes.clear();
    }

    /// The next line without its end, or its refusal; `None` when it is not whole yet.
    pub(crate) fn line(&mut self) -> Option<Result<Vec<u8>, Reply>> {
        let Some(end) = self.bytes.windows(2).position(|two| two == b"\r\n") else {
            if self.skipping || self.bytes.len() > COMMAND_LINE_MAX {
                self.skipping = true;
                // Its LF may be the next byte.
                let is_cr = self.bytes.last() == Some(&b'\r');
                self.bytes.drain(..self.bytes.len() - usize::from(is_cr));
            }
            return None;
        };
        let mut line: Vec<u8> = self.bytes.drain(..end + 2).collect();
        if std::mem::take(&mut self.skipping) || line.len() > COMMAND_LINE_MAX {
            return Some(Err(TOO_LONG));
        }
        line.truncate(end);
        if line.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Some(Err(WRONG_END));
        }
        Some(Ok(line))
    }
}
