//! The object store as the layers above see it: what was asked of it, whether it is as it must be, what its key must be allowed.

use std::path::Path;

use coldpost_tiers::address::ObjectId;
pub use coldpost_tiers::cold::policy::{Only, Role, Statement};
use coldpost_tiers::cold::{Caller, ColdStore, Key};
pub use coldpost_tiers::cold::{Finding, Place, Requests, Severity, Usage};
use coldpost_tiers::segment::Lineage;

use crate::error::{Error, Kind, Result};
use crate::ids::Epoch;
use crate::settings::ColdSettings;
use crate::shard::Shard;

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

/// Whether the store holds the shard now. Emptied, or a directory that is not mounted any more: what goes there is lost when ours comes back.
///
/// # Errors
/// `Unavailable` when it does not, or does not answer.
pub(crate) async fn holds(cold: &ColdStore, shard: &Shard, caller: Caller) -> Result<()> {
    match lacks(cold, shard.lineage(), caller).await? {
        Some(lacks) => Err(lacks),
        None => Ok(()),
    }
}

/// Why the store does not hold a shard, if it does not: an empty listing of it says nothing then.
///
/// # Errors
/// `Unavailable` when it does not answer.
pub(crate) async fn lacks(
    cold: &ColdStore,
    lineage: Lineage,
    caller: Caller,
) -> Result<Option<Error>> {
    let claimant = cold.claimant(lineage.shard, lineage.epoch, caller).await?;
    let has = match claimant {
        Some(store) if store == lineage.store => return Ok(None),
        Some(_) => "holds another store, not this one,",
        None => "does not hold this store",
    };
    let text = format!("{} {has} now", cold.url());
    Ok(Some(Error::new(Kind::Unavailable, text)))
}

/// Each of the stores that this one is made of, and under which caller it is counted what they are asked.
pub(crate) fn copies(cold: &ColdStore, caller: Caller) -> Vec<(ColdStore, Caller)> {
    let callers = std::iter::once(caller).chain(std::iter::repeat(Caller::Mirror));
    cold.each_copy().into_iter().zip(callers).collect()
}

/// What `read` finds in the store; where that is wrong, what it finds right in one of those that it is made of.
///
/// # Errors
/// Those of `read`; of one of several alone they say nothing of the others.
pub(crate) fn right<T>(cold: &ColdStore, read: impl Fn(&ColdStore) -> Result<T>) -> Result<T> {
    match read(cold) {
        Err(wrong) if wrong.kind() == Kind::Corrupt && cold.copies() > 1 => {
            let copies = cold.each_copy();
            copies.iter().find_map(|copy| read(copy).ok()).ok_or(wrong)
        }
        said => said,
    }
}

/// Whether all that is deleted in the store now is ours: each copy holds the shard, and nobody took it over.
///
/// # Errors
/// `Unavailable` when one does not, or does not answer. `Conflict`: a later writer has the shard, which is down then.
pub(crate) async fn is_ours(cold: &ColdStore, shard: &Shard, caller: Caller) -> Result<()> {
    for copy in cold.each_copy() {
        holds(&copy, shard, caller).await?;
    }
    not_taken_over(cold, shard, caller).await
}

async fn not_taken_over(cold: &ColdStore, shard: &Shard, caller: Caller) -> Result<()> {
    let next = Epoch(shard.epoch.0.saturating_add(1));
    if cold.is_claimed(shard.no, next, caller).await? {
        let text = format!("a writer in epoch {} has taken the store over", next.0);
        shard.set_down(text.clone());
        return Err(Error::new(Kind::Conflict, text));
    }
    Ok(())
}

/// Looks for a later writer, then puts an object (with its digest) from a file.
///
/// # Errors
/// `Conflict`: a later writer has the shard, which is down then; or the object is there with other bytes. `Unavailable`: no answer.
pub(crate) async fn put(
    cold: &ColdStore,
    shard: &Shard,
    (object, digest): (ObjectId, [u8; 32]),
    file: &Path,
    caller: Caller,
) -> Result<()> {
    not_taken_over(cold, shard, caller).await?;
    let key = Key::of(shard.no, &object);
    cold.put_file(&key, file, digest, caller).await?;
    Ok(())
}
