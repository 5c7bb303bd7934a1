//! A range of an object as it comes: for who hands it on before all of it is there.
//!
//! Promises: it is begun like every request, with the same patience; then it is bounded in time as one attempt of its length is, and no
//! piece of it is waited for longer than an attempt that carries nothing. What it gives is never more than was asked for.
//! Never: begins again in the middle; whoever reads asks for what is missing.

use std::ops::Range;

use bytes::Bytes;
use futures::TryStreamExt;
use tokio::time::{Instant, timeout};

use super::backend::{Body, Failure};
use super::breaker::Weight;
use super::key::Key;
use super::mirror::FAILOVER;
use super::patience::Patience;
use super::request::{Caller, Verb, slow, too_short};
use super::store::ColdStore;
use crate::error::Result;

/// The answer of a store, piece by piece.
pub(crate) struct Pieces {
    store: ColdStore,
    name: String,
    caller: Caller,
    body: Body,
    /// Bytes that have not come yet.
    missing: u64,
    asked: u64,
    until: Instant,
    patience: Patience,
}

impl ColdStore {
    /// Begins a read of a range.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub(crate) async fn stream(
        &self,
        key: &Key,
        range: Range<u64>,
        caller: Caller,
    ) -> Result<Pieces> {
        let name = key.to_string();
        let asked = range.end.saturating_sub(range.start);
        let begin = || self.inner.backend.stream(&name, range.clone());
        let begun = self.request(Verb::Get, caller, (&name, 0), begin).await;
        let body = begun.map_err(|f| self.error(f, "read", &name))?;
        let patience = Patience::of(caller, false);
        Ok(Pieces {
            store: self.clone(),
            name,
            caller,
            body,
            missing: asked,
            asked,
            until: Instant::now() + patience.carrying(asked).attempt,
            patience,
        })
    }
}

impl Pieces {
    /// The next bytes; `None` when all have come.
    ///
    /// # Errors
    /// `Unavailable`: it broke off.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.missing == 0 {
            return Ok(None);
        }
        let left = self.until.saturating_duration_since(Instant::now());
        let mut limit = left.min(self.patience.attempt);
        // The other one may have it.
        if self.store.copies() > 1 {
            limit = limit.min(FAILOVER);
        }
        let (failure, weight) = match timeout(limit, self.body.pieces.try_next()).await {
            Ok(Ok(Some(mut piece))) => {
                let most = usize::try_from(self.missing).unwrap_or(usize::MAX);
                piece.truncate(most);
                let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                self.missing -= length;
                self.store.inner.ledger.bytes_in(self.caller, length);
                return Ok(Some(piece));
            }
            Ok(Ok(None)) => (
                too_short(
                    self.asked - self.missing,
                    self.body.answer_bytes,
                    self.asked,
                ),
                Weight::Failed,
            ),
            Ok(Err(failure)) => (failure, Weight::Failed),
            Err(_) => (slow(limit), Weight::TimedOut),
        };
        Err(self.broke_off(failure, weight))
    }

    fn broke_off(&self, failure: Failure, weight: Weight) -> crate::error::Error {
        let store = &self.store;
        store.count_error(Verb::Get, self.caller, &failure);
        if let Some(breaker) = &store.inner.breaker {
            breaker.heard(weight, &self.name, &failure);
        }
        store.error(failure, "read", &self.name)
    }
}
