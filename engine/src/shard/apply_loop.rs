//! Applies durable entries, one transaction for what is waiting, and gives the outcomes.
//!
//! Promises: an outcome is given after its transaction was committed, so whoever has an answer can read what it says.
//! After an I/O error the hot tier is closed and reopened by replay from the journal's files.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use coldpost_tiers::hot::{CommitKind, HotTier};
use tokio::sync::oneshot;

use super::journal_loop::Durable;
use super::open::Ready;
use super::{Moment, Shard};
use crate::apply::{self, At, Fold};
use crate::error::{Error, Kind, Result};
use crate::ids::Position;
use crate::journal::Record;
use crate::limits::{
    APPLY_ENTRIES_MAX, DURABLE_EVERY_BYTES, DURABLE_EVERY_ROW_BYTES, ROOM_TICK_MS,
};
use crate::metrics;
use crate::op::{Op, Outcome};
use crate::upkeep::Notice;

type Waiting = (At, Record, oneshot::Sender<Result<Outcome>>);

/// Opens the hot tier anew by replay up to a durable position, after an I/O error.
pub(super) type Reopen = Box<dyn Fn(Position) -> Result<Ready> + Send>;

pub(super) struct ApplyLoop {
    pub(super) shard: Arc<Shard>,
    pub(super) fold: Fold,
    pub(super) reopen: Reopen,
    pub(super) notices: tokio::sync::mpsc::UnboundedSender<Notice>,
    /// Work after which a commit is durable.
    pub(super) durable_every: Duration,
    /// Journal bytes applied since the last durable commit.
    pub(super) volatile_bytes: u64,
    /// When the first of them was applied.
    pub(super) volatile_since: Option<Instant>,
    /// The file of this hot tier has the name of a damaged one.
    pub(super) is_aside: bool,
    /// It applies no more: the next start goes on from the journal.
    pub(super) ended: bool,
}

impl ApplyLoop {
    pub(super) fn run(mut self, queue: &mpsc::Receiver<Durable>) {
        let tick = self.durable_every;
        loop {
            match queue.recv_timeout(tick) {
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(first) => self.take(first, queue),
                Err(RecvTimeoutError::Timeout) => self.settle(),
            }
            self.look_at_damage();
        }
        self.settle();
        self.look_at_damage();
        if self.ended && !self.shard.is_shut() {
            self.shard.set_down("entries are not applied any more");
        }
    }

    /// A hot tier in which somebody met damage goes on as well as it can until the next start makes it anew.
    fn look_at_damage(&mut self) {
        if self.is_aside || !self.shard.hot.is_damaged() {
            return;
        }
        let damage = "the hot tier is damaged; the next start makes it anew from the journal";
        match super::open::set_aside(&*self.shard.disk, &self.shard.dir, &damage) {
            Ok(()) => self.is_aside = true,
            Err(e) => tracing::error!(shard = self.shard.no.0, "{e}"),
        }
    }

    /// Everything that is waiting, up to a bound, in one transaction; what was sealed is told after it.
    fn take(&mut self, first: Durable, queue: &mpsc::Receiver<Durable>) {
        let mut entries: Vec<Waiting> = Vec::new();
        let mut sealed = Vec::new();
        let mut next = Some(first);
        while let Some(durable) = next {
            match durable {
                Durable::Entries(more) => entries.extend(more),
                Durable::Sealed(segment) => sealed.push(segment),
            }
            next = if entries.len() < APPLY_ENTRIES_MAX {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        self.apply_all(entries);
        // After the answers: nobody waits for the hot tier's own sync.
        if self.is_due() {
            self.settle();
        }
        for segment in sealed {
            // Upkeep is gone only at shutdown; the next start finds the segment again.
            let _ = self.notices.send(Notice::Sealed {
                shard: self.shard.no,
                path: segment.path().to_owned(),
            });
        }
    }

    /// All of them, in as many transactions as there are moments that somebody asked for.
    fn apply_all(&mut self, mut entries: Vec<Waiting>) {
        let id = |(_, record, _): &Waiting| record.entry.id;
        while let Some(count) = self.shard.moments.ends_in(entries.iter().map(id)) {
            let rest = entries.split_off(count);
            let last = entries.last().map(|(at, ..)| at.position);
            self.apply(std::mem::replace(&mut entries, rest));
            self.give_moment(last);
        }
        self.apply(entries);
    }

    fn give_moment(&self, last: Option<Position>) {
        let applied = self.fold.applied.clone();
        let moment = match last == Some(applied.position) {
            true => self.shard.hot.read().map(|state| Moment { state, applied }),
            false => Err(Error::new(
                Kind::Unavailable,
                "the hot tier was reopened meanwhile; try again",
            )),
        };
        self.shard.moments.give(moment);
    }

    fn apply(&mut self, entries: Vec<Waiting>) {
        // Entries that a replay applied already, while they were waiting here.
        let known = self.fold.applied.position;
        let (replayed, entries): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|(at, ..)| at.position <= known);
        if !replayed.is_empty() {
            self.answer_from_window(replayed);
        }
        if entries.is_empty() || !self.waits_for_room() {
            return;
        }
        let begun = Instant::now();
        let applied = match self.shard.hot.get() {
            Ok(hot) => self.transaction(&hot, &entries),
            Err(e) => Err(e),
        };
        match applied {
            Ok(outcomes) => {
                metrics::applied(outcomes.len(), begun.elapsed());
                self.shard
                    .applied
                    .store(self.fold.applied.position.0, Ordering::Release);
                for ((at, record, reply), outcome) in entries.into_iter().zip(outcomes) {
                    self.notice(at, &record.entry.op);
                    // Whoever left does not want the answer.
                    let _ = reply.send(Ok(outcome));
                }
            }
            Err(e) => self.fall_back(entries, &e),
        }
    }

    /// Waits until the hot tier may write; reading goes on meanwhile. Whether it may now; if not, the waiters are told by being dropped.
    fn waits_for_room(&mut self) -> bool {
        let mut told = false;
        while !self.ended && !self.shard.has_room() {
            if !told {
                tracing::warn!(
                    shard = self.shard.no.0,
                    "the disk is full: what is durable waits to be applied until there is room"
                );
                told = true;
            }
            super::open::pause(Duration::from_millis(ROOM_TICK_MS));
            self.ended = self.shard.is_shut();
        }
        !self.ended
    }

    fn transaction(&mut self, hot: &HotTier, entries: &[Waiting]) -> Result<Vec<Outcome>> {
        let fold = &mut self.fold;
        let mut touched = Vec::new();
        let outcomes = hot.write(CommitKind::Volatile, |batch| {
            let mut outcomes = Vec::with_capacity(entries.len());
            for (at, record, _) in entries {
                let effect = apply::apply(
                    batch,
                    fold,
                    *at,
                    &record.entry,
                    [&record.meta, &record.body],
                )?;
                touched.extend(effect.accounts);
                outcomes.push(effect.outcome);
            }
            fold.save(batch)?;
            Ok(outcomes)
        })?;
        let bytes = entries
            .iter()
            .map(|(_, r, _)| r.meta.len() + r.body.len())
            .sum::<usize>();
        self.volatile_bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        self.volatile_since.get_or_insert_with(Instant::now);
        touched.sort_unstable();
        touched.dedup();
        self.shard.registry.wake(touched.into_iter());
        Ok(outcomes)
    }

    fn is_durable(&mut self) {
        (self.volatile_bytes, self.volatile_since) = (0, None);
        let position = self.fold.applied.position;
        self.shard.hot_durable.store(position.0, Ordering::Release);
    }

    fn is_due(&self) -> bool {
        let age = self
            .volatile_since
            .map_or(Duration::ZERO, |since| since.elapsed());
        let hot = self.shard.hot.get();
        let unwritten = hot.map_or(0, |hot| hot.unwritten_bytes());
        self.volatile_bytes >= DURABLE_EVERY_BYTES
            || unwritten >= DURABLE_EVERY_ROW_BYTES
            || age >= self.durable_every
    }

    fn notice(&self, at: At, op: &Op) {
        let shard = at.shard;
        let notice = match op {
            Op::Add(add) => {
                let blobs: Vec<_> = add
                    .messages
                    .iter()
                    .flat_map(|m| m.blobs.iter().map(|b| b.blob))
                    .collect();
                (!blobs.is_empty()).then_some(Notice::Blobs { shard, blobs })
            }
            Op::Expunge(_) | Op::Move(_) | Op::Delete { .. } | Op::DeleteAccount { .. } => {
                Some(Notice::Purgeable)
            }
            Op::Stored(_) => Some(Notice::Stored),
            _ => None,
        };
        if let Some(notice) = notice {
            // Upkeep is gone only at shutdown; the next start looks at all of it.
            let _ = self.notices.send(notice);
        }
        if op.makes_cut_due() {
            let _ = self.notices.send(Notice::Held {
                shard,
                segment_first: at.segment_first,
                age: Duration::ZERO,
            });
        }
    }

    /// A durable commit for what was applied since the last one.
    fn settle(&mut self) {
        if self.volatile_since.is_none() || self.ended || !self.shard.has_room() {
            return;
        }
        let (fold, begun) = (&self.fold, Instant::now());
        let done = self
            .shard
            .hot
            .get()
            .and_then(|hot| Ok(hot.write(CommitKind::Durable, |batch| fold.save(batch))?));
        match done {
            Ok(()) => {
                metrics::durable(begun.elapsed());
                self.is_durable();
            }
            Err(e) => self.fall_back(Vec::new(), &e),
        }
    }

    /// The hot tier refused. Its durable state and the journal give everything again; the entries are durable, so they are applied by
    /// the replay, and their waiters are told what the window says.
    fn fall_back(&mut self, entries: Vec<Waiting>, error: &Error) {
        tracing::error!(
            shard = self.shard.no.0,
            "the hot tier refused; it is reopened by replay: {error}"
        );
        metrics::hot_reopened();
        self.shard.hot.replace(None);
        let last = self.shard.durable();
        let mut wait = Duration::from_millis(100);
        loop {
            match (self.reopen)(last) {
                Ok(Ready { hot, fold, durable }) => {
                    self.shard.hot_reopened(durable);
                    self.shard.hot.replace(Some(hot));
                    self.fold = fold;
                    self.is_aside = false;
                    break;
                }
                Err(e) if e.kind() == Kind::Unavailable => {
                    tracing::warn!(
                        shard = self.shard.no.0,
                        "the hot tier does not reopen yet: {e}"
                    );
                    if self.shard.is_shut() {
                        self.ended = true;
                        return;
                    }
                    super::open::pause(wait);
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
                Err(e) => {
                    self.ended = true;
                    self.shard
                        .set_down(format!("the hot tier cannot be rebuilt: {e}"));
                    return;
                }
            }
        }
        (self.volatile_bytes, self.volatile_since) = (0, Some(Instant::now()));
        self.shard
            .applied
            .store(self.fold.applied.position.0, Ordering::Release);
        self.answer_from_window(entries);
    }

    /// What was applied by a replay: outcomes from the window.
    fn answer_from_window(&self, entries: Vec<Waiting>) {
        let state = self.shard.hot.read();
        let next = Position(self.fold.applied.position.0 + 1);
        for (at, record, reply) in entries {
            let kept = state
                .as_ref()
                .ok()
                .and_then(|s| self.fold.window.outcome_in(s, next, record.entry.id).ok())
                .flatten();
            self.shard
                .registry
                .wake(record.entry.op.accounts().into_iter());
            self.notice(at, &record.entry.op);
            let lost = || Error::new(Kind::Unavailable, "the hot tier was reopened; ask again");
            // Whoever left does not want the answer.
            let _ = reply.send(kept.ok_or_else(lost));
        }
    }
}
