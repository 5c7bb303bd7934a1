//! The engine as LMTP sees it: a short disk is told apart from other trouble, because LMTP has a code for it.

use std::sync::Arc;

use bytes::Bytes;
use coldpost_engine::account::AccountName;
use coldpost_engine::ids::AccountRef;
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
    async fn account(&self, name: &AccountName) -> Result<Option<AccountRef>> {
        self.users.resolve(name, Purpose::Deliver).await
    }

    async fn deliver(&self, message: Bytes, to: &[AccountRef]) -> Result<Vec<Delivered>> {
        self.engine.room().map_err(short)?;
        let to: Vec<_> = to.iter().map(|account| (*account, None)).collect();
        let delivered = self.engine.deliver(message, &to).await;
        delivered.map_err(|error| {
            if error.is_disk_full() {
                short(error)
            } else {
                error
            }
        })
    }
}

fn short(error: Error) -> Error {
    Error::with_source(
        Kind::Limit,
        "the disk of the data directory is short",
        error,
    )
}
