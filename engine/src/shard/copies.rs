//! What recovery reads of the object store, so that one whole copy of an object is enough.
//!
//! Promises: an object that is wrong, too short or missing in one store is had from the other, where there are two; it is damaged only when
//! each of them said so, with the object and the store named. Never: concludes that from a store that does not answer.

use bytes::Bytes;
use coldpost_tiers::cold::{Caller, ColdStore, Key};

use crate::cold;
use crate::error::{Error, Kind, Result};

/// How many bytes an object has.
#[derive(Clone, Copy)]
pub(super) enum Size {
    /// That is known.
    Exactly(u64),
    /// The store knows it.
    AtMost(u64),
}

/// An object as `check` finds it right, from whichever store has it so.
///
/// # Errors
/// `Unavailable`: a store that may have it does not answer. Otherwise what is wrong with it in each store.
pub(super) async fn read<T>(
    cold: &ColdStore,
    key: &Key,
    size: Size,
    check: impl Fn(Bytes) -> Result<T>,
) -> Result<T> {
    let first = of_store((cold, Caller::Recover), key, size, &check).await;
    if first.is_ok() || cold.copies() == 1 {
        return first;
    }
    let mut said = Vec::new();
    for (copy, caller) in cold::copies(cold, Caller::Recover) {
        match of_store((&copy, caller), key, size, &check).await {
            Ok(right) => {
                for e in &said {
                    tracing::error!("{e}; it is read from {}", copy.url());
                }
                return Ok(right);
            }
            Err(e) => said.push(e),
        }
    }
    Err(together(said))
}

/// What was said of each copy, as one error: one that does not answer may be whole.
pub(super) fn together(mut said: Vec<Error>) -> Error {
    let is_away = |e: &Error| e.kind() == Kind::Unavailable;
    let at = said.iter().position(is_away).unwrap_or_default();
    let texts: Vec<_> = said.iter().map(Error::to_string).collect();
    if texts.is_empty() {
        return Error::new(Kind::Internal, "no copy was looked at");
    }
    let cause = said.swap_remove(at);
    match texts.len() {
        1 => cause,
        _ => Error::with_source(cause.kind(), texts.join("; "), cause),
    }
}

async fn of_store<T>(
    (store, caller): (&ColdStore, Caller),
    key: &Key,
    size: Size,
    check: &impl Fn(Bytes) -> Result<T>,
) -> Result<T> {
    let url = store.url();
    let wrong = |what: String| Error::new(Kind::Corrupt, format!("{key} {what}, in {url}"));
    let bytes = match size {
        Size::Exactly(bytes) => bytes,
        Size::AtMost(most) => match store.head(key, caller).await? {
            Some(meta) if (1..=most).contains(&meta.size) => meta.size,
            Some(meta) => {
                let what = format!("has {} bytes, which no such object has", meta.size);
                return Err(wrong(what));
            }
            None => return Err(wrong("is not there".to_owned())),
        },
    };
    let read = match store.get_range(key, 0..bytes, caller).await {
        Ok(read) => read,
        Err(e) => {
            let e = Error::from(e);
            return Err(match damage((store, caller), key, bytes, &e).await {
                Some(what) => wrong(what),
                None => e,
            });
        }
    };
    check(read).map_err(|e| Error::with_source(e.kind(), format!("{e}, in {url}"), e))
}

/// What is wrong with an object that could not be read. An answer that is too short says "not now", and so does one that breaks off: only
/// the object's size tells them apart.
async fn damage(
    (store, caller): (&ColdStore, Caller),
    key: &Key,
    bytes: u64,
    error: &Error,
) -> Option<String> {
    match error.kind() {
        Kind::NotFound => Some("is not there".to_owned()),
        Kind::Unavailable => match store.head(key, caller).await {
            Ok(Some(meta)) if meta.size < bytes => {
                Some(format!("has {} of {bytes} bytes", meta.size))
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
