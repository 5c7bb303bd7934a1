//! Cuts an open segment that has held mail for longer than `cut_age`, so that it reaches the bucket.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Notice, tick};
use crate::ids::{Position, ShardNo};
use crate::op::Op;
use crate::open::Engine;

pub(super) async fn run(engine: Engine, mut queue: mpsc::UnboundedReceiver<Notice>) {
    let age = engine.settings().cut_age;
    let mut held: BTreeMap<ShardNo, (Position, Instant)> = BTreeMap::new();
    loop {
        let oldest = held.values().map(|(_, since)| *since).min();
        let heard = match oldest {
            None => queue.recv().await,
            Some(since) => match timeout_at(since + age, queue.recv()).await {
                Ok(heard) => heard,
                Err(_) => {
                    cut(&engine, &mut held).await;
                    continue;
                }
            },
        };
        match heard {
            None => return,
            Some(Notice::Held {
                shard,
                segment_first,
                age,
            }) => {
                let since = Instant::now();
                let since = since.checked_sub(age).unwrap_or(since);
                let entry = held.entry(shard).or_insert((segment_first, since));
                if entry.0 != segment_first {
                    *entry = (segment_first, since);
                }
            }
            Some(_) => {}
        }
    }
}

async fn cut(engine: &Engine, held: &mut BTreeMap<ShardNo, (Position, Instant)>) {
    let age = engine.settings().cut_age;
    let due: Vec<ShardNo> = held
        .iter()
        .filter(|(_, (_, since))| since.elapsed() >= age)
        .map(|(s, _)| *s)
        .collect();
    let mut failed = false;
    for shard in due {
        let changed = match engine.shard(shard) {
            Ok(shard) => shard.change(Op::Cut).await,
            Err(e) => Err(e),
        };
        match changed {
            Ok(_) => {
                held.remove(&shard);
            }
            Err(e) => {
                tracing::warn!(shard = shard.0, "cutting the open segment waits: {e}");
                failed = true;
            }
        }
    }
    if failed {
        tokio::time::sleep(tick() * 20).await;
    }
}
