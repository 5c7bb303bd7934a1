//! Opening, reading and writing a shard's redb file.
//!
//! Promises: one transaction = one applied batch; a snapshot is one state. A crash leaves the last durable commit, which opens without a scan
//! (quick-repair).

use std::path::Path;

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, Table};

use super::key::after_prefix;
use super::schema::TableName;
use crate::error::{Error, Kind, Result};

/// Whether a commit is fsynced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitKind {
    /// Seen by readers at once, lost with the process; the journal replays it.
    Volatile,
    /// On disk when `commit` returns, with redb's quick-repair.
    Durable,
}

/// A shard's hot tier.
pub struct HotTier {
    db: Database,
}

type BytesTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// One state of the hot tier. Short-lived: no session keeps one between commands.
pub struct Snapshot {
    tables: Vec<BytesTable>,
}

/// Keys and values of a scan, in key order.
pub type Scan<'a> = Box<dyn Iterator<Item = Result<(Vec<u8>, Vec<u8>)>> + 'a>;

/// A write transaction with all tables open.
pub struct Batch<'t> {
    tables: Vec<Table<'t, &'static [u8], &'static [u8]>>,
}

fn disk(what: &str) -> impl FnOnce(redb::Error) -> Error + '_ {
    move |e| Error::with_source(Kind::Unavailable, format!("hot tier: {what}"), e)
}

/// Only what says that the bytes themselves are wrong is damage: a file that a reader still holds open, or a disk that refuses, is not.
fn is_damage(error: &redb::DatabaseError) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        redb::DatabaseError::Storage(redb::StorageError::Io(e)) => {
            matches!(e.kind(), InvalidData | UnexpectedEof)
        }
        redb::DatabaseError::Storage(error) => matches!(error, redb::StorageError::Corrupted(_)),
        redb::DatabaseError::RepairAborted | redb::DatabaseError::UpgradeRequired(_) => true,
        _ => false,
    }
}

fn does_not_open(path: &Path, error: redb::DatabaseError) -> Error {
    if !is_damage(&error) {
        let words = format!("hot tier {} does not open", path.display());
        return Error::with_source(Kind::Unavailable, words, error);
    }
    let object = path.display().to_string();
    Error::with_source(
        Kind::Corrupt { object, offset: 0 },
        "hot tier is damaged; it is rebuilt from the journal",
        error,
    )
}

impl HotTier {
    /// Opens or makes the file at `path` with a page cache of `cache` bytes.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses; `Corrupt` when redb does not recognise the file (the caller rebuilds it from the journal).
    pub fn open(path: &Path, cache: usize) -> Result<HotTier> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache);
        let db = builder.create(path).map_err(|e| does_not_open(path, e))?;
        HotTier::with_tables(db)
    }

    /// Opens over any storage: tests hand in a disk that forgets.
    ///
    /// # Errors
    /// As [`HotTier::open`].
    #[cfg(feature = "faults")]
    pub(super) fn open_backend(
        backend: impl redb::StorageBackend,
        path: &Path,
        cache: usize,
    ) -> Result<HotTier> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache);
        let db = builder
            .create_with_backend(backend)
            .map_err(|e| does_not_open(path, e))?;
        HotTier::with_tables(db)
    }

    fn with_tables(db: Database) -> Result<HotTier> {
        let hot = HotTier { db };
        let fresh = {
            let read = hot.db.begin_read().map_err(|e| disk("begin")(e.into()))?;
            read.open_table(TableName::Pending.definition()).is_err()
        };
        if fresh {
            hot.write(CommitKind::Durable, |_| Ok(()))?;
        }
        Ok(hot)
    }

    /// The state as of the last commit.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn read(&self) -> Result<Snapshot> {
        let read = self.db.begin_read().map_err(|e| disk("begin")(e.into()))?;
        let tables = TableName::ALL
            .iter()
            .map(|t| {
                read.open_table(t.definition())
                    .map_err(|e| disk(t.name())(e.into()))
            })
            .collect::<Result<_>>()?;
        Ok(Snapshot { tables })
    }

    /// Runs `change` in one transaction and commits it; nothing of it remains when it fails.
    ///
    /// # Errors
    /// What `change` gives; `Unavailable` when the disk refuses: the caller closes this hot tier and reopens it by replay.
    pub fn write<T>(
        &self,
        kind: CommitKind,
        change: impl FnOnce(&mut Batch<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut txn = self.db.begin_write().map_err(|e| disk("begin")(e.into()))?;
        let durability = match kind {
            CommitKind::Volatile => Durability::None,
            CommitKind::Durable => {
                txn.set_quick_repair(true);
                Durability::Immediate
            }
        };
        txn.set_durability(durability)
            .map_err(|e| Error::with_source(Kind::Internal, "hot tier: durability", e))?;
        let given = {
            let tables = TableName::ALL
                .iter()
                .map(|t| {
                    txn.open_table(t.definition())
                        .map_err(|e| disk(t.name())(e.into()))
                })
                .collect::<Result<_>>()?;
            change(&mut Batch { tables })
        };
        match given {
            Ok(value) => {
                txn.commit().map_err(|e| disk("commit")(e.into()))?;
                Ok(value)
            }
            Err(error) => {
                // The transaction's own failure matters, not that of giving it up.
                drop(txn.abort());
                Err(error)
            }
        }
    }
}

fn bounds(prefix: &[u8], from: &[u8]) -> (std::ops::Bound<Vec<u8>>, std::ops::Bound<Vec<u8>>) {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let start = if from > prefix { from } else { prefix };
    (
        Included(start.to_vec()),
        after_prefix(prefix).map_or(Unbounded, Excluded),
    )
}

fn slices(
    b: &(std::ops::Bound<Vec<u8>>, std::ops::Bound<Vec<u8>>),
) -> (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>) {
    (
        b.0.as_ref().map(Vec::as_slice),
        b.1.as_ref().map(Vec::as_slice),
    )
}

fn copied<'a>(
    range: redb::Range<'a, &'static [u8], &'static [u8]>,
    name: &'static str,
) -> Scan<'a> {
    Box::new(range.map(move |item| {
        let (k, v) = item.map_err(|e| disk(name)(e.into()))?;
        Ok((k.value().to_vec(), v.value().to_vec()))
    }))
}

impl Snapshot {
    /// The value at `key`.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn get(&self, table: TableName, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let got = self.tables[table as usize]
            .get(key)
            .map_err(|e| disk(table.name())(e.into()))?;
        Ok(got.map(|v| v.value().to_vec()))
    }

    /// Gives the value at `key` to `look`, without a copy.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn look<T>(
        &self,
        table: TableName,
        key: &[u8],
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        let got = self.tables[table as usize]
            .get(key)
            .map_err(|e| disk(table.name())(e.into()))?;
        Ok(got.map(|v| look(v.value())))
    }

    /// Rows whose keys begin with `prefix`, from `from` on.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn scan(&self, table: TableName, prefix: &[u8], from: &[u8]) -> Result<Scan<'_>> {
        let b = bounds(prefix, from);
        let range = self.tables[table as usize]
            .range::<&[u8]>(slices(&b))
            .map_err(|e| disk(table.name())(e.into()))?;
        Ok(copied(range, table.name()))
    }

    /// Rows whose keys begin with `prefix` and are at most `to`, the last one first.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn scan_back(&self, table: TableName, prefix: &[u8], to: &[u8]) -> Result<Scan<'_>> {
        let range = self.tables[table as usize]
            .range::<&[u8]>(prefix..=to)
            .map_err(|e| disk(table.name())(e.into()))?;
        let name = table.name();
        Ok(Box::new(range.rev().map(move |item| {
            let (k, v) = item.map_err(|e| disk(name)(e.into()))?;
            Ok((k.value().to_vec(), v.value().to_vec()))
        })))
    }

    /// Calls `each` for rows whose keys begin with `prefix`, from `from` on, without copies, until it says stop (`false`).
    ///
    /// # Errors
    /// As [`Snapshot::get`], or what `each` gives.
    pub fn walk(
        &self,
        table: TableName,
        prefix: &[u8],
        from: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let b = bounds(prefix, from);
        let range = self.tables[table as usize]
            .range::<&[u8]>(slices(&b))
            .map_err(|e| disk(table.name())(e.into()))?;
        for item in range {
            let (k, v) = item.map_err(|e| disk(table.name())(e.into()))?;
            if !each(k.value(), v.value())? {
                break;
            }
        }
        Ok(())
    }
}

impl Batch<'_> {
    /// The value at `key`, as this transaction left it.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn get(&self, table: TableName, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let got = self.tables[table as usize]
            .get(key)
            .map_err(|e| disk(table.name())(e.into()))?;
        Ok(got.map(|v| v.value().to_vec()))
    }

    /// Writes a row.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn put(&mut self, table: TableName, key: &[u8], value: &[u8]) -> Result<()> {
        self.tables[table as usize]
            .insert(key, value)
            .map_err(|e| disk(table.name())(e.into()))?;
        Ok(())
    }

    /// Takes a row away; whether it was there.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn remove(&mut self, table: TableName, key: &[u8]) -> Result<bool> {
        Ok(self.tables[table as usize]
            .remove(key)
            .map_err(|e| disk(table.name())(e.into()))?
            .is_some())
    }

    /// Rows whose keys begin with `prefix`, from `from` on.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn scan(&self, table: TableName, prefix: &[u8], from: &[u8]) -> Result<Scan<'_>> {
        let b = bounds(prefix, from);
        let range = self.tables[table as usize]
            .range::<&[u8]>(slices(&b))
            .map_err(|e| disk(table.name())(e.into()))?;
        Ok(copied(range, table.name()))
    }

    /// The last row whose key begins with `prefix` and is at most `to`.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn last_at_most(
        &self,
        table: TableName,
        prefix: &[u8],
        to: &[u8],
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let mut range = self.tables[table as usize]
            .range::<&[u8]>(prefix..=to)
            .map_err(|e| disk(table.name())(e.into()))?;
        match range.next_back() {
            None => Ok(None),
            Some(item) => {
                let (k, v) = item.map_err(|e| disk(table.name())(e.into()))?;
                Ok(Some((k.value().to_vec(), v.value().to_vec())))
            }
        }
    }
}
