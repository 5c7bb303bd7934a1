//! The hot tier as readers find it: replaced when it had to be closed and reopened.

use std::sync::{Arc, PoisonError, RwLock};

use coldpost_tiers::hot::{HotTier, Snapshot};

use crate::error::{Error, Kind, Result};

/// Holds the hot tier; empty while it is reopened after an I/O error.
#[derive(Default)]
pub(crate) struct HotCell {
    hot: RwLock<Option<Arc<HotTier>>>,
}

impl HotCell {
    /// With a hot tier in it.
    pub(crate) fn new(hot: HotTier) -> HotCell {
        HotCell {
            hot: RwLock::new(Some(Arc::new(hot))),
        }
    }

    /// The hot tier.
    ///
    /// # Errors
    /// `Unavailable` while it is reopened.
    pub(crate) fn get(&self) -> Result<Arc<HotTier>> {
        let hot = self
            .hot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        hot.ok_or_else(|| {
            Error::new(
                Kind::Unavailable,
                "the hot tier is being reopened; try again",
            )
        })
    }

    /// The state as of the last applied batch.
    ///
    /// # Errors
    /// `Unavailable` while it is reopened or after an I/O error.
    pub(crate) fn read(&self) -> Result<Snapshot> {
        Ok(self.get()?.read()?)
    }

    /// Whether somebody met damage in it.
    pub(crate) fn is_damaged(&self) -> bool {
        self.get().is_ok_and(|hot| hot.is_damaged())
    }

    /// Takes the hot tier out for good and closes its file at `path`; who still reads it closes it instead.
    pub(crate) fn close(&self, path: &std::path::Path) {
        let hot = self
            .hot
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(hot) = hot.and_then(Arc::into_inner)
            && let Err(e) = hot.close(path)
        {
            tracing::warn!("{} keeps its size: {e}", path.display());
        }
    }

    /// Another hot tier, or none while it is reopened.
    pub(crate) fn replace(&self, hot: Option<HotTier>) {
        *self.hot.write().unwrap_or_else(PoisonError::into_inner) = hot.map(Arc::new);
    }
}
