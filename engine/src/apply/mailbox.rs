//! `create`, `delete`, `rename`, `subscribe`.

use coldpost_tiers::Result;
use coldpost_tiers::hot::row::{AccountRow, MailboxRow, MailboxState};
use coldpost_tiers::hot::{TableName, key};

use super::{Step, no_account, no_mailbox};
use crate::ids::{AccountId, MailboxId};
use crate::limits::{MAILBOX_LEVELS_MAX, MAILBOX_NAME_MAX, MAILBOXES_MAX};
use crate::op::{Outcome, Refusal};

impl Step<'_, '_> {
    pub(super) fn create(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: u8,
    ) -> Result<Outcome> {
        let Some(mut row) = self.account(account)? else {
            return Ok(no_account());
        };
        if self.mailbox_named(account, name)?.is_some() {
            return Ok(Outcome::refused(
                Refusal::Exists,
                format!("mailbox {name} exists already"),
            ));
        }
        let names = key::account(account);
        if self
            .batch
            .scan(TableName::MailboxNames, &names, &names)?
            .count()
            >= MAILBOXES_MAX
        {
            let text = format!("an account has at most {MAILBOXES_MAX} mailboxes");
            return Ok(Outcome::refused(Refusal::Limit, text));
        }
        row.modseq += 1;
        let (mailbox, uid_validity) = self.make_mailbox(account, &mut row, name, special_use)?;
        self.put_account(account, &row)?;
        Ok(Outcome::Created {
            mailbox,
            uid_validity,
        })
    }

    pub(super) fn make_mailbox(
        &mut self,
        account: AccountId,
        row: &mut AccountRow,
        name: &str,
        special_use: u8,
    ) -> Result<(MailboxId, u32)> {
        let mailbox = MailboxId(row.next_mailbox);
        row.next_mailbox += 1;
        let seconds = u32::try_from(self.now).unwrap_or(0);
        row.uid_validity = row.uid_validity.saturating_add(1).max(seconds);
        let made = MailboxRow {
            name: name.to_owned(),
            state: MailboxState::Live,
            special_use,
            uid_validity: row.uid_validity,
            uid_next: 1,
            exists: 0,
            unseen: 0,
            deleted: 0,
            bytes: 0,
            highest_modseq: row.modseq,
            forgotten_modseq: 0,
            deleted_at: 0,
            import: Vec::new(),
            keywords: Vec::new(),
        };
        self.put_mailbox(account, mailbox, &made)?;
        self.batch.put(
            TableName::MailboxNames,
            &key::name(account, name),
            &mailbox.0.to_be_bytes(),
        )?;
        Ok((mailbox, row.uid_validity))
    }

    pub(super) fn delete(&mut self, account: AccountId, mailbox: MailboxId) -> Result<Outcome> {
        let Some(mut row) = self.account(account)? else {
            return Ok(no_account());
        };
        let Some(gone) = self.mailbox(account, mailbox)? else {
            return Ok(no_mailbox());
        };
        if gone.name == "INBOX" {
            return Ok(Outcome::refused(
                Refusal::Invalid,
                "INBOX cannot be deleted",
            ));
        }
        row.modseq += 1;
        self.delete_mailbox(account, mailbox, gone, row.modseq)?;
        self.put_account(account, &row)?;
        Ok(Outcome::Done { modseq: row.modseq })
    }

    /// The name is free at once; entries go by `purge`, the row with the last of them.
    pub(super) fn delete_mailbox(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        mut gone: MailboxRow,
        modseq: u64,
    ) -> Result<()> {
        self.batch
            .remove(TableName::MailboxNames, &key::name(account, &gone.name))?;
        self.forget_holes(account, mailbox)?;
        if gone.exists == 0 {
            self.batch
                .remove(TableName::Mailboxes, &key::mailbox(account, mailbox.0))?;
            return Ok(());
        }
        gone.state = MailboxState::Deleted;
        gone.deleted_at = self.now;
        gone.highest_modseq = modseq;
        self.put_mailbox(account, mailbox, &gone)?;
        let pending = key::pending(2, account, &mailbox.0.to_be_bytes());
        self.batch.put(TableName::Pending, &pending, &[1])
    }

    pub(super) fn rename(&mut self, account: AccountId, from: &str, to: &str) -> Result<Outcome> {
        let Some(mut row) = self.account(account)? else {
            return Ok(no_account());
        };
        let below = format!("{from}/");
        if to == "INBOX" {
            return Ok(Outcome::refused(
                Refusal::Exists,
                "mailbox INBOX exists already",
            ));
        }
        if from == "INBOX" || to == from || to.starts_with(&below) {
            let text = format!("{from} cannot be renamed to {to}");
            return Ok(Outcome::refused(Refusal::Invalid, text));
        }
        let mut names = Vec::new();
        if let Some(mailbox) = self.mailbox_named(account, from)? {
            names.push((from.to_owned(), mailbox));
        }
        let prefix = key::name(account, &below);
        for item in self.batch.scan(TableName::MailboxNames, &prefix, &prefix)? {
            let (key, value) = item?;
            let name = String::from_utf8_lossy(key.get(8..).unwrap_or_default()).into_owned();
            let id = value
                .first_chunk::<4>()
                .map_or(0, |b| u32::from_be_bytes(*b));
            names.push((name, MailboxId(id)));
        }
        if names.is_empty() {
            return Ok(no_mailbox());
        }
        let renamed = |name: &str| format!("{to}{}", name.get(from.len()..).unwrap_or_default());
        for (name, _) in &names {
            let new = renamed(name);
            if new.len() > MAILBOX_NAME_MAX || new.split('/').count() > MAILBOX_LEVELS_MAX {
                let text = format!(
                    "{name} would get a name over {MAILBOX_NAME_MAX} bytes or {MAILBOX_LEVELS_MAX} levels"
                );
                return Ok(Outcome::refused(Refusal::Limit, text));
            }
            if self.mailbox_named(account, &renamed(name))?.is_some() {
                let text = format!("mailbox {} exists already", renamed(name));
                return Ok(Outcome::refused(Refusal::Exists, text));
            }
        }
        row.modseq += 1;
        for (name, mailbox) in &names {
            let new = renamed(name);
            self.batch
                .remove(TableName::MailboxNames, &key::name(account, name))?;
            self.batch.put(
                TableName::MailboxNames,
                &key::name(account, &new),
                &mailbox.0.to_be_bytes(),
            )?;
            if let Some(mut renamed) = self.mailbox(account, *mailbox)? {
                renamed.name = new;
                self.put_mailbox(account, *mailbox, &renamed)?;
            }
        }
        self.put_account(account, &row)?;
        Ok(Outcome::Done { modseq: row.modseq })
    }

    pub(super) fn subscribe(
        &mut self,
        account: AccountId,
        name: &str,
        on: bool,
    ) -> Result<Outcome> {
        let Some(mut row) = self.account(account)? else {
            return Ok(no_account());
        };
        let key = key::name(account, name);
        let there = self.batch.get(TableName::Subscriptions, &key)?.is_some();
        if there != on {
            row.modseq += 1;
            if on {
                self.batch.put(TableName::Subscriptions, &key, &[])?;
            } else {
                self.batch.remove(TableName::Subscriptions, &key)?;
            }
            self.put_account(account, &row)?;
        }
        Ok(Outcome::Done { modseq: row.modseq })
    }
}
