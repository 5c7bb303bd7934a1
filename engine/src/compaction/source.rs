//! The message as it is stored now, read piece by piece for compaction: past the caches.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::error::{Error, Result};
use crate::mail::base64_text::{Found, Recogniser};
use crate::view::BodyReader;

/// See the module.
pub(super) struct Source<'a> {
    reader: BodyReader,
    handle: &'a Handle,
}

impl<'a> Source<'a> {
    pub(super) fn new(reader: BodyReader, handle: &'a Handle) -> Source<'a> {
        Source { reader, handle }
    }

    /// The next bytes of `start..end`, at least one.
    pub(super) fn read(&self, start: u64, end: u64) -> Result<Bytes> {
        self.handle.block_on(self.reader.read(start, end))
    }

    /// Hands all bytes of a range to `take`, piece by piece.
    pub(super) fn each(
        &self,
        range: Range<u64>,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let piece = self.read(at, range.end)?;
            at += length(&piece);
            take(&piece)?;
        }
        Ok(())
    }
}

/// Why a part was not decoded to its end.
pub(super) enum Stopped {
    /// It is no base64 that can be written again.
    OtherShape,
    /// It could not be read.
    Unreadable(Error),
}

/// The decoded bytes of a part, as a stream; a failure as soon as it is no base64 that can be written again.
pub(super) struct Decoding<'a> {
    source: &'a Source<'a>,
    at: u64,
    end: u64,
    recogniser: Option<Recogniser>,
    ready: Vec<u8>,
    given: usize,
    /// What it was, at the end.
    pub(super) found: Option<Found>,
    /// Why it failed.
    pub(super) stopped: Option<Stopped>,
}

impl<'a> Decoding<'a> {
    pub(super) fn new(source: &'a Source<'a>, range: Range<u64>) -> Decoding<'a> {
        Decoding {
            source,
            at: range.start,
            end: range.end,
            recogniser: Some(Recogniser::default()),
            ready: Vec::new(),
            given: 0,
            found: None,
            stopped: None,
        }
    }

    fn fill(&mut self) -> Result<bool, Stopped> {
        let other = || Stopped::OtherShape;
        (self.ready, self.given) = (Vec::new(), 0);
        while self.ready.is_empty() {
            let Some(mut recogniser) = self.recogniser.take() else {
                return Ok(false);
            };
            if self.at < self.end {
                let piece = self
                    .source
                    .read(self.at, self.end)
                    .map_err(Stopped::Unreadable)?;
                self.at += length(&piece);
                self.ready = recogniser.push(&piece).ok_or_else(other)?;
                self.recogniser = Some(recogniser);
            } else {
                let mut found = recogniser.finish().ok_or_else(other)?;
                self.ready = std::mem::take(&mut found.rest);
                self.found = Some(found);
            }
        }
        Ok(true)
    }
}

impl io::Read for Decoding<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given >= self.ready.len() {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(stopped) => {
                    self.stopped = Some(stopped);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        let left = &self.ready[self.given..];
        let many = left.len().min(into.len());
        into[..many].copy_from_slice(&left[..many]);
        self.given += many;
        Ok(many)
    }
}

pub(super) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
