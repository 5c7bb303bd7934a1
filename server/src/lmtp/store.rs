//! The engine as LMTP sees it: a short disk is told apart from other trouble, because LMTP has a code for it.
//!
//! Promises: an account is made only when there is a message for it.

use std::sync::Arc;

use bytes::Bytes;
use coldpost_engine::account::AccountName;
use coldpost_engine::write::Delivered;
use coldpost_engine::{Engine, Error, Kind, Result};

use super::Deliver;
use crate::auth::{Purpose, Users};

/// Delivers into an engine.
pub(crate) struct Store {
    /// Where mail goes.
    pub(crate) engine: Engine,
    /// Who gets some.
    pub(crate) users: Arc<Users>,
}

impl Deliver for Store {
    async fn takes(&self, name: &AccountName) -> Result<bool> {
        self.users.takes_mail(name)
    }

    async fn deliver(&self, message: Bytes, to: &[AccountName]) -> Result<Vec<Delivered>> {
        self.engine.room().map_err(short)?;
        let mut accounts = Vec::with_capacity(to.len());
        let mut refused = Vec::new();
        for (at, name) in to.iter().enumerate() {
            match self.users.resolve(name, Purpose::Deliver).await {
                Ok(Some(account)) => accounts.push((account, None)),
                Ok(None) => refused.push((at, Delivered::AccountGone)),
                Err(error) => {
                    tracing::warn!(kind = ?error.kind(), %error, "the account of a recipient cannot be read or made");
                    let is_disk_full = error.is_disk_full();
                    refused.push((at, Delivered::NotNow { is_disk_full }));
                }
            }
        }
        let mut outcomes = match accounts.is_empty() {
            true => Vec::new(),
            false => self
                .engine
                .deliver(message, &accounts)
                .await
                .map_err(told)?,
        };
        // From the front on, so that each stands where its recipient does.
        for (at, outcome) in refused {
            outcomes.insert(at, outcome);
        }
        Ok(outcomes)
    }
}

fn told(error: Error) -> Error {
    if error.is_disk_full() {
        short(error)
    } else {
        error
    }
}

fn short(error: Error) -> Error {
    Error::with_source(
        Kind::Limit,
        "the disk of the data directory is short",
        error,
    )
}
