//! Verification of a store: journal, hot tier, local files and the object store, to the end whatever is found.
//!
//! Promises: every damaged range is reported once, with every message that it touches.
//! Never: repairs anything.

mod copy;
mod coverage;
mod epochs;
mod objects;
mod stopped;
mod victims;

use std::sync::Arc;

use coldpost_tiers::cold::ColdStore;
use coldpost_tiers::disk::{Disk, RealDisk};

use crate::apply::invariants;
use crate::error::{Error, Kind, Result};
use crate::identity::Identity;
use crate::ids::{Position, ShardNo, Uid};
use crate::local::LocalStore;
use crate::open::Engine;
use crate::settings::Settings;
use crate::shard::HotCell;
use crate::start::take_lock;
use objects::ShardCheck;

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
}

/// A shard as verification sees it.
pub(crate) struct Subject {
    pub(crate) shard: ShardNo,
    pub(crate) hot: Arc<HotCell>,
    /// The last entry that must be whole. Behind it somebody writes, or a crash left a torn tail.
    pub(crate) promised: Position,
    /// Somebody writes.
    pub(crate) is_running: bool,
    /// Removes the hot tier that was made for this, when it ends.
    pub(crate) made: Option<stopped::Made>,
}

/// What all checks share.
pub(crate) struct Bench<'a> {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) settings: &'a Settings,
    pub(crate) cold: ColdStore,
    pub(crate) local: LocalStore,
}

/// Verifies everything and goes on past damage; `report` hears of it in the order in which it is found.
///
/// # Errors
/// `Conflict` when another process has the data directory; `Unavailable` when nothing can be verified at all.
pub async fn verify(target: Target<'_>, report: &mut (dyn FnMut(Event) + Send)) -> Result<Summary> {
    match target {
        Target::Running(engine) => {
            let subject = |s: &Arc<crate::shard::Shard>| Subject {
                shard: s.no,
                hot: Arc::clone(&s.hot),
                promised: s.durable(),
                is_running: true,
                made: None,
            };
            let subjects = engine.inner.shards.iter().map(subject).collect();
            run(
                engine.settings(),
                engine.inner.cold.clone(),
                subjects,
                Summary::default(),
                report,
            )
            .await
        }
        Target::Stopped(settings) => {
            let identity = Identity::read(&settings.data)?.ok_or_else(|| {
                let text = format!("{} holds no store: check --data", settings.data.display());
                Error::new(Kind::NotFound, text)
            })?;
            let lock = take_lock(&settings.data)?;
            let cold = ColdStore::open(&settings.cold)?;
            let mut summary = Summary::default();
            let mut subjects = Vec::new();
            for shard in (0..=identity.shards).map(ShardNo) {
                subjects.push(
                    stopped::subject(settings, &cold, &identity, shard, &mut summary, report)
                        .await?,
                );
            }
            run(settings, cold, subjects, summary, report)
                .await
                .inspect(|_| drop(lock))
        }
    }
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
    match (&subject.made, subject.hot.get()) {
        (None, Ok(_)) => coverage::check(bench, subject, summary, report),
        _ => Ok(()),
    }
}

async fn run(
    settings: &Settings,
    cold: ColdStore,
    subjects: Vec<Subject>,
    mut summary: Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<Summary> {
    let bench = Bench {
        disk: Arc::new(RealDisk),
        settings,
        cold,
        local: LocalStore::new(&settings.data),
    };
    for subject in &subjects {
        epochs::check(&bench, subject.shard, &mut summary, report).await;
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
