//! The local journal of the simulation: entries with places, the open segment, a kill and a lost disk.

use std::rc::Rc;

use coldpost_tiers::address::{BlobId, ObjectId, ObjectKind};
use coldpost_tiers::hot::row::ObjectState;

use super::rows::Dump;
use super::store::{Held, Segment};
use super::world::{Fails, World};
use crate::apply::At;
use crate::ids::{Epoch, Position, ShardNo};
use crate::op::{self, Entry, EpochOp, Op, OpId, Outcome, Stored};

/// Bytes of an object before its first record.
const HEAD: u64 = 100;

/// An entry where it stands.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) at: At,
    pub(super) entry: Entry,
    pub(super) meta: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl World<'_> {
    pub(super) fn position(&self) -> Position {
        self.rows.fold.applied.position
    }

    /// Durable and applied.
    pub(super) fn append(&mut self, op: Op, body: Vec<u8>) -> Outcome {
        let known = self.position();
        let position = Position(known.0 + 1);
        self.ids += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.ids.to_le_bytes());
        let entry = Entry {
            time_ms: u64::try_from(self.now).unwrap() * 1000,
            id: OpId(id),
            known: (self.epoch, known),
            op,
        };
        let meta = op::encode(&entry);
        let (segment_first, offset) = match self.open.last() {
            Some(last) => (last.at.segment_first, last.at.end_offset),
            None => (position, HEAD),
        };
        let body_offset = offset + meta.len() as u64;
        let at = At {
            shard: ShardNo(1),
            epoch: self.epoch,
            position,
            segment_first,
            body_offset,
            end_offset: body_offset + body.len() as u64,
            chain: u32::try_from(position.0).unwrap() * 7,
        };
        let written = Rc::new(Written {
            at,
            entry,
            meta,
            body,
        });
        self.open.push(Rc::clone(&written));
        self.rows.apply(&[written]).expect("one entry, one outcome")
    }

    /// Ends the open segment.
    pub(super) fn seal(&mut self) {
        self.append(Op::Cut, Vec::new());
        let entries = std::mem::take(&mut self.open);
        let at = entries[0].at;
        let segment = Segment {
            first: at.segment_first,
            last: self.position(),
            entries,
        };
        self.disk
            .insert(at.segment(), Held::Segment(Rc::new(segment)));
    }

    /// What was in memory is lost; what stood behind the last commit is applied again.
    pub(super) fn kill(&mut self) -> Fails {
        self.forget_work();
        let end = self.position();
        let durable = self.durable.clone();
        self.rows.load(&durable);
        self.replay_segments()?;
        let from = self.position();
        let open = self.open.iter().filter(|w| w.at.position > from);
        let open: Vec<_> = open.cloned().collect();
        self.rows.apply(&open);
        if self.position() != end {
            return Err(format!("replay ends at {:?}, not {end:?}", self.position()));
        }
        self.sweep();
        Ok(())
    }

    /// Only the bucket is left: the newest snapshot in it, and the entries behind it.
    pub(super) fn lose_disk(&mut self) -> Fails {
        self.forget_work();
        self.disk.clear();
        self.open.clear();
        let snapshots = self.bucket.objects.values().filter_map(|held| match held {
            Held::Snapshot(dump) => Some(dump),
            _ => None,
        });
        let newest = snapshots.max_by_key(|dump| dump.position);
        let dump = newest.map_or_else(Dump::default, |dump| Dump::clone(dump));
        self.rows.load(&dump);
        self.replay_segments()?;
        let fork = self.position();
        self.history.retain(|(position, _)| *position <= fork);
        self.model = self
            .history
            .last()
            .map(|(_, model)| model.clone())
            .unwrap_or_default();
        let parent = self.epoch;
        self.epoch = Epoch(parent.0 + 1);
        self.append(
            Op::Epoch(EpochOp {
                epoch: self.epoch,
                parent,
                fork,
                open_segment: Position(0),
                raise: true,
            }),
            Vec::new(),
        );
        self.recognise();
        self.durable = self.rows.dump();
        Ok(())
    }

    /// Entries of sealed segments behind what was applied, of local files or else of the bucket.
    fn replay_segments(&mut self) -> Fails {
        let mut segments: Vec<Rc<Segment>> = Vec::new();
        for held in self.bucket.objects.values().chain(self.disk.values()) {
            if let Held::Segment(segment) = held
                && segment.last > self.position()
                && !segments.iter().any(|known| known.first == segment.first)
            {
                segments.push(Rc::clone(segment));
            }
        }
        segments.sort_by_key(|segment| segment.first);
        for segment in segments {
            let next = Position(self.position().0 + 1);
            if segment.first > next {
                return Err(format!(
                    "replay needs {next:?}, the next segment begins at {:?}",
                    segment.first
                ));
            }
            let behind = segment.entries.iter().filter(|w| w.at.position >= next);
            let behind: Vec<_> = behind.cloned().collect();
            self.rows.apply(&behind);
        }
        Ok(())
    }

    /// What the bucket has and the state calls local is stored; what the state does not know at all was named by entries that are lost.
    fn recognise(&mut self) {
        let there: Vec<(ObjectId, u64, Position)> = self
            .bucket
            .objects
            .iter()
            .map(|(object, held)| {
                let last = match held {
                    Held::Segment(segment) => segment.last,
                    _ => Position(0),
                };
                (*object, held.bytes(), last)
            })
            .collect();
        for (object, bytes, last) in there {
            let row = self.rows.object(object);
            match (row, object.kind) {
                (Some(row), ObjectKind::Segment | ObjectKind::Blob)
                    if row.state == ObjectState::Local =>
                {
                    self.stored(object, bytes, last);
                }
                // A segment without mail has no row before it is stored.
                (None, ObjectKind::Segment) => self.stored(object, bytes, last),
                (Some(_), _) => {}
                (None, _) => {
                    self.strays.insert(object);
                }
            }
        }
    }

    pub(super) fn stored(&mut self, object: ObjectId, bytes: u64, last: Position) {
        let stored = Stored {
            object,
            bytes,
            digest: [1; 32],
            last,
            key_id: 0,
        };
        self.append(Op::Stored(stored), Vec::new());
    }

    fn forget_work(&mut self) {
        self.runs = [None, None];
        self.collecting = None;
        self.snapping = None;
        self.shipping = None;
        self.bucket.trouble = None;
    }

    /// What a start does with files that were never finished.
    fn sweep(&mut self) {
        let rows = &self.rows;
        self.disk.retain(|object, _| match object.kind {
            ObjectKind::Block | ObjectKind::Pack => rows
                .object(*object)
                .is_some_and(|row| row.state != ObjectState::Local),
            ObjectKind::Blob => rows.blob(BlobId(object.id)).is_some(),
            _ => true,
        });
    }
}
