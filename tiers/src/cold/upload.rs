//! Sends sealed segments and blobs to the store in the background, until they are there.
//!
//! Promises: an upload that failed is tried again, later and later up to a minute, for as long as it takes; before each one a writer
//! looks for a higher epoch, and stops when there is one. Never: deletes or changes a local file, decides what goes
//! first beyond the order of asking (whoever needs a blob there before its segment asks for the segment afterwards).
//! A crash leaves: local files that are not confirmed, to be asked for again.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::key::Key;
use super::patience::back_off;
use super::request::Caller;
use super::store::ColdStore;
use crate::address::{Epoch, ObjectId, ShardNo};
use crate::error::{Error, Kind, Result};
use crate::limits::{UPLOADS_MAX, UPLOADS_WAITING_MAX};
use crate::metrics;

/// The wait after the first failure of an upload, doubled each time.
const WAIT_FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two attempts at an upload.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A local file that is to become an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Whose.
    pub shard: ShardNo,
    /// The epoch in which we write this shard now (not the one in which the object was made).
    pub epoch: Epoch,
    /// What.
    pub object: ObjectId,
    /// The durable file that nobody changes any more.
    pub path: PathBuf,
    /// Its BLAKE3.
    pub digest: [u8; 32],
    /// Its bytes.
    pub size: u64,
}

/// What became of uploads.
#[derive(Debug)]
pub enum UploadEvent {
    /// It is in the store, byte for byte.
    Stored(Upload),
    /// Somebody opened the next epoch: nothing of this shard is uploaded any more.
    Fenced {
        /// Which shard.
        shard: ShardNo,
        /// The epoch that was found.
        epoch: Epoch,
    },
    /// It is given up: `Conflict` (another object has its name), `Corrupt` (the local file is damaged), `NotFound` (it is gone).
    Failed {
        /// What.
        upload: Upload,
        /// Why.
        error: Error,
    },
}

/// The background uploader; dropping it stops it.
#[derive(Debug)]
pub struct Uploader {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    store: ColdStore,
    state: Mutex<State>,
    wake: Notify,
    events: mpsc::UnboundedSender<UploadEvent>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Waiting or running: asking twice is asking once.
    known: HashSet<(ShardNo, ObjectId)>,
    fenced: HashSet<ShardNo>,
}

#[derive(Debug)]
struct Waiting {
    upload: Upload,
    not_before: Instant,
    failures: u32,
    /// How many of them while the store answered another question just before.
    own: u32,
    /// How its last attempt failed.
    trouble: Option<String>,
}

/// An upload that will not be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBack {
    /// So often it failed when the store (each of a mirror) had just answered another question: that is no trouble of the store. (Whether that counts as away says nothing: one object at which it fails is enough, where nothing else is asked.)
    pub is_its_own: bool,
    /// How the last attempt failed.
    pub why: String,
}

/// Why an attempt failed, and whether the store (each of a mirror) had answered the question before.
struct Failed {
    error: Error,
    is_own: bool,
}

impl Uploader {
    /// Starts it; `events` gets at most one event for each upload asked for, and one for each fenced shard.
    pub fn start(store: ColdStore, events: mpsc::UnboundedSender<UploadEvent>) -> Uploader {
        let shared = Arc::new(Shared {
            store,
            state: Mutex::default(),
            wake: Notify::new(),
            events,
        });
        let mut tasks = JoinSet::new();
        for _ in 0..UPLOADS_MAX {
            tasks.spawn(Arc::clone(&shared).run());
        }
        Uploader { shared, tasks }
    }

    /// Asks for an upload. One that waits or runs already is not asked for twice.
    ///
    /// # Errors
    /// `Limit`: too many wait, ask again after the next event. `Conflict`: the shard is fenced.
    pub fn push(&self, upload: Upload) -> Result<()> {
        let mut state = self.shared.state();
        if state.fenced.contains(&upload.shard) {
            let words = format!(
                "shard {} has a writer in a higher epoch: nothing of it is uploaded from here",
                upload.shard.0
            );
            return Err(Error::new(Kind::Conflict, words));
        }
        if state.known.len() >= UPLOADS_WAITING_MAX {
            return Err(Error::new(
                Kind::Limit,
                format!("{UPLOADS_WAITING_MAX} uploads wait already"),
            ));
        }
        if state.known.insert((upload.shard, upload.object)) {
            state.waiting.push_back(Waiting {
                upload,
                not_before: Instant::now(),
                failures: 0,
                own: 0,
                trouble: None,
            });
            state.count();
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Uploads that wait or run.
    pub fn waiting(&self) -> usize {
        self.shared.state().known.len()
    }

    /// Why an upload that failed waits for its next attempt; `None` while none does.
    pub fn trouble(&self) -> Option<String> {
        let state = self.shared.state();
        state.waiting.iter().find_map(|w| w.trouble.clone())
    }

    /// Takes one back that waits for its next attempt, when it is its own trouble after `own` failures, or when it failed twice as often
    /// for whatever reason: it is not tried any more, and may be asked for again.
    pub fn take_back(&self, shard: ShardNo, object: ObjectId, own: u32) -> Option<TakenBack> {
        let is_it = |w: &Waiting| (w.upload.shard, w.upload.object) == (shard, object);
        let is_over = |w: &Waiting| w.own >= own || w.failures >= own.saturating_mul(2);
        let mut state = self.shared.state();
        let mut waiting = state.waiting.iter();
        let at = waiting.position(|w| is_it(w) && is_over(w))?;
        let taken = state.waiting.remove(at)?;
        state.forget(|of, known| (of, known) == (shard, object));
        Some(TakenBack {
            is_its_own: taken.own >= own,
            why: taken.trouble.unwrap_or_default(),
        })
    }

    /// Stops in the middle of whatever it does: an object is there or not, never half.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Shared {
    async fn run(self: Arc<Shared>) {
        loop {
            match self.next() {
                Ok(waiting) => self.upload(waiting).await,
                Err(None) => self.wake.notified().await,
                Err(Some(until)) => {
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = sleep_until(until) => {}
                    }
                }
            }
        }
    }

    /// The first upload whose time has come, or when to look again.
    fn next(&self) -> Result<Waiting, Option<Instant>> {
        let mut state = self.state();
        let now = Instant::now();
        match state.waiting.iter().position(|w| w.not_before <= now) {
            Some(at) => Ok(state.waiting.remove(at).expect("it was found there")),
            None => Err(state.waiting.iter().map(|w| w.not_before).min()),
        }
    }

    async fn upload(&self, waiting: Waiting) {
        let upload = &waiting.upload;
        let event = match self.attempt(upload).await {
            Ok(None) => UploadEvent::Stored(waiting.upload),
            Ok(Some(epoch)) => return self.fence(upload.shard, epoch),
            Err(failed) if *failed.error.kind() == Kind::Unavailable => {
                return self.put_back(waiting, &failed);
            }
            Err(Failed { error, .. }) => UploadEvent::Failed {
                upload: waiting.upload,
                error,
            },
        };
        let (UploadEvent::Stored(done) | UploadEvent::Failed { upload: done, .. }) = &event else {
            return;
        };
        self.state()
            .forget(|shard, object| (shard, object) == (done.shard, done.object));
        self.tell(event);
    }

    /// Looks for the next epoch, then puts; the epoch when there is one.
    async fn attempt(&self, upload: &Upload) -> Result<Option<Epoch>, Failed> {
        let failed = |is_own| move |error| Failed { error, is_own };
        let next = Epoch(upload.epoch.0.saturating_add(1));
        let claimed = self.store.is_claimed(upload.shard, next, Caller::Upload);
        if claimed.await.map_err(failed(false))? {
            return Ok(Some(next));
        }
        let key = Key::of(upload.shard, &upload.object);
        self.store
            .put_file(&key, &upload.path, upload.digest, Caller::Upload)
            .await
            .map_err(failed(true))?;
        Ok(None)
    }

    fn put_back(&self, mut waiting: Waiting, Failed { error, is_own }: &Failed) {
        waiting.failures = waiting.failures.saturating_add(1);
        waiting.own = waiting.own.saturating_add(u32::from(*is_own));
        let wait = back_off(waiting.failures, WAIT_FIRST, WAIT_MAX);
        // Powers of two: a store that is away for a day fills no log.
        if waiting.failures.is_power_of_two() {
            let key = Key::of(waiting.upload.shard, &waiting.upload.object);
            tracing::warn!(%key, failures = waiting.failures, %error, "an upload failed and is tried again");
        }
        waiting.not_before = Instant::now() + wait;
        waiting.trouble = Some(error.to_string());
        let mut state = self.state();
        if state.fenced.contains(&waiting.upload.shard) {
            return;
        }
        state.waiting.push_back(waiting);
    }

    fn fence(&self, shard: ShardNo, epoch: Epoch) {
        {
            let mut state = self.state();
            state.waiting.retain(|w| w.upload.shard != shard);
            state.forget(|of, _| of == shard);
            if !state.fenced.insert(shard) {
                return;
            }
        }
        tracing::error!(
            shard = shard.0,
            epoch = epoch.0,
            "another writer opened a higher epoch: uploads of this shard stop"
        );
        self.tell(UploadEvent::Fenced { shard, epoch });
    }

    fn tell(&self, event: UploadEvent) {
        if self.events.send(event).is_err() {
            tracing::debug!("nobody listens to uploads any more");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, which: impl Fn(ShardNo, ObjectId) -> bool) {
        self.known.retain(|(shard, object)| !which(*shard, *object));
        self.count();
    }

    fn count(&self) {
        metrics::UPLOADS_WAITING.set(i64::try_from(self.known.len()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests;
