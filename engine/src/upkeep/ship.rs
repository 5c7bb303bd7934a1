//! Ships sealed segments and blobs to the bucket, one after the other in each shard: blobs before the segment that names them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coldpost_tiers::address::{BlobId, ObjectId};
use coldpost_tiers::blob::blob_path;
use coldpost_tiers::cold::Caller;
use coldpost_tiers::cold::upload::{Upload, UploadEvent, Uploader};
use coldpost_tiers::hot::row::{BlobRow, ObjectState, Row};
use coldpost_tiers::hot::{TableName, key};
use coldpost_tiers::segment::{FileState, SealedSegment};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Notice, Progress, Wait, tick};
use crate::blocking;
use crate::cold;
use crate::error::{Error, Kind, Result};
use crate::ids::{Position, ShardNo};
use crate::journal::embedded::local_segments;
use crate::limits::UPLOAD_ASIDE_SECONDS;
use crate::local::shard_dir;
use crate::objects::object_row;
use crate::op::{Op, Stored};
use crate::open::Engine;

/// Attempts after which an upload that fails, while the store answers others, is one object's own trouble.
const OWN_TROUBLE: u32 = 4;
/// How often the time for which it is left alone doubles: up to a quarter of an hour.
const ASIDE_DOUBLED_MAX: u32 = 4;

/// In which order: blobs that a segment may name go before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    /// Blobs wait for nobody (false sorts first).
    is_segment: bool,
    object: ObjectId,
    path: PathBuf,
}

/// What waits for its upload.
#[derive(Default)]
struct Queue {
    waiting: BTreeMap<ShardNo, Vec<Item>>,
    /// What had trouble of its own, and until when it is left alone: objects, or all of a shard.
    aside: BTreeMap<(ShardNo, Option<ObjectId>), Instant>,
    /// How often an object was put aside.
    often: BTreeMap<(ShardNo, ObjectId), u32>,
}

impl Queue {
    fn len(&self) -> u64 {
        let count: usize = self.waiting.values().map(Vec::len).sum();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// What goes next: no segment of a shard before a blob of it.
    fn next(&self) -> Option<(ShardNo, Item)> {
        let is_aside = |shard, object| self.aside.contains_key(&(shard, object));
        self.waiting.iter().find_map(|(shard, items)| {
            if is_aside(*shard, None) {
                return None;
            }
            let is_left = |item: &&Item| !is_aside(*shard, Some(item.object));
            let a_blob_is_left_out = items.iter().any(|i| !i.is_segment && !is_left(&i));
            let may_go = |item: &&Item| is_left(item) && !(item.is_segment && a_blob_is_left_out);
            items
                .iter()
                .filter(may_go)
                .min()
                .map(|item| (*shard, item.clone()))
        })
    }

    fn set_aside(&mut self, shard: ShardNo, object: Option<ObjectId>) {
        self.set_aside_for(shard, object, 1);
    }

    /// For twice as long each time: one that the store lets hang costs the others the time until that is seen.
    fn set_aside_for_longer(&mut self, shard: ShardNo, object: ObjectId) {
        let often = self.often.entry((shard, object)).or_default();
        let times = 1 << (*often).min(ASIDE_DOUBLED_MAX);
        *often += 1;
        self.set_aside_for(shard, Some(object), times);
    }

    fn set_aside_for(&mut self, shard: ShardNo, object: Option<ObjectId>, times: u64) {
        let until = Instant::now() + Duration::from_secs(times * UPLOAD_ASIDE_SECONDS);
        self.aside.insert((shard, object), until);
    }

    /// When to look again at the latest: what is left alone for long has a turn when nothing else waits.
    fn look_again(&self) -> Instant {
        let soon = Instant::now() + Duration::from_secs(UPLOAD_ASIDE_SECONDS);
        let earliest = self.aside.values().min().copied();
        earliest.map_or(soon, |until| until.min(soon))
    }

    fn end_earliest(&mut self) {
        let earliest = self.aside.iter().min_by_key(|(_, until)| **until);
        if let Some(key) = earliest.map(|(key, _)| *key) {
            self.aside.remove(&key);
        }
    }

    /// It was uploaded, or never will be.
    fn forget(&mut self, shard: ShardNo, item: &Item) {
        if self.often.remove(&(shard, item.object)).is_some() {
            // What kept this one may have kept the others.
            self.aside.retain(|(_, object), _| object.is_none());
        }
        if let Some(items) = self.waiting.get_mut(&shard) {
            items.retain(|i| i.object != item.object);
        }
    }
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
    let mut left = Queue::default();
    for shard in &engine.inner.shards {
        let (of, no) = (engine.clone(), shard.no);
        let listing = move || unshipped(&of, no);
        match blocking::run("listing what was not shipped", listing).await {
            Ok(items) => drop(left.waiting.insert(no, items)),
            Err(e) => tracing::error!(
                shard = no.0,
                "what was not shipped before cannot be listed: {e}"
            ),
        }
    }
    loop {
        progress
            .waiting_uploads
            .store(left.len(), Ordering::Relaxed);
        left.aside.retain(|_, until| *until > Instant::now());
        if let Some((shard, item)) = left.next() {
            let shipped = match measure(&engine, shard, &item).await {
                Ok(measured) => {
                    let work = (shard, &item, measured);
                    let told = || {
                        let heard = u64::try_from(queue.len()).unwrap_or(u64::MAX);
                        let waiting = left.len().saturating_add(heard);
                        progress.waiting_uploads.store(waiting, Ordering::Relaxed);
                    };
                    ship(&engine, (&progress, &told), &uploader, &mut done, work).await
                }
                // A file that cannot be read keeps no other from its upload.
                Err(e) if e.kind() == Kind::Unavailable => {
                    progress.keep_back(
                        shard,
                        item.object,
                        format!("{} is uploaded later: {e}", item.path.display()),
                    );
                    left.set_aside(shard, Some(item.object));
                    continue;
                }
                Err(e) => Err(e),
            };
            settle(&engine, &progress, &mut left, (shard, &item), shipped).await;
            while let Ok(notice) = queue.try_recv() {
                hear(&engine, &mut left.waiting, notice);
            }
        } else {
            progress.tell(Wait::Upload, &Ok(()));
            match timeout_at(left.look_again(), queue.recv()).await {
                Ok(Some(notice)) => hear(&engine, &mut left.waiting, notice),
                Ok(None) => return,
                Err(_) => left.end_earliest(),
            }
        }
    }
}

/// What follows from how an upload ended.
async fn settle(
    engine: &Engine,
    progress: &Progress,
    left: &mut Queue,
    (shard, item): (ShardNo, &Item),
    shipped: Result<()>,
) {
    let path = item.path.display();
    match shipped {
        Ok(()) => {
            progress.tell(Wait::Upload, &shipped);
            progress.kept_back().remove(&(shard, item.object));
            left.forget(shard, item);
        }
        Err(e) if e.kind() == Kind::Unavailable => {
            tracing::warn!("{path} is uploaded later: {e}");
            progress.waits_for(Wait::Upload, e.to_string());
            if engine
                .shard(shard)
                .is_ok_and(|shard| shard.down().is_some())
            {
                left.set_aside(shard, None);
            } else {
                tokio::time::sleep(tick() * 10).await;
            }
        }
        Err(e) if e.kind() == Kind::Limit => {
            let text = format!("{path} is uploaded later, others before it: {e}");
            progress.keep_back(shard, item.object, text);
            left.set_aside_for_longer(shard, item.object);
        }
        Err(e) if e.kind() == Kind::Corrupt && item.is_segment => {
            progress.keep_back(shard, item.object, format!("{path} is not uploaded: {e}"));
            left.forget(shard, item);
        }
        // A damaged blob stops its shard: no segment goes before the blobs that it names.
        Err(e) => {
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

fn hear(engine: &Engine, waiting: &mut BTreeMap<ShardNo, Vec<Item>>, notice: Notice) {
    let (shard, items) = match notice {
        Notice::Sealed { shard, path } => (shard, segment_item(&path).into_iter().collect()),
        Notice::Blobs { shard, blobs } => {
            let dir = shard_dir(engine.data(), shard).join("blobs");
            let item = |blob| Item {
                is_segment: false,
                object: ObjectId::blob(blob),
                path: blob_path(&dir, blob),
            };
            (shard, blobs.into_iter().map(item).collect::<Vec<_>>())
        }
        _ => return,
    };
    // A shard whose uploads stopped takes no more.
    if let Some(known) = waiting.get_mut(&shard) {
        known.extend(
            items
                .into_iter()
                .filter(|i| !known.contains(i))
                .collect::<Vec<_>>(),
        );
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
    (shard, item, (digest, size, last)): (ShardNo, &Item, Measured),
) -> Result<()> {
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
    let event = ended(
        engine,
        (progress, told),
        uploader,
        done,
        (shard, item.object),
    )
    .await?;
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
/// `Limit`: as [`ship`].
async fn ended(
    engine: &Engine,
    (progress, told): (&Progress, &(dyn Fn() + Sync)),
    uploader: &Uploader,
    done: &mut mpsc::UnboundedReceiver<UploadEvent>,
    (shard, object): (ShardNo, ObjectId),
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
        if engine.inner.cold.away().is_empty()
            && let Some(why) = uploader.take_back(shard, object, OWN_TROUBLE)
        {
            return Err(Error::new(Kind::Limit, why));
        }
    }
}

/// Digest, bytes and last position of a file.
type Measured = ([u8; 32], u64, Position);

/// Measures a file after comparing it with what was written: a copy in the bucket must not be of damage.
///
/// # Errors
/// `Corrupt`: it is not what was written any more.
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
    blocking::run("digesting a file", read).await
}

#[cfg(test)]
mod tests;
