//! One state of the hot tier: looking rows up, walking over them.
//!
//! Promises: a snapshot is one state, whatever is written meanwhile. Never: lives longer than a piece of a command.

use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::sync::OnceLock;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTableMetadata};

use super::guard::{Guard, Scan};
use super::key::after_prefix;
use super::schema::TableName;
use crate::error::Result;

/// Rows between two wanted ones that are walked over; beyond, the next one is looked up.
const WALK_PASSES_MAX: u32 = 4;

type BytesTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// One state of the hot tier. Short-lived: no session keeps one between commands. A table is opened when it is first looked at:
/// most readers want two or three of sixteen.
pub struct Snapshot {
    read: ReadTransaction,
    tables: [OnceLock<BytesTable>; TableName::ALL.len()],
    guard: Guard,
}

impl Snapshot {
    pub(super) fn new(read: ReadTransaction, guard: Guard) -> Snapshot {
        Snapshot {
            read,
            tables: Default::default(),
            guard,
        }
    }

    fn table(&self, name: TableName) -> Result<&BytesTable> {
        let cell = &self.tables[name as usize];
        if let Some(table) = cell.get() {
            return Ok(table);
        }
        let opened = self
            .guard
            .run(name.name(), || self.read.open_table(name.definition()))?;
        Ok(cell.get_or_init(|| opened))
    }

    /// The value at `key`.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn get(&self, table: TableName, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let rows = self.table(table)?;
        let got = self.guard.value(table.name(), || rows.get(key))?;
        Ok(got.map(|v| v.value().to_vec()))
    }

    /// Rows of a table.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error, `Corrupt`.
    pub fn count(&self, table: TableName) -> Result<u64> {
        let rows = self.table(table)?;
        self.guard.run(table.name(), || rows.len())
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
        let rows = self.table(table)?;
        let got = self.guard.value(table.name(), || rows.get(key))?;
        Ok(got.map(|v| look(v.value())))
    }

    /// Gives the values at `keys` to `look`, with the place of each among the keys; keys without a row are passed over. Where keys ascend and
    /// lie together, rows are walked and not looked up one by one.
    ///
    /// # Errors
    /// As [`Snapshot::get`], or what `look` gives.
    pub fn look_all<K: AsRef<[u8]>>(
        &self,
        table: TableName,
        keys: &[K],
        mut look: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let rows = self.table(table)?;
        let mut at = 0;
        while let Some(first) = keys.get(at) {
            let end = at + ascending(&keys[at..]);
            let last = keys[end - 1].as_ref();
            let mut walk = self
                .guard
                .run(table.name(), || rows.range::<&[u8]>(first.as_ref()..=last))?;
            let mut passed = 0;
            while at < end && passed <= WALK_PASSES_MAX {
                let Some((k, v)) = self.guard.row(table.name(), || walk.next())? else {
                    at = end;
                    break;
                };
                passed += 1;
                while at < end && keys[at].as_ref() < k.value() {
                    at += 1;
                }
                if at < end && keys[at].as_ref() == k.value() {
                    look(at, v.value())?;
                    at += 1;
                    passed = 0;
                }
            }
        }
        Ok(())
    }

    /// Rows whose keys begin with `prefix`, from `from` on.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn scan(&self, table: TableName, prefix: &[u8], from: &[u8]) -> Result<Scan<'_>> {
        let b = bounds(prefix, from);
        let rows = self.table(table)?;
        let rows = self
            .guard
            .run(table.name(), || rows.range::<&[u8]>(slices(&b)))?;
        Ok(self.guard.copied(rows, table.name(), Iterator::next))
    }

    /// Rows whose keys begin with `prefix` and are at most `to`, the last one first.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn scan_back(&self, table: TableName, prefix: &[u8], to: &[u8]) -> Result<Scan<'_>> {
        let rows = self.table(table)?;
        let rows = self
            .guard
            .run(table.name(), || rows.range::<&[u8]>(prefix..=to))?;
        Ok(self
            .guard
            .copied(rows, table.name(), DoubleEndedIterator::next_back))
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
        let rows = self.table(table)?;
        let rows = self
            .guard
            .run(table.name(), || rows.range::<&[u8]>(slices(&b)))?;
        let mut rows = rows;
        while let Some((k, v)) = self.guard.row(table.name(), || rows.next())? {
            if !each(k.value(), v.value())? {
                break;
            }
        }
        Ok(())
    }
}

/// How many keys from the first on ascend.
fn ascending<K: AsRef<[u8]>>(keys: &[K]) -> usize {
    let pairs = keys.windows(2);
    1 + pairs
        .take_while(|pair| pair[0].as_ref() < pair[1].as_ref())
        .count()
}

pub(super) fn bounds(prefix: &[u8], from: &[u8]) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let start = if from > prefix { from } else { prefix };
    (
        Included(start.to_vec()),
        after_prefix(prefix).map_or(Unbounded, Excluded),
    )
}

pub(super) fn slices(b: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (
        b.0.as_ref().map(Vec::as_slice),
        b.1.as_ref().map(Vec::as_slice),
    )
}
