//! Rows of accounts and mailboxes.

use super::{Row, VERSION};
use crate::address::{AccountId, ShardNo};
use crate::codec::{Malformed, Reader, Writer};

/// Whether an account is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// In use.
    Open,
    /// Being deleted.
    Deleting,
}

/// An account in its mail shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Its name when it was opened (the directory has the one in force).
    pub name: String,
    /// Its state.
    pub state: AccountState,
    /// Deleted with `--erase`.
    pub erase: bool,
    /// Raised once by every op that touches it.
    pub modseq: u64,
    /// The last UIDVALIDITY given in it.
    pub uid_validity: u32,
    /// The next mailbox id.
    pub next_mailbox: u32,
    /// Seconds since 1970.
    pub created: i64,
    /// Seconds since 1970; 0 = not deleted.
    pub deleted_at: i64,
}

impl Row for AccountRow {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        let state = match self.state {
            AccountState::Open => 1,
            AccountState::Deleting => 2,
        };
        w.u8(VERSION)
            .text(&self.name)
            .u8(state)
            .u8(u8::from(self.erase))
            .varint(self.modseq)
            .varint(self.uid_validity);
        w.varint(self.next_mailbox)
            .zigzag(self.created)
            .zigzag(self.deleted_at);
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<AccountRow, Malformed> {
        let name = r.text()?.to_owned();
        let state = match r.u8()? {
            1 => AccountState::Open,
            2 => AccountState::Deleting,
            _ => return Err(r.malformed("account state 1 or 2")),
        };
        Ok(AccountRow {
            name,
            state,
            erase: r.u8()? != 0,
            modseq: r.varint()?,
            uid_validity: r.number()?,
            next_mailbox: r.number()?,
            created: r.zigzag()?,
            deleted_at: r.zigzag()?,
        })
    }
}

/// Where a name of the directory stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameState {
    /// In force.
    Named,
    /// Being renamed.
    Renaming,
    /// Being deleted.
    Deleting,
    /// Kept for an account that is being renamed to it.
    Reserved,
}

/// A name of the directory (shard 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRow {
    /// Whose.
    pub account: AccountId,
    /// Where its mail is.
    pub shard: ShardNo,
    /// Its state.
    pub state: NameState,
    /// Deleted with `--erase`.
    pub erase: bool,
    /// While renaming: the other name; else empty.
    pub other: String,
}

impl Row for NameRow {
    fn encode(&self) -> Vec<u8> {
        let state = match self.state {
            NameState::Named => 1,
            NameState::Renaming => 2,
            NameState::Deleting => 3,
            NameState::Reserved => 4,
        };
        let mut w = Writer::new();
        w.u8(VERSION)
            .u64(self.account.0)
            .u16(self.shard.0)
            .u8(state)
            .u8(u8::from(self.erase))
            .text(&self.other);
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<NameRow, Malformed> {
        let (account, shard) = (AccountId(r.u64()?), ShardNo(r.u16()?));
        let state = match r.u8()? {
            1 => NameState::Named,
            2 => NameState::Renaming,
            3 => NameState::Deleting,
            4 => NameState::Reserved,
            _ => return Err(r.malformed("name state 1 to 4")),
        };
        Ok(NameRow {
            account,
            shard,
            state,
            erase: r.u8()? != 0,
            other: r.text()?.to_owned(),
        })
    }
}

/// Whether a mailbox is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxState {
    /// In use.
    Live,
    /// Deleted; its entries go by purge.
    Deleted,
}

/// A mailbox with its counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxRow {
    /// Full name, UTF-8.
    pub name: String,
    /// Its state.
    pub state: MailboxState,
    /// Special uses as bits.
    pub special_use: u8,
    /// UIDVALIDITY
    pub uid_validity: u32,
    /// UIDNEXT
    pub uid_next: u32,
    /// Entries.
    pub exists: u32,
    /// Entries without \Seen.
    pub unseen: u32,
    /// Entries with \Deleted.
    pub deleted: u32,
    /// Octets of all entries' messages.
    pub bytes: u64,
    /// The account's modseq when it was last touched.
    pub highest_modseq: u64,
    /// The highest modseq of an expunge whose row was purged, or of a raise: of what went before it nothing is known.
    pub forgotten_modseq: u64,
    /// Seconds since 1970; 0 = not deleted.
    pub deleted_at: i64,
    /// State of an import; empty when none runs.
    pub import: Vec<u8>,
    /// Keywords by bit, in their first spelling.
    pub keywords: Vec<String>,
}

impl MailboxRow {
    /// How many UIDs below UIDNEXT have no entry.
    pub fn missing(&self) -> u32 {
        self.uid_next.saturating_sub(1).saturating_sub(self.exists)
    }
}

impl Row for MailboxRow {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        let state = match self.state {
            MailboxState::Live => 1,
            MailboxState::Deleted => 2,
        };
        w.u8(VERSION)
            .text(&self.name)
            .u8(state)
            .u8(self.special_use)
            .varint(self.uid_validity)
            .varint(self.uid_next);
        w.varint(self.exists)
            .varint(self.unseen)
            .varint(self.deleted)
            .varint(self.bytes)
            .varint(self.highest_modseq);
        w.varint(self.forgotten_modseq)
            .zigzag(self.deleted_at)
            .bytes(&self.import);
        w.count(self.keywords.len());
        for keyword in &self.keywords {
            w.text(keyword);
        }
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<MailboxRow, Malformed> {
        let name = r.text()?.to_owned();
        let state = match r.u8()? {
            1 => MailboxState::Live,
            2 => MailboxState::Deleted,
            _ => return Err(r.malformed("mailbox state 1 or 2")),
        };
        let mut row = MailboxRow {
            name,
            state,
            special_use: r.u8()?,
            uid_validity: r.number()?,
            uid_next: r.number()?,
            exists: r.number()?,
            unseen: r.number()?,
            deleted: r.number()?,
            bytes: r.varint()?,
            highest_modseq: r.varint()?,
            forgotten_modseq: r.varint()?,
            deleted_at: r.zigzag()?,
            import: r.bytes()?.to_vec(),
            keywords: Vec::new(),
        };
        for _ in 0..r.count()? {
            row.keywords.push(r.text()?.to_owned());
        }
        Ok(row)
    }
}
