//! The hot tier of a stopped store: looked at without a change on disk; one that is missing or cannot be read is made for the time of
//! the verification, from the journal, so that victims have names.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use coldpost_tiers::cold::ColdStore;
use coldpost_tiers::disk::ReadOnlyDisk;
use coldpost_tiers::hot::HotTier;
use coldpost_tiers::segment::{Lineage, SegmentReader};

use super::{Event, Found, Subject, Summary, Whose, damage, in_full, rebuild, tail};
use crate::apply::Fold;
use crate::error::{Error, Kind, Result};
use crate::identity::Identity;
use crate::ids::{Epoch, Position, ShardNo, StoreId};
use crate::journal::embedded::{LocalSegment, local_segments};
use crate::local::shard_dir;
use crate::settings::Settings;
use crate::shard::{HotCell, is_foreign, older_schema};
use crate::start::{another_has, take_lock};

/// Which store lies in the data directory. A damaged `store` file is told; what it said is then taken from the shards.
///
/// # Errors
/// `NotFound` where there is no store.
pub(super) fn identity(
    settings: &Settings,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<Found> {
    let data = &settings.data;
    let shards = data.join("shards");
    let what = match Identity::read(data) {
        Ok(Some(Identity { store, shards, .. })) => {
            let store = Some(store);
            return Ok(Found { store, shards });
        }
        Ok(None) if !shards.exists() => {
            let text = format!("{} holds no store: check --data", data.display());
            return Err(Error::new(Kind::NotFound, text));
        }
        Ok(None) => {
            "it is missing, and there is mail in shards/: put it back from a backup".to_owned()
        }
        Err(e) => in_full(&e),
    };
    damage(summary, report, "store".to_owned(), 0, what, Vec::new());
    let names = fs::read_dir(&shards).into_iter().flatten().flatten();
    let numbers = names.filter_map(|entry| {
        let name = entry.file_name();
        u16::from_str_radix(name.to_str()?, 16).ok()
    });
    let last = numbers.max().unwrap_or(settings.shards);
    let store = (0..=last).find_map(|shard| store_of(data, ShardNo(shard)));
    Ok(Found {
        store,
        shards: last,
    })
}

/// The store that a shard's journal says it belongs to.
fn store_of(data: &Path, shard: ShardNo) -> Option<StoreId> {
    let dir = shard_dir(data, shard).join("journal");
    let files = local_segments(&ReadOnlyDisk, &dir).ok()?;
    let read = |file: &LocalSegment| SegmentReader::open(&ReadOnlyDisk, &file.path).ok();
    Some(files.iter().find_map(read)?.header().store)
}

/// The store in a data directory that nobody has, and the lock on it.
///
/// # Errors
/// As [`identity`] and [`lock`]; `Invalid` when the settings name no object store.
pub(super) fn whose<'s>(
    settings: &'s Settings,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<(Whose<'s>, Option<File>)> {
    let identity = identity(settings, summary, report)?;
    let lock = lock(&settings.data)?;
    let whose = Whose {
        settings,
        identity,
        cold: ColdStore::open(&settings.cold)?,
    };
    Ok((whose, lock))
}

/// Keeps a daemon from starting meanwhile. On a disk that is mounted read-only none can: then whatever lock there is will do.
///
/// # Errors
/// `Conflict` when another process has the data directory.
fn lock(data: &Path) -> Result<Option<File>> {
    let refused = match take_lock(data) {
        Ok(lock) => return Ok(Some(lock)),
        Err(e) if e.kind() == Kind::Conflict => return Err(e),
        Err(e) => e,
    };
    match File::open(data.join("lock")) {
        Ok(lock) => match lock.try_lock() {
            Err(TryLockError::WouldBlock) => Err(another_has(data)),
            _ => Ok(Some(lock)),
        },
        Err(_) => {
            tracing::warn!("{}", in_full(&refused));
            Ok(None)
        }
    }
}

/// What is to be verified of a shard.
///
/// # Errors
/// `Internal` when we failed.
pub(super) async fn subject(
    whose: &Whose<'_>,
    shard: ShardNo,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<Subject> {
    let settings = whose.settings;
    let path = shard_dir(&settings.data, shard).join("hot.redb");
    let cache = usize::try_from(settings.hot_cache).unwrap_or(usize::MAX);
    let hot = Arc::new(HotCell::default());
    // On a disk that refuses it stays, and does no harm.
    let _ = rebuild::remove_left(&shard_dir(&settings.data, shard));
    let (opened, damaged) = match inspect(&path, cache) {
        (Some(hot), None) => ours(whose, shard, hot),
        seen => seen,
    };
    if let Some(what) = damaged {
        damage(summary, report, super::hot_name(shard), 0, what, Vec::new());
    }
    let is_made = opened.is_none();
    let promised = match opened {
        Some(found) => {
            let last = last(&found);
            let caught_up = match last {
                Some(last) => {
                    let from = (&*path, cache);
                    tail::caught_up(whose, shard, (found, last), from, summary, report).await
                }
                // What cannot be read of it is told where it is looked at.
                None => Some(found),
            };
            hot.replace(caught_up);
            last
        }
        None => {
            let made = rebuild::aside(whose, shard, cache, summary, report).await?;
            let last = made.as_ref().and_then(last);
            hot.replace(made);
            last
        }
    };
    let promised = promised.unwrap_or(Position(0));
    Ok(Subject {
        shard,
        hot,
        promised,
        is_running: false,
        is_made,
    })
}

/// The last entry in it, if it can be read.
fn last(hot: &HotTier) -> Option<Position> {
    let applied = Fold::applied(&hot.read().ok()?).ok()?;
    Some(applied.position)
}

/// A hot tier that opens, if it is that of this shard's journal, as the start asks.
fn ours(whose: &Whose<'_>, shard: ShardNo, hot: HotTier) -> (Option<HotTier>, Option<String>) {
    match hot
        .read()
        .map_err(Error::from)
        .and_then(|state| older_schema(&state))
    {
        // Nothing is wrong with it: the next start makes it anew, as we do for this.
        Ok(Some(_)) => return (None, None),
        Err(e) if e.kind() == Kind::Invalid => return (None, Some(in_full(&e))),
        // What cannot be read of it is told where it is looked at.
        Ok(None) | Err(_) => {}
    }
    let Some(store) = whose.identity.store else {
        return (Some(hot), None);
    };
    let dir = shard_dir(&whose.settings.data, shard);
    let lineage = Lineage {
        store,
        shard,
        epoch: Epoch(0),
    };
    let foreign = hot
        .read()
        .map_err(Error::from)
        .and_then(|state| is_foreign(&ReadOnlyDisk, &dir, &state, lineage));
    match foreign {
        Ok(Some(why)) => (None, Some(why.to_string())),
        // What cannot be read of it is told where it is looked at.
        Ok(None) | Err(_) => (Some(hot), None),
    }
}

/// The file's hot tier, if anything can be made of it, and what is wrong and what to do.
fn inspect(path: &Path, cache: usize) -> (Option<HotTier>, Option<String>) {
    let mut hot = match HotTier::inspect(path, cache) {
        Ok(hot) => hot,
        Err(e) => {
            // The start sees that as well.
            let then = match e.kind() {
                coldpost_tiers::Kind::Unavailable => {
                    "the shard does not start before it can be read"
                }
                _ => "the next start makes it anew from the journal",
            };
            return (None, Some(format!("{}; {then}", in_full(&e))));
        }
    };
    let what = "a page is not what was written, and the next start does not see it: move this file away, and it is made anew from the journal";
    match hot.check_integrity() {
        Ok(true) => (Some(hot), None),
        Ok(false) => (Some(hot), Some(what.to_owned())),
        Err(e) if *e.kind() == coldpost_tiers::Kind::Unavailable => (None, Some(in_full(&e))),
        Err(_) => (None, Some(what.to_owned())),
    }
}
