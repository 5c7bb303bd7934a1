//! `add`: new messages get UIDs, modseq, thread and rows.

use coldpost_tiers::Result;
use coldpost_tiers::address::Address;
use coldpost_tiers::hot::row::{MailboxRow, Origin, Place, Row, Run, RunEntry, ThreadRow};
use coldpost_tiers::hot::{TableName, key};

use super::flags::intern;
use super::{At, Step};
use crate::flags::SystemFlags;
use crate::ids::{AccountId, MailboxId, MessageId};
use crate::op::{Add, GroupId, How, NewMessage, Outcome, Placed, Refusal, Target, TargetOutcome};
use crate::uidset::UidSet;

impl Step<'_, '_> {
    pub(super) fn add(&mut self, add: &Add) -> Result<Outcome> {
        for message in &add.messages {
            for blob in &message.blobs {
                self.name_blob(blob)?;
            }
        }
        let addresses = addresses(self.at, &add.messages);
        let mut seen: Vec<AccountId> = Vec::with_capacity(add.targets.len());
        let mut outcomes = Vec::with_capacity(add.targets.len());
        for target in &add.targets {
            outcomes.push(if seen.contains(&target.account) {
                TargetOutcome::Refused(Refusal::Invalid)
            } else {
                seen.push(target.account);
                self.add_to(add, &addresses, target)?
            });
        }
        Ok(Outcome::Added(outcomes))
    }

    fn add_to(
        &mut self,
        add: &Add,
        addresses: &[Address],
        target: &Target,
    ) -> Result<TargetOutcome> {
        let Some(mut account) = self.account(target.account)? else {
            return Ok(TargetOutcome::Refused(Refusal::Account));
        };
        let Some(mailbox) = self.target_mailbox(target)? else {
            return Ok(TargetOutcome::Refused(Refusal::Mailbox));
        };
        let Some(mut row) = self.mailbox(target.account, mailbox)? else {
            return Ok(TargetOutcome::Refused(Refusal::Mailbox));
        };
        let wanted = u32::try_from(add.messages.len()).unwrap_or(u32::MAX);
        if row.uid_next.checked_add(wanted).is_none() {
            return Ok(TargetOutcome::Refused(Refusal::Limit));
        }
        let Some(keywords) = interned(&mut row, target) else {
            return Ok(TargetOutcome::Refused(Refusal::Limit));
        };
        account.modseq += 1;
        let mut uids = UidSet::new();
        for (number, ((message, placed), address)) in
            (0_u16..).zip(add.messages.iter().zip(&target.placed).zip(addresses))
        {
            let bits = keywords.get(usize::from(number)).copied();
            let id = MessageId {
                epoch: self.at.epoch,
                position: self.at.position,
                number,
            };
            self.add_place(target.account, id, message, placed, address)?;
            let entry = RunEntry {
                uid: 0,
                message: id,
                flags: placed.flags.system.0,
                keywords: bits.unwrap_or(0),
                modseq: account.modseq,
                save_date: if placed.save_date == 0 {
                    self.now
                } else {
                    placed.save_date
                },
            };
            uids.push(row.uid_next);
            self.append_entries(target.account, mailbox, &mut row, &[(entry, message.size)])?;
        }
        row.highest_modseq = account.modseq;
        self.put_mailbox(target.account, mailbox, &row)?;
        self.put_account(target.account, &account)?;
        if let Some(group) = add.group {
            self.note_group(target.account, group, mailbox, &uids)?;
        }
        let (uid_validity, modseq) = (row.uid_validity, account.modseq);
        Ok(TargetOutcome::Stored {
            mailbox,
            uid_validity,
            uids,
            modseq,
        })
    }

    fn target_mailbox(&self, target: &Target) -> Result<Option<MailboxId>> {
        match &target.how {
            How::Mailbox(mailbox) => Ok(Some(*mailbox)),
            How::Name(name) => match self.mailbox_named(target.account, name)? {
                Some(mailbox) => Ok(Some(mailbox)),
                None => self.mailbox_named(target.account, "INBOX"),
            },
        }
    }

    fn add_place(
        &mut self,
        account: AccountId,
        id: MessageId,
        message: &NewMessage,
        placed: &Placed,
        address: &Address,
    ) -> Result<()> {
        let email_id = placed.carried.email_id.unwrap_or(Origin {
            shard: self.at.shard,
            message: id,
        });
        let thread_id = match placed.carried.thread_id {
            Some(thread) => thread,
            None => self.thread_of(account, email_id, &message.thread_keys)?,
        };
        let place = Place {
            references: 1,
            email_id,
            thread_id,
            date: placed.date.0,
            zone: placed.date.1,
            size: message.size,
            crc: message.crc,
            address: address.clone(),
        };
        self.put_place(account, id, &place)?;
        self.batch
            .put(TableName::Rows, &key::message(account, id), &message.row)?;
        self.count_address(address, 1)
    }

    /// The first of the message's keys that is known decides the thread; unknown keys get it.
    fn thread_of(&mut self, account: AccountId, own: Origin, keys: &[u64]) -> Result<Origin> {
        let mut known = None;
        let mut unknown = Vec::new();
        for hash in keys.iter().filter(|k| **k != 0) {
            let (_, row) = self.threads(account, *hash)?;
            match row.get(*hash) {
                Some(thread) => known = known.or(Some(thread)),
                None => unknown.push(*hash),
            }
        }
        let thread = known.unwrap_or(own);
        for hash in unknown {
            self.put_thread(account, hash, thread)?;
        }
        Ok(thread)
    }

    /// The row that covers a thread key, and its own key; an empty one where none does.
    fn threads(&self, account: AccountId, hash: u64) -> Result<(Vec<u8>, ThreadRow)> {
        let prefix = key::account(account);
        let at = key::thread(account, hash);
        match self.batch.last_at_most(TableName::Threads, &prefix, &at)? {
            Some((at, value)) => Ok((at, ThreadRow::decode("threads", &value)?)),
            None => Ok((key::thread(account, 0), ThreadRow::default())),
        }
    }

    fn put_thread(&mut self, account: AccountId, hash: u64, thread: Origin) -> Result<()> {
        let (at, mut row) = self.threads(account, hash)?;
        row.put(hash, thread);
        let upper = row.split();
        self.batch.put(TableName::Threads, &at, &row.encode())?;
        if let Some((first, upper)) = upper {
            let at = key::thread(account, first);
            self.batch.put(TableName::Threads, &at, &upper.encode())?;
        }
        Ok(())
    }

    /// Appends entries (their UIDs are given here) with the octets of their messages; counts them in `row`.
    pub(super) fn append_entries(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        row: &mut MailboxRow,
        entries: &[(RunEntry, u64)],
    ) -> Result<()> {
        let mut open: Option<(u32, Run)> = None;
        for (entry, size) in entries {
            let first = Run::first_uid(row.uid_next);
            let (at, mut run) = match open.take() {
                Some((at, run)) if at == first => (at, run),
                other => {
                    if let Some((at, run)) = other {
                        self.put_run(account, mailbox, at, &run)?;
                    }
                    (first, self.run(account, mailbox, first)?)
                }
            };
            run.entries.push(RunEntry {
                uid: row.uid_next,
                ..*entry
            });
            open = Some((at, run));
            row.uid_next += 1;
            row.exists += 1;
            row.bytes += size;
            row.unseen += u32::from(!SystemFlags(entry.flags).contains(SystemFlags::SEEN));
            row.deleted += u32::from(SystemFlags(entry.flags).contains(SystemFlags::DELETED));
        }
        if let Some((at, run)) = open {
            self.put_run(account, mailbox, at, &run)?;
        }
        Ok(())
    }

    /// Notes what an op of a group gave, so that it can be undone by id.
    pub(super) fn note_group(
        &mut self,
        account: AccountId,
        group: GroupId,
        mailbox: MailboxId,
        uids: &UidSet,
    ) -> Result<()> {
        let mut rest = group.0.to_vec();
        rest.extend_from_slice(&self.at.position.0.to_be_bytes());
        let mut value = coldpost_tiers::codec::Writer::new();
        value.u8(1).varint(mailbox.0);
        crate::op::uids::write_uids(&mut value, uids);
        self.batch.put(
            TableName::Pending,
            &key::pending(1, account, &rest),
            &value.into_bytes(),
        )
    }
}

/// Where each message of an entry is: their frames stand in its body one after the other.
fn addresses(at: At, messages: &[NewMessage]) -> Vec<Address> {
    let mut offset = at.body_offset;
    let mut addresses = Vec::with_capacity(messages.len());
    for message in messages {
        addresses.push(Address {
            object: at.segment(),
            offset,
            extents: message.extents.clone(),
        });
        offset += message.stored_bytes();
    }
    addresses
}

/// The bits of each message's keywords; `None` when the mailbox has none left for one that a client asked for. Mail that comes in by
/// name is never refused for a keyword: it is left out.
fn interned(row: &mut MailboxRow, target: &Target) -> Option<Vec<u128>> {
    let is_delivery = matches!(target.how, How::Name(_));
    let bits = |placed: &Placed| match intern(&mut row.keywords, &placed.flags.keywords) {
        None if is_delivery => Some(0),
        bits => bits,
    };
    target.placed.iter().map(bits).collect()
}
