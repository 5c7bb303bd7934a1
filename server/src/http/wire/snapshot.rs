//! Snapshots, as they are told.

use coldpost_engine::snapshot::{self, Event, Stage};
use serde::{Deserialize, Serialize};

use super::{date, in_full};

/// A snapshot of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Number of the shard; 0 is the directory.
    pub shard: u16,
    /// The entry after which the rows stood as it shows them.
    pub position: u64,
    /// The epoch of that entry.
    pub epoch: u32,
    /// When it was confirmed (RFC 3339).
    pub time: String,
    /// Bytes in the object store.
    pub bytes: u64,
    /// Ranges.
    pub ranges: usize,
    /// `stored`, or `condemned`: about to be deleted.
    pub state: String,
}

/// `GET /admin/snapshot`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshots {
    /// By shard, the oldest first.
    pub snapshots: Vec<Snapshot>,
}

/// A line of `POST /admin/snapshot` and `coldpost snapshot now --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum SnapshotLine {
    /// How far it is.
    Progress {
        /// Of which shard.
        shard: u16,
        /// `packing`, `waiting` (for uploads), `uploading` or `comparing`.
        stage: String,
        /// So many bytes, or uploads.
        done: u64,
        /// Of so many; 0 where nobody knows.
        total: u64,
    },
    /// One is there.
    Taken(Snapshot),
    /// The end: every shard has one.
    Done,
    /// The end: it could not go on.
    Failed {
        /// What happened and what to do.
        error: String,
    },
}

impl From<snapshot::Snapshot> for Snapshot {
    fn from(known: snapshot::Snapshot) -> Snapshot {
        let state = match known.is_condemned {
            true => "condemned",
            false => "stored",
        };
        Snapshot {
            shard: known.shard.0,
            position: known.position.0,
            epoch: known.epoch.0,
            time: date((known.time, 0)),
            bytes: known.bytes,
            ranges: known.ranges,
            state: state.to_owned(),
        }
    }
}

impl From<Event> for SnapshotLine {
    fn from(event: Event) -> SnapshotLine {
        match event {
            Event::Taken(snapshot) => SnapshotLine::Taken(snapshot.into()),
            Event::Progress {
                shard,
                stage,
                done,
                total,
            } => {
                let stage = match stage {
                    Stage::Packing => "packing",
                    Stage::Waiting => "waiting",
                    Stage::Uploading => "uploading",
                    Stage::Comparing => "comparing",
                };
                SnapshotLine::Progress {
                    shard: shard.0,
                    stage: stage.to_owned(),
                    done,
                    total,
                }
            }
        }
    }
}

impl From<coldpost_engine::Result<()>> for SnapshotLine {
    fn from(end: coldpost_engine::Result<()>) -> SnapshotLine {
        match end {
            Ok(()) => SnapshotLine::Done,
            Err(error) => SnapshotLine::Failed {
                error: in_full(&error),
            },
        }
    }
}
