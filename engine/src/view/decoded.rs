//! The content of a part without its transfer encoding (RFC 3516), streamed.
//!
//! Promises: length and whether there is a NUL are known before the first octet is given, from a first pass over the body; memory is that of
//! a piece. Never: guesses an encoding.

use std::ops::Range;

use bytes::Bytes;

use super::body::BodyReader;
use super::message::Message;
use crate::error::Result;
use crate::mail::part::{Contents, contents};
use crate::mail::transfer::Transfer;
use crate::open::Engine;

/// What is there of a part's content.
pub enum Decoded {
    /// The part is not there.
    Absent,
    /// Its encoding is not known (UNKNOWN-CTE).
    UnknownEncoding,
    /// It can be read.
    Here(Box<DecodedReader>),
}

/// Gives the decoded octets of a part, or a range of them.
pub struct DecodedReader {
    source: BodyReader,
    /// Raw octets that were not read yet.
    raw: Range<u64>,
    transfer: Transfer,
    is_finished: bool,
    /// Decoded octets to pass over, and to give then.
    skip: u64,
    left: u64,
    length: u64,
    has_nul: bool,
}

impl Engine {
    /// The decoded content of the part `path` (the whole message when it is empty), or `partial` (offset, count) of it. Messages and
    /// multiparts have no encoding of their own: they come as they are.
    ///
    /// # Errors
    /// As [`BodyReader::read`].
    pub async fn decoded(
        &self,
        message: &Message,
        path: &[u32],
        partial: Option<(u64, u64)>,
    ) -> Result<Decoded> {
        let Some(Contents {
            body,
            header,
            is_part,
        }) = contents(&message.row.parts()?, path)
        else {
            return Ok(Decoded::Absent);
        };
        let transfer = match header {
            None => Some(Transfer::Identity),
            Some(header) => Transfer::of(&self.bytes(message, header).await?, is_part),
        };
        let Some(transfer) = transfer else {
            return Ok(Decoded::UnknownEncoding);
        };
        let (skip, count) = partial.unwrap_or((0, u64::MAX));
        let whole = |source| DecodedReader {
            source,
            raw: body.clone(),
            transfer: transfer.clone(),
            is_finished: false,
            skip,
            left: count,
            length: 0,
            has_nul: false,
        };
        let mut measured = whole(self.body(message)?);
        let (mut length, mut has_nul) = (0, false);
        while let Some(piece) = measured.next().await? {
            length += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            has_nul |= piece.contains(&0);
            // Decoding a large part from memory must not hold up others.
            tokio::task::yield_now().await;
        }
        Ok(Decoded::Here(Box::new(DecodedReader {
            length,
            left: length,
            has_nul,
            ..whole(measured.source)
        })))
    }
}

impl DecodedReader {
    /// Octets that `next` gives in all.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one of them is NUL: it takes a literal8 then.
    pub fn has_nul(&self) -> bool {
        self.has_nul
    }

    /// The next piece, not empty; `None` at the end.
    ///
    /// # Errors
    /// As [`BodyReader::read`].
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.left > 0 && !self.is_finished {
            let mut octets = if self.raw.start < self.raw.end {
                let piece = self.source.read(self.raw.start, self.raw.end).await?;
                self.raw.start += u64::try_from(piece.len()).unwrap_or(u64::MAX);
                self.transfer.decode(&piece)
            } else {
                self.is_finished = true;
                self.transfer.finish()
            };
            let most = u64::try_from(octets.len()).unwrap_or(u64::MAX);
            let passed = self.skip.min(most);
            self.skip -= passed;
            octets.drain(..usize::try_from(passed).unwrap_or(usize::MAX));
            octets.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            if !octets.is_empty() {
                self.left -= u64::try_from(octets.len()).unwrap_or(u64::MAX);
                return Ok(Some(Bytes::from(octets)));
            }
        }
        Ok(None)
    }
}
