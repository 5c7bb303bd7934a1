//! Live blobs of packs with much dead space go to new packs, their frames as they are.

use coldpost_tiers::address::{BlobRecord, ObjectId};
use coldpost_tiers::blob::{frames_for, unpack};
use coldpost_tiers::cold::{Caller, Key};
use coldpost_tiers::hot::row::BlobRow;

use super::gather::{self, BlobItem};
use super::step::Run;
use crate::cold;
use crate::error::{Error, Kind, Result};
use crate::limits::RELOCATE_MESSAGES_MAX;
use crate::op::{MovedBlob, Relocate};

impl Run<'_> {
    /// Moves the live blobs of the packs among `objects`, in steps like messages; one that cannot be read stays where it is. Whether it came to
    /// all of them.
    pub(super) fn move_blobs(&mut self, objects: &[ObjectId]) -> Result<bool> {
        let items = gather::blobs(self.shard, objects)?;
        let mut moved = Vec::new();
        for item in &items {
            if self.pace.starves() {
                self.send_blobs(&mut moved)?;
                return Ok(false);
            }
            self.goes_on()?;
            let stored = match self.stored_bytes(item) {
                Ok(stored) => stored,
                Err(e) if self.is_unanswered(&e) => return Err(e),
                Err(e) => {
                    self.left_one(item.row.object);
                    tracing::warn!(
                        shard = self.shard.no.0,
                        "an attachment stays in its pack: {e}"
                    );
                    continue;
                }
            };
            let length = u64::try_from(stored.len()).unwrap_or(u64::MAX);
            if self.step_bytes() > 0 && self.step_bytes() + length > self.step_bytes_max {
                self.send_blobs(&mut moved)?;
            }
            let (at, mut pack) = self.open_pack()?;
            let packed = pack.add_stored(&item.row.record, &stored)?;
            moved.push(MovedBlob {
                blob: item.blob,
                from: (item.row.object, item.row.offset),
                to: (at.object, packed.offset),
            });
            self.put_back((at, pack));
            self.pace.rest(self.handle, self.engine, self.shard, length);
        }
        self.send_blobs(&mut moved)?;
        Ok(true)
    }

    /// Sends what was written, and ties blobs to it.
    fn send_blobs(&mut self, moved: &mut Vec<MovedBlob>) -> Result<()> {
        self.write_out()?;
        for chunk in std::mem::take(moved).chunks(RELOCATE_MESSAGES_MAX) {
            self.append(Relocate {
                moved_blobs: chunk.to_vec(),
                ..Relocate::default()
            })?;
        }
        self.name_whole()
    }

    /// The frames of a blob as they are stored, compared with its content.
    fn stored_bytes(&self, item: &BlobItem) -> Result<Vec<u8>> {
        let BlobRow {
            object,
            offset,
            record,
            ..
        } = &item.row;
        let key = Key::of(self.shard.no, object);
        let name = key.to_string();
        let length = item.row.stored_bytes();
        let local = self.engine.inner.local.sealed_path(self.shard.no, object);
        let local = local.and_then(|path| {
            let file = self.shard.disk.open(&path).ok()?;
            let mut bytes = vec![0; usize::try_from(length).ok()?];
            file.read_at(*offset, &mut bytes).ok()?;
            is_whole(&bytes, record, &name, *offset)
                .ok()
                .map(|()| bytes)
        });
        if let Some(bytes) = local {
            return Ok(bytes);
        }
        cold::right(&self.engine.inner.cold, |store| {
            let got = store.get_range(&key, *offset..*offset + length, Caller::Compact);
            let bytes = self.handle.block_on(got)?;
            is_whole(&bytes, record, &name, *offset)?;
            Ok(bytes.to_vec())
        })
    }
}

/// Whether the frames are those of the blob: all of it is unpacked and compared.
fn is_whole(stored: &[u8], record: &BlobRecord, name: &str, offset: u64) -> Result<()> {
    let all = frames_for(record, 0..record.raw)?;
    let raw = unpack(record, &all, stored, 0..record.raw)?;
    match *blake3::hash(&raw).as_bytes() == record.content {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Corrupt,
            format!("{name}: a blob from byte {offset} on is not what was stored"),
        )),
    }
}
