//! Keeps the text of messages: follows the journal, makes again what was lost, merges.
//!
//! Never: changes mail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coldpost_tiers::hot::TableName;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Notice, Progress, Upkeeping, Wait, tick};
use crate::blocking::{self, Standing};
use crate::clock;
use crate::error::Result;
use crate::limits::{TEXT_BATCH_MS, TEXT_LOOK_SECONDS, TEXT_WAITING_SECONDS};
use crate::objects::erased;
use crate::open::Engine;
use crate::shard::Shard;
use crate::text::{Follower, Rebuilder};
use crate::words::WordKeeper;

/// Rows about accounts that are being deleted.
const DELETING: &[u8] = &[3];

/// Begins both tasks, the second where there is time for it; gives where they are told that something came in.
pub(super) fn start(
    tasks: &mut JoinSet<()>,
    engine: &Engine,
    progress: &Arc<Progress>,
    upkeeping: Upkeeping,
) -> mpsc::UnboundedSender<Notice> {
    let (told, queue) = mpsc::unbounded_channel();
    tasks.spawn(follow(engine.clone(), Arc::clone(progress), queue));
    if upkeeping == Upkeeping::All {
        tasks.spawn(tidy(engine.clone(), Arc::clone(progress)));
    }
    told
}

/// Takes the text of what comes in.
async fn follow(
    engine: Engine,
    progress: Arc<Progress>,
    mut queue: mpsc::UnboundedReceiver<Notice>,
) {
    let new = || -> Vec<Follower> {
        let shards = engine.mail_shards().iter();
        shards.map(|shard| Follower::new(&engine, shard)).collect()
    };
    let mut followers = new();
    loop {
        // The thread has the turn: it may go on when this task is ended.
        let turn = engine.inner.turns.following.take().await;
        let work = move || {
            // One that is in trouble keeps no other from its turn.
            let ended = followers.iter_mut().map(follow_one);
            let ended = ended.fold(Ok(()), Result::and);
            drop(turn);
            Ok((followers, ended))
        };
        match blocking::run("taking text out of mail", work).await {
            Ok((after, ended)) => {
                followers = after;
                progress.tell(Wait::Index, &ended);
            }
            // Its thread died: it begins anew at what is written.
            Err(e) => {
                progress.tell_end(Wait::Index, Some(&e));
                followers = new();
            }
        }
        match tokio::time::timeout(tick() * 10, queue.recv()).await {
            Ok(None) => return,
            Ok(Some(_)) => {
                // Those that come together are taken together; until then they are searched themselves.
                tokio::time::sleep(Duration::from_millis(TEXT_BATCH_MS)).await;
                while queue.try_recv().is_ok() {}
            }
            Err(_) => {}
        }
    }
}

fn follow_one(follower: &mut Follower) -> Result<()> {
    follower.follow()?;
    follower.write_if_old(Duration::from_secs(TEXT_WAITING_SECONDS))
}

/// Makes again what was lost, and keeps files few.
async fn tidy(engine: Engine, progress: Arc<Progress>) {
    let new = || -> Vec<Tidying> {
        let shards = engine.mail_shards().iter();
        shards.map(|shard| Tidying::new(&engine, shard)).collect()
    };
    let mut shards = new();
    loop {
        let of = engine.clone();
        let turn = engine.inner.turns.indexing.take().await;
        let work = move |standing: Standing| {
            let each = shards.iter_mut().map(|shard| shard.all(&of, &standing));
            let ended = each.fold(Ok(()), Result::and);
            drop(turn);
            Ok((shards, ended))
        };
        let running = blocking::behind("index", work);
        let ended = match running {
            Ok(running) => running.end("indexing").await,
            Err(e) => Err(e),
        };
        match ended {
            Ok((after, ended)) => {
                shards = after;
                progress.tell(Wait::IndexFiles, &ended);
            }
            Err(e) => {
                progress.tell_end(Wait::IndexFiles, Some(&e));
                shards = new();
            }
        }
        tokio::time::sleep(Duration::from_secs(TEXT_LOOK_SECONDS)).await;
    }
}

/// The files of a shard, from look to look.
struct Tidying {
    shard: Arc<Shard>,
    rebuilder: Rebuilder,
    keeper: WordKeeper,
    looked: BTreeMap<[u8; 16], std::time::Instant>,
    /// Words are to leave the files now.
    is_urgent: bool,
    /// The shard's time when an account was last erased, as far as its text is gone.
    erased: Option<i64>,
}

impl Tidying {
    fn new(engine: &Engine, shard: &Arc<Shard>) -> Tidying {
        Tidying {
            shard: Arc::clone(shard),
            rebuilder: Rebuilder::new(engine, shard),
            keeper: WordKeeper::new(engine, shard),
            looked: BTreeMap::new(),
            is_urgent: false,
            erased: None,
        }
    }

    /// One look, which ends early where this thread has next to nothing of a processor: the next one stands beside the others then. What is in
    /// trouble keeps the rest from nothing.
    fn all(&mut self, engine: &Engine, standing: &Standing) -> Result<()> {
        let shard = Arc::clone(&self.shard);
        let mut go_on = || !shard.is_shut() && !standing.starves_already();
        let rebuilt = self.rebuild(&mut go_on);
        // Before a merge: afterwards more would have to be read for what is new.
        let indexed = repeat(&mut go_on, |go_on| self.keeper.step(go_on));
        // Before a merge, which would drop their text without a word of them.
        let erased = self.drop_erased(&mut go_on);
        let merged = repeat(&mut go_on, |go_on| {
            shard.text.merge_some(&shard, engine.room_left(), go_on)
        });
        let age = engine.settings().segment_age / 2;
        let dropped = repeat(&mut go_on, |go_on| {
            let looked = (age, &mut self.looked);
            let now = clock::now_s();
            let dropped = shard.text.drop_dead(&shard, looked, now, go_on)?;
            self.is_urgent |= dropped;
            Ok(dropped)
        });
        let cleaned = self.clean(&mut go_on, age);
        self.keeper.rest();
        rebuilt
            .and(indexed)
            .and(merged)
            .and(erased)
            .and(dropped)
            .and(cleaned)
    }

    /// Words of what is gone leave the files when its text does, and a merge took out some long ago.
    fn clean(&mut self, go_on: &mut dyn FnMut() -> bool, age: Duration) -> Result<()> {
        let now = clock::now_s();
        let oldest = match self.is_urgent {
            true => now,
            false => now.saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX)),
        };
        repeat(go_on, |_| self.keeper.clean(oldest))?;
        self.is_urgent &= !go_on();
        Ok(())
    }

    fn rebuild(&mut self, go_on: &mut dyn FnMut() -> bool) -> Result<()> {
        repeat(go_on, |go_on| self.rebuilder.step(go_on))
    }

    fn drop_erased(&mut self, go_on: &mut dyn FnMut() -> bool) -> Result<()> {
        let shard = Arc::clone(&self.shard);
        let state = shard.hot.read()?;
        let last = Some(erased(&state)?);
        // Some of what was erased may be there still.
        let mut deleting = state.scan(TableName::Pending, DELETING, DELETING)?;
        let is_over = deleting.next().is_none();
        drop(deleting);
        drop(state);
        if last == self.erased {
            return Ok(());
        }
        let is_urgent = &mut self.is_urgent;
        repeat(go_on, |go_on| {
            let dropped = shard.text.drop_erased(&shard, go_on)?;
            *is_urgent |= dropped;
            Ok(dropped)
        })?;
        if go_on() {
            self.erased = last.filter(|_| is_over);
        }
        Ok(())
    }
}

/// Takes steps until one finds nothing to do. One that was broken off is no trouble.
fn repeat(
    go_on: &mut dyn FnMut() -> bool,
    mut step: impl FnMut(&mut dyn FnMut() -> bool) -> Result<bool>,
) -> Result<()> {
    while go_on() {
        match step(go_on) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) if !go_on() => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// For `status`.
pub(super) fn figures(engine: &Engine) -> Vec<(String, String)> {
    let mut figures = Vec::new();
    for shard in engine.mail_shards() {
        let standing = shard.text.standing();
        let mut say = |name: &str, figure: String| {
            figures.push((format!("text of shard {}: {name}", shard.no.0), figure));
        };
        let behind = shard.applied().0.saturating_sub(standing.covered);
        say("entries behind the journal", behind.to_string());
        say("files", standing.files.to_string());
        say("bytes", standing.bytes.to_string());
        say("bytes of folded text", standing.raw_bytes.to_string());
        say("stretches to be made again", standing.lost.to_string());
        if let Some(now) = standing.rebuilding {
            say(
                "messages read again",
                format!("{} of about {}", now.done, now.total),
            );
        }
        if let Some(words) = &shard.words {
            let standing = words.standing();
            let mut say = |name: &str, figure: u64| {
                let name = format!("words of shard {}: {name}", shard.no.0);
                figures.push((name, figure.to_string()));
            };
            say(
                "entries behind the journal",
                shard.applied().0.saturating_sub(standing.followed),
            );
            say("messages", standing.messages);
            say("bytes", standing.bytes);
            say("stretches to be indexed", length(standing.lost));
            say("segments", length(standing.segments));
        }
    }
    figures
}

/// How far something about the indexes is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexProgress {
    /// Messages that were looked at.
    pub done: u64,
    /// Of about so many.
    pub total: u64,
}

/// What a check of the indexes found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexChecked {
    /// Files of text that were read.
    pub files: u64,
    /// Messages whose text is in them.
    pub messages: u64,
    /// Messages that wait, or are to be made again: a search reads them themselves.
    pub waiting: u64,
    /// What is wrong; what was damaged is made again.
    pub damage: Vec<String>,
}

impl Engine {
    /// Text and words of all shards, in figures by name.
    pub fn index_figures(&self) -> Vec<(String, String)> {
        figures(self)
    }

    /// Makes all text and all words again, from mail; gives how many stretches could not be read and are tried again later.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub async fn rebuild_index(
        &self,
        tell: &mut (dyn FnMut(IndexProgress) + Send),
    ) -> Result<usize> {
        let turn = self.inner.turns.indexing.take().await;
        let shards: Vec<Arc<Shard>> = self.mail_shards().to_vec();
        let mut tidying: Vec<Tidying> = shards.iter().map(|s| Tidying::new(self, s)).collect();
        let work = move || {
            let _turn = turn;
            for of in &tidying {
                of.shard.text.lose_files()?;
            }
            for of in &mut tidying {
                let shard = Arc::clone(&of.shard);
                let mut go_on = || !shard.is_shut();
                of.rebuild(&mut go_on)?;
                repeat(&mut go_on, |go_on| of.keeper.step(go_on))?;
                of.keeper.rest();
            }
            Ok(())
        };
        let mut working = Box::pin(blocking::run("making the index again", work));
        let ended = loop {
            tokio::select! {
                ended = &mut working => break ended,
                () = tokio::time::sleep(tick()) => {
                    let of = shards.iter().filter_map(|shard| shard.text.standing().rebuilding);
                    let sum = of.fold(IndexProgress::default(), |sum, now| IndexProgress {
                        done: sum.done + now.done,
                        total: sum.total + now.total,
                    });
                    tell(sum);
                }
            }
        };
        ended?;
        Ok(shards.iter().map(|shard| shard.text.standing().lost).sum())
    }

    /// Reads all of the indexes, compares them with their checksums and with the rows of messages.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub async fn check_index(
        &self,
        tell: &mut (dyn FnMut(IndexProgress) + Send),
    ) -> Result<IndexChecked> {
        let mut checked = IndexChecked::default();
        for shard in self.mail_shards() {
            let total = shard.hot.read()?.count(TableName::Places)?;
            let mut check = crate::text::Check::new(shard)?;
            loop {
                // Some accounts at a time, so that somebody hears of it.
                let work = move || check.step().map(|goes_on| (check, goes_on));
                let (after, goes_on) = blocking::run("checking the index", work).await?;
                check = after;
                tell(IndexProgress {
                    done: check.done(),
                    total,
                });
                if !goes_on {
                    break;
                }
            }
            check.add_to(&mut checked);
            if let Some(words) = shard.words.clone() {
                let work = move || Ok(words.check());
                checked
                    .damage
                    .extend(blocking::run("checking words", work).await?);
            }
        }
        Ok(checked)
    }
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
