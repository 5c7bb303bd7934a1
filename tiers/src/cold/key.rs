//! Names of objects in the bucket: what an object is ↔ its key, both ways (`docs/format.md`, Names).
//!
//! Promises: two things never share a key, a pack and a blob of equal id excepted; keys of a kind are in the order of their numbers.

use std::fmt;

use crate::address::{Epoch, ObjectId, ObjectKind, Position, ShardNo};

/// The key of an object, below the configured prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The claim of an epoch.
    Epoch {
        /// Of which shard.
        shard: ShardNo,
        /// Which.
        epoch: Epoch,
    },
    /// A sealed segment.
    Segment {
        /// Of which shard.
        shard: ShardNo,
        /// Its writer's epoch.
        epoch: Epoch,
        /// Its first position.
        first: Position,
    },
    /// A shipped piece of an open segment.
    Tail {
        /// Of which shard.
        shard: ShardNo,
        /// Its writer's epoch.
        epoch: Epoch,
        /// First position in it.
        first: Position,
        /// Last position in it.
        last: Position,
    },
    /// A block.
    Block {
        /// Of which shard.
        shard: ShardNo,
        /// Its id.
        id: [u8; 16],
    },
    /// A blob that lies alone, or a pack: the key does not tell, the header does.
    BlobOrPack {
        /// Of which shard.
        shard: ShardNo,
        /// Its id.
        id: [u8; 16],
    },
    /// A run of the text store.
    TextRun {
        /// Of which shard.
        shard: ShardNo,
        /// Its id.
        id: [u8; 16],
    },
    /// The manifest of a snapshot.
    Snapshot {
        /// Of which shard.
        shard: ShardNo,
        /// The epoch it was taken in.
        epoch: Epoch,
        /// The position it shows.
        position: Position,
    },
    /// A range of the rows of a snapshot.
    SnapshotRange {
        /// Of which shard.
        shard: ShardNo,
        /// The first bytes of its digest.
        id: [u8; 16],
    },
    /// What the check at start writes and deletes.
    Probe {
        /// Random.
        id: [u8; 16],
    },
}

impl Key {
    /// Where an object is kept. The id of an epoch claim is its epoch, big-endian, and 12 zero bytes.
    pub fn of(shard: ShardNo, object: &ObjectId) -> Key {
        let id = object.id;
        match object.kind {
            ObjectKind::Segment => {
                let (epoch, first) = object.as_segment().expect("its kind says that it is one");
                Key::Segment {
                    shard,
                    epoch,
                    first,
                }
            }
            ObjectKind::EpochClaim => {
                let [a, b, c, d, ..] = id;
                Key::Epoch {
                    shard,
                    epoch: Epoch(u32::from_be_bytes([a, b, c, d])),
                }
            }
            ObjectKind::Block => Key::Block { shard, id },
            ObjectKind::Blob | ObjectKind::Pack => Key::BlobOrPack { shard, id },
            ObjectKind::TextRun => Key::TextRun { shard, id },
            ObjectKind::Snapshot => {
                let (epoch, position) = object.numbers();
                Key::Snapshot {
                    shard,
                    epoch,
                    position: Position(position),
                }
            }
            ObjectKind::SnapshotRange => Key::SnapshotRange { shard, id },
        }
    }

    /// The shard and object that are kept there: a blob where it may be a pack; `None` for tails and probes.
    pub fn object(&self) -> Option<(ShardNo, ObjectId)> {
        let named =
            |shard: &ShardNo, kind, id: &[u8; 16]| Some((*shard, ObjectId { kind, id: *id }));
        match self {
            Key::Epoch { shard, epoch } => {
                let mut id = [0; 16];
                id[..4].copy_from_slice(&epoch.0.to_be_bytes());
                named(shard, ObjectKind::EpochClaim, &id)
            }
            Key::Segment {
                shard,
                epoch,
                first,
            } => Some((*shard, ObjectId::segment(*epoch, *first))),
            Key::Block { shard, id } => named(shard, ObjectKind::Block, id),
            Key::BlobOrPack { shard, id } => named(shard, ObjectKind::Blob, id),
            Key::TextRun { shard, id } => named(shard, ObjectKind::TextRun, id),
            Key::Snapshot {
                shard,
                epoch,
                position,
            } => Some((
                *shard,
                ObjectId::numbered(ObjectKind::Snapshot, *epoch, position.0),
            )),
            Key::SnapshotRange { shard, id } => named(shard, ObjectKind::SnapshotRange, id),
            Key::Tail { .. } | Key::Probe { .. } => None,
        }
    }

    /// From a name in the bucket; `None` when it is not one of ours, to the letter.
    pub fn parse(name: &str) -> Option<Key> {
        let (folder, rest) = name.split_once('/')?;
        if folder == PROBES {
            return Some(Key::Probe { id: id(rest)? });
        }
        let (shard, rest) = rest.split_once('/')?;
        let shard = ShardNo(u16::try_from(number(shard, 4)?).ok()?);
        let numbered = || {
            let (epoch, rest) = rest.split_once('/')?;
            Some((epoch_of(epoch)?, rest))
        };
        Some(match folder {
            "epochs" => Key::Epoch {
                shard,
                epoch: epoch_of(rest)?,
            },
            "segments" => {
                let (epoch, first) = numbered()?;
                Key::Segment {
                    shard,
                    epoch,
                    first: Position(number(first, 16)?),
                }
            }
            "tails" => {
                let (epoch, positions) = numbered()?;
                let (first, last) = positions.split_once('-')?;
                let (first, last) = (Position(number(first, 16)?), Position(number(last, 16)?));
                Key::Tail {
                    shard,
                    epoch,
                    first,
                    last,
                }
            }
            "blocks" => Key::Block {
                shard,
                id: id(rest)?,
            },
            "blobs" => Key::BlobOrPack {
                shard,
                id: id(rest)?,
            },
            "text" => Key::TextRun {
                shard,
                id: id(rest)?,
            },
            "ranges" => Key::SnapshotRange {
                shard,
                id: id(rest)?,
            },
            "snapshots" => {
                let (epoch, position) = numbered()?;
                Key::Snapshot {
                    shard,
                    epoch,
                    position: Position(number(position, 16)?),
                }
            }
            _ => return None,
        })
    }
}

/// Where the check at start writes and deletes.
pub const PROBES: &str = "probes";

/// The folders whose objects are deleted once nobody needs them: all but the claims of epochs.
pub const COLLECTED: &[&str] = &[
    "segments",
    "tails",
    "blocks",
    "blobs",
    "text",
    "ranges",
    "snapshots",
    PROBES,
];

/// Below this are the claims of epochs.
pub(super) const CLAIMS: &str = "epochs/";

/// What to list for the epochs of a shard.
pub fn epochs(shard: ShardNo) -> String {
    format!("{CLAIMS}{:04x}", shard.0)
}

/// What to list for the segments of a shard.
pub fn segments(shard: ShardNo) -> String {
    format!("segments/{:04x}", shard.0)
}

/// What to list for the tails of a shard.
pub fn tails(shard: ShardNo) -> String {
    format!("tails/{:04x}", shard.0)
}

/// What to list for the snapshots of a shard.
pub fn snapshots(shard: ShardNo) -> String {
    format!("snapshots/{:04x}", shard.0)
}

/// What to list for the blobs and packs of a shard.
pub fn blobs(shard: ShardNo) -> String {
    format!("blobs/{:04x}", shard.0)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |id: &[u8; 16]| format!("{:032x}", u128::from_be_bytes(*id));
        match self {
            Key::Epoch { shard, epoch } => write!(f, "{CLAIMS}{:04x}/{:08x}", shard.0, epoch.0),
            Key::Segment {
                shard,
                epoch,
                first,
            } => {
                write!(
                    f,
                    "segments/{:04x}/{:08x}/{:016x}",
                    shard.0, epoch.0, first.0
                )
            }
            Key::Tail {
                shard,
                epoch,
                first,
                last,
            } => {
                write!(
                    f,
                    "tails/{:04x}/{:08x}/{:016x}-{:016x}",
                    shard.0, epoch.0, first.0, last.0
                )
            }
            Key::Block { shard, id } => write!(f, "blocks/{:04x}/{}", shard.0, hex(id)),
            Key::BlobOrPack { shard, id } => write!(f, "blobs/{:04x}/{}", shard.0, hex(id)),
            Key::TextRun { shard, id } => write!(f, "text/{:04x}/{}", shard.0, hex(id)),
            Key::SnapshotRange { shard, id } => write!(f, "ranges/{:04x}/{}", shard.0, hex(id)),
            Key::Snapshot {
                shard,
                epoch,
                position,
            } => {
                write!(
                    f,
                    "snapshots/{:04x}/{:08x}/{:016x}",
                    shard.0, epoch.0, position.0
                )
            }
            Key::Probe { id } => write!(f, "{PROBES}/{}", hex(id)),
        }
    }
}

/// A number in exactly `width` lower-case hexadecimal digits.
fn number(text: &str, width: usize) -> Option<u64> {
    digits(text, width).then(|| u64::from_str_radix(text, 16).ok())?
}

fn epoch_of(text: &str) -> Option<Epoch> {
    Some(Epoch(u32::try_from(number(text, 8)?).ok()?))
}

fn id(text: &str) -> Option<[u8; 16]> {
    digits(text, 32).then(|| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes))?
}

fn digits(text: &str, width: usize) -> bool {
    text.len() == width
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_key() -> impl Strategy<Value = Key> {
        let numbers = (
            any::<u16>(),
            any::<u32>(),
            any::<u64>(),
            any::<u64>(),
            any::<[u8; 16]>(),
        );
        (0..9_u8, numbers).prop_map(|(kind, (shard, epoch, first, last, id))| {
            let (shard, epoch) = (ShardNo(shard), Epoch(epoch));
            let (first, last) = (Position(first), Position(last));
            match kind {
                0 => Key::Epoch { shard, epoch },
                1 => Key::Segment {
                    shard,
                    epoch,
                    first,
                },
                2 => Key::Tail {
                    shard,
                    epoch,
                    first,
                    last,
                },
                3 => Key::Block { shard, id },
                4 => Key::BlobOrPack { shard, id },
                7 => Key::SnapshotRange { shard, id },
                5 => Key::TextRun { shard, id },
                6 => Key::Snapshot {
                    shard,
                    epoch,
                    position: first,
                },
                _ => Key::Probe { id },
            }
        })
    }

    proptest! {
        #[test]
        fn a_key_is_read_back_from_its_name(key in any_key()) {
            prop_assert_eq!(Key::parse(&key.to_string()), Some(key));
            if let Some((shard, object)) = key.object() {
                prop_assert_eq!(Key::of(shard, &object), key);
            }
        }

        #[test]
        fn foreign_names_never_panic_and_a_key_has_one_name(name in "([a-z]{4,9}/)?[0-9a-fA-F/-]{0,60}") {
            if let Some(key) = Key::parse(&name) {
                prop_assert_eq!(key.to_string(), name);
            }
        }

        #[test]
        fn a_listing_is_in_the_order_of_the_numbers(a: (u16, u32, u64), b: (u16, u32, u64)) {
            let key = |n: (u16, u32, u64)| Key::Segment {
                shard: ShardNo(n.0), epoch: Epoch(n.1), first: Position(n.2),
            };
            prop_assert_eq!(key(a).to_string().cmp(&key(b).to_string()), a.cmp(&b));
        }
    }

    #[test]
    fn keys_look_as_the_format_says() {
        let segment = ObjectId::segment(Epoch(3), Position(255));
        assert_eq!(
            Key::of(ShardNo(1), &segment).to_string(),
            "segments/0001/00000003/00000000000000ff"
        );
        assert!(
            Key::Epoch {
                shard: ShardNo(1),
                epoch: Epoch(2)
            }
            .to_string()
            .starts_with(&epochs(ShardNo(1)))
        );
        assert_eq!(Key::parse("epochs/0001/0000000A"), None);
    }
}
