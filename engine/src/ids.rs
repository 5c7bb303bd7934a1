//! The numbers of the engine, as types that never mix.

pub use coldpost_tiers::address::{AccountId, Epoch, MessageId, Position, ShardNo, StoreId};

/// A mailbox of an account: a counter of the account, never used twice (RFC 8474 MAILBOXID is made from it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxId(pub u32);

/// A unique identifier of a message in a mailbox (RFC 3501, 2.3.1.1). Never 0.
pub type Uid = u32;

/// A counter of the account, raised once by every op that touches it (RFC 7162). At most 2^63 - 1.
pub type ModSeq = u64;

/// Which account an operation is about: its number and the mail shard that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountRef {
    /// 64 random bits, drawn by whoever made the account.
    pub number: AccountId,
    /// The mail shard, 1..n.
    pub shard: ShardNo,
}

/// EMAILID (RFC 8474): where the message was first delivered. Carried by COPY, MOVE, re-delivery and restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailId {
    /// The shard of the first delivery.
    pub shard: ShardNo,
    /// The message's id there.
    pub message: MessageId,
}

/// THREADID (RFC 8474): the EMAILID of the first message of the thread in this account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(pub EmailId);

impl EmailId {
    /// The objectid as IMAP sends it: `M` and 32 hexadecimal digits.
    pub fn text(&self) -> String {
        let m = &self.message;
        format!(
            "M{:04x}{:08x}{:016x}{:04x}",
            self.shard.0, m.epoch.0, m.position.0, m.number
        )
    }
}

impl ThreadId {
    /// The objectid as IMAP sends it: `T` and 32 hexadecimal digits.
    pub fn text(&self) -> String {
        format!("T{}", &self.0.text()[1..])
    }
}
