//! Bodies of a batch of messages, read before they are asked for: neighbours in few reads, while the batch before is on its way out.
//!
//! Promises: bounded by [`BATCH_AHEAD_BYTES`] a batch and a budget that all readers share; beyond it bodies are read one by one.

use std::sync::Arc;

use coldpost_tiers::address::{Extent, FrameRef};
use coldpost_tiers::fetch::{Held, Stretch};
use tokio::sync::OwnedSemaphorePermit;

use crate::limits::{BATCH_AHEAD_BYTES, FRAME_MAX};
use crate::open::Engine;
use crate::view::Message;

/// What was read ahead for a batch; gone with its last message.
#[derive(Debug)]
pub(crate) struct Ahead {
    pub(crate) held: Held,
    _share: OwnedSemaphorePermit,
}

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
    pub async fn read_ahead(&self, mut messages: Vec<Message>, reach: Reach) -> Vec<Message> {
        let Some(shard) = messages.first().map(|message| message.account.shard) else {
            return messages;
        };
        let mut stretches = Vec::new();
        let mut raw = 0;
        for message in &messages {
            let stretch = stretch(message, reach);
            raw += stretch.frames.iter().map(raw_bytes).sum::<usize>();
            if raw > BATCH_AHEAD_BYTES {
                break;
            }
            stretches.push(stretch);
        }
        let share =
            u32::try_from(raw.min(BATCH_AHEAD_BYTES).div_ceil(FRAME_MAX)).unwrap_or(u32::MAX);
        let budget = Arc::clone(&self.inner.read_ahead);
        let Ok(share) = budget.try_acquire_many_owned(share) else {
            return messages;
        };
        let held = self.inner.fetcher.ahead(shard, &stretches).await;
        let ahead = Arc::new(Ahead {
            held,
            _share: share,
        });
        for message in messages.iter_mut().take(stretches.len()) {
            message.ahead = Some(Arc::clone(&ahead));
        }
        messages
    }
}

/// The frames of a message that stand in its own object.
fn stretch(message: &Message, reach: Reach) -> Stretch {
    let address = &message.address;
    let frames = address.extents.iter().filter_map(|extent| match extent {
        Extent::Frame(frame) => Some(*frame),
        Extent::Blob { .. } | Extent::Slice { .. } => None,
    });
    let most = match reach {
        Reach::Nothing => 0,
        Reach::Start => 1,
        Reach::Whole => usize::MAX,
    };
    Stretch {
        object: address.object,
        offset: address.offset,
        frames: frames.take(most).collect(),
    }
}

fn raw_bytes(frame: &FrameRef) -> usize {
    usize::try_from(frame.raw).unwrap_or(usize::MAX)
}
