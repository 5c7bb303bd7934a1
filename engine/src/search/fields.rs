//! Main fields of a mailbox's messages, folded, one field of all of them together: what a search looks through instead of unpacking rows.
//!
//! Promises: a UID means the same message for as long as UIDVALIDITY holds, so what is here is never stale, only incomplete; no cold tier. Kept beside decoded
//! frames, within their budget.

use std::sync::Arc;
use std::time::Instant;

use coldpost_search::fold::fold_collapsed;
use coldpost_tiers::cache::made::MadeKey;
use memchr::memmem;

use super::too_long;
use crate::blocking;
use crate::error::Result;
use crate::ids::{AccountRef, MessageId, Uid};
use crate::limits::{FIELD_COLUMN_BYTES_MAX, FIELD_FEW_MESSAGES, FIELD_MESSAGE_BYTES};
use crate::mail::{SearchField, Stored, decode, main_field};
use crate::open::Engine;
use crate::query::Query;
use crate::shard::Shard;
use crate::uidset::UidSet;
use crate::view::{MailboxView, message};

/// Entries read at once.
const STRIDE: usize = 8_192;
/// Numbers of what is made, from here on: those below are of sorting.
const FIRST: u8 = 128;
/// Stands behind each value; no value has one.
const BEHIND: char = '\n';

/// One field of a mailbox's messages.
#[derive(Clone, Default)]
struct Column {
    uids: UidSet,
    /// Where the values of each message end, in the order of the UIDs.
    ends: Vec<u32>,
    values: String,
    /// Messages whose row does not tell.
    untold: UidSet,
}

/// The fields that a query asks for.
pub(super) struct Columns {
    /// By name, lower case; with what each needle found.
    columns: Vec<(String, Arc<Column>)>,
    hits: Vec<(String, String, UidSet)>,
}

impl Column {
    /// Adds messages behind all others, or among them.
    fn merged<'f>(&self, fresh: impl Iterator<Item = &'f Fresh>, at: usize) -> Column {
        let mut merged = Column {
            untold: self.untold.clone(),
            ..Column::default()
        };
        let mut old = self.uids.iter().zip(0..).peekable();
        for message in fresh {
            while let Some((uid, place)) = old.next_if(|(uid, _)| *uid < message.uid) {
                merged.push(uid, self.values_at(place));
            }
            match message.fields.get(at) {
                Some(Some(values)) => merged.push(message.uid, values),
                _ => {
                    let one = [message.uid].into_iter().collect();
                    merged.untold = merged.untold.union(&one);
                }
            }
        }
        for (uid, place) in old {
            merged.push(uid, self.values_at(place));
        }
        merged
    }

    fn push(&mut self, uid: Uid, values: &str) {
        self.uids.push(uid);
        self.values.push_str(values);
        self.ends
            .push(u32::try_from(self.values.len()).unwrap_or(u32::MAX));
    }

    fn start(&self, place: usize) -> usize {
        let before = place.checked_sub(1).and_then(|at| self.ends.get(at));
        before.map_or(0, |end| index(*end))
    }

    fn values_at(&self, place: usize) -> &str {
        let end = self.ends.get(place).map_or(0, |end| index(*end));
        self.values.get(self.start(place)..end).unwrap_or_default()
    }

    /// Messages with a value that has the folded needle; of an empty one, with the field.
    fn having(&self, needle: &str) -> UidSet {
        if needle.is_empty() {
            let uids = self.uids.iter().zip(0..);
            let having = uids.filter(|(_, place)| !self.values_at(*place).is_empty());
            return having.map(|(uid, _)| uid).collect();
        }
        let mut having = Vec::new();
        let finder = memmem::Finder::new(needle.as_bytes());
        let mut from = 0;
        while let Some(at) = self
            .values
            .get(from..)
            .and_then(|rest| finder.find(rest.as_bytes()))
        {
            let found = from + at;
            let place = self.ends.partition_point(|end| index(*end) <= found);
            // Members are counted as they were pushed.
            let uid = u32::try_from(place)
                .ok()
                .and_then(|place| self.uids.at(place));
            having.extend(uid);
            from = self
                .ends
                .get(place)
                .map_or(self.values.len(), |end| index(*end));
        }
        having.into_iter().collect()
    }

    fn bytes(&self) -> usize {
        self.values.capacity() + 4 * self.ends.capacity() + 16 * self.uids.ranges().len()
    }
}

impl Columns {
    /// Whether a message has what a header key asks for, as far as its row tells.
    pub(super) fn answer(&self, query: &Query, uid: Uid) -> Option<bool> {
        let Query::Header(name, needle) = query else {
            return None;
        };
        let is_it = |named: &str| named.eq_ignore_ascii_case(name);
        let (_, column) = self.columns.iter().find(|(named, _)| is_it(named))?;
        if !column.uids.contains(uid) {
            return None;
        }
        let mut hits = self.hits.iter();
        let (.., hits) = hits.find(|(named, of, _)| is_it(named) && of == needle)?;
        Some(hits.contains(uid))
    }
}

/// What was read of a message: of each field its folded values, a line feed behind each; `None` where its row does not tell.
struct Fresh {
    uid: Uid,
    fields: Vec<Option<String>>,
}

impl Engine {
    /// The main fields that a planned query asks for, of these messages of the view: of so few that none are read together only what is known already.
    ///
    /// # Errors
    /// `Corrupt`; `Limit` after `deadline`; `Unavailable` after an I/O error.
    pub(super) async fn fields(
        &self,
        view: &MailboxView,
        query: &Query,
        uids: &UidSet,
        deadline: Instant,
    ) -> Result<Columns> {
        let mut asked = Vec::new();
        collect(query, &mut asked);
        let mut names: Vec<String> = asked.iter().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let made = &self.inner.made;
        let key = |name: &str| MadeKey {
            shard: view.account().shard,
            account: view.account().number,
            mailbox: view.mailbox().0,
            uid_validity: view.status().uid_validity,
            what: FIRST.saturating_add(main_field::number(name).unwrap_or(0)),
        };
        let known = |name: &String| made.get::<Column>(&key(name)).unwrap_or_default();
        let mut columns: Vec<Arc<Column>> = names.iter().map(known).collect();
        let mut missing = UidSet::new();
        for column in &columns {
            let lacking = uids.difference(&column.uids).difference(&column.untold);
            missing = missing.union(&lacking);
        }
        if index(missing.len()) > FIELD_FEW_MESSAGES {
            // What is read is there twice for a moment: as it was read, and as a column.
            let guess = index(missing.len()).saturating_mul(FIELD_MESSAGE_BYTES);
            let guess = guess.min(2 * FIELD_COLUMN_BYTES_MAX);
            let _share = self.inner.search_memory.share(guess).await?;
            let fresh = self.read_fields(view, &names, &missing, deadline).await?;
            for (at, (name, column)) in names.iter().zip(&mut columns).enumerate() {
                let lacking = |fresh: &&Fresh| !column.uids.contains(fresh.uid);
                let merging = || column.merged(fresh.iter().filter(lacking), at);
                let merged = blocking::beside_others(view.uids().len(), merging);
                *column = Arc::new(merged);
                made.keep(key(name), Arc::clone(column), column.bytes());
            }
        }
        let columns: Vec<_> = names.into_iter().zip(columns).collect();
        let hits = asked.into_iter().map(|(name, needle)| {
            let column = columns.iter().find(|(named, _)| *named == name);
            let having = column.map_or_else(UidSet::new, |(_, column)| column.having(&needle));
            (name, needle, having)
        });
        Ok(Columns {
            hits: hits.collect(),
            columns,
        })
    }

    /// Reads fields out of rows, on several threads; the first messages only where all together would be too much.
    async fn read_fields(
        &self,
        view: &MailboxView,
        names: &[String],
        missing: &UidSet,
        deadline: Instant,
    ) -> Result<Vec<Fresh>> {
        let shard = self.shard(view.account().shard)?;
        let names: Arc<[String]> = names.into();
        let (mut rest, mut all, mut bytes) = (missing.clone(), Vec::new(), 0);
        loop {
            let entries = view.entries(&rest, STRIDE)?;
            let Some(last) = entries.last().map(|entry| entry.uid) else {
                return Ok(all);
            };
            let named: Vec<(Uid, MessageId)> = entries.iter().map(|e| (e.uid, e.message)).collect();
            let (shard, names, account) = (Arc::clone(&shard), Arc::clone(&names), view.account());
            let reading = move |part: &[(Uid, MessageId)]| read(&shard, account, &names, part);
            let parts = blocking::in_parts("reading header fields", &named, 1, reading);
            for part in parts.await? {
                let of = part.iter().flat_map(|fresh| fresh.fields.iter().flatten());
                bytes += of.map(String::len).sum::<usize>();
                all.extend(part);
            }
            if Instant::now() > deadline {
                return Err(too_long());
            }
            if bytes > FIELD_COLUMN_BYTES_MAX {
                return Ok(all);
            }
            let Some(next) = last.checked_add(1) else {
                return Ok(all);
            };
            rest = rest.intersection(&UidSet::from_ranges([(next, u32::MAX)]));
        }
    }
}

fn read(
    shard: &Shard,
    account: AccountRef,
    names: &[String],
    named: &[(Uid, MessageId)],
) -> Result<Vec<Fresh>> {
    let ids: Vec<MessageId> = named.iter().map(|(_, id)| *id).collect();
    let (mut fresh, mut left) = (Vec::with_capacity(named.len()), named);
    while !left.is_empty() {
        let state = shard.hot.read()?;
        let ids = ids.get(fresh.len()..).unwrap_or_default();
        let rows = message::read_rows(&state, account, ids)?;
        drop(state);
        for ((uid, _), row) in left.iter().zip(&rows) {
            let values = names.iter().map(|name| values(row, name));
            fresh.push(Fresh {
                uid: *uid,
                fields: values.collect(),
            });
        }
        left = left.get(rows.len().max(1)..).unwrap_or_default();
    }
    Ok(fresh)
}

/// The folded values of a field; `None` where the row does not tell.
fn values(row: &Stored, name: &str) -> Option<String> {
    if !row.main_fields_complete() {
        return None;
    }
    let values = match SearchField::named(name) {
        Some(field) => row.search_texts(field).ok()?,
        None => decode::header_text(row.main_fields(), name),
    };
    let mut folded = String::new();
    for value in values {
        folded.push_str(&fold_collapsed(&value));
        folded.push(BEHIND);
    }
    Some(folded)
}

/// Names, lower case, and needles of the keys about main fields.
fn collect(query: &Query, asked: &mut Vec<(String, String)>) {
    match query {
        Query::And(list) | Query::Or(list) => list.iter().for_each(|q| collect(q, asked)),
        Query::Not(inner) => collect(inner, asked),
        Query::Header(name, needle) if main_field::is_main(name) => {
            let one = (name.to_ascii_lowercase(), needle.clone());
            if !asked.contains(&one) {
                asked.push(one);
            }
        }
        _ => {}
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
