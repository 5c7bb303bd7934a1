//! Shard 0: account name → number, shard. An account is open in its mail shard before the directory names it.
//!
//! A crash leaves: an account without a name, perhaps without some of its first mailboxes, or a name that is marked; the next start
//! finishes either.

mod changes;
mod first_mailboxes;

use coldpost_tiers::hot::row::{
    AccountRow, AccountState, MailboxRow, MailboxState, NameRow, NameState, Row,
};
use coldpost_tiers::hot::{TableName, key};

use crate::account::AccountName;
use crate::deliver::unexpected;
use crate::error::{Error, Kind, Result};
use crate::ids::{AccountId, AccountRef, ShardNo};
use crate::op::{Op, Outcome, Refusal};
use crate::open::Engine;
use crate::shard::random_id;

/// An account that is being opened: from the first step until the directory has answered.
pub(crate) struct HalfOpen {
    name: AccountName,
    account: AccountId,
    shard: ShardNo,
}

impl Engine {
    /// An account by name.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn account(&self, name: &AccountName) -> Result<Option<AccountRef>> {
        let state = self.shard(ShardNo(0))?.hot.read()?;
        let Some(value) = state.get(TableName::Names, name.as_str().as_bytes())? else {
            return Ok(None);
        };
        let row = NameRow::decode("names", &value)?;
        let there = matches!(row.state, NameState::Named | NameState::Renaming);
        Ok(there.then_some(AccountRef {
            number: row.account,
            shard: row.shard,
        }))
    }

    /// All accounts, by name, from `after` on, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn accounts(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<(AccountName, AccountRef)>> {
        let state = self.shard(ShardNo(0))?.hot.read()?;
        let from = after.map_or(Vec::new(), |name| [name.as_str().as_bytes(), &[0]].concat());
        let mut accounts = Vec::new();
        state.walk(TableName::Names, &[], &from, |key, value| {
            if accounts.len() >= limit {
                return Ok(false);
            }
            let row = NameRow::decode("names", value)?;
            if matches!(row.state, NameState::Named | NameState::Renaming) {
                let name = AccountName::kept(&String::from_utf8_lossy(key));
                accounts.push((
                    name,
                    AccountRef {
                        number: row.account,
                        shard: row.shard,
                    },
                ));
            }
            Ok(true)
        })?;
        Ok(accounts)
    }

    /// Opens an account in the crash order of the design (mail shard with its first mailboxes, then directory); gives the existing one
    /// when it is there.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn open_account(&self, name: &AccountName) -> Result<AccountRef> {
        self.make_account(name).await.map(|(account, _)| account)
    }

    /// As [`Engine::open_account`]; also whether this call made it, which of several at a time only one hears.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn make_account(&self, name: &AccountName) -> Result<(AccountRef, bool)> {
        if let Some(account) = self.account(name)? {
            return Ok((account, false));
        }
        let mut half_open = self.inner.opening.lock().await;
        if let Some(account) = self.account(name)? {
            return Ok((account, false));
        }
        self.is_free(name)?;
        let shard = self.shard_for(name);
        // An opening that a failure or a client's leaving cut short is finished first: its number may be in the mail shard already.
        if let Some(begun) = half_open.get(&shard) {
            let account = self.finish_opening(begun).await?;
            let its_own = begun.name == *name;
            half_open.remove(&shard);
            if its_own {
                return Ok((account, true));
            }
        }
        let [a, b, c, d, e, f, g, h, ..] = random_id()?;
        let begun = HalfOpen {
            name: name.clone(),
            account: AccountId(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
            shard,
        };
        let account = self
            .finish_opening(half_open.entry(shard).or_insert(begun))
            .await?;
        half_open.remove(&shard);
        Ok((account, true))
    }

    /// Whether nobody has the name, not even for a moment more.
    fn is_free(&self, name: &AccountName) -> Result<()> {
        let state = self.shard(ShardNo(0))?.hot.read()?;
        match state.get(TableName::Names, name.as_str().as_bytes())? {
            None => Ok(()),
            Some(_) => Err(Error::new(
                Kind::Unavailable,
                "an account of this name is being renamed or deleted; try again in a moment",
            )),
        }
    }

    /// Whether an account that was there still is: its sessions end when it is not.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn is_open(&self, account: AccountRef) -> Result<bool> {
        let state = self.shard(account.shard)?.hot.read()?;
        let value = state.get(TableName::Accounts, &key::account(account.number))?;
        let row = value
            .map(|v| AccountRow::decode("accounts", &v))
            .transpose()?;
        Ok(row.is_some_and(|row| row.state == AccountState::Open))
    }

    /// Messages in all its mailboxes and their octets.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn usage(&self, account: AccountRef) -> Result<(u64, u64)> {
        let state = self.shard(account.shard)?.hot.read()?;
        let prefix = key::account(account.number);
        let mut sum = (0, 0);
        state.walk(TableName::Mailboxes, &prefix, &prefix, |_, value| {
            let row = MailboxRow::decode("mailboxes", value)?;
            if row.state == MailboxState::Live {
                sum = (sum.0 + u64::from(row.exists), sum.1 + row.bytes);
            }
            Ok(true)
        })?;
        Ok(sum)
    }

    /// All steps, of which the first ones may have been done before.
    async fn finish_opening(&self, begun: &HalfOpen) -> Result<AccountRef> {
        let open = Op::OpenAccount {
            account: begun.account,
            name: begun.name.as_str().to_owned(),
        };
        match self.shard(begun.shard)?.change(open).await? {
            // The number is 64 random bits that nobody else was given: it is there because this was done before.
            Outcome::Account { .. }
            | Outcome::Refused {
                why: Refusal::Exists,
                ..
            } => {}
            other => return Err(unexpected(&other)),
        }
        self.make_first_mailboxes(begun.account, begun.shard)
            .await?;
        self.name_account(begun.name.as_str(), begun.account, begun.shard)
            .await
    }

    async fn name_account(
        &self,
        name: &str,
        account: AccountId,
        shard: ShardNo,
    ) -> Result<AccountRef> {
        let op = Op::NameAccount {
            name: name.to_owned(),
            account,
            shard,
        };
        match self.shard(ShardNo(0))?.change(op).await? {
            Outcome::Account { account, shard } => Ok(AccountRef {
                number: account,
                shard,
            }),
            other => Err(unexpected(&other)),
        }
    }

    /// Where a new account's mail goes: spread by its name.
    fn shard_for(&self, name: &AccountName) -> ShardNo {
        let hash = blake3::hash(name.as_str().as_bytes());
        let [a, b, ..] = *hash.as_bytes();
        let shards = u16::try_from(self.mail_shards().len()).unwrap_or(1).max(1);
        ShardNo(u16::from_le_bytes([a, b]) % shards + 1)
    }

    /// Compares the directory with every mail shard: an account that a crash left without a name is entered under its name
    /// (`name~number` when that is taken).
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) async fn check_directory(&self) -> Result<()> {
        let named = self.named_accounts()?;
        for shard in self.mail_shards() {
            let mut unnamed = Vec::new();
            shard
                .hot
                .read()?
                .walk(TableName::Accounts, &[], &[], |key, value| {
                    let account = key::account_of(key);
                    if named.binary_search(&account).is_err() {
                        let row = AccountRow::decode("accounts", value)?;
                        if row.state == AccountState::Open {
                            unnamed.push((account, row.name));
                        }
                    }
                    Ok(true)
                })?;
            for (account, name) in unnamed {
                self.make_first_mailboxes(account, shard.no).await?;
                let given = self.name_account(&name, account, shard.no).await?;
                if given.number != account {
                    let other = format!("{name}~{:016x}", account.0);
                    self.name_account(&other, account, shard.no).await?;
                    tracing::warn!(account = %other, "an account without a name was entered under another one: {name} is taken");
                }
            }
        }
        Ok(())
    }

    fn named_accounts(&self) -> Result<Vec<AccountId>> {
        let mut named = Vec::new();
        self.shard(ShardNo(0))?
            .hot
            .read()?
            .walk(TableName::Names, &[], &[], |_, value| {
                named.push(NameRow::decode("names", value)?.account);
                Ok(true)
            })?;
        named.sort_unstable();
        Ok(named)
    }

    /// The name of an account, for people: `verify` and logs of damage.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` after an I/O error.
    pub fn account_name(&self, account: AccountRef) -> Result<String> {
        let state = self.shard(account.shard)?.hot.read()?;
        let value = state.get(TableName::Accounts, &key::account(account.number))?;
        let gone = || Error::new(Kind::NotFound, "the account is not there");
        Ok(AccountRow::decode("accounts", &value.ok_or_else(gone)?)?.name)
    }
}
