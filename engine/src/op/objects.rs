//! The ops about objects as bytes: `stored`, `intent`, `relocate`, `condemn`, `gone`, `snapshot`.

use coldpost_tiers::address::{
    AccountId, BlobId, Epoch, MessageId, ObjectId, ObjectKind, Position,
};
use coldpost_tiers::codec::{Malformed, Reader, Writer};
use coldpost_tiers::extent::{read_blob_record, read_extents, write_blob_record, write_extents};
use coldpost_tiers::hot::row::FrameRow;

use super::kind::{
    Intent, MovedBlob, MovedMessage, NewBlob, Op, RangeTaken, Relocate, SnapshotTaken, Stored,
};

pub(super) fn write_object(w: &mut Writer, object: ObjectId) {
    w.u8(object.kind as u8).raw(&object.id);
}

pub(super) fn read_object(r: &mut Reader<'_>) -> Result<ObjectId, Malformed> {
    let kind = read_kind(r)?;
    Ok(ObjectId {
        kind,
        id: r.array()?,
    })
}

fn read_kind(r: &mut Reader<'_>) -> Result<ObjectKind, Malformed> {
    let at = r.malformed("a kind of object");
    ObjectKind::from_number(r.u8()?).ok_or(at)
}

pub(super) fn write_stored(w: &mut Writer, s: &Stored) {
    write_object(w, s.object);
    w.varint(s.bytes).raw(&s.digest).varint(s.last.0);
    w.u32(s.key_id);
}

pub(super) fn read_stored(r: &mut Reader<'_>) -> Result<Stored, Malformed> {
    Ok(Stored {
        object: read_object(r)?,
        bytes: r.varint()?,
        digest: r.array()?,
        last: Position(r.varint()?),
        key_id: r.u32()?,
    })
}

pub(super) fn write_gone(w: &mut Writer, object: ObjectId, blobs: &[BlobId]) {
    write_object(w, object);
    w.count(blobs.len());
    for blob in blobs {
        w.raw(&blob.0);
    }
}

pub(super) fn read_gone(r: &mut Reader<'_>) -> Result<Op, Malformed> {
    Ok(Op::Gone {
        object: read_object(r)?,
        blobs: list(r, |r| Ok(BlobId(r.array()?)))?,
    })
}

pub(super) fn write_intent(w: &mut Writer, intent: &Intent) {
    w.count(intent.numbered.len());
    for kind in &intent.numbered {
        w.u8(*kind as u8);
    }
    w.count(intent.given.len());
    for object in &intent.given {
        write_object(w, *object);
    }
}

pub(super) fn read_intent(r: &mut Reader<'_>) -> Result<Intent, Malformed> {
    Ok(Intent {
        numbered: list(r, read_kind)?,
        given: list(r, read_object)?,
    })
}

pub(super) fn write_snapshot(w: &mut Writer, taken: &SnapshotTaken) {
    write_object(w, taken.manifest);
    w.varint(taken.bytes)
        .raw(&taken.digest)
        .varint(taken.position.0);
    w.count(taken.ranges.len());
    for range in &taken.ranges {
        w.raw(&range.id).varint(range.bytes).raw(&range.digest);
    }
}

pub(super) fn read_snapshot(r: &mut Reader<'_>) -> Result<SnapshotTaken, Malformed> {
    Ok(SnapshotTaken {
        manifest: read_object(r)?,
        bytes: r.varint()?,
        digest: r.array()?,
        position: Position(r.varint()?),
        ranges: list(r, |r| {
            Ok(RangeTaken {
                id: r.array()?,
                bytes: r.varint()?,
                digest: r.array()?,
            })
        })?,
    })
}

/// Objects and accounts stand once in front; messages name them by their numbers.
pub(super) fn write(w: &mut Writer, op: &Relocate) {
    w.u8(u8::from(op.block.is_some()));
    if let Some(block) = op.block {
        write_object(w, block);
    }
    w.count(op.frames.len());
    for (number, row) in &op.frames {
        w.varint(*number);
        row.write(w);
    }
    w.count(op.blobs.len());
    for blob in &op.blobs {
        write_blob_record(w, &blob.record);
        write_object(w, blob.object);
        w.varint(blob.offset).u64(blob.scope.0);
    }
    let sources = distinct(op.messages.iter().map(|m| m.from.0));
    let accounts = distinct(op.messages.iter().map(|m| m.account));
    w.count(sources.len());
    for source in &sources {
        write_object(w, *source);
    }
    w.count(accounts.len());
    for account in &accounts {
        w.u64(account.0);
    }
    w.count(op.messages.len());
    for m in &op.messages {
        w.count(number_of(&accounts, &m.account));
        w.varint(m.message.epoch.0)
            .varint(m.message.position.0)
            .varint(m.message.number);
        w.count(number_of(&sources, &m.from.0)).varint(m.from.1);
        write_extents(w, &m.extents);
    }
    w.count(op.moved_blobs.len());
    for moved in &op.moved_blobs {
        w.raw(&moved.blob.0);
        for (object, offset) in [moved.from, moved.to] {
            write_object(w, object);
            w.varint(offset);
        }
    }
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Relocate, Malformed> {
    let at = r.malformed("0, or 1 and a block");
    let block = match r.u8()? {
        0 => None,
        1 => Some(read_object(r)?),
        _ => return Err(at),
    };
    let frames = list(r, |r| Ok((r.number()?, FrameRow::take(r)?)))?;
    let blobs = list(r, |r| {
        Ok(NewBlob {
            record: read_blob_record(r)?,
            object: read_object(r)?,
            offset: r.varint()?,
            scope: AccountId(r.u64()?),
        })
    })?;
    let sources = list(r, read_object)?;
    let accounts = list(r, |r| Ok(AccountId(r.u64()?)))?;
    let messages = list(r, |r| read_message(r, &sources, &accounts))?;
    let moved_blobs = list(r, |r| {
        Ok(MovedBlob {
            blob: BlobId(r.array()?),
            from: (read_object(r)?, r.varint()?),
            to: (read_object(r)?, r.varint()?),
        })
    })?;
    Ok(Relocate {
        block,
        frames,
        blobs,
        messages,
        moved_blobs,
    })
}

fn read_message(
    r: &mut Reader<'_>,
    sources: &[ObjectId],
    accounts: &[AccountId],
) -> Result<MovedMessage, Malformed> {
    Ok(MovedMessage {
        account: of_list(r, accounts)?,
        message: MessageId {
            epoch: Epoch(r.number()?),
            position: Position(r.varint()?),
            number: r.number()?,
        },
        from: (of_list(r, sources)?, r.varint()?),
        extents: read_extents(r)?,
    })
}

fn list<T>(
    r: &mut Reader<'_>,
    mut one: impl FnMut(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    (0..r.count()?).map(|_| one(r)).collect()
}

fn of_list<T: Copy>(r: &mut Reader<'_>, list: &[T]) -> Result<T, Malformed> {
    let at = r.malformed("a number of the list before");
    list.get(r.number::<usize>()?).copied().ok_or(at)
}

/// Each once, in the order of their first coming.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for one in all {
        if seen.last() != Some(&one) && !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

fn number_of<T: PartialEq>(list: &[T], one: &T) -> usize {
    let found = list.iter().position(|other| other == one);
    found.expect("the list was made of them")
}
