//! Whether a directory is still the one in which the store is: where a file system was unmounted there is another one, which takes what is put.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::is_staged;
use crate::cold::key::CLAIMS;

/// Bytes of a claim that are compared.
const CLAIM_MAX: u64 = 4096;

/// Device and inode: what is mounted at a path has others than the directory below it.
pub(super) type Inode = (u64, u64);

/// A directory, and the claim of an epoch by which it is known again when it is replaced by a copy, or mounted anew.
#[derive(Clone, Debug)]
pub(super) struct Known {
    place: Inode,
    claim: PathBuf,
    bytes: Vec<u8>,
}

impl Known {
    /// The directory `root`, in which `claim` is.
    pub(super) fn by(root: &Path, claim: PathBuf) -> io::Result<Known> {
        let place = inode(root)?;
        let mut bytes = Vec::new();
        File::open(&claim)?
            .take(CLAIM_MAX)
            .read_to_end(&mut bytes)?;
        Ok(Known {
            place,
            claim,
            bytes,
        })
    }

    /// What is at `root` now, if it is what is known; where nothing is known yet, a claim in it makes it so.
    pub(super) fn look_again(root: &Path, known: Option<Known>) -> io::Result<Option<Known>> {
        let Some(known) = known else {
            return any_claim(root)
                .map(|claim| Known::by(root, claim))
                .transpose();
        };
        if inode(root)? == known.place {
            return Ok(Some(known));
        }
        match Known::by(root, known.claim) {
            Ok(now) if now.bytes == known.bytes => Ok(Some(now)),
            _ => {
                let words =
                    "the store is not in this directory any more: is its file system unmounted?";
                Err(io::Error::new(io::ErrorKind::NotFound, words))
            }
        }
    }
}

/// Whether it is the claim of an epoch: what says whose a store is.
pub(super) fn is_claim(name: &str) -> bool {
    name.starts_with(CLAIMS)
}

pub(super) fn inode(root: &Path) -> io::Result<Inode> {
    fs::metadata(root).map(|meta| (meta.dev(), meta.ino()))
}

/// The claim of some epoch, where there is one.
fn any_claim(root: &Path) -> Option<PathBuf> {
    let shards = fs::read_dir(root.join(CLAIMS)).ok()?.flatten();
    let claims = shards.filter_map(|shard| fs::read_dir(shard.path()).ok());
    let mut claims = claims.flat_map(|claims| claims.flatten().map(|claim| claim.path()));
    claims.find(|claim| !is_staged(&claim.to_string_lossy()))
}
