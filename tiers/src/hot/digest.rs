//! Digests over rows in key order: equal on every replica, whatever the database file looks like.

use super::key;
use super::row::{BlobRow, ObjectRow, Place, Row};
use super::schema::TableName;
use super::snapshot::Snapshot;
use crate::error::Result;
use crate::frame::decompress_row;

/// Which columns take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// All of them.
    All,
    /// Without where bytes are: equal also when one replica has compacted and the other has not.
    WithoutAddresses,
}

/// BLAKE3 over all tables: for each row the table's number, lengths and bytes of key and value.
///
/// # Errors
/// `Unavailable` after an I/O error, `Corrupt` for a value that cannot be read.
pub fn of_rows(state: &Snapshot, columns: Columns) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    for (number, table) in (0_u8..).zip(TableName::ALL) {
        let plain = columns == Columns::All;
        // Holes follow from the runs, and how they are cut from when they were first noted.
        if table == TableName::Holes
            || !plain && matches!(table, TableName::Objects | TableName::Meta)
        {
            continue;
        }
        state.walk(table, &[], &[], |key, value| {
            let without;
            let value = match table {
                // How well it is compressed is its maker's affair.
                TableName::Rows => match decompress_row(value) {
                    Ok(row) => {
                        without = row;
                        &without
                    }
                    Err(_) => value,
                },
                TableName::Places if !plain => {
                    let mut place = Place::decode(key, value)?;
                    place.address.object.id = [0; 16];
                    place.address.offset = 0;
                    place.address.extents.clear();
                    let id = key::read_message(key).map(|(_, id)| id);
                    without = id.map(|id| place.encode(id)).unwrap_or_default();
                    &without
                }
                TableName::Blobs if !plain => {
                    let mut blob = BlobRow::decode("blobs", value)?;
                    blob.object.id = [0; 16];
                    blob.offset = 0;
                    without = blob.encode();
                    &without
                }
                _ => value,
            };
            hasher.update(&[number]);
            for part in [key, value] {
                hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
                hasher.update(part);
            }
            Ok(true)
        })?;
    }
    Ok(*hasher.finalize().as_bytes())
}

/// The rows of one table as text, for a test's message when digests differ.
///
/// # Errors
/// As [`of_rows`].
pub fn objects(state: &Snapshot) -> Result<Vec<(Vec<u8>, ObjectRow)>> {
    let mut rows = Vec::new();
    state.walk(TableName::Objects, &[], &[], |key, value| {
        rows.push((key.to_vec(), ObjectRow::decode("objects", value)?));
        Ok(true)
    })?;
    Ok(rows)
}
