//! Closes a hot tier, and writes it anew before that where its file has much room that no row takes.
//!
//! Promises: the file has another name until all of it is durable; the rows are the same. A crash leaves: the file as it was, and one that the
//! next opening removes.

use std::path::{Path, PathBuf};

use redb::{ReadableDatabase, ReadableTableMetadata};

use super::schema::TableName;
use super::store::{CommitKind, HotTier};
use crate::Result;
use crate::disk::{Disk, RealDisk, failed};
use crate::limits::{
    HOT_COMPACT_MAX, HOT_COMPACT_ROUNDS, HOT_DENSE_CACHE, HOT_WASTE_MIN, HOT_WASTE_SHARE,
};

/// Bytes of a page of redb.
const PAGE: u64 = 4096;

/// The file in which the rows of the one at `path` are written anew.
pub(super) fn file(path: &Path) -> PathBuf {
    path.with_extension("dense")
}

impl HotTier {
    /// Closes it, and before that gives the disk back what its file has too much, where that is worth it and is done soon. Whether it did.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses; the file is whole all the same.
    pub fn close(mut self, path: &Path) -> Result<bool> {
        let length = std::fs::metadata(path).map_or(0, |meta| meta.len());
        if length > HOT_COMPACT_MAX {
            return Ok(false);
        }
        let waste = length.saturating_sub(self.used_bytes()?);
        if waste < HOT_WASTE_MIN || waste.saturating_mul(HOT_WASTE_SHARE) < length {
            return Ok(false);
        }
        // Both are there for a moment, and others want the disk too.
        let free = RealDisk.free_bytes(path).unwrap_or(0);
        if free < length.saturating_mul(2) {
            return Ok(false);
        }
        let dense = file(path);
        let _ = std::fs::remove_file(&dense);
        if let Err(e) = self.write_densely(&dense) {
            let _ = std::fs::remove_file(&dense);
            return Err(e);
        }
        self.db = None;
        let dir = path.parent().unwrap_or(Path::new("."));
        RealDisk
            .rename(&dense, path)
            .and_then(|()| RealDisk.sync_dir(dir))
            .map_err(|e| failed("replace", path, e))?;
        Ok(true)
    }

    /// The same rows in a new file, in the order of their keys: what came in between others left pages half full, which redb's own
    /// compaction moves and does not join.
    fn write_densely(&self, path: &Path) -> Result<()> {
        let state = self.read()?;
        let mut new = HotTier::open(path, HOT_DENSE_CACHE)?;
        new.write(CommitKind::Durable, |batch| {
            for table in TableName::ALL {
                state.walk(table, &[], &[], |key, value| {
                    batch.put(table, key, value)?;
                    Ok(true)
                })?;
            }
            Ok(())
        })?;
        new.cut_off_free_pages()
    }

    fn cut_off_free_pages(&mut self) -> Result<()> {
        let Some(db) = self.db.as_mut() else {
            return Ok(());
        };
        for _ in 0..HOT_COMPACT_ROUNDS {
            let compacted = self.guard.run("compacting it", || {
                db.compact().map_err(|e| match e {
                    redb::CompactionError::Storage(e) => redb::Error::from(e),
                    other => redb::Error::Io(std::io::Error::other(other)),
                })
            })?;
            if !compacted {
                break;
            }
        }
        Ok(())
    }

    /// Bytes that its rows take and redb needs to find them.
    fn used_bytes(&self) -> Result<u64> {
        let read = self.guard.run("begin", || self.db().begin_read())?;
        let mut used = 0;
        for table in TableName::ALL {
            used += self.guard.run("its size", || {
                let stats = read
                    .open_table(table.definition())
                    .map_err(redb::Error::from)?
                    .stats()
                    .map_err(redb::Error::from)?;
                let bytes = stats.stored_bytes() + stats.metadata_bytes();
                // A table with one row takes a page.
                let alone = stats.leaf_pages().min(1) * PAGE;
                Ok::<_, redb::Error>(bytes.max(alone))
            })?;
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: u64 = 60;
    const ROWS: u64 = 9_000;

    /// Rows of many accounts in turns, each behind the last one of its account.
    fn mixed(path: &Path) -> HotTier {
        let hot = HotTier::open(path, 4 << 20).unwrap();
        for number in 0..ROWS {
            let account = number % ACCOUNTS;
            let key = [account.to_be_bytes(), number.to_be_bytes()].concat();
            let value = vec![u8::try_from(account).unwrap(); 180];
            hot.write(CommitKind::Volatile, |batch| {
                batch.put(TableName::Rows, &key, &value)
            })
            .unwrap();
        }
        hot.write(CommitKind::Durable, |_| Ok(())).unwrap();
        hot
    }

    fn rows(hot: &HotTier) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        let state = hot.read().unwrap();
        let walked = state.walk(TableName::Rows, &[], &[], |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok(true)
        });
        walked.unwrap();
        rows
    }

    #[test]
    fn rows_of_many_accounts_in_turns_are_dense_after_a_stop_and_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hot.redb");
        let hot = mixed(&path);
        let before = rows(&hot);
        let taken = hot.used_bytes().unwrap();
        assert!(hot.close(&path).unwrap());
        let length = std::fs::metadata(&path).unwrap().len();
        assert!(length < taken * 5 / 4, "{length} bytes for {taken} of rows");
        assert!(!file(&path).exists());
        let hot = HotTier::open(&path, 4 << 20).unwrap();
        assert_eq!(rows(&hot), before);
        assert!(!hot.close(&path).unwrap(), "once is enough");
    }

    #[test]
    fn a_store_with_little_in_it_is_small_after_a_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hot.redb");
        let hot = HotTier::open(&path, 4 << 20).unwrap();
        for round in 0_u32..20 {
            hot.write(CommitKind::Durable, |batch| {
                batch.put(TableName::Meta, b"key", &round.to_be_bytes())
            })
            .unwrap();
        }
        assert!(hot.close(&path).unwrap());
        let length = std::fs::metadata(&path).unwrap().len();
        assert!(length <= 16 * PAGE, "{length}");
        let hot = HotTier::open(&path, 4 << 20).unwrap();
        assert!(!hot.close(&path).unwrap(), "once is enough");
    }

    #[test]
    fn what_a_kill_left_of_a_stop_goes_with_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hot.redb");
        std::fs::write(file(&path), b"half of it").unwrap();
        drop(HotTier::open(&path, 4 << 20).unwrap());
        assert!(!file(&path).exists());
    }
}
