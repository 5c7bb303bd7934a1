//! Whether a directory is the one in which the store is: where a file system was unmounted there is another one, which takes what is put.
//!
//! Promises: once a claim of this store was found there, nothing that is put counts while none is; nothing counts in another store's. A directory
//! without any claim may be a mirror that is still to be filled. Never: writes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::is_staged;
use crate::address::StoreId;
use crate::cold::key::{CLAIMS, PROBES};
use crate::object::{HEADER_MAX, ObjectHeader};

/// Whose directory it is, as far as that is known.
#[derive(Debug, Default)]
pub(super) struct Owner {
    store: OnceLock<StoreId>,
    was_found: AtomicBool,
}

impl Owner {
    /// From here on what is put belongs to this store.
    pub(super) fn set(&self, store: StoreId) {
        // It is the same each time.
        let _ = self.store.set(store);
    }

    /// Remembers that the store is at `root`, if it is.
    pub(super) fn note(&self, root: &Path) {
        if let Some(store) = self.store.get()
            && whose(root, *store) == Whose::Ours
        {
            self.was_found.store(true, Ordering::Release);
        }
    }

    /// What was put just now is where the store is.
    ///
    /// # Errors
    /// `NotFound`: it is in the directory below a file system that was unmounted, or in another store.
    pub(super) fn has(&self, root: &Path, name: &str) -> io::Result<()> {
        let Some(store) = self.store.get().filter(|_| !is_before_claims(name)) else {
            return Ok(());
        };
        let gone = |words| Err(io::Error::new(io::ErrorKind::NotFound, words));
        match whose(root, *store) {
            Whose::Ours => self.was_found.store(true, Ordering::Release),
            Whose::Others => return gone("the directory belongs to another store"),
            Whose::Nobodys if self.was_found.load(Ordering::Acquire) => {
                return gone(
                    "the store is not in this directory any more: is its file system unmounted?",
                );
            }
            Whose::Nobodys => {}
        }
        // It may have gone below, and the file system be back.
        fs::metadata(root.join(name)).map(drop)
    }
}

/// Claims make a directory a store, and probes try whether it can be one.
fn is_before_claims(name: &str) -> bool {
    is_claim(name) || name.starts_with(PROBES)
}

/// Whether it is the claim of an epoch.
pub(super) fn is_claim(name: &str) -> bool {
    name.starts_with(CLAIMS)
}

#[derive(Debug, PartialEq, Eq)]
enum Whose {
    Ours,
    Others,
    Nobodys,
}

/// By the first claim of `store`, or else by any.
fn whose(root: &Path, store: StoreId) -> Whose {
    let mut whose = Whose::Nobodys;
    for claim in claims(root) {
        match claimant(&claim) {
            Some(found) if found == store => return Whose::Ours,
            Some(_) => whose = Whose::Others,
            None => {}
        }
    }
    whose
}

fn claims(root: &Path) -> impl Iterator<Item = PathBuf> {
    let shards = fs::read_dir(root.join(CLAIMS)).into_iter().flatten();
    let claims = shards.flatten().filter_map(|s| fs::read_dir(s.path()).ok());
    let claims = claims.flat_map(|claims| claims.flatten().map(|claim| claim.path()));
    claims.filter(|claim| !is_staged(&claim.to_string_lossy()))
}

/// None where it cannot be read, or is damaged.
fn claimant(claim: &Path) -> Option<StoreId> {
    let mut bytes = Vec::new();
    let most = u64::try_from(HEADER_MAX).ok()?;
    let file = File::open(claim).ok()?;
    file.take(most).read_to_end(&mut bytes).ok()?;
    let header = ObjectHeader::decode(&bytes, "a claim").ok()?;
    Some(header.0.store)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::cold::tests::{CLAIM, OURS, claim_of};

    const OBJECT: &str = "segments/0001/00000001/0000000000000001";

    /// The file system was back when somebody looked.
    #[test]
    fn what_went_below_does_not_count_where_the_store_is_again() {
        let scratch = TempDir::new().unwrap();
        let root = scratch.path();
        let write = |name: &str, bytes: &[u8]| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let owner = Owner::default();
        assert!(owner.has(root, OBJECT).is_ok(), "nobody said whose it is");
        owner.set(OURS);
        write(&CLAIM.to_string(), &claim_of(OURS));
        assert!(owner.has(root, OBJECT).is_err());
        write(OBJECT, b"a sealed COLDPOST");
        assert!(owner.has(root, OBJECT).is_ok());

        // Half a claim, as a kill leaves it, is none; nor is one that cannot be read.
        fs::remove_dir_all(root.join("epochs")).unwrap();
        write(&format!("{CLAIM}#1"), &claim_of(OURS));
        assert!(owner.has(root, OBJECT).is_err());
        write(&CLAIM.to_string(), b"?");
        assert!(owner.has(root, OBJECT).is_err());
        assert!(owner.has(root, &CLAIM.to_string()).is_ok(), "it mends that");
    }
}
