//! Reads the keys of messages out of their rows: what a column does not have yet.
//!
//! Promises: no cold tier; many rows are unpacked on several threads, off those that serve; no more is held than the caller has room for,
//! but for what is read at once.

use std::sync::Arc;
use std::time::Instant;

use coldpost_search::fold::fold;

use super::Kind;
use super::column::{Fresh, FreshValues};
use crate::blocking;
use crate::error::Result;
use crate::ids::{AccountRef, MessageId, Uid};
use crate::mail::{SortKeys, Wanted};
use crate::open::Engine;
use crate::shard::Shard;
use crate::uidset::UidSet;
use crate::view::message::{self, Given};
use crate::view::{Entry, MailboxView};

/// Messages read at once.
const STRIDE: usize = 8_192;
/// Fewer messages than that are read where they are asked for.
const FEW: usize = 256;

/// What is read for one kind of column.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) kind: Kind,
    pub(super) missing: Arc<UidSet>,
    uids: UidSet,
    values: FreshValues,
}

impl Reading {
    pub(super) fn new(kind: Kind, missing: UidSet) -> Reading {
        Reading {
            kind,
            missing: Arc::new(missing),
            uids: UidSet::new(),
            values: kind.no_values(),
        }
    }

    pub(super) fn into_fresh(self) -> Fresh {
        Fresh {
            uids: self.uids,
            values: self.values,
        }
    }

    fn take(&mut self, uid: Uid, given: Option<&Given>, keys: &SortKeys) {
        if !self.missing.contains(uid) {
            return;
        }
        self.uids.push(uid);
        let arrived = given.map_or(0, |given| given.date);
        match &mut self.values {
            FreshValues::Numbers(numbers) => numbers.push(match self.kind {
                Kind::Size => {
                    given.map_or(0, |given| i64::try_from(given.size).unwrap_or(i64::MAX))
                }
                Kind::Date => keys.date.unwrap_or(arrived),
                _ => arrived,
            }),
            FreshValues::Texts(texts) => texts.push(fold(match self.kind {
                Kind::Cc => &keys.cc,
                Kind::From => &keys.from,
                Kind::To => &keys.to,
                Kind::DisplayFrom => &keys.display_from,
                Kind::DisplayTo => &keys.display_to,
                _ => &keys.subject,
            })),
            FreshValues::Marks(marks) => marks.push(keys.is_reply),
            FreshValues::Ids(ids) => ids.push((keys.message_id, keys.references.clone())),
        }
    }

    /// Adds what was read of later messages.
    fn append(&mut self, later: Reading) {
        for (first, last) in later.uids.ranges() {
            self.uids.push_range(*first, *last);
        }
        match (&mut self.values, later.values) {
            (FreshValues::Numbers(these), FreshValues::Numbers(those)) => these.extend(those),
            (FreshValues::Texts(these), FreshValues::Texts(those)) => these.extend(those),
            (FreshValues::Marks(these), FreshValues::Marks(those)) => these.extend(those),
            (FreshValues::Ids(these), FreshValues::Ids(those)) => these.extend(those),
            _ => unreachable!("a reading is of one kind"),
        }
    }
}

impl Engine {
    /// Reads what is missing. Whether it fitted into `room` bytes; else it is not whole.
    ///
    /// # Errors
    /// `Corrupt`; `Limit` after `deadline`; `Unavailable` after an I/O error.
    pub(super) async fn read_keys(
        &self,
        view: &MailboxView,
        readings: &mut [Reading],
        room: usize,
        deadline: Instant,
    ) -> Result<bool> {
        let mut rest = UidSet::new();
        for reading in &*readings {
            rest = rest.union(&reading.missing);
        }
        let shard = self.shard(view.account().shard)?;
        loop {
            let entries = view.entries(&rest, STRIDE)?;
            let Some(last) = entries.last().map(|entry| entry.uid) else {
                return Ok(true);
            };
            let empty: Vec<Reading> = readings
                .iter()
                .map(|reading| Reading {
                    missing: Arc::clone(&reading.missing),
                    ..Reading::new(reading.kind, UidSet::new())
                })
                .collect();
            for part in read_parts(&shard, view.account(), &empty, &entries).await? {
                for (reading, later) in readings.iter_mut().zip(part) {
                    reading.append(later);
                }
            }
            let bytes = readings.iter().map(|reading| reading.values.bytes());
            if bytes.sum::<usize>() > room {
                return Ok(false);
            }
            if Instant::now() > deadline {
                return Err(crate::search::too_long());
            }
            let Some(next) = last.checked_add(1) else {
                return Ok(true);
            };
            rest = rest.intersection(&UidSet::from_ranges([(next, u32::MAX)]));
        }
    }
}

/// What `entries` have for each of `empty`, in parts that follow each other.
async fn read_parts(
    shard: &Arc<Shard>,
    account: AccountRef,
    empty: &[Reading],
    entries: &[Entry],
) -> Result<Vec<Vec<Reading>>> {
    let named: Vec<(Uid, MessageId)> = entries.iter().map(|e| (e.uid, e.message)).collect();
    if named.len() <= FEW {
        let mut readings = empty.to_vec();
        read_part(shard, account, &mut readings, &named)?;
        return Ok(vec![readings]);
    }
    let (shard, empty) = (Arc::clone(shard), empty.to_vec());
    let reading = move |part: &[(Uid, MessageId)]| {
        let mut readings = empty.clone();
        read_part(&shard, account, &mut readings, part)?;
        Ok(readings)
    };
    blocking::in_parts("reading sort keys", &named, FEW, reading).await
}

fn read_part(
    shard: &Shard,
    account: AccountRef,
    readings: &mut [Reading],
    named: &[(Uid, MessageId)],
) -> Result<()> {
    let wanted = readings.iter().map(|reading| reading.kind.wanted());
    let wanted = wanted.fold(Wanted::default(), Wanted::and);
    let with_rows = wanted != Wanted::default();
    let with_places = readings.iter().any(|reading| reading.kind.is_given());
    let ids: Vec<MessageId> = named.iter().map(|(_, message)| *message).collect();
    let (mut named, mut ids) = (named, &*ids);
    let none = SortKeys::default();
    while !ids.is_empty() {
        let state = shard.hot.read()?;
        let rows = match with_rows {
            true => message::read_rows(&state, account, ids)?,
            false => Vec::new(),
        };
        let count = if with_rows { rows.len() } else { ids.len() };
        let (these, others) = ids.split_at_checked(count).unwrap_or((ids, &[]));
        let given = match with_places {
            true => message::read_given(&state, account, these)?,
            false => Vec::new(),
        };
        drop(state);
        for (at, (uid, _)) in named.iter().take(count).enumerate() {
            let keys = rows.get(at).map(|row| row.sort_keys(wanted)).transpose()?;
            for reading in &mut *readings {
                reading.take(*uid, given.get(at), keys.as_ref().unwrap_or(&none));
            }
        }
        (named, ids) = (named.get(count..).unwrap_or_default(), others);
    }
    Ok(())
}
