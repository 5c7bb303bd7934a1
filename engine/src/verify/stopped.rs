//! The hot tier of a stopped store: looked at without a change on disk; one that is missing or cannot be read is made for the time of
//! the verification, from the journal, so that victims have names.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coldpost_tiers::cold::ColdStore;
use coldpost_tiers::disk::{Disk, RealDisk};
use coldpost_tiers::hot::HotTier;

use super::{Event, Subject, Summary, damage};
use crate::apply::Fold;
use crate::error::{Error, Kind, Result};
use crate::identity::{Claim, Identity};
use crate::ids::{Position, ShardNo};
use crate::local::shard_dir;
use crate::settings::Settings;
use crate::shard::{HotCell, rebuild_aside};
use crate::start::open_shard;

/// A file that lives as long as this.
pub(crate) struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        // Nobody reads it; the next verification removes it first.
        let _ = fs::remove_file(&self.0);
    }
}

/// What is to be verified of a shard.
///
/// # Errors
/// `Unavailable` when no hot tier can be made either.
pub(super) async fn subject(
    settings: &Settings,
    cold: &ColdStore,
    identity: &Identity,
    shard: ShardNo,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<Subject> {
    let path = shard_dir(&settings.data, shard).join("hot.redb");
    let cache = usize::try_from(settings.hot_cache).unwrap_or(usize::MAX);
    let hot = Arc::new(HotCell::default());
    let mut made = None;
    let (opened, damaged) = inspect(&path, cache)?;
    if let Some(what) = damaged {
        damage(summary, report, super::hot_name(shard), 0, what, Vec::new());
    }
    if let Some(opened) = opened {
        hot.replace(Some(opened));
    } else {
        let (journal, opened, file) = rebuilt(settings, cold, identity, shard, cache).await?;
        hot.replace(opened);
        made = file;
        if let Err(e) = journal {
            let journal = format!("shards/{:04x}/journal", shard.0);
            damage(summary, report, journal, 0, e.to_string(), Vec::new());
        }
    }
    let applied = |state| Ok(Fold::load(&state)?.applied.position);
    let promised = hot.read().and_then(applied).unwrap_or(Position(0));
    Ok(Subject {
        shard,
        hot,
        promised,
        is_running: false,
        made,
    })
}

/// The file's hot tier, if anything can be made of it, and what is wrong and what to do.
fn inspect(path: &Path, cache: usize) -> Result<(Option<HotTier>, Option<String>)> {
    use coldpost_tiers::Kind::Unavailable;
    let mut hot = match HotTier::inspect(path, cache) {
        Ok(hot) => hot,
        Err(e) if *e.kind() == Unavailable => return Err(e.into()),
        // The start sees that as well.
        Err(e) => {
            let what = format!("{e}; the next start makes it anew from the journal");
            return Ok((None, Some(what)));
        }
    };
    let what = "a page is not what was written, and the next start does not see it: move this file away, and it is made anew from the journal";
    match hot.check_integrity() {
        Ok(true) => Ok((Some(hot), None)),
        Ok(false) => Ok((Some(hot), Some(what.to_owned()))),
        Err(e) if *e.kind() == Unavailable => Err(e.into()),
        Err(_) => Ok((None, Some(what.to_owned()))),
    }
}

type Rebuilt = (Result<()>, Option<HotTier>, Option<Made>);

/// How far the journal could be read, and the hot tier that it gives.
async fn rebuilt(
    settings: &Settings,
    cold: &ColdStore,
    identity: &Identity,
    shard: ShardNo,
    cache: usize,
) -> Result<Rebuilt> {
    let dir = shard_dir(&settings.data, shard);
    let claim = match Claim::read(&dir, identity.store, shard) {
        Ok(Some(claim)) => claim,
        // Told as damage of that file.
        Ok(None) | Err(_) => return Ok((Ok(()), None, None)),
    };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (notices, _) = tokio::sync::mpsc::unbounded_channel();
    let opening = open_shard(settings, &disk, cold, claim.lineage, cache, &notices);
    let made = Made(dir.join("verify.redb"));
    match fs::remove_file(&made.0) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            let text = format!("cannot remove {}", made.0.display());
            return Err(Error::with_source(Kind::Unavailable, text, e));
        }
        _ => {}
    }
    let path = made.0.clone();
    let work = tokio::task::spawn_blocking(move || rebuild_aside(&opening, &path)).await;
    let (hot, read) =
        work.map_err(|e| Error::with_source(Kind::Internal, "making a hot tier failed", e))??;
    Ok((read, Some(hot), Some(made)))
}
