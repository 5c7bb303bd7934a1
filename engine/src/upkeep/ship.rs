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
use tokio::time::timeout;

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

/// In which order: blobs that a segment may name go before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    /// Blobs wait for nobody (false sorts first).
    is_segment: bool,
    object: ObjectId,
    path: PathBuf,
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
    let mut waiting: BTreeMap<ShardNo, Vec<Item>> = BTreeMap::new();
    for shard in &engine.inner.shards {
        match unshipped(&engine, shard.no) {
            Ok(items) => {
                waiting.insert(shard.no, items);
            }
            Err(e) => tracing::error!(
                shard = shard.no.0,
                "what was not shipped before cannot be listed: {e}"
            ),
        }
    }
    loop {
        let count: usize = waiting.values().map(Vec::len).sum();
        progress
            .waiting_uploads
            .store(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        if let Some((shard, item)) = next(&waiting) {
            let shipped = ship(&engine, &progress, &uploader, &mut done, shard, &item).await;
            match shipped {
                Ok(()) => {
                    progress.tell(Wait::Upload, &shipped);
                    forget(&mut waiting, shard, &item);
                }
                Err(e) if e.kind() == Kind::Unavailable => {
                    tracing::warn!("{} is uploaded later: {e}", item.path.display());
                    progress.waits_for(Wait::Upload, e.to_string());
                    tokio::time::sleep(tick() * 10).await;
                }
                // A damaged blob stops its shard: no segment goes before the blobs that it names.
                Err(e) if e.kind() == Kind::Corrupt && item.is_segment => {
                    let path = item.path.display();
                    tell(&progress, format!("{path} is not uploaded: {e}"));
                    forget(&mut waiting, shard, &item);
                }
                Err(e) => {
                    tell(
                        &progress,
                        format!("uploads of shard {} stopped: {e}", shard.0),
                    );
                    waiting.remove(&shard);
                }
            }
            while let Ok(notice) = queue.try_recv() {
                hear(&engine, &mut waiting, notice);
            }
        } else {
            progress.tell(Wait::Upload, &Ok(()));
            match queue.recv().await {
                Some(notice) => hear(&engine, &mut waiting, notice),
                None => return,
            }
        }
    }
}

fn tell(progress: &Progress, text: String) {
    tracing::error!("{text}");
    progress
        .stopped
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .push(text);
}

fn forget(waiting: &mut BTreeMap<ShardNo, Vec<Item>>, shard: ShardNo, item: &Item) {
    if let Some(items) = waiting.get_mut(&shard) {
        items.retain(|i| i.object != item.object);
    }
}

fn next(waiting: &BTreeMap<ShardNo, Vec<Item>>) -> Option<(ShardNo, Item)> {
    waiting
        .iter()
        .find_map(|(shard, items)| items.iter().min().map(|item| (*shard, item.clone())))
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

/// Uploads one object, however long it takes, and tells the journal.
async fn ship(
    engine: &Engine,
    progress: &Progress,
    uploader: &Uploader,
    done: &mut mpsc::UnboundedReceiver<UploadEvent>,
    shard: ShardNo,
    item: &Item,
) -> Result<()> {
    let (digest, size, last) = measure(engine, shard, item).await?;
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
    let event = loop {
        match timeout(tick() * 10, done.recv()).await {
            Ok(event) => break event,
            // It tries again by itself, and says so in the log.
            Err(_) => uploader
                .trouble()
                .into_iter()
                .for_each(|why| progress.waits_for(Wait::Upload, why)),
        }
    };
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

/// Digest, bytes and last position of a file, after comparing it with what was written: a copy in the bucket must not be of damage.
///
/// # Errors
/// `Corrupt`: it is not what was written any more.
async fn measure(
    engine: &Engine,
    shard: ShardNo,
    item: &Item,
) -> Result<([u8; 32], u64, Position)> {
    let (disk, path, is_segment) = (engine.disk(), item.path.clone(), item.is_segment);
    let row = engine
        .shard(shard)?
        .hot
        .read()?
        .get(TableName::Blobs, &key::blob(BlobId(item.object.id)))?;
    let read = move || -> Result<([u8; 32], u64, Position)> {
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
