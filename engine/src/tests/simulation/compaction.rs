//! Compaction as its runner does it, step by step: the real choice, `intent`, files, proof, PUT, `stored`, `relocate`.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use coldpost_tiers::address::{BlobId, ObjectId, ObjectKind, Position, Recode};
use coldpost_tiers::compaction::{Candidate, Rules, choose};
use coldpost_tiers::hot::row::{BlobRow, ObjectState};
use coldpost_tiers::planted::{Bug, is_planted};

use super::cut::{Cut, Moved};
use super::store::Held;
use super::world::{Unread, World};
use crate::ids::{AccountId, MessageId};
use crate::objects::erased;
use crate::op::{Intent, MovedBlob, NewBlob, Op, Outcome, Relocate};

/// Seconds after which what is partly dead, or a segment, is rewritten in any case.
pub(super) const SEGMENT_AGE: i64 = 10 * 86_400;
/// Messages in one `relocate`.
const RELOCATE_MAX: usize = 2;

/// A message that is to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) account: AccountId,
    pub(super) date: i64,
    pub(super) message: MessageId,
    pub(super) from: (ObjectId, u64),
}

/// A step of a run.
#[derive(Debug)]
enum Work {
    Message(Item),
    EndGroup,
    MoveBlob(BlobRow),
    /// Files are whole, and proved.
    Finish,
    Name(ObjectId),
    Put(ObjectId),
    Stored(ObjectId),
    Relocate(Relocate),
}

/// A pack that is being written.
#[derive(Debug)]
pub(super) struct Pack {
    pub(super) object: ObjectId,
    pub(super) blobs: BTreeMap<u64, Vec<u8>>,
    pub(super) end: u64,
}

/// A message in the group that is being filled.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) item: Item,
    pub(super) raw: Vec<u8>,
    pub(super) cut: Cut,
}

/// A run.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) began: i64,
    works: VecDeque<Work>,
    pub(super) contents: BTreeMap<[u8; 32], BlobId>,
    /// How each blob stood where this run met it first.
    pub(super) cuts: BTreeMap<BlobId, Recode>,
    pub(super) fresh: BTreeMap<BlobId, NewBlob>,
    pub(super) pack: Option<Pack>,
    pub(super) block: Option<(ObjectId, Vec<Vec<u8>>)>,
    /// The block, once it is whole.
    written: Option<ObjectId>,
    pub(super) group: Vec<Waiting>,
    pub(super) moved: Vec<Moved>,
    moved_blobs: Vec<MovedBlob>,
    /// Blobs that lie alone, whose files are whole.
    pub(super) alone: Vec<ObjectId>,
}

impl World<'_> {
    /// Up to `many` steps of a run, or of a new one; whether there was one. A run that fails is over.
    pub(super) fn compact(
        &mut self,
        which: usize,
        is_asked: bool,
        many: usize,
    ) -> Result<bool, Unread> {
        let mut run = match self.runs[which].take() {
            Some(run) => run,
            None => match self.begin(is_asked) {
                Some(run) => run,
                None => return Ok(false),
            },
        };
        for _ in 0..many {
            let Some(work) = run.works.pop_front() else {
                return Ok(true);
            };
            self.work_on(&mut run, work)?;
        }
        self.runs[which] = Some(run);
        Ok(true)
    }

    fn begin(&self, is_asked: bool) -> Option<Run> {
        let rules = Rules {
            now: self.now,
            segment_age: SEGMENT_AGE,
            batch_bytes: 1,
            run_bytes: 1 << 20,
            is_asked,
            erased: erased(&self.rows.state()).unwrap(),
        };
        let chosen = choose(&self.candidates(), &rules);
        let objects: Vec<ObjectId> = chosen.into_iter().map(|(object, _)| object).collect();
        if objects.is_empty() {
            return None;
        }
        let mut items: Vec<Item> = Vec::new();
        for (account, message, place) in self.rows.places() {
            if objects.contains(&place.address.object) {
                items.push(Item {
                    account,
                    date: place.date,
                    message,
                    from: (place.address.object, place.address.offset),
                });
            }
        }
        items.sort_unstable();
        let mut works = VecDeque::new();
        for of_account in items.chunk_by(|a, b| a.account == b.account) {
            works.extend(of_account.iter().map(|item| Work::Message(*item)));
            works.push_back(Work::EndGroup);
        }
        let is_moved = |row: &BlobRow| {
            row.object.kind == ObjectKind::Pack
                && objects.contains(&row.object)
                && row.count.is_live()
        };
        let blobs = self.rows.blobs().into_iter().filter(is_moved);
        works.extend(blobs.map(Work::MoveBlob));
        works.push_back(Work::Finish);
        Some(Run {
            began: self.now,
            works,
            ..Run::default()
        })
    }

    fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (object, row) in self.rows.objects() {
            let is_kind = matches!(
                object.kind,
                ObjectKind::Segment | ObjectKind::Block | ObjectKind::Pack
            );
            let file = self.disk.get(&object);
            let is_open = file.is_none() && row.state == ObjectState::Local;
            if !is_kind || !row.count.is_live() || row.state == ObjectState::Condemned || is_open {
                continue;
            }
            let least = if object.kind == ObjectKind::Block {
                1
            } else {
                row.bytes
            };
            candidates.push(Candidate {
                object,
                bytes: file.map_or(row.bytes, Held::bytes),
                is_local: file.is_some(),
                stored: row.times.stored,
                first_dead: row.times.first_dead,
                dead: row.dead_bytes,
                total: row.raw_bytes.max(least),
                is_urgent: row.is_urgent,
            });
        }
        candidates
    }

    fn work_on(&mut self, run: &mut Run, work: Work) -> Result<(), Unread> {
        match work {
            Work::Message(item) => self.take(run, item)?,
            Work::EndGroup => self.end_group(run),
            Work::MoveBlob(row) => self.move_blob(run, &row),
            Work::Finish => self.finish(run)?,
            Work::Name(object) => {
                if !is_planted(Bug::ForgetsIntent) {
                    let intent = Intent {
                        numbered: Vec::new(),
                        given: vec![object],
                    };
                    self.append(Op::Intent(intent), Vec::new());
                }
            }
            Work::Put(object) => {
                // Deletion may have taken the file of what died.
                let held = self.disk.get(&object).cloned().ok_or(Unread::Away)?;
                self.bucket.put(object, &held)?;
            }
            Work::Stored(object) => {
                let bytes = self.disk.get(&object).map_or(0, Held::bytes);
                self.stored(object, bytes, Position(0));
            }
            Work::Relocate(relocate) => {
                let outcome = self.append(Op::Relocate(relocate), Vec::new());
                assert!(matches!(outcome, Outcome::Counted(_)), "{outcome:?}");
            }
        }
        Ok(())
    }

    /// A message goes into the group; one that cannot be read, went or moved stays where it is.
    fn take(&mut self, run: &mut Run, item: Item) -> Result<(), Unread> {
        let Some(place) = self.still(&item) else {
            return Ok(());
        };
        let raw = match self.read(&place.address) {
            Ok(raw) => raw,
            Err(Unread::Away) => return Ok(()),
            Err(wrong) => return Err(wrong),
        };
        let cut = self.cut(run, &item, &place.address, &raw)?;
        run.group.push(Waiting { item, raw, cut });
        Ok(())
    }

    /// Its place, while it stands where it was.
    pub(super) fn still(&self, item: &Item) -> Option<coldpost_tiers::hot::row::Place> {
        let place = self.rows.place(item.account, item.message)?;
        let at = (place.address.object, place.address.offset);
        (at == item.from).then_some(place)
    }

    fn end_group(&mut self, run: &mut Run) {
        let group = std::mem::take(&mut run.group);
        if group.is_empty() {
            return;
        }
        let (object, mut frames) = match run.block.take() {
            Some(block) => block,
            None => (self.named(ObjectKind::Block), Vec::new()),
        };
        let first = u32::try_from(frames.len()).unwrap();
        let (mut headers, mut bodies) = (Vec::new(), Vec::new());
        for waiting in group {
            run.moved.push(Moved {
                item: waiting.item,
                extents: waiting.lay(first, &mut headers, &mut bodies),
            });
        }
        frames.extend([headers, bodies]);
        run.block = Some((object, frames));
    }

    fn move_blob(&mut self, run: &mut Run, row: &BlobRow) {
        // One that cannot be read stays.
        let Ok(bytes) = self.blob_bytes(row.object, row.offset) else {
            return;
        };
        let (object, offset) = self.put_in_pack(run, bytes);
        run.moved_blobs.push(MovedBlob {
            blob: row.record.blob,
            from: (row.object, row.offset),
            to: (object, offset),
        });
    }

    /// Writes a blob into the open pack, or a new one.
    pub(super) fn put_in_pack(&mut self, run: &mut Run, bytes: Vec<u8>) -> (ObjectId, u64) {
        let mut pack = run.pack.take().unwrap_or_else(|| Pack {
            object: self.named(ObjectKind::Pack),
            blobs: BTreeMap::new(),
            end: 100,
        });
        let at = (pack.object, pack.end);
        pack.end += bytes.len() as u64;
        pack.blobs.insert(at.1, bytes);
        run.pack = Some(pack);
        at
    }

    /// Files are whole, every message is rebuilt from them; what follows is uploading, confirming, relocating.
    fn finish(&mut self, run: &mut Run) -> Result<(), Unread> {
        let mut objects = std::mem::take(&mut run.alone);
        if let Some(pack) = run.pack.take() {
            let held = Held::Blobs(Rc::new(pack.blobs));
            self.disk.insert(pack.object, held);
            objects.push(pack.object);
        }
        let is_late = is_planted(Bug::UploadsLate);
        for object in &objects {
            if object.kind == ObjectKind::Blob {
                run.works.push_back(Work::Name(*object));
            }
            if !is_late {
                run.works.push_back(Work::Put(*object));
            }
            run.works.push_back(Work::Stored(*object));
        }
        if let Some((block, frames)) = run.block.take() {
            let rows = super::cut::frame_rows(&frames);
            self.disk.insert(block, Held::Block(Rc::new(frames)));
            let moved = self.prove(run, block)?;
            if !moved.is_empty() {
                run.written = Some(block);
                run.works.extend([Work::Put(block), Work::Stored(block)]);
            }
            for chunk in moved.chunks(RELOCATE_MAX) {
                let relocate = run.relocate(block, &rows, chunk);
                run.works.push_back(Work::Relocate(relocate));
            }
        }
        if !run.fresh.is_empty() {
            let blobs = std::mem::take(&mut run.fresh).into_values().collect();
            run.works.push_back(Work::Relocate(Relocate {
                blobs,
                ..Relocate::default()
            }));
        }
        for chunk in run.moved_blobs.chunks(RELOCATE_MAX) {
            run.works.push_back(Work::Relocate(Relocate {
                moved_blobs: chunk.to_vec(),
                ..Relocate::default()
            }));
        }
        let packs = objects.iter().copied();
        let packs = packs.filter(|object| object.kind == ObjectKind::Pack);
        let whole = run.written.take().into_iter().chain(packs);
        let whole: Vec<ObjectId> = whole.collect();
        run.works.extend(whole.into_iter().map(|object| {
            Work::Relocate(Relocate {
                block: Some(object),
                ..Relocate::default()
            })
        }));
        if is_late {
            run.works.extend(objects.into_iter().map(Work::Put));
        }
        Ok(())
    }

    /// Names a new object in the journal.
    pub(super) fn named(&mut self, kind: ObjectKind) -> ObjectId {
        if is_planted(Bug::ForgetsIntent) {
            self.ids += 1;
            return ObjectId::numbered(kind, self.epoch, 1_000_000 + self.ids);
        }
        let intent = Intent {
            numbered: vec![kind],
            given: Vec::new(),
        };
        match self.append(Op::Intent(intent), Vec::new()) {
            Outcome::Counted(number) => ObjectId::numbered(kind, self.epoch, number),
            other => panic!("an intent gave {other:?}"),
        }
    }
}
