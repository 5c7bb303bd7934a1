//! Whether the data directory and the bucket are of one store and one epoch, as the start asks; nothing is written in either.

use std::path::Path;

use coldpost_tiers::cold::ColdStore;

use super::{Bench, Event, Found, Summary, Unchecked, damage, in_full, unchecked};
use crate::error::{Error, Kind, Result};
use crate::identity::{Claim, check as compare};
use crate::ids::ShardNo;
use crate::journal::embedded::local_segments;
use crate::local::shard_dir;

/// Reports what keeps the shard from being opened, or from using its bucket.
pub(super) async fn check(
    bench: &Bench<'_>,
    identity: &Found,
    shard: ShardNo,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) {
    // Without it nobody knows whose claim is to be looked for; that is told already.
    let Some(store) = identity.store else {
        return;
    };
    let dir = shard_dir(&bench.settings.data, shard);
    let mut tell = |object: String, what: String| {
        damage(summary, report, object, 0, what, Vec::new());
    };
    let file = format!("shards/{:04x}/epoch", shard.0);
    let claim = match Claim::read(&dir, store, shard) {
        Ok(Some(claim)) => claim,
        Ok(None) => return tell(file, "it is missing; put it back from a backup".to_owned()),
        Err(e) => return tell(file, in_full(&e)),
    };
    if !claim.claimed && has_journal(bench, &dir) {
        let what = "it says that this epoch was never claimed in the store, and there is a journal: the file was lost and made anew. \
                    Put it back from a backup";
        tell(file, what.to_owned());
    }
    let compared = match claim.claimed {
        true => compare(&bench.cold, &claim, &dir).await,
        false => unclaimed(&bench.cold, &claim, &dir).await,
    };
    match compared {
        Ok(()) => {}
        Err(e) if is_away(&e) => {
            let what = Unchecked {
                object: claim.key().to_string(),
                what: e.to_string(),
                objects: 1,
                ..Unchecked::default()
            };
            unchecked(summary, report, what);
        }
        Err(e) => tell(claim.key().to_string(), e.to_string()),
    }
}

/// Entries are taken only in an epoch that was claimed.
fn has_journal(bench: &Bench<'_>, dir: &Path) -> bool {
    local_segments(&*bench.disk, &dir.join("journal")).is_ok_and(|files| !files.is_empty())
}

/// Of a file that says that nothing was claimed yet: that the store has no other claim. Asked as if it were claimed, else it would be put.
async fn unclaimed(cold: &ColdStore, claim: &Claim, dir: &Path) -> Result<()> {
    let as_if = Claim {
        claimed: true,
        ..claim.clone()
    };
    match compare(cold, &as_if, dir).await {
        Err(e) if e.kind() == Kind::Unavailable && !is_away(&e) => Ok(()),
        Err(e) if e.kind() == Kind::Conflict => {
            let text = format!(
                "{} has another claim of this epoch than {}: that file was lost and made anew, or the store is another one ({e})",
                cold.url(),
                dir.join("epoch").display()
            );
            Err(Error::new(Kind::Conflict, text))
        }
        compared => compared,
    }
}

/// Whether the store did not answer: that an object is not there, or is damaged, is an answer.
fn is_away(error: &Error) -> bool {
    let below = std::error::Error::source(error)
        .and_then(|e| e.downcast_ref::<coldpost_tiers::Error>())
        .map(coldpost_tiers::Error::kind);
    let has_answered = matches!(
        below,
        Some(coldpost_tiers::Kind::NotFound | coldpost_tiers::Kind::Corrupt { .. })
    );
    error.kind() == Kind::Unavailable && !has_answered
}
