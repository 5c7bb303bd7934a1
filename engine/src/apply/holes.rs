//! Which UIDs of a mailbox are not there, kept beside its runs for those who open it (`docs/format.md`, "Holes").

use std::collections::BTreeMap;

use coldpost_tiers::Result;
use coldpost_tiers::hot::row::{Holes, HolesHead, MailboxRow, MailboxState, Row, Run};
use coldpost_tiers::hot::{TableName, key};

use super::Step;
use crate::ids::{AccountId, MailboxId};
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
        let head_key = key::uid(account, mailbox.0, Holes::HEAD);
        let head = self.batch.get(TableName::Holes, &head_key)?;
        let head = head
            .map(|v| HolesHead::decode("holes", &v))
            .transpose()?
            .filter(|head| head.uid_validity == row.uid_validity);
        let count = row.missing();
        if head.map_or(0, |head| head.count) == count.saturating_sub(fresh.len()) {
            self.add_holes(account, mailbox, fresh)?;
        } else {
            // A binary that knew no holes has written here in between.
            self.forget_holes(account, mailbox)?;
            self.find_holes(account, mailbox, row.uid_next)?;
        }
        let head = HolesHead {
            uid_validity: row.uid_validity,
            count,
        };
        self.batch.put(TableName::Holes, &head_key, &head.encode())
    }

    /// The mailbox has none, or is not there any more.
    pub(super) fn forget_holes(&mut self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        let prefix = key::mailbox(account, mailbox.0);
        let scan = self.batch.scan(TableName::Holes, &prefix, &prefix)?;
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
        let mut holes = UidSet::new();
        let mut next = 1;
        for row in self.batch.scan(TableName::Runs, &prefix, &prefix)? {
            Run::each_uid(&row?.1, |uid| {
                if uid > next {
                    holes.push_range(next, uid - 1);
                }
                next = uid.saturating_add(1);
            })?;
        }
        if uid_next > next {
            holes.push_range(next, uid_next - 1);
        }
        self.add_holes(account, mailbox, &holes)
    }
}
