//! The one bounded place for work that blocks or computes: file reads, digests, unpacking.
//!
//! Promises: at most [`BLOCKING_MAX`] pieces run at a time; the others wait their turn, in order.
//! Never: keeps a piece from finishing because the one who asked for it went away.

use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;

use crate::error::{Error, Kind, Result};
use crate::limits::BLOCKING_MAX;

static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(BLOCKING_MAX)));

/// Runs `work` off the async threads.
///
/// # Errors
/// Those of `work`; `Internal` when it panicked.
pub async fn run<T, F>(work: F) -> Result<T>
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let turn = Arc::clone(&TURNS)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    })
    .await
    .map_err(|e| Error::with_source(Kind::Internal, "a piece of blocking work died", e))?
}
