//! How fast compaction may be: so much work, then so much rest.
//!
//! Promises: beside the serving, at most half a core and [`COMPACT_BYTES_A_SECOND`]; while entries wait for the journal it waits as well, but not for
//! ever.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::limits::{COMPACT_BYTES_A_SECOND, COMPACT_STEP_ASIDE_MS, QUEUE_ENTRIES_MAX};
use crate::shard::Shard;

/// Between two looks whether those who deliver are served.
const LOOK: Duration = Duration::from_millis(5);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    is_gentle: bool,
    since: Instant,
}

impl Pace {
    /// As fast as it goes: somebody waits for it.
    pub(crate) fn free() -> Pace {
        Pace {
            is_gentle: false,
            since: Instant::now(),
        }
    }

    /// Beside the serving.
    pub(crate) fn gentle() -> Pace {
        Pace {
            is_gentle: true,
            since: Instant::now(),
        }
    }

    /// After `bytes` of mail: rests as long as they took, or as they may take.
    pub(super) fn rest(&mut self, handle: &Handle, shard: &Shard, bytes: u64) {
        let aside = Instant::now();
        let patience = Duration::from_millis(COMPACT_STEP_ASIDE_MS);
        while shard.places.available_permits() < QUEUE_ENTRIES_MAX
            && aside.elapsed() < patience
            && !shard.is_shut()
        {
            handle.block_on(async { sleep(LOOK).await });
        }
        if self.is_gentle {
            let worked = aside.duration_since(self.since);
            let least = Duration::from_secs(1).mul_f64(share(bytes));
            let pause = worked.max(least.saturating_sub(worked));
            handle.block_on(async { sleep(pause).await });
        }
        self.since = Instant::now();
    }
}

/// How much of a second's bytes these are.
fn share(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a pause, not an account")]
    let (bytes, most) = (bytes as f64, COMPACT_BYTES_A_SECOND as f64);
    bytes / most
}
