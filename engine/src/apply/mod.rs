//! The fold: entry and state give rows and an outcome. Total and deterministic: it decides, it never fails but for the disk.
//!
//! Never: reads a clock, draws a number, talks to a journal, a bucket or a session. Time and ids come in the entry.

mod account;
mod add;
pub(crate) mod copy;
mod expunge;
mod flags;
mod holes;
mod housekeeping;
pub mod invariants;
mod mailbox;
mod object;
mod reference;
mod relocate;
mod snapshot;
mod window;

use coldpost_tiers::address::ObjectId;
use coldpost_tiers::hot::row::{
    AccountRow, AccountState, Applied, MailboxRow, MailboxState, Row, Run,
};
use coldpost_tiers::hot::{Batch, TableName, key};
use coldpost_tiers::{Error, Result};

pub use window::Window;

use crate::ids::{AccountId, Epoch, MailboxId, Position, ShardNo};
use crate::limits::OP_MESSAGES_MAX;
use crate::op::{Entry, LEVEL, Op, Outcome, Refusal};

/// Where a durable entry stands: handed to apply with it.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The shard.
    pub shard: ShardNo,
    /// The epoch it was written in.
    pub epoch: Epoch,
    /// Its position.
    pub position: Position,
    /// The segment that holds it.
    pub segment_first: Position,
    /// Where its body begins in the segment.
    pub body_offset: u64,
    /// Where its record ends in the segment.
    pub end_offset: u64,
    /// Its record's checksum.
    pub chain: u32,
}

impl At {
    /// The segment as an object.
    pub fn segment(&self) -> ObjectId {
        ObjectId::segment(self.epoch, self.segment_first)
    }
}

/// What applying an entry changed, for those who wait and watch.
#[derive(Debug)]
pub struct Effect {
    /// What it gave.
    pub outcome: Outcome,
    /// Whose mail it touched; empty for housekeeping.
    pub accounts: Vec<AccountId>,
}

/// The state of the fold between entries: what is too often asked to be read from rows each time.
pub struct Fold {
    /// As it stands in `meta`.
    pub applied: Applied,
    /// Op ids and where their outcomes are.
    pub window: Window,
    /// Fork position of the epoch in force.
    pub fork: Position,
}

/// Key of [`Applied`] in `meta`.
pub const APPLIED: &[u8] = b"applied";
/// Key of the fork position in `meta`.
pub const FORK: &[u8] = b"fork";
/// Key of the time at which an account was erased last in `meta`: i64, big-endian, seconds since 1970.
pub const ERASED: &[u8] = b"erased";

struct Step<'s, 't> {
    batch: &'s mut Batch<'t>,
    at: At,
    /// The shard's time, seconds.
    now: i64,
    touched: Vec<AccountId>,
    /// What goes now goes of an account that is being erased.
    is_erasing: bool,
}

/// Applies one entry; `record` is its meta and body, for the running hash.
///
/// # Errors
/// Only of the disk (`Unavailable`), or `Corrupt` rows: the caller closes the hot tier and reopens it by replay.
pub fn apply(
    batch: &mut Batch<'_>,
    fold: &mut Fold,
    at: At,
    entry: &Entry,
    record: [&[u8]; 2],
) -> Result<Effect> {
    assert!(
        at.position.0 == fold.applied.position.0 + 1,
        "entries are applied in order, each once"
    );
    fold.applied.time_ms = fold.applied.time_ms.max(entry.time_ms);
    let kept = fold.window.outcome(batch, at.position, entry.id)?;
    let repeated = kept.is_some();
    let now = i64::try_from(fold.applied.time_ms / 1000).unwrap_or(i64::MAX);
    let mut step = Step {
        batch,
        at,
        now,
        touched: Vec::new(),
        is_erasing: false,
    };
    let outcome = match kept {
        Some(outcome) => outcome,
        None if fold.is_too_old(at, entry) => Outcome::TooOld,
        None => step.dispatch(fold, &entry.op)?,
    };
    let accounts = step.touched;
    if !repeated {
        fold.window.keep(batch, at.position, entry.id, &outcome)?;
    }
    fold.window.forget(batch, at.position)?;
    fold.advance(at, record);
    Ok(Effect { outcome, accounts })
}

impl Fold {
    /// The fold at the beginning, or where the rows say it came to.
    ///
    /// # Errors
    /// Of the disk, or `Corrupt`.
    pub fn load(state: &coldpost_tiers::hot::Snapshot) -> Result<Fold> {
        let applied = Fold::applied(state)?;
        let fork = state
            .get(TableName::Meta, FORK)?
            .and_then(|v| v.first_chunk::<8>().copied());
        let window = Window::load(state)?;
        Ok(Fold {
            applied,
            window,
            fork: Position(fork.map_or(0, u64::from_be_bytes)),
        })
    }

    /// How far the rows came, for who needs no more: one row, where the whole fold is hundreds of thousands.
    ///
    /// # Errors
    /// As [`Fold::load`].
    pub fn applied(state: &coldpost_tiers::hot::Snapshot) -> Result<Applied> {
        let applied = match state.get(TableName::Meta, APPLIED)? {
            Some(value) => Applied::decode("meta", &value)?,
            None => Applied::default(),
        };
        if applied.level > LEVEL {
            let text = format!(
                "the hot tier was made by rules of level {}, this coldpost knows {LEVEL}: start the version that made it",
                applied.level
            );
            return Err(Error::new(coldpost_tiers::Kind::Invalid, text));
        }
        Ok(applied)
    }

    /// Writes how far the fold came; once a batch.
    ///
    /// # Errors
    /// Of the disk.
    pub fn save(&self, batch: &mut Batch<'_>) -> Result<()> {
        batch.put(TableName::Meta, APPLIED, &self.applied.encode())
    }

    fn is_too_old(&self, at: At, entry: &Entry) -> bool {
        let (epoch, position) = entry.known;
        let before_window = position.0 + crate::limits::WINDOW < at.position.0;
        let other_history = epoch < at.epoch && position > self.fork;
        before_window || other_history
    }

    fn advance(&mut self, at: At, record: [&[u8]; 2]) {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&self.applied.hash)
            .update(&at.chain.to_le_bytes());
        for part in record {
            hasher.update(part);
        }
        self.applied.hash = *hasher.finalize().as_bytes();
        self.applied.position = at.position;
        self.applied.epoch = at.epoch.0;
        self.applied.segment_first = at.segment_first;
        self.applied.offset = at.end_offset;
        self.applied.chain = at.chain;
    }
}

impl Step<'_, '_> {
    fn dispatch(&mut self, fold: &mut Fold, op: &Op) -> Result<Outcome> {
        if op.messages() > OP_MESSAGES_MAX {
            let text = format!("an op touches at most {OP_MESSAGES_MAX} messages");
            return Ok(Outcome::refused(Refusal::Limit, text));
        }
        match op {
            Op::Add(add) => self.add(add),
            Op::Flags(set) => self.set_flags(set),
            Op::Expunge(expunge) => self.expunge(expunge),
            Op::Purge { account, entries } => self.purge(*account, entries),
            Op::Copy(copy) => self.copy(copy),
            Op::Move(copy) => self.r#move(copy),
            Op::BeginGroup { account, group } => self.begin_group(*account, *group),
            Op::EndGroup { account, group } => self.end_group(*account, *group),
            Op::Create {
                account,
                name,
                special_use,
            } => self.create(*account, name, *special_use),
            Op::Delete { account, mailbox } => self.delete(*account, *mailbox),
            Op::Rename { account, from, to } => self.rename(*account, from, to),
            Op::Subscribe { account, name, on } => self.subscribe(*account, name, *on),
            Op::OpenAccount { account, name } => self.open_account(*account, name),
            Op::NameAccount {
                name,
                account,
                shard,
            } => self.name_account(name, *account, *shard),
            Op::RenameAccount {
                account,
                from,
                to,
                step,
            } => self.rename_account(*account, from, to, *step),
            Op::DeleteAccount {
                account,
                name,
                erase,
                step,
            } => self.delete_account(*account, name, *erase, *step),
            Op::Cut => Ok(Outcome::Done { modseq: 0 }),
            Op::Level {
                level,
                segment_size,
            } => {
                fold.applied.level = *level;
                fold.applied.segment_size = *segment_size;
                Ok(Outcome::Done { modseq: 0 })
            }
            Op::Stored(stored) => self.stored(stored),
            Op::Intent(intent) => self.intent(intent),
            Op::Relocate(relocate) => self.relocate(relocate),
            Op::Condemn(object) => self.condemn(*object),
            Op::Gone { object, blobs } => self.gone(*object, blobs),
            Op::Snapshot(taken) => self.snapshot(taken),
            Op::Epoch(epoch) => {
                fold.fork = epoch.fork;
                self.epoch(epoch)
            }
        }
    }

    fn account(&self, account: AccountId) -> Result<Option<AccountRow>> {
        let Some(value) = self
            .batch
            .get(TableName::Accounts, &key::account(account))?
        else {
            return Ok(None);
        };
        let row = AccountRow::decode("accounts", &value)?;
        Ok((row.state == AccountState::Open).then_some(row))
    }

    fn put_account(&mut self, account: AccountId, row: &AccountRow) -> Result<()> {
        if self.touched.last() != Some(&account) {
            self.touched.push(account);
        }
        self.batch
            .put(TableName::Accounts, &key::account(account), &row.encode())
    }

    fn mailbox(&self, account: AccountId, mailbox: MailboxId) -> Result<Option<MailboxRow>> {
        let row = self.any_mailbox(account, mailbox)?;
        Ok(row.filter(|row| row.state == MailboxState::Live))
    }

    fn any_mailbox(&self, account: AccountId, mailbox: MailboxId) -> Result<Option<MailboxRow>> {
        let value = self
            .batch
            .get(TableName::Mailboxes, &key::mailbox(account, mailbox.0))?;
        value
            .map(|v| MailboxRow::decode("mailboxes", &v))
            .transpose()
    }

    fn put_mailbox(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        row: &MailboxRow,
    ) -> Result<()> {
        self.batch.put(
            TableName::Mailboxes,
            &key::mailbox(account, mailbox.0),
            &row.encode(),
        )
    }

    fn mailbox_named(&self, account: AccountId, name: &str) -> Result<Option<MailboxId>> {
        let value = self
            .batch
            .get(TableName::MailboxNames, &key::name(account, name))?;
        let id = |v: Vec<u8>| {
            let bytes = v
                .first_chunk::<4>()
                .ok_or_else(|| Error::corrupt("hot tier, table mailbox_names", 0, "too short"))?;
            Ok(MailboxId(u32::from_be_bytes(*bytes)))
        };
        value.map(id).transpose()
    }

    fn run(&self, account: AccountId, mailbox: MailboxId, first_uid: u32) -> Result<Run> {
        match self
            .batch
            .get(TableName::Runs, &key::uid(account, mailbox.0, first_uid))?
        {
            Some(value) => Run::decode("runs", &value),
            None => Ok(Run::default()),
        }
    }

    fn put_run(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        first_uid: u32,
        run: &Run,
    ) -> Result<()> {
        let key = key::uid(account, mailbox.0, first_uid);
        if run.entries.is_empty() {
            self.batch.remove(TableName::Runs, &key)?;
            return Ok(());
        }
        self.batch.put(TableName::Runs, &key, &run.encode())
    }
}

fn no_account() -> Outcome {
    Outcome::refused(Refusal::Account, "the account is not there")
}

fn no_mailbox() -> Outcome {
    Outcome::refused(Refusal::Mailbox, "the mailbox is not there")
}
