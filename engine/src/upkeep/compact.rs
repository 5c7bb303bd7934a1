//! Compacts what is worth it, when the shards say that something changed, and every now and then for what grew old or lost mail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Notice, Progress, Wait, tick};
use crate::ids::ShardNo;
use crate::limits::{COMPACT_LOOK_SECONDS, COMPACT_WAIT_MAX_SECONDS, COMPACT_WAIT_SECONDS};
use crate::open::Engine;

pub(super) async fn run(
    engine: Engine,
    progress: Arc<Progress>,
    mut queue: mpsc::UnboundedReceiver<Notice>,
) {
    let look = Duration::from_secs(COMPACT_LOOK_SECONDS);
    let mut patience = Patience::default();
    while !progress.confirmed.load(Ordering::Acquire) {
        tokio::time::sleep(tick()).await;
    }
    loop {
        for shard in engine.mail_shards() {
            while patience.is_over(shard.no, Instant::now()) {
                let ran = engine.compact_some(shard).await;
                progress.tell(Wait::Compaction(shard.no), &ran);
                match ran {
                    Ok(None) => {
                        patience.end(shard.no);
                        break;
                    }
                    Ok(Some(report)) => {
                        patience.end(shard.no);
                        tracing::info!(
                            shard = shard.no.0,
                            objects = report.objects,
                            moved = report.moved,
                            left = report.left,
                            blobs = report.blobs,
                            merged = report.merged,
                            bytes = report.bytes_out,
                            "compacted"
                        );
                    }
                    Err(e) => patience.begin(shard.no, Instant::now(), e.is_disk_full()),
                }
            }
        }
        match tokio::time::timeout(look, queue.recv()).await {
            Ok(None) => return,
            Ok(Some(_)) => while queue.try_recv().is_ok() {},
            Err(_) => {}
        }
    }
}

/// Until when shards wait that had trouble, and how often in a row it was for want of room: a disk that is short stays so for a while, and a
/// try may cost downloads.
#[derive(Default)]
struct Patience(BTreeMap<ShardNo, (u32, Instant)>);

impl Patience {
    fn is_over(&self, shard: ShardNo, now: Instant) -> bool {
        self.0.get(&shard).is_none_or(|(_, until)| now >= *until)
    }

    fn begin(&mut self, shard: ShardNo, now: Instant, is_disk_full: bool) {
        let (times, until) = self.0.entry(shard).or_insert((0, now));
        *times = if is_disk_full { *times + 1 } else { 0 };
        let doubled = COMPACT_WAIT_SECONDS << times.saturating_sub(1).min(16);
        *until = now + Duration::from_secs(doubled.min(COMPACT_WAIT_MAX_SECONDS));
    }

    fn end(&mut self, shard: ShardNo) {
        self.0.remove(&shard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: ShardNo = ShardNo(1);

    /// Seconds that a shard waits after trouble.
    fn waits(patience: &mut Patience, is_disk_full: bool) -> u64 {
        let now = Instant::now();
        patience.begin(SHARD, now, is_disk_full);
        let is_over = |seconds: &u64| patience.is_over(SHARD, now + Duration::from_secs(*seconds));
        (0..10_000).find(is_over).unwrap()
    }

    #[test]
    fn a_shard_waits_longer_each_time_that_the_disk_is_too_short_and_as_long_as_ever_for_other_trouble()
     {
        let mut patience = Patience::default();
        let full: Vec<_> = (0..6).map(|_| waits(&mut patience, true)).collect();
        assert_eq!(full, [30, 60, 120, 240, 480, 900]);
        assert_eq!(waits(&mut patience, false), 30);
        assert_eq!(waits(&mut patience, false), 30);
        assert_eq!(waits(&mut patience, true), 30);
        assert!(patience.is_over(ShardNo(2), Instant::now()));
        patience.end(SHARD);
        assert!(patience.is_over(SHARD, Instant::now()));
    }
}
