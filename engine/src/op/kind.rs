//! The ops up to level 2 (`docs/format.md`, "Entries").

use bytes::Bytes;
use coldpost_tiers::address::{BlobId, BlobRecord, Extent, MessageId, ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{FrameRow, Origin};

use crate::flags::{FlagAction, Flags};
use crate::ids::{AccountId, Epoch, MailboxId, ModSeq, Position, ShardNo, Uid};
use crate::uidset::UidSet;

/// The rules of apply that this version knows, up to the newest (`docs/format.md`, "Entries").
pub const LEVEL: u64 = 2;

/// 128 random bits drawn once per accepted message or command: a retry carries the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpId(pub [u8; 16]);

/// Ties the ops of one COPY or MULTIAPPEND together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub [u8; 16]);

/// An op with its envelope, as its maker made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Maker's time, ms since 1970.
    pub time_ms: u64,
    /// Its identity.
    pub id: OpId,
    /// The epoch and position that its maker had applied.
    pub known: (Epoch, Position),
    /// The change.
    pub op: Op,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "fields are named in docs/format.md; each variant says what it does"
)]
pub enum Op {
    /// New messages for targets.
    Add(Add),
    /// STORE.
    Flags(SetFlags),
    /// EXPUNGE.
    Expunge(ExpungeUids),
    /// Drops expunged entries, or entries of a deleted mailbox, for good.
    Purge {
        account: AccountId,
        entries: Vec<(MailboxId, Uid)>,
    },
    /// COPY.
    Copy(CopyUids),
    /// MOVE.
    Move(CopyUids),
    /// From here on ops of the group can be undone by id.
    BeginGroup { account: AccountId, group: GroupId },
    /// The group is whole.
    EndGroup { account: AccountId, group: GroupId },
    /// CREATE of one mailbox.
    Create {
        account: AccountId,
        name: String,
        special_use: u8,
    },
    /// DELETE.
    Delete {
        account: AccountId,
        mailbox: MailboxId,
    },
    /// RENAME of a name and all below it.
    Rename {
        account: AccountId,
        from: String,
        to: String,
    },
    /// SUBSCRIBE and UNSUBSCRIBE.
    Subscribe {
        account: AccountId,
        name: String,
        on: bool,
    },
    /// An account in its mail shard.
    OpenAccount { account: AccountId, name: String },
    /// Its name in the directory.
    NameAccount {
        name: String,
        account: AccountId,
        shard: ShardNo,
    },
    /// A step of giving an account another name.
    RenameAccount {
        account: AccountId,
        from: String,
        to: String,
        step: AccountStep,
    },
    /// A step of deleting an account.
    DeleteAccount {
        account: AccountId,
        name: String,
        erase: bool,
        step: AccountStep,
    },
    /// Ends the segment.
    Cut,
    /// Rules of apply and segment size from here on.
    Level { level: u64, segment_size: u64 },
    /// An object is confirmed in the bucket.
    Stored(Stored),
    /// A new epoch begins.
    Epoch(EpochOp),
    /// Objects are about to be made.
    Intent(Intent),
    /// Compaction moved messages and blobs.
    Relocate(Relocate),
    /// An object is about to be deleted.
    Condemn(ObjectId),
    /// An object was deleted, with these blobs in it.
    Gone {
        object: ObjectId,
        blobs: Vec<BlobId>,
    },
    /// A snapshot is in the bucket.
    Snapshot(SnapshotTaken),
}

/// Where the renaming or deleting of an account is, in this order but for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AccountStep {
    /// In the mail shard it is done.
    Done = 0,
    /// In the directory it is marked, before that.
    Marked = 1,
    /// In the directory it is closed, after that.
    Closed = 2,
    /// In the mail shard some of the rows that only the account kept go (deleting only).
    Swept = 3,
}

/// One message, read and compressed by its maker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Octets.
    pub size: u64,
    /// CRC32C of the message as it came.
    pub crc: u32,
    /// How it is put together; frames stand in the entry's body in this order.
    pub extents: Vec<Extent>,
    /// Blobs that it is the first to name.
    pub blobs: Vec<BlobRecord>,
    /// Row value.
    pub row: Bytes,
    /// Thread keys: its own (0: none), then references.
    pub thread_keys: Vec<u64>,
}

/// Which mailbox a target means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// By name; INBOX when that is not there.
    Name(String),
    /// By id; refused when that is not there.
    Mailbox(MailboxId),
}

/// Object ids that come from elsewhere in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// EMAILID
    pub email_id: Option<Origin>,
    /// THREADID
    pub thread_id: Option<Origin>,
}

/// How one message stands in a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Flags and keywords.
    pub flags: Flags,
    /// INTERNALDATE: seconds, minutes east.
    pub date: (i64, i16),
    /// SAVEDATE; 0 = the shard's time.
    pub save_date: i64,
    /// Ids that come along.
    pub carried: Carried,
}

/// An account's mailbox that gets all messages of the op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whose.
    pub account: AccountId,
    /// Which mailbox.
    pub how: How,
    /// One for each message.
    pub placed: Vec<Placed>,
}

/// New messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// The group it belongs to.
    pub group: Option<GroupId>,
    /// The messages.
    pub messages: Vec<NewMessage>,
    /// Who gets them.
    pub targets: Vec<Target>,
}

/// STORE on at most 4,096 messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFlags {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub mailbox: MailboxId,
    /// Which.
    pub uids: UidSet,
    /// How.
    pub action: FlagAction,
    /// What.
    pub flags: Flags,
    /// UNCHANGEDSINCE
    pub unchanged_since: Option<ModSeq>,
}

/// EXPUNGE of at most 4,096 messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpungeUids {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub mailbox: MailboxId,
    /// Which.
    pub uids: UidSet,
    /// Only those that have \Deleted when it is applied; else as an undone group.
    pub only_deleted: bool,
}

/// COPY or MOVE of at most 4,096 messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyUids {
    /// Whose.
    pub account: AccountId,
    /// From where.
    pub from: MailboxId,
    /// Which.
    pub uids: UidSet,
    /// To where.
    pub to: MailboxId,
    /// The group it belongs to (COPY only).
    pub group: Option<GroupId>,
}

/// An object confirmed in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Which.
    pub object: ObjectId,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of it.
    pub digest: [u8; 32],
    /// Its last position, when it is a segment.
    pub last: Position,
    /// 0 = not encrypted.
    pub key_id: u32,
}

/// A new epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochOp {
    /// Its number.
    pub epoch: Epoch,
    /// Where it comes from.
    pub parent: Epoch,
    /// The last position of the parent that counts.
    pub fork: Position,
    /// First position of the parent's open segment; 0 none.
    pub open_segment: Position,
    /// Whether entries may have been lost: UIDNEXT, modseq and UIDVALIDITY are raised.
    pub raise: bool,
}

/// Objects that are about to be made: named before their upload, so that what a crash leaves is known without a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// Blocks, packs, text runs: apply numbers them, one after the other from the number that the outcome counts.
    pub numbered: Vec<ObjectKind>,
    /// Blobs, snapshots and their ranges, which have their names already.
    pub given: Vec<ObjectId>,
}

/// A snapshot of the hot tier that is in the bucket, manifest and ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotTaken {
    /// Its manifest.
    pub manifest: ObjectId,
    /// Bytes of that.
    pub bytes: u64,
    /// BLAKE3 of that.
    pub digest: [u8; 32],
    /// The entry after which the rows stood as it shows them.
    pub position: Position,
    /// What the manifest names.
    pub ranges: Vec<RangeTaken>,
}

/// A range of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeTaken {
    /// Its object id.
    pub id: [u8; 16],
    /// Bytes of the object.
    pub bytes: u64,
    /// BLAKE3 of it.
    pub digest: [u8; 32],
}

/// What compaction moved. Ignored for whatever does not stand where it stood. With nothing but `block`, a block or pack: all of it was named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relocate {
    /// Where messages go.
    pub block: Option<ObjectId>,
    /// Frames of that block, with their numbers.
    pub frames: Vec<(u32, FrameRow)>,
    /// Blobs that are new.
    pub blobs: Vec<NewBlob>,
    /// Messages that go to the block.
    pub messages: Vec<MovedMessage>,
    /// Blobs that go from one pack to another.
    pub moved_blobs: Vec<MovedBlob>,
}

/// A blob that compaction made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBlob {
    /// Its frames and digests.
    pub record: BlobRecord,
    /// Where it is: its own object or a pack.
    pub object: ObjectId,
    /// Offset of its first frame there.
    pub offset: u64,
    /// For whom its content is merged: 0 the whole shard, else an account.
    pub scope: AccountId,
}

/// A message and its new place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedMessage {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub message: MessageId,
    /// Object and offset of the address that it must still have.
    pub from: (ObjectId, u64),
    /// How it is put together in the block.
    pub extents: Vec<Extent>,
}

/// A blob and its new place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovedBlob {
    /// Which.
    pub blob: BlobId,
    /// Object and offset that it must still have.
    pub from: (ObjectId, u64),
    /// Object and offset that it has then.
    pub to: (ObjectId, u64),
}

impl RangeTaken {
    /// Its object.
    pub fn object(&self) -> ObjectId {
        ObjectId {
            kind: ObjectKind::SnapshotRange,
            id: self.id,
        }
    }
}

impl Op {
    /// Whose mail it may change.
    pub fn accounts(&self) -> Vec<AccountId> {
        match self {
            Op::Add(add) => add.targets.iter().map(|t| t.account).collect(),
            Op::Flags(set) => vec![set.account],
            Op::Expunge(expunge) => vec![expunge.account],
            Op::Copy(copy) | Op::Move(copy) => vec![copy.account],
            Op::Purge { account, .. }
            | Op::BeginGroup { account, .. }
            | Op::EndGroup { account, .. }
            | Op::Create { account, .. }
            | Op::Delete { account, .. }
            | Op::Rename { account, .. }
            | Op::Subscribe { account, .. }
            | Op::OpenAccount { account, .. } => vec![*account],
            Op::RenameAccount { account, step, .. } | Op::DeleteAccount { account, step, .. } => {
                match step {
                    AccountStep::Done | AccountStep::Swept => vec![*account],
                    AccountStep::Marked | AccountStep::Closed => Vec::new(),
                }
            }
            Op::NameAccount { .. }
            | Op::Cut
            | Op::Level { .. }
            | Op::Stored(_)
            | Op::Epoch(_)
            | Op::Intent(_)
            | Op::Relocate(_)
            | Op::Condemn(_)
            | Op::Gone { .. }
            | Op::Snapshot(_) => Vec::new(),
        }
    }

    /// How many messages it names: bounded by `OP_MESSAGES_MAX`.
    pub fn messages(&self) -> usize {
        let len = |uids: &UidSet| usize::try_from(uids.len()).unwrap_or(usize::MAX);
        match self {
            Op::Flags(set) => len(&set.uids),
            Op::Expunge(expunge) => len(&expunge.uids),
            Op::Copy(copy) | Op::Move(copy) => len(&copy.uids),
            Op::Purge { entries, .. } => entries.len(),
            Op::Add(add) => add.messages.len(),
            Op::Relocate(relocate) => relocate.messages.len() + relocate.moved_blobs.len(),
            Op::Intent(intent) => intent.numbered.len() + intent.given.len(),
            Op::Gone { blobs, .. } => blobs.len(),
            _ => 0,
        }
    }

    /// Whether an open segment that holds it is due for a cut by age: housekeeping alone is not, or an idle store would write for ever.
    pub fn makes_cut_due(&self) -> bool {
        !matches!(
            self,
            Op::Cut
                | Op::Stored(_)
                | Op::Level { .. }
                | Op::Purge { .. }
                | Op::EndGroup { .. }
                | Op::Intent(_)
                | Op::Relocate(_)
                | Op::Condemn(_)
                | Op::Gone { .. }
                | Op::Snapshot(_)
                | Op::DeleteAccount {
                    step: AccountStep::Swept,
                    ..
                }
        )
    }
}

impl NewMessage {
    /// Bytes of its frames in the entry's body.
    pub fn stored_bytes(&self) -> u64 {
        let stored = |extent: &Extent| match extent {
            Extent::Frame(frame) => u64::from(frame.stored),
            Extent::Blob { .. } | Extent::Slice { .. } => 0,
        };
        self.extents.iter().map(stored).sum()
    }
}
