//! Where blobs are, how often they are referred to, what objects there are, and how far apply came.

use super::{Row, VERSION};
use crate::address::{AccountId, BlobRecord, ObjectId, ObjectKind, Position};
use crate::codec::{Malformed, Reader, Writer};
use crate::extent::{read_blob_record, write_blob_record};

/// A count, or the position at which the last reference went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// So many references.
    Live(u64),
    /// None since this position.
    DeadSince(Position),
}

impl Counted {
    /// Whether anything refers to it.
    pub fn is_live(self) -> bool {
        matches!(self, Counted::Live(n) if n > 0)
    }

    /// One more or fewer by `by`, at `position`. Never below none.
    #[must_use]
    pub fn add(self, by: i64, position: Position) -> Counted {
        let live = match self {
            Counted::Live(n) => n,
            Counted::DeadSince(_) => 0,
        };
        match (live.saturating_add_signed(by), self) {
            (0, Counted::DeadSince(since)) => Counted::DeadSince(since),
            (0, Counted::Live(_)) => Counted::DeadSince(position),
            (n, _) => Counted::Live(n),
        }
    }

    fn write(self, w: &mut Writer) {
        match self {
            Counted::Live(n) => w.varint(n).varint(0_u64),
            Counted::DeadSince(p) => w.varint(0_u64).varint(p.0.saturating_add(1)),
        };
    }

    fn read(r: &mut Reader<'_>) -> Result<Counted, Malformed> {
        let (live, dead) = (r.varint()?, r.varint()?);
        match dead.checked_sub(1) {
            None => Ok(Counted::Live(live)),
            Some(position) if live == 0 => Ok(Counted::DeadSince(Position(position))),
            Some(_) => Err(r.malformed("a count or a position, not both")),
        }
    }
}

/// Kind and id of an object.
pub(super) fn write_object(w: &mut Writer, object: ObjectId) {
    w.u8(object.kind as u8).raw(&object.id);
}

/// Reads what [`write_object`] wrote.
pub(super) fn read_object(r: &mut Reader<'_>) -> Result<ObjectId, Malformed> {
    let at = r.malformed("a kind of object");
    let kind = ObjectKind::from_number(r.u8()?).ok_or(at)?;
    Ok(ObjectId {
        kind,
        id: r.array()?,
    })
}

/// What is known of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectState {
    /// Only here.
    Local,
    /// Confirmed in the bucket.
    Stored,
    /// About to be deleted: no new reference.
    Condemned,
}

/// An object that rows refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRow {
    /// Its state.
    pub state: ObjectState,
    /// References from places and blobs.
    pub count: Counted,
    /// Bytes; 0 while it is open.
    pub bytes: u64,
    /// Its last position, for segments; 0 while it is open and for others.
    pub last: Position,
    /// BLAKE3; zeros while it is not stored.
    pub digest: [u8; 32],
    /// 0 = not encrypted.
    pub key_id: u32,
    /// Storage class as policies number them; 0 standard.
    pub class: u8,
    /// When it was made, stored, died, first lost a byte, was condemned.
    pub times: ObjectTimes,
    /// Bytes in it that nothing refers to any more: raw ones of a block, else stored ones.
    pub dead_bytes: u64,
    /// Raw bytes of its frames, for a block; else 0.
    pub raw_bytes: u64,
    /// It holds mail of an account that is being erased: at the head of compaction.
    pub is_urgent: bool,
}

/// Times of an object by the shard's clock, seconds since 1970; 0 = not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectTimes {
    /// First named by an entry.
    pub made: i64,
    /// Confirmed in the bucket.
    pub stored: i64,
    /// Last reference gone.
    pub dead: i64,
    /// First reference gone.
    pub first_dead: i64,
    /// Condemned.
    pub condemned: i64,
}

impl ObjectRow {
    /// An object that an entry just named.
    pub fn new(made: i64) -> ObjectRow {
        ObjectRow {
            state: ObjectState::Local,
            count: Counted::Live(0),
            bytes: 0,
            last: Position(0),
            digest: [0; 32],
            key_id: 0,
            class: 0,
            times: ObjectTimes {
                made,
                ..ObjectTimes::default()
            },
            dead_bytes: 0,
            raw_bytes: 0,
            is_urgent: false,
        }
    }
}

impl Row for ObjectRow {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        let state = match self.state {
            ObjectState::Local => 1,
            ObjectState::Stored => 2,
            ObjectState::Condemned => 3,
        };
        w.u8(VERSION).u8(state);
        self.count.write(&mut w);
        w.varint(self.bytes)
            .varint(self.last.0)
            .raw(&self.digest)
            .u32(self.key_id)
            .u8(self.class);
        let t = &self.times;
        w.zigzag(t.made)
            .zigzag(t.stored)
            .zigzag(t.dead)
            .zigzag(t.first_dead)
            .zigzag(t.condemned);
        w.varint(self.dead_bytes);
        if self.raw_bytes > 0 || self.is_urgent {
            w.varint(self.raw_bytes).u8(u8::from(self.is_urgent));
        }
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<ObjectRow, Malformed> {
        let state = match r.u8()? {
            1 => ObjectState::Local,
            2 => ObjectState::Stored,
            3 => ObjectState::Condemned,
            _ => return Err(r.malformed("object state 1 to 3")),
        };
        Ok(ObjectRow {
            state,
            count: Counted::read(r)?,
            bytes: r.varint()?,
            last: Position(r.varint()?),
            digest: r.array()?,
            key_id: r.u32()?,
            class: r.u8()?,
            times: ObjectTimes {
                made: r.zigzag()?,
                stored: r.zigzag()?,
                dead: r.zigzag()?,
                first_dead: r.zigzag()?,
                condemned: r.zigzag()?,
            },
            dead_bytes: r.varint()?,
            raw_bytes: match r.rest() {
                [] => 0,
                _ => r.varint()?,
            },
            is_urgent: match r.rest() {
                [] => false,
                _ => r.u8()? != 0,
            },
        })
    }
}

/// A blob: where it is and who refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRow {
    /// References from places.
    pub count: Counted,
    /// When the last one went, seconds since 1970; 0 = not yet.
    pub dead_at: i64,
    /// The object that holds it: its own or a pack.
    pub object: ObjectId,
    /// Offset of its first frame in that object.
    pub offset: u64,
    /// Its frames and digests.
    pub record: BlobRecord,
    /// For whom its content is merged: 0 the whole shard, else an account; `None`: it is not.
    pub scope: Option<AccountId>,
}

impl BlobRow {
    /// Bytes of its frames in its object.
    pub fn stored_bytes(&self) -> u64 {
        let frames = self.record.frames.iter();
        frames.map(|frame| u64::from(frame.stored)).sum()
    }
}

impl Row for BlobRow {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION);
        self.count.write(&mut w);
        w.zigzag(self.dead_at);
        write_object(&mut w, self.object);
        w.varint(self.offset);
        write_blob_record(&mut w, &self.record);
        if let Some(scope) = self.scope {
            w.u64(scope.0);
        }
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<BlobRow, Malformed> {
        Ok(BlobRow {
            count: Counted::read(r)?,
            dead_at: r.zigzag()?,
            object: read_object(r)?,
            offset: r.varint()?,
            record: read_blob_record(r)?,
            scope: match r.rest() {
                [] => None,
                _ => Some(AccountId(r.u64()?)),
            },
        })
    }
}

/// How far apply came: written with every batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The last entry applied.
    pub position: Position,
    /// The epoch it was written in.
    pub epoch: u32,
    /// First position of the segment that holds it.
    pub segment_first: Position,
    /// End of its record in that segment.
    pub offset: u64,
    /// Its record's checksum.
    pub chain: u32,
    /// The shard's time, ms since 1970: never goes back.
    pub time_ms: u64,
    /// The rules of apply in force.
    pub level: u64,
    /// Record bytes after which segments are cut.
    pub segment_size: u64,
    /// Running hash over all entries.
    pub hash: [u8; 32],
}

impl Row for Applied {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION)
            .varint(self.position.0)
            .u32(self.epoch)
            .varint(self.segment_first.0)
            .varint(self.offset);
        w.u32(self.chain)
            .varint(self.time_ms)
            .varint(self.level)
            .varint(self.segment_size)
            .raw(&self.hash);
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<Applied, Malformed> {
        Ok(Applied {
            position: Position(r.varint()?),
            epoch: r.u32()?,
            segment_first: Position(r.varint()?),
            offset: r.varint()?,
            chain: r.u32()?,
            time_ms: r.varint()?,
            level: r.varint()?,
            segment_size: r.varint()?,
            hash: r.array()?,
        })
    }
}
