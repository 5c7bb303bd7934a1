//! `open account` in a mail shard, `name account` in the directory; the steps of `rename account` and `delete account` in both.

use coldpost_tiers::Result;
use coldpost_tiers::hot::row::{
    AccountRow, AccountState, MailboxRow, MailboxState, NameRow, NameState, Row, ThreadRow,
};
use coldpost_tiers::hot::{TableName, key};

use super::{ERASED, Step, no_account};
use crate::ids::{AccountId, MailboxId, ShardNo};
use crate::limits::OP_MESSAGES_MAX;
use crate::op::{AccountStep, Outcome, Refusal};

impl Step<'_, '_> {
    /// The account and its INBOX.
    pub(super) fn open_account(&mut self, account: AccountId, name: &str) -> Result<Outcome> {
        if self
            .batch
            .get(TableName::Accounts, &key::account(account))?
            .is_some()
        {
            return Ok(Outcome::refused(
                Refusal::Exists,
                "the account's number is taken",
            ));
        }
        let mut row = AccountRow {
            name: name.to_owned(),
            state: AccountState::Open,
            erase: false,
            modseq: 1,
            uid_validity: 0,
            next_mailbox: 1,
            created: self.now,
            deleted_at: 0,
        };
        self.make_mailbox(account, &mut row, "INBOX", 0)?;
        self.put_account(account, &row)?;
        Ok(Outcome::Account {
            account,
            shard: self.at.shard,
        })
    }

    /// Gives who has the name: the account asked for, or the one that had it already.
    pub(super) fn name_account(
        &mut self,
        name: &str,
        account: AccountId,
        shard: ShardNo,
    ) -> Result<Outcome> {
        if let Some(value) = self.batch.get(TableName::Names, name.as_bytes())? {
            let row = NameRow::decode("names", &value)?;
            return Ok(Outcome::Account {
                account: row.account,
                shard: row.shard,
            });
        }
        let row = NameRow {
            account,
            shard,
            state: NameState::Named,
            erase: false,
            other: String::new(),
        };
        self.batch
            .put(TableName::Names, name.as_bytes(), &row.encode())?;
        Ok(Outcome::Account { account, shard })
    }

    fn name_row(&self, name: &str) -> Result<Option<NameRow>> {
        let value = self.batch.get(TableName::Names, name.as_bytes())?;
        value.map(|v| NameRow::decode("names", &v)).transpose()
    }

    /// The name of this account in this state.
    fn name_in(&self, name: &str, account: AccountId, state: NameState) -> Result<Option<NameRow>> {
        let row = self.name_row(name)?;
        Ok(row.filter(|row| row.account == account && row.state == state))
    }

    fn put_name(&mut self, name: &str, row: &NameRow) -> Result<()> {
        self.batch
            .put(TableName::Names, name.as_bytes(), &row.encode())
    }

    /// Each step may come again: it then changes nothing.
    pub(super) fn rename_account(
        &mut self,
        account: AccountId,
        from: &str,
        to: &str,
        step: AccountStep,
    ) -> Result<Outcome> {
        match step {
            AccountStep::Marked => return self.mark_renaming(account, from, to),
            AccountStep::Done => {
                let Some(mut row) = self.account(account)? else {
                    return Ok(no_account());
                };
                row.name = to.to_owned();
                self.put_account(account, &row)?;
            }
            AccountStep::Closed => {
                let old = self.name_in(from, account, NameState::Renaming)?;
                if let Some(mut row) = old.filter(|row| row.other == to) {
                    self.batch.remove(TableName::Names, from.as_bytes())?;
                    row.state = NameState::Named;
                    row.other = String::new();
                    self.put_name(to, &row)?;
                }
            }
            AccountStep::Swept => {}
        }
        Ok(Outcome::Done { modseq: 0 })
    }

    fn mark_renaming(&mut self, account: AccountId, from: &str, to: &str) -> Result<Outcome> {
        let marked = self.name_in(from, account, NameState::Renaming)?;
        if marked.is_some_and(|row| row.other == to) {
            return Ok(Outcome::Done { modseq: 0 });
        }
        let Some(mut row) = self.name_in(from, account, NameState::Named)? else {
            return Ok(no_account());
        };
        if self.name_row(to)?.is_some() {
            let text = format!("the name {to} is taken");
            return Ok(Outcome::refused(Refusal::Exists, text));
        }
        let reserved = NameRow {
            state: NameState::Reserved,
            other: from.to_owned(),
            ..row.clone()
        };
        row.state = NameState::Renaming;
        row.other = to.to_owned();
        self.put_name(from, &row)?;
        self.put_name(to, &reserved)?;
        Ok(Outcome::Done { modseq: 0 })
    }

    /// Each step may come again: it then changes nothing.
    pub(super) fn delete_account(
        &mut self,
        account: AccountId,
        name: &str,
        erase: bool,
        step: AccountStep,
    ) -> Result<Outcome> {
        match step {
            AccountStep::Marked => {
                if self.name_in(name, account, NameState::Deleting)?.is_some() {
                    return Ok(Outcome::Done { modseq: 0 });
                }
                let Some(mut row) = self.name_in(name, account, NameState::Named)? else {
                    return Ok(no_account());
                };
                (row.state, row.erase) = (NameState::Deleting, erase);
                self.put_name(name, &row)?;
            }
            AccountStep::Done => {
                if let Some(row) = self.account(account)? {
                    self.close_account(account, row, erase)?;
                }
            }
            AccountStep::Closed => {
                if self.name_in(name, account, NameState::Deleting)?.is_some() {
                    self.batch.remove(TableName::Names, name.as_bytes())?;
                }
            }
            AccountStep::Swept => return self.sweep_account(account),
        }
        Ok(Outcome::Done { modseq: 0 })
    }

    /// From here on nothing comes in; its mailboxes go like deleted ones, by `purge`.
    fn close_account(
        &mut self,
        account: AccountId,
        mut row: AccountRow,
        erase: bool,
    ) -> Result<()> {
        (row.state, row.erase, row.deleted_at) = (AccountState::Deleting, erase, self.now);
        row.modseq += 1;
        if erase {
            self.batch
                .put(TableName::Meta, ERASED, &self.now.to_be_bytes())?;
        }
        let prefix = key::account(account);
        let mailboxes: Vec<_> = self
            .batch
            .scan(TableName::Mailboxes, &prefix, &prefix)?
            .collect::<Result<_>>()?;
        for (mailbox_key, value) in mailboxes {
            let mailbox = MailboxRow::decode("mailboxes", &value)?;
            if mailbox.state == MailboxState::Live {
                let id = MailboxId(key::mailbox_of(&mailbox_key));
                self.delete_mailbox(account, id, mailbox, row.modseq)?;
            }
        }
        let groups = key::pending(1, account, &[]);
        for (table, prefix) in [
            (TableName::Subscriptions, &prefix),
            (TableName::Pending, &groups),
        ] {
            let rows: Vec<_> = self
                .batch
                .scan(table, prefix, prefix)?
                .collect::<Result<_>>()?;
            for (key, _) in rows {
                self.batch.remove(table, &key)?;
            }
        }
        self.batch
            .put(TableName::Pending, &key::pending(3, account, &[]), &[1])?;
        self.put_account(account, &row)
    }

    /// Some thread keys, and with the last row of anything of its the account's own. Counts them and it.
    fn sweep_account(&mut self, account: AccountId) -> Result<Outcome> {
        let prefix = key::account(account);
        let Some(value) = self.batch.get(TableName::Accounts, &prefix)? else {
            return Ok(Outcome::Counted(0));
        };
        if AccountRow::decode("accounts", &value)?.state != AccountState::Deleting {
            return Ok(Outcome::Counted(0));
        }
        let threads = self.sweep_threads(&prefix)?;
        let mut swept = u64::try_from(threads).unwrap_or(u64::MAX);
        let mut is_empty = threads < OP_MESSAGES_MAX;
        for table in [TableName::Mailboxes, TableName::Expunged, TableName::Places] {
            is_empty &= self.batch.scan(table, &prefix, &prefix)?.next().is_none();
        }
        if is_empty {
            // What a binary left that knew no holes.
            self.forget_holes_of(&prefix)?;
            self.batch.remove(TableName::Accounts, &prefix)?;
            self.batch
                .remove(TableName::Pending, &key::pending(3, account, &[]))?;
            swept += 1;
        }
        Ok(Outcome::Counted(swept))
    }

    /// Drops some thread keys, the lowest first. Counts them.
    fn sweep_threads(&mut self, prefix: &[u8]) -> Result<usize> {
        let mut swept = 0;
        while swept < OP_MESSAGES_MAX {
            let mut rows = self.batch.scan(TableName::Threads, prefix, prefix)?;
            let Some((at, value)) = rows.next().transpose()? else {
                break;
            };
            drop(rows);
            let mut row = ThreadRow::decode("threads", &value)?;
            let some = row.entries.len().min(OP_MESSAGES_MAX - swept);
            swept += some;
            row.entries.drain(..some);
            if row.entries.is_empty() {
                self.batch.remove(TableName::Threads, &at)?;
            } else {
                self.batch.put(TableName::Threads, &at, &row.encode())?;
            }
        }
        Ok(swept)
    }
}
