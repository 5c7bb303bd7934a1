//! Uploads of blobs and segments, eviction, snapshots, as upkeep does them.

use std::rc::Rc;

use coldpost_tiers::address::{ObjectId, ObjectKind, Position, ShardNo};
use coldpost_tiers::cache::local::{LocalFile, evict};
use coldpost_tiers::hot::row::ObjectState;

use super::rows::Dump;
use super::store::{Away, Held};
use super::world::World;
use crate::op::{Intent, Op};

/// An object that the bucket has and the journal does not call stored yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shipping(ObjectId);

/// How far a snapshot came.
#[derive(Debug)]
pub(super) enum Snapping {
    /// The rows were taken down; not everything that they refer to is in the bucket: what they called local then, whatever became of it since.
    Taken(Rc<Dump>, Vec<ObjectId>),
    Named(ObjectId, Rc<Dump>),
    Put(ObjectId, Rc<Dump>),
}

impl World<'_> {
    /// One step of uploading; whether there was one.
    pub(super) fn ship(&mut self) -> Result<bool, Away> {
        if let Some(Shipping(object)) = self.shipping.take() {
            // Nothing deletes the file of what is not stored.
            let Some(held) = self.disk.get(&object).cloned() else {
                return Ok(true);
            };
            let last = match &held {
                Held::Segment(segment) => segment.last,
                _ => Position(0),
            };
            self.stored(object, held.bytes(), last);
            return Ok(true);
        }
        let Some(object) = self.next_unshipped() else {
            return Ok(false);
        };
        let held = self.disk[&object].clone();
        self.bucket.put(object, &held)?;
        self.shipping = Some(Shipping(object));
        Ok(true)
    }

    /// Blobs of deliveries first, then segments in their order.
    fn next_unshipped(&self) -> Option<ObjectId> {
        let is_local = |object: &ObjectId| {
            let row = self.rows.object(*object);
            row.is_none_or(|row| row.state == ObjectState::Local)
        };
        let blobs = self.rows.blobs();
        let mut blobs = blobs.iter().map(|row| row.object);
        let blob =
            blobs.find(|o| o.kind == ObjectKind::Blob && self.disk.contains_key(o) && is_local(o));
        let segments = self.disk.keys().copied();
        let mut segments = segments.filter(|o| o.kind == ObjectKind::Segment && is_local(o));
        blob.or_else(|| segments.next())
    }

    pub(super) fn evict(&mut self, budget: u64) {
        let file = |(object, held): (&ObjectId, &Held)| {
            let row = self.rows.object(*object);
            let durable = self.durable.position;
            LocalFile {
                shard: ShardNo(1),
                object: *object,
                bytes: held.bytes(),
                last_used: 0,
                confirmed: row
                    .is_some_and(|row| row.state == ObjectState::Stored && row.last <= durable),
            }
        };
        let files: Vec<LocalFile> = self.disk.iter().map(file).collect();
        for (_, object) in evict(&files, budget) {
            self.disk.remove(&object);
        }
    }

    /// One step of a snapshot; whether there was one. One that fails is given up.
    pub(super) fn snap(&mut self) -> Result<bool, Away> {
        let (began, at) = match self.snapping.take() {
            None => (self.now, None),
            Some((began, at)) => (began, Some(at)),
        };
        let next = match at {
            None => {
                self.seal();
                let dump = Rc::new(self.rows.dump());
                let needed = self.needed_by(&dump);
                Some(Snapping::Taken(dump, needed))
            }
            Some(Snapping::Taken(dump, needed)) => {
                while needed.iter().any(|object| self.is_waited_for(*object)) {
                    assert!(self.ship()?, "a snapshot waits for what nobody uploads");
                }
                let manifest =
                    ObjectId::numbered(ObjectKind::Snapshot, self.epoch, dump.position.0);
                let intent = Intent {
                    numbered: Vec::new(),
                    given: vec![manifest],
                };
                self.append(Op::Intent(intent), Vec::new());
                Some(Snapping::Named(manifest, dump))
            }
            Some(Snapping::Named(manifest, dump)) => {
                self.bucket
                    .put(manifest, &Held::Snapshot(Rc::clone(&dump)))?;
                Some(Snapping::Put(manifest, dump))
            }
            Some(Snapping::Put(manifest, dump)) => {
                self.stored(manifest, 100, dump.position);
                None
            }
        };
        self.snapping = next.map(|next| (began, next));
        Ok(self.snapping.is_some())
    }

    /// What is not in the bucket and a snapshot needs that is taken now.
    fn needed_by(&self, dump: &Dump) -> Vec<ObjectId> {
        let of_rows = self.rows.objects().into_iter();
        let of_rows =
            of_rows.filter(|(_, row)| row.state == ObjectState::Local && row.count.is_live());
        let is_dead = |object: &ObjectId| {
            let row = self.rows.object(*object);
            row.is_some_and(|row| !row.count.is_live())
        };
        let segments = self.disk.keys().copied();
        let segments = segments.filter(|object| match object.as_segment() {
            Some((_, first)) => first <= dump.position && !is_dead(object),
            None => false,
        });
        of_rows.map(|(object, _)| object).chain(segments).collect()
    }

    fn is_waited_for(&self, object: ObjectId) -> bool {
        match self.rows.object(object) {
            Some(row) => row.state == ObjectState::Local,
            None => self.disk.contains_key(&object),
        }
    }
}
