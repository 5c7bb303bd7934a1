//! Compacts what is worth it, when the shards say that something changed, and every now and then for what grew old or lost mail.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Notice, Progress, Wait, tick};
use crate::limits::COMPACT_LOOK_SECONDS;
use crate::open::Engine;

pub(super) async fn run(
    engine: Engine,
    progress: Arc<Progress>,
    mut queue: mpsc::UnboundedReceiver<Notice>,
) {
    let look = Duration::from_secs(COMPACT_LOOK_SECONDS);
    while !progress.confirmed.load(Ordering::Acquire) {
        tokio::time::sleep(tick()).await;
    }
    loop {
        for shard in engine.mail_shards() {
            loop {
                let ran = engine.compact_some(shard).await;
                progress.tell(Wait::Compaction(shard.no), &ran);
                match ran {
                    Ok(None) => break,
                    Ok(Some(report)) => tracing::info!(
                        shard = shard.no.0,
                        objects = report.objects,
                        moved = report.moved,
                        left = report.left,
                        blobs = report.blobs,
                        merged = report.merged,
                        bytes = report.bytes_out,
                        "compacted"
                    ),
                    Err(_) => {
                        tokio::time::sleep(tick() * 60).await;
                        break;
                    }
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
