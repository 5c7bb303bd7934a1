//! Garbage collection as the runner of upkeep does it, step by step: the real decision, `condemn`, local file, DELETE, `gone`.

use std::collections::VecDeque;

use coldpost_tiers::address::{BlobId, ObjectId, ObjectKind};
use coldpost_tiers::gc::{Known, Ongoing, Rules, Verdict, mark};
use coldpost_tiers::hot::row::ObjectState;

use super::store::Away;
use super::world::World;
use crate::objects::horizon;
use crate::op::{Op, Outcome};

/// Seconds for which snapshots are kept.
pub(super) const RETENTION: i64 = 3 * 86_400;
/// Seconds between condemning and deleting.
pub(super) const GRACE: i64 = 86_400;

/// A pass that is going on.
#[derive(Debug)]
pub(super) enum Collecting {
    /// Who is at work was asked, before the rows are read.
    Begun(Ongoing),
    Decided(VecDeque<Work>),
}

/// A step of a pass.
#[derive(Debug)]
pub(super) enum Work {
    Condemn(ObjectId),
    RemoveFile(ObjectId),
    Delete(ObjectId),
    Gone(ObjectId, Vec<BlobId>),
}

impl World<'_> {
    /// One step of a pass, or of a new one; whether something was done or may be.
    pub(super) fn collect(&mut self) -> Result<bool, Away> {
        match self.collecting.take() {
            None => {
                let runs = self.runs.iter().flatten();
                self.collecting = Some(Collecting::Begun(Ongoing {
                    compaction: runs.map(|run| run.began).min(),
                    snapshot: self.snapping.as_ref().map(|(began, _)| *began),
                }));
                Ok(true)
            }
            Some(Collecting::Begun(ongoing)) => {
                let works = self.decide(&ongoing);
                let some = !works.is_empty();
                self.collecting = some.then_some(Collecting::Decided(works));
                Ok(some)
            }
            Some(Collecting::Decided(mut works)) => {
                if let Some(work) = works.pop_front() {
                    self.work(work)?;
                }
                if !works.is_empty() {
                    self.collecting = Some(Collecting::Decided(works));
                }
                Ok(true)
            }
        }
    }

    fn decide(&self, ongoing: &Ongoing) -> VecDeque<Work> {
        let known: Vec<Known> = self
            .rows
            .objects()
            .into_iter()
            .map(|(object, row)| {
                let is_delivered = object.kind == ObjectKind::Blob
                    && row.state == ObjectState::Local
                    && self.rows.blob(BlobId(object.id)).is_some();
                Known::new(object, row, is_delivered, ongoing)
            })
            .collect();
        let rules = Rules {
            now: self.now,
            horizon: horizon(&self.rows.state()).unwrap(),
            retention: RETENTION,
            grace: GRACE,
        };
        let mut works = VecDeque::new();
        for (object, verdict) in mark(&known, &rules) {
            match verdict {
                Verdict::Condemn(_) => works.push_back(Work::Condemn(object)),
                Verdict::Delete => {
                    let blobs = self.rows.blobs().into_iter();
                    let blobs = blobs.filter(|row| row.object == object);
                    let blobs = match object.kind {
                        ObjectKind::Blob => vec![BlobId(object.id)],
                        ObjectKind::Pack => blobs.map(|row| row.record.blob).collect(),
                        _ => Vec::new(),
                    };
                    works.push_back(Work::RemoveFile(object));
                    works.push_back(Work::Delete(object));
                    works.push_back(Work::Gone(object, blobs));
                }
                Verdict::Wait(_) | Verdict::Kept(_) => {}
            }
        }
        works
    }

    fn work(&mut self, work: Work) -> Result<(), Away> {
        match work {
            Work::Condemn(object) => {
                // Apply looks again.
                self.append(Op::Condemn(object), Vec::new());
            }
            Work::RemoveFile(object) => {
                self.disk.remove(&object);
            }
            Work::Delete(object) => self.bucket.delete(object)?,
            Work::Gone(object, blobs) => {
                let outcome = self.append(Op::Gone { object, blobs }, Vec::new());
                assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
            }
        }
        Ok(())
    }
}
