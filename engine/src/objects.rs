//! What a state of the hot tier says of objects, and about who needs what: the horizon, and the shard's time.

use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{ObjectRow, Row};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::apply::{ERASED, Fold};
use crate::error::Result;
use crate::ids::Position;

/// The row of an object.
///
/// # Errors
/// Of the disk, or `Corrupt`.
pub(crate) fn object_row(
    state: &Snapshot,
    object: ObjectId,
) -> coldpost_tiers::Result<Option<ObjectRow>> {
    let row = state.get(TableName::Objects, &key::object(object))?;
    row.map(|value| ObjectRow::decode("objects", &value))
        .transpose()
}

/// The position before which nobody needs anything any more: that of the oldest snapshot that was stored and is not gone; 0 without one.
///
/// # Errors
/// Of the disk, or `Corrupt`.
pub(crate) fn horizon(state: &Snapshot) -> Result<Position> {
    let mut oldest: Option<Position> = None;
    let kind = [ObjectKind::Snapshot as u8];
    state.walk(TableName::Objects, &kind, &kind, |_, value| {
        let row = ObjectRow::decode("objects", value)?;
        if row.last > Position(0) {
            oldest = Some(oldest.map_or(row.last, |o| o.min(row.last)));
        }
        Ok(true)
    })?;
    Ok(oldest.unwrap_or(Position(0)))
}

/// The time of the last entry, which never goes back: seconds since 1970.
///
/// # Errors
/// Of the disk, or `Corrupt`.
pub(crate) fn shard_time(state: &Snapshot) -> Result<i64> {
    let ms = Fold::applied(state)?.time_ms;
    Ok(i64::try_from(ms / 1000).unwrap_or(i64::MAX))
}

/// When an account of a shard was erased last, seconds since 1970; 0: never.
///
/// # Errors
/// Of the disk.
pub(crate) fn erased(state: &Snapshot) -> Result<i64> {
    Ok(erased_of(state.get(TableName::Meta, ERASED)?))
}

/// The same, of the row.
pub(crate) fn erased_of(row: Option<Vec<u8>>) -> i64 {
    let time = row.and_then(|row| Some(i64::from_be_bytes(*row.first_chunk()?)));
    time.unwrap_or(0)
}
