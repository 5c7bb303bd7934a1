//! Replies on their way to the client: collected up to a bound, then written with back-pressure.
//!
//! Promises: at most [`IMAP_OUTPUT_BUFFER`] bytes and one piece of a body are in memory, however long the reply; a
//! client that takes nothing ends its own session only. Never: sends a NUL (RFC 3501, 9: CHAR8; it goes out as 0x80)
//! outside of a literal8.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::limits::{IMAP_OUTPUT_BUFFER, IMAP_OUTPUT_TIMEOUT};

/// Bytes of the buffer that are kept for a client that is silent.
const KEPT: usize = 1024;

/// A bounded sink over a connection.
pub(crate) struct Out<'a> {
    writer: &'a mut (dyn AsyncWrite + Unpin + Send),
    buffer: Vec<u8>,
    patience: Duration,
}

impl<'a> Out<'a> {
    pub(crate) fn new(writer: &'a mut (dyn AsyncWrite + Unpin + Send)) -> Out<'a> {
        Out {
            writer,
            buffer: Vec::with_capacity(KEPT),
            patience: IMAP_OUTPUT_TIMEOUT,
        }
    }

    /// Where short replies are put together; call [`Out::relieve`] after each line.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Adds octets of a body inside a literal.
    pub(crate) async fn body(&mut self, octets: &[u8]) -> io::Result<()> {
        for piece in octets.chunks(IMAP_OUTPUT_BUFFER) {
            let start = self.buffer.len();
            self.buffer.extend_from_slice(piece);
            if piece.contains(&0) {
                for octet in self
                    .buffer
                    .iter_mut()
                    .skip(start)
                    .filter(|octet| **octet == 0)
                {
                    *octet = 0x80;
                }
            }
            self.relieve().await?;
        }
        Ok(())
    }

    /// Adds octets of a body inside a literal8 (RFC 3516), which holds any.
    pub(crate) async fn binary(&mut self, octets: &[u8]) -> io::Result<()> {
        for piece in octets.chunks(IMAP_OUTPUT_BUFFER) {
            self.buffer.extend_from_slice(piece);
            self.relieve().await?;
        }
        Ok(())
    }

    /// Writes when enough has come together.
    pub(crate) async fn relieve(&mut self) -> io::Result<()> {
        if self.buffer.len() >= IMAP_OUTPUT_BUFFER {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Gives back what long replies needed.
    pub(crate) fn rest(&mut self) {
        self.buffer.shrink_to(KEPT);
    }

    /// Writes all that was added.
    ///
    /// # Errors
    /// Those of the connection, and `TimedOut` when the client took nothing for [`IMAP_OUTPUT_TIMEOUT`].
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            let written = timeout(self.patience, self.writer.write(rest)).await??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = rest.get(written..).unwrap_or_default();
        }
        self.buffer.clear();
        timeout(self.patience, self.writer.flush()).await?
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_long_reply_is_written_while_it_is_made() {
        let (mut near, mut far) = tokio::io::duplex(4096);
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.expect("the pipe is whole");
            got
        });
        let mut most = 0;
        let mut out = Out::new(&mut near);
        for _ in 0..10_000 {
            out.buffer()
                .extend_from_slice(b"* 1 FETCH (FLAGS (\\Seen))\r\n");
            out.relieve().await.expect("the reader reads");
            most = most.max(out.buffer.len());
        }
        out.body(&vec![b'x'; 3 * IMAP_OUTPUT_BUFFER])
            .await
            .expect("the reader reads");
        out.flush().await.expect("the reader reads");
        drop(near);
        assert!(most <= IMAP_OUTPUT_BUFFER);
        assert_eq!(
            reader.await.expect("no panic").len(),
            10_000 * 27 + 3 * IMAP_OUTPUT_BUFFER
        );
    }

    #[tokio::test]
    async fn a_nul_goes_out_as_0x80() {
        let mut written = Vec::new();
        let mut out = Out::new(&mut written);
        out.body(b"a\0b\0").await.expect("memory takes all");
        out.flush().await.expect("memory takes all");
        assert_eq!(written, b"a\x80b\x80");
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_ends_its_session() {
        let (mut near, _far) = tokio::io::duplex(16);
        let mut out = Out::new(&mut near);
        out.patience = Duration::from_millis(1);
        out.buffer().extend_from_slice(&[b'x'; 64]);
        let error = out.flush().await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
