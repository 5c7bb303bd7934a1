//! A message's row: everything a listing needs, without the cold tier.

use std::sync::Arc;

use coldpost_tiers::address::Address;
use coldpost_tiers::frame::decompress_row;
use coldpost_tiers::hot::row::{Origin, Place};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::error::{Error, Kind, Result};
use crate::ids::{AccountRef, EmailId, MessageId, ThreadId};
use crate::limits::ROWS_BYTES_MAX;
use crate::mail::Stored;
use crate::view::ahead::Ahead;

/// A message of an account, from the hot tier.
#[derive(Clone, Debug)]
pub struct Message {
    /// Whose.
    pub account: AccountRef,
    /// Its id.
    pub id: MessageId,
    /// EMAILID
    pub email_id: EmailId,
    /// THREADID
    pub thread_id: ThreadId,
    /// INTERNALDATE: seconds since 1970 and the zone in minutes east.
    pub internal_date: (i64, i16),
    /// RFC822.SIZE, octets.
    pub size: u64,
    /// CRC32C of the message as it came.
    pub crc: u32,
    /// What it says about itself.
    pub row: Stored,
    pub(crate) address: Address,
    /// What was read ahead of it and its neighbours.
    pub(crate) ahead: Option<Arc<Ahead>>,
}

fn email_id(origin: Origin) -> EmailId {
    EmailId {
        shard: origin.shard,
        message: origin.message,
    }
}

/// Reads the rows of messages, in the order of `ids`: the first ones, at least one, as long as they are not over [`ROWS_BYTES_MAX`]. Each is
/// there, or `Corrupt`: what a session shows is not purged, so an entry without a row is damage and no message that went.
///
/// # Errors
/// `Unavailable` after an I/O error.
pub(crate) fn read(
    state: &Snapshot,
    account: AccountRef,
    ids: &[MessageId],
) -> Result<Vec<Result<Message>>> {
    let rows = unpacked(state, account, ids)?;
    let keys = keys(account, ids.get(..rows.len()).unwrap_or(ids));
    let mut places: Vec<Option<Result<Place>>> = keys.iter().map(|_| None).collect();
    state.look_all(TableName::Places, &keys, |at, value| {
        places[at] = Some(Place::decode(&keys[at], value).map_err(Error::from));
        Ok(())
    })?;
    let all = ids.iter().zip(places).zip(rows);
    Ok(all
        .map(|((id, place), row)| message(account, *id, place, row))
        .collect())
}

fn message(
    account: AccountRef,
    id: MessageId,
    place: Option<Result<Place>>,
    row: Result<Vec<u8>>,
) -> Result<Message> {
    let place = place.ok_or_else(without_row)??;
    Ok(Message {
        account,
        id,
        email_id: email_id(place.email_id),
        thread_id: ThreadId(email_id(place.thread_id)),
        internal_date: (place.date, place.zone),
        size: place.size,
        crc: place.crc,
        row: Stored::read(row?)?,
        address: place.address,
        ahead: None,
    })
}

/// As [`read`], what a message says about itself only.
///
/// # Errors
/// As [`read`], and `Corrupt` when one of them is.
pub(crate) fn read_rows(
    state: &Snapshot,
    account: AccountRef,
    ids: &[MessageId],
) -> Result<Vec<Stored>> {
    let rows = unpacked(state, account, ids)?.into_iter();
    rows.map(|row| Stored::read(row?)).collect()
}

/// What a message was given when it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    /// INTERNALDATE, seconds since 1970.
    pub(crate) date: i64,
    /// RFC822.SIZE, octets.
    pub(crate) size: u64,
}

/// What the messages were given, each in the order of `ids`.
///
/// # Errors
/// As [`read_rows`].
pub(crate) fn read_given(
    state: &Snapshot,
    account: AccountRef,
    ids: &[MessageId],
) -> Result<Vec<Given>> {
    let keys = keys(account, ids);
    let mut given: Vec<Option<Given>> = vec![None; keys.len()];
    state.look_all(TableName::Places, &keys, |at, value| {
        let Place { date, size, .. } = Place::decode(&keys[at], value)?;
        given[at] = Some(Given { date, size });
        Ok(())
    })?;
    let all = given.into_iter();
    all.map(|given| given.ok_or_else(without_row)).collect()
}

fn without_row() -> Error {
    let text = "an entry names a message that has no row: run coldpost verify";
    Error::new(Kind::Corrupt, text)
}

fn keys(account: AccountRef, ids: &[MessageId]) -> Vec<Vec<u8>> {
    let key = |id: &MessageId| key::message(account.number, *id);
    ids.iter().map(key).collect()
}

/// The first rows of `ids`, as many as fit.
fn unpacked(
    state: &Snapshot,
    account: AccountRef,
    ids: &[MessageId],
) -> Result<Vec<Result<Vec<u8>>>> {
    let keys = keys(account, ids);
    let mut rows: Vec<_> = keys.iter().map(|_| None).collect();
    let (mut bytes, mut end) = (0, keys.len());
    state.look_all(TableName::Rows, &keys, |at, value| {
        if bytes >= ROWS_BYTES_MAX {
            end = end.min(at);
        } else {
            let row = decompress_row(value);
            bytes += row.as_ref().map_or(0, Vec::len);
            rows[at] = Some(row.map_err(Error::from));
        }
        Ok(())
    })?;
    rows.truncate(end);
    let there = rows.into_iter();
    Ok(there
        .map(|row| row.unwrap_or_else(|| Err(without_row())))
        .collect())
}
