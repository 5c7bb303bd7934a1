//! Takes one: cut, pack, wait, announce, upload, read back, tell.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coldpost_tiers::address::ObjectId;
use coldpost_tiers::cold::{Caller, Key};
use coldpost_tiers::disk::{Disk, failed};
use coldpost_tiers::hot::row::{ObjectRow, ObjectState, Row};
use coldpost_tiers::hot::{Snapshot as Rows, TableName};
use coldpost_tiers::segment::Lineage;
use coldpost_tiers::snapshot::{Manifest, Moment, RangeRef, pack};
use tokio::sync::{OwnedMutexGuard, mpsc};

use super::{Event, Report, Snapshot, Stage, known};
use crate::blocking::{self, Standing};
use crate::cold;
use crate::error::{Error, Kind, Result};
use crate::ids::{Epoch, Position, ShardNo};
use crate::journal::embedded::local_segments;
use crate::limits::{OP_MESSAGES_MAX, SNAPSHOT_STALLED_MS, UPKEEP_TICK_MS};
use crate::objects::object_row;
use crate::op::{Intent, Op, Outcome, RangeTaken, SnapshotTaken};
use crate::open::Engine;
use crate::shard::{self, Shard};

/// The manifest's file.
const MANIFEST: &str = "manifest";

/// `DIR/shards/<n>/snapshot`.
fn folder(dir: &Path) -> PathBuf {
    dir.join("snapshot")
}

fn range_file(dir: &Path, number: usize) -> PathBuf {
    folder(dir).join(format!("{number:08x}"))
}

/// Removes the local files of a snapshot, if there are any.
///
/// # Errors
/// `Unavailable` when the disk refuses.
pub(crate) fn clear(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let folder = folder(dir);
    let names = match disk.list(&folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        names => names.map_err(|e| failed("list", &folder, e))?,
    };
    for name in names {
        let path = folder.join(name);
        disk.remove(&path).map_err(|e| failed("remove", &path, e))?;
    }
    Ok(())
}

/// A snapshot in local files.
struct Packed {
    manifest: Manifest,
    object: Vec<u8>,
    digest: [u8; 32],
    /// What must be in the bucket before it is there.
    needed: Vec<ObjectId>,
}

impl Packed {
    fn taken(&self) -> SnapshotTaken {
        let range = |range: &RangeRef| RangeTaken {
            id: range.id,
            bytes: range.bytes,
            digest: range.digest,
        };
        SnapshotTaken {
            manifest: self.manifest.moment.object(),
            bytes: length(self.object.len()),
            digest: self.digest,
            position: self.manifest.moment.position,
            ranges: self.manifest.ranges.iter().map(range).collect(),
        }
    }

    fn bytes(&self) -> u64 {
        let ranges = self.manifest.ranges.iter().map(|range| range.bytes);
        ranges.sum::<u64>() + length(self.object.len())
    }
}

fn length(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl Engine {
    /// Takes a snapshot of one shard; waits while another one is taken.
    ///
    /// # Errors
    /// As [`Engine::snapshot_now`].
    pub(crate) async fn snapshot_shard(&self, no: ShardNo, report: Report<'_>) -> Result<Snapshot> {
        let turn = self.inner.turns.snapshotting.take().await;
        let shard = self.shard(no)?;
        self.room()?;
        self.uploads_run(no, &[])?;
        if self.upload_trouble(no).is_some() {
            // Rows that are packed would wait for nothing where it is away still.
            cold::holds(&self.inner.cold, &shard, Caller::Snapshot).await?;
        }
        let (turn, packed) = self.pack_rows(&shard, turn, report).await?;
        let done = self.publish(&shard, &packed, report).await;
        clear(&*self.disk(), &shard.dir)?;
        drop(turn);
        done?;
        let position = packed.manifest.moment.position;
        let lost = || Error::new(Kind::Internal, "the snapshot has no row");
        known(&shard)?
            .into_iter()
            .find(|s| s.position == position)
            .ok_or_else(lost)
    }

    /// Ends the segment and writes the rows of that moment to local files.
    async fn pack_rows(
        &self,
        shard: &Arc<Shard>,
        turn: OwnedMutexGuard<()>,
        report: Report<'_>,
    ) -> Result<(OwnedMutexGuard<()>, Packed)> {
        clear(&*self.disk(), &shard.dir)?;
        let moment = shard.cut_here().await?;
        let mut work = (turn, moment);
        loop {
            let (engine, of) = (self.clone(), Arc::clone(shard));
            let (tell, mut told) = mpsc::unbounded_channel();
            // It goes on when whoever asked went away: so long nobody else has its turn.
            let packing = blocking::behind("snapshot", move |standing| {
                let packed = pack_files(&engine, &of, &work.1, (&tell, standing))?;
                Ok((work, packed))
            })?;
            while let Some(done) = told.recv().await {
                report(progress(shard.no, Stage::Packing, done, 0));
            }
            let (again, packed) = packing.end("packing a snapshot").await?;
            match packed {
                Some(packed) => return Ok((again.0, packed)),
                // Its thread starved: another one begins anew.
                None => work = again,
            }
        }
    }

    /// Everything that follows the local files.
    async fn publish(&self, shard: &Arc<Shard>, packed: &Packed, report: Report<'_>) -> Result<()> {
        self.wait_for(shard, packed.needed.clone(), report).await?;
        let taken = packed.taken();
        let ranges = taken.ranges.iter().map(RangeTaken::object);
        let objects: Vec<_> = ranges.chain([taken.manifest]).collect();
        for given in objects.chunks(OP_MESSAGES_MAX) {
            let intent = Intent {
                numbered: Vec::new(),
                given: given.to_vec(),
            };
            applied(&shard.change(Op::Intent(intent)).await?)?;
        }
        self.upload(shard, packed, report).await?;
        self.compare(shard, packed, report).await?;
        applied(&shard.change(Op::Snapshot(taken)).await?)
    }

    /// Waits until upkeep has shipped what the rows refer to: for as long as the bucket takes, but not for one that takes nothing.
    pub(super) async fn wait_for(
        &self,
        shard: &Shard,
        mut needed: Vec<ObjectId>,
        report: Report<'_>,
    ) -> Result<()> {
        let total = length(needed.len());
        let mut stalled = 0;
        loop {
            let before = needed.len();
            let state = shard.hot.read()?;
            let mut left = Vec::new();
            for object in needed {
                let is_waited_for = match object_row(&state, object)? {
                    Some(row) => row.state == ObjectState::Local,
                    // A segment gets its row with its upload at the latest. Without a file it is gone, and nothing refers to it.
                    None => self.is_here(shard, object),
                };
                if is_waited_for {
                    left.push(object);
                }
            }
            drop(state);
            needed = left;
            if needed.is_empty() {
                return Ok(());
            }
            report(progress(
                shard.no,
                Stage::Waiting,
                total - length(needed.len()),
                total,
            ));
            if let Some(why) = shard.down() {
                return Err(Error::new(Kind::Unavailable, why));
            }
            stalled = if needed.len() < before {
                0
            } else {
                stalled + UPKEEP_TICK_MS
            };
            if stalled >= SNAPSHOT_STALLED_MS {
                self.uploads_run(shard.no, &needed)?;
                self.uploads_succeed(shard.no)?;
                self.all_here(shard, &needed)?;
            }
            tokio::time::sleep(Duration::from_millis(UPKEEP_TICK_MS)).await;
        }
    }

    fn uploads_succeed(&self, shard: ShardNo) -> Result<()> {
        match self.upload_trouble(shard) {
            Some((lasts, why)) if lasts >= Duration::from_millis(SNAPSHOT_STALLED_MS) => {
                let text = format!(
                    "the snapshot is given up, for the mail that it refers to cannot be uploaded: {why}"
                );
                Err(Error::new(Kind::Unavailable, text))
            }
            _ => Ok(()),
        }
    }

    fn is_here(&self, shard: &Shard, object: ObjectId) -> bool {
        self.inner.local.path_of(shard.no, &object).is_some()
    }

    /// What is to be uploaded must be somewhere.
    fn all_here(&self, shard: &Shard, needed: &[ObjectId]) -> Result<()> {
        let Some(lost) = needed.iter().find(|o| !self.is_here(shard, **o)) else {
            return Ok(());
        };
        let text = format!(
            "the snapshot is given up: {} is not in the bucket and its file is not here; `coldpost verify` says whose mail is in it",
            Key::of(shard.no, lost)
        );
        Err(Error::new(Kind::Corrupt, text))
    }

    async fn upload(&self, shard: &Shard, packed: &Packed, report: Report<'_>) -> Result<()> {
        let (cold, total) = (&self.inner.cold, packed.bytes());
        cold::holds(cold, shard, Caller::Snapshot).await?;
        let mut done = 0;
        for (number, range) in packed.manifest.ranges.iter().enumerate() {
            report(progress(shard.no, Stage::Uploading, done, total));
            let file = range_file(&shard.dir, number);
            let object = (range.object(), range.digest);
            cold::put(cold, shard, object, &file, Caller::Snapshot).await?;
            done += range.bytes;
        }
        // Whoever finds a manifest finds its ranges.
        let file = folder(&shard.dir).join(MANIFEST);
        let manifest = (packed.manifest.moment.object(), packed.digest);
        cold::put(cold, shard, manifest, &file, Caller::Snapshot).await
    }

    /// Reads everything back, from each store.
    async fn compare(&self, shard: &Shard, packed: &Packed, report: Report<'_>) -> Result<()> {
        let taken = packed.taken();
        let ranges = taken.ranges.iter().map(|r| (r.object(), r.digest, r.bytes));
        let copies = cold::copies(&self.inner.cold, Caller::Snapshot);
        let mut done = 0;
        for (object, digest, bytes) in ranges.chain([(taken.manifest, taken.digest, taken.bytes)]) {
            report(progress(shard.no, Stage::Comparing, done, packed.bytes()));
            let key = Key::of(shard.no, &object);
            for (copy, caller) in &copies {
                let found = copy.digest(&key, *caller).await?;
                if found != (digest, bytes) {
                    let text = format!(
                        "{key} does not come back from {} as it was put there: the snapshot is given up; look at that store",
                        copy.url()
                    );
                    return Err(Error::new(Kind::Corrupt, text));
                }
            }
            done += bytes;
        }
        Ok(())
    }
}

fn progress(shard: ShardNo, stage: Stage, done: u64, total: u64) -> Event {
    Event::Progress {
        shard,
        stage,
        done,
        total,
    }
}

/// What apply said to an op of a snapshot.
fn applied(outcome: &Outcome) -> Result<()> {
    match outcome {
        Outcome::Refused { text, .. } => Err(Error::new(
            Kind::Conflict,
            format!("the snapshot is given up: {text}"),
        )),
        _ => Ok(()),
    }
}

/// Packs the rows; at most one range of them is in memory. `None` where this thread has next to nothing of a processor.
fn pack_files(
    engine: &Engine,
    shard: &Shard,
    moment: &shard::Moment,
    (tell, mut standing): (&mpsc::UnboundedSender<u64>, Standing),
) -> Result<Option<Packed>> {
    let disk = engine.disk();
    let shard::Moment { state, applied } = moment;
    let of = Moment {
        lineage: Lineage {
            store: shard.store,
            shard: shard.no,
            epoch: Epoch(applied.epoch),
        },
        position: applied.position,
        chain: applied.chain,
        hash: applied.hash,
        time_ms: applied.time_ms,
    };
    let folder = folder(&shard.dir);
    disk.create_dir(&folder)
        .map_err(|e| failed("make", &folder, e))?;
    let write = |path: &Path, bytes: &[u8]| {
        let written = disk.create(path).and_then(|file| file.write_at(0, bytes));
        written.map_err(|e| failed("write", path, e))
    };
    let (mut number, mut done, mut starves) = (0, 0, false);
    let packed = pack(state, &of, &mut |range, bytes| {
        let refused =
            |why: String| coldpost_tiers::Error::new(coldpost_tiers::Kind::Unavailable, why);
        if shard.is_shut() {
            return Err(refused("the store is shutting down".to_owned()));
        }
        if starves {
            return Err(refused("others have the processor".to_owned()));
        }
        engine.room().map_err(|e| refused(e.to_string()))?;
        write(&range_file(&shard.dir, number), bytes)?;
        // What is packed already is not thrown away where it was the last.
        let had = standing.look();
        starves = standing.starves(had);
        number += 1;
        done += range.raw;
        // Whoever asked may have gone away.
        let _ = tell.send(done);
        Ok(())
    });
    let manifest = match packed {
        Err(_) if starves && !shard.is_shut() => return Ok(None),
        packed => packed?,
    };
    let object = manifest.encode();
    write(&folder.join(MANIFEST), &object)?;
    let needed = needed(&*disk, shard, state, applied.position)?;
    Ok(Some(Packed {
        digest: *blake3::hash(&object).as_bytes(),
        manifest,
        object,
        needed,
    }))
}

/// What the rows refer to and the journal did not call stored at that moment, and every segment up to it, but those of which nothing lives.
fn needed(
    disk: &dyn Disk,
    shard: &Shard,
    state: &Rows,
    position: Position,
) -> Result<Vec<ObjectId>> {
    let mut needed = Vec::new();
    state.walk(TableName::Objects, &[], &[], |key, value| {
        let row = ObjectRow::decode("objects", value)?;
        let is_live = row.count.is_live();
        if row.state == ObjectState::Local
            && is_live
            && let Some(object) = coldpost_tiers::hot::key::read_object(key)
        {
            needed.push(object);
        }
        Ok(true)
    })?;
    for file in local_segments(disk, &shard.dir.join("journal"))? {
        let segment = ObjectId::segment(file.epoch, file.first);
        let is_dead = object_row(state, segment)?.is_some_and(|row| !row.count.is_live());
        if file.first <= position && !is_dead {
            needed.push(segment);
        }
    }
    needed.sort_unstable();
    needed.dedup();
    Ok(needed)
}
