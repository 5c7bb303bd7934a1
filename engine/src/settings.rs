//! Settings of the engine as plain values, checked once at the door (the command line fills them).

use std::path::PathBuf;
use std::time::Duration;

pub use coldpost_tiers::cold::ColdSettings;

use crate::view::SpecialUse;

/// Everything `Engine::open` is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory.
    pub data: PathBuf,
    /// Where the cold tier is.
    pub cold: ColdSettings,
    /// Record bytes after which a segment is cut.
    pub segment_size: u64,
    /// Mail shards when the store is made (fixed afterwards).
    pub shards: u16,
    /// redb's cache in bytes, all shards together.
    pub hot_cache: u64,
    /// Decoded frames kept in memory, bytes.
    pub frames_cache: u64,
    /// Whether words are indexed, for ranked and fuzzy search.
    pub words: bool,
    /// Bytes of sealed segments and blobs kept on local disk once they are confirmed in the store.
    pub local_bodies: u64,
    /// Free space of the data disk below which mail is refused.
    pub min_free: MinFree,
    /// Message bytes in flight, all sessions together.
    pub mail_memory: u64,
    /// Decoded size in bytes at which an encoded part begins and ends a frame.
    pub attachment_threshold: u64,
    /// For whom attachments of the same content are stored once.
    pub dedup: Dedup,
    /// An open segment that holds mail is cut at this age.
    pub cut_age: Duration,
    /// How long a snapshot is kept; the newest one always is.
    pub retention: Duration,
    /// How long an object that nothing needs stays before it is deleted.
    pub grace: Duration,
    /// The age at which a segment, and an object that lost something, is written anew.
    pub segment_age: Duration,
    /// What a new account has beside INBOX, subscribed; at most [`crate::limits::AUTOCREATE_MAX`].
    pub autocreate: Vec<NewMailbox>,
}

/// A mailbox that a new account has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMailbox {
    /// As [`crate::mailbox_name`] gives it.
    pub name: String,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
}

/// For whom the same attachment is stored once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dedup {
    /// For all accounts of a shard.
    #[default]
    Shard,
    /// For each account by itself.
    Account,
}

/// Free disk: bytes or a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MinFree {
    /// Bytes.
    Bytes(u64),
    /// Percent of the file system, 0 to 100.
    Percent(f64),
}
