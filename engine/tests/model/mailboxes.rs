//! What a mail shard is, said again in maps: the measure for apply.

#[path = "accounts.rs"]
mod accounts;
#[path = "ops.rs"]
mod ops;

use std::collections::{BTreeMap, BTreeSet};

use coldpost_engine::apply::At;
use coldpost_engine::op::{Add, Entry, EpochOp, Op, Outcome, Refusal, TargetOutcome};
use coldpost_engine::uidset::UidSet;

/// A message: epoch, position and number of its first delivery.
pub(crate) type Message = (u32, u64, u16);

/// One message in one mailbox; keywords in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) message: Message,
    pub(crate) flags: u8,
    pub(crate) keywords: BTreeSet<String>,
    pub(crate) modseq: u64,
    pub(crate) save_date: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mailbox {
    pub(crate) name: String,
    pub(crate) deleted: bool,
    pub(crate) special_use: u8,
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) highest: u64,
    pub(crate) forgotten: u64,
    /// In their first spelling, in the order of their bits.
    pub(crate) keywords: Vec<String>,
    pub(crate) held: BTreeMap<u32, Held>,
}

/// Group, position of the op: mailbox and the UIDs that it gave.
type Groups = BTreeMap<([u8; 16], u64), (u32, Vec<u32>)>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) modseq: u64,
    pub(crate) uid_validity: u32,
    pub(crate) next_mailbox: u32,
    pub(crate) mailboxes: BTreeMap<u32, Mailbox>,
    pub(crate) subscriptions: BTreeSet<String>,
    /// By mailbox and UID: the entry, the modseq of its expunge, the cause.
    pub(crate) expunged: BTreeMap<(u32, u32), (Held, u64, u8)>,
    pub(crate) groups: Groups,
    pub(crate) threads: BTreeMap<u64, Message>,
    /// Size, EMAILID and THREADID of all that anything refers to.
    pub(crate) messages: BTreeMap<Message, (u64, Message, Message)>,
    /// It is being deleted.
    pub(crate) closed: bool,
}

/// A name of the directory: whose, its state as `docs/format.md` numbers it, the other name.
pub(crate) type Named = (u64, u8, String);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) accounts: BTreeMap<u64, Account>,
    pub(crate) names: BTreeMap<String, Named>,
    /// The shard's time.
    pub(crate) time_ms: u64,
}

fn refused(why: Refusal) -> Outcome {
    Outcome::refused(why, "")
}

impl Account {
    fn named(&self, name: &str) -> Option<u32> {
        self.mailboxes
            .iter()
            .find(|(_, m)| !m.deleted && m.name == name)
            .map(|(id, _)| *id)
    }

    fn live(&mut self, mailbox: u32) -> Option<&mut Mailbox> {
        self.mailboxes.get_mut(&mailbox).filter(|m| !m.deleted)
    }

    fn make(&mut self, name: &str, special_use: u8, now: i64) -> (u32, u32) {
        let id = self.next_mailbox;
        self.next_mailbox += 1;
        self.uid_validity = (self.uid_validity + 1).max(u32::try_from(now).unwrap());
        let (name, uid_validity, highest) = (name.to_owned(), self.uid_validity, self.modseq);
        self.mailboxes.insert(
            id,
            Mailbox {
                name,
                special_use,
                uid_validity,
                uid_next: 1,
                highest,
                ..Mailbox::default()
            },
        );
        (id, uid_validity)
    }

    /// Messages that nothing refers to any more are forgotten.
    fn sweep(&mut self) {
        let held = self.mailboxes.values().flat_map(|m| m.held.values());
        let live: BTreeSet<Message> = held
            .chain(self.expunged.values().map(|e| &e.0))
            .map(|h| h.message)
            .collect();
        self.messages.retain(|id, _| live.contains(id));
    }

    fn take(&mut self, mailbox: u32, uids: &[u32], modseq: u64, cause: u8) -> Vec<Held> {
        let from = self.mailboxes.get_mut(&mailbox).unwrap();
        from.highest = modseq;
        let gone: Vec<Held> = uids
            .iter()
            .map(|uid| from.held.remove(uid).unwrap())
            .collect();
        for (uid, held) in uids.iter().zip(&gone) {
            self.expunged
                .insert((mailbox, *uid), (held.clone(), modseq, cause));
        }
        gone
    }
}

impl Mailbox {
    fn spell(&mut self, keywords: impl IntoIterator<Item = impl AsRef<str>>) -> BTreeSet<String> {
        let mut lower = BTreeSet::new();
        for keyword in keywords {
            let keyword = keyword.as_ref();
            if !self
                .keywords
                .iter()
                .any(|k| k.eq_ignore_ascii_case(keyword))
            {
                self.keywords.push(keyword.to_owned());
            }
            lower.insert(keyword.to_ascii_lowercase());
        }
        lower
    }

    fn push(&mut self, held: Held) -> u32 {
        self.highest = held.modseq;
        self.held.insert(self.uid_next, held);
        self.uid_next += 1;
        self.uid_next - 1
    }

    fn among(&self, uids: &UidSet) -> Vec<u32> {
        self.held
            .keys()
            .copied()
            .filter(|uid| uids.contains(*uid))
            .collect()
    }
}

impl Model {
    /// What the entry gives; texts of refusals are left empty.
    pub(crate) fn apply(&mut self, at: At, entry: &Entry) -> Outcome {
        self.time_ms = self.time_ms.max(entry.time_ms);
        let now = i64::try_from(self.time_ms / 1000).unwrap();
        match &entry.op {
            Op::Add(add) => self.add(at, add, now),
            Op::OpenAccount { account, .. } => {
                if self.accounts.contains_key(&account.0) {
                    return refused(Refusal::Exists);
                }
                let mut new = Account {
                    modseq: 1,
                    next_mailbox: 1,
                    ..Account::default()
                };
                new.make("INBOX", 0, now);
                self.accounts.insert(account.0, new);
                Outcome::Account {
                    account: *account,
                    shard: at.shard,
                }
            }
            Op::NameAccount {
                name,
                account,
                shard,
            } => {
                let new = (account.0, 1, String::new());
                let has = self.names.entry(name.clone()).or_insert(new);
                Outcome::Account {
                    account: coldpost_engine::ids::AccountId(has.0),
                    shard: *shard,
                }
            }
            Op::RenameAccount {
                account,
                from,
                to,
                step,
            } => self.rename_account(account.0, from, to, *step),
            Op::DeleteAccount {
                account,
                name,
                step,
                ..
            } => self.delete_account(account.0, name, *step),
            Op::Epoch(epoch) => self.epoch(epoch),
            Op::Cut | Op::Level { .. } | Op::Stored(_) => Outcome::Done { modseq: 0 },
            Op::Intent(_) | Op::Relocate(_) | Op::Condemn(_) | Op::Gone { .. } => {
                unreachable!("mailboxes know nothing of where bytes are")
            }
            op => {
                let owner = op.accounts()[0].0;
                match self.accounts.get_mut(&owner) {
                    None if matches!(op, Op::Purge { .. }) => Outcome::Counted(0),
                    None if matches!(op, Op::EndGroup { .. }) => Outcome::Done { modseq: 0 },
                    Some(account)
                        if !account.closed
                            || matches!(op, Op::Purge { .. } | Op::EndGroup { .. }) =>
                    {
                        account.change(at, op, now)
                    }
                    _ => refused(Refusal::Account),
                }
            }
        }
    }

    fn add(&mut self, at: At, add: &Add, now: i64) -> Outcome {
        let mut seen = BTreeSet::new();
        let targets =
            add.targets
                .iter()
                .map(|target| match self.accounts.get_mut(&target.account.0) {
                    _ if !seen.insert(target.account.0) => TargetOutcome::Refused(Refusal::Invalid),
                    Some(account) if !account.closed => account.add(at, add, target, now),
                    _ => TargetOutcome::Refused(Refusal::Account),
                });
        Outcome::Added(targets.collect())
    }

    fn epoch(&mut self, epoch: &EpochOp) -> Outcome {
        for account in self.accounts.values_mut().filter(|_| epoch.raise) {
            account.modseq += 1 << 32;
            account.uid_validity += 1 << 16;
            for (id, mailbox) in &mut account.mailboxes {
                mailbox.highest = account.modseq;
                mailbox.forgotten = account.modseq;
                if mailbox.uid_next + (1 << 20) <= 1 << 31 {
                    mailbox.uid_next += 1 << 20;
                    continue;
                }
                account.uid_validity += 1;
                (mailbox.uid_validity, mailbox.uid_next) = (account.uid_validity, 1);
                account.expunged.retain(|key, _| key.0 != *id);
                for held in std::mem::take(&mut mailbox.held).into_values() {
                    mailbox.push(Held {
                        modseq: account.modseq,
                        ..held
                    });
                }
            }
            account.sweep();
        }
        Outcome::Done { modseq: 0 }
    }
}
