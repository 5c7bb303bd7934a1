//! Takes a snapshot of a shard every day on which something changed, and when its journal has grown by much.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{Counted, ObjectRow, Row};
use coldpost_tiers::hot::{TableName, key};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Notice, Progress, Wait};
use crate::blocking;
use crate::error::Result;
use crate::ids::{Position, ShardNo};
use crate::limits::{
    SNAPSHOT_EVERY_BYTES, SNAPSHOT_EVERY_S, SNAPSHOT_LOOK_MS, SNAPSHOT_RETRY_LOOKS,
};
use crate::open::Engine;
use crate::shard::Shard;
use crate::snapshot::known;

/// What is known of a shard when it is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// When its newest snapshot was confirmed, seconds since 1970; without one, when its first segment was begun; 0 when there is none.
    since: i64,
    /// Whether anything but housekeeping came behind that.
    has_changed: bool,
    /// Bytes of the segments behind that.
    journal_bytes: u64,
}

impl Seen {
    fn is_due(&self, now: i64) -> bool {
        let is_old = self.since > 0 && now.saturating_sub(self.since) >= SNAPSHOT_EVERY_S;
        self.journal_bytes >= SNAPSHOT_EVERY_BYTES || (self.has_changed && is_old)
    }
}

pub(super) async fn run(
    engine: Engine,
    progress: Arc<Progress>,
    mut queue: mpsc::UnboundedReceiver<Notice>,
) {
    let look = Duration::from_millis(SNAPSHOT_LOOK_MS);
    let mut changed: BTreeSet<ShardNo> = BTreeSet::new();
    let mut not_before: BTreeMap<ShardNo, Instant> = BTreeMap::new();
    loop {
        let next = Instant::now() + look;
        loop {
            match timeout_at(next, queue.recv()).await {
                Ok(None) => return,
                Ok(Some(Notice::Held { shard, .. })) => {
                    changed.insert(shard);
                }
                Ok(Some(_)) => {}
                Err(_) => break,
            }
        }
        if !progress.is_confirmed() {
            continue;
        }
        for shard in &engine.inner.shards {
            if not_before
                .get(&shard.no)
                .is_some_and(|then| *then > Instant::now())
            {
                continue;
            }
            let taken = take(&engine, shard, &mut changed).await;
            progress.tell(Wait::Snapshot(shard.no), &taken);
            match taken {
                Ok(()) => not_before.remove(&shard.no),
                Err(_) => {
                    let then = Instant::now() + look * SNAPSHOT_RETRY_LOOKS;
                    not_before.insert(shard.no, then)
                }
            };
        }
    }
}

/// Takes one where it is due.
async fn take(engine: &Engine, shard: &Arc<Shard>, changed: &mut BTreeSet<ShardNo>) -> Result<()> {
    let looked_at = Arc::clone(shard);
    // It walks through all objects.
    let looking = move || look(&looked_at);
    let mut seen = blocking::run("looking whether a snapshot is due", looking).await?;
    seen.has_changed |= changed.contains(&shard.no);
    if !seen.is_due(engine.now()) {
        return Ok(());
    }
    // What comes from here on is for the next one.
    let had_changed = changed.remove(&shard.no);
    match engine.snapshot_shard(shard.no, &mut |_| {}).await {
        Ok(taken) => {
            tracing::info!(
                shard = shard.no.0,
                position = taken.position.0,
                bytes = taken.bytes,
                "a snapshot is in the object store"
            );
            Ok(())
        }
        Err(e) => {
            if had_changed {
                changed.insert(shard.no);
            }
            Err(e)
        }
    }
}

fn look(shard: &Shard) -> Result<Seen> {
    let newest = known(shard)?.into_iter().next_back();
    let position = newest.as_ref().map_or(Position(0), |s| s.position);
    let mut seen = Seen {
        since: newest.map_or(0, |s| s.time),
        ..Seen::default()
    };
    let segments = [ObjectKind::Segment as u8];
    let from = key::object(ObjectId::segment(crate::ids::Epoch(0), Position(0)));
    let state = shard.hot.read()?;
    state.walk(TableName::Objects, &segments, &from, |object_key, value| {
        let first = key::read_object(object_key).and_then(|object| object.as_segment());
        let Some((_, first)) = first.filter(|(_, first)| *first > position) else {
            return Ok(true);
        };
        let row = ObjectRow::decode("objects", value)?;
        if seen.since == 0 {
            seen.since = row.times.made;
        }
        // The segment that holds the op about the snapshot itself is sealed only because something else came.
        seen.has_changed |= row.bytes > 0 || first > Position(position.0 + 1);
        seen.journal_bytes += row.bytes;
        Ok(true)
    })?;
    // What was rewritten or let go since then waits for a snapshot to be deleted. (A segment of housekeeping alone never held anything.)
    state.walk(TableName::Objects, &[], &[], |object_key, value| {
        let kind = key::read_object(object_key).map(|object| object.kind);
        let row = ObjectRow::decode("objects", value)?;
        let held_mail = matches!(
            kind,
            Some(ObjectKind::Segment | ObjectKind::Block | ObjectKind::Pack | ObjectKind::Blob)
        ) && row.times.first_dead != 0;
        seen.has_changed |=
            held_mail && matches!(row.count, Counted::DeadSince(since) if since > position);
        Ok(true)
    })?;
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_after_a_day_with_changes_or_much_journal() {
        let day = SNAPSHOT_EVERY_S;
        let seen = Seen {
            since: 1_000,
            has_changed: true,
            journal_bytes: 0,
        };
        assert!(!seen.is_due(1_000 + day - 1));
        assert!(seen.is_due(1_000 + day));
        let idle = Seen {
            has_changed: false,
            ..seen
        };
        assert!(!idle.is_due(1_000 + 9 * day), "an idle store takes none");
        let much = Seen {
            journal_bytes: SNAPSHOT_EVERY_BYTES,
            ..idle
        };
        assert!(much.is_due(1_000), "much journal needs no day");
        assert!(!Seen::default().is_due(9 * day), "nothing is there yet");
    }
}
