//! Texts that are too large for memory while they wait for their file: in a file without a name.
//!
//! Promises: what is read is what was put. A crash leaves: nothing.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use coldpost_search::text::Piece;

use crate::error::{Error, Kind, Result};

/// Where a piece lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    offset: u64,
    bytes: usize,
    repeats: usize,
    number: Option<u32>,
}

/// The file.
pub(super) struct Spool {
    file: File,
    end: u64,
}

impl Spool {
    /// In a directory.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(super) fn new(dir: &Path) -> Result<Spool> {
        let file = tempfile::tempfile_in(dir).map_err(refused)?;
        Ok(Spool { file, end: 0 })
    }

    /// Bytes in it.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    /// Puts a piece behind all others.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(super) fn put(&mut self, piece: Piece<'_>) -> Result<Span> {
        self.file
            .write_all_at(piece.text.as_bytes(), self.end)
            .map_err(refused)?;
        let span = Span {
            offset: self.end,
            bytes: piece.text.len(),
            repeats: piece.repeats,
            number: piece.number,
        };
        self.end += u64::try_from(piece.text.len()).unwrap_or(u64::MAX);
        Ok(span)
    }

    /// Gives a piece to `each`.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses; those of `each`.
    pub(super) fn get(
        &self,
        span: &Span,
        each: impl FnOnce(Piece<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut bytes = vec![0; span.bytes];
        self.file
            .read_exact_at(&mut bytes, span.offset)
            .map_err(refused)?;
        let wrong =
            |e| Error::with_source(Kind::Unavailable, "a spooled text is not what was put", e);
        let text = String::from_utf8(bytes).map_err(wrong)?;
        each(Piece {
            text: &text,
            repeats: span.repeats,
            number: span.number,
        })
    }

    /// Forgets all of it.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.end = 0;
        self.file.set_len(0).map_err(refused)
    }
}

fn refused(source: std::io::Error) -> Error {
    Error::with_source(
        Kind::Unavailable,
        "the disk refuses a spool for texts",
        source,
    )
}
