//! Where a hot tier that is missing begins anew: at the newest snapshot that can be read and is of this journal's history, else at position 1.
//!
//! Promises: what was loaded has exactly the rows of its manifest, and takes its place only when all of the journal was replayed behind it: one
//! that cannot be followed leaves nothing, so that the next start looks again. Where neither a snapshot nor the first entries are there, the
//! start is refused. A crash leaves: `hot.redb.new`, which the next one removes.

mod journal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use coldpost_tiers::cold::{Caller, ColdStore, Key, key};
use coldpost_tiers::disk::failed;
use coldpost_tiers::hot::{CommitKind, HotTier, TableName};
use coldpost_tiers::limits::SNAPSHOT_MANIFEST_MAX;
use coldpost_tiers::segment::Lineage;
use coldpost_tiers::snapshot::{Loader, Manifest, RangeRef};
use futures::TryStreamExt;
use futures::future::join_all;
use tokio::runtime::Handle;

use self::journal::Journal;
use super::copies::{self, Size};
use super::open::{OpenShard, STORE, identity_of};
use crate::apply::Fold;
use crate::cold;
use crate::error::{Error, Kind, Result};
use crate::ids::{Epoch, Position, ShardNo};
use crate::limits::{START_CHECK_MS, START_NEEDS_MS};

/// The name of a hot tier that is being loaded.
const NEW: &str = "hot.redb.new";

/// Snapshots in the bucket, for a thread that may wait.
#[derive(Clone)]
pub(crate) struct SnapshotSource {
    cold: ColdStore,
    handle: Handle,
}

impl SnapshotSource {
    /// Of a bucket.
    pub(crate) fn new(cold: ColdStore, handle: Handle) -> SnapshotSource {
        SnapshotSource { cold, handle }
    }

    /// The snapshots of a shard that any of the stores lists: one that lost its own, or was put back from an older copy, has less than the other.
    fn list(&self, lineage: Lineage, patience: Duration) -> Listing {
        let copies = cold::copies(&self.cold, Caller::Start);
        let lists = copies.iter().map(|asked| async move {
            let listed = tokio::time::timeout(patience, snapshots_in(asked, lineage)).await;
            listed.unwrap_or_else(|_| {
                let text = format!("{} does not answer", asked.0.url());
                Err(Error::new(Kind::Unavailable, text))
            })
        });
        let mut listing = Listing::default();
        for said in self.handle.block_on(join_all(lists)) {
            match said {
                Ok(found) => listing.found.extend(found),
                Err(e) => listing.silent.push(e),
            }
        }
        listing.found.sort_unstable();
        listing.found.dedup();
        listing.found.reverse();
        listing.is_answered = listing.silent.len() < copies.len();
        listing
    }

    fn manifest(&self, key: &Key, lineage: Lineage) -> Result<Manifest> {
        let check = |bytes: Bytes| {
            let decoded = Manifest::decode(&bytes, lineage.store, lineage.shard, key);
            Ok(decoded?)
        };
        let size = Size::AtMost(SNAPSHOT_MANIFEST_MAX);
        self.handle
            .block_on(copies::read(&self.cold, key, size, check))
    }

    fn range(&self, shard: ShardNo, range: &RangeRef) -> Result<Bytes> {
        let key = Key::of(shard, &range.object());
        let check = |bytes: Bytes| match blake3::hash(&bytes) == range.digest {
            true => Ok(bytes),
            false => Err(Error::new(
                Kind::Corrupt,
                format!("{key} is not what was written (its digest differs)"),
            )),
        };
        let size = Size::Exactly(range.bytes);
        self.handle
            .block_on(copies::read(&self.cold, &key, size, check))
    }

    /// Where snapshots may be: for errors.
    fn urls(&self) -> String {
        let copies = self.cold.each_copy();
        let urls: Vec<_> = copies.iter().map(ColdStore::url).collect();
        urls.join(" and ")
    }

    /// Who of these does not answer, as far as known.
    fn who(&self) -> &'static str {
        match self.cold.copies() {
            1 => "which",
            _ => "of which one or each",
        }
    }

    /// Whether one of the stores has the segment with the first entry of a shard.
    ///
    /// # Errors
    /// `Unavailable`: none of those that answered has it, and another did not, or does not hold this store.
    fn holds_first(&self, lineage: Lineage) -> Result<bool> {
        let mut silent = Vec::new();
        for asked in cold::copies(&self.cold, Caller::Recover) {
            match self.handle.block_on(first_in(&asked, lineage)) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(e) => silent.push(e),
            }
        }
        match silent.is_empty() {
            true => Ok(false),
            false => Err(copies::together(silent)),
        }
    }
}

/// What the stores said of the snapshots of a shard.
#[derive(Default)]
struct Listing {
    /// Their positions and epochs, the newest first.
    found: Vec<(Position, Epoch)>,
    /// Why a store said nothing: it does not answer, or does not hold this store, so that an empty listing of it says nothing.
    silent: Vec<Error>,
    is_answered: bool,
}

/// # Errors
/// `Unavailable`: it does not answer, or does not hold the shard.
async fn snapshots_in(
    (store, caller): &(ColdStore, Caller),
    lineage: Lineage,
) -> Result<Vec<(Position, Epoch)>> {
    if let Some(lacks) = cold::lacks(store, lineage, *caller).await? {
        return Err(lacks);
    }
    let mut listed = store.list(&key::snapshots(lineage.shard), *caller);
    let mut found = Vec::new();
    while let Some(object) = listed.try_next().await? {
        if let Some(Key::Snapshot {
            epoch, position, ..
        }) = object.key
        {
            found.push((position, epoch));
        }
    }
    Ok(found)
}

/// # Errors
/// As [`snapshots_in`].
async fn first_in((store, caller): &(ColdStore, Caller), lineage: Lineage) -> Result<bool> {
    if let Some(lacks) = cold::lacks(store, lineage, *caller).await? {
        return Err(lacks);
    }
    let mut listed = store.list(&key::segments(lineage.shard), *caller);
    while let Some(object) = listed.try_next().await? {
        if matches!(object.key, Some(Key::Segment { first, .. }) if first == Position(1)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A snapshot that was loaded beside the place of a hot tier.
pub(super) struct Loaded {
    /// Its file, until it takes its place.
    pub(super) path: PathBuf,
    key: Key,
    /// What might have been better, and why it was not taken.
    passed: Vec<String>,
}

impl Loaded {
    /// Gives its file the name of a hot tier: durable, with all of the journal in it.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(super) fn take_place(&self, settings: &OpenShard, hot: &HotTier) -> Result<()> {
        // What was replayed into it is not on disk before this.
        hot.write(CommitKind::Durable, |_| Ok(()))?;
        let place = settings.dir.join("hot.redb");
        settings
            .disk
            .rename(&self.path, &place)
            .and_then(|()| settings.disk.sync_dir(&settings.dir))
            .map_err(|e| failed("rename", &self.path, e))?;
        tracing::info!(
            shard = settings.lineage.shard.0,
            "the hot tier is made anew from {}",
            self.key
        );
        Ok(())
    }

    /// Removes it after a replay that failed. No older snapshot is tried: it needs every entry that this one needs.
    pub(super) fn give_up(self, settings: &OpenShard, error: Error) -> Error {
        if let Err(e) = remove(settings) {
            tracing::warn!("{e}; the next start removes it");
        }
        let mut text = format!(
            "the hot tier of shard {} is missing, {} is the newest snapshot that can be used, and the entries behind it cannot all be had: {error}",
            settings.lineage.shard.0, self.key
        );
        for passed in &self.passed {
            text.push_str("; ");
            text.push_str(passed);
        }
        text.push_str("; nothing was changed");
        Error::with_source(error.kind(), text, error)
    }
}

/// Loads the newest snapshot that fits beside the place of a missing hot tier; nothing where it begins at position 1.
///
/// # Errors
/// `Corrupt`: there is no way to make it. `Unavailable`: the bucket does not answer and not everything is here, or the disk refuses.
pub(super) fn begin(settings: &OpenShard) -> Result<Option<Loaded>> {
    remove(settings)?;
    let journal = Journal::look(settings)?;
    let Some(source) = &settings.snapshots else {
        return Ok(None);
    };
    // Whether there was a journal, the bucket says when its end is compared.
    if journal.files.is_empty() {
        return Ok(None);
    }
    let lineage = settings.lineage;
    // With all of the journal here, whatever answers late is not needed.
    let patience = Duration::from_millis(match journal.is_whole {
        true => START_CHECK_MS,
        false => START_NEEDS_MS,
    });
    let listing = source.list(lineage, patience);
    if !listing.is_answered {
        return without(settings, source, &journal, copies::together(listing.silent));
    }
    let silent = listing.silent.iter();
    let mut passed: Vec<_> = silent
        .map(|e| format!("a newer one may be where nobody could look: {e}"))
        .collect();
    let mut tried = Vec::new();
    for (position, epoch) in listing.found {
        let shard = lineage.shard;
        let key = Key::Snapshot {
            shard,
            epoch,
            position,
        };
        match load(settings, source, &journal, &key, position) {
            Ok(path) => {
                passed.extend(tried);
                return Ok(Some(Loaded { path, key, passed }));
            }
            Err(e) if e.kind() == Kind::Unavailable => {
                return without(settings, source, &journal, e);
            }
            Err(e) => {
                let text = format!("{key} is passed over: {e}");
                tracing::error!(shard = shard.0, "{text}");
                tried.push(text);
            }
        }
    }
    if journal.begins_at_one() {
        return Ok(None);
    }
    match source.holds_first(lineage) {
        Ok(true) => Ok(None),
        Ok(false) if listing.silent.is_empty() => Err(nothing(settings, source, &tried)),
        Ok(false) => without(settings, source, &journal, copies::together(listing.silent)),
        Err(e) => without(settings, source, &journal, e),
    }
}

/// From the journal alone, where all of it is here, or not at all.
fn without(
    settings: &OpenShard,
    source: &SnapshotSource,
    journal: &Journal,
    error: Error,
) -> Result<Option<Loaded>> {
    let shard = settings.lineage.shard;
    if journal.is_whole {
        tracing::warn!(
            shard = shard.0,
            "the hot tier is made anew from the journal alone: {error}"
        );
        return Ok(None);
    }
    let text = format!(
        "the hot tier of shard {} is missing, and what it is made of is in the object store {}, {} does not answer: {error}",
        shard.0,
        source.urls(),
        source.who()
    );
    Err(Error::with_source(Kind::Unavailable, text, error))
}

fn nothing(settings: &OpenShard, source: &SnapshotSource, tried: &[String]) -> Error {
    let snapshots = match tried {
        [] => "there is no snapshot".to_owned(),
        tried => format!("no snapshot can be used ({})", tried.join("; ")),
    };
    let text = format!(
        "the hot tier of shard {} is missing, {snapshots} in {}, and the first entries of the journal are not there any more: \
         put {} or the damaged objects back from a copy; nothing was changed",
        settings.lineage.shard.0,
        source.urls(),
        settings.dir.join("hot.redb").display()
    );
    Error::new(Kind::Corrupt, text)
}

fn remove(settings: &OpenShard) -> Result<()> {
    let path = settings.dir.join(NEW);
    match settings.disk.remove(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove", &path, e).into())
        }
        _ => Ok(()),
    }
}

/// Loads one snapshot: its file, which has not taken the place of the hot tier yet.
fn load(
    settings: &OpenShard,
    source: &SnapshotSource,
    journal: &Journal,
    key: &Key,
    position: Position,
) -> Result<PathBuf> {
    if position > journal.end {
        let text = format!("the sealed segments end at {}", journal.end.0);
        return Err(Error::new(Kind::Conflict, text));
    }
    let manifest = source.manifest(key, settings.lineage)?;
    journal.has(settings, &manifest)?;
    let path = settings.dir.join(NEW);
    match fill(settings, source, &manifest, &path) {
        Ok(()) => Ok(path),
        Err(e) => {
            remove(settings)?;
            Err(e)
        }
    }
}

fn fill(
    settings: &OpenShard,
    source: &SnapshotSource,
    manifest: &Manifest,
    path: &Path,
) -> Result<()> {
    let hot = (settings.open_hot)(path, settings.cache)?;
    let mut loader = Loader::new(&hot, manifest)?;
    for range in &manifest.ranges {
        loader.take(&source.range(settings.lineage.shard, range)?)?;
    }
    loader.finish()?;
    let state = hot.read()?;
    let whose = state.get(TableName::Meta, STORE)?;
    let applied = Fold::applied(&state)?;
    let moment = &manifest.moment;
    let said = (moment.position, moment.chain, moment.hash);
    let is_ours = whose == Some(identity_of(settings.lineage))
        && (applied.position, applied.chain, applied.hash) == said
        && applied.epoch == moment.lineage.epoch.0;
    match is_ours {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Conflict,
            "its rows are not those of the moment that its manifest names",
        )),
    }
}
