//! Deletes what nobody needs: condemned in the journal first, deleted after the grace, and told to the journal again.
//!
//! Promises: no DELETE without an applied `condemn`; the local file goes first, so that nothing uploads it again; a failure is tried again later.
//! A crash leaves: objects that are condemned; the next pass goes on with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use coldpost_tiers::address::{BlobId, ObjectId, ObjectKind};
use coldpost_tiers::cold::{Caller, Key};
use coldpost_tiers::disk::Disk;
use coldpost_tiers::gc::{Known, Ongoing, Rules, Verdict, Why, mark};
use coldpost_tiers::hot::row::{BlobRow, ObjectRow, ObjectState, Row};
use coldpost_tiers::hot::{TableName, key};

use super::{Progress, Wait, tick};
use crate::blocking;
use crate::clock;
use crate::cold;
use crate::error::{Error, Kind, Result};
use crate::ids::Position;
use crate::limits::{
    CLOCKS_APART_SECONDS, DELETE_FAILURES_MAX, DELETE_LOOK_SECONDS, DELETE_PASSES_MAX,
    DURABLE_WAIT_SECONDS,
};
use crate::metrics;
use crate::objects::{horizon, object_row, shard_time};
use crate::op::{Op, Outcome};
use crate::open::Engine;
use crate::shard::Shard;
use crate::snapshot;

/// What is next for an object, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadObject {
    /// Its key in the bucket.
    pub key: String,
    /// Its bytes.
    pub bytes: u64,
    /// What is next.
    pub verdict: Verdict,
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Objects that were condemned.
    pub condemned: u64,
    /// Objects that were deleted.
    pub deleted: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Objects that wait for their grace to pass.
    pub waiting: u64,
}

impl Deleted {
    /// Whether a pass changed anything: then another one may find more.
    fn is_something(&self) -> bool {
        (self.condemned, self.deleted) != (0, 0)
    }
}

/// What was done where not all that is due could go, and why.
#[derive(Debug)]
pub struct DeletedInPart {
    /// What went all the same.
    pub done: Deleted,
    /// The first that went wrong.
    pub error: Error,
}

impl fmt::Display for DeletedInPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for DeletedInPart {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Dead objects of a shard.
struct Looked {
    verdicts: Vec<(ObjectId, Verdict)>,
    bytes: BTreeMap<ObjectId, u64>,
    /// The blobs of packs that are about to be deleted.
    packs: BTreeMap<ObjectId, Vec<BlobId>>,
}

pub(super) async fn run(engine: Engine, progress: Arc<Progress>) {
    while !progress.confirmed.load(Ordering::Acquire) {
        tokio::time::sleep(tick()).await;
    }
    loop {
        let done = match engine.delete_now().await {
            Ok(done) => done,
            // It was told to `status` and the log already.
            Err(in_part) => in_part.done,
        };
        if done.is_something() {
            tracing::info!(
                condemned = done.condemned,
                deleted = done.deleted,
                bytes = done.bytes,
                "collected garbage"
            );
        }
        tokio::time::sleep(Duration::from_secs(DELETE_LOOK_SECONDS)).await;
    }
}

impl Engine {
    /// What could be deleted, and what not yet: of all shards.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub async fn garbage(&self) -> Result<Vec<DeadObject>> {
        let mut findings = Vec::new();
        for shard in &self.inner.shards {
            let looked = self.look_for_garbage(shard).await?;
            findings.extend(
                looked
                    .verdicts
                    .into_iter()
                    .map(|(object, verdict)| DeadObject {
                        key: Key::of(shard.no, &object).to_string(),
                        bytes: looked.bytes.get(&object).copied().unwrap_or(0),
                        verdict,
                    }),
            );
        }
        Ok(findings)
    }

    /// Condemns and deletes all that may go.
    ///
    /// # Errors
    /// `Unavailable`: the store or the disk refuses, or the clocks are apart; what was done stays done, and is told with the error.
    pub async fn delete_now(&self) -> Result<Deleted, DeletedInPart> {
        let ended = self.delete_all().await;
        if let Some(progress) = self.progress() {
            let failed = ended.as_ref().err();
            progress.tell_end(Wait::Deletion, failed.map(|in_part| &in_part.error));
        }
        ended
    }

    async fn delete_all(&self) -> Result<Deleted, DeletedInPart> {
        let _turn = self.inner.turns.deleting.lock().await;
        let mut sum = Deleted::default();
        let mut failed = None;
        for shard in &self.inner.shards {
            let mut waiting = 0;
            // A manifest that goes frees its ranges, and a horizon that moves other things: whatever else refused to go.
            for _ in 0..DELETE_PASSES_MAX {
                let mut done = Deleted::default();
                let ended = self.delete_pass(shard, &mut done).await;
                sum.condemned += done.condemned;
                sum.deleted += done.deleted;
                sum.bytes += done.bytes;
                waiting = done.waiting;
                let is_away = ended.is_err() && !self.inner.cold.away().is_empty();
                if let Err(e) = ended {
                    failed.get_or_insert(e);
                }
                if is_away || !done.is_something() {
                    break;
                }
            }
            sum.waiting += waiting;
        }
        match failed {
            None => Ok(sum),
            Some(error) => Err(DeletedInPart { done: sum, error }),
        }
    }

    /// One pass; `done` has what it did, also where it fails.
    async fn delete_pass(&self, shard: &Arc<Shard>, done: &mut Deleted) -> Result<()> {
        clocks_agree(shard)?;
        let looked = self.look_for_garbage(shard).await?;
        let goes = |verdict: &Verdict| matches!(verdict, Verdict::Condemn(_) | Verdict::Delete);
        if looked.verdicts.iter().any(|(_, verdict)| goes(verdict)) {
            // Where nothing is, a DELETE succeeds too.
            cold::is_ours(&self.inner.cold, shard, Caller::Collect).await?;
            self.newest_is_there(shard).await?;
        }
        let mut due = Vec::new();
        for (object, verdict) in &looked.verdicts {
            match verdict {
                Verdict::Condemn(_) => {
                    // Apply looks again: what lives by now is refused.
                    let outcome = shard.change(Op::Condemn(*object)).await?;
                    done.condemned += u64::from(matches!(outcome, Outcome::Done { .. }));
                }
                Verdict::Delete => due.push(*object),
                Verdict::Wait(_) => done.waiting += 1,
                Verdict::Kept(_) => {}
            }
        }
        self.delete_due(shard, due, &looked, done).await
    }

    /// Deletes; one that does not go is no reason to keep the others.
    async fn delete_due(
        &self,
        shard: &Arc<Shard>,
        mut due: Vec<ObjectId>,
        looked: &Looked,
        done: &mut Deleted,
    ) -> Result<()> {
        // Those that the store did not let go come last.
        let refused = |object: &ObjectId| {
            let undeleted = self.inner.turns.undeleted();
            undeleted.get(&(shard.no, *object)).copied()
        };
        due.sort_by_key(refused);
        let mut failed = Vec::new();
        for object in due {
            let blobs = looked.packs.get(&object);
            if let Err(e) = self.delete_object(shard, object, blobs).await {
                let mut undeleted = self.inner.turns.undeleted();
                *undeleted.entry((shard.no, object)).or_default() += 1;
                failed.push(e);
                // Of a store that is away the next one would fail too, and had no fair try.
                if failed.len() >= DELETE_FAILURES_MAX || !self.inner.cold.away().is_empty() {
                    break;
                }
                continue;
            }
            self.inner.turns.undeleted().remove(&(shard.no, object));
            let bytes = looked.bytes.get(&object).copied().unwrap_or(0);
            metrics::deleted(1, bytes);
            done.deleted += 1;
            done.bytes += bytes;
        }
        failed.into_iter().next().map_or(Ok(()), Err)
    }

    /// What goes is needed by nobody who has the newest snapshot: so that must be there, in each store of a mirror, as either may be lost.
    ///
    /// # Errors
    /// `Unavailable`: a store does not have it, or does not answer.
    async fn newest_is_there(&self, shard: &Shard) -> Result<()> {
        let Some(objects) = snapshot::newest(shard)? else {
            return Ok(());
        };
        let copies = cold::copies(&self.inner.cold, Caller::Collect);
        for (object, bytes) in objects {
            let key = Key::of(shard.no, &object);
            for (copy, caller) in &copies {
                let found = copy.head(&key, *caller).await?;
                if found.is_some_and(|meta| meta.size == bytes) {
                    continue;
                }
                let what_helps = match copies.len() {
                    1 => "`coldpost verify --bucket` says what else is missing",
                    _ => "`coldpost verify --bucket --repair` puts it there again from the other",
                };
                let text = format!(
                    "nothing is deleted: {key}, of the newest snapshot, is not in {} as it was put there; \
                     `coldpost snapshot now` takes another one, {what_helps}",
                    copy.url()
                );
                return Err(Error::new(Kind::Unavailable, text));
            }
        }
        Ok(())
    }

    async fn look_for_garbage(&self, shard: &Arc<Shard>) -> Result<Looked> {
        let (engine, shard) = (self.clone(), Arc::clone(shard));
        // It walks through all objects.
        let looking = move || {
            let known = known(&engine, &shard)?;
            let verdicts = mark(&known, &engine.rules(&shard)?);
            Ok(Looked {
                packs: blobs_of(&shard, &verdicts)?,
                bytes: known.iter().map(|k| (k.object, k.row.bytes)).collect(),
                verdicts,
            })
        };
        blocking::run("looking for garbage", looking).await
    }

    async fn delete_object(
        &self,
        shard: &Arc<Shard>,
        object: ObjectId,
        blobs: Option<&Vec<BlobId>>,
    ) -> Result<()> {
        if object.kind == ObjectKind::Segment {
            not_replayed(shard, object).await?;
        }
        if let Some(path) = self.inner.local.sealed_path(shard.no, &object) {
            let disk = self.disk();
            // A large file takes the disk some milliseconds.
            let removing = move || remove(&*disk, &path);
            blocking::run("removing a local file", removing).await?;
            self.inner.local.forget(shard.no, &object);
        }
        let key = Key::of(shard.no, &object);
        self.inner.cold.delete(&key, Caller::Collect).await?;
        self.inner.fetcher.forget(shard.no, &object);
        let blobs = match object.kind {
            ObjectKind::Blob => vec![BlobId(object.id)],
            _ => blobs.cloned().unwrap_or_default(),
        };
        let gone = Op::Gone { object, blobs };
        match shard.change(gone).await? {
            Outcome::Done { .. } => Ok(()),
            other => Err(crate::deliver::unexpected(&other)),
        }
    }

    fn rules(&self, shard: &Shard) -> Result<Rules> {
        let state = shard.hot.read()?;
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Ok(Rules {
            now: clock::now_s(),
            horizon: horizon(&state)?,
            retention: seconds(self.settings().retention),
            grace: seconds(self.settings().grace),
        })
    }
}

/// Removes a file for good. One that is not there may have been evicted a moment ago, and a power cut would bring it back: behind `gone` it
/// would be taken for mail that was never sent.
fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(path);
    let unless_missing = |done: io::Result<()>| match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    let removed = unless_missing(disk.remove(path));
    let removed = removed.and_then(|()| unless_missing(disk.sync_dir(dir)));
    Ok(removed.map_err(|e| coldpost_tiers::disk::failed("remove", path, e))?)
}

/// # Errors
/// `Unavailable` while the clock of this machine is behind the shard's time.
fn clocks_agree(shard: &Shard) -> Result<()> {
    let behind = shard_time(&shard.hot.read()?)?.saturating_sub(clock::now_s());
    if behind <= CLOCKS_APART_SECONDS {
        return Ok(());
    }
    let text = format!(
        "the clock of this machine is {behind} s behind the time of shard {}: nothing is deleted by age until it has come there (if it is right now, it was ahead once)",
        shard.no.0
    );
    Err(Error::new(Kind::Unavailable, text))
}

/// Waits until a kill can have no more of a segment read: the hot tier's file has all of it for good.
async fn not_replayed(shard: &Shard, segment: ObjectId) -> Result<()> {
    let row = object_row(&shard.hot.read()?, segment)?;
    let last = row.map_or(Position(0), |row| row.last);
    let begun = Instant::now();
    while shard.hot_durable() < last {
        if begun.elapsed() > Duration::from_secs(DURABLE_WAIT_SECONDS) {
            let key = Key::of(shard.no, &segment);
            let text = format!("{key} stays: the hot tier does not become durable");
            return Err(Error::new(Kind::Unavailable, text));
        }
        tokio::time::sleep(tick() / 10).await;
    }
    Ok(())
}

/// All objects of a shard, and which of them are being worked on.
fn known(engine: &Engine, shard: &Shard) -> Result<Vec<Known>> {
    let turns = &engine.inner.turns;
    let ongoing = Ongoing {
        compaction: turns.compacting.ongoing_since(),
        snapshot: turns.snapshotting.ongoing_since(),
    };
    let state = shard.hot.read()?;
    let mut known = Vec::new();
    state.walk(TableName::Objects, &[], &[], |k, value| {
        let Some(object) = key::read_object(k) else {
            return Ok(true);
        };
        let row = ObjectRow::decode("objects", value)?;
        let is_delivered = object.kind == ObjectKind::Blob
            && row.state == ObjectState::Local
            && state
                .look(TableName::Blobs, &key::blob(BlobId(object.id)), |_| ())?
                .is_some();
        known.push(Known::new(object, row, is_delivered, &ongoing));
        Ok(true)
    })?;
    Ok(known)
}

/// The blobs of packs that are about to be deleted.
fn blobs_of(
    shard: &Shard,
    verdicts: &[(ObjectId, Verdict)],
) -> Result<BTreeMap<ObjectId, Vec<BlobId>>> {
    let is_pack = |(object, verdict): &&(ObjectId, Verdict)| {
        object.kind == ObjectKind::Pack && *verdict == Verdict::Delete
    };
    let packs: BTreeSet<ObjectId> = verdicts.iter().filter(is_pack).map(|(o, _)| *o).collect();
    let mut blobs: BTreeMap<ObjectId, Vec<BlobId>> = BTreeMap::new();
    if packs.is_empty() {
        return Ok(blobs);
    }
    shard
        .hot
        .read()?
        .walk(TableName::Blobs, &[], &[], |_, value| {
            let row = BlobRow::decode("blobs", value)?;
            if packs.contains(&row.object) {
                blobs.entry(row.object).or_default().push(row.record.blob);
            }
            Ok(true)
        })?;
    Ok(blobs)
}

impl DeadObject {
    /// Whether something can be done about it now.
    pub fn goes(&self) -> bool {
        matches!(self.verdict, Verdict::Condemn(_) | Verdict::Delete)
    }

    /// What is next and why, in words.
    pub fn words(&self) -> String {
        let why = |why: &Why| match why {
            Why::Unreferenced => "nothing refers to it any more",
            Why::Unfinished => "what it was made for never came to its end",
            Why::Outlived => "it is older than cold.retention and not the newest snapshot",
            Why::BehindHorizon => {
                "nothing refers to it, but no snapshot was taken since; coldpost snapshot now takes one"
            }
            Why::OlderSnapshot => {
                "nothing refers to it but an older snapshot, which cold.retention keeps"
            }
        };
        match &self.verdict {
            Verdict::Condemn(reason) => format!("goes: {}", why(reason)),
            Verdict::Delete => "goes now: it was condemned and its grace has passed".to_owned(),
            Verdict::Wait(due) => match jiff::Timestamp::from_second(*due) {
                Ok(due) => format!("was condemned, goes at {due}"),
                Err(_) => "was condemned, goes later".to_owned(),
            },
            Verdict::Kept(reason) => format!("stays: {}", why(reason)),
        }
    }
}

#[cfg(test)]
mod tests;
