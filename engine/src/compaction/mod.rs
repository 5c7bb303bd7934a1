//! Compaction: live mail of chosen objects goes into dense blocks, large attachments into blobs that are stored once (`docs/cold.md`).
//!
//! The way of a run: `gather` (which objects, whose messages, in which order) → `step` (a block and its packs, with `group` and `cut`) →
//! `prove` (rebuilt from what was written, compared) → `send` (uploaded, confirmed, relocated).
//! Promises: nothing refers to what was not rebuilt and confirmed; a message that does not come out as it went in stays where it is.
//! A crash leaves: files and objects that an `intent` names and nothing refers to.

mod bring;
mod cut;
mod gather;
mod group;
mod pace;
mod place_frame;
mod prove;
mod repack;
mod room;
mod run;
mod send;
mod source;
mod step;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use coldpost_tiers::address::ObjectId;
use pace::Pace;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

pub(crate) use bring::sweep_parts;
use run::Ran;
pub(crate) use send::sweep_objects;

use crate::blocking;
use crate::error::{Error, Kind, Result};
use crate::ids::ShardNo;
use crate::limits::COMPACT_AGAIN_SECONDS;
use crate::objects::object_row;
use crate::op::Op;
use crate::open::Engine;
use crate::shard::Shard;
use crate::turns::Pinned;

/// How far a run came; what it did at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Objects whose mail was taken.
    pub objects: u64,
    /// Messages that were looked at.
    pub messages: u64,
    /// Messages that stand in a block now.
    pub moved: u64,
    /// Messages that could not be read, or did not come out as they went in: they stay where they are.
    pub left: u64,
    /// Attachments that were taken out.
    pub blobs: u64,
    /// Of these, how many were there already.
    pub merged: u64,
    /// Bytes of blocks, packs and blobs that were made.
    pub bytes_out: u64,
    /// Messages in all, of the run that is going on.
    pub total: u64,
}

impl Report {
    fn add(&mut self, other: &Report) {
        self.objects += other.objects;
        self.messages += other.messages;
        self.moved += other.moved;
        self.left += other.left;
        self.blobs += other.blobs;
        self.merged += other.merged;
        self.bytes_out += other.bytes_out;
        self.total += other.total;
    }
}

impl Engine {
    /// Compacts all that there is now: ends the open segments, and takes runs until nothing is worth one. `tell` hears how far it is.
    ///
    /// # Errors
    /// `Unavailable`: the disk or the store refuses; what was done stays done.
    pub async fn compact_now(&self, tell: &mut (dyn FnMut(&Report) + Send)) -> Result<Report> {
        let mut all = Report::default();
        let mut failed = None;
        for shard in self.mail_shards() {
            shard.change(Op::Cut).await?;
            let mut done = HashSet::new();
            loop {
                let begun = Instant::now();
                let before = all.clone();
                let mut tell_sum = |report: &Report| {
                    let mut sum = before.clone();
                    sum.add(report);
                    tell(&sum);
                };
                let ran = run(self, shard, Asked::ByHand(&done), &mut tell_sum).await;
                let ran = match ran {
                    Ok(ran) => ran,
                    // What was put aside keeps the others from nothing.
                    Err(e) => {
                        let aside = self.aside_since(shard.no, begun);
                        if aside.is_subset(&done) {
                            return Err(e);
                        }
                        done.extend(aside);
                        failed.get_or_insert(e);
                        continue;
                    }
                };
                let Some((objects, report)) = ran else {
                    break;
                };
                done.extend(objects);
                all.add(&report);
                tell(&all);
            }
        }
        failed.map_or(Ok(all), Err)
    }

    /// One run of upkeep, where something is worth it; `None` where nothing is.
    pub(crate) async fn compact_some(&self, shard: &Arc<Shard>) -> Result<Option<Report>> {
        let Some((objects, report)) = run(self, shard, Asked::ByTime, &mut |_| {}).await? else {
            return Ok(None);
        };
        let live = live(shard, &objects)?;
        self.put_aside(shard.no, &live);
        Ok(Some(report))
    }

    /// Something stayed in these objects, for whatever reason: not again and again.
    fn put_aside(&self, shard: ShardNo, objects: &[ObjectId]) {
        let objects = objects.iter().map(|object| (shard, *object));
        let mut aside = self.inner.turns.aside();
        aside.retain(is_aside);
        aside.extend(objects.map(|object| (object, Instant::now())));
    }

    /// Objects of a shard that upkeep leaves alone for now.
    fn avoided(&self, of: ShardNo) -> HashSet<ObjectId> {
        let mut aside = self.inner.turns.aside();
        aside.retain(is_aside);
        let objects = aside.keys().filter(|(shard, _)| *shard == of);
        objects.map(|(_, object)| *object).collect()
    }

    /// Objects of a shard that were put aside since then.
    fn aside_since(&self, of: ShardNo, begun: Instant) -> HashSet<ObjectId> {
        let aside = self.inner.turns.aside();
        let since = aside.iter();
        let since = since.filter(|((shard, _), since)| *shard == of && **since >= begun);
        since.map(|((_, object), _)| *object).collect()
    }

    /// What a run left behind in which objects.
    fn note(&self, shard: &Shard, ran: &Ran) -> Result<()> {
        match &ran.failed {
            Some(e) => self.note_failed(shard, &ran.taken, e)?,
            None => {
                let left: Vec<_> = ran.left_in.iter().copied().collect();
                self.note_left(shard.no, live(shard, &left)?.into_iter());
                if ran.is_whole {
                    let taken = ran.taken.iter().copied();
                    let moved = taken.filter(|object| !ran.left_in.contains(object));
                    self.note_moved(shard.no, moved);
                }
            }
        }
        Ok(())
    }

    /// What ends a run once would end the next one too, and all other objects would wait behind it: unless that passes by itself.
    fn note_failed(&self, shard: &Shard, objects: &[ObjectId], error: &Error) -> Result<()> {
        if matches!(error.kind(), Kind::Unavailable | Kind::Closed) {
            return Ok(());
        }
        let live = live(shard, objects)?;
        self.put_aside(shard.no, &live);
        self.note_left(shard.no, live.into_iter());
        Ok(())
    }
}

fn is_aside(_: &(ShardNo, ObjectId), since: &mut Instant) -> bool {
    since.elapsed().as_secs() < COMPACT_AGAIN_SECONDS
}

/// Those of objects in which something stands still.
fn live(shard: &Shard, objects: &[ObjectId]) -> Result<Vec<ObjectId>> {
    let state = shard.hot.read()?;
    let mut live = Vec::new();
    for object in objects {
        if object_row(&state, *object)?.is_some_and(|row| row.count.is_live()) {
            live.push(*object);
        }
    }
    Ok(live)
}

/// Who wants a run.
#[derive(Clone, Copy)]
enum Asked<'a> {
    /// Somebody who waits for it, and has seen to these objects.
    ByHand(&'a HashSet<ObjectId>),
    /// Upkeep.
    ByTime,
}

/// Rewrites the objects of a shard that are worth it, on a thread of its own that others go before; one run at a time.
async fn run(
    engine: &Engine,
    shard: &Arc<Shard>,
    asked: Asked<'_>,
    tell: &mut (dyn FnMut(&Report) + Send),
) -> Result<Option<(Vec<ObjectId>, Report)>> {
    // The thread has the turn: it may go on when who asked goes away.
    let turn = engine.inner.turns.compacting.take().await;
    let (is_asked, avoid) = match asked {
        Asked::ByHand(seen) => (true, seen.clone()),
        Asked::ByTime => (false, engine.avoided(shard.no)),
    };
    let (of, choosing) = (engine.clone(), Arc::clone(shard));
    // It walks through all objects.
    let choosing = move || gather::choose_now(&of, &choosing, is_asked, &avoid);
    let objects = blocking::run("choosing what is compacted", choosing).await?;
    if objects.is_empty() {
        return Ok(None);
    }
    // What it writes comes beside what is there, and is evicted only after it was sent.
    engine.room()?;
    let (reports, mut heard) = mpsc::unbounded_channel();
    let (of, running) = (engine.clone(), Arc::clone(shard));
    let handle = Handle::current();
    let pinned = Pinned::new(engine, shard.no, &objects);
    let chosen = objects.clone();
    let work = move |standing| {
        let pace = Pace::new(!is_asked, standing);
        let tell = |report: &Report| drop(reports.send(report.clone()));
        let run = step::Run::new(&of, &running, &handle, pace);
        let ran = run.and_then(|run| run.all(objects, &tell));
        drop((pinned, turn));
        ran
    };
    let running = blocking::behind("compact", work)?;
    while let Some(report) = heard.recv().await {
        tell(&report);
    }
    match running.end("compaction").await {
        Ok(ran) => {
            engine.note(shard, &ran)?;
            match ran.failed {
                Some(e) => Err(e),
                None => Ok(Some((ran.done, ran.report))),
            }
        }
        // It took nothing, or its thread died.
        Err(e) => {
            engine.note_failed(shard, &chosen, &e)?;
            Err(e)
        }
    }
}

#[cfg(test)]
mod tests;
