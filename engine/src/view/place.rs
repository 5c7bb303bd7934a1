//! Where the bytes of a message are, as the hot tier says at one moment: compaction may move them in the next one.

use coldpost_tiers::address::{Address, BlobId, Extent, FrameRef, ObjectId};
use coldpost_tiers::hot::row::{self, BlobRow, Row};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::error::{Error, Kind, Result};
use crate::ids::{AccountRef, MessageId};
use crate::shard::Shard;
use crate::view::Message;
use crate::view::frames::OwnFrames;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) address: Address,
    pub(super) own: OwnFrames,
    blobs: Vec<BlobPlace>,
}

/// A blob that the message names.
#[derive(Clone, Debug)]
pub(super) struct BlobPlace {
    blob: BlobId,
    pub(super) object: ObjectId,
    /// Offset of its first frame in the object.
    pub(super) offset: u64,
    pub(super) frames: Vec<FrameRef>,
}

impl Place {
    /// Of a message whose row was read a while ago.
    ///
    /// # Errors
    /// `Corrupt`: it names a frame or a blob that is not known. `Unavailable` after an I/O error.
    pub(super) fn of(shard: &Shard, message: &Message) -> Result<Place> {
        let address = &message.address;
        let own = OwnFrames::in_segment(address);
        // What lies in a segment is read without a look at the hot tier.
        if own.frames.len() == address.extents.len() {
            return Ok(Place {
                address: address.clone(),
                own,
                blobs: Vec::new(),
            });
        }
        let state = shard.hot.read()?;
        match Place::at(&state, address.clone()) {
            // The block that it stood in may be gone by now.
            Err(error) => match current(&state, (message.account, message.id))? {
                Some(moved) if moved != *address => Place::at(&state, moved),
                _ => Err(error),
            },
            found => found,
        }
    }

    /// Where it is now, when that is elsewhere.
    ///
    /// # Errors
    /// As [`Place::of`].
    pub(super) fn moved(
        &self,
        shard: &Shard,
        message: (AccountRef, MessageId),
    ) -> Result<Option<Place>> {
        let state = shard.hot.read()?;
        let Some(address) = current(&state, message)? else {
            return Ok(None);
        };
        let now = Place::at(&state, address)?;
        Ok((now.objects() != self.objects()).then_some(now))
    }

    fn at(state: &Snapshot, address: Address) -> Result<Place> {
        let own = OwnFrames::of(state, &address)?;
        let mut blobs: Vec<BlobPlace> = Vec::new();
        for extent in &address.extents {
            if let Extent::Blob { blob, .. } = extent {
                blobs.push(blob_place(state, *blob)?);
            }
        }
        Ok(Place {
            address,
            own,
            blobs,
        })
    }

    /// What is read, and from where on.
    fn objects(&self) -> Vec<(ObjectId, u64)> {
        let own = (self.address.object, self.own.offset);
        let blobs = self.blobs.iter().map(|blob| (blob.object, blob.offset));
        std::iter::once(own).chain(blobs).collect()
    }

    /// Of a blob that the message names.
    pub(super) fn blob(&self, blob: BlobId) -> Result<&BlobPlace> {
        let found = self.blobs.iter().find(|place| place.blob == blob);
        found.ok_or_else(unknown_blob)
    }

    /// Behind the last of its own frames that is needed for the bytes before `end`.
    pub(super) fn frames_until(&self, end: u64) -> usize {
        let (mut at, mut index, mut until) = (0, 0, 0);
        for extent in &self.address.extents {
            if at >= end {
                break;
            }
            at += extent.raw_len();
            match extent {
                Extent::Frame(_) => {
                    index += 1;
                    until = until.max(index);
                }
                Extent::Slice { frame, .. } => {
                    until = until.max(self.own.index(*frame).map_or(0, |index| index + 1));
                }
                Extent::Blob { .. } => {}
            }
        }
        until
    }
}

/// The address of a message as its row says it now; `None`: it has none any more.
fn current(state: &Snapshot, (account, id): (AccountRef, MessageId)) -> Result<Option<Address>> {
    let key = key::message(account.number, id);
    let value = state.get(TableName::Places, &key)?;
    let place = value.map(|value| row::Place::decode(&key, &value));
    Ok(place.transpose()?.map(|place| place.address))
}

/// Offset of a blob's first frame in its object.
pub(crate) fn blob_offset(row: &BlobRow) -> u64 {
    if row.object == ObjectId::blob(row.record.blob) {
        row.record.object_bytes.saturating_sub(row.stored_bytes())
    } else {
        row.offset
    }
}

pub(super) fn unknown_blob() -> Error {
    Error::new(Kind::Corrupt, "a blob that this message names is not known")
}

fn blob_place(state: &Snapshot, blob: BlobId) -> Result<BlobPlace> {
    let value = state
        .get(TableName::Blobs, &key::blob(blob))?
        .ok_or_else(unknown_blob)?;
    let row = BlobRow::decode("blobs", &value)?;
    Ok(BlobPlace {
        blob,
        object: row.object,
        offset: blob_offset(&row),
        frames: row.record.frames,
    })
}
