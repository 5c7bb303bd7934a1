//! `stored` and `epoch`.

use coldpost_tiers::Result;
use coldpost_tiers::hot::row::{AccountRow, Counted, MailboxRow, ObjectRow, ObjectState, Row};
use coldpost_tiers::hot::{TableName, key};

use super::{FORK, Step};
use crate::ids::MailboxId;
use crate::op::{EpochOp, Outcome, Stored};
use crate::uidset::UidSet;

/// UIDNEXT is raised by this when entries may have been lost.
const UID_RAISE: u32 = 1 << 20;
/// Every account's modseq is raised by this.
const MODSEQ_RAISE: u64 = 1 << 32;
/// Every account's last UIDVALIDITY is raised by this.
const UID_VALIDITY_RAISE: u32 = 1 << 16;
/// UIDNEXT above this gives a new UIDVALIDITY and UIDs from 1 instead.
const UID_RAISE_LIMIT: u32 = 1 << 31;

impl Step<'_, '_> {
    pub(super) fn stored(&mut self, stored: &Stored) -> Result<Outcome> {
        let mut row = match self.object(stored.object)? {
            Some(row) => row,
            None => {
                let mut row = ObjectRow::new(self.now);
                row.count = Counted::DeadSince(self.at.position);
                row.times.dead = self.now;
                row
            }
        };
        if row.state == ObjectState::Local {
            row.state = ObjectState::Stored;
            row.bytes = stored.bytes;
            row.digest = stored.digest;
            row.last = stored.last;
            row.key_id = stored.key_id;
            row.times.stored = self.now;
            self.put_object(stored.object, &row)?;
        }
        Ok(Outcome::Done { modseq: 0 })
    }

    pub(super) fn epoch(&mut self, op: &EpochOp) -> Result<Outcome> {
        self.batch
            .put(TableName::Meta, FORK, &op.fork.0.to_be_bytes())?;
        if !op.raise {
            return Ok(Outcome::Done { modseq: 0 });
        }
        let accounts: Vec<_> = self
            .batch
            .scan(TableName::Accounts, &[], &[])?
            .collect::<Result<_>>()?;
        for (key, value) in accounts {
            let mut row = AccountRow::decode("accounts", &value)?;
            row.modseq += MODSEQ_RAISE;
            row.uid_validity = row.uid_validity.saturating_add(UID_VALIDITY_RAISE);
            self.raise_mailboxes(&key, &mut row)?;
            self.put_account(key::account_of(&key), &row)?;
        }
        Ok(Outcome::Done { modseq: 0 })
    }

    fn raise_mailboxes(&mut self, account_key: &[u8], account: &mut AccountRow) -> Result<()> {
        let rows: Vec<_> = self
            .batch
            .scan(TableName::Mailboxes, account_key, account_key)?
            .collect::<Result<_>>()?;
        for (key, value) in rows {
            let mut row = MailboxRow::decode("mailboxes", &value)?;
            row.highest_modseq = account.modseq;
            let before = row.uid_next;
            match row
                .uid_next
                .checked_add(UID_RAISE)
                .filter(|next| *next <= UID_RAISE_LIMIT)
            {
                Some(next) => {
                    row.uid_next = next;
                    let passed = UidSet::from_ranges([(before, next - 1)]);
                    let mailbox = MailboxId(key::mailbox_of(&key));
                    self.note_holes(key::account_of(&key), mailbox, &row, &passed)?;
                }
                None => self.renumber(&key, &mut row, account)?,
            }
            // A client may know messages of the entries that were lost: no row says that they are gone.
            row.forgotten_modseq = account.modseq;
            self.batch.put(TableName::Mailboxes, &key, &row.encode())?;
        }
        Ok(())
    }

    /// Past 2^31: a new UIDVALIDITY, UIDs from 1; what was expunged goes for good, its numbers mean something else now.
    fn renumber(
        &mut self,
        key: &[u8],
        row: &mut MailboxRow,
        account: &mut AccountRow,
    ) -> Result<()> {
        let (owner, mailbox) = (key::account_of(key), MailboxId(key::mailbox_of(key)));
        self.forget_holes(owner, mailbox)?;
        account.uid_validity = account.uid_validity.saturating_add(1);
        row.uid_validity = account.uid_validity;
        let expunged: Vec<_> = self
            .batch
            .scan(TableName::Expunged, key, key)?
            .collect::<Result<_>>()?;
        let uids: Vec<_> = expunged
            .iter()
            .map(|(k, _)| (mailbox, key::uid_of(k)))
            .collect();
        self.purge(owner, &uids)?;
        let runs: Vec<_> = self
            .batch
            .scan(TableName::Runs, key, key)?
            .collect::<Result<_>>()?;
        let mut entries = Vec::new();
        for (key, value) in runs {
            entries.extend(coldpost_tiers::hot::row::Run::decode("runs", &value)?.entries);
            self.batch.remove(TableName::Runs, &key)?;
        }
        let mut sized = Vec::with_capacity(entries.len());
        for mut entry in entries {
            entry.modseq = account.modseq;
            let size = self.place(owner, entry.message)?.map_or(0, |p| p.size);
            sized.push((entry, size));
        }
        (row.uid_next, row.exists, row.unseen, row.deleted, row.bytes) = (1, 0, 0, 0, 0);
        self.append_entries(owner, mailbox, row, &sized)
    }
}
