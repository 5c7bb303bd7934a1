//! A message's row: everything a listing needs, without the cold tier.

use std::sync::Arc;

use coldpost_tiers::address::Address;
use coldpost_tiers::frame::decompress_row;
use coldpost_tiers::hot::row::{Origin, Place, Row};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::error::{Error, Kind, Result};
use crate::ids::{AccountRef, EmailId, MessageId, ThreadId};
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

/// Reads the rows of messages, in the order of `ids`.
///
/// # Errors
/// `NotFound` when one is not there any more.
pub(crate) fn read(
    state: &Snapshot,
    account: AccountRef,
    ids: &[MessageId],
) -> Result<Vec<Message>> {
    let keys = keys(account, ids);
    let mut places: Vec<Option<Place>> = ids.iter().map(|_| None).collect();
    state.look_all(TableName::Places, &keys, |at, value| {
        places[at] = Some(Place::decode("places", value)?);
        Ok(())
    })?;
    let rows = unpacked(state, &keys)?;
    let gone = || Error::new(Kind::NotFound, "the message is not there any more");
    let mut messages = Vec::with_capacity(ids.len());
    for ((id, place), row) in ids.iter().zip(places).zip(rows) {
        let (place, row) = place.zip(row).ok_or_else(gone)?;
        messages.push(Message {
            account,
            id: *id,
            email_id: email_id(place.email_id),
            thread_id: ThreadId(email_id(place.thread_id)),
            internal_date: (place.date, place.zone),
            size: place.size,
            crc: place.crc,
            row: Stored::read(row)?,
            address: place.address,
            ahead: None,
        });
    }
    Ok(messages)
}

/// As [`read`], what a message says about itself only.
///
/// # Errors
/// `NotFound` when one is not there any more.
pub(crate) fn read_rows(
    state: &Snapshot,
    account: AccountRef,
    ids: &[MessageId],
) -> Result<Vec<Stored>> {
    let gone = || Error::new(Kind::NotFound, "the message is not there any more");
    let rows = unpacked(state, &keys(account, ids))?.into_iter();
    rows.map(|row| Stored::read(row.ok_or_else(gone)?))
        .collect()
}

fn keys(account: AccountRef, ids: &[MessageId]) -> Vec<Vec<u8>> {
    let key = |id: &MessageId| key::message(account.number, *id);
    ids.iter().map(key).collect()
}

fn unpacked(state: &Snapshot, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
    let mut rows: Vec<Option<Vec<u8>>> = keys.iter().map(|_| None).collect();
    state.look_all(TableName::Rows, keys, |at, value| {
        rows[at] = Some(decompress_row(value.get(1..).unwrap_or_default())?);
        Ok(())
    })?;
    Ok(rows)
}
