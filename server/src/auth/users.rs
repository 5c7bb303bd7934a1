//! Which account a name means, and whether one may be made for it.

use coldpost_engine::account::AccountName;
use coldpost_engine::ids::AccountRef;
use coldpost_engine::{Engine, Result};

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

/// The accounts as the protocols see them.
pub struct Users {
    engine: Engine,
    policy: AccountPolicy,
    /// As `[lmtp]` says.
    recipient_delimiter: String,
}

impl Users {
    /// The accounts of `engine`; none is made whose mail would go to another name, as `recipient_delimiter` begins a detail in it.
    pub fn new(engine: Engine, policy: AccountPolicy, recipient_delimiter: &str) -> Users {
        Users {
            engine,
            policy,
            recipient_delimiter: recipient_delimiter.to_owned(),
        }
    }

    /// Whether mail for `name` is taken: it has an account, or gets one when there is a message for it.
    ///
    /// # Errors
    /// As the engine's: `Unavailable` when accounts cannot be read now.
    pub fn takes_mail(&self, name: &AccountName) -> Result<bool> {
        Ok(self.engine.account(name)?.is_some() || self.policy == AccountPolicy::Create)
    }

    /// The account of `name`, made now when the policy allows it; `None` when there is none.
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
        match self.policy {
            AccountPolicy::Listed => Ok(None),
            AccountPolicy::Create if name.is_reachable(&self.recipient_delimiter).is_err() => {
                Ok(None)
            }
            AccountPolicy::Create => {
                let account = self.engine.open_account(name).await?;
                tracing::info!(?purpose, "account made on first use");
                tracing::debug!(account = name.as_str(), "account made on first use");
                Ok(Some(account))
            }
        }
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
