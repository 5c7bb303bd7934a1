//! Verification of a store: journal, hot tier, local files and the object store, to the end whatever is found.
//!
//! Promises: every damaged range is reported once, with every message that it touches.
//! Never: repairs anything.

pub mod bucket;
mod compacted;
mod copy;
mod coverage;
mod epochs;
mod journal;
mod lane;
mod objects;
mod pieces;
mod rebuild;
mod stopped;
mod tail;
mod victims;

use std::path::Path;
use std::sync::Arc;

use coldpost_tiers::cold::ColdStore;
use coldpost_tiers::disk::{Disk, ReadOnlyDisk};

use crate::apply::invariants;
use crate::error::{Result, in_full};
use crate::ids::{Position, ShardNo, StoreId, Uid};
use crate::local::LocalStore;
use crate::open::Engine;
use crate::settings::Settings;
use crate::shard::HotCell;
use objects::ShardCheck;

/// After so many objects in a row without an answer the store is not asked any more: each of them may take a minute.
const UNANSWERED_MAX: u32 = 3;

/// What is verified.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// The store of this process, while it works.
    Running(&'a Engine),
    /// A data directory that no process has; it is opened only as far as its damage allows.
    Stopped(&'a Settings),
}

/// What verification tells while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// How far it is.
    Progress {
        /// Bytes verified.
        done: u64,
        /// Bytes there are to verify, as far as known.
        total: u64,
    },
    /// Something is not what was written.
    Damage(Damage),
    /// Something could not be looked at.
    Unchecked(Unchecked),
    /// An object of the store that is no damage and is told of.
    Object(bucket::Object),
    /// What a store has of one kind.
    Totals(bucket::Totals),
}

/// What could not be looked at: nobody knows whether it is whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unchecked {
    /// Key of the object, or path of the file below the data directory: the first of them.
    pub object: String,
    /// Why.
    pub what: String,
    /// Objects and files.
    pub objects: u64,
    /// Messages that are nowhere else.
    pub messages: u64,
    /// Entries of the journal.
    pub entries: u64,
}

/// A damaged range of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Key of the object, or path of the file below the data directory.
    pub object: String,
    /// Where in it, bytes.
    pub offset: u64,
    /// What is wrong, and what was expected.
    pub what: String,
    /// The messages that cannot be read because of it.
    pub victims: Vec<Victim>,
}

/// A message that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Name of the account.
    pub account: String,
    /// Name of the mailbox.
    pub mailbox: String,
    /// Its UID there.
    pub uid: Uid,
    /// INTERNALDATE: seconds since 1970 and the zone in minutes east.
    pub internal_date: (i64, i16),
}

/// What was verified and what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Objects and files read.
    pub objects: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Messages whose bytes were compared with their checksums.
    pub messages: u64,
    /// Damaged ranges.
    pub damaged: u64,
    /// Messages that cannot be read.
    pub victims: u64,
    /// What could not be looked at.
    pub unchecked: Unasked,
}

/// What could not be looked at, of a whole store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unasked {
    /// Objects and files.
    pub objects: u64,
    /// Messages that are in nothing else.
    pub messages: u64,
    /// Entries of the journal.
    pub entries: u64,
}

/// A shard as verification sees it.
pub(crate) struct Subject {
    pub(crate) shard: ShardNo,
    pub(crate) hot: Arc<HotCell>,
    /// The last entry that must be whole. Behind it somebody writes, or a crash left a torn tail.
    pub(crate) promised: Position,
    /// Somebody writes.
    pub(crate) is_running: bool,
    /// The hot tier was made for this, from what can be read of the journal.
    pub(crate) is_made: bool,
}

/// The store that is looked at.
pub(crate) struct Whose<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) identity: Found,
    pub(crate) cold: ColdStore,
}

/// Which store it is, from its file or, where that is damaged, from what else is there.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// `None` when nothing says it.
    pub(crate) store: Option<StoreId>,
    pub(crate) shards: u16,
}

/// What all checks share.
pub(crate) struct Bench<'a> {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) settings: &'a Settings,
    pub(crate) cold: ColdStore,
    pub(crate) local: LocalStore,
    pub(crate) store: Option<StoreId>,
}

impl<'a> Whose<'a> {
    /// What all checks of it share.
    fn bench(self) -> Bench<'a> {
        Bench {
            disk: Arc::new(ReadOnlyDisk),
            settings: self.settings,
            cold: self.cold,
            local: LocalStore::new(&self.settings.data),
            store: self.identity.store,
        }
    }
}

impl Bench<'_> {
    /// A path as damage names it.
    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.settings.data)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// Verifies everything and goes on past damage; `report` hears of it in the order in which it is found.
///
/// # Errors
/// `Conflict` when another process has the data directory; `Unavailable` when nothing can be verified at all.
pub async fn verify(target: Target<'_>, report: &mut (dyn FnMut(Event) + Send)) -> Result<Summary> {
    let mut summary = Summary::default();
    match target {
        Target::Running(engine) => {
            let (whose, subjects) = running(engine, &mut summary, report)?;
            run(whose, subjects, summary, report).await
        }
        Target::Stopped(settings) => {
            let (whose, lock) = stopped::whose(settings, &mut summary, report)?;
            let subjects = subjects(&whose, &mut summary, report).await?;
            run(whose, subjects, summary, report)
                .await
                .inspect(|_| drop(lock))
        }
    }
}

/// The store of this process.
fn running<'e>(
    engine: &'e Engine,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<(Whose<'e>, Vec<Subject>)> {
    let subject = |s: &Arc<crate::shard::Shard>| Subject {
        shard: s.no,
        hot: Arc::clone(&s.hot),
        promised: s.durable(),
        is_running: true,
        is_made: false,
    };
    let subjects = engine.inner.shards.iter().map(subject).collect();
    let settings = engine.settings();
    let whose = Whose {
        settings,
        identity: stopped::identity(settings, summary, report)?,
        cold: engine.inner.cold.clone(),
    };
    Ok((whose, subjects))
}

/// The shards of a stopped store.
async fn subjects(
    whose: &Whose<'_>,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for shard in (0..=whose.identity.shards).map(ShardNo) {
        subjects.push(stopped::subject(whose, shard, summary, report).await?);
    }
    Ok(subjects)
}

fn hot_name(shard: ShardNo) -> String {
    format!("shards/{:04x}/hot.redb", shard.0)
}

/// Whether the rows agree with one another.
fn rows(
    subject: &Subject,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<()> {
    let Ok(state) = subject.hot.read() else {
        return Ok(());
    };
    for what in invariants::violations(&state)? {
        damage(
            summary,
            report,
            hot_name(subject.shard),
            0,
            what,
            Vec::new(),
        );
    }
    Ok(())
}

/// Whether the journal is all there; one that was read from its beginning for this has told it.
fn continuity(
    bench: &Bench<'_>,
    subject: &Subject,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<()> {
    match (subject.is_made, subject.hot.get()) {
        (false, Ok(_)) => coverage::check(bench, subject, summary, report),
        _ => Ok(()),
    }
}

async fn run(
    whose: Whose<'_>,
    subjects: Vec<Subject>,
    mut summary: Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<Summary> {
    let identity = whose.identity;
    let bench = whose.bench();
    for subject in &subjects {
        epochs::check(&bench, &identity, subject.shard, &mut summary, report).await;
        journal::check(&bench, subject, &mut summary, report);
        // What the rest of a damaged hot tier still tells is looked at all the same.
        for part in [
            rows(subject, &mut summary, report),
            continuity(&bench, subject, &mut summary, report),
            ShardCheck::new(&bench, subject, &mut summary, report)
                .run()
                .await,
        ] {
            match part {
                Err(e) if !e.is_hot_damage() => return Err(e),
                _ => {}
            }
        }
        if subject.is_running && subject.hot.is_damaged() {
            let what = "a page cannot be read, nor can the mailboxes in it; restart the daemon, and it is made anew from the journal";
            damage(
                &mut summary,
                report,
                hot_name(subject.shard),
                0,
                what.to_owned(),
                Vec::new(),
            );
        }
    }
    Ok(summary)
}

pub(crate) fn unchecked(
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
    what: Unchecked,
) {
    summary.unchecked.objects += what.objects;
    summary.unchecked.messages += what.messages;
    summary.unchecked.entries += what.entries;
    report(Event::Unchecked(what));
}

pub(crate) fn damage(
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
    object: String,
    offset: u64,
    what: String,
    victims: Vec<Victim>,
) {
    summary.damaged += 1;
    summary.victims += u64::try_from(victims.len()).unwrap_or(u64::MAX);
    report(Event::Damage(Damage {
        object,
        offset,
        what,
        victims,
    }));
}

#[cfg(test)]
mod tests;
