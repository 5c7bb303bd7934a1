//! Bodies of a batch of messages, read before they are asked for: neighbours in few reads, while the batch before is on its way out.
//!
//! Promises: bounded by [`BATCH_AHEAD_BYTES`] a batch and a budget that all readers share (`budget`); beyond it bodies are read one by one.

use std::collections::BTreeSet;
use std::sync::Arc;

use coldpost_tiers::address::FrameRef;
use coldpost_tiers::fetch::{Fetcher, Held, Stretch};
use coldpost_tiers::hot::Snapshot;

use crate::error::Result;
use crate::limits::{BATCH_AHEAD_BYTES, FRAME_MAX};
use crate::open::Engine;
use crate::view::Message;
use crate::view::budget::Loan;
use crate::view::frames::OwnFrames;

/// What was read ahead for a batch; gone with its last message, or when others want its place.
pub(crate) type Ahead = Loan<Held>;

/// How much of each message is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// None of its bytes.
    Nothing,
    /// The beginning: its header, mostly.
    Start,
    /// All of it.
    Whole,
}

impl Engine {
    /// Reads the bodies of messages of one account ahead, as many of them as the bounds allow.
    pub async fn read_ahead(&self, messages: Vec<Message>, reach: Reach) -> Vec<Message> {
        self.read_ahead_by(&self.inner.fetcher, messages, reach)
            .await
    }

    /// The same for messages of one shard, and leaves the caches alone.
    pub(crate) async fn read_ahead_aside(
        &self,
        messages: Vec<Message>,
        reach: Reach,
    ) -> Vec<Message> {
        let aside = self.inner.fetcher.aside();
        self.read_ahead_by(&aside, messages, reach).await
    }

    async fn read_ahead_by(
        &self,
        fetcher: &Fetcher,
        mut messages: Vec<Message>,
        reach: Reach,
    ) -> Vec<Message> {
        let Some(shard) = messages.first().map(|message| message.account.shard) else {
            return messages;
        };
        let Ok(state) = self.shard(shard).and_then(|shard| shard.hot.read()) else {
            return messages;
        };
        let mut stretches = Vec::new();
        let mut counted = BTreeSet::new();
        let mut raw = 0;
        for message in &messages {
            let Ok(stretch) = stretch(&state, message, reach) else {
                break;
            };
            // Messages of a block share their frames.
            let is_new = counted.insert((stretch.object, stretch.offset));
            let bytes = stretch.frames.iter().map(raw_bytes);
            let more = if is_new { bytes.sum::<usize>() } else { 0 };
            if raw + more > BATCH_AHEAD_BYTES {
                break;
            }
            raw += more;
            stretches.push(stretch);
        }
        if raw == 0 {
            return messages;
        }
        drop(state);
        let budget = &self.inner.read_ahead;
        let Some(place) = budget.take(raw.div_ceil(FRAME_MAX)) else {
            return messages;
        };
        let held = fetcher.ahead(shard, &stretches).await;
        let ahead = budget.lend(held, place);
        for message in messages.iter_mut().take(stretches.len()) {
            message.ahead = Some(Arc::clone(&ahead));
        }
        messages
    }
}

/// The frames of a message that stand in its own object.
fn stretch(state: &Snapshot, message: &Message, reach: Reach) -> Result<Stretch> {
    let own = OwnFrames::of(state, &message.address)?;
    let most = match reach {
        Reach::Nothing => 0,
        Reach::Start => 1,
        Reach::Whole => usize::MAX,
    };
    Ok(Stretch {
        object: message.address.object,
        offset: own.offset,
        frames: own.frames.into_iter().take(most).collect(),
    })
}

fn raw_bytes(frame: &FrameRef) -> usize {
    usize::try_from(frame.raw).unwrap_or(usize::MAX)
}
