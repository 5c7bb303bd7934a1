//! Thread keys of an account, many a row: the hash of a Message-ID and the thread that it belongs to.
//!
//! A row covers the hashes from the one in its key up to the next row's; the first of an account covers from 0 on. Where rows are cut
//! depends on nothing but what was put into them, in this order.

use super::{Origin, Row, VERSION};
use crate::address::{Epoch, MessageId, Position, ShardNo};
use crate::codec::{Malformed, Reader, Writer};
use crate::limits::THREAD_ROW_MAX;

/// A row of `threads`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadRow {
    /// Hashes in order, each with its THREADID.
    pub entries: Vec<(u64, Origin)>,
}

impl ThreadRow {
    /// The thread of a hash.
    pub fn get(&self, hash: u64) -> Option<Origin> {
        let found = self.entries.binary_search_by_key(&hash, |(hash, _)| *hash);
        found.ok().map(|at| self.entries[at].1)
    }

    /// Puts a hash into its place, or gives it another thread.
    pub fn put(&mut self, hash: u64, thread: Origin) {
        match self.entries.binary_search_by_key(&hash, |(hash, _)| *hash) {
            Ok(at) => self.entries[at].1 = thread,
            Err(at) => self.entries.insert(at, (hash, thread)),
        }
    }

    /// The upper half of a row with more than [`THREAD_ROW_MAX`], which becomes a row of its own: its first hash and it.
    pub fn split(&mut self) -> Option<(u64, ThreadRow)> {
        if self.entries.len() <= THREAD_ROW_MAX {
            return None;
        }
        let entries = self.entries.split_off(self.entries.len() / 2);
        let (first, _) = *entries.first()?;
        Some((first, ThreadRow { entries }))
    }
}

/// The number of a message is one bit longer where shard and epoch are not those of the entry before and stand behind it.
fn write_thread(w: &mut Writer, thread: Origin, before: Option<Origin>) {
    let id = thread.message;
    let like = |before: Origin| (before.shard, before.message.epoch) == (thread.shard, id.epoch);
    let differs = !before.is_some_and(like);
    w.varint(u64::from(id.number) << 1 | u64::from(differs));
    if differs {
        w.varint(thread.shard.0).varint(id.epoch.0);
    }
    w.varint(id.position.0);
}

fn read_thread(r: &mut Reader<'_>, before: Option<Origin>) -> Result<Origin, Malformed> {
    let at = r.malformed("the number of a message, with its shard and epoch where these change");
    let bits = r.varint()?;
    let (shard, epoch) = match before {
        _ if bits & 1 != 0 => (ShardNo(r.number()?), Epoch(r.number()?)),
        Some(before) => (before.shard, before.message.epoch),
        None => return Err(at),
    };
    Ok(Origin {
        shard,
        message: MessageId {
            epoch,
            position: Position(r.varint()?),
            number: u16::try_from(bits >> 1).map_err(|_| at)?,
        },
    })
}

impl Row for ThreadRow {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION).count(self.entries.len());
        let mut before: Option<(u64, Origin)> = None;
        for (hash, thread) in &self.entries {
            w.varint(hash - before.map_or(0, |(hash, _)| hash));
            write_thread(&mut w, *thread, before.map(|(_, thread)| thread));
            before = Some((*hash, *thread));
        }
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<ThreadRow, Malformed> {
        let count = r.count()?;
        let mut row = ThreadRow {
            entries: Vec::with_capacity(count.min(THREAD_ROW_MAX)),
        };
        for _ in 0..count {
            let at = r.malformed("a higher hash");
            let before = row.entries.last().copied();
            let more = r.varint()?;
            let hash = match before {
                Some((hash, _)) if more > 0 => hash.checked_add(more).ok_or(at)?,
                Some(_) => return Err(at),
                None => more,
            };
            let thread = read_thread(r, before.map(|(_, thread)| thread))?;
            row.entries.push((hash, thread));
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    fn origin() -> impl Strategy<Value = Origin> {
        let few = (0_u16..2, 0_u32..2, any::<u64>(), 0_u16..2);
        prop_oneof![few, any::<(u16, u32, u64, u16)>()].prop_map(
            |(shard, epoch, position, number)| Origin {
                shard: ShardNo(shard),
                message: MessageId {
                    epoch: Epoch(epoch),
                    position: Position(position),
                    number,
                },
            },
        )
    }

    proptest! {
        #[test]
        fn a_row_of_threads_is_read_as_it_was_written(entries in btree_map(any::<u64>(), origin(), 0..100)) {
            let row = ThreadRow { entries: entries.into_iter().collect() };
            prop_assert_eq!(ThreadRow::decode("threads", &row.encode()).unwrap(), row);
        }

        #[test]
        fn what_is_put_is_found_and_halves_have_all_of_it(entries in prop::collection::vec((0_u64..200, origin()), 0..200)) {
            let mut row = ThreadRow::default();
            let mut all = std::collections::BTreeMap::new();
            for (hash, thread) in entries {
                row.put(hash, thread);
                all.insert(hash, thread);
            }
            for hash in 0..200 {
                prop_assert_eq!(row.get(hash), all.get(&hash).copied());
            }
            let count = row.entries.len();
            let upper = row.split();
            prop_assert_eq!(upper.is_some(), count > THREAD_ROW_MAX);
            if let Some((first, upper)) = upper {
                prop_assert!(row.entries.len().abs_diff(upper.entries.len()) < 2);
                prop_assert_eq!(upper.entries[0].0, first);
                row.entries.extend(upper.entries);
            }
            prop_assert_eq!(row.entries, all.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn foreign_bytes_are_refused_or_a_row_that_is_written_the_same(bytes in prop::collection::vec(0_u8..9, 0..60)) {
            let value = [&[VERSION][..], &bytes].concat();
            if let Ok(row) = ThreadRow::decode("threads", &value) {
                prop_assert_eq!(ThreadRow::decode("threads", &row.encode()).unwrap(), row);
            }
        }
    }
}
