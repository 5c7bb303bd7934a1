//! What a block says of its messages for whoever has nothing but blocks: whose, in which mailboxes, under which UIDs and flags on the day of writing.
//!
//! The hot tier decides; this is a record (`docs/format.md`, "Blocks").

use std::collections::BTreeMap;

use coldpost_tiers::address::{AccountId, Extent};
use coldpost_tiers::codec::Writer;
use coldpost_tiers::extent::write_extents;
use coldpost_tiers::hot::row::{AccountRow, MailboxRow, Row, Run};
use coldpost_tiers::hot::{TableName, key};

use super::gather::Item;
use crate::error::Result;
use crate::ids::{MailboxId, MessageId, Uid};
use crate::limits::{
    COMPACT_ENTRY_BYTES, COMPACT_MESSAGES_MAX, PLACE_BYTES_MAX, PLACE_ENTRIES_MAX,
};
use crate::shard::Shard;
use crate::view::Message;

/// Where the messages of an account are listed, as far as they are being moved and as far as the record goes: each in one place, and in
/// [`PLACE_ENTRIES_MAX`] where not too many of a run are in several (who copies a mailbox over and over stops nobody's compaction).
pub(super) struct Entries<'a> {
    pub(super) account: AccountId,
    name: String,
    shard: &'a Shard,
    /// In order of messages.
    listed: Vec<Listed>,
}

/// A place of a message.
struct Listed {
    message: MessageId,
    mailbox: MailboxId,
    uid: Uid,
    flags: u8,
    keywords: u128,
    save_date: i64,
}

const _: () = assert!(size_of::<Listed>() <= COMPACT_ENTRY_BYTES);

impl<'a> Entries<'a> {
    pub(super) fn of(shard: &'a Shard, account: AccountId, items: &[Item]) -> Result<Entries<'a>> {
        let mut wanted: Vec<(MessageId, usize)> =
            items.iter().map(|item| (item.message, 0)).collect();
        wanted.sort_unstable();
        let state = shard.hot.read()?;
        let prefix = key::account(account);
        let name = match state.get(TableName::Accounts, &prefix)? {
            Some(value) => AccountRow::decode("accounts", &value)?.name,
            None => String::new(),
        };
        let (mut listed, mut more) = (Vec::new(), 0);
        state.walk(TableName::Runs, &prefix, &prefix, |k, value| {
            let mailbox = MailboxId(key::mailbox_of(k.get(..12).unwrap_or_default()));
            for entry in Run::decode("runs", value)?.entries {
                let at = wanted.binary_search_by_key(&entry.message, |(message, _)| *message);
                let Ok(at) = at else {
                    continue;
                };
                let known = &mut wanted[at].1;
                let is_further = *known > 0;
                if *known >= PLACE_ENTRIES_MAX || is_further && more >= COMPACT_MESSAGES_MAX {
                    continue;
                }
                *known += 1;
                more += usize::from(is_further);
                listed.push(Listed {
                    message: entry.message,
                    mailbox,
                    uid: entry.uid,
                    flags: entry.flags,
                    keywords: entry.keywords,
                    save_date: entry.save_date,
                });
            }
            Ok(true)
        })?;
        listed.sort_by_key(|listed| listed.message);
        Ok(Entries {
            account,
            name,
            shard,
            listed,
        })
    }

    fn of_message(&self, message: MessageId) -> &[Listed] {
        let from = self.listed.partition_point(|l| l.message < message);
        let behind = &self.listed[from..];
        &behind[..behind.partition_point(|l| l.message == message)]
    }

    /// What a frame says of a mailbox. Of one that cannot be read any more: nothing.
    fn mailbox(&self, mailbox: MailboxId) -> Vec<u8> {
        let row = || -> Result<Option<MailboxRow>> {
            let state = self.shard.hot.read()?;
            let value = state.get(TableName::Mailboxes, &key::mailbox(self.account, mailbox.0))?;
            let row = value.map(|value| MailboxRow::decode("mailboxes", &value));
            Ok(row.transpose()?)
        };
        let mut w = Writer::new();
        w.varint(mailbox.0);
        match row().ok().flatten() {
            None => {
                w.text("").varint(0_u64).count(0);
            }
            Some(row) => {
                w.text(&row.name)
                    .varint(row.uid_validity)
                    .count(row.keywords.len());
                for keyword in &row.keywords {
                    w.text(keyword);
                }
            }
        }
        w.into_bytes()
    }
}

/// Bytes that a message with so many stretches takes in the frame at most, its entries aside.
pub(super) fn bytes_of(stretches: usize) -> usize {
    128 + 64 * stretches
}

/// The payload of the place frame of a group.
pub(super) struct PlaceFrame<'a> {
    entries: &'a Entries<'a>,
    messages: Writer,
    count: usize,
    mailboxes: Writer,
    numbers: BTreeMap<MailboxId, usize>,
    /// Of entries and mailboxes.
    bytes: usize,
}

impl<'a> PlaceFrame<'a> {
    pub(super) fn new(entries: &'a Entries<'a>) -> PlaceFrame<'a> {
        PlaceFrame {
            entries,
            messages: Writer::new(),
            count: 0,
            mailboxes: Writer::new(),
            numbers: BTreeMap::new(),
            bytes: 0,
        }
    }

    pub(super) fn add(&mut self, message: &Message, extents: &[Extent]) {
        self.count += 1;
        let listed = self.entries.of_message(message.id).iter();
        let listed: Vec<_> = listed
            .filter_map(|listed| Some((self.take(listed)?, listed)))
            .collect();
        let w = &mut self.messages;
        w.varint(message.id.epoch.0)
            .varint(message.id.position.0)
            .varint(message.id.number);
        for origin in [message.email_id, message.thread_id.0] {
            w.u16(origin.shard.0)
                .varint(origin.message.epoch.0)
                .varint(origin.message.position.0)
                .varint(origin.message.number);
        }
        w.zigzag(message.internal_date.0)
            .zigzag(i64::from(message.internal_date.1))
            .varint(message.size)
            .u32(message.crc);
        w.count(listed.len());
        for (number, entry) in listed {
            w.count(number)
                .varint(entry.uid)
                .u8(entry.flags)
                .zigzag(entry.save_date)
                .raw(&entry.keywords.to_le_bytes());
        }
        write_extents(w, extents);
    }

    /// The number of its mailbox in the frame, where there is room for the entry.
    fn take(&mut self, listed: &Listed) -> Option<usize> {
        let known = self.numbers.get(&listed.mailbox).copied();
        let mailbox = match known {
            Some(_) => Vec::new(),
            None => self.entries.mailbox(listed.mailbox),
        };
        let bytes = self.bytes + size_of::<Listed>() + mailbox.len();
        if bytes > PLACE_BYTES_MAX {
            return None;
        }
        self.bytes = bytes;
        Some(known.unwrap_or_else(|| {
            self.mailboxes.raw(&mailbox);
            let number = self.numbers.len();
            self.numbers.insert(listed.mailbox, number);
            number
        }))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(1).u64(self.entries.account.0).text(&self.entries.name);
        w.count(self.numbers.len());
        w.raw(&self.mailboxes.into_bytes());
        w.count(self.count);
        w.raw(&self.messages.into_bytes());
        let raw = w.into_bytes();
        let mut w = Writer::new();
        w.count(raw.len());
        w.raw(&coldpost_tiers::frame::compress_plain(&raw));
        w.into_bytes()
    }
}

#[cfg(test)]
mod tests;
