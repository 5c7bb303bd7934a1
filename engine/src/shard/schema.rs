//! How the rows of a hot tier are laid out. One of an earlier schema is given up and made anew from the journal: nothing in it is only there.
//!
//! Promises: a file of a newer schema is refused and stays as it is. A crash leaves: an empty or half-made hot tier, which replay fills.

use std::path::Path;

use coldpost_tiers::disk::{Disk, failed};
use coldpost_tiers::hot::{Batch, HotTier, SCHEMA, Snapshot, TableName};

use crate::error::{Error, Kind, Result};

/// Key in `meta` of the schema, a byte. The first schema had none.
const KEY: &[u8] = b"schema";
/// That of a hot tier without a word about it.
const FIRST: u8 = 1;

/// Notes in a new hot tier how its rows will be laid out.
pub(super) fn note(batch: &mut Batch<'_>) -> coldpost_tiers::Result<()> {
    batch.put(TableName::Meta, KEY, &[SCHEMA])
}

/// The schema of a hot tier that is older than ours.
///
/// # Errors
/// `Invalid` when it is a newer one.
pub(crate) fn older(state: &Snapshot) -> Result<Option<u8>> {
    let found = state.get(TableName::Meta, KEY)?;
    let found = found.map_or(FIRST, |value| value.first().copied().unwrap_or(FIRST));
    if found > SCHEMA {
        let text = format!(
            "the hot tier has rows of schema {found}, this coldpost knows {SCHEMA}: start the version that made it, or move \
             hot.redb away, and it is made anew from the journal"
        );
        return Err(Error::new(Kind::Invalid, text));
    }
    Ok((found < SCHEMA).then_some(found))
}

/// Removes the file of a hot tier of an earlier schema.
///
/// # Errors
/// `Unavailable` when the disk refuses.
pub(super) fn give_up(disk: &dyn Disk, hot: HotTier, path: &Path, schema: u8) -> Result<()> {
    tracing::warn!(
        "the rows in {} are of schema {schema}, this version has {SCHEMA}: the hot tier is made anew from the journal, once, \
         which takes a while",
        path.display()
    );
    drop(hot);
    let dir = path.parent().unwrap_or(path);
    disk.remove(path)
        .and_then(|()| disk.sync_dir(dir))
        .map_err(|e| failed("remove", path, e).into())
}

#[cfg(test)]
mod tests {
    use coldpost_tiers::disk::RealDisk;
    use coldpost_tiers::hot::CommitKind;

    use super::*;

    #[test]
    fn an_earlier_schema_is_given_up_and_a_newer_one_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hot.redb");
        let open = || HotTier::open(&path, 1 << 20).unwrap();
        let put = |hot: &HotTier, schema| {
            hot.write(CommitKind::Durable, |batch| {
                batch.put(TableName::Meta, KEY, &[schema])
            })
            .unwrap();
        };
        let hot = open();
        assert_eq!(older(&hot.read().unwrap()).unwrap(), Some(FIRST));
        hot.write(CommitKind::Durable, note).unwrap();
        assert_eq!(older(&hot.read().unwrap()).unwrap(), None);
        put(&hot, SCHEMA + 1);
        let refused = older(&hot.read().unwrap()).unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid);
        assert!(
            refused.to_string().contains("move hot.redb away"),
            "{refused}"
        );
        put(&hot, SCHEMA - 1);
        let schema = older(&hot.read().unwrap()).unwrap();
        give_up(&RealDisk, hot, &path, schema.unwrap()).unwrap();
        assert!(!path.exists());
    }
}
