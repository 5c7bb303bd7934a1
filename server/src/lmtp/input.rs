//! What came of the client and was not used yet: commands are cut from it as lines, messages as they lie.
//!
//! Promises: holds at most a command line and what was fed last. Lines end with CRLF and with nothing else (RFC 5321, 2.3.8): a line with a
//! bare LF or CR in it is refused as a whole, so that nobody sees two commands where another server sees one.

use super::limits::{COMMAND_LINE_MAX, COMMAND_LINE_PASSED_MAX};
use super::reply::Reply;

/// What is said to a line of which no end comes.
pub(crate) const ENDLESS: Reply = Reply::new(500, "5.5.2", "The line is too long; closing");
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
    /// Bytes of it so far.
    skipped: usize,
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

    /// Whether a line has no end, as far as that can be waited for.
    pub(crate) fn is_endless(&self) -> bool {
        self.skipped > COMMAND_LINE_PASSED_MAX
    }

    /// The next line without its end, or its refusal; `None` when it is not whole yet.
    pub(crate) fn line(&mut self) -> Option<Result<Vec<u8>, Reply>> {
        let Some(end) = self.bytes.windows(2).position(|two| two == b"\r\n") else {
            if self.skipping || self.bytes.len() > COMMAND_LINE_MAX {
                self.skipping = true;
                // Its LF may be the next byte.
                let is_cr = self.bytes.last() == Some(&b'\r');
                let passed = self.bytes.len() - usize::from(is_cr);
                self.bytes.drain(..passed);
                self.skipped = self.skipped.saturating_add(passed);
            }
            return None;
        };
        let mut line: Vec<u8> = self.bytes.drain(..end + 2).collect();
        self.skipped = 0;
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
