//! `verify --bucket`: what the store lists and what the hot tier refers to, compared both ways, in each copy by itself; and mended.
//!
//! Promises: what came, went or was confirmed while it was looked at is no finding; a store that is another one's is not gone through;
//! nothing is written without [`repair`], and then nothing but bytes with the digest that the hot tier has for that name. Never: deletes
//! anything, has a whole listing in memory. A crash leaves: what was mended until then.

mod claims;
mod confirm;
mod contents;
mod listing;
mod lost;
mod mend;
mod merge;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use coldpost_tiers::address::ObjectId;
use coldpost_tiers::cold::{Caller, ColdStore};

use super::objects::Messages;
use super::{Bench, Event, Found, Subject, Summary, Target, Unchecked, Whose, damage, unchecked};
use crate::error::{Error, Result};
use crate::ids::ShardNo;
use crate::open::Engine;
use claims::Holds;
use lost::Lost;

/// An object that is told of, and is no damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The store that has it.
    pub store: String,
    /// Its name there.
    pub object: String,
    /// Its bytes.
    pub bytes: u64,
    /// When it was written, by the store's clock: seconds since 1970; 0 where nobody asked.
    pub modified: i64,
    /// What is with it.
    pub state: State,
    /// The same in words.
    pub what: String,
}

/// What is with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its name is one of ours, and nothing refers to it.
    Unknown,
    /// Its name is none of ours.
    Foreign,
    /// It is there, and the journal does not say so.
    Unconfirmed,
    /// It was put again, or the journal says now that it is there.
    Mended,
}

/// What a store has of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The store.
    pub store: String,
    /// The folder, or `foreign`.
    pub kind: &'static str,
    /// Objects in it.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these, those that the hot tier knows (or that are claims).
    pub referenced: u64,
    /// Their bytes.
    pub referenced_bytes: u64,
    /// Of these, those that nothing refers to.
    pub unknown: u64,
    /// Their bytes.
    pub unknown_bytes: u64,
}

/// What was compared and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Objects listed and their bytes, damage, victims, what could not be looked at. `messages` stays 0.
    pub summary: Summary,
    /// Objects of our names that nothing refers to, and their bytes.
    pub unknown: (u64, u64),
    /// Objects of other names, and their bytes.
    pub foreign: (u64, u64),
    /// Objects that are there, and the journal does not say so.
    pub unconfirmed: u64,
    /// Objects that were put again or confirmed.
    pub mended: u64,
    /// What the stores were asked for this, by kind.
    pub requests: Vec<(&'static str, u64)>,
}

type Report<'a> = &'a mut (dyn FnMut(Event) + Send);

/// Why a copy is not gone through any further.
enum Stop {
    /// It does not answer: about what, and why.
    Away(String, String),
    /// We cannot go on.
    Failed(Error),
}

type Going<T> = std::result::Result<T, Stop>;

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

/// Compares by listing alone.
///
/// # Errors
/// As [`super::verify`].
pub async fn compare(target: Target<'_>, report: Report<'_>) -> Result<Compared> {
    let (mut summary, lock);
    let (whose, subjects) = match target {
        Target::Running(engine) => {
            lock = None;
            summary = Summary::default();
            super::running(engine, &mut summary, report)?
        }
        Target::Stopped(settings) => {
            summary = Summary::default();
            let (whose, held) = super::stopped::whose(settings, &mut summary, report)?;
            lock = held;
            let subjects = super::subjects(&whose, &mut summary, report).await?;
            (whose, subjects)
        }
    };
    let compared = go(whose, &subjects, None, summary, report).await;
    drop(lock);
    compared
}

/// Compares, reads every copy of every object, and puts again what is missing or damaged from a copy or a local file that is whole.
///
/// # Errors
/// As [`super::verify`]; `Conflict` when another writer has a shard.
pub async fn repair(engine: &Engine, report: Report<'_>) -> Result<Compared> {
    let mut summary = Summary::default();
    let (whose, subjects) = super::running(engine, &mut summary, report)?;
    go(whose, &subjects, Some(engine), summary, report).await
}

/// What all steps share.
struct Walk<'a, 'b> {
    bench: &'a Bench<'b>,
    identity: Found,
    subjects: &'a [Subject],
    copies: Vec<ColdStore>,
    /// Who mends.
    engine: Option<&'a Engine>,
    compared: Compared,
    report: Report<'a>,
    /// Victims are named once.
    named: BTreeMap<ShardNo, Messages>,
    /// What no copy has and whose victims are not named yet.
    lost: Vec<Lost>,
    /// What was told of and could not be mended, by copy.
    told: BTreeSet<(usize, ShardNo, ObjectId)>,
    /// What is there, and nobody will say so to the journal.
    forgotten: BTreeSet<(ShardNo, ObjectId)>,
    done_bytes: u64,
    total_bytes: u64,
}

async fn go(
    whose: Whose<'_>,
    subjects: &[Subject],
    engine: Option<&Engine>,
    summary: Summary,
    report: Report<'_>,
) -> Result<Compared> {
    let before = asked(&whose.cold);
    let identity = whose.identity;
    let bench = whose.bench();
    let mut walk = Walk {
        copies: bench.cold.each_copy(),
        bench: &bench,
        identity,
        subjects,
        engine,
        compared: Compared {
            summary,
            ..Compared::default()
        },
        report,
        named: BTreeMap::new(),
        lost: Vec::new(),
        told: BTreeSet::new(),
        forgotten: BTreeSet::new(),
        done_bytes: 0,
        total_bytes: 0,
    };
    walk.all().await?;
    let mut compared = walk.compared;
    let since = |(kind, count): (&'static str, u64)| {
        let earlier = before.iter().find(|(of, _)| *of == kind);
        let count = count.saturating_sub(earlier.map_or(0, |(_, count)| *count));
        (count > 0).then_some((kind, count))
    };
    compared.requests = asked(&bench.cold).into_iter().filter_map(since).collect();
    Ok(compared)
}

/// What was asked of a store for verifying, by kind.
fn asked(cold: &ColdStore) -> Vec<(&'static str, u64)> {
    let requests = cold.usage().requests.into_iter();
    let ours = requests.filter(|r| r.caller == "verify");
    ours.map(|r| (r.kind, r.count)).collect()
}

impl Walk<'_, '_> {
    async fn all(&mut self) -> Result<()> {
        let holds = self.claims().await?;
        let usable: Vec<usize> = (0..holds.len())
            .filter(|copy| match holds[*copy] {
                Holds::Ours => true,
                // Filled from the other; without that every object of it would be told.
                Holds::Nothing => self.engine.is_some() && holds.contains(&Holds::Ours),
                Holds::Unusable => false,
            })
            .collect();
        let passes = usable.len() * if self.engine.is_some() { 2 } else { 1 };
        self.total_bytes = self.referenced_bytes()? * u64::try_from(passes).unwrap_or(1);
        let mut answering = Vec::new();
        for copy in usable {
            let listed = self.list(copy).await;
            if self.settle(copy, listed)? {
                answering.push(copy);
            }
        }
        self.tell_lost()?;
        if self.engine.is_none() {
            return Ok(());
        }
        for copy in answering {
            let read = self.read_all(copy).await;
            self.settle(copy, read)?;
        }
        let confirmed = self.confirm_all().await;
        self.settle(0, confirmed)?;
        self.tell_lost()
    }

    /// Whether a copy was gone through to its end; what stopped it is told.
    fn settle(&mut self, copy: usize, went: Going<()>) -> Result<bool> {
        match went {
            Ok(()) => return Ok(true),
            Err(Stop::Away(object, what)) => {
                let what = format!(
                    "{} was not gone through to its end: {what}",
                    self.copies[copy].url()
                );
                self.unchecked(object, what);
            }
            Err(Stop::Failed(e)) if e.is_hot_damage() => {
                let what = format!("{}; coldpost verify says more", super::in_full(&e));
                self.damage("hot.redb".to_owned(), what, Vec::new());
            }
            Err(Stop::Failed(e)) => return Err(e),
        }
        Ok(false)
    }

    fn damage(&mut self, object: String, what: String, victims: Vec<super::Victim>) {
        damage(
            &mut self.compared.summary,
            self.report,
            object,
            0,
            what,
            victims,
        );
    }

    fn unchecked(&mut self, object: String, what: String) {
        let what = Unchecked {
            object,
            what,
            objects: 1,
            ..Unchecked::default()
        };
        unchecked(&mut self.compared.summary, self.report, what);
    }

    fn tell(&mut self, object: Object) {
        let (count, bytes) = match object.state {
            State::Unknown => (
                &mut self.compared.unknown.0,
                Some(&mut self.compared.unknown.1),
            ),
            State::Foreign => (
                &mut self.compared.foreign.0,
                Some(&mut self.compared.foreign.1),
            ),
            State::Unconfirmed => (&mut self.compared.unconfirmed, None),
            State::Mended => (&mut self.compared.mended, None),
        };
        *count += 1;
        if let Some(bytes) = bytes {
            *bytes += object.bytes;
        }
        (self.report)(Event::Object(object));
    }

    fn progress(&mut self, bytes: u64) {
        self.done_bytes += bytes;
        self.total_bytes = self.total_bytes.max(self.done_bytes);
        (self.report)(Event::Progress {
            done: self.done_bytes,
            total: self.total_bytes,
        });
    }

    /// The shard, if this store has it and its hot tier can be asked.
    fn subject(&self, shard: ShardNo) -> Option<&Subject> {
        let subject = self.subjects.iter().find(|s| s.shard == shard)?;
        (!subject.is_made && subject.hot.get().is_ok()).then_some(subject)
    }
}

/// An answer of a copy, or that there was none.
fn answered<T>(name: &str, asked: coldpost_tiers::Result<T>) -> Going<T> {
    asked.map_err(|e| Stop::Away(name.to_owned(), super::in_full(&e)))
}

/// Who asks.
const CALLER: Caller = Caller::Verify;
