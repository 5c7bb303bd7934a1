//! What the hot tier of a stopped store lacks of its journal, when it was killed: applied for the time of the verification, so that the
//! messages that came last are counted and have names.
//!
//! Promises: nothing on disk changes; what a start would cut as torn is not there, and what it would refuse is told.
//! Never: asks the object store when the files have all of it.

use std::path::Path;

use coldpost_tiers::hot::HotTier;

use super::rebuild::{self, Making};
use super::{Event, Summary, Unchecked, Whose, hot_name, in_full, unchecked};
use crate::blocking;
use crate::error::Result;
use crate::ids::{Position, ShardNo};

/// Gives `hot`, which is that of `path` as it is looked at and ends at `last`, all of its journal that can be read, and tells what cannot.
pub(super) async fn caught_up(
    whose: &Whose<'_>,
    shard: ShardNo,
    (hot, last): (HotTier, Position),
    (path, cache): (&Path, usize),
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Option<HotTier> {
    let mut made = run(whose, shard, hot, false).await;
    if made.as_ref().is_ok_and(Making::lacks_sealed) {
        drop(made);
        made = match HotTier::inspect(path, cache) {
            Ok(hot) => run(whose, shard, hot, true).await,
            Err(e) => Err(e.into()),
        };
    }
    match made {
        Ok(made) => {
            rebuild::tell(&made, shard, summary, report);
            Some(made.hot)
        }
        Err(e) => {
            let what = format!(
                "what its journal has after entry {} could not be applied to it for this, and is neither counted nor named: {}",
                last.0,
                in_full(&e)
            );
            let what = Unchecked {
                object: hot_name(shard),
                what,
                objects: 1,
                ..Unchecked::default()
            };
            unchecked(summary, report, what);
            // As it was before anything was tried.
            HotTier::inspect(path, cache).ok()
        }
    }
}

async fn run(whose: &Whose<'_>, shard: ShardNo, hot: HotTier, asks_store: bool) -> Result<Making> {
    let mut lanes = vec![rebuild::local(whose, shard)];
    if asks_store {
        lanes.push(rebuild::stored(whose, shard).await);
    }
    let work = move || Making::behind(hot, lanes)?.run();
    blocking::run("applying the journal", work).await
}
