//! The start: whose data directory, whose bucket, which epoch; then the shards, and what a crash left half done.
//!
//! Promises: the very first start needs the object store, later ones do not. Never: uses another store's directory or bucket.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coldpost_tiers::cache::made::MadeCache;
use coldpost_tiers::cache::previews::PreviewsCache;
use coldpost_tiers::cold::{Caller, ColdStore, Finding};
use coldpost_tiers::disk::{Disk, RealDisk};
use coldpost_tiers::fetch::Fetcher;
use coldpost_tiers::hot::HotTier;
use coldpost_tiers::segment::Lineage;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::blocking;
use crate::cache;
use crate::error::{Error, InUse, Kind, Result};
use crate::identity::{self, Claim, Identity};
use crate::ids::{Position, ShardNo, StoreId};
use crate::limits::{
    DURABLE_EVERY_MS, KEPT_TEXT_SHARE, MADE_SHARE, PREVIEWS_MEMORY, START_CHECK_MS, START_NEEDS_MS,
};
use crate::local::{LocalStore, shard_dir};
use crate::op::{LEVEL, Op};
use crate::open::{Engine, Inner};
use crate::settings::Settings;
use crate::shard::{self, OpenShard, SnapshotSource};
use crate::text::KeptFrames;
use crate::upkeep::{Notice, Upkeep, Upkeeping};

/// What the bucket says about our epochs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is ours, nobody opened a later epoch.
    Confirmed,
    /// It did not answer in time, or does not hold our claims: mail is taken, nothing is uploaded or evicted. Says why.
    Unknown(String),
}

/// A claim and what the shard's journal was when it was opened.
pub(crate) struct Ended {
    pub(crate) claim: Claim,
    /// Behind its sealed segments.
    pub(crate) unsealed: Position,
    is_empty: bool,
}

impl Engine {
    /// Opens the data directory (making it when it is empty), recovers the journals, replays what the hot tier lacks.
    ///
    /// # Errors
    /// `Conflict`: another process has it; another store's directory; an empty or an older one on a used bucket. `Corrupt`: names the range.
    pub async fn open(settings: Settings) -> Result<Engine> {
        Engine::open_with(settings, Upkeeping::All).await
    }

    /// The same for one command on stopped data: what upkeep does to what is stored is left to the daemon, or to the command itself.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_for_command(settings: Settings) -> Result<Engine> {
        Engine::open_with(settings, Upkeeping::Shipping).await
    }

    async fn open_with(settings: Settings, upkeeping: Upkeeping) -> Result<Engine> {
        match Engine::open_once(settings.clone(), upkeeping).await {
            // It was set aside; what it said comes from the journal.
            Err(e) if e.is_hot_damage() => Engine::open_once(settings, upkeeping).await,
            opened => opened,
        }
    }

    async fn open_once(settings: Settings, upkeeping: Upkeeping) -> Result<Engine> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let failed = |what: &str, e| {
            let text = format!("cannot {what} {}", settings.data.display());
            Error::with_source(Kind::Unavailable, text, e)
        };
        disk.create_dir(&settings.data)
            .map_err(|e| failed("make", e))?;
        let lock = take_lock(&settings.data)?;
        let cold = ColdStore::open(&settings.cold)?;
        let (identity, found) = match Identity::read(&settings.data)? {
            Some(identity) => (identity, None),
            None => first_start(&settings, &cold).await?,
        };
        cold.belongs_to(identity.store);
        tell_shards(&settings, &identity);
        let claims = drawn_claims(&settings, &identity)?;
        let standing = check_claims(&settings, &cold, &claims).await?;
        let local = Arc::new(LocalStore::new(&settings.data));
        let fetcher = fetcher(&settings, &local, &cold);
        let (notices, heard) = mpsc::unbounded_channel();
        let kept_text = Arc::new(KeptFrames(MadeCache::of_text(text_budget(&settings))));
        let (shards, threads) =
            open_shards(&settings, &disk, &cold, &claims, (&notices, &kept_text)).await?;
        local.know(&shards);
        let engine = Engine {
            inner: Arc::new(Inner {
                made: MadeCache::of_mailboxes(made_budget(&settings)),
                kept_text,
                settings,
                disk,
                shards,
                cold,
                fetcher,
                local,
                started: crate::clock::now_s(),
                threads: Mutex::new(threads),
                upkeep: Mutex::new(None),
                opening: tokio::sync::Mutex::default(),
                unfinished: tokio::sync::Notify::new(),
                search_memory: Default::default(),
                previews: PreviewsCache::new(PREVIEWS_MEMORY),
                read_ahead: Arc::default(),
                turns: Default::default(),
                lock,
            }),
        };
        let claims = engine.with_ends(claims);
        let settled = async {
            let standing = engine.check_ends(standing, &claims).await?;
            engine.settle().await?;
            Ok(standing)
        };
        let standing = match settled.await {
            Ok(standing) => standing,
            Err(e) => {
                engine.close().await;
                return Err(e);
            }
        };
        let mut upkeep = Upkeep::start(&engine, upkeeping, (claims, standing), (notices, heard));
        upkeep.look_at_store(&engine, found);
        let slot = engine.inner.upkeep.lock();
        *slot.unwrap_or_else(PoisonError::into_inner) = Some(upkeep);
        Ok(engine)
    }

    fn with_ends(&self, claims: Vec<Claim>) -> Vec<Ended> {
        let shards = self.inner.shards.iter();
        let ended = claims.into_iter().zip(shards).map(|(claim, shard)| Ended {
            claim,
            unsealed: shard.unsealed,
            is_empty: shard.durable() == Position(0),
        });
        ended.collect()
    }

    /// Compares the journals' ends with the bucket, when it answers; without its answer an empty journal proves nothing.
    async fn check_ends(&self, standing: Standing, ended: &[Ended]) -> Result<Standing> {
        let why = match standing {
            Standing::Confirmed => {
                let checks = ended
                    .iter()
                    .map(|e| identity::check_end(&self.inner.cold, &e.claim, e.unsealed));
                let check = futures::future::try_join_all(checks);
                let is_needed = ended.iter().any(|e| e.is_empty);
                match tokio::time::timeout(patience(is_needed), check).await {
                    Ok(Ok(_)) => return Ok(Standing::Confirmed),
                    Ok(Err(e)) if e.kind() != Kind::Unavailable => return Err(e),
                    Ok(Err(e)) => e.to_string(),
                    Err(_) => format!("the object store {} does not answer", self.inner.cold.url()),
                }
            }
            Standing::Unknown(why) => why,
        };
        if let Some(empty) = ended.iter().find(|e| e.is_empty) {
            let text = format!(
                "the journal of shard {} is empty, and whether there was one is in the object store: {why}",
                empty.claim.lineage.shard.0
            );
            return Err(Error::new(Kind::Unavailable, text));
        }
        tracing::warn!("{why}: mail is taken, nothing is uploaded or evicted until it does");
        Ok(Standing::Unknown(why))
    }

    /// What is done once before anybody is served.
    async fn settle(&self) -> Result<()> {
        let segment_size = self.settings().segment_size;
        for shard in &self.inner.shards {
            let kept = crate::apply::Fold::applied(&shard.hot.read()?)?;
            if kept.level < LEVEL || kept.segment_size != segment_size {
                shard
                    .change(Op::Level {
                        level: LEVEL,
                        segment_size,
                    })
                    .await?;
            }
        }
        crate::upkeep::sweep_blobs(self)?;
        for shard in &self.inner.shards {
            crate::compaction::sweep_parts(&*self.disk(), &shard.dir)?;
            crate::compaction::sweep_objects(&*self.disk(), &shard.dir, &shard.hot.read()?)?;
        }
        self.finish_changes().await?;
        self.check_directory().await?;
        for shard in self.mail_shards() {
            for (account, group) in shard::open_groups(shard)? {
                tracing::info!(
                    shard = shard.no.0,
                    "undoing a copy that a crash left half done"
                );
                self.undo_group(shard.no, account, group).await?;
            }
        }
        Ok(())
    }
}

fn drawn_claims(settings: &Settings, identity: &Identity) -> Result<Vec<Claim>> {
    let shards = (0..=identity.shards).map(ShardNo);
    let claim = |shard| {
        let dir = shard_dir(&settings.data, shard);
        Claim::read_or_draw(&dir, identity.store, shard)
    };
    shards.map(claim).collect()
}

fn fetcher(settings: &Settings, local: &Arc<LocalStore>, cold: &ColdStore) -> Fetcher {
    let (local, cold) = (Arc::clone(local) as _, cold.clone());
    let frames = settings.frames_cache - made_budget(settings) - text_budget(settings);
    Fetcher::with_disk(frames, local, cold, cache::open(settings))
}

/// Bytes of `[hot] frames` for keys of messages: the keys of 5,000 take one MiB or two, one key of 200,000 ten.
fn made_budget(settings: &Settings) -> u64 {
    settings.frames_cache / MADE_SHARE
}

/// Bytes of `[hot] frames` for unpacked frames of text.
fn text_budget(settings: &Settings) -> u64 {
    settings.frames_cache / KEPT_TEXT_SHARE
}

fn tell_shards(settings: &Settings, identity: &Identity) {
    if settings.shards != identity.shards {
        tracing::warn!(
            "this store was made with {} mail shards and keeps them; the settings say {}",
            identity.shards,
            settings.shards
        );
    }
}

pub(crate) fn take_lock(data: &Path) -> Result<File> {
    let path = data.join("lock");
    let failed = |e| {
        Error::with_source(
            Kind::Unavailable,
            format!("cannot open {}", path.display()),
            e,
        )
    };
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    lock.try_lock().map_err(|_| another_has(data))?;
    Ok(lock)
}

pub(crate) fn another_has(data: &Path) -> Error {
    let text = format!(
        "another coldpost process has the data directory {}: stop it, or use another --data",
        data.display()
    );
    Error::with_source(Kind::Conflict, text, InUse)
}

/// Makes a store: only in a directory without one, and on a bucket without one. With it goes what was found about the bucket.
async fn first_start(
    settings: &Settings,
    cold: &ColdStore,
) -> Result<(Identity, Option<Vec<Finding>>)> {
    use futures::TryStreamExt;
    let shards = settings.data.join("shards");
    if shards.exists() {
        let text = format!(
            "{} has mail in shards/ and no `store` file: put that file back from a backup",
            settings.data.display()
        );
        return Err(Error::new(Kind::Conflict, text));
    }
    let needs = |e: coldpost_tiers::Error| {
        let text = format!("the first start needs the object store {}: {e}", cold.url());
        Error::with_source(Kind::Unavailable, text, e)
    };
    let found = cold.check(crate::clock::now_s).await.map_err(needs)?;
    let mut listed = cold.list(
        &coldpost_tiers::cold::key::epochs(ShardNo(0)),
        Caller::Start,
    );
    if listed.try_next().await.map_err(needs)?.is_some() {
        let text = format!(
            "the data directory {} is empty, and {} holds a store already. Use that store's data directory, or give \
             another prefix in [cold] url for a new one",
            settings.data.display(),
            cold.url()
        );
        return Err(Error::new(Kind::Conflict, text));
    }
    let identity = Identity::make(&settings.data, settings.shards)?;
    Ok((identity, Some(found)))
}

/// How long a start waits for an answer that it needs, or could do without.
fn patience(is_needed: bool) -> Duration {
    Duration::from_millis(match is_needed {
        true => START_NEEDS_MS,
        false => START_CHECK_MS,
    })
}

/// Puts claims that were never confirmed and compares those that were; a store that does not answer is asked again later.
async fn check_claims(settings: &Settings, cold: &ColdStore, claims: &[Claim]) -> Result<Standing> {
    let unconfirmed = claims.iter().any(|claim| !claim.claimed);
    let check = async {
        for claim in claims {
            identity::check(cold, claim, &shard_dir(&settings.data, claim.lineage.shard)).await?;
        }
        Ok::<(), Error>(())
    };
    let has_mail = |claim: &Claim| {
        let journal = shard_dir(&settings.data, claim.lineage.shard).join("journal");
        std::fs::read_dir(journal).is_ok_and(|mut files| files.next().is_some())
    };
    let is_needed = unconfirmed || !claims.iter().all(has_mail);
    match tokio::time::timeout(patience(is_needed), check).await {
        Ok(Ok(())) => Ok(Standing::Confirmed),
        Ok(Err(e)) if e.kind() != Kind::Unavailable => Err(e),
        answer if unconfirmed => {
            let why = match answer {
                Ok(Err(e)) => e.to_string(),
                _ => "it does not answer".to_owned(),
            };
            Err(Error::new(
                Kind::Unavailable,
                format!(
                    "the first start needs the object store {}: {why}",
                    cold.url()
                ),
            ))
        }
        answer => {
            let why = match answer {
                Ok(Err(e)) => e.to_string(),
                _ => format!("the object store {} does not answer", cold.url()),
            };
            Ok(Standing::Unknown(why))
        }
    }
}

type Shards = (Vec<Arc<shard::Shard>>, Vec<std::thread::JoinHandle<()>>);

async fn open_shards(
    settings: &Settings,
    disk: &Arc<dyn Disk>,
    cold: &ColdStore,
    claims: &[Claim],
    shared: (&mpsc::UnboundedSender<Notice>, &Arc<KeptFrames>),
) -> Result<Shards> {
    let share = settings.hot_cache / u64::try_from(claims.len()).unwrap_or(1).max(1);
    let mut opening = Vec::new();
    for claim in claims {
        let cache = usize::try_from(share).unwrap_or(usize::MAX);
        opening.push(open_shard(
            settings,
            disk,
            cold,
            claim.lineage,
            cache,
            shared,
        ));
    }
    let open = move || {
        let mut shards = Vec::new();
        let mut threads = Vec::new();
        for settings in opening {
            crate::snapshot::clear(&*settings.disk, &settings.dir)?;
            let opened = shard::open(settings)?;
            shards.push(opened.shard);
            threads.extend(opened.threads);
        }
        Ok((shards, threads))
    };
    blocking::run("opening a shard", open).await
}

/// How a shard is opened. Needs a runtime.
pub(crate) fn open_shard(
    settings: &Settings,
    disk: &Arc<dyn Disk>,
    cold: &ColdStore,
    lineage: Lineage,
    cache: usize,
    (notices, kept_text): (&mpsc::UnboundedSender<Notice>, &Arc<KeptFrames>),
) -> OpenShard {
    OpenShard {
        disk: Arc::clone(disk),
        dir: shard_dir(&settings.data, lineage.shard),
        lineage,
        segment_size: settings.segment_size,
        cache,
        open_hot: Arc::new(HotTier::open),
        durable_every: Duration::from_millis(DURABLE_EVERY_MS),
        fetch: shard::fetch_segments(cold.clone(), lineage, Handle::current()),
        snapshots: Some(SnapshotSource::new(cold.clone(), Handle::current())),
        kept_text: Arc::clone(kept_text),
        words: settings.words && lineage.shard != ShardNo(0),
        notices: notices.clone(),
    }
}

/// For messages about which store this is.
pub(crate) fn hex(store: StoreId) -> String {
    store.0.iter().map(|b| format!("{b:02x}")).collect()
}
