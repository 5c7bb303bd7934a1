//! Names of things and where bytes are. An address stays true when the bytes move from local disk to the bucket.

/// 128 random bits drawn when the store was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId(pub [u8; 16]);

/// The unit of ordering and placement; 0 is the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardNo(pub u16);

/// A writer's term on a shard, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u32);

/// A place in a shard's journal, from 1. 0 is before the first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub u64);

/// 64 random bits, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub u64);

/// The entry that first held the message, and which of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    /// The epoch of the entry.
    pub epoch: Epoch,
    /// Its position.
    pub position: Position,
    /// Number of the message in the op, from 0.
    pub number: u16,
}

/// What an object is. The numbers stand in headers and rows (`docs/format.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ObjectKind {
    /// A run of the journal.
    Segment = 1,
    /// Compacted messages.
    Block = 3,
    /// One large part or message.
    Blob = 4,
    /// Many blobs.
    Pack = 5,
    /// A run of the text store.
    TextRun = 6,
    /// The manifest of a snapshot of the hot tier.
    Snapshot = 7,
    /// A range of the rows of a snapshot.
    SnapshotRange = 8,
    /// The claim of an epoch.
    EpochClaim = 9,
}

impl ObjectKind {
    /// From its number.
    pub fn from_number(number: u8) -> Option<ObjectKind> {
        use ObjectKind::{
            Blob, Block, EpochClaim, Pack, Segment, Snapshot, SnapshotRange, TextRun,
        };
        let all = [
            Segment,
            Block,
            Blob,
            Pack,
            TextRun,
            Snapshot,
            SnapshotRange,
            EpochClaim,
        ];
        all.into_iter().find(|k| *k as u8 == number)
    }
}

/// An object of a shard: a segment or a snapshot is named by its epoch and a position, a block, pack or text run by an epoch and a number
/// that apply gives, a range of a snapshot by its digest, a blob by 128 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name among those of its kind.
    pub id: [u8; 16],
}

/// A blob: 128 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(pub [u8; 16]);

impl ObjectId {
    /// The segment of `epoch` that begins at `first`.
    pub fn segment(epoch: Epoch, first: Position) -> ObjectId {
        ObjectId::numbered(ObjectKind::Segment, epoch, first.0)
    }

    /// An object of `epoch` that is named by a number: a block, a pack, a text run; a segment and a snapshot by a position.
    pub fn numbered(kind: ObjectKind, epoch: Epoch, number: u64) -> ObjectId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&epoch.0.to_be_bytes());
        id[8..].copy_from_slice(&number.to_be_bytes());
        ObjectId { kind, id }
    }

    /// The object of a blob that lies alone.
    pub fn blob(blob: BlobId) -> ObjectId {
        ObjectId {
            kind: ObjectKind::Blob,
            id: blob.0,
        }
    }

    /// Epoch and first position, when it is a segment.
    pub fn as_segment(&self) -> Option<(Epoch, Position)> {
        let (epoch, first) = self.numbers();
        (self.kind == ObjectKind::Segment).then_some((epoch, Position(first)))
    }

    /// What [`ObjectId::numbered`] was given; for kinds that are named otherwise, nothing that means anything.
    pub fn numbers(&self) -> (Epoch, u64) {
        let [a, b, c, d, _, _, _, _, number @ ..] = self.id;
        (
            Epoch(u32::from_be_bytes([a, b, c, d])),
            u64::from_be_bytes(number),
        )
    }
}

/// One zstd frame: how many bytes it has in the object, how many it gives, CRC32C of the stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef {
    /// Stored bytes.
    pub stored: u32,
    /// Raw bytes, at most [`crate::limits::FRAME_RAW_MAX`].
    pub raw: u32,
    /// CRC32C of the stored bytes.
    pub crc: u32,
}

/// A frame of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRow {
    /// Offset in the block.
    pub offset: u64,
    /// The frame.
    pub frame: FrameRef,
}

/// How bytes of a blob become bytes of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recode {
    /// As they are.
    Same,
    /// Base64 in lines (RFC 2045, 6.8).
    Base64 {
        /// Characters of a full line.
        line: u32,
        /// CRLF (true) or LF (false).
        crlf: bool,
        /// bit 0: padded with `=`; bit 1: the last line has its line end.
        flags: u8,
    },
}

/// A stretch of a message: a frame, or bytes of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A frame; frames of a message follow one another in the object without holes.
    Frame(FrameRef),
    /// Part of a blob.
    Blob {
        /// Which.
        blob: BlobId,
        /// First raw byte in the blob.
        offset: u64,
        /// Bytes in the message.
        length: u64,
        /// How they are written in the message.
        recode: Recode,
    },
    /// Part of a frame that it shares with other messages (blocks).
    Slice {
        /// Its number in the block; the table `frames` says where it is.
        frame: u32,
        /// Raw bytes of it before this stretch.
        skip: u32,
        /// Bytes of this stretch.
        length: u32,
    },
}

impl Extent {
    /// Bytes in the message.
    pub fn raw_len(&self) -> u64 {
        match self {
            Extent::Frame(frame) => u64::from(frame.raw),
            Extent::Blob { length, .. } => *length,
            Extent::Slice { length, .. } => u64::from(*length),
        }
    }
}

/// Where a message is: in which object, from which byte on, put together how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The object that holds the frames.
    pub object: ObjectId,
    /// Offset of the first frame in the object; 0 where only slices and blobs stand.
    pub offset: u64,
    /// The stretches; their concatenation is the message as it came.
    pub extents: Vec<Extent>,
}

/// A blob as its maker wrote it: kept by the hot tier, so that ranges of it can be read without asking the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// Its id.
    pub blob: BlobId,
    /// Raw bytes.
    pub raw: u64,
    /// BLAKE3 of the raw bytes.
    pub content: [u8; 32],
    /// Bytes of the object it was written in.
    pub object_bytes: u64,
    /// BLAKE3 of that object.
    pub object_digest: [u8; 32],
    /// Its frames, from the end of the object header on.
    pub frames: Vec<FrameRef>,
}
