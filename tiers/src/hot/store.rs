//! Opening, reading and writing a shard's redb file.
//!
//! Promises: one transaction = one applied batch; a snapshot is one state. A crash leaves the last durable commit, which opens without a scan
//! (quick-repair). A page that redb cannot make sense of, by an error or by a panic, is `Corrupt` and remembered.

use std::cell::OnceCell;
use std::fs::File;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, Table, WriteTransaction};

use rustix::fs::{Advice, fadvise};

use super::dense;
use super::guard::{Guard, OBJECT, Scan};
use super::schema::TableName;
use super::snapshot::{Snapshot, bounds, slices};
use super::unwritten::Unwritten;
use crate::error::{Error, Kind, Result};
use crate::limits::HOT_AHEAD_MAX;

/// Whether a commit is fsynced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitKind {
    /// Seen by readers at once, lost with the process; the journal replays it.
    Volatile,
    /// On disk when `commit` returns, with redb's quick-repair.
    Durable,
}

const THERE: &str = "it is there until it is dropped";
const OPENED: &str = "it was opened a line above";

/// A shard's hot tier.
pub struct HotTier {
    /// There until it is dropped.
    pub(super) db: Option<Database>,
    pub(super) guard: Guard,
    unwritten: Mutex<Unwritten>,
}

type WriteTable<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// A write transaction; a table is opened when it is first used.
pub struct Batch<'t> {
    txn: &'t WriteTransaction,
    tables: [OnceCell<WriteTable<'t>>; TableName::ALL.len()],
    pub(super) guard: Guard,
    unwritten: MutexGuard<'t, Unwritten>,
}

/// Tells the kernel that the file will be read: after a start of the machine the first listing would wait for it page by page.
fn ask_ahead(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    let advise = move || fadvise(&file, 0, NonZeroU64::new(HOT_AHEAD_MAX), Advice::WillNeed);
    // It is advice: whether it is taken, and when, changes nothing but time.
    let _ = std::thread::Builder::new()
        .name("hot-ahead".to_owned())
        .spawn(advise);
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
    let object = OBJECT.to_owned();
    Error::with_source(
        Kind::Corrupt { object, offset: 0 },
        format!(
            "hot tier {} is damaged; it is rebuilt from the journal",
            path.display()
        ),
        error,
    )
}

impl HotTier {
    /// Opens or makes the file at `path` with a page cache of `cache` bytes.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses; `Corrupt` when redb does not recognise the file (the caller rebuilds it from the journal).
    pub fn open(path: &Path, cache: usize) -> Result<HotTier> {
        // What a kill left of a stop.
        let _ = std::fs::remove_file(dense::file(path));
        ask_ahead(path);
        let mut builder = Database::builder();
        builder.set_cache_size(cache);
        HotTier::with_tables(path, || builder.create(path))
    }

    /// Opens over any storage.
    ///
    /// # Errors
    /// As [`HotTier::open`].
    pub(super) fn open_backend(
        backend: impl redb::StorageBackend,
        path: &Path,
        cache: usize,
    ) -> Result<HotTier> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache);
        HotTier::with_tables(path, || builder.create_with_backend(backend))
    }

    fn with_tables(
        path: &Path,
        open: impl FnOnce() -> std::result::Result<Database, redb::DatabaseError>,
    ) -> Result<HotTier> {
        let panicked = |_| {
            let words = "redb does not understand a page".to_owned();
            Err(redb::DatabaseError::Storage(redb::StorageError::Corrupted(
                words,
            )))
        };
        let opened = catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(panicked);
        let db = opened.map_err(|e| does_not_open(path, e))?;
        let hot = HotTier {
            db: Some(db),
            guard: Guard::default(),
            unwritten: Mutex::default(),
        };
        // The newest table: without it the file is new, or of before there was this one.
        let lacks_tables = {
            let read = hot.guard.run("begin", || hot.db().begin_read())?;
            hot.guard.run("its tables", || {
                match read.open_table(TableName::Snapshots.definition()) {
                    Err(redb::TableError::TableDoesNotExist(_)) => Ok(true),
                    opened => opened.map(|_| false),
                }
            })?
        };
        if lacks_tables {
            hot.write(CommitKind::Durable, |batch| {
                TableName::ALL
                    .iter()
                    .try_for_each(|table| batch.table(*table).map(drop))
            })?;
        }
        Ok(hot)
    }

    /// Compares every page with its checksum; whether all were right. What is not may be gone afterwards: only for one that was opened
    /// to be looked at.
    ///
    /// # Errors
    /// `Corrupt` when redb can make nothing of it, `Unavailable` when the disk refuses.
    pub fn check_integrity(&mut self) -> Result<bool> {
        let (db, guard) = (self.db.as_mut().expect(THERE), &self.guard);
        guard.run("its file", || db.check_integrity())
    }

    pub(super) fn db(&self) -> &Database {
        self.db.as_ref().expect(THERE)
    }

    /// Whether redb met bytes in it that it did not write.
    pub fn is_damaged(&self) -> bool {
        self.guard.has_met_damage()
    }

    /// Bytes of rows that changed since the last durable commit: how long the next one takes, which holds up whoever writes. More rather
    /// than less.
    pub fn unwritten_bytes(&self) -> u64 {
        self.unwritten().bytes()
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as of the last commit.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error, `Corrupt` when redb meets damage.
    pub fn read(&self) -> Result<Snapshot> {
        let read = self.guard.run("begin", || self.db().begin_read())?;
        Ok(Snapshot::new(read, self.guard.clone()))
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
        let guard = &self.guard;
        let mut txn = guard.run("begin", || self.db().begin_write())?;
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
            let mut batch = Batch {
                txn: &txn,
                tables: Default::default(),
                guard: guard.clone(),
                unwritten: self.unwritten(),
            };
            change(&mut batch)
        };
        match given {
            Ok(value) => {
                guard.run("commit", || txn.commit())?;
                if kind == CommitKind::Durable {
                    self.unwritten().written();
                }
                Ok(value)
            }
            Err(error) => {
                // The transaction's own failure matters, not that of giving it up.
                drop(guard.run("abort", || txn.abort()));
                Err(error)
            }
        }
    }
}

impl Drop for HotTier {
    fn drop(&mut self) {
        // redb writes once more when it closes, and may meet damage then.
        let db = self.db.take();
        let closed = self.guard.run::<_, redb::Error>("its end", || {
            drop(db);
            Ok(())
        });
        drop(closed);
    }
}

impl<'t> Batch<'t> {
    fn table(&self, name: TableName) -> Result<&WriteTable<'t>> {
        let cell = &self.tables[name as usize];
        if let Some(table) = cell.get() {
            return Ok(table);
        }
        let opened = self
            .guard
            .run(name.name(), || self.txn.open_table(name.definition()))?;
        Ok(cell.get_or_init(|| opened))
    }

    /// The value at `key`, as this transaction left it.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn get(&self, table: TableName, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let rows = self.table(table)?;
        let got = self.guard.value(table.name(), || rows.get(key))?;
        Ok(got.map(|v| v.value().to_vec()))
    }

    /// Writes a row.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn put(&mut self, table: TableName, key: &[u8], value: &[u8]) -> Result<()> {
        self.table(table)?;
        self.unwritten.changed(table, key, value.len());
        let rows = self.tables[table as usize].get_mut().expect(OPENED);
        self.guard
            .run(table.name(), || rows.insert(key, value).map(drop))
    }

    /// Takes a row away; whether it was there.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn remove(&mut self, table: TableName, key: &[u8]) -> Result<bool> {
        self.table(table)?;
        self.unwritten.changed(table, key, 0);
        let rows = self.tables[table as usize].get_mut().expect(OPENED);
        let removed = || rows.remove(key).map(|old| old.is_some());
        self.guard.run(table.name(), removed)
    }

    /// Rows whose keys begin with `prefix`, from `from` on.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn scan(&self, table: TableName, prefix: &[u8], from: &[u8]) -> Result<Scan<'_>> {
        let b = bounds(prefix, from);
        let rows = self.table(table)?;
        let rows = self
            .guard
            .run(table.name(), || rows.range::<&[u8]>(slices(&b)))?;
        Ok(self.guard.copied(rows, table.name(), Iterator::next))
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
        let rows = self.table(table)?;
        let mut rows = self
            .guard
            .run(table.name(), || rows.range::<&[u8]>(prefix..=to))?;
        let last = self.guard.row(table.name(), || rows.next_back())?;
        Ok(last.map(|(k, v)| (k.value().to_vec(), v.value().to_vec())))
    }
}
