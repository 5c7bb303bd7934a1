//! What `index` says of text and words.

use coldpost_engine::{Error, IndexChecked, IndexProgress};
use serde::{Deserialize, Serialize};

use super::in_full;

/// `GET /admin/index`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexStanding {
    /// Numbers by name, in a fixed order.
    pub figures: Vec<(String, String)>,
}

/// A line of `POST /admin/index/rebuild` and `POST /admin/index/check`; the last is `rebuilt`, `checked` or `failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum IndexLine {
    /// How far it is, messages.
    Progress {
        /// So many.
        done: u64,
        /// Of about so many.
        total: u64,
    },
    /// All is made again, as far as mail could be read.
    Rebuilt {
        /// Stretches that could not be, and are tried again later.
        left: usize,
    },
    /// All was looked at.
    Checked {
        /// Files of text.
        files: u64,
        /// Messages whose text is in them.
        messages: u64,
        /// Messages that wait, or are to be made again.
        waiting: u64,
        /// What is wrong.
        damage: Vec<String>,
    },
    /// It broke off.
    Failed {
        /// What happened and what to do.
        error: String,
    },
}

impl From<IndexProgress> for IndexLine {
    fn from(now: IndexProgress) -> IndexLine {
        IndexLine::Progress {
            done: now.done,
            total: now.total,
        }
    }
}

impl From<Result<usize, Error>> for IndexLine {
    fn from(ended: Result<usize, Error>) -> IndexLine {
        match ended {
            Ok(left) => IndexLine::Rebuilt { left },
            Err(e) => IndexLine::Failed { error: in_full(&e) },
        }
    }
}

impl From<Result<IndexChecked, Error>> for IndexLine {
    fn from(ended: Result<IndexChecked, Error>) -> IndexLine {
        match ended {
            Ok(checked) => IndexLine::Checked {
                files: checked.files,
                messages: checked.messages,
                waiting: checked.waiting,
                damage: checked.damage,
            },
            Err(e) => IndexLine::Failed { error: in_full(&e) },
        }
    }
}
