//! Whether the data directory and the bucket are of one store and one epoch, as the start asks.

use super::{Bench, Event, Summary, damage};
use crate::identity::{Claim, Identity, check as compare};
use crate::ids::ShardNo;
use crate::local::shard_dir;

/// Reports what keeps the shard from being opened, or from using its bucket.
pub(super) async fn check(
    bench: &Bench<'_>,
    shard: ShardNo,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) {
    let data = &bench.settings.data;
    let dir = shard_dir(data, shard);
    let mut tell = |object: String, what: String| {
        damage(summary, report, object, 0, what, Vec::new());
    };
    let file = format!("shards/{:04x}/epoch", shard.0);
    let claim = match Identity::read(data) {
        Ok(Some(identity)) => Claim::read(&dir, identity.store, shard),
        Ok(None) => return tell("store".to_owned(), "it is missing".to_owned()),
        Err(e) => return tell("store".to_owned(), e.to_string()),
    };
    match claim {
        Ok(Some(claim)) if claim.claimed => {
            if let Err(e) = compare(&bench.cold, &claim, &dir).await {
                tell(claim.key().to_string(), e.to_string());
            }
        }
        // Never claimed: there is nothing in the bucket yet.
        Ok(Some(_)) => {}
        Ok(None) => tell(file, "it is missing; put it back from a backup".to_owned()),
        Err(e) => tell(file, e.to_string()),
    }
}
