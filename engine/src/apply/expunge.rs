//! `expunge` moves entries to the expunged table; `purge` drops them and their references.

use coldpost_tiers::Result;
use coldpost_tiers::hot::row::{
    AccountRow, Cause, ExpungedRow, MailboxRow, MailboxState, Row, Run, RunEntry,
};
use coldpost_tiers::hot::{TableName, key};
#[cfg(any(test, feature = "faults"))]
use coldpost_tiers::planted;

use super::flags::by_run;
use super::{Step, no_account, no_mailbox};
use crate::flags::SystemFlags;
use crate::ids::{AccountId, MailboxId, Uid};
use crate::op::{ExpungeUids, Outcome};
use crate::uidset::UidSet;

impl Step<'_, '_> {
    pub(super) fn expunge(&mut self, op: &ExpungeUids) -> Result<Outcome> {
        let Some(mut account) = self.account(op.account)? else {
            return Ok(no_account());
        };
        let Some(mut row) = self.mailbox(op.account, op.mailbox)? else {
            return Ok(no_mailbox());
        };
        let modseq = account.modseq + 1;
        let cause = if op.only_deleted {
            Cause::Expunge
        } else {
            Cause::UndoneGroup
        };
        let leaves =
            |e: &RunEntry| !op.only_deleted || SystemFlags(e.flags).contains(SystemFlags::DELETED);
        let gone = self.take_entries(op.account, op.mailbox, &mut row, &op.uids, leaves)?;
        if gone.is_empty() {
            return Ok(Outcome::Expunged {
                uids: UidSet::new(),
                modseq: account.modseq,
            });
        }
        self.keep_expunged(op.account, op.mailbox, &gone, modseq, cause)?;
        account.modseq = modseq;
        row.highest_modseq = modseq;
        self.put_mailbox(op.account, op.mailbox, &row)?;
        self.put_account(op.account, &account)?;
        Ok(Outcome::Expunged {
            uids: gone.iter().map(|e| e.uid).collect(),
            modseq,
        })
    }

    /// Takes entries out of their runs and out of the mailbox's counters.
    pub(super) fn take_entries(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        row: &mut MailboxRow,
        uids: &UidSet,
        leaves: impl Fn(&RunEntry) -> bool,
    ) -> Result<Vec<RunEntry>> {
        let mut gone = Vec::new();
        for (first, uids) in by_run(uids) {
            let run = self.run(account, mailbox, first)?;
            let (out, stay): (Vec<_>, Vec<_>) = run
                .entries
                .into_iter()
                .partition(|e| uids.contains(e.uid) && leaves(e));
            if out.is_empty() {
                continue;
            }
            self.put_run(account, mailbox, first, &Run { entries: stay })?;
            for entry in &out {
                let size = self.place(account, entry.message)?.map_or(0, |p| p.size);
                row.exists = row.exists.saturating_sub(1);
                row.bytes = row.bytes.saturating_sub(size);
                let has = |flag| SystemFlags(entry.flags).contains(flag);
                row.unseen = row
                    .unseen
                    .saturating_sub(u32::from(!has(SystemFlags::SEEN)));
                row.deleted = row
                    .deleted
                    .saturating_sub(u32::from(has(SystemFlags::DELETED)));
            }
            gone.extend(out);
        }
        let uids = gone.iter().map(|e| e.uid).collect();
        self.note_holes(account, mailbox, row, &uids)?;
        Ok(gone)
    }

    /// Keeps what left a mailbox, for sessions that have not been told and for undelete.
    pub(super) fn keep_expunged(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        gone: &[RunEntry],
        modseq: u64,
        cause: Cause,
    ) -> Result<()> {
        for entry in gone {
            let row = ExpungedRow {
                entry: *entry,
                modseq,
                time: self.now,
                cause,
            };
            self.batch.put(
                TableName::Expunged,
                &key::uid(account, mailbox.0, entry.uid),
                &row.encode(),
            )?;
            self.batch.put(
                TableName::Due,
                &key::due(self.now, account, mailbox.0, entry.uid),
                &[],
            )?;
        }
        Ok(())
    }

    pub(super) fn purge(
        &mut self,
        account: AccountId,
        entries: &[(MailboxId, Uid)],
    ) -> Result<Outcome> {
        let mut purged = 0;
        let row = self
            .batch
            .get(TableName::Accounts, &key::account(account))?;
        let row = row
            .map(|v| AccountRow::decode("accounts", &v))
            .transpose()?;
        self.is_erasing = row.is_some_and(|row| row.erase);
        for (mailbox, uid) in entries {
            let expunged_key = key::uid(account, mailbox.0, *uid);
            if let Some(value) = self.batch.get(TableName::Expunged, &expunged_key)? {
                let expunged = ExpungedRow::decode("expunged", &value)?;
                self.batch.remove(TableName::Expunged, &expunged_key)?;
                self.batch.remove(
                    TableName::Due,
                    &key::due(expunged.time, account, mailbox.0, *uid),
                )?;
                self.release(account, expunged.entry.message)?;
                self.forget(account, *mailbox, expunged.modseq)?;
                purged += 1;
            } else {
                purged += self.purge_deleted(account, *mailbox, *uid)?;
            }
        }
        Ok(Outcome::Counted(purged))
    }

    /// The mailbox does not know any more all that was expunged at or before `modseq`.
    fn forget(&mut self, account: AccountId, mailbox: MailboxId, modseq: u64) -> Result<()> {
        let Some(mut row) = self.any_mailbox(account, mailbox)? else {
            return Ok(());
        };
        if row.forgotten_modseq < modseq {
            row.forgotten_modseq = modseq;
            self.put_mailbox(account, mailbox, &row)?;
        }
        Ok(())
    }

    /// An entry of a mailbox that was deleted; with the last one the mailbox's row goes.
    fn purge_deleted(&mut self, account: AccountId, mailbox: MailboxId, uid: Uid) -> Result<u64> {
        let Some(mut row) = self.any_mailbox(account, mailbox)? else {
            return Ok(0);
        };
        if row.state != MailboxState::Deleted {
            return Ok(0);
        }
        let gone = self.take_entries(
            account,
            mailbox,
            &mut row,
            &UidSet::from_ranges([(uid, uid)]),
            |_| true,
        )?;
        for entry in &gone {
            #[cfg(any(test, feature = "faults"))]
            if planted::is_planted(planted::Bug::FreesTwice) {
                self.free_blobs(account, entry.message)?;
            }
            self.release(account, entry.message)?;
        }
        if row.exists == 0 {
            self.batch
                .remove(TableName::Mailboxes, &key::mailbox(account, mailbox.0))?;
            self.batch.remove(
                TableName::Pending,
                &key::pending(2, account, &mailbox.0.to_be_bytes()),
            )?;
        } else {
            self.put_mailbox(account, mailbox, &row)?;
        }
        Ok(u64::try_from(gone.len()).unwrap_or(u64::MAX))
    }
}
