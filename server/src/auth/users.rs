//! Which account a name means, whether one may be made for it, and which password opens it.

use std::path::Path;
use std::sync::Arc;

use coldpost_engine::account::AccountName;
use coldpost_engine::ids::AccountRef;
use coldpost_engine::{Engine, Result};

use super::passwd::Shut;
use super::queue::Asker;
use super::{Checks, OwnUsers, PasswdFile};
use crate::budget::Budget;

/// `[auth] accounts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountPolicy {
    /// Only accounts that were added.
    Listed,
    /// The first delivery or login makes the account.
    Create,
}

/// What an account is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A login: the password was right.
    Login,
    /// A delivery: the name is a recipient.
    Deliver,
}

/// Who has a password of his own.
#[derive(Clone, Debug)]
pub struct Files {
    /// `[auth] passwd_file`: whoever stands there may have an account, and his line counts before one of ours.
    pub passwd: Option<Arc<PasswdFile>>,
    /// Passwords that `coldpost account` set.
    pub own: Arc<OwnUsers>,
    /// Where hashes are run.
    pub checks: Arc<Checks>,
}

impl Files {
    /// Reads both. Hashes share `memory` with messages in flight; `recipient_delimiter` is as `[lmtp]` says.
    ///
    /// # Errors
    /// One that cannot be read; the text names it.
    pub fn open(
        data: &Path,
        passwd_file: Option<&Path>,
        recipient_delimiter: &str,
        memory: Budget,
    ) -> std::io::Result<Files> {
        let passwd = passwd_file.map(|path| PasswdFile::open(path, recipient_delimiter));
        Ok(Files {
            passwd: passwd.transpose()?.map(Arc::new),
            own: Arc::new(OwnUsers::open(data)?),
            checks: Arc::new(Checks::new(memory)?),
        })
    }
}

/// The accounts as the protocols see them.
pub struct Users {
    engine: Engine,
    /// None in a server for tests of other things.
    files: Option<Files>,
    policy: AccountPolicy,
    /// As `[lmtp]` says.
    recipient_delimiter: String,
}

impl Users {
    /// The accounts of `engine`; none is made whose mail would go to another name, as `recipient_delimiter` begins a detail in it.
    pub fn new(engine: Engine, policy: AccountPolicy, recipient_delimiter: &str) -> Users {
        Users {
            engine,
            files: None,
            policy,
            recipient_delimiter: recipient_delimiter.to_owned(),
        }
    }

    /// The same, with users who have passwords of their own.
    pub fn with_files(self, files: Files) -> Users {
        Users {
            files: Some(files),
            ..self
        }
    }

    /// Whether mail for `name` is taken: it has an account, or gets one when there is a message for it.
    ///
    /// # Errors
    /// As the engine's: `Unavailable` when accounts cannot be read now.
    pub async fn takes_mail(&self, name: &AccountName) -> Result<bool> {
        Ok(self.engine.account(name)?.is_some() || self.may_be_made(name).await)
    }

    /// The account of `name`, made now when that may be; `None` when there is none.
    ///
    /// # Errors
    /// As the engine's: `Unavailable` when accounts cannot be read or made now.
    pub async fn resolve(
        &self,
        name: &AccountName,
        purpose: Purpose,
    ) -> Result<Option<AccountRef>> {
        if let Some(account) = self.engine.account(name)? {
            return Ok(Some(account));
        }
        let is_reachable = name.is_reachable(&self.recipient_delimiter).is_ok();
        if !self.may_be_made(name).await {
            return Ok(None);
        }
        if !is_reachable {
            // The password was right; who wonders why it does not open anything looks here.
            tracing::warn!(
                account = name.as_str(),
                ?purpose,
                delimiters = self.recipient_delimiter,
                "no account is made: lmtp.recipient_delimiter begins a detail in its name, and its mail would go to a shorter one"
            );
            return Ok(None);
        }
        let account = self.engine.open_account(name).await?;
        tracing::info!(?purpose, "account made on first use");
        tracing::debug!(account = name.as_str(), "account made on first use");
        Ok(Some(account))
    }

    async fn may_be_made(&self, name: &AccountName) -> bool {
        let passwd = self.files.as_ref().and_then(|files| files.passwd.as_ref());
        match (self.policy, passwd) {
            (AccountPolicy::Create, _) => true,
            (AccountPolicy::Listed, None) => false,
            (AccountPolicy::Listed, Some(file)) => file.current().await.get(name).is_some(),
        }
    }

    /// Who it is whose own password `shown` is: the name, and of a password of ours the account that it opens. A user who is not
    /// there costs as much as a wrong password.
    ///
    /// # Errors
    /// `Unavailable`: accounts cannot be read, or too many logins wait.
    pub(crate) async fn opened_by(
        &self,
        user: &str,
        shown: &[u8],
        asker: Asker,
    ) -> Result<Option<(AccountName, Option<AccountRef>)>> {
        let Some(Files {
            passwd,
            own,
            checks,
        }) = &self.files
        else {
            return Ok(None);
        };
        let table = match passwd {
            Some(file) => Some(file.current().await),
            None => None,
        };
        let found = match AccountName::normalise(user) {
            Err(_) => None,
            Ok(name) => match table.as_ref().and_then(|table| table.get(&name)) {
                Some(Ok(hash)) => Some((name, None, hash.clone())),
                Some(Err(shut)) => {
                    say_shut("auth.passwd_file", &name, shut);
                    None
                }
                None => self.engine.account(&name)?.and_then(|account| {
                    let Some(hash) = own.hash(account.number) else {
                        if let Some(shut) = own.shut(account.number) {
                            say_shut("users", &name, &shut);
                        }
                        return None;
                    };
                    Some((name, Some(account), hash))
                }),
            },
        };
        if let Some((name, account, hash)) = found {
            let is_right = checks.matches(&name, hash, shown, asker).await?;
            return Ok(is_right.then_some((name, account)));
        }
        let decoy = table.and_then(|table| table.decoy().cloned());
        if let Some(decoy) = decoy.or_else(|| own.decoy()) {
            checks.run(decoy, shown, asker).await?;
        }
        Ok(None)
    }
}

/// Whoever wonders why a right password is refused finds it in the log.
fn say_shut(file: &str, name: &AccountName, Shut { line, why }: &Shut) {
    tracing::warn!(account = name.as_str(), file, line, "login refused: {why}");
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
