//! Whether a data directory is the newest: the object store has nothing behind the end of its journals.
//!
//! Promises: of two stores each is looked at by itself, as one that was put back or lost objects has less than the other; one that does not
//! answer is waited for. Never: concludes anything from a store that does not hold the shard's claim: an empty listing of it says nothing.

use coldpost_tiers::cold::{Caller, ColdStore, Key, key};
use coldpost_tiers::segment::Lineage;
use futures::TryStreamExt;
use futures::future::join_all;

use super::Claim;
use crate::cold;
use crate::error::{Error, Kind, Result};
use crate::ids::Position;

/// Whether the bucket has nothing of a shard's journal, nor a snapshot of it, but what this journal's sealed segments hold. An older copy of a data
/// directory, or one that lost files, would give positions and UIDs a second time. `unsealed`: the first position behind them.
///
/// # Errors
/// `Conflict`: a store has more, whatever the other says. `Unavailable`: one does not answer, or none holds this store.
pub(crate) async fn check_end(cold: &ColdStore, claim: &Claim, unsealed: Position) -> Result<()> {
    let copies = cold::copies(cold, Caller::Start);
    // Whether a store that is alone is ours was asked a moment ago, by `check`.
    let is_alone = copies.len() == 1;
    let looks = copies.iter().map(|asked| async move {
        if !is_alone && let Some(lacks) = cold::lacks(&asked.0, claim.lineage, asked.1).await? {
            return Ok(Looked::NotOurs(lacks));
        }
        later(asked, claim, unsealed).await
    });
    let mut is_looked_at = false;
    let (mut silent, mut lacking) = (None, None);
    for (said, (store, _)) in join_all(looks).await.into_iter().zip(&copies) {
        match said {
            Ok(Looked::Later(found)) => return Err(older(store, claim, unsealed, &found)),
            Ok(Looked::Nothing) => is_looked_at = true,
            // A mirror that was added, or a new disk: it gets what is put from now on.
            Ok(Looked::NotOurs(lacks)) => lacking = lacking.or(Some(lacks)),
            Err(e) => silent = silent.or(Some(e)),
        }
    }
    let lacking = lacking.filter(|_| !is_looked_at);
    silent.or(lacking).map_or(Ok(()), Err)
}

/// What one store has behind the end of a journal.
enum Looked {
    /// An object of this name.
    Later(String),
    Nothing,
    /// It does not hold the shard, so that it says nothing.
    NotOurs(Error),
}

async fn later(
    (store, caller): &(ColdStore, Caller),
    claim: &Claim,
    unsealed: Position,
) -> Result<Looked> {
    let Lineage { shard, epoch, .. } = claim.lineage;
    let position = Position(unsealed.0.saturating_sub(1));
    let segment = Key::Segment {
        shard,
        epoch,
        first: position,
    };
    // A snapshot shows the end of a sealed segment, which the bucket may not have any more.
    let snapshot = Key::Snapshot {
        shard,
        epoch,
        position,
    };
    for (folder, before) in [
        (key::segments(shard), segment),
        (key::snapshots(shard), snapshot),
    ] {
        let mut listed = store.list_after(&folder, &before, *caller);
        while let Some(found) = listed.try_next().await? {
            // Whatever else lies there, and a store that lists more than it was asked for, say nothing.
            let is_later = match found.key {
                Some(Key::Segment {
                    epoch: of, first, ..
                }) => (of, first) >= (epoch, unsealed),
                Some(Key::Snapshot {
                    epoch: of,
                    position,
                    ..
                }) => (of, position) >= (epoch, unsealed),
                _ => false,
            };
            if is_later {
                return Ok(Looked::Later(found.name));
            }
        }
    }
    Ok(Looked::Nothing)
}

fn older(store: &ColdStore, claim: &Claim, unsealed: Position, found: &str) -> Error {
    let text = format!(
        "the sealed segments of shard {} end before entry {}, and {} has a later one ({}): this data directory is an older copy or lost files. \
         Put the newest copy back whole",
        claim.lineage.shard.0,
        unsealed.0,
        store.url(),
        found
    );
    Error::new(Kind::Conflict, text)
}
