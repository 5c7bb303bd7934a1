//! The text store: folded text of messages in immutable files, looked through for exact substrings (`docs/search.md`, `docs/format.md`).
//!
//! The way of a text: `pieces` (folded, cut) → `write` (frames, signatures, index) → `run` (opened, compared) → `find`; `merge` makes one
//! of several.
//! Promises: what contains a needle is found and nothing else is; no byte is looked at that was not compared with its checksum.
//! Never: knows where files are, what a mailbox is, or who may see what.

mod bytes;
mod find;
mod frame;
mod index;
mod merge;
mod pieces;
mod run;
mod signature;
mod write;

pub use find::{Ask, Hearing, Needle, Wanted};
pub use frame::{Kept, Unpacked};
pub use index::Made;
pub use merge::{choose, merge};
pub use pieces::{Piece, Pieces};
pub use run::{Run, Source};
pub use write::{NewFile, RunWriter, Written};

/// A message of an account: the order is that of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextId {
    /// The writer's term.
    pub epoch: u32,
    /// Position of the entry that delivered it.
    pub position: u64,
    /// Its number in that entry.
    pub number: u16,
}

/// Where a message stands among those of all accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose.
    pub account: u64,
    /// Which.
    pub id: TextId,
}

impl Key {
    /// Before all others.
    pub const FIRST: Key = Key {
        account: 0,
        id: TextId {
            epoch: 0,
            position: 0,
            number: 0,
        },
    };
}

/// Messages by position and key: what a file is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// The position before the first.
    pub from: u64,
    /// The last position.
    pub to: u64,
    /// The first key.
    pub low: Key,
    /// The first key behind it; `None`: all that follow are in it.
    pub high: Option<Key>,
}

impl Rect {
    /// All of what entries in `from < position <= to` delivered.
    pub fn all(from: u64, to: u64) -> Rect {
        Rect {
            from,
            to,
            low: Key::FIRST,
            high: None,
        }
    }

    /// Whether a message is in it.
    pub fn has(&self, key: Key) -> bool {
        let is_after = self.high.is_none_or(|high| key < high);
        self.low <= key && is_after && self.from < key.id.position && key.id.position <= self.to
    }

    /// Whether messages of an account may be in it.
    pub fn has_account(&self, account: u64) -> bool {
        let is_before = self.high.is_none_or(|high| {
            let is_first = high.id == Key::FIRST.id;
            account < high.account || account == high.account && !is_first
        });
        self.low.account <= account && is_before
    }
}

/// What of a message a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bodies: all but the header of the message itself.
    Body,
    /// The fields of its header.
    Header,
}

impl Kind {
    /// Both, in the order of the index.
    pub const ALL: [Kind; 2] = [Kind::Body, Kind::Header];

    fn number(self) -> u8 {
        match self {
            Kind::Body => 0,
            Kind::Header => 1,
        }
    }

    fn index(self) -> usize {
        usize::from(self.number())
    }
}

/// Stands between two texts of a message; no text has one.
const BETWEEN: char = '\n';
/// Stands behind each message; no text has one.
const BEHIND: char = '\0';

#[cfg(test)]
mod tests;
