//! Which objects a run takes, and the messages that stand in them, in the order in which they are written.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use coldpost_tiers::address::{AccountId, BlobId, ObjectId, ObjectKind};
use coldpost_tiers::compaction::{Candidate, Rules, choose};
use coldpost_tiers::hot::row::{BlobRow, Counted, ObjectRow, ObjectState, Place, Row};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::clock;
use crate::error::Result;
use crate::ids::MessageId;
use crate::limits::{
    COMPACT_BATCH_BYTES, COMPACT_BATCH_MIN, COMPACT_MESSAGE_BYTES, COMPACT_MESSAGES_MAX,
    COMPACT_RAW_MAX, COMPACT_RUN_BYTES, GATHER_ROWS_MAX,
};
use crate::objects::{erased, object_row};
use crate::open::Engine;
use crate::shard::Shard;

/// A message that is to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) account: AccountId,
    /// INTERNALDATE, seconds since 1970.
    pub(super) date: i64,
    pub(super) message: MessageId,
    /// Object and offset of its address.
    pub(super) from: (ObjectId, u64),
    /// Bytes of the message.
    pub(super) size: u64,
    /// Bytes of it that are written anew at most: all but attachments that stand apart already.
    pub(super) written: u64,
    /// Bytes of it in that object, about.
    pub(super) stored: u64,
}

const _: () = assert!(size_of::<Item>() + size_of::<(MessageId, usize)>() <= COMPACT_MESSAGE_BYTES);

/// A live blob of a pack that is to be moved.
#[derive(Clone, Debug)]
pub(super) struct BlobItem {
    pub(super) blob: BlobId,
    pub(super) row: BlobRow,
}

/// What the next run takes, but for `avoid`.
pub(super) fn choose_now(
    engine: &Engine,
    shard: &Shard,
    is_asked: bool,
    avoid: &HashSet<ObjectId>,
) -> Result<Vec<ObjectId>> {
    let settings = engine.settings();
    let state = shard.hot.read()?;
    let candidates = candidates(engine, shard, &state, avoid)?;
    let rules = Rules {
        now: clock::now_s(),
        segment_age: i64::try_from(settings.segment_age.as_secs()).unwrap_or(i64::MAX),
        batch_bytes: (settings.local_bodies / 4).clamp(COMPACT_BATCH_MIN, COMPACT_BATCH_BYTES),
        run_bytes: COMPACT_RUN_BYTES,
        is_asked,
        erased: erased(&state)?,
    };
    let chosen = choose(&candidates, &rules);
    Ok(chosen.into_iter().map(|(object, _)| object).collect())
}

fn candidates(
    engine: &Engine,
    shard: &Shard,
    state: &Snapshot,
    avoid: &HashSet<ObjectId>,
) -> Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    state.walk(TableName::Objects, &[], &[], |k, value| {
        let Some(object) = key::read_object(k) else {
            return Ok(true);
        };
        let row = ObjectRow::decode("objects", value)?;
        let is_kind = matches!(
            object.kind,
            ObjectKind::Segment | ObjectKind::Block | ObjectKind::Pack
        );
        let is_live = row.count.is_live();
        if !is_kind || !is_live || row.state == ObjectState::Condemned || avoid.contains(&object) {
            return Ok(true);
        }
        let file = engine.inner.local.sealed_path(shard.no, &object);
        let size = file.and_then(|path| std::fs::metadata(path).ok());
        // A segment without a sealed file that was not stored is the open one.
        if size.is_none() && row.state == ObjectState::Local {
            return Ok(true);
        }
        candidates.push(Candidate {
            object,
            bytes: size.as_ref().map_or(row.bytes, std::fs::Metadata::len),
            is_local: size.is_some(),
            stored: row.times.stored,
            first_dead: row.times.first_dead,
            dead: row.dead_bytes,
            total: row.raw_bytes.max(if object.kind == ObjectKind::Block {
                1
            } else {
                row.bytes
            }),
            is_urgent: row.is_urgent,
        });
        Ok(true)
    })?;
    Ok(candidates)
}

/// What one run may take.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    messages: usize,
    /// Bytes of mail as it came.
    raw: u64,
}

/// Of every run.
pub(super) const BOUNDS: Bounds = Bounds {
    messages: COMPACT_MESSAGES_MAX,
    raw: COMPACT_RAW_MAX,
};

/// What one run takes.
pub(super) struct Gathered {
    /// By account and date.
    pub(super) items: Vec<Item>,
    /// Of how many of the objects, from the first on.
    pub(super) taken: usize,
    /// Not so where the first object alone has more than a run may take (a message to many accounts is in a block once for each).
    pub(super) are_all: bool,
}

/// The messages of objects; of the first objects only, where all of them have too many.
pub(super) fn messages(shard: &Shard, objects: &[ObjectId], bounds: Bounds) -> Result<Gathered> {
    let objects = &objects[..with_few_messages(shard, objects, bounds)?];
    let wanted: BTreeSet<ObjectId> = objects.iter().copied().collect();
    let mut items: Vec<Item> = Vec::new();
    let mut from = Vec::new();
    let mut are_all = true;
    loop {
        // Piece by piece: a state that is read for long keeps pages of the file from being used again.
        let state = shard.hot.read()?;
        let mut rows = 0;
        let mut last = None;
        state.walk(TableName::Places, &[], &from, |k, value| {
            rows += 1;
            if rows > GATHER_ROWS_MAX {
                last = Some(k.to_vec());
                return Ok(false);
            }
            let place = Place::decode(k, value)?;
            if wanted.contains(&place.address.object)
                && let Some((account, message)) = key::read_message(k)
            {
                are_all = items.len() < bounds.messages;
                if !are_all {
                    return Ok(false);
                }
                items.push(item(account, message, &place));
            }
            Ok(true)
        })?;
        match last {
            Some(next) if are_all => from = next,
            _ => break,
        }
    }
    let taken = with_few_bytes(objects, &items, bounds);
    let kept: BTreeSet<ObjectId> = objects.iter().take(taken).copied().collect();
    items.retain(|item| kept.contains(&item.from.0));
    items.sort_unstable();
    let many = within(&items, bounds.raw);
    are_all &= many == items.len();
    items.truncate(many);
    Ok(Gathered {
        items,
        taken,
        are_all,
    })
}

/// How many of the first messages have no more bytes together, as they came: at least one.
fn within(items: &[Item], most: u64) -> usize {
    let mut raw = 0_u64;
    let fits = |item: &&Item| {
        raw = raw.saturating_add(item.size);
        raw <= most
    };
    let many = items.iter().take_while(fits).count();
    many.max(items.len().min(1))
}

fn item(account: AccountId, message: MessageId, place: &Place) -> Item {
    use coldpost_tiers::address::{Extent, Recode};
    let apart = place.address.extents.iter().map(|extent| match extent {
        Extent::Blob { recode, .. } if *recode != Recode::Same => extent.raw_len(),
        _ => 0,
    });
    let stored = place.address.extents.iter().map(|extent| match extent {
        Extent::Frame(frame) => u64::from(frame.stored),
        Extent::Slice { length, .. } => u64::from(*length) / 4,
        Extent::Blob { .. } => 0,
    });
    Item {
        account,
        date: place.date,
        message,
        from: (place.address.object, place.address.offset),
        size: place.size,
        written: place.size.saturating_sub(apart.sum()),
        stored: stored.sum(),
    }
}

/// How many of the objects, from the first on, have no more messages than one run can take: at least one, which may have more.
fn with_few_messages(shard: &Shard, objects: &[ObjectId], bounds: Bounds) -> Result<usize> {
    let state = shard.hot.read()?;
    let most = u64::try_from(bounds.messages).unwrap_or(u64::MAX);
    let mut messages = 0_u64;
    for (many, object) in objects.iter().enumerate() {
        if let Some(ObjectRow {
            count: Counted::Live(live),
            ..
        }) = object_row(&state, *object)?
        {
            messages = messages.saturating_add(live);
        }
        if messages > most {
            return Ok(many.max(1));
        }
    }
    Ok(objects.len())
}

/// The same of bytes of mail as it came.
fn with_few_bytes(objects: &[ObjectId], items: &[Item], bounds: Bounds) -> usize {
    let mut of: BTreeMap<ObjectId, u64> = BTreeMap::new();
    for item in items {
        let sum = of.entry(item.from.0).or_default();
        *sum = sum.saturating_add(item.size);
    }
    let mut raw = 0_u64;
    let fits = |object: &&ObjectId| {
        raw = raw.saturating_add(of.get(object).copied().unwrap_or(0));
        raw <= bounds.raw
    };
    objects.iter().take_while(fits).count().max(1)
}

/// The live blobs of packs.
pub(super) fn blobs(shard: &Shard, objects: &[ObjectId]) -> Result<Vec<BlobItem>> {
    let is_pack = |object: &&ObjectId| object.kind == ObjectKind::Pack;
    let packs: BTreeSet<ObjectId> = objects.iter().filter(is_pack).copied().collect();
    let mut items = Vec::new();
    if packs.is_empty() {
        return Ok(items);
    }
    shard
        .hot
        .read()?
        .walk(TableName::Blobs, &[], &[], |_, value| {
            let row = BlobRow::decode("blobs", value)?;
            if packs.contains(&row.object) && row.count.is_live() {
                let blob = row.record.blob;
                items.push(BlobItem { blob, row });
            }
            Ok(true)
        })?;
    items.sort_by_key(|item| (item.row.object, item.row.offset));
    Ok(items)
}

#[cfg(test)]
mod tests;
