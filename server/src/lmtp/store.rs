//! The engine as LMTP sees it: a short disk is told apart from other trouble, because LMTP has a code for it.

use std::io;
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
        delivered.map_err(|error| if is_full(&error) { short(error) } else { error })
    }
}

fn short(error: Error) -> Error {
    Error::with_source(
        Kind::Limit,
        "the disk of the data directory is short",
        error,
    )
}

/// Whether somewhere below it the system said that the disk is full.
fn is_full(error: &Error) -> bool {
    let error: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_below_other_errors() {
        let below = |kind: io::ErrorKind| {
            let unavailable = Error::with_source(
                Kind::Unavailable,
                "the journal refused",
                io::Error::from(kind),
            );
            is_full(&Error::with_source(
                Kind::Unavailable,
                "not stored",
                unavailable,
            ))
        };
        assert!(below(io::ErrorKind::StorageFull) && below(io::ErrorKind::QuotaExceeded));
        assert!(!below(io::ErrorKind::PermissionDenied));
    }
}
