//! Reads what the files of text have, account by account, and compares it with the rows.
//!
//! Promises: what is damaged is set aside, and told; so is a message that the store speaks for and does not have.

use std::collections::BTreeSet;
use std::sync::Arc;

use coldpost_search::text::TextId;
use coldpost_tiers::address::AccountId;
use coldpost_tiers::hot::{TableName, key};

use super::{TextStore, text_id};
use crate::error::Result;
use crate::limits::CHECK_ACCOUNTS;
use crate::shard::Shard;
use crate::upkeep::IndexChecked;

/// A check of one shard that is under way.
pub(crate) struct Check {
    shard: Arc<Shard>,
    accounts: Vec<AccountId>,
    next: usize,
    checked: IndexChecked,
}

impl Check {
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn new(shard: &Arc<Shard>) -> Result<Check> {
        let mut accounts = BTreeSet::new();
        let state = shard.hot.read()?;
        state.walk(TableName::Accounts, &[], &[], |k, _| {
            accounts.extend(k.first_chunk().map(|number| u64::from_be_bytes(*number)));
            Ok(true)
        })?;
        let written = shard.text.written();
        accounts.extend(written.files.iter().flat_map(|file| file.run.accounts()));
        Ok(Check {
            shard: Arc::clone(shard),
            accounts: accounts.into_iter().map(AccountId).collect(),
            next: 0,
            checked: IndexChecked {
                files: u64::try_from(written.files.len()).unwrap_or(u64::MAX),
                ..IndexChecked::default()
            },
        })
    }

    /// Messages that were looked at.
    pub(crate) fn done(&self) -> u64 {
        self.checked.messages + self.checked.waiting
    }

    /// What was found.
    pub(crate) fn add_to(self, all: &mut IndexChecked) {
        all.files += self.checked.files;
        all.messages += self.checked.messages;
        all.waiting += self.checked.waiting;
        all.damage.extend(self.checked.damage);
    }

    /// Some accounts; whether there are more.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn step(&mut self) -> Result<bool> {
        let some: Vec<AccountId> = self
            .accounts
            .iter()
            .skip(self.next)
            .take(CHECK_ACCOUNTS)
            .copied()
            .collect();
        self.next += some.len();
        for account in some {
            self.account(account)?;
        }
        Ok(self.next < self.accounts.len())
    }

    fn account(&mut self, account: AccountId) -> Result<()> {
        let text: Arc<TextStore> = Arc::clone(&self.shard.text);
        // Before the files: what waits now is in one of them later.
        let view = text.view(account);
        let found_before = self.checked.damage.len();
        let mut there: BTreeSet<TextId> = BTreeSet::new();
        for file in text.written().files {
            match file.run.check(account.0) {
                Ok(ids) => there.extend(ids),
                Err(e) => {
                    self.checked.damage.push(format!("{}: {e}", file.name()));
                    text.set_aside(&file, &e)?;
                }
            }
        }
        let waiting: BTreeSet<TextId> = view.waiting.iter().map(|(id, _)| *id).collect();
        let prefix = key::account(account);
        let state = self.shard.hot.read()?;
        let mut missing = 0_u64;
        state.walk(TableName::Places, &prefix, &prefix, |k, _| {
            let Some((_, id)) = key::read_message(k) else {
                return Ok(true);
            };
            let id = text_id(id);
            if !view.has(id) || waiting.contains(&id) {
                self.checked.waiting += 1;
            } else if there.contains(&id) {
                self.checked.messages += 1;
            } else {
                missing += 1;
            }
            Ok(true)
        })?;
        // What was in a damaged file is known to be.
        if missing > 0 && self.checked.damage.len() == found_before {
            let said = format!(
                "{missing} messages of account {:x} have no text in any file: coldpost index rebuild",
                account.0
            );
            self.checked.damage.push(said);
        }
        Ok(())
    }
}
