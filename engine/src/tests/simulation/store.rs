//! The simulated bucket, and what objects hold, there and on the local disk.

use std::collections::BTreeMap;
use std::rc::Rc;

use coldpost_tiers::address::{ObjectId, Position};

use super::journal::Written;
use super::rows::Dump;

/// A run of entries that ended.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) entries: Vec<Rc<Written>>,
}

/// What an object holds. The same object is the same allocation, wherever it lies.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Segment(Rc<Segment>),
    /// Frames by number.
    Block(Rc<Vec<Vec<u8>>>),
    /// Blobs by offset: one at 0, or those of a pack.
    Blobs(Rc<BTreeMap<u64, Vec<u8>>>),
    Snapshot(Rc<Dump>),
}

impl Held {
    pub(super) fn is_same(&self, other: &Held) -> bool {
        match (self, other) {
            (Held::Segment(a), Held::Segment(b)) => Rc::ptr_eq(a, b),
            (Held::Block(a), Held::Block(b)) => a == b,
            (Held::Blobs(a), Held::Blobs(b)) => a == b,
            (Held::Snapshot(a), Held::Snapshot(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// All bytes of mail in it.
    pub(super) fn pieces(&self) -> Vec<&[u8]> {
        match self {
            Held::Segment(segment) => segment.entries.iter().map(|w| &w.body[..]).collect(),
            Held::Block(frames) => frames.iter().map(|f| &f[..]).collect(),
            Held::Blobs(blobs) => blobs.values().map(|b| &b[..]).collect(),
            Held::Snapshot(_) => Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.pieces().iter().map(|p| p.len() as u64).sum::<u64>() + 100
    }
}

/// How requests fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing happens, and it is said.
    Refuses,
    /// It happens, and a failure is said.
    LosesTheAnswer,
}

/// A request that failed: later again.
#[derive(Debug)]
pub(super) struct Away;

/// See the module.
#[derive(Default)]
pub(super) struct Bucket {
    pub(super) objects: BTreeMap<ObjectId, Held>,
    /// How the next requests fail, and how many of them.
    pub(super) trouble: Option<(Fault, u8)>,
}

impl Bucket {
    fn fault(&mut self) -> Option<Fault> {
        let (fault, left) = self.trouble?;
        self.trouble = (left > 1).then_some((fault, left - 1));
        Some(fault)
    }

    /// A conditional put: an equal object is success.
    pub(super) fn put(&mut self, object: ObjectId, held: &Held) -> Result<(), Away> {
        let fault = self.fault();
        if fault == Some(Fault::Refuses) {
            return Err(Away);
        }
        let there = self.objects.entry(object).or_insert_with(|| held.clone());
        assert!(
            there.is_same(held),
            "another object has the name {object:?}"
        );
        fault.map_or(Ok(()), |_| Err(Away))
    }

    /// `None`: it is not there.
    pub(super) fn get(&mut self, object: ObjectId) -> Result<Option<Held>, Away> {
        match self.fault() {
            Some(_) => Err(Away),
            None => Ok(self.objects.get(&object).cloned()),
        }
    }

    /// What is not there is deleted.
    pub(super) fn delete(&mut self, object: ObjectId) -> Result<(), Away> {
        let fault = self.fault();
        if fault == Some(Fault::Refuses) {
            return Err(Away);
        }
        self.objects.remove(&object);
        fault.map_or(Ok(()), |_| Err(Away))
    }
}
