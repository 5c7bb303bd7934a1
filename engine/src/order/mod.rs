//! SORT and THREAD (RFC 5256, RFC 5957): the order of messages that a search found, by keys out of their hot rows.
//!
//! Promises: no cold tier. Keys are read once and kept, folded and ranked, a column a key, within the budget of `[hot] frames`; what is
//! kept is never stale. Memory of what is read and ordered is bounded for all sessions together. Never: looks at flags.

mod column;
mod read;
mod sort;
mod thread;

use std::sync::Arc;
use std::time::{Duration, Instant};

use coldpost_tiers::cache::made::MadeKey;
use tokio::sync::SemaphorePermit;

use self::column::{Column, FreshValues};
use self::read::Reading;
use crate::blocking;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::ids::Uid;
use crate::limits::{ORDER_MEMORY, ORDER_MESSAGE_BYTES, SEARCH_SECONDS_MAX};
use crate::mail::Wanted;
use crate::open::Engine;
use crate::search::Ranked;
use crate::uidset::UidSet;
use crate::view::MailboxView;
pub use thread::{Algorithm, Step, Threads};

/// By what SORT orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// INTERNALDATE
    Arrival,
    /// addr-mailbox of the first Cc address
    Cc,
    /// Date field in UTC, else INTERNALDATE
    Date,
    /// addr-mailbox of the first From address
    From,
    /// Octets
    Size,
    /// Base subject
    Subject,
    /// addr-mailbox of the first To address
    To,
    /// Display name of the first From address, else the address (RFC 5957)
    DisplayFrom,
    /// The same of To
    DisplayTo,
    /// How well it was found by words, the best first (RFC 6203)
    Relevancy,
}

/// A key, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortBy {
    /// By what.
    pub key: SortKey,
    /// REVERSE
    pub reverse: bool,
}

/// Columns, by the number under which they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Kind {
    Arrival = 1,
    Cc = 2,
    Date = 3,
    From = 4,
    Size = 5,
    Subject = 6,
    To = 7,
    DisplayFrom = 8,
    DisplayTo = 9,
    IsReply = 10,
    Ids = 11,
}

impl Kind {
    /// What of the row it is made of.
    fn wanted(self) -> Wanted {
        match self {
            Kind::Arrival | Kind::Size => Wanted::default(),
            Kind::Cc => Wanted::CC,
            Kind::Date => Wanted::DATE,
            Kind::From => Wanted::FROM,
            Kind::Subject | Kind::IsReply => Wanted::SUBJECT,
            Kind::To => Wanted::TO,
            Kind::DisplayFrom => Wanted::DISPLAY_FROM,
            Kind::DisplayTo => Wanted::DISPLAY_TO,
            Kind::Ids => Wanted::IDS,
        }
    }

    /// Whether what the message was given is needed for it.
    fn is_given(self) -> bool {
        matches!(self, Kind::Arrival | Kind::Size | Kind::Date)
    }

    fn no_values(self) -> FreshValues {
        match self {
            Kind::Arrival | Kind::Date | Kind::Size => FreshValues::Numbers(Vec::new()),
            Kind::IsReply => FreshValues::Marks(Vec::new()),
            Kind::Ids => FreshValues::Ids(Vec::new()),
            _ => FreshValues::Texts(Vec::new()),
        }
    }
}

impl Kind {
    /// The column that a key is in; none of what a search says.
    fn of(key: SortKey) -> Option<Kind> {
        Some(match key {
            SortKey::Arrival => Kind::Arrival,
            SortKey::Cc => Kind::Cc,
            SortKey::Date => Kind::Date,
            SortKey::From => Kind::From,
            SortKey::Size => Kind::Size,
            SortKey::Subject => Kind::Subject,
            SortKey::To => Kind::To,
            SortKey::DisplayFrom => Kind::DisplayFrom,
            SortKey::DisplayTo => Kind::DisplayTo,
            SortKey::Relevancy => return None,
        })
    }
}

/// What any sort takes of the memory of searches at least.
const ORDER_BYTES_MIN: usize = 256 * 1024;

impl Engine {
    /// `found` of the view in the order of `keys`, the first of which counts most; equal ones in the order of their numbers.
    ///
    /// # Errors
    /// `Corrupt`; `Limit` beyond the bounds of time and memory; `Unavailable` after an I/O error.
    pub async fn sort(
        &self,
        view: &MailboxView,
        found: &Ranked,
        keys: &[SortBy],
    ) -> Result<Vec<Uid>> {
        let kinds = keys.iter().filter_map(|by| Kind::of(by.key));
        let mut kinds: Vec<Kind> = kinds.collect();
        kinds.sort_unstable();
        kinds.dedup();
        let columns = self.columns(view, &kinds, &found.uids).await?;
        let sorting = || sort::sorted(found, keys, &kinds, &columns);
        Ok(blocking::beside_others(found.uids.len(), sorting))
    }

    /// `found` of the view as threads.
    ///
    /// # Errors
    /// As [`Engine::sort`].
    pub async fn thread(
        &self,
        view: &MailboxView,
        found: &UidSet,
        algorithm: Algorithm,
    ) -> Result<Threads> {
        let kinds = thread::kinds(algorithm);
        let columns = self.columns(view, kinds, found).await?;
        // A column of all message ids stands behind a thread of few messages.
        let ids = columns.iter().filter_map(|column| column.ids());
        let ids = ids.map(|ids| column::index(ids.len())).sum::<usize>();
        let bytes = column::index(found.len()) * thread::MESSAGE_BYTES + ids * thread::ID_BYTES;
        if bytes > ORDER_MEMORY {
            return Err(too_many());
        }
        let _share = self.inner.search_memory.share(bytes).await?;
        let threading = || thread::of(found, algorithm, kinds, &columns);
        Ok(blocking::beside_others(found.len(), threading))
    }

    /// The columns of `kinds`, each with all of `uids`: what is missing is read at once, or where that is too much, a kind at a time.
    async fn columns(
        &self,
        view: &MailboxView,
        kinds: &[Kind],
        uids: &UidSet,
    ) -> Result<Vec<Arc<Column>>> {
        let known = |kind: &Kind| (*kind, self.inner.made.get(&key(view, *kind)));
        let mut columns: Vec<(Kind, Option<Arc<Column>>)> = kinds.iter().map(known).collect();
        let mut missing = Vec::new();
        for (kind, known) in &columns {
            match known.as_ref().map(|column| column.missing(uids)) {
                Some(none) if none.is_empty() => {}
                Some(some) => missing.push(Reading::new(*kind, some)),
                None => missing.push(Reading::new(*kind, uids.clone())),
            }
        }
        if !missing.is_empty() {
            match self.read(view, missing.clone()).await? {
                Some(read) => self.merge(view, &mut columns, read),
                None => {
                    for one in missing {
                        let read = self.read(view, vec![one]).await?;
                        self.merge(view, &mut columns, read.ok_or_else(too_many)?);
                    }
                }
            }
        }
        Ok(columns
            .into_iter()
            .filter_map(|(_, column)| column)
            .collect())
    }

    /// Reads what is missing; `None`: that is too much at once.
    async fn read(
        &self,
        view: &MailboxView,
        mut missing: Vec<Reading>,
    ) -> Result<Option<(Vec<Reading>, SemaphorePermit<'_>)>> {
        let count = missing.iter().map(|one| column::index(one.missing.len()));
        let guess = count.sum::<usize>().saturating_mul(ORDER_MESSAGE_BYTES);
        if guess > ORDER_MEMORY && missing.len() > 1 {
            return Ok(None);
        }
        let deadline = Instant::now() + Duration::from_secs(SEARCH_SECONDS_MAX);
        let empty = missing.clone();
        let guess = guess.clamp(ORDER_BYTES_MIN, ORDER_MEMORY);
        let mut share = self.inner.search_memory.share(guess).await?;
        // What is read is there twice for a moment: as it was read, and as a column.
        let (some, all) = (guess / 2, ORDER_MEMORY / 2);
        if !self.read_keys(view, &mut missing, some, deadline).await? {
            drop(share);
            share = self.inner.search_memory.share(ORDER_MEMORY).await?;
            missing = empty;
            if !self.read_keys(view, &mut missing, all, deadline).await? {
                return Ok(None);
            }
        }
        Ok(Some((missing, share)))
    }

    /// Puts what was read into its columns, and keeps them.
    fn merge(
        &self,
        view: &MailboxView,
        columns: &mut [(Kind, Option<Arc<Column>>)],
        (read, _share): (Vec<Reading>, SemaphorePermit<'_>),
    ) {
        for reading in read {
            let kind = reading.kind;
            let Some((_, place)) = columns.iter_mut().find(|(other, _)| *other == kind) else {
                continue;
            };
            let old = place.take();
            let fresh = reading.into_fresh();
            let merging = || Column::merged(old.as_deref(), view.uids(), fresh);
            let column = Arc::new(blocking::beside_others(view.uids().len(), merging));
            let bytes = column.bytes();
            self.inner
                .made
                .keep(key(view, kind), Arc::clone(&column), bytes);
            *place = Some(column);
        }
    }
}

fn key(view: &MailboxView, kind: Kind) -> MadeKey {
    MadeKey {
        shard: view.account().shard,
        account: view.account().number,
        mailbox: view.mailbox().0,
        uid_validity: view.status().uid_validity,
        what: kind as u8,
    }
}

fn too_many() -> Error {
    let text = format!(
        "the keys of these messages take more than {} MiB; ask for fewer at a time",
        ORDER_MEMORY / 1024 / 1024
    );
    Error::new(ErrorKind::Limit, text)
}
