//! What a block says of its messages for whoever has nothing but blocks: whose, in which mailboxes, under which UIDs and flags on the day of writing.
//!
//! The hot tier decides; this is a record (`docs/format.md`, "Blocks").

use std::collections::{BTreeMap, HashMap, HashSet};

use coldpost_tiers::address::{AccountId, Extent};
use coldpost_tiers::codec::Writer;
use coldpost_tiers::extent::write_extents;
use coldpost_tiers::hot::row::{AccountRow, MailboxRow, Row, Run, RunEntry};
use coldpost_tiers::hot::{TableName, key};

use super::gather::Item;
use crate::error::Result;
use crate::ids::{MailboxId, MessageId};
use crate::shard::Shard;
use crate::view::Message;

/// Where the messages of an account are listed, as far as they are being moved.
pub(super) struct Entries {
    pub(super) account: AccountId,
    name: String,
    mailboxes: BTreeMap<u32, MailboxRow>,
    of: HashMap<MessageId, Vec<(MailboxId, RunEntry)>>,
}

impl Entries {
    pub(super) fn of(shard: &Shard, account: AccountId, items: &[Item]) -> Result<Entries> {
        let wanted: HashSet<MessageId> = items.iter().map(|item| item.message).collect();
        let state = shard.hot.read()?;
        let prefix = key::account(account);
        let name = match state.get(TableName::Accounts, &prefix)? {
            Some(value) => AccountRow::decode("accounts", &value)?.name,
            None => String::new(),
        };
        let mut entries = Entries {
            account,
            name,
            mailboxes: BTreeMap::new(),
            of: HashMap::new(),
        };
        state.walk(TableName::Mailboxes, &prefix, &prefix, |k, value| {
            let row = MailboxRow::decode("mailboxes", value)?;
            entries.mailboxes.insert(key::mailbox_of(k), row);
            Ok(true)
        })?;
        state.walk(TableName::Runs, &prefix, &prefix, |k, value| {
            let mailbox = MailboxId(key::mailbox_of(k.get(..12).unwrap_or_default()));
            for entry in Run::decode("runs", value)?.entries {
                if wanted.contains(&entry.message) {
                    let listed = entries.of.entry(entry.message).or_default();
                    listed.push((mailbox, entry));
                }
            }
            Ok(true)
        })?;
        Ok(entries)
    }
}

/// The payload of the place frame of a group.
pub(super) struct PlaceFrame<'a> {
    entries: &'a Entries,
    messages: Writer,
    count: usize,
    mailboxes: Vec<MailboxId>,
}

impl PlaceFrame<'_> {
    pub(super) fn new(entries: &Entries) -> PlaceFrame<'_> {
        PlaceFrame {
            entries,
            messages: Writer::new(),
            count: 0,
            mailboxes: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, message: &Message, extents: &[Extent]) {
        self.count += 1;
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
        let listed = self.entries.of.get(&message.id);
        let listed = listed.map_or(&[][..], Vec::as_slice);
        w.count(listed.len());
        for (mailbox, entry) in listed {
            let known = self.mailboxes.iter().position(|m| m == mailbox);
            let number = known.unwrap_or_else(|| {
                self.mailboxes.push(*mailbox);
                self.mailboxes.len() - 1
            });
            w.count(number)
                .varint(entry.uid)
                .u8(entry.flags)
                .zigzag(entry.save_date)
                .raw(&entry.keywords.to_le_bytes());
        }
        write_extents(w, extents);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(1).u64(self.entries.account.0).text(&self.entries.name);
        w.count(self.mailboxes.len());
        for mailbox in &self.mailboxes {
            w.varint(mailbox.0);
            match self.entries.mailboxes.get(&mailbox.0) {
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
        }
        w.count(self.count);
        w.raw(&self.messages.into_bytes());
        let raw = w.into_bytes();
        let mut w = Writer::new();
        w.count(raw.len());
        w.raw(&coldpost_tiers::frame::compress_plain(&raw));
        w.into_bytes()
    }
}
