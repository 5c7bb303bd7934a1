//! `open account` in a mail shard, `name account` in the directory.

use coldpost_tiers::Result;
use coldpost_tiers::hot::row::{AccountRow, AccountState, NameRow, NameState, Row};
use coldpost_tiers::hot::{TableName, key};

use super::Step;
use crate::ids::{AccountId, ShardNo};
use crate::op::{Outcome, Refusal};

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
}
