//! Ships sealed segments and blobs to the bucket, one after the other in each shard: blobs before the segment that names them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coldpost_tiers::address::{BlobId, ObjectId};
use coldpost_tiers::blob::blob_path;
use coldpost_tiers::cold::Caller;
use coldpost_tiers::cold::upload::{TakenBack, Upload, UploadEvent, Uploader};
use coldpost_tiers::hot::row::{BlobRow, ObjectState, Row};
use coldpost_tiers::hot::{TableName, key};
use coldpost_tiers::segment::{FileState, SealedSegment};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use self::queue::{Item, Queue};
use super::{Notice, Progress, Wait, tick};
use crate::blocking;
use crate::cold;
use crate::error::{Error, Kind, Result};
use crate::ids::{Position, ShardNo};
use crate::journal::embedded::local_segments;
use crate::local::shard_dir;
use crate::objects::object_row;
use crate::op::{Op, Stored};
use crate::open::Engine;

/// One upload, and how often it is tried before others have their turn.
#[derive(Clone, Copy)]
struct Work<'a> {
    shard: ShardNo,
    item: &'a Item,
    attempts: u32,
    begun: Instant,
}

pub(super) async fn run(
    engine: Engine,
    progress: Arc<Progress>,
    mut queue: mpsc::UnboundedReceiver<Notice>,
) {
    let (events, mut done) = mpsc::unbounded_channel();
    let uploader = Uploader::start(engine.inner.cold.clone(), events);
    while !progress.confirmed.load(Ordering::Acquire) {
        tokio::time::sleep(tick()).await;
    }
    let mut left = Queue::of(engine.inner.shards.iter().map(|shard| shard.no));
    loop {
        left.aside.retain(|_, until| *until > Instant::now());
        list(&engine, &progress, &mut left).await;
        progress
            .waiting_uploads
            .store(left.len(), Ordering::Relaxed);
        if let Some((shard, item)) = left.next() {
            let work = Work {
                shard,
                item: &item,
                attempts: left.attempts(shard, item.object),
                begun: Instant::now(),
            };
            let told = || {
                let heard = u64::try_from(queue.len()).unwrap_or(u64::MAX);
                let waiting = left.len().saturating_add(heard);
                progress.waiting_uploads.store(waiting, Ordering::Relaxed);
            };
            let shipped = send(&engine, (&progress, &told), &uploader, &mut done, work).await;
            settle(&engine, &progress, &mut left, work, shipped);
            while let Ok(notice) = queue.try_recv() {
                hear(&engine, &mut left, notice);
            }
        } else {
            match timeout_at(left.look_again(), queue.recv()).await {
                Ok(Some(notice)) => hear(&engine, &mut left, notice),
                Ok(None) => return,
                Err(_) => left.end_earliest(),
            }
        }
    }
}

/// Looks what was there before, in each shard where nobody has yet.
async fn list(engine: &Engine, progress: &Progress, left: &mut Queue) {
    for shard in left.unlisted.clone() {
        if left.aside.contains_key(&(shard, None)) {
            continue;
        }
        let of = engine.clone();
        let listing = move || unshipped(&of, shard);
        match blocking::run("listing what was not shipped", listing).await {
            Ok(items) => {
                left.add(shard, items);
                left.unlisted.remove(&shard);
                progress.tell(Wait::UploadsOf(shard), &Ok(()));
            }
            Err(e) => {
                let text = format!("what was not uploaded before cannot be listed: {e}");
                if progress.waits_for(Wait::UploadsOf(shard), text.clone()) {
                    tracing::warn!(shard = shard.0, "{text}");
                }
                left.let_others_go(shard, Duration::ZERO);
            }
        }
    }
}

/// Uploads one, if that is not done: a notice may come late.
async fn send(
    engine: &Engine,
    progress: (&Progress, &(dyn Fn() + Sync)),
    uploader: &Uploader,
    done: &mut mpsc::UnboundedReceiver<UploadEvent>,
    work: Work<'_>,
) -> Result<()> {
    let Work { shard, item, .. } = work;
    if is_needless(engine, shard, item)? {
        return Ok(());
    }
    match measure(engine, shard, item).await {
        Ok(measured) => ship(engine, progress, uploader, done, (work, measured)).await,
        // It may have gone while it was read.
        Err(_) if is_needless(engine, shard, item)? => Ok(()),
        Err(e) => Err(e),
    }
}

/// Whether the journal says that it is in the store, or it is a blob that was deleted, file and row.
fn is_needless(engine: &Engine, shard: ShardNo, item: &Item) -> Result<bool> {
    let state = engine.shard(shard)?.hot.read()?;
    Ok(match object_row(&state, item.object)? {
        Some(row) => row.state != ObjectState::Local,
        None => !item.is_segment && !item.path.exists(),
    })
}

/// What follows from how an upload ended.
fn settle(
    engine: &Engine,
    progress: &Progress,
    left: &mut Queue,
    work: Work<'_>,
    shipped: Result<()>,
) {
    let Work { shard, item, .. } = work;
    let path = item.path.display();
    let waits = match &shipped {
        Err(e) if e.kind() == Kind::Unavailable => Some(wait_for(engine, shard)),
        _ => None,
    };
    // Whatever else it was, it was no trouble of the store or of the whole shard.
    for other in [Wait::Upload, Wait::UploadsOf(shard)] {
        if waits != Some(other) {
            progress.tell(other, &Ok(()));
        }
    }
    match (shipped, waits) {
        (Ok(()), _) => {
            progress.kept_back().remove(&(shard, item.object));
            left.forget(shard, item);
        }
        (Err(e), Some(waits)) => {
            if progress.waits_for(waits, e.to_string()) {
                tracing::warn!("{path} is uploaded later: {e}");
            }
            if is_down(engine, shard) {
                left.set_aside(shard, None);
            } else if waits == Wait::Upload {
                left.let_others_go(shard, Duration::ZERO);
            } else {
                left.let_others_go(shard, work.begun.elapsed());
            }
        }
        (Err(e), None) if e.kind() == Kind::Limit => {
            let text = format!("{path} is uploaded later, others before it: {e}");
            progress.keep_back(shard, item.object, text);
            left.set_aside_for_longer(shard, item.object);
        }
        (Err(e), None) if e.kind() == Kind::Corrupt && item.is_segment => {
            progress.keep_back(shard, item.object, format!("{path} is not uploaded: {e}"));
            left.forget(shard, item);
        }
        // A damaged blob stops its shard: no segment goes before the blobs that it names.
        (Err(e), None) => {
            let text = format!("uploads of shard {} stopped: {e}", shard.0);
            tracing::error!("{text}");
            let stopped = progress.stopped.lock();
            stopped
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push((Some(shard), text));
            left.waiting.remove(&shard);
        }
    }
}

/// Whom an upload waits for that could not be tried: the store, or what this shard alone needs of it.
fn wait_for(engine: &Engine, shard: ShardNo) -> Wait {
    if is_down(engine, shard) || engine.inner.cold.away().is_empty() {
        Wait::UploadsOf(shard)
    } else {
        Wait::Upload
    }
}

fn is_down(engine: &Engine, shard: ShardNo) -> bool {
    let shard = engine.shard(shard);
    shard.is_ok_and(|shard| shard.down().is_some())
}

fn hear(engine: &Engine, left: &mut Queue, notice: Notice) {
    match notice {
        Notice::Sealed { shard, path } => {
            left.add(shard, segment_item(&path).into_iter().collect())
        }
        Notice::Blobs { shard, blobs } => {
            let dir = shard_dir(engine.data(), shard).join("blobs");
            let item = |blob| Item {
                is_segment: false,
                object: ObjectId::blob(blob),
                path: blob_path(&dir, blob),
            };
            left.add(shard, blobs.into_iter().map(item).collect());
        }
        _ => {}
    }
}

fn segment_item(path: &Path) -> Option<Item> {
    let name = path.file_name()?.to_str()?;
    let (epoch, first, _) = coldpost_tiers::segment::parse_file_name(name)?;
    Some(Item {
        is_segment: true,
        object: ObjectId::segment(epoch, first),
        path: path.to_owned(),
    })
}

/// What local disk has and the journal does not call stored.
fn unshipped(engine: &Engine, shard: ShardNo) -> Result<Vec<Item>> {
    let state = engine.shard(shard)?.hot.read()?;
    let dir = shard_dir(engine.data(), shard);
    let stored = |object: &ObjectId| -> Result<bool> {
        let row = object_row(&state, *object)?;
        Ok(row.is_some_and(|row| row.state != ObjectState::Local))
    };
    let mut items = Vec::new();
    state.walk(TableName::Blobs, &[], &[], |_, value| {
        let row = BlobRow::decode("blobs", value)?;
        let path = blob_path(&dir.join("blobs"), row.record.blob);
        if path.exists() {
            items.push(Item {
                is_segment: false,
                object: row.object,
                path,
            });
        }
        Ok(true)
    })?;
    for file in local_segments(&*engine.disk(), &dir.join("journal"))? {
        if file.state == FileState::Sealed {
            items.push(Item {
                is_segment: true,
                object: ObjectId::segment(file.epoch, file.first),
                path: file.path,
            });
        }
    }
    let mut wanted = Vec::new();
    for item in items {
        if !stored(&item.object)? {
            wanted.push(item);
        }
    }
    Ok(wanted)
}

/// Uploads one object, however long the store is away, and tells the journal.
///
/// # Errors
/// `Limit`: the store answers, and does not take this one.
async fn ship(
    engine: &Engine,
    (progress, told): (&Progress, &(dyn Fn() + Sync)),
    uploader: &Uploader,
    done: &mut mpsc::UnboundedReceiver<UploadEvent>,
    (work, (digest, size, last)): (Work<'_>, Measured),
) -> Result<()> {
    let Work { shard, item, .. } = work;
    let of = engine.shard(shard)?;
    cold::holds(&engine.inner.cold, &of, Caller::Upload).await?;
    let upload = Upload {
        shard,
        epoch: of.epoch,
        object: item.object,
        path: item.path.clone(),
        digest,
        size,
    };
    uploader.push(upload)?;
    let event = ended((progress, told), uploader, done, work).await?;
    match event {
        Some(UploadEvent::Stored(_)) => {}
        Some(UploadEvent::Fenced { epoch, .. }) => {
            let text = format!("a writer in epoch {} has taken the store over", epoch.0);
            engine.shard(shard)?.set_down(text.clone());
            return Err(Error::new(Kind::Conflict, text));
        }
        Some(UploadEvent::Failed { error, .. }) => {
            if *error.kind() == coldpost_tiers::Kind::Conflict {
                engine.shard(shard)?.set_down(format!(
                    "another object has the name of ours in the bucket: {error}"
                ));
            }
            return Err(error.into());
        }
        None => return Err(Error::new(Kind::Closed, "the uploader ended")),
    }
    let stored = Stored {
        object: item.object,
        bytes: size,
        digest,
        last,
        key_id: 0,
    };
    loop {
        match engine
            .shard(shard)?
            .change(Op::Stored(stored.clone()))
            .await
        {
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == Kind::Unavailable && engine.shard(shard)?.down().is_none() => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(e) => return Err(e),
        }
    }
}

/// How an upload ended; `None`: the uploader did.
///
/// # Errors
/// `Limit`: as [`ship`]. `Unavailable`: nobody answers, others may have their turn.
async fn ended(
    (progress, told): (&Progress, &(dyn Fn() + Sync)),
    uploader: &Uploader,
    done: &mut mpsc::UnboundedReceiver<UploadEvent>,
    work: Work<'_>,
) -> Result<Option<UploadEvent>> {
    loop {
        if let Ok(event) = timeout(tick() * 10, done.recv()).await {
            return Ok(event);
        }
        // It tries again by itself, and says so in the log.
        told();
        if let Some(why) = uploader.trouble() {
            progress.waits_for(Wait::Upload, why);
        }
        let taken = uploader.take_back(work.shard, work.item.object, work.attempts);
        if let Some(TakenBack { is_its_own, why }) = taken {
            let kind = if is_its_own {
                Kind::Limit
            } else {
                Kind::Unavailable
            };
            return Err(Error::new(kind, why));
        }
    }
}

/// Digest, bytes and last position of a file.
type Measured = ([u8; 32], u64, Position);

/// Measures a file after comparing it with what was written: a copy in the bucket must not be of damage.
///
/// # Errors
/// `Corrupt`: it is not what was written any more. `Limit`: it cannot be read now, which keeps no other from its upload.
async fn measure(engine: &Engine, shard: ShardNo, item: &Item) -> Result<Measured> {
    let (disk, path, is_segment) = (engine.disk(), item.path.clone(), item.is_segment);
    let row = engine
        .shard(shard)?
        .hot
        .read()?
        .get(TableName::Blobs, &key::blob(BlobId(item.object.id)))?;
    let read = move || -> Result<Measured> {
        if is_segment {
            let sealed = SealedSegment::open(&*disk, &path)?;
            if let Some(damage) = sealed.verify()?.damage.into_iter().next() {
                return Err(damage.into_error(&path.display().to_string()).into());
            }
            return Ok((sealed.digest()?, sealed.length(), sealed.footer().last));
        }
        let failed = |e| {
            Error::with_source(
                Kind::Unavailable,
                format!("cannot read {}", path.display()),
                e,
            )
        };
        let mut hasher = blake3::Hasher::new();
        let mut file = std::fs::File::open(&path).map_err(failed)?;
        let size = std::io::copy(&mut file, &mut hasher).map_err(failed)?;
        let digest = *hasher.finalize().as_bytes();
        if let Some(row) = row
            && BlobRow::decode("blobs", &row)?.record.object_digest != digest
        {
            let text = "it is not what was written any more (its digest differs)";
            return Err(Error::new(Kind::Corrupt, text));
        }
        Ok((digest, size, Position(0)))
    };
    match blocking::run("digesting a file", read).await {
        Err(e) if e.kind() == Kind::Unavailable => Err(Error::new(Kind::Limit, e.to_string())),
        measured => measured,
    }
}

mod queue;
#[cfg(test)]
mod tests;
