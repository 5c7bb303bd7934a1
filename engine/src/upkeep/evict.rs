//! Evicts local files of objects that the journal calls stored, beyond `[hot] local_bodies`; lets the disk cache go where it must; and at the
//! start, blobs that no entry names.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use coldpost_tiers::address::{BlobId, ObjectId, ObjectKind};
use coldpost_tiers::cache::local::{LocalFile, evict};
use coldpost_tiers::hot::row::ObjectState;
use coldpost_tiers::hot::{TableName, key};
use coldpost_tiers::segment::FileState;
use tokio::sync::mpsc;

use super::{Notice, Progress, tick};
use crate::blocking;
use crate::error::Result;
use crate::ids::ShardNo;
use crate::journal::embedded::local_segments;
use crate::local::{ObjectPaths, shard_dir};
use crate::metrics;
use crate::objects::object_row;
use crate::open::Engine;

pub(super) async fn run(
    engine: Engine,
    progress: Arc<Progress>,
    mut queue: mpsc::UnboundedReceiver<Notice>,
) {
    loop {
        let (of, told) = (engine.clone(), Arc::clone(&progress));
        // It asks the disk about every file, and removes large ones.
        let tidying = move || {
            if let Err(e) = tidy(&of, &told) {
                tracing::warn!("local files are looked at later: {e}");
            }
            if let Err(e) = crate::cache::tidy(&of) {
                tracing::warn!("the disk cache is looked at later: {e}");
            }
            Ok(())
        };
        if let Err(e) = blocking::run("looking at local files", tidying).await {
            tracing::error!("{e}");
        }
        undo_left_groups(&engine).await;
        match tokio::time::timeout(tick() * 10, queue.recv()).await {
            Ok(None) => return,
            Ok(Some(_)) => while queue.try_recv().is_ok() {},
            Err(_) => {}
        }
    }
}

/// COPYs and the like that ended without undoing what they had done: as a start would do it.
async fn undo_left_groups(engine: &Engine) {
    for shard in &engine.inner.shards {
        let groups = std::mem::take(
            &mut *shard
                .left_groups
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        for (account, group) in groups {
            if let Err(e) = engine.undo_group(shard.no, account, group).await {
                tracing::warn!(shard = shard.no.0, "half a copy stays a while: {e}");
                shard
                    .left_groups
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .push((account, group));
            }
        }
    }
}

fn tidy(engine: &Engine, progress: &Progress) -> Result<()> {
    let mut files = Vec::new();
    for shard in &engine.inner.shards {
        files.extend(local_files(engine, shard.no)?);
    }
    let bytes = |is_sent: bool| {
        let of = files.iter().filter(|f| f.is_sent == is_sent);
        of.map(|f| f.file.bytes).sum::<u64>()
    };
    let (stored, unconfirmed) = (bytes(true), bytes(false));
    progress
        .local_bytes
        .store(stored + unconfirmed, Ordering::Relaxed);
    progress
        .unconfirmed_bytes
        .store(unconfirmed, Ordering::Relaxed);
    metrics::local_bytes(stored, unconfirmed);
    if !progress.confirmed.load(Ordering::Acquire) {
        return Ok(());
    }
    let (needless, files): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|f| f.is_needless && f.file.confirmed);
    let files: Vec<LocalFile> = files.into_iter().map(|f| f.file).collect();
    let needless = needless.into_iter().map(|f| (f.file.shard, f.file.object));
    let goes = needless.chain(evict(&files, engine.settings().local_bodies));
    goes.for_each(|(shard, object)| let_go(engine, shard, &object));
    Ok(())
}

/// Removes a file, unless compaction came to read it since it was found: whoever pins it while it goes waits, and then sees that it went.
fn let_go(engine: &Engine, shard: ShardNo, object: &ObjectId) {
    let Some(path) = engine.inner.local.sealed_path(shard, object) else {
        return;
    };
    let sources = engine.inner.turns.sources();
    if sources.contains(&(shard, *object)) {
        return;
    }
    match engine.disk().remove(&path) {
        Ok(()) => engine.inner.local.forget(shard, object),
        Err(e) => tracing::warn!("{} is not evicted: {e}", path.display()),
    }
}

/// What is known of a file.
struct Found {
    file: LocalFile,
    /// The bucket has it, or had it: no mail waits for its upload.
    is_sent: bool,
    /// Its object was condemned: nothing in it is anybody's any more.
    is_needless: bool,
}

fn local_files(engine: &Engine, shard: ShardNo) -> Result<Vec<Found>> {
    let state = engine.shard(shard)?.hot.read()?;
    let dir = shard_dir(engine.data(), shard);
    let durable_hot = engine.shard(shard)?.hot_durable();
    let mut objects: Vec<(ObjectId, std::path::PathBuf)> = Vec::new();
    for file in local_segments(&*engine.disk(), &dir.join("journal"))? {
        if file.state == FileState::Sealed {
            objects.push((ObjectId::segment(file.epoch, file.first), file.path));
        }
    }
    objects.extend(ObjectPaths::of(&dir).here());
    let mut files = Vec::new();
    for (object, path) in objects {
        let Ok(meta) = std::fs::metadata(&path) else {
            continue;
        };
        let row = object_row(&state, object)?;
        let state_is = |state| row.as_ref().is_some_and(|row| row.state == state);
        let is_needless = state_is(ObjectState::Condemned);
        let is_sent = is_needless || state_is(ObjectState::Stored);
        // A segment that the hot tier may have to replay stays: its last entry must be in a durable commit. So does what compaction reads.
        let is_replayed = row.as_ref().is_none_or(|row| row.last > durable_hot);
        let is_read = engine.inner.turns.sources().contains(&(shard, object));
        let confirmed = is_sent && !is_replayed && !is_read;
        let made = meta
            .modified()
            .ok()
            .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        let made = made.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(0));
        let last_used = engine.inner.local.last_used(shard, &object).max(made);
        let file = LocalFile {
            shard,
            object,
            bytes: meta.len(),
            last_used,
            confirmed,
        };
        files.push(Found {
            file,
            is_sent,
            is_needless,
        });
    }
    Ok(files)
}

/// Deletes blobs that no entry names: what a crash left of deliveries that were never acknowledged. Only when the journal was applied
/// to its end, before anything new is taken.
///
/// # Errors
/// `Unavailable` after an I/O error.
pub(crate) fn sweep_blobs(engine: &Engine) -> Result<()> {
    for shard in &engine.inner.shards {
        let state = shard.hot.read()?;
        for (object, path) in ObjectPaths::of(&shard.dir).here() {
            let named = key::blob(BlobId(object.id));
            if object.kind == ObjectKind::Blob
                && state.look(TableName::Blobs, &named, |_| ())?.is_none()
            {
                tracing::info!(
                    "{} belongs to a delivery that was never acknowledged; it is deleted",
                    path.display()
                );
                if let Err(e) = engine.disk().remove(&path) {
                    tracing::warn!("{} stays: {e}", path.display());
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
