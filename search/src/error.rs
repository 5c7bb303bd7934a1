//! What can go wrong while text is written and read.

use std::io;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes are not what was written: nothing of them was used.
    #[error("{what} at byte {offset}: {found}")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// Where in the file.
        offset: u64,
        /// What is wrong with it.
        found: String,
    },
    /// The disk, or whatever the bytes come from, refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Whoever asked does not want to wait longer.
    #[error("the search took too long")]
    Late,
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn corrupt(what: &'static str, offset: u64, found: impl Into<String>) -> Error {
        let found = found.into();
        Error::Corrupt {
            what,
            offset,
            found,
        }
    }

    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { what, source }
    }

    /// Whether the bytes are to blame.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Error::Corrupt { .. })
    }
}
