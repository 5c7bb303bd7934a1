//! Entries as bytes: the meta of a record. What is read here came from a file or another node: bounded, never trusted.

use std::fmt;

use bytes::Bytes;
use coldpost_tiers::codec::{Malformed, Reader, Writer};
use coldpost_tiers::extent::{read_blob_record, read_extents, write_blob_record, write_extents};
use coldpost_tiers::hot::row::Origin;

use super::kind::LEVEL;
use super::kind::{
    AccountStep, Add, Carried, CopyUids, Entry, EpochOp, ExpungeUids, GroupId, How, NewMessage, Op,
    OpId, Placed, SetFlags, Target,
};
use super::objects;
use super::uids::{read_uids, write_uids};
use crate::flags::{FlagAction, Flags, SystemFlags};
use crate::ids::{AccountId, Epoch, MailboxId, Position, ShardNo};

const VERSION: u8 = 1;

/// Why an entry could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// The bytes are not an entry.
    Malformed(Malformed),
    /// A newer version or kind: this shard stops until a newer binary is used.
    Unknown {
        /// Version byte.
        version: u8,
        /// Kind byte.
        kind: u8,
    },
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryError::Malformed(m) => write!(f, "not an entry: {m}"),
            EntryError::Unknown { version, kind } => write!(
                f,
                "entry version {version}, kind {kind}, or the level that it names, is not known to this version of coldpost; \
                 start the version that wrote it"
            ),
        }
    }
}

impl std::error::Error for EntryError {}

impl From<Malformed> for EntryError {
    fn from(m: Malformed) -> EntryError {
        EntryError::Malformed(m)
    }
}

/// The meta bytes of an entry.
pub fn encode(entry: &Entry) -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(VERSION)
        .u8(kind_of(&entry.op))
        .u64(entry.time_ms)
        .raw(&entry.id.0);
    w.u32(entry.known.0.0).u64(entry.known.1.0);
    write_op(&mut w, &entry.op);
    w.into_bytes()
}

fn kind_of(op: &Op) -> u8 {
    match op {
        Op::Add(_) => 1,
        Op::Flags(_) => 2,
        Op::Expunge(_) => 3,
        Op::Purge { .. } => 4,
        Op::Copy(_) => 5,
        Op::Move(_) => 6,
        Op::BeginGroup { .. } => 7,
        Op::EndGroup { .. } => 8,
        Op::Create { .. } => 9,
        Op::Delete { .. } => 10,
        Op::Rename { .. } => 11,
        Op::Subscribe { .. } => 12,
        Op::OpenAccount { .. } => 13,
        Op::NameAccount { .. } => 14,
        Op::RenameAccount { .. } => 15,
        Op::DeleteAccount { .. } => 16,
        Op::Cut => 17,
        Op::Level { .. } => 18,
        Op::Stored(_) => 19,
        Op::Intent(_) => 20,
        Op::Relocate(_) => 21,
        Op::Condemn(_) => 22,
        Op::Gone { .. } => 23,
        Op::Epoch(_) => 24,
        Op::Snapshot(_) => 31,
    }
}

fn write_op(w: &mut Writer, op: &Op) {
    match op {
        Op::Add(add) => write_add(w, add),
        Op::Flags(set) => {
            w.u64(set.account.0).varint(set.mailbox.0);
            write_uids(w, &set.uids);
            w.u8(match set.action {
                FlagAction::Replace => 0,
                FlagAction::Add => 1,
                FlagAction::Remove => 2,
            });
            write_flags(w, &set.flags);
            w.varint(set.unchanged_since.map_or(0, |m| m.saturating_add(1)));
        }
        Op::Expunge(e) => {
            w.u64(e.account.0).varint(e.mailbox.0);
            write_uids(w, &e.uids);
            w.u8(u8::from(e.only_deleted));
        }
        Op::Purge { account, entries } => {
            w.u64(account.0).count(entries.len());
            for (mailbox, uid) in entries {
                w.varint(mailbox.0).varint(*uid);
            }
        }
        Op::Copy(c) | Op::Move(c) => {
            w.u64(c.account.0).varint(c.from.0);
            write_uids(w, &c.uids);
            w.varint(c.to.0);
            write_group(w, c.group);
        }
        Op::BeginGroup { account, group } | Op::EndGroup { account, group } => {
            w.u64(account.0).raw(&group.0);
        }
        Op::Create {
            account,
            name,
            special_use,
        } => {
            w.u64(account.0).text(name).u8(*special_use);
        }
        Op::Delete { account, mailbox } => {
            w.u64(account.0).varint(mailbox.0);
        }
        Op::Rename { account, from, to } => {
            w.u64(account.0).text(from).text(to);
        }
        Op::Subscribe { account, name, on } => {
            w.u64(account.0).text(name).u8(u8::from(*on));
        }
        Op::OpenAccount { account, name } => {
            w.u64(account.0).text(name);
        }
        Op::NameAccount {
            name,
            account,
            shard,
        } => {
            w.text(name).u64(account.0).u16(shard.0);
        }
        Op::RenameAccount {
            account,
            from,
            to,
            step,
        } => {
            w.u64(account.0).text(from).text(to).u8(*step as u8);
        }
        Op::DeleteAccount {
            account,
            name,
            erase,
            step,
        } => {
            w.u64(account.0).text(name).u8(u8::from(*erase));
            w.u8(*step as u8);
        }
        Op::Cut => {}
        Op::Level {
            level,
            segment_size,
        } => {
            w.varint(*level).varint(*segment_size);
        }
        Op::Intent(intent) => objects::write_intent(w, intent),
        Op::Relocate(relocate) => objects::write(w, relocate),
        Op::Condemn(object) => objects::write_object(w, *object),
        Op::Gone { object, blobs } => objects::write_gone(w, *object, blobs),
        Op::Stored(stored) => objects::write_stored(w, stored),
        Op::Snapshot(taken) => objects::write_snapshot(w, taken),
        Op::Epoch(e) => {
            w.u32(e.epoch.0)
                .u32(e.parent.0)
                .u64(e.fork.0)
                .u64(e.open_segment.0)
                .u8(u8::from(e.raise));
        }
    }
}

fn write_add(w: &mut Writer, add: &Add) {
    write_group(w, add.group);
    w.count(add.messages.len());
    for m in &add.messages {
        w.varint(m.size).u32(m.crc);
        write_extents(w, &m.extents);
        w.count(m.blobs.len());
        for blob in &m.blobs {
            write_blob_record(w, blob);
        }
        w.bytes(&m.row).count(m.thread_keys.len());
        for key in &m.thread_keys {
            w.u64(*key);
        }
    }
    w.count(add.targets.len());
    for target in &add.targets {
        w.u64(target.account.0);
        match &target.how {
            How::Name(name) => w.u8(0).text(name),
            How::Mailbox(mailbox) => w.u8(1).varint(mailbox.0),
        };
        for placed in &target.placed {
            write_flags(w, &placed.flags);
            w.zigzag(placed.date.0)
                .zigzag(i64::from(placed.date.1))
                .zigzag(placed.save_date);
            let c = &placed.carried;
            w.u8(u8::from(c.email_id.is_some()) | u8::from(c.thread_id.is_some()) << 1);
            for id in [c.email_id, c.thread_id].into_iter().flatten() {
                id.write(w);
            }
        }
    }
}

fn write_group(w: &mut Writer, group: Option<GroupId>) {
    match group {
        None => w.u8(0),
        Some(group) => w.u8(1).raw(&group.0),
    };
}

fn write_flags(w: &mut Writer, flags: &Flags) {
    w.u8(flags.system.0).count(flags.keywords.len());
    for keyword in &flags.keywords {
        w.text(keyword);
    }
}

/// Reads the meta of an entry.
///
/// # Errors
/// [`EntryError`]: malformed, or of a kind that a newer version writes.
pub fn decode(meta: &Bytes) -> Result<Entry, EntryError> {
    let mut r = Reader::new(meta);
    let (version, kind) = (r.u8()?, r.u8()?);
    if version != VERSION {
        return Err(EntryError::Unknown { version, kind });
    }
    let (time_ms, id) = (r.u64()?, OpId(r.array()?));
    let known = (Epoch(r.u32()?), Position(r.u64()?));
    let op = read_op(&mut r, kind, meta)?.ok_or(EntryError::Unknown { version, kind })?;
    r.end()?;
    Ok(Entry {
        time_ms,
        id,
        known,
        op,
    })
}

fn read_op(r: &mut Reader<'_>, kind: u8, meta: &Bytes) -> Result<Option<Op>, Malformed> {
    Ok(Some(match kind {
        1 => Op::Add(read_add(r, meta)?),
        2 => Op::Flags(SetFlags {
            account: AccountId(r.u64()?),
            mailbox: MailboxId(r.number()?),
            uids: read_uids(r)?,
            action: match r.u8()? {
                0 => FlagAction::Replace,
                1 => FlagAction::Add,
                2 => FlagAction::Remove,
                _ => return Err(r.malformed("action 0 to 2")),
            },
            flags: read_flags(r)?,
            unchanged_since: r.varint()?.checked_sub(1),
        }),
        3 => Op::Expunge(ExpungeUids {
            account: AccountId(r.u64()?),
            mailbox: MailboxId(r.number()?),
            uids: read_uids(r)?,
            only_deleted: r.u8()? != 0,
        }),
        4 => {
            let account = AccountId(r.u64()?);
            let mut entries = Vec::new();
            for _ in 0..r.count()? {
                entries.push((MailboxId(r.number()?), r.number()?));
            }
            Op::Purge { account, entries }
        }
        5 => Op::Copy(read_copy(r)?),
        6 => Op::Move(read_copy(r)?),
        7 => Op::BeginGroup {
            account: AccountId(r.u64()?),
            group: GroupId(r.array()?),
        },
        8 => Op::EndGroup {
            account: AccountId(r.u64()?),
            group: GroupId(r.array()?),
        },
        9 => Op::Create {
            account: AccountId(r.u64()?),
            name: r.text()?.to_owned(),
            special_use: r.u8()?,
        },
        10 => Op::Delete {
            account: AccountId(r.u64()?),
            mailbox: MailboxId(r.number()?),
        },
        11 => Op::Rename {
            account: AccountId(r.u64()?),
            from: r.text()?.to_owned(),
            to: r.text()?.to_owned(),
        },
        12 => Op::Subscribe {
            account: AccountId(r.u64()?),
            name: r.text()?.to_owned(),
            on: r.u8()? != 0,
        },
        13 => Op::OpenAccount {
            account: AccountId(r.u64()?),
            name: r.text()?.to_owned(),
        },
        14 => Op::NameAccount {
            name: r.text()?.to_owned(),
            account: AccountId(r.u64()?),
            shard: ShardNo(r.u16()?),
        },
        15 => Op::RenameAccount {
            account: AccountId(r.u64()?),
            from: r.text()?.to_owned(),
            to: r.text()?.to_owned(),
            step: read_step(r)?,
        },
        16 => Op::DeleteAccount {
            account: AccountId(r.u64()?),
            name: r.text()?.to_owned(),
            erase: r.u8()? != 0,
            step: read_step(r)?,
        },
        17 => Op::Cut,
        18 => {
            let (level, segment_size) = (r.varint()?, r.varint()?);
            if level > LEVEL {
                return Ok(None);
            }
            Op::Level {
                level,
                segment_size,
            }
        }
        19 => Op::Stored(objects::read_stored(r)?),
        20 => Op::Intent(objects::read_intent(r)?),
        21 => Op::Relocate(objects::read(r)?),
        22 => Op::Condemn(objects::read_object(r)?),
        23 => objects::read_gone(r)?,
        31 => Op::Snapshot(objects::read_snapshot(r)?),
        24 => Op::Epoch(EpochOp {
            epoch: Epoch(r.u32()?),
            parent: Epoch(r.u32()?),
            fork: Position(r.u64()?),
            open_segment: Position(r.u64()?),
            raise: r.u8()? != 0,
        }),
        _ => return Ok(None),
    }))
}

fn read_step(r: &mut Reader<'_>) -> Result<AccountStep, Malformed> {
    let at = r.malformed("step 0 to 3");
    Ok(match r.u8()? {
        0 => AccountStep::Done,
        1 => AccountStep::Marked,
        2 => AccountStep::Closed,
        3 => AccountStep::Swept,
        _ => return Err(at),
    })
}

fn read_add(r: &mut Reader<'_>, meta: &Bytes) -> Result<Add, Malformed> {
    let group = read_group(r)?;
    let mut messages = Vec::new();
    for _ in 0..r.count()? {
        let (size, crc, extents) = (r.varint()?, r.u32()?, read_extents(r)?);
        let mut blobs = Vec::new();
        for _ in 0..r.count()? {
            blobs.push(read_blob_record(r)?);
        }
        let row = meta.slice_ref(r.bytes()?);
        let mut thread_keys = Vec::new();
        for _ in 0..r.count()? {
            thread_keys.push(r.u64()?);
        }
        messages.push(NewMessage {
            size,
            crc,
            extents,
            blobs,
            row,
            thread_keys,
        });
    }
    let mut targets = Vec::new();
    for _ in 0..r.count()? {
        let account = AccountId(r.u64()?);
        let at = r.malformed("0 (by name) or 1 (by id)");
        let how = match r.u8()? {
            0 => How::Name(r.text()?.to_owned()),
            1 => How::Mailbox(MailboxId(r.number()?)),
            _ => return Err(at),
        };
        let placed = messages
            .iter()
            .map(|_| read_placed(r))
            .collect::<Result<_, _>>()?;
        targets.push(Target {
            account,
            how,
            placed,
        });
    }
    Ok(Add {
        group,
        messages,
        targets,
    })
}

fn read_placed(r: &mut Reader<'_>) -> Result<Placed, Malformed> {
    let (flags, seconds) = (read_flags(r)?, r.zigzag()?);
    let at = r.malformed("a zone in minutes");
    let zone = i16::try_from(r.zigzag()?).map_err(|_| at)?;
    let save_date = r.zigzag()?;
    let bits = r.u8()?;
    let mut carried = Carried::default();
    if bits & 1 != 0 {
        carried.email_id = Some(Origin::read(r)?);
    }
    if bits & 2 != 0 {
        carried.thread_id = Some(Origin::read(r)?);
    }
    Ok(Placed {
        flags,
        date: (seconds, zone),
        save_date,
        carried,
    })
}

fn read_copy(r: &mut Reader<'_>) -> Result<CopyUids, Malformed> {
    Ok(CopyUids {
        account: AccountId(r.u64()?),
        from: MailboxId(r.number()?),
        uids: read_uids(r)?,
        to: MailboxId(r.number()?),
        group: read_group(r)?,
    })
}

fn read_group(r: &mut Reader<'_>) -> Result<Option<GroupId>, Malformed> {
    let at = r.malformed("0 or 1 and a group id");
    match r.u8()? {
        0 => Ok(None),
        1 => Ok(Some(GroupId(r.array()?))),
        _ => Err(at),
    }
}

fn read_flags(r: &mut Reader<'_>) -> Result<Flags, Malformed> {
    let mut flags = Flags {
        system: SystemFlags(r.u8()?),
        ..Flags::default()
    };
    for _ in 0..r.count()? {
        flags.keywords.insert(r.text()?.to_owned());
    }
    Ok(flags)
}
