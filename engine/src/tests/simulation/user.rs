//! What users do: deliver, copy, move, expunge, delete accounts; and the purge behind them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use coldpost_tiers::address::{BlobId, BlobRecord, Extent, FrameRef, ObjectId, Recode};
use coldpost_tiers::hot::row::{MailboxRow, MailboxState, Row, Run as UidRun};
use coldpost_tiers::hot::{TableName, key};

use super::mail::Mail;
use super::store::Held;
use super::world::{Fails, World};
use crate::flags::Flags;
use crate::ids::{AccountId, MailboxId, MessageId};
use crate::op::{
    AccountStep, Add, Carried, CopyUids, ExpungeUids, How, NewMessage, Op, Outcome, Placed, Target,
    TargetOutcome,
};
use crate::uidset::UidSet;

const INBOX: MailboxId = MailboxId(1);
const OTHER: MailboxId = MailboxId(2);
/// One delivery in so many is killed between its blob and its entry.
const KILLED_IN: u8 = 24;

pub(super) fn one(uid: u32) -> UidSet {
    UidSet::from_ranges([(uid, uid)])
}

pub(super) fn frame(bytes: &[u8]) -> FrameRef {
    let length = u32::try_from(bytes.len()).unwrap();
    FrameRef {
        stored: length,
        raw: length,
        crc: crc32c::crc32c(bytes),
    }
}

/// What is kept of a blob.
pub(super) fn record(blob: BlobId, bytes: &[u8]) -> BlobRecord {
    let digest = *blake3::hash(bytes).as_bytes();
    BlobRecord {
        blob,
        raw: bytes.len() as u64,
        content: digest,
        object_bytes: bytes.len() as u64 + 100,
        object_digest: digest,
        frames: vec![frame(bytes)],
    }
}

impl World<'_> {
    pub(super) fn open_account(&mut self) {
        self.ids += 1;
        let account = AccountId(self.ids);
        let name = format!("u{}@example.org", account.0);
        self.append(Op::OpenAccount { account, name }, Vec::new());
        let create = Op::Create {
            account,
            name: "other".to_owned(),
            special_use: 0,
        };
        self.append(create, Vec::new());
        self.model.accounts.insert(account, BTreeMap::new());
        self.remember();
    }

    pub(super) fn deliver(&mut self, [a, b, c, d]: [u8; 4]) -> Fails {
        let number = self.mails.len();
        self.mails.push(Mail::new(number, a));
        let (message, body) = self.pack(number, b.is_multiple_of(4));
        if c % KILLED_IN == 1 {
            return self.kill();
        }
        let placed = Placed {
            flags: Flags::default(),
            date: (self.now + i64::from(d % 3), 0),
            save_date: 0,
            carried: Carried::default(),
        };
        let all = self.model.accounts.keys().copied();
        let wanted = (0..).zip(all).filter(|(n, _)| c >> (n % 8) & 1 != 0);
        let mut accounts: Vec<AccountId> = wanted.map(|(_, account)| account).collect();
        if accounts.is_empty() {
            // Nobody any more: every recipient is refused, the blob is nobody's.
            accounts.push(AccountId(0));
        }
        let target = |account: &AccountId| Target {
            account: *account,
            how: How::Name("INBOX".to_owned()),
            placed: vec![placed.clone()],
        };
        let add = Add {
            group: None,
            messages: vec![message],
            targets: accounts.iter().map(target).collect(),
        };
        let Outcome::Added(outcomes) = self.append(Op::Add(add), body) else {
            return Err("a delivery gave no targets".to_owned());
        };
        let id = MessageId {
            epoch: self.epoch,
            position: self.position(),
            number: 0,
        };
        self.messages.insert(id, number);
        for (account, outcome) in accounts.iter().zip(outcomes) {
            if let TargetOutcome::Stored { mailbox, uids, .. } = outcome {
                let mails = self.model.accounts.get_mut(account).unwrap();
                mails.insert((mailbox, uids.first().unwrap()), number);
            }
        }
        self.remember();
        Ok(())
    }

    /// The op's message and the entry's body; the attachment left as a blob, where it is wanted.
    fn pack(&mut self, number: usize, leaves: bool) -> (NewMessage, Vec<u8>) {
        let mut blobs = Vec::new();
        let blob = BlobId(self.new_id());
        let mail = &self.mails[number];
        let size = mail.raw.len() as u64;
        let piece = |range: &Range<u64>| {
            &mail.raw[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
        };
        let (mut extents, mut body) = (Vec::new(), Vec::new());
        for (n, range) in [0..mail.part.start, mail.part.clone(), mail.part.end..size]
            .iter()
            .enumerate()
        {
            let bytes = piece(range);
            if n == 1 && leaves {
                blobs.push(record(blob, bytes));
                let blobs = BTreeMap::from([(0, bytes.to_vec())]);
                self.disk
                    .insert(ObjectId::blob(blob), Held::Blobs(Rc::new(blobs)));
                extents.push(Extent::Blob {
                    blob,
                    offset: 0,
                    length: bytes.len() as u64,
                    recode: Recode::Same,
                });
            } else {
                extents.push(Extent::Frame(frame(bytes)));
                body.extend_from_slice(bytes);
            }
        }
        let message = NewMessage {
            size,
            crc: crc32c::crc32c(&mail.raw),
            extents,
            blobs,
            row: Bytes::from_static(b"row"),
            thread_keys: vec![0],
        };
        (message, body)
    }

    /// One of the messages that somebody has.
    fn one_of(&self, a: u8, b: u8) -> Option<(AccountId, MailboxId, u32)> {
        let all: Vec<AccountId> = self.model.accounts.keys().copied().collect();
        let account = *all.get(usize::from(a) % all.len().max(1))?;
        let mails = &self.model.accounts[&account];
        let (mailbox, uid) = *mails.keys().nth(usize::from(b) % mails.len().max(1))?;
        Some((account, mailbox, uid))
    }

    pub(super) fn copy(&mut self, [a, b, ..]: [u8; 4], moves: bool) -> Fails {
        let Some((account, from, uid)) = self.one_of(a, b) else {
            return Ok(());
        };
        let to = if from == INBOX { OTHER } else { INBOX };
        let copy = CopyUids {
            account,
            from,
            uids: one(uid),
            to,
            group: None,
        };
        let op = if moves {
            Op::Move(copy)
        } else {
            Op::Copy(copy)
        };
        let Outcome::Copied { to: uids, .. } = self.append(op, Vec::new()) else {
            return Err("a copy was refused".to_owned());
        };
        let mails = self.model.accounts.get_mut(&account).unwrap();
        let number = mails[&(from, uid)];
        mails.insert((to, uids.first().unwrap()), number);
        if moves {
            mails.remove(&(from, uid));
        }
        self.remember();
        Ok(())
    }

    pub(super) fn expunge(&mut self, [a, b, ..]: [u8; 4]) {
        let Some((account, mailbox, uid)) = self.one_of(a, b) else {
            return;
        };
        let expunge = ExpungeUids {
            account,
            mailbox,
            uids: one(uid),
            only_deleted: false,
        };
        self.append(Op::Expunge(expunge), Vec::new());
        let mails = self.model.accounts.get_mut(&account).unwrap();
        mails.remove(&(mailbox, uid));
        self.remember();
    }

    pub(super) fn delete_account(&mut self, [a, b, ..]: [u8; 4]) {
        let all: Vec<AccountId> = self.model.accounts.keys().copied().collect();
        let Some(account) = all.get(usize::from(a) % all.len().max(1)).copied() else {
            return;
        };
        self.append(
            Op::DeleteAccount {
                account,
                name: format!("u{}@example.org", account.0),
                erase: b % 2 == 1,
                step: AccountStep::Done,
            },
            Vec::new(),
        );
        self.model.accounts.remove(&account);
        self.open_account();
    }

    /// What was expunged, and what deleted accounts had.
    pub(super) fn purge(&mut self) {
        let state = self.rows.state();
        let mut due: BTreeMap<AccountId, Vec<(MailboxId, u32)>> = BTreeMap::new();
        let walked = state.walk(TableName::Due, &[], &[], |k, _| {
            let (_, account, mailbox, uid) = key::read_due(k);
            due.entry(account)
                .or_default()
                .push((MailboxId(mailbox), uid));
            Ok(true)
        });
        walked.unwrap();
        let walked = state.walk(TableName::Mailboxes, &[], &[], |k, v| {
            if MailboxRow::decode("mailboxes", v)?.state != MailboxState::Deleted {
                return Ok(true);
            }
            let (account, mailbox) = (key::account_of(k), MailboxId(key::mailbox_of(k)));
            state.walk(TableName::Runs, k, k, |_, run| {
                let entries = UidRun::decode("runs", run)?.entries;
                let uids = entries.iter().map(|e| (mailbox, e.uid));
                due.entry(account).or_default().extend(uids);
                Ok(true)
            })?;
            Ok(true)
        });
        walked.unwrap();
        drop(state);
        for (account, entries) in due {
            self.append(Op::Purge { account, entries }, Vec::new());
            let sweep = Op::DeleteAccount {
                account,
                name: String::new(),
                erase: false,
                step: AccountStep::Swept,
            };
            self.append(sweep, Vec::new());
        }
    }
}
