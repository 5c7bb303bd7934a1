//! Where a hot tier that is missing begins anew: at the newest snapshot that can be read and is of this journal's history, else at position 1.
//!
//! Promises: what is put in place has exactly the rows of its manifest; where neither a snapshot nor the first entries are there, the start
//! is refused. A crash leaves: `hot.redb.new`, which the next one removes.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use coldpost_tiers::cold::{Caller, ColdStore, Key, key};
use coldpost_tiers::disk::failed;
use coldpost_tiers::hot::TableName;
use coldpost_tiers::limits::SNAPSHOT_MANIFEST_MAX;
use coldpost_tiers::segment::{FileState, Lineage, SealedSegment, SegmentReader};
use coldpost_tiers::snapshot::{Loader, Manifest, RangeRef};
use futures::TryStreamExt;
use tokio::runtime::Handle;

use super::copies::{self, Size};
use super::open::{OpenShard, STORE, identity_of};
use crate::apply::Fold;
use crate::error::{Error, Kind, Result};
use crate::ids::{Epoch, Position, ShardNo};
use crate::journal::embedded::{LocalSegment, local_segments};
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

    /// Positions and epochs of the snapshots of a shard, the newest first.
    ///
    /// # Errors
    /// `Unavailable`: it does not answer, or does not hold this store: an empty listing of it says nothing.
    fn list(
        &self,
        shard: ShardNo,
        epoch: Epoch,
        patience: Duration,
    ) -> Result<Vec<(Position, Epoch)>> {
        let list = async {
            if !self.cold.is_claimed(shard, epoch, Caller::Start).await? {
                let text = format!("{} does not hold this store now", self.cold.url());
                return Err(Error::new(Kind::Unavailable, text));
            }
            let mut listed = self.cold.list(&key::snapshots(shard), Caller::Start);
            let mut found = Vec::new();
            while let Some(object) = listed.try_next().await? {
                if let Some(Key::Snapshot {
                    epoch, position, ..
                }) = object.key
                {
                    found.push((position, epoch));
                }
            }
            found.sort_unstable();
            found.reverse();
            Ok(found)
        };
        let silent = |_| {
            let text = format!("{} does not answer", self.cold.url());
            Error::new(Kind::Unavailable, text)
        };
        self.handle
            .block_on(async { tokio::time::timeout(patience, list).await })
            .map_err(silent)?
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

    /// Whether the bucket has the segment with the first entry of a shard.
    fn holds_first(&self, shard: ShardNo) -> Result<bool> {
        self.handle.block_on(async {
            let mut listed = self.cold.list(&key::segments(shard), Caller::Recover);
            while let Some(object) = listed.try_next().await? {
                if matches!(object.key, Some(Key::Segment { first, .. }) if first == Position(1)) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}

/// Puts the newest snapshot that fits in the place of a missing hot tier; nothing where it begins at position 1.
///
/// # Errors
/// `Corrupt`: there is no way to make it. `Unavailable`: the bucket does not answer and not everything is here, or the disk refuses.
pub(super) fn begin(settings: &OpenShard) -> Result<()> {
    remove(settings)?;
    let journal = Journal::look(settings)?;
    let Some(source) = &settings.snapshots else {
        return Ok(());
    };
    // Whether there was a journal, the bucket says when its end is compared.
    if journal.files.is_empty() {
        return Ok(());
    }
    let shard = settings.lineage.shard;
    let away = |e: Error| match journal.is_whole {
        true => {
            tracing::warn!(
                shard = shard.0,
                "the hot tier is made anew from the journal alone: {e}"
            );
            Ok(())
        }
        false => Err(Error::with_source(
            Kind::Unavailable,
            format!(
                "the hot tier of shard {} is missing, and what it is made of is in the object store {}, {} does not answer: {e}",
                shard.0,
                source.urls(),
                source.who()
            ),
            e,
        )),
    };
    let mut tried = Vec::new();
    // With all of the journal here, whatever answers late is not needed.
    let patience = Duration::from_millis(match journal.is_whole {
        true => START_CHECK_MS,
        false => START_NEEDS_MS,
    });
    let listed = match source.list(shard, settings.lineage.epoch, patience) {
        Ok(listed) => listed,
        Err(e) => return away(e),
    };
    for (position, epoch) in listed {
        let key = Key::Snapshot {
            shard,
            epoch,
            position,
        };
        match load(settings, source, &journal, &key, position) {
            Ok(()) => {
                tracing::info!(shard = shard.0, "the hot tier is made anew from {key}");
                return Ok(());
            }
            Err(e) if e.kind() == Kind::Unavailable => return away(e),
            Err(e) => {
                tracing::error!(shard = shard.0, "{key} is passed over: {e}");
                tried.push(e.to_string());
            }
        }
    }
    if journal.begins_at_one() {
        return Ok(());
    }
    match source.holds_first(shard) {
        Ok(true) => Ok(()),
        Ok(false) => Err(nothing(settings, source, &tried)),
        Err(e) => away(e),
    }
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

/// What local disk has of the journal.
struct Journal {
    files: Vec<LocalSegment>,
    /// The last entry that is sealed.
    end: Position,
    /// Every entry from the first on is in one of the files.
    is_whole: bool,
}

impl Journal {
    fn look(settings: &OpenShard) -> Result<Journal> {
        let disk = &*settings.disk;
        let files = local_segments(disk, &settings.dir.join("journal"))?;
        let mut next = Position(1);
        let mut is_whole = !files.is_empty();
        for file in &files {
            is_whole &= file.first == next;
            if file.state == FileState::Open {
                next = file.first;
                continue;
            }
            // One that cannot be read is the journal's own trouble; for us it is not there.
            match SealedSegment::open(disk, &file.path) {
                Ok(sealed) => next = Position(sealed.footer().last.0 + 1),
                Err(_) => is_whole = false,
            }
        }
        Ok(Journal {
            files,
            end: Position(next.0.saturating_sub(1)),
            is_whole,
        })
    }

    fn begins_at_one(&self) -> bool {
        self.files.first().is_some_and(|f| f.first == Position(1))
    }

    /// Whether a manifest shows a moment of this journal, as far as local disk has it.
    fn has(&self, settings: &OpenShard, manifest: &Manifest) -> Result<()> {
        let moment = &manifest.moment;
        let other = |why: String| Err(Error::new(Kind::Conflict, why));
        if moment.lineage.epoch > settings.lineage.epoch {
            return other(format!("it is of epoch {}", moment.lineage.epoch.0));
        }
        if moment.position > self.end {
            return other(format!(
                "it shows entry {}, and the sealed segments end at {}",
                moment.position.0, self.end.0
            ));
        }
        let behind = Position(moment.position.0 + 1);
        if let Some(file) = self.files.iter().find(|f| f.first == behind)
            && let Ok(reader) = SegmentReader::open(&*settings.disk, &file.path)
            && reader.header().chain != moment.chain
        {
            return other("the entry behind it follows another one".to_owned());
        }
        let holds = |f: &&LocalSegment| f.first <= moment.position && f.state == FileState::Sealed;
        if let Some(file) = self.files.iter().rfind(holds)
            && let Ok(sealed) = SealedSegment::open(&*settings.disk, &file.path)
            && sealed.footer().last >= moment.position
        {
            let footer = sealed.footer();
            if (footer.last, footer.chain) != (moment.position, moment.chain)
                || sealed.header().epoch != moment.lineage.epoch
            {
                return other("its entry is another one in the journal".to_owned());
            }
        }
        Ok(())
    }
}

/// Loads one snapshot and puts it in place.
fn load(
    settings: &OpenShard,
    source: &SnapshotSource,
    journal: &Journal,
    key: &Key,
    position: Position,
) -> Result<()> {
    if position > journal.end {
        let text = format!("the sealed segments end at {}", journal.end.0);
        return Err(Error::new(Kind::Conflict, text));
    }
    let manifest = source.manifest(key, settings.lineage)?;
    journal.has(settings, &manifest)?;
    let path = settings.dir.join(NEW);
    let loaded = fill(settings, source, &manifest, &path);
    if loaded.is_err() {
        remove(settings)?;
        return loaded;
    }
    let place = settings.dir.join("hot.redb");
    settings
        .disk
        .rename(&path, &place)
        .and_then(|()| settings.disk.sync_dir(&settings.dir))
        .map_err(|e| failed("rename", &path, e).into())
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
