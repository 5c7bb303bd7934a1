//! What an administrator does to accounts: the same in the daemon and on stopped data.
//!
//! Promises: an account is there before its password is; a password belongs to the number of the account, so no order of crashes gives
//! it to another one. Never: writes `[auth] passwd_file`, shows a password.

use std::collections::BTreeMap;

use coldpost_engine::account::AccountName;
use coldpost_engine::ids::{AccountId, AccountRef};
use coldpost_engine::{Engine, Error, Kind, Result};
use futures::{StreamExt, stream};

use crate::auth::{Change, Files, Hash};
use crate::http::limits::ACCOUNTS_MAX;
use crate::http::wire::{
    Account, Accounts as Page, AddAccount, Added, Answer, Deleted, Done, in_full,
};
use crate::limits::CHECKS_AT_ONCE;

/// The accounts as their administrator sees them.
#[derive(Clone)]
pub struct Accounts {
    engine: Engine,
    files: Files,
    /// As `[lmtp]` says: no account is made that mail cannot reach.
    recipient_delimiter: String,
}

/// An account that was added, and the password that it is to have.
type Prepared = (AccountName, AccountRef, bool, Option<Hash>);

impl Accounts {
    /// Of a store and its users.
    pub fn new(engine: Engine, files: Files, recipient_delimiter: &str) -> Accounts {
        Accounts {
            engine,
            files,
            recipient_delimiter: recipient_delimiter.to_owned(),
        }
    }

    /// Brings `DIR/users` in step with the directory: a crash may have left names of before.
    ///
    /// # Errors
    /// `Unavailable`; no password opens anything wrong meanwhile.
    pub async fn settle(&self) -> Result<()> {
        if self.files.own.is_empty() {
            return Ok(());
        }
        let mut names: BTreeMap<AccountId, AccountName> = BTreeMap::new();
        let mut after: Option<AccountName> = None;
        loop {
            let found = self.engine.accounts(after.as_ref(), ACCOUNTS_MAX)?;
            after = found.last().map(|(name, _)| name.clone());
            let is_last = found.len() < ACCOUNTS_MAX;
            names.extend(
                found
                    .into_iter()
                    .map(|(name, account)| (account.number, name)),
            );
            if is_last {
                break;
            }
        }
        self.files.own.settle(&names).await
    }

    /// Accounts by name from `after` on, with what they hold.
    ///
    /// # Errors
    /// `Invalid`: `after` is no name. `Unavailable`.
    pub fn page(&self, after: Option<&str>, limit: usize) -> Result<Page> {
        let after = after.map(AccountName::normalise).transpose()?;
        let limit = limit.clamp(1, ACCOUNTS_MAX);
        let mut found = self.engine.accounts(after.as_ref(), limit + 1)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let shown = found
            .iter()
            .map(|(name, account)| self.show(name, *account));
        Ok(Page {
            accounts: shown.collect::<Result<_>>()?,
            more,
        })
    }

    /// Makes accounts, and gives passwords to those that have none; an answer for each, in order.
    pub async fn add(&self, wanted: Vec<AddAccount>) -> Vec<Result<Added>> {
        let prepared = stream::iter(wanted).map(|wanted| self.prepare(wanted));
        let prepared: Vec<Result<Prepared>> = prepared.buffered(CHECKS_AT_ONCE).collect().await;
        let mut hashes: BTreeMap<AccountId, Change> = BTreeMap::new();
        let mut answers = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            answers.push(prepared.and_then(|(name, account, new, hash)| {
                // Of a name that came twice the first password counts, as if they had come one after the other.
                let has =
                    self.files.own.has(account.number) || hashes.contains_key(&account.number);
                let hash = hash.filter(|_| !has);
                let password_set = hash.is_some();
                if let Some(hash) = hash {
                    let change = Change::Set(account.number, name.clone(), hash);
                    hashes.insert(account.number, change);
                }
                Ok(Added {
                    account: self.show(&name, account)?,
                    new,
                    password_set,
                })
            }));
        }
        if let Err(error) = self.files.own.change(hashes.into_values().collect()).await {
            let why = in_full(&error);
            for answer in &mut answers {
                if answer.as_ref().is_ok_and(|added| added.password_set) {
                    let text = format!("the account is there, its password is not: {why}");
                    *answer = Err(Error::new(error.kind(), text));
                }
            }
        }
        answers
    }

    async fn prepare(&self, wanted: AddAccount) -> Result<Prepared> {
        let name = AccountName::normalise(&wanted.name)?;
        name.is_reachable(&self.recipient_delimiter)?;
        let hash = match (wanted.password, wanted.hash) {
            (None, None) => None,
            (Some(password), _) => Some(self.hashed(&name, password).await?),
            (None, Some(hash)) => match plain_text(&hash) {
                Some(password) => Some(self.hashed(&name, password.to_owned()).await?),
                None => Some(self.taken_as_it_is(&name, &hash).await?),
            },
        };
        let (account, new) = self.engine.make_account(&name).await?;
        Ok((name, account, new, hash))
    }

    /// Gives an account a password, or another one.
    ///
    /// # Errors
    /// `NotFound`: no such account. `Conflict`: its password is kept elsewhere. `Invalid`: it can be no password.
    pub async fn set_password(&self, name: &str, password: String) -> Result<Done> {
        let name = AccountName::normalise(name)?;
        let hash = self.hashed(&name, password).await?;
        let account = self.account(&name)?;
        let change = Change::Set(account.number, name.clone(), hash);
        self.files.own.change(vec![change]).await?;
        let account = self.show(&name, account)?;
        Ok(Done { account })
    }

    /// Gives an account another name; its password stays its password.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`: the names. `Unavailable`: marked, and finished as soon as that can be.
    pub async fn rename(&self, from: &str, to: &str) -> Result<Done> {
        let (from, to) = (AccountName::normalise(from)?, AccountName::normalise(to)?);
        to.is_reachable(&self.recipient_delimiter)?;
        let account = self.account(&from)?;
        if self.files.own.has(account.number) {
            fits_in_the_file(&to)?;
            // A user of the passwd-file gets a new name there first. This one never stood in it.
            let way_out = "its password there would open this mail; take that line out first";
            self.is_not_listed(&to, way_out).await?;
        }
        self.is_not_listed(&from, "change its name there first")
            .await?;
        let account = self.engine.rename_account(&from, &to).await?;
        self.follow(Change::Rename(account.number, to.clone()))
            .await;
        let account = self.show(&to, account)?;
        Ok(Done { account })
    }

    /// Deletes an account with all its mail; without `apply` it only says what that would be.
    ///
    /// # Errors
    /// `NotFound`. `Conflict`: it would come back at once. `Unavailable`: marked, and finished as soon as that can be.
    pub async fn delete(&self, name: &str, apply: bool, erase: bool) -> Result<Deleted> {
        let name = AccountName::normalise(name)?;
        let found = self.account(&name)?;
        let account = self.show(&name, found)?;
        let way_out = "take its line out first, or the next login or message makes it again";
        self.is_not_listed(&name, way_out).await?;
        if apply {
            let gone = self.engine.delete_account(&name, erase).await?;
            self.follow(Change::Remove(gone.number)).await;
        }
        Ok(Deleted {
            account,
            done: apply,
            gone_by: crate::http::wire::second(self.engine.gone_by(erase)),
            exception: self.engine.left_behind(),
        })
    }

    fn account(&self, name: &AccountName) -> Result<AccountRef> {
        let gone = || {
            let text = format!(
                "there is no account {}; see coldpost account list",
                name.as_str()
            );
            Error::new(Kind::NotFound, text)
        };
        self.engine.account(name)?.ok_or_else(gone)
    }

    fn show(&self, name: &AccountName, account: AccountRef) -> Result<Account> {
        Ok(Account::new(name, account, self.engine.usage(account)?))
    }

    /// What is done is done; the next start brings the file in step.
    async fn follow(&self, change: Change) {
        if let Err(error) = self.files.own.change(vec![change]).await {
            tracing::warn!(
                "the file of users has a name of before: {}",
                in_full(&error)
            );
        }
    }

    async fn hashed(&self, name: &AccountName, password: String) -> Result<Hash> {
        self.may_have_password(name).await?;
        self.files.checks.make(password).await
    }

    async fn taken_as_it_is(&self, name: &AccountName, hash: &str) -> Result<Hash> {
        self.may_have_password(name).await?;
        if hash.contains(':') || hash.chars().any(char::is_control) {
            return Err(Error::new(
                Kind::Invalid,
                "a hash has no colon and is one line",
            ));
        }
        Hash::read(hash).map_err(|why| Error::new(Kind::Invalid, why))
    }

    async fn may_have_password(&self, name: &AccountName) -> Result<()> {
        fits_in_the_file(name)?;
        self.is_not_listed(name, "change its password there").await
    }

    async fn is_not_listed(&self, name: &AccountName, way_out: &str) -> Result<()> {
        let Some(file) = &self.files.passwd else {
            return Ok(());
        };
        if file.current().await.get(name).is_none() {
            return Ok(());
        }
        let text = format!("{} stands in auth.passwd_file: {way_out}", name.as_str());
        Err(Error::new(Kind::Conflict, text))
    }
}

impl From<Result<Added>> for Answer {
    fn from(added: Result<Added>) -> Answer {
        match added {
            Ok(added) => Answer::Added(added),
            Err(error) => Answer::Error(in_full(&error)),
        }
    }
}

/// The format of the file has no room for some names.
fn fits_in_the_file(name: &AccountName) -> Result<()> {
    let what = match name.as_str() {
        name if name.contains(':') => "with a colon in its name",
        // Its line would be a comment.
        name if name.starts_with('#') => "whose name begins with #",
        _ => return Ok(()),
    };
    let text = format!("an account {what} can have no password of its own");
    Err(Error::new(Kind::Invalid, text))
}

/// The password of a hash that is none: we keep no password.
fn plain_text(hash: &str) -> Option<&str> {
    let (scheme, password) = hash.strip_prefix('{')?.split_once('}')?;
    let is_plain = ["PLAIN", "CLEARTEXT", "CLEAR"];
    is_plain
        .iter()
        .any(|plain| scheme.eq_ignore_ascii_case(plain))
        .then_some(password)
}
