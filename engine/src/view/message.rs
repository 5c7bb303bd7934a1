//! A message's row: everything a listing needs, without the cold tier.

use std::sync::Arc;

use coldpost_tiers::address::Address;
use coldpost_tiers::frame::decompress_row;
use coldpost_tiers::hot::row::{Origin, Place, Row};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::error::{Error, Kind, Result};
use crate::ids::{AccountRef, EmailId, MessageId, ThreadId};
use crate::mail::{Description, codec};

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
    pub description: Arc<Description>,
    pub(crate) address: Address,
}

fn email_id(origin: Origin) -> EmailId {
    EmailId {
        shard: origin.shard,
        message: origin.message,
    }
}

/// Reads one message's rows.
pub(crate) fn read(state: &Snapshot, account: AccountRef, id: MessageId) -> Result<Message> {
    let gone = || Error::new(Kind::NotFound, "the message is not there any more");
    let key = key::message(account.number, id);
    let place = state
        .look(TableName::Places, &key, |v| Place::decode("places", v))?
        .ok_or_else(gone)??;
    let raw = state.look(TableName::Rows, &key, |v| {
        decompress_row(v.get(1..).unwrap_or_default())
    })?;
    let description = codec::decode(&raw.ok_or_else(gone)??)?;
    Ok(Message {
        account,
        id,
        email_id: email_id(place.email_id),
        thread_id: ThreadId(email_id(place.thread_id)),
        internal_date: (place.date, place.zone),
        size: place.size,
        crc: place.crc,
        description: Arc::new(description),
        address: place.address,
    })
}
