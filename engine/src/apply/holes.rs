//! Which UIDs of a mailbox are not there, kept beside its runs for those who open it (`docs/format.md`, "Holes").

use std::collections::BTreeMap;

use coldpost_tiers::hot::row::{Holes, HolesHead, MailboxRow, MailboxState, Row};
use coldpost_tiers::hot::{TableName, key};
use coldpost_tiers::{Kind, Result};

use super::Step;
use crate::ids::{AccountId, MailboxId};
use crate::present;
use crate::uidset::UidSet;

impl Step<'_, '_> {
    /// Notes that `fresh`, UIDs below UIDNEXT, have no entry any more. `row` is the mailbox as it is afterwards; nobody opens a deleted one.
    pub(super) fn note_holes(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        row: &MailboxRow,
        fresh: &UidSet,
    ) -> Result<()> {
        if fresh.is_empty() || row.state == MailboxState::Deleted {
            return Ok(());
        }
        match self.note(account, mailbox, row, fresh) {
            // Whoever reads the mailbox is told. What is only a shortcut stops nothing.
            Err(error) if matches!(error.kind(), Kind::Corrupt { .. }) => {
                self.forget_holes(account, mailbox)
            }
            noted => noted,
        }
    }

    fn note(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        row: &MailboxRow,
        fresh: &UidSet,
    ) -> Result<()> {
        let head_key = key::uid(account, mailbox.0, Holes::HEAD);
        let head = self.batch.get(TableName::Holes, &head_key)?;
        let head = head
            .and_then(|v| HolesHead::decode("holes", &v).ok())
            .filter(|head| head.uid_validity == row.uid_validity);
        let count = row.missing();
        let before = count.saturating_sub(fresh.len());
        if head.is_some_and(|head| head.count == before) {
            self.add_holes(account, mailbox, fresh)?;
        } else {
            // The first of them, or a binary that knew no holes has written here in between.
            self.forget_holes(account, mailbox)?;
            match before {
                0 => self.add_holes(account, mailbox, fresh)?,
                _ => self.find_holes(account, mailbox, row.uid_next)?,
            }
        }
        let head = HolesHead {
            uid_validity: row.uid_validity,
            count,
        };
        self.batch.put(TableName::Holes, &head_key, &head.encode())
    }

    /// The mailbox has none, or is not there any more.
    pub(super) fn forget_holes(&mut self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        self.forget_holes_of(&key::mailbox(account, mailbox.0))
    }

    /// The same of all mailboxes whose keys begin with `prefix`.
    pub(super) fn forget_holes_of(&mut self, prefix: &[u8]) -> Result<()> {
        let scan = self.batch.scan(TableName::Holes, prefix, prefix)?;
        let keys: Vec<_> = scan.map(|row| Ok(row?.0)).collect::<Result<_>>()?;
        for key in keys {
            self.batch.remove(TableName::Holes, &key)?;
        }
        Ok(())
    }

    fn add_holes(&mut self, account: AccountId, mailbox: MailboxId, fresh: &UidSet) -> Result<()> {
        let mut chunks: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        for range in fresh.ranges() {
            let chunk = chunks.entry(Holes::first_uid(range.0)).or_default();
            chunk.push(*range);
        }
        for (chunk, mut ranges) in chunks {
            let key = key::uid(account, mailbox.0, chunk);
            if let Some(value) = self.batch.get(TableName::Holes, &key)? {
                ranges.extend(Holes::decode("holes", &value)?.ranges);
            }
            let ranges = UidSet::from_ranges(ranges).ranges().to_vec();
            let holes = Holes { ranges };
            self.batch.put(TableName::Holes, &key, &holes.encode())?;
        }
        Ok(())
    }

    /// Notes all holes, as the runs have them.
    fn find_holes(&mut self, account: AccountId, mailbox: MailboxId, uid_next: u32) -> Result<()> {
        let prefix = key::mailbox(account, mailbox.0);
        let mut there = UidSet::new();
        for row in self.batch.scan(TableName::Runs, &prefix, &prefix)? {
            let (run_key, value) = row?;
            present::push_run(&mut there, &run_key, &value)?;
        }
        let all = UidSet::from_ranges((uid_next > 1).then(|| (1, uid_next - 1)));
        self.add_holes(account, mailbox, &all.difference(&there))
    }
}
