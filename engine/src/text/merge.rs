//! Keeps files few, and dead text out of them.
//!
//! Promises: files take the place of others at once, and only while all of these still count.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coldpost_search::text::{Key, Rect, Run, choose, merge};
use coldpost_tiers::address::AccountId;
use coldpost_tiers::hot::{Snapshot, TableName, key};

use super::file::TextFile;
use super::write::of_search;
use super::{TextStore, message_id};
use crate::error::{Error, Result};
use crate::limits::{INDEX_ROOM_MIN, TEXT_STATE_LOOKS, WORDS_COMMIT_MESSAGES};
use crate::shard::Shard;

/// Looks up which messages are there, in a state that is not kept for long.
struct Alive<'s> {
    shard: &'s Shard,
    state: Snapshot,
    looks: usize,
    failed: Option<Error>,
}

impl Alive<'_> {
    fn new(shard: &Shard) -> Result<Alive<'_>> {
        Ok(Alive {
            shard,
            state: shard.hot.read()?,
            looks: 0,
            failed: None,
        })
    }

    fn is(&mut self, of: Key) -> Result<bool> {
        self.looks += 1;
        if self.looks.is_multiple_of(TEXT_STATE_LOOKS) {
            self.state = self.shard.hot.read()?;
        }
        let key = key::message(AccountId(of.account), message_id(of.id));
        Ok(self.state.look(TableName::Places, &key, |_| ())?.is_some())
    }
}

impl TextStore {
    /// Merges some files, if that is worth it and the disk has `room` for both, the old and the new ones; whether it was.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn merge_some(
        &self,
        shard: &Shard,
        room: u64,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool> {
        let mut groups: BTreeMap<(u64, u64), Vec<Arc<TextFile>>> = BTreeMap::new();
        for file in &self.state().files {
            let of = (file.rect.from, file.rect.to);
            groups.entry(of).or_default().push(Arc::clone(file));
        }
        let bytes = |group: &Vec<Arc<TextFile>>| group.iter().map(|f| f.run.bytes()).sum();
        let sizes: Vec<u64> = groups.values().map(bytes).collect();
        let Some((start, end)) = choose(&sizes) else {
            return Ok(false);
        };
        let written: u64 = sizes.iter().skip(start).take(end - start).sum();
        if room < written.saturating_add(INDEX_ROOM_MIN) {
            return Ok(false);
        }
        let chosen = groups.into_values().skip(start).take(end - start).flatten();
        self.rewrite(shard, chosen.collect(), go_on)?;
        Ok(true)
    }

    /// Rewrites files in which something died, that were made and looked at (`looked`) so long ago; whether there was one.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn drop_dead(
        &self,
        shard: &Shard,
        (age, looked): (Duration, &mut BTreeMap<[u8; 16], Instant>),
        now: i64,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool> {
        let files = self.state().files.clone();
        let there: HashSet<[u8; 16]> = files.iter().map(|file| file.id).collect();
        looked.retain(|id, _| there.contains(id));
        for file in files {
            let is_new = |since: &Instant| since.elapsed() < age;
            let old = u64::try_from(now.saturating_sub(file.run.made().time)).unwrap_or(0);
            if old < age.as_secs() || looked.get(&file.id).is_some_and(is_new) {
                continue;
            }
            looked.insert(file.id, Instant::now());
            if self.has_dead(shard, &file, go_on)? {
                self.rewrite(shard, vec![file], go_on)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Rewrites a file that has text of an account that is not there any more; whether there was one.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn drop_erased(
        &self,
        shard: &Shard,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool> {
        let files = self.state().files.clone();
        for file in files {
            let state = shard.hot.read()?;
            let mut is_erased = false;
            for account in file.run.accounts() {
                let key = key::account(AccountId(account));
                is_erased |= state.look(TableName::Accounts, &key, |_| ())?.is_none();
            }
            drop(state);
            if is_erased {
                self.rewrite(shard, vec![file], go_on)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_dead(
        &self,
        shard: &Shard,
        file: &Arc<TextFile>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool> {
        let mut alive = Alive::new(shard)?;
        for account in file.run.accounts() {
            let messages = match file.run.messages(account) {
                Ok(messages) => messages,
                Err(e) => {
                    self.set_aside(file, &e)?;
                    return Ok(false);
                }
            };
            for id in messages {
                if !alive.is(Key { account, id })? {
                    return Ok(true);
                }
            }
            if !go_on() {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Puts files with what is alive in the place of some.
    fn rewrite(
        &self,
        shard: &Shard,
        inputs: Vec<Arc<TextFile>>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        let rect = match inputs.as_slice() {
            [one] => one.rect,
            many => Rect::all(
                many.iter().map(|file| file.rect.from).min().unwrap_or(0),
                many.iter().map(|file| file.rect.to).max().unwrap_or(0),
            ),
        };
        let runs: Vec<Run> = inputs.iter().map(|file| file.run.clone()).collect();
        let mut alive = Alive::new(shard)?;
        let position = shard.applied().0;
        let mut blamed = None;
        let mut dead = Vec::new();
        let written = self.write(rect, position, &mut |writer| {
            let mut is_alive = |key| match alive.is(key) {
                Ok(is) => {
                    if !is {
                        dead.push(key);
                    }
                    // Words of what is gone may go before its text does.
                    if dead.len() >= WORDS_COMMIT_MESSAGES
                        && let Err(e) = drop_words(shard, &mut dead)
                    {
                        alive.failed = Some(e);
                        return Err(coldpost_search::Error::Late);
                    }
                    Ok(is)
                }
                Err(e) => {
                    alive.failed = Some(e);
                    Err(coldpost_search::Error::Late)
                }
            };
            let merged = merge(&runs, writer, &mut is_alive, go_on);
            merged.map_err(|(number, e)| {
                if let Some(failed) = alive.failed.take() {
                    return failed;
                }
                let text = e.to_string();
                blamed = number.zip(Some(e));
                Error::new(crate::error::Kind::Unavailable, text)
            })
        });
        if let Some((number, e)) = blamed {
            let Some(file) = inputs.get(number) else {
                return Err(of_search(e));
            };
            return self.set_aside(file, &e);
        }
        let written = written?;
        // The words first: what is not in the text any more nobody would take out of them.
        if let Err(e) = drop_words(shard, &mut dead) {
            written.iter().for_each(|file| self.remove(file));
            return Err(e);
        }
        self.replace(&inputs, written)
    }

    fn replace(&self, old: &[Arc<TextFile>], new: Vec<Arc<TextFile>>) -> Result<()> {
        let mut state = self.change();
        let is_old = |file: &Arc<TextFile>| old.iter().any(|old| old.id == file.id);
        let are_all_here = state.files.iter().filter(|file| is_old(file)).count() == old.len();
        if !are_all_here {
            drop(state);
            new.iter().for_each(|file| self.remove(file));
            return Ok(());
        }
        state.files.retain(|file| !is_old(file));
        state.files.extend(new);
        self.save(&state)?;
        drop(state);
        old.iter().for_each(|file| self.remove(file));
        Ok(())
    }
}

fn drop_words(shard: &Shard, dead: &mut Vec<Key>) -> Result<()> {
    let dead = std::mem::take(dead);
    match &shard.words {
        Some(words) => words.drop_dead(&dead),
        None => Ok(()),
    }
}
