//! The object store as the layers above see it: what was asked of it, whether it is as it must be, what its key must be allowed.

use coldpost_tiers::cold::ColdStore;
pub use coldpost_tiers::cold::policy::{Only, Role, Statement};
pub use coldpost_tiers::cold::{Finding, Requests, Severity, Usage};

use crate::error::Result;
use crate::settings::ColdSettings;

/// Tries all that the store must be able to do and looks at its settings; leaves nothing there.
///
/// # Errors
/// `Invalid`: the settings name no store. `Unavailable`: it does not answer.
pub async fn check(settings: &ColdSettings) -> Result<Vec<Finding>> {
    let store = ColdStore::open(settings)?;
    Ok(store.examine(crate::clock::now_s).await?)
}

/// The least that a key must be allowed.
///
/// # Errors
/// `Invalid`: the store is no bucket.
pub fn policy(settings: &ColdSettings, role: Role) -> Result<Vec<Statement>> {
    Ok(coldpost_tiers::cold::policy::policy(settings, role)?)
}
