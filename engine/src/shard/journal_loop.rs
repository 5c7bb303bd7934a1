//! Group commit: a batch is what is waiting; one sync; no timer that adds latency.
//!
//! Never: acknowledges anything. What is durable goes on to the apply thread, in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use coldpost_tiers::segment::SealedSegment;
use tokio::sync::oneshot;

use super::{Shard, Submission};
use crate::apply::At;
use crate::error::{Error, Kind, NotTaken, Result};
use crate::journal::{Journal, Record};
use crate::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, IDLE_MARK_MS};
use crate::metrics;
use crate::op::Outcome;

/// What the journal thread tells the apply thread, in journal order.
pub(super) enum Durable {
    /// Entries that are durable, and who waits for each.
    Entries(Vec<(At, Record, oneshot::Sender<Result<Outcome>>)>),
    /// A segment was sealed; all its entries came before.
    Sealed(SealedSegment),
}

/// Runs until all senders are gone and everything that was waiting is written.
pub(super) fn run(
    shard: &Arc<Shard>,
    mut journal: Box<dyn Journal>,
    queue: &mpsc::Receiver<Submission>,
    durable: &mpsc::SyncSender<Durable>,
) {
    let idle = Duration::from_millis(IDLE_MARK_MS);
    loop {
        match queue.recv_timeout(idle) {
            Err(RecvTimeoutError::Disconnected) => break,
            Ok(first) => {
                let batch = gather(first, queue);
                write(shard, &mut *journal, batch, durable);
            }
            Err(RecvTimeoutError::Timeout) => {
                if journal.is_closed() {
                    continue;
                }
                if let Err(e) = journal.idle(crate::clock::now_ms()) {
                    tracing::warn!(shard = shard.no.0, "the journal's idle mark failed: {e}");
                    if journal.is_closed() {
                        shard.set_down(format!("the journal is closed: {e}"));
                    }
                }
            }
        }
    }
    if let Err(e) = journal.idle(crate::clock::now_ms()) {
        tracing::warn!(shard = shard.no.0, "the journal's last mark failed: {e}");
    }
}

fn gather(first: Submission, queue: &mpsc::Receiver<Submission>) -> Vec<Submission> {
    let mut bytes = first.meta.len() + first.body.len();
    let mut batch = vec![first];
    while batch.len() < BATCH_ENTRIES_MAX && bytes < BATCH_BYTES_MAX {
        let Ok(next) = queue.try_recv() else { break };
        bytes += next.meta.len() + next.body.len();
        batch.push(next);
    }
    batch
}

fn write(
    shard: &Arc<Shard>,
    journal: &mut dyn Journal,
    batch: Vec<Submission>,
    durable: &mpsc::SyncSender<Durable>,
) {
    let mut waiting = Vec::with_capacity(batch.len());
    let mut records = Vec::with_capacity(batch.len());
    for Submission {
        entry,
        meta,
        body,
        reply,
        place: _,
    } in batch
    {
        records.push(Record { entry, meta, body });
        waiting.push(reply);
    }
    let begun = Instant::now();
    let given = journal.append(&records, crate::clock::now_ms());
    metrics::journal_batch(records.len(), begun.elapsed());
    if let Some(last) = given.at.last() {
        shard.durable.store(last.position.0, Ordering::Release);
    }
    let mut pairs = records.into_iter().zip(waiting);
    let mut sealed = given.sealed.into_iter().peekable();
    let mut entries = Vec::new();
    for (n, at) in given.at.into_iter().enumerate() {
        while let Some((_, segment)) = sealed.next_if(|(after, _)| *after <= n) {
            send(durable, Durable::Entries(std::mem::take(&mut entries)));
            send(durable, Durable::Sealed(segment));
        }
        if let Some((record, reply)) = pairs.next() {
            entries.push((at, record, reply));
        }
    }
    send(durable, Durable::Entries(entries));
    for (_, segment) in sealed {
        send(durable, Durable::Sealed(segment));
    }
    if let Some(error) = given.failed {
        tracing::error!(shard = shard.no.0, "the journal refused a batch: {error}");
        metrics::journal_failed();
        if journal.is_closed() {
            shard.set_down(format!("the journal is closed: {error}"));
        }
        // Each is told the cause: a full disk has an answer of its own.
        let error = Arc::new(error);
        let is_closed = journal.is_closed();
        for (_, reply) in pairs {
            let text = format!("the journal refused it: {error}");
            let refused = if is_closed {
                // What the next start finds in the file, nobody knows.
                Error::with_source(Kind::Unavailable, text, Arc::clone(&error))
            } else {
                Error::with_source(Kind::Unavailable, text, NotTaken(Arc::clone(&error)))
            };
            // Whoever left does not want the answer.
            let _ = reply.send(Err(refused));
        }
    }
}

fn send(durable: &mpsc::SyncSender<Durable>, what: Durable) {
    if matches!(&what, Durable::Entries(entries) if entries.is_empty()) {
        return;
    }
    // The apply thread ends only after this one; if it is gone, the replies drop and the waiters are told.
    let _ = durable.send(what);
}
