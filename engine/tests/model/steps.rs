//! Random changes: drawn without looking, then fitted to what there is, so that most of them do something.

use bytes::Bytes;
use coldpost_engine::flags::{FlagAction, Flags, SystemFlags};
use coldpost_engine::ids::{AccountId, Epoch, MailboxId, Position, ShardNo};
use coldpost_engine::op::{
    AccountStep, Add, Carried, CopyUids, EpochOp, ExpungeUids, GroupId, How, NewMessage, Op,
    Placed, SetFlags, Stored, Target,
};
use coldpost_engine::uidset::UidSet;
use coldpost_tiers::address::{BlobId, BlobRecord, Extent, FrameRef, MessageId, ObjectId, Recode};
use coldpost_tiers::hot::row::Origin;
use proptest::prelude::*;

use crate::mailboxes::Model;

/// What is drawn: numbers that [`Step::op`] reads as accounts, mailboxes, UIDs, names and flags.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    pub(crate) picks: [u8; 8],
    /// Milliseconds of its maker's clock since the step before, and back.
    pub(crate) time: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Add,
    Flags,
    Expunge,
    Purge,
    Copy,
    Move,
    Begin,
    End,
    Create,
    Delete,
    Rename,
    Subscribe,
    Open,
    Name,
    RenameAccount,
    DeleteAccount,
    Stored,
    Level,
    Epoch,
    /// An op that was applied before, with its id.
    Again,
}

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    use Kind::{
        Add, Again, Begin, Copy, Create, Delete, DeleteAccount, End, Epoch, Expunge, Flags, Level,
        Move, Name, Open, Purge, Rename, RenameAccount, Stored, Subscribe,
    };
    let often = [
        Add, Add, Add, Add, Flags, Flags, Flags, Expunge, Expunge, Copy, Copy, Move, Purge, Purge,
    ];
    let seldom = [
        Create, Create, Delete, Rename, Rename, Subscribe, Begin, End, Again, Again, Open,
    ];
    let rare = [
        Name,
        Name,
        Name,
        Stored,
        Level,
        Epoch,
        RenameAccount,
        RenameAccount,
        RenameAccount,
        DeleteAccount,
        DeleteAccount,
    ];
    let kind = prop_oneof![
        6 => proptest::sample::select(often.to_vec()),
        3 => proptest::sample::select(seldom.to_vec()),
        2 => proptest::sample::select(rare.to_vec()),
    ];
    let step = (kind, any::<[u8; 8]>(), any::<i16>()).prop_map(|(kind, picks, time)| Step {
        kind,
        picks,
        time,
    });
    proptest::collection::vec(step, 1..most)
}

const NAMES: [&str; 7] = ["INBOX", "a", "a/b", "a/b/c", "b", "Drafts", "ä"];
const KEYWORDS: [&str; 5] = ["$Junk", "$junk", "later", "Later", "x"];

fn name(pick: u8) -> String {
    NAMES[usize::from(pick) % NAMES.len()].to_owned()
}

fn account(pick: u8) -> AccountId {
    // The third is seldom there.
    AccountId(if pick < 20 {
        3
    } else {
        1 + u64::from(pick % 2)
    })
}

fn account_step(pick: u8) -> AccountStep {
    use AccountStep::{Closed, Done, Marked, Swept};
    [Marked, Done, Closed, Swept][usize::from(pick % 4)]
}

fn mailbox(pick: u8) -> MailboxId {
    MailboxId(if pick < 100 {
        1
    } else {
        1 + u32::from(pick % 6)
    })
}

fn flags(pick: u8) -> Flags {
    let keywords = KEYWORDS
        .iter()
        .enumerate()
        .filter(|(n, _)| pick.rotate_left(3) & (1 << n) != 0);
    Flags {
        system: SystemFlags(pick & 31),
        keywords: keywords.map(|(_, k)| (*k).to_owned()).collect(),
    }
}

fn group(pick: u8) -> GroupId {
    GroupId([pick % 3; 16])
}

/// Some of the mailbox's UIDs, and one that it may not have.
fn uids(model: &Model, owner: AccountId, mailbox: MailboxId, pick: u8) -> UidSet {
    let held = model
        .accounts
        .get(&owner.0)
        .and_then(|a| a.mailboxes.get(&mailbox.0));
    let there = held.iter().flat_map(|m| m.held.keys()).enumerate();
    let chosen = there
        .filter(|(n, _)| pick.rotate_left(u32::try_from(n % 8).unwrap()) & 1 != 0)
        .map(|(_, uid)| *uid);
    chosen
        .chain([u32::from(pick % 9)].into_iter().filter(|uid| *uid > 0))
        .collect()
}

fn new_message(pick: u8, number: u8, body: &mut Vec<u8>) -> NewMessage {
    let stored = 20 + u32::from(pick % 50);
    body.extend(std::iter::repeat_n(
        pick ^ number,
        usize::try_from(stored).unwrap(),
    ));
    let mut extents = vec![Extent::Frame(FrameRef {
        stored,
        raw: 100,
        crc: u32::from(pick),
    })];
    let mut blobs = Vec::new();
    if pick.is_multiple_of(5) {
        let blob = BlobId([pick % 4; 16]);
        let frames = vec![FrameRef {
            stored: 60,
            raw: 90,
            crc: 1,
        }];
        let (content, object_digest) = ([1; 32], [2; 32]);
        blobs.push(BlobRecord {
            blob,
            raw: 90,
            content,
            object_bytes: 160,
            object_digest,
            frames,
        });
        extents.push(Extent::Blob {
            blob,
            offset: 0,
            length: 90,
            recode: Recode::Same,
        });
    }
    let thread_keys = vec![
        u64::from(pick % 4),
        u64::from(number) + 1,
        u64::from(pick % 7),
    ];
    let size = extents.iter().map(Extent::raw_len).sum();
    NewMessage {
        size,
        crc: 7,
        extents,
        blobs,
        row: Bytes::from(vec![pick; 9]),
        thread_keys,
    }
}

fn target(account: AccountId, how: u8, flagged: u8, messages: usize) -> Target {
    let how = if how.is_multiple_of(3) {
        How::Mailbox(mailbox(how))
    } else {
        How::Name(name(how))
    };
    let place = |n: usize| {
        let n = u8::try_from(n).unwrap();
        let message = MessageId {
            epoch: Epoch(1),
            position: Position(u64::from(flagged)),
            number: 0,
        };
        let carries = |every: u8| {
            flagged.is_multiple_of(every).then_some(Origin {
                shard: ShardNo(2),
                message,
            })
        };
        Placed {
            flags: flags(flagged.wrapping_add(n)),
            date: (i64::from(flagged) * 1000, i16::from(flagged)),
            save_date: i64::from(flagged % 3),
            carried: Carried {
                email_id: carries(6),
                thread_id: carries(10),
            },
        }
    };
    Target {
        account,
        how,
        placed: (0..messages).map(place).collect(),
    }
}

fn add([a, b, c, d, e, ..]: [u8; 8]) -> (Op, Vec<u8>) {
    let mut body = Vec::new();
    let messages: Vec<NewMessage> = (0..1 + b % 3)
        .map(|n| new_message(c.wrapping_add(n), n, &mut body))
        .collect();
    let mut targets = vec![target(account(a), d, e, messages.len())];
    if b > 128 {
        targets.push(target(account(b), e, d, messages.len()));
    }
    let group = a.is_multiple_of(4).then(|| group(c));
    (
        Op::Add(Add {
            group,
            messages,
            targets,
        }),
        body,
    )
}

impl Step {
    /// The op and its body. `at` is where it will stand.
    pub(crate) fn op(&self, model: &Model, at: Position, epoch: Epoch) -> (Op, Vec<u8>) {
        let [a, b, c, d, e, ..] = self.picks;
        let (account, from, to) = (account(a), mailbox(b), mailbox(c));
        let uids = uids(model, account, from, d);
        let op = match self.kind {
            Kind::Add | Kind::Again => return add(self.picks),
            Kind::Flags => Op::Flags(SetFlags {
                account,
                mailbox: from,
                uids,
                action: [FlagAction::Replace, FlagAction::Add, FlagAction::Remove]
                    [usize::from(e % 3)],
                flags: flags(c),
                unchanged_since: (e > 170).then(|| {
                    let modseq = model.accounts.get(&account.0).map_or(0, |a| a.modseq);
                    modseq.saturating_sub(u64::from(e % 4))
                }),
            }),
            Kind::Expunge => Op::Expunge(ExpungeUids {
                account,
                mailbox: from,
                uids,
                only_deleted: e < 128,
            }),
            Kind::Purge => {
                let there = model.accounts.get(&account.0);
                let expunged = there.iter().flat_map(|a| a.expunged.keys().copied());
                let dead = there
                    .iter()
                    .flat_map(|a| a.mailboxes.iter().filter(|(_, m)| m.deleted));
                let dead = dead.flat_map(|(id, m)| m.held.keys().map(|uid| (*id, *uid)));
                let all = expunged
                    .chain(dead)
                    .enumerate()
                    .filter(|(n, _)| !(n + usize::from(e)).is_multiple_of(3));
                let entries = all
                    .map(|(_, (mailbox, uid))| (MailboxId(mailbox), uid))
                    .chain([(from, 1)]);
                Op::Purge {
                    account,
                    entries: entries.collect(),
                }
            }
            Kind::Copy => Op::Copy(CopyUids {
                account,
                from,
                uids,
                to,
                group: (e > 200).then(|| group(e)),
            }),
            Kind::Move => Op::Move(CopyUids {
                account,
                from,
                uids,
                to,
                group: None,
            }),
            Kind::Begin => Op::BeginGroup {
                account,
                group: group(b),
            },
            Kind::End => Op::EndGroup {
                account,
                group: group(b),
            },
            Kind::Create => Op::Create {
                account,
                name: name(b),
                special_use: c & 0x7f,
            },
            Kind::Delete => Op::Delete {
                account,
                mailbox: mailbox(b | 128),
            },
            Kind::Rename => Op::Rename {
                account,
                from: name(b),
                to: name(c),
            },
            Kind::Subscribe => Op::Subscribe {
                account,
                name: name(b),
                on: c < 128,
            },
            Kind::Open => Op::OpenAccount {
                account,
                name: format!("u{}@example.org", account.0),
            },
            Kind::Name => Op::NameAccount {
                name: name(b),
                account,
                shard: ShardNo(1),
            },
            Kind::RenameAccount => Op::RenameAccount {
                account,
                from: name(b),
                to: name(c),
                step: account_step(d),
            },
            Kind::DeleteAccount => Op::DeleteAccount {
                account,
                name: name(b),
                erase: c.is_multiple_of(2),
                step: account_step(d),
            },
            Kind::Stored => Op::Stored(Stored {
                object: ObjectId::segment(epoch, Position(at.0 / 10 * 10 + u64::from(b % 2))),
                bytes: 1000,
                digest: [b; 32],
                last: at,
                key_id: 0,
            }),
            Kind::Level => Op::Level {
                level: 1,
                segment_size: u64::from(b),
            },
            Kind::Epoch => Op::Epoch(EpochOp {
                epoch,
                parent: Epoch(epoch.0 - 1),
                fork: Position(at.0 - 1),
                open_segment: Position(0),
                raise: b < 200,
            }),
        };
        (op, Vec::new())
    }
}
