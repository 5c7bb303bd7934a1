//! How fast compaction may be: so much work, then so much rest.
//!
//! Promises: beside the serving, at most an eighth of all cores and [`COMPACT_BYTES_A_SECOND`]; while entries wait for the journal, or readers for bytes, it waits
//! as well, but not for ever.

use std::num::NonZero;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::blocking::Standing;
use crate::limits::{
    COMPACT_BYTES_A_SECOND, COMPACT_CORES_SHARE, COMPACT_STEP_ASIDE_MS, QUEUE_ENTRIES_MAX,
};
use crate::open::Engine;
use crate::shard::Shard;

/// Between two looks whether those who deliver and read are served.
const LOOK: Duration = Duration::from_millis(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pace {
    is_gentle: bool,
    standing: Standing,
    starves: bool,
}

impl Pace {
    /// Of a run beside the serving, or of one that somebody waits for, which goes as fast as others let it.
    pub(super) fn new(is_gentle: bool, standing: Standing) -> Pace {
        Pace {
            is_gentle,
            standing,
            starves: false,
        }
    }

    /// After `bytes` of mail: steps aside for who waits, and rests until no more of a processor was taken, nor more bytes than may be.
    pub(super) fn rest(&mut self, handle: &Handle, engine: &Engine, shard: &Shard, bytes: u64) {
        let had = self.standing.look();
        self.starves |= self.standing.starves(had);
        let aside = Instant::now();
        let patience = Duration::from_millis(COMPACT_STEP_ASIDE_MS);
        let is_awaited = || {
            shard.places.available_permits() < QUEUE_ENTRIES_MAX
                || engine.inner.fetcher.is_awaited()
        };
        while is_awaited() && aside.elapsed() < patience && !shard.is_shut() {
            handle.block_on(async { sleep(LOOK).await });
        }
        if self.is_gentle {
            let least = Duration::from_secs(1).mul_f64(share(bytes));
            let least = least.max(had.processor * rests());
            let pause = least.saturating_sub(had.elapsed + aside.elapsed());
            handle.block_on(async { sleep(pause).await });
        }
        self.standing.look();
    }

    /// Whether this thread has next to nothing of a processor: the run had better end, and go on with another.
    pub(super) fn starves(&mut self) -> bool {
        self.starves = self.starves || self.standing.starves_already();
        self.starves
    }
}

/// How long work lasts with the rest behind it, as a multiple of what it takes of a processor.
fn rests() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    COMPACT_CORES_SHARE
        / u32::try_from(cores)
            .unwrap_or(u32::MAX)
            .clamp(1, COMPACT_CORES_SHARE)
}

/// How much of a second's bytes these are.
fn share(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a pause, not an account")]
    let (bytes, most) = (bytes as f64, COMPACT_BYTES_A_SECOND as f64);
    bytes / most
}
