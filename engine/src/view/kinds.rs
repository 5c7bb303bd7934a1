//! What a reader is given: plain values.

use std::sync::Arc;

use crate::flags::SystemFlags;
use crate::ids::{MailboxId, MessageId, ModSeq, Uid};
use crate::uidset::UidSet;

/// RFC 6154 special uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the attributes")]
pub enum SpecialUse {
    All = 1,
    Archive = 2,
    Drafts = 3,
    Flagged = 4,
    Junk = 5,
    Sent = 6,
    Trash = 7,
}

/// A mailbox in LIST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxInfo {
    /// Full name in UTF-8, hierarchy separator `/`. INBOX is always `INBOX`.
    pub name: String,
    /// `None`: the name is only a parent of others or only subscribed (\Noselect, \NonExistent).
    pub id: Option<MailboxId>,
    /// Whether other mailboxes lie below it.
    pub has_children: bool,
    /// Whether the name is subscribed.
    pub subscribed: bool,
    /// Its special use.
    pub special_use: Option<SpecialUse>,
}

/// Counters of a mailbox, O(1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxStatus {
    /// Its id.
    pub id: MailboxId,
    /// UIDVALIDITY
    pub uid_validity: u32,
    /// UIDNEXT
    pub uid_next: Uid,
    /// MESSAGES
    pub exists: u32,
    /// UNSEEN (the number of messages without \Seen)
    pub unseen: u32,
    /// SIZE (RFC 8438), octets
    pub size: u64,
    /// HIGHESTMODSEQ
    pub highest_modseq: ModSeq,
    /// Messages with \Deleted (RFC 9051 STATUS DELETED)
    pub deleted: u32,
    /// All keywords that were ever used in it, in their first spelling.
    pub keywords: Vec<String>,
}

/// One message in one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its UID.
    pub uid: Uid,
    /// The message.
    pub message: MessageId,
    /// System flags.
    pub system: SystemFlags,
    /// Keywords as bits of [`MailboxStatus::keywords`].
    pub keywords: u128,
    /// MODSEQ
    pub modseq: ModSeq,
    /// SAVEDATE, seconds since 1970
    pub save_date: i64,
}

/// What happened in a mailbox since a view was last moved on.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// UIDs that are gone.
    pub expunged: UidSet,
    /// UIDs that came.
    pub arrived: UidSet,
    /// Entries of messages the view knew already whose flags changed.
    pub flagged: Vec<Entry>,
    /// Keywords of the mailbox now (FLAGS is sent again when the list grew).
    pub keywords: Arc<Vec<String>>,
    /// The mailbox itself was deleted.
    pub deleted: bool,
    pub(crate) uids: Arc<UidSet>,
    pub(crate) status: Option<MailboxStatus>,
}

impl Changes {
    pub(crate) fn mailbox_deleted() -> Changes {
        Changes {
            deleted: true,
            ..Changes::default()
        }
    }
}

impl SpecialUse {
    /// All of them.
    pub const ALL: [SpecialUse; 7] = [
        SpecialUse::All,
        SpecialUse::Archive,
        SpecialUse::Drafts,
        SpecialUse::Flagged,
        SpecialUse::Junk,
        SpecialUse::Sent,
        SpecialUse::Trash,
    ];

    /// Its bit in a mailbox row.
    pub(crate) fn bit(self) -> u8 {
        1 << (self as u8 - 1)
    }
}
