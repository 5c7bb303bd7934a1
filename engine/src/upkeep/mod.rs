//! What goes on beside the serving: one loop per task, results leave as ops.
//!
//! Never: changes mail but by sending ops; deletes what is not confirmed in the bucket.

mod collect;
mod compact;
mod cut;
mod delete;
mod evict;
mod index;
mod ship;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use collect::collect;
pub use delete::{DeadObject, Deleted, DeletedInPart};
pub(crate) use evict::sweep_blobs;
pub use index::{IndexChecked, IndexProgress};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use coldpost_tiers::address::{BlobId, ObjectId};
use coldpost_tiers::cold::Finding;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::{Error, Kind};
use crate::identity::{self, Claim};
use crate::ids::{Position, ShardNo};
use crate::left;
use crate::limits::UPKEEP_TICK_MS;
use crate::local::shard_dir;
use crate::metrics;
use crate::open::{Engine, Health};
use crate::start::{Ended, Standing};

/// Files that `status` names one by one.
const KEPT_BACK_TOLD: usize = 10;

/// Behind a date, so that nobody takes it for the whole truth, a program neither.
const GONE_BUT: &str = "; not what stands beside mail that compaction could not move";

/// What the shards tell upkeep.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    /// A segment was sealed.
    Sealed {
        /// Whose.
        shard: ShardNo,
        /// Its file.
        path: std::path::PathBuf,
    },
    /// An entry named new blobs.
    Blobs {
        /// Whose.
        shard: ShardNo,
        /// Which.
        blobs: Vec<BlobId>,
    },
    /// Something was expunged.
    Purgeable,
    /// The journal says that an object is in the bucket.
    Stored,
    /// The open segment holds something that is due for the bucket.
    Held {
        /// Where.
        shard: ShardNo,
        /// Which segment.
        segment_first: Position,
        /// How long ago that was.
        age: Duration,
    },
}

/// What the tasks say about themselves.
#[derive(Default)]
pub(crate) struct Progress {
    /// Nothing is uploaded or evicted before this.
    pub(crate) confirmed: AtomicBool,
    pub(crate) waiting_uploads: AtomicU64,
    pub(crate) local_bytes: AtomicU64,
    pub(crate) unconfirmed_bytes: AtomicU64,
    /// What is not done any more, and of which shard; of none: of all.
    pub(crate) stopped: std::sync::Mutex<Vec<(Option<ShardNo>, String)>>,
    /// Files that are not in the bucket and cannot be sent as they are, and why.
    kept_back: std::sync::Mutex<BTreeMap<(ShardNo, ObjectId), String>>,
    /// What is wrong with the bucket's permissions and settings.
    pub(crate) findings: std::sync::Mutex<Vec<String>>,
    /// What waits, and why.
    pub(crate) waits: std::sync::Mutex<BTreeMap<Wait, Waiting>>,
    /// Why the bucket is not confirmed yet.
    pub(crate) unconfirmed: std::sync::Mutex<String>,
}

/// What of upkeep can wait for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wait {
    /// For the store.
    Upload,
    /// For something that this shard alone needs.
    UploadsOf(ShardNo),
    Snapshot(ShardNo),
    Compaction(ShardNo),
    Deletion,
    Index,
    IndexFiles,
}

/// Since when something waits, and why now.
pub(crate) struct Waiting {
    since: Instant,
    why: String,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wait::Upload => f.write_str("the upload of mail"),
            Wait::UploadsOf(shard) => write!(f, "the upload of mail of shard {}", shard.0),
            Wait::Snapshot(shard) => write!(f, "the snapshot of shard {}", shard.0),
            Wait::Compaction(shard) => write!(f, "the compaction of shard {}", shard.0),
            Wait::Deletion => write!(f, "the deletion of what nobody needs"),
            Wait::Index => write!(f, "the indexing of mail"),
            Wait::IndexFiles => write!(f, "the care for the index of mail"),
        }
    }
}

impl Progress {
    fn is_confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Acquire)
    }

    /// How a turn of upkeep ended; a failure goes to the log as well.
    fn tell<T>(&self, what: Wait, ended: &crate::Result<T>) {
        self.tell_end(what, ended.as_ref().err());
    }

    fn tell_end(&self, what: Wait, failed: Option<&Error>) {
        match failed {
            None => drop(self.waits().remove(&what)),
            Some(e) => {
                tracing::warn!("{what} waits: {e}");
                self.waits_for(what, e.to_string());
            }
        }
    }

    /// It waits, since now unless it did before; whether that is news, this reason included.
    fn waits_for(&self, what: Wait, why: String) -> bool {
        let mut waits = self.waits();
        let known = waits.get(&what);
        let since = known.map_or_else(Instant::now, |w| w.since);
        let is_news = known.is_none_or(|w| w.why != why);
        waits.insert(what, Waiting { since, why });
        is_news
    }

    fn waits(&self) -> std::sync::MutexGuard<'_, BTreeMap<Wait, Waiting>> {
        self.waits
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn keep_back(&self, shard: ShardNo, object: ObjectId, why: String) {
        tracing::error!("{why}");
        self.kept_back().insert((shard, object), why);
    }

    fn kept_back(&self) -> std::sync::MutexGuard<'_, BTreeMap<(ShardNo, ObjectId), String>> {
        self.kept_back
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn unconfirmed(&self) -> std::sync::MutexGuard<'_, String> {
        self.unconfirmed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// How much of it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upkeeping {
    /// Beside the serving.
    All,
    /// Beside a command, which may only ask: nothing is compacted, deleted or kept in a snapshot but what it says.
    Shipping,
}

/// The running tasks.
pub(crate) struct Upkeep {
    tasks: JoinSet<()>,
    progress: Arc<Progress>,
}

impl Upkeep {
    /// Checks the object store beside everything else, unless `found` says what the first start found.
    pub(crate) fn look_at_store(&mut self, engine: &Engine, found: Option<Vec<Finding>>) {
        let progress = Arc::clone(&self.progress);
        match found {
            Some(found) => store::tell(&progress, &found),
            None => drop(self.tasks.spawn(store::look(engine.clone(), progress))),
        }
    }

    pub(crate) fn start(
        engine: &Engine,
        upkeeping: Upkeeping,
        (claims, standing): (Vec<Ended>, Standing),
        (notices, heard): (
            mpsc::UnboundedSender<Notice>,
            mpsc::UnboundedReceiver<Notice>,
        ),
    ) -> Upkeep {
        // So that they are there before they count.
        metrics::compacted(0, 0);
        metrics::deleted(0, 0);
        let progress = Arc::new(Progress::default());
        progress
            .confirmed
            .store(standing == Standing::Confirmed, Ordering::Release);
        let is_unknown = match standing {
            Standing::Confirmed => false,
            Standing::Unknown(why) => {
                *progress.unconfirmed() = why;
                true
            }
        };
        let mut tasks = JoinSet::new();
        let told = || Arc::clone(&progress);
        let (to_ship, ship_queue) = mpsc::unbounded_channel();
        let (to_collect, collect_queue) = mpsc::unbounded_channel();
        let (to_cut, cut_queue) = mpsc::unbounded_channel();
        let (to_snapshot, snapshot_queue) = mpsc::unbounded_channel();
        let (to_evict, evict_queue) = mpsc::unbounded_channel();
        let (to_compact, compact_queue) = mpsc::unbounded_channel();
        if is_unknown {
            tasks.spawn(confirm(engine.clone(), claims, Arc::clone(&progress)));
        }
        tasks.spawn(finish_changes(engine.clone()));
        tasks.spawn(ship::run(engine.clone(), Arc::clone(&progress), ship_queue));
        tasks.spawn(collect::run(engine.clone(), collect_queue));
        tasks.spawn(cut::run(engine.clone(), cut_queue));
        tasks.spawn(evict::run(engine.clone(), told(), evict_queue));
        let to_index = index::start(&mut tasks, engine, &progress, upkeeping);
        if upkeeping == Upkeeping::All {
            tasks.spawn(snapshot::run(engine.clone(), told(), snapshot_queue));
            tasks.spawn(delete::run(engine.clone(), Arc::clone(&progress)));
            tasks.spawn(compact::run(engine.clone(), told(), compact_queue));
        }
        tasks.spawn(async move {
            // The sender is kept, so that the channel stays open while upkeep lives.
            let _notices = notices;
            let mut heard = heard;
            while let Some(notice) = heard.recv().await {
                if matches!(notice, Notice::Stored) {
                    drop(to_compact.send(notice.clone()));
                }
                let to = match &notice {
                    Notice::Sealed { .. } | Notice::Blobs { .. } => &to_ship,
                    Notice::Purgeable => &to_collect,
                    Notice::Stored => &to_evict,
                    Notice::Held { .. } => {
                        drop(to_snapshot.send(notice.clone()));
                        drop(to_index.send(notice.clone()));
                        &to_cut
                    }
                };
                // A task that ended is told no more.
                drop(to.send(notice));
            }
        });
        Upkeep { tasks, progress }
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Whether the uploads of a shard go on.
    ///
    /// # Errors
    /// `Unavailable`: says why not.
    pub(crate) fn uploads_run(&self, shard: ShardNo) -> crate::Result<()> {
        let p = &self.progress;
        let stopped = p
            .stopped
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let of_it = |(of, _): &&(Option<ShardNo>, String)| of.is_none_or(|of| of == shard);
        let why = match (p.is_confirmed(), stopped.iter().find(of_it)) {
            (true, None) => return Ok(()),
            (true, Some((_, why))) => why.clone(),
            (false, _) => format!("nothing is uploaded: {}", p.unconfirmed()),
        };
        Err(Error::new(Kind::Unavailable, why))
    }

    /// Whether what somebody waits for will be uploaded.
    ///
    /// # Errors
    /// `Unavailable`: one of these objects will not, and why.
    pub(crate) fn will_upload(&self, shard: ShardNo, needed: &[ObjectId]) -> crate::Result<()> {
        let kept_back = self.progress.kept_back();
        let why = needed
            .iter()
            .find_map(|object| kept_back.get(&(shard, *object)));
        why.map_or(Ok(()), |why| {
            Err(Error::new(Kind::Unavailable, why.clone()))
        })
    }

    /// For how long uploads of a shard have failed without one that did not, and how the last one failed.
    pub(crate) fn upload_trouble(&self, shard: ShardNo) -> Option<(Duration, String)> {
        let waits = self.progress.waits();
        let troubles = [Wait::Upload, Wait::UploadsOf(shard)];
        let troubles = troubles.iter().filter_map(|wait| waits.get(wait));
        let longest = troubles.min_by_key(|waiting| waiting.since)?;
        Some((longest.since.elapsed(), longest.why.clone()))
    }

    /// Ends all tasks, in the middle of whatever they do.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) fn report(&self, engine: &Engine, health: &mut Health) {
        let p = &self.progress;
        // It reads rows: before anything is locked that uploads need.
        let left = engine.objects_left();
        let stopped = p
            .stopped
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let stopped = stopped.iter().map(|(_, why)| why.clone());
        health.problems.extend(stopped);
        let kept_back = p.kept_back();
        let told = kept_back.values().take(KEPT_BACK_TOLD).cloned();
        health.problems.extend(told);
        if kept_back.len() > KEPT_BACK_TOLD {
            let more = kept_back.len() - KEPT_BACK_TOLD;
            let text = format!("{more} more files are not uploaded; the log names them");
            health.problems.push(text);
        }
        store::report(p, health);
        let waits = p.waits();
        let waits = waits
            .iter()
            .map(|(what, waiting)| format!("{what} waits: {}", waiting.why));
        health.problems.extend(waits);
        if !p.is_confirmed() {
            health.problems.push(format!(
                "nothing is uploaded or evicted: {}",
                p.unconfirmed()
            ));
        }
        let figures = [
            ("uploads waiting", &p.waiting_uploads),
            ("local bytes of sealed segments and blobs", &p.local_bytes),
            ("of these not yet in the store", &p.unconfirmed_bytes),
        ];
        health.figures.extend(
            figures.map(|(name, n)| (name.to_owned(), n.load(Ordering::Relaxed).to_string())),
        );
        health.figures.extend(index::figures(engine));
        let name = "objects in which compaction left mail that it could not move";
        health.figures.push((name.to_owned(), left.to_string()));
        let left = left::why(left);
        let exception = left.as_ref().map_or("", |_| GONE_BUT);
        health.problems.extend(left);
        for (name, erase) in [("expunged now", false), ("erased now", true)] {
            if let Ok(then) = jiff::Timestamp::from_second(engine.gone_by(erase)) {
                let name = format!("{name}, gone from every object by");
                health.figures.push((name, format!("{then}{exception}")));
            }
        }
    }
}

/// Goes on with changes of accounts that a failing shard stopped.
async fn finish_changes(engine: Engine) {
    loop {
        engine.inner.unfinished.notified().await;
        while let Err(e) = engine.finish_changes().await {
            tracing::warn!("an account stays half changed: {e}");
            tokio::time::sleep(tick() * 5).await;
        }
    }
}

pub(crate) fn tick() -> Duration {
    Duration::from_millis(UPKEEP_TICK_MS)
}

/// Mail that is taken by an older copy of the store would be taken under UIDs that were given before.
fn set_down(engine: &Engine, claim: &Claim, error: &Error) {
    if error.kind() == Kind::Conflict
        && let Ok(shard) = engine.shard(claim.lineage.shard)
    {
        shard.set_down(error.to_string());
    }
}

/// Asks the bucket until it says whether it is ours.
async fn confirm(engine: Engine, claims: Vec<Ended>, progress: Arc<Progress>) {
    loop {
        tokio::time::sleep(tick() * 5).await;
        let mut answer = Ok(());
        for Ended {
            claim, unsealed, ..
        } in &claims
        {
            let dir = shard_dir(engine.data(), claim.lineage.shard);
            answer = async {
                identity::check(&engine.inner.cold, claim, &dir).await?;
                identity::check_end(&engine.inner.cold, claim, *unsealed)
                    .await
                    .inspect_err(|e| set_down(&engine, claim, e))
            }
            .await;
            if answer.is_err() {
                break;
            }
        }
        match answer {
            Ok(()) => {
                tracing::info!("the object store answers again and is ours");
                progress.confirmed.store(true, Ordering::Release);
                return;
            }
            Err(e) if e.kind() == Kind::Unavailable => {
                *progress.unconfirmed() = e.to_string();
            }
            Err(e) => {
                tracing::error!("nothing is uploaded or evicted: {e}");
                let text = format!("nothing is uploaded or evicted: {e}");
                progress
                    .stopped
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .push((None, text));
                return;
            }
        }
    }
}
