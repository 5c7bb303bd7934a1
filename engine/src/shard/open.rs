//! Opens a shard: hot tier, journal, what the one lacks of the other, then the two threads.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coldpost_tiers::disk::Disk;
use coldpost_tiers::hot::row::Applied;
use coldpost_tiers::hot::{CommitKind, HotTier, Snapshot, TableName};
use coldpost_tiers::segment::{Lineage, SegmentReader};
use tokio::sync::Semaphore;

use super::anew::{self, Loaded, SnapshotSource};
use super::apply_loop::{ApplyLoop, Reopen};
use super::fetch::FetchSegments;
use super::replay::replay;
use super::{HotCell, Shard, journal_loop, schema};
use crate::apply::Fold;
use crate::error::{Error, Kind, Result};
use crate::ids::{Position, ShardNo};
use crate::journal::Journal;
use crate::journal::embedded::{Embedded, EmbeddedSettings, local_segments};
use crate::limits::QUEUE_ENTRIES_MAX;
use crate::text::{KeptFrames, TextStore};
use crate::upkeep::Notice;
use crate::words::WordStore;

/// What a shard is opened with.
pub(crate) struct OpenShard {
    /// The disk of the journal.
    pub disk: Arc<dyn Disk>,
    /// `DIR/shards/<n>`.
    pub dir: PathBuf,
    /// Whose.
    pub lineage: Lineage,
    /// Record bytes after which a new store cuts segments.
    pub segment_size: u64,
    /// Bytes of redb's cache.
    pub cache: usize,
    /// Opens or makes the hot tier's file with such a cache.
    pub open_hot: OpenHot,
    /// Work after which the hot tier makes a durable commit.
    pub durable_every: Duration,
    /// Gives the bytes of a segment that is not on local disk any more, as a file: from the bucket.
    pub fetch: FetchSegments,
    /// Where snapshots are, for a hot tier that is missing; none where there is no bucket.
    pub snapshots: Option<SnapshotSource>,
    /// Keeps unpacked frames of text.
    pub kept_text: Arc<KeptFrames>,
    /// Whether words are indexed.
    pub words: bool,
    /// Where upkeep listens.
    pub notices: tokio::sync::mpsc::UnboundedSender<Notice>,
}

/// [`HotTier::open`], or the same on another disk.
pub(super) type OpenHot =
    Arc<dyn Fn(&Path, usize) -> coldpost_tiers::Result<HotTier> + Send + Sync>;

type Indexes = (Arc<TextStore>, Option<Arc<WordStore>>);

/// A shard at work, and its threads.
pub(crate) struct Opened {
    /// The shard.
    pub shard: Arc<Shard>,
    /// Ended by [`Shard::shut`].
    pub threads: Vec<JoinHandle<()>>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of our own waits for a disk that refuses; nothing else runs on it"
)]
pub(super) fn pause(wait: Duration) {
    std::thread::sleep(wait);
}

/// Opens it: recovers the journal, replays what the hot tier lacks, starts the threads.
///
/// # Errors
/// `Corrupt` names the range; `Conflict` for another store's files; `Unavailable` when the disk refuses.
pub(crate) fn open(settings: OpenShard) -> Result<Opened> {
    let journal_dir = settings.dir.join("journal");
    make_directories(&settings, &journal_dir)?;
    let begun = hot_tier(&settings)?;
    let promised = &begun.fold.applied;
    let opened = Embedded::open(EmbeddedSettings {
        disk: Arc::clone(&settings.disk),
        dir: journal_dir,
        lineage: settings.lineage,
        segment_size: if promised.segment_size == 0 {
            settings.segment_size
        } else {
            promised.segment_size
        },
        hint: (promised.segment_first, promised.offset),
        applied: promised.position,
    })?;
    let journal = opened.journal;
    if opened.torn > 0 {
        tracing::info!(
            shard = settings.lineage.shard.0,
            bytes = opened.torn,
            "cut what a crash left behind the journal's end"
        );
    }
    let Ready { hot, fold, durable } = replayed(&settings, begun, journal.last())?;
    let hot_durable = match durable {
        Position(0) => fold.applied.position,
        durable => durable,
    };
    if let Some(made_ms) = opened.held_since_ms {
        // Upkeep is gone only at shutdown.
        let _ = settings.notices.send(Notice::Held {
            shard: settings.lineage.shard,
            segment_first: journal.segment_first(),
            age: Duration::from_millis(crate::clock::now_ms().saturating_sub(made_ms)),
        });
    }
    let (submit, queue) = mpsc::channel();
    let applied = fold.applied.position;
    let (text, words) = indexes(&settings, applied)?;
    let shard = Arc::new(Shard {
        text,
        words,
        no: settings.lineage.shard,
        store: settings.lineage.store,
        epoch: settings.lineage.epoch,
        dir: settings.dir.clone(),
        disk: Arc::clone(&settings.disk),
        hot: Arc::new(HotCell::new(hot)),
        registry: super::registry::Registry::default(),
        changes: crate::view::SharedChanges::default(),
        broken: crate::view::BrokenBodies::default(),
        applied: AtomicU64::new(fold.applied.position.0),
        durable: AtomicU64::new(journal.last().0),
        unsealed: journal.segment_first(),
        hot_durable: AtomicU64::new(hot_durable.0),
        submit: Mutex::new(Some(submit)),
        left_groups: Mutex::default(),
        moments: super::moment::Moments::default(),
        places: Arc::new(Semaphore::new(QUEUE_ENTRIES_MAX)),
        down: Mutex::new(None),
    });
    shard.hot_reopened(durable);
    let threads = start(&shard, settings, fold, Box::new(journal), queue)?;
    Ok(Opened { shard, threads })
}

/// Text and words of its mail, as far as they are there.
fn indexes(settings: &OpenShard, applied: Position) -> Result<Indexes> {
    let (disk, dir, lineage) = (&settings.disk, &settings.dir, settings.lineage);
    let words = match settings.words {
        true => Some(WordStore::open(Arc::clone(disk), dir, lineage)?),
        false => None,
    };
    // The directory has no mail.
    let with_text = match lineage.shard {
        ShardNo(0) => Position(0),
        _ => applied,
    };
    let kept = Arc::clone(&settings.kept_text);
    let text = TextStore::open(Arc::clone(disk), dir, lineage, with_text, kept)?;
    Ok((Arc::new(text), words.map(Arc::new)))
}

fn make_directories(settings: &OpenShard, journal: &Path) -> Result<()> {
    for dir in [&settings.dir, journal, &settings.dir.join("blobs")] {
        let made = settings.disk.create_dir(dir);
        made.map_err(|e| coldpost_tiers::disk::failed("make", dir, e))?;
    }
    Ok(())
}

fn start(
    shard: &Arc<Shard>,
    settings: OpenShard,
    fold: Fold,
    journal: Box<dyn Journal>,
    queue: mpsc::Receiver<super::Submission>,
) -> Result<Vec<JoinHandle<()>>> {
    let (durable, durable_queue) = mpsc::sync_channel(QUEUE_ENTRIES_MAX);
    let notices = settings.notices.clone();
    let durable_every = settings.durable_every;
    let reopen: Reopen = Box::new(move |last| {
        let begun = hot_tier(&settings)?;
        replayed(&settings, begun, last)
    });
    let apply_loop = ApplyLoop {
        shard: Arc::clone(shard),
        fold,
        reopen,
        notices,
        durable_every,
        volatile_bytes: 0,
        volatile_since: Some(Instant::now()),
        is_aside: false,
        ended: false,
    };
    let spawn = |name: String, run: Box<dyn FnOnce() + Send>| {
        let failed = |e| Error::with_source(Kind::Unavailable, "no thread can be started", e);
        std::thread::Builder::new()
            .name(name)
            .spawn(run)
            .map_err(failed)
    };
    let (writer, watched, applier) = (Arc::clone(shard), Arc::clone(shard), Arc::clone(shard));
    Ok(vec![
        spawn(
            format!("journal-{}", shard.no.0),
            Box::new(move || {
                watch(&watched, "journal", || {
                    journal_loop::run(&writer, journal, &queue, &durable);
                });
            }),
        )?,
        spawn(
            format!("apply-{}", shard.no.0),
            Box::new(move || watch(&applier, "apply", || apply_loop.run(&durable_queue))),
        )?,
    ])
}

/// Runs a thread's work; one that dies takes the shard down, so that nobody waits for it and `readyz` says why.
fn watch(shard: &Shard, name: &str, run: impl FnOnce()) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
        shard.set_down(format!(
            "the {name} thread died of a bug (the log has it); restart the daemon"
        ));
    }
}

/// A hot tier and how far it came.
struct Begun {
    hot: HotTier,
    fold: Fold,
    /// It was loaded from a snapshot, and is in its place only when the journal was replayed.
    loaded: Option<Loaded>,
}

/// The hot tier; a damaged one is set aside, and one that is missing or has nothing is begun anew.
fn hot_tier(settings: &OpenShard) -> Result<Begun> {
    let path = settings.dir.join("hot.redb");
    let load = |hot: HotTier| -> Result<(HotTier, Fold)> {
        let state = hot.read()?;
        let whose = identity_of(settings.lineage);
        match state.get(TableName::Meta, STORE)? {
            Some(found) if found != whose => {
                return Err(not_ours("it belongs to another store or shard"));
            }
            Some(_) => {}
            None => hot.write(CommitKind::Durable, |batch| {
                schema::note(batch)?;
                batch.put(TableName::Meta, STORE, &whose)
            })?,
        }
        let fold = Fold::load(&state)?;
        continues(&*settings.disk, &settings.dir, &fold.applied)?;
        Ok((hot, fold))
    };
    match (settings.open_hot)(&path, settings.cache)
        .map_err(Error::from)
        .and_then(|hot| of_this_schema(settings, hot, &path))
        .and_then(load)
    {
        Ok((hot, fold)) if fold.applied.position > Position(0) => {
            return Ok(Begun {
                hot,
                fold,
                loaded: None,
            });
        }
        Ok(empty) => drop(empty),
        Err(e) if e.kind() == Kind::Corrupt => set_aside(&*settings.disk, &settings.dir, &e)?,
        Err(e) => return Err(e),
    }
    let loaded = anew::begin(settings)?;
    let path = loaded.as_ref().map_or(&path, |loaded| &loaded.path);
    let (hot, fold) = load((settings.open_hot)(path, settings.cache)?)?;
    Ok(Begun { hot, fold, loaded })
}

/// The hot tier, or a new one in place of one of this shard whose rows are laid out as they were earlier.
fn of_this_schema(settings: &OpenShard, hot: HotTier, path: &Path) -> Result<HotTier> {
    let state = hot.read()?;
    let is_ours =
        state.get(TableName::Meta, STORE)?.as_ref() == Some(&identity_of(settings.lineage));
    let older = if is_ours {
        schema::older(&state)?
    } else {
        None
    };
    drop(state);
    let Some(older) = older else {
        return Ok(hot);
    };
    schema::give_up(&*settings.disk, hot, path, older)?;
    Ok((settings.open_hot)(path, settings.cache)?)
}

/// A hot tier with all of the journal in it.
pub(super) struct Ready {
    pub(super) hot: HotTier,
    pub(super) fold: Fold,
    /// The last entry that its file keeps through a power cut.
    pub(super) durable: Position,
}

/// The hot tier with all of the journal in it; one that turns out to be damaged meanwhile is made anew.
fn replayed(settings: &OpenShard, begun: Begun, last: Position) -> Result<Ready> {
    // One that was loaded has no place yet, and is loaded again by whoever opens next.
    let has_place = begun.loaded.is_none();
    match followed(settings, begun, last) {
        Err(e) if e.is_hot_damage() && has_place => {
            set_aside(&*settings.disk, &settings.dir, &e)?;
            followed(settings, hot_tier(settings)?, last)
        }
        ready => ready,
    }
}

/// Replays the journal. What was begun anew stays only when that came to its end: a hot tier that cannot be followed would keep the next start
/// from looking for a better beginning.
fn followed(settings: &OpenShard, begun: Begun, last: Position) -> Result<Ready> {
    let Begun {
        hot,
        mut fold,
        loaded,
    } = begun;
    let durable = fold.applied.position;
    match (replay(settings, &hot, &mut fold, last), loaded) {
        (Ok(()), None) => Ok(Ready { hot, fold, durable }),
        (Ok(()), Some(loaded)) => {
            loaded.take_place(settings, &hot)?;
            let durable = fold.applied.position;
            Ok(Ready { hot, fold, durable })
        }
        (Err(e), Some(loaded)) => {
            drop(hot);
            Err(loaded.give_up(settings, e))
        }
        (Err(e), None) => {
            drop(hot);
            if durable == Position(0) && !e.is_hot_damage() {
                drop(settings.disk.remove(&settings.dir.join("hot.redb")));
            }
            Err(e)
        }
    }
}

/// Keeps a damaged hot tier for whoever wants to look at it: whoever opens next begins a new one.
pub(super) fn set_aside(disk: &dyn Disk, dir: &Path, damage: &dyn std::fmt::Display) -> Result<()> {
    let (path, aside) = (dir.join("hot.redb"), dir.join("hot.redb.damaged"));
    tracing::error!(
        "{damage}; {} is kept as {}",
        path.display(),
        aside.display()
    );
    disk.rename(&path, &aside)
        .and_then(|()| disk.sync_dir(dir))
        .map_err(|e| coldpost_tiers::disk::failed("rename", &path, e).into())
}

/// Key of store id and shard in `meta`.
pub(super) const STORE: &[u8] = b"store";

pub(super) fn identity_of(lineage: Lineage) -> Vec<u8> {
    [&lineage.store.0[..], &lineage.shard.0.to_le_bytes()].concat()
}

fn not_ours(why: &str) -> Error {
    let text =
        format!("the hot tier is not that of this journal ({why}); it is rebuilt from the journal");
    Error::new(Kind::Corrupt, text)
}

/// Whether a hot tier is that of a journal, for who does not want to change it: why not.
pub(crate) fn is_foreign(
    disk: &dyn Disk,
    dir: &Path,
    state: &Snapshot,
    lineage: Lineage,
) -> Result<Option<Error>> {
    match state.get(TableName::Meta, STORE)? {
        Some(found) if found != identity_of(lineage) => {
            return Ok(Some(not_ours("it belongs to another store or shard")));
        }
        _ => {}
    }
    match continues(disk, dir, &Fold::applied(state)?) {
        Err(e) if e.kind() == Kind::Corrupt => Ok(Some(e)),
        other => other.map(|()| None),
    }
}

/// The hot tier's last entry must be the journal's at that position, where that is still on local disk.
fn continues(disk: &dyn Disk, dir: &Path, applied: &Applied) -> Result<()> {
    let dir = dir.join("journal");
    let files = local_segments(disk, &dir)?;
    let holds = |f: &&crate::journal::embedded::LocalSegment| f.first == applied.segment_first;
    let Some(file) = files.iter().find(holds).filter(|_| applied.position.0 > 0) else {
        return Ok(());
    };
    // A segment that cannot be read here is the journal's own trouble, told when that is opened.
    let Ok(reader) = SegmentReader::open(disk, &file.path) else {
        return Ok(());
    };
    let Ok(mut reader) = reader.read_from(applied.position) else {
        return Ok(());
    };
    match reader.next_record() {
        Ok(Some(record))
            if record.at.position == applied.position && record.at.chain != applied.chain =>
        {
            Err(not_ours("its last entry is another one"))
        }
        _ => Ok(()),
    }
}

/// COPY groups that a kill left half done, oldest first: account and group.
///
/// # Errors
/// `Unavailable` after an I/O error.
pub(crate) fn open_groups(
    shard: &Shard,
) -> Result<Vec<(crate::ids::AccountId, crate::op::GroupId)>> {
    let mut groups = Vec::new();
    shard
        .hot
        .read()?
        .walk(TableName::Pending, &[1], &[1], |key, _| {
            let account = coldpost_tiers::hot::key::account_of(key.get(1..).unwrap_or_default());
            if let Some(group) = key.get(9..).and_then(|k| k.first_chunk::<16>()) {
                groups.push((account, crate::op::GroupId(*group)));
            }
            Ok(true)
        })?;
    groups.sort_unstable_by_key(|(a, g)| (*a, *g));
    groups.dedup();
    Ok(groups)
}
