//! A file of text that is read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use zstd::bulk::Decompressor;

use crate::error::{Error, Result};

use super::frame::{self, Kept, Of, Unpacked};
use super::index::{FrameAt, Index};
use super::signature::{self, Signature};
use super::{Kind, Made, Rect, TextId};

/// Where the bytes of a file are.
pub trait Source: Send + Sync {
    /// Exactly so many bytes from `offset` on.
    ///
    /// # Errors
    /// Of whatever gives them; `UnexpectedEof` where there are not so many.
    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;
}

impl Source for File {
    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        self.read_exact_at(&mut read, offset)?;
        Ok(read)
    }
}

impl Source for Vec<u8> {
    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let range = self.get(start..start.saturating_add(bytes));
        range
            .map(<[u8]>::to_vec)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// An opened file: its index is in memory, all else is read when it is asked for.
#[derive(Clone)]
pub struct Run {
    pub(super) source: Arc<dyn Source>,
    pub(super) index: Arc<Index>,
    kept: Arc<dyn Kept>,
    bytes: u64,
    id: [u8; 16],
    seed: u32,
}

impl Run {
    /// Opens the file `id`, of so many bytes; what searches unpack is `kept`.
    ///
    /// # Errors
    /// `Corrupt` when its end or index is not as it was written; `Io`.
    pub fn open(
        source: Arc<dyn Source>,
        bytes: u64,
        id: [u8; 16],
        kept: Arc<dyn Kept>,
    ) -> Result<Run> {
        let seed = crc32c::crc32c(&id);
        let index = Arc::new(Index::read(&*source, bytes, seed)?);
        Ok(Run {
            source,
            index,
            kept,
            bytes,
            id,
            seed,
        })
    }

    /// Which messages have their text in it, as far as they were there.
    pub fn rect(&self) -> Rect {
        self.index.rect
    }

    /// How it came to be.
    pub fn made(&self) -> Made {
        self.index.made
    }

    pub(super) fn of(&self, account: u64, kind: Kind) -> Of {
        Of {
            seed: self.seed,
            account,
            kind,
        }
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of its texts.
    pub fn raw_bytes(&self) -> u64 {
        let parts = self.index.accounts.iter().flat_map(|of| &of.parts);
        let frames = parts.flat_map(|part| &part.frames);
        frames.map(|frame| super::bytes::length(frame.raw)).sum()
    }

    /// Accounts that have text in it, ascending.
    pub fn accounts(&self) -> impl Iterator<Item = u64> + '_ {
        self.index.accounts.iter().map(|of| of.account)
    }

    /// The messages of an account, in order; reads all of its frames of bodies.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn messages(&self, account: u64) -> Result<Vec<TextId>> {
        let mut ids: Vec<TextId> = Vec::new();
        let part = self
            .index
            .of(account)
            .map(|of| &of.parts[Kind::Body.index()]);
        for at in part.map_or(&[][..], |part| &part.frames) {
            let of = self.of(account, Kind::Body);
            let bytes = self.read(at)?;
            let stored = frame::read(&bytes, of, at.raw, at.offset)?;
            ids.extend(stored.list.iter().map(|listed| listed.id));
        }
        ids.dedup();
        Ok(ids)
    }

    /// Reads and compares everything that there is of an account, its signatures too; gives its messages, in order.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn check(&self, account: u64) -> Result<Vec<TextId>> {
        let mut ids: Vec<TextId> = Vec::new();
        let Some(of_account) = self.index.of(account) else {
            return Ok(ids);
        };
        let mut unpacker = Decompressor::new().map_err(Error::io("zstd"))?;
        for kind in Kind::ALL {
            let (of, part) = (self.of(account, kind), &of_account.parts[kind.index()]);
            for at in &part.frames {
                let bytes = self.read(at)?;
                let stored = frame::read(&bytes, of, at.raw, at.offset)?;
                if kind == Kind::Body {
                    ids.extend(stored.list.iter().map(|listed| listed.id));
                }
                stored.unpack(&mut unpacker)?;
            }
            if part.signature > 0 {
                signature::check(Signature {
                    source: &*self.source,
                    offset: part.signature,
                    frames: part.frames.len(),
                    seed: of.seed(),
                })?;
            }
        }
        ids.dedup();
        Ok(ids)
    }

    /// A frame that is kept.
    pub(super) fn kept(&self, at: &FrameAt) -> Option<Arc<Unpacked>> {
        self.kept.get(self.id, at.offset)
    }

    /// Keeps a frame, perhaps.
    pub(super) fn keep(&self, at: &FrameAt, frame: &Arc<Unpacked>) {
        self.kept.keep(self.id, at.offset, frame);
    }

    pub(super) fn read(&self, at: &FrameAt) -> Result<Vec<u8>> {
        self.source
            .read_at(at.offset, at.bytes)
            .map_err(Error::io("a frame of text"))
    }
}
