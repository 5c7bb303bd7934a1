//! Bodies of a batch of messages, read before they are asked for: neighbours in few reads, while the batch before is on its way out.
//!
//! Promises: bounded by [`BATCH_AHEAD_BYTES`] a batch and a budget that all readers share (`budget`); beyond it bodies are read one by one.

use std::sync::Arc;

use coldpost_tiers::address::{Extent, FrameRef};
use coldpost_tiers::fetch::{Held, Stretch};

use crate::limits::{BATCH_AHEAD_BYTES, FRAME_MAX};
use crate::open::Engine;
use crate::view::Message;
use crate::view::budget::Loan;

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
    pub async fn read_ahead(&self, mut messages: Vec<Message>, reach: Reach) -> Vec<Message> {
        let Some(shard) = messages.first().map(|message| message.account.shard) else {
            return messages;
        };
        let mut stretches = Vec::new();
        let mut raw = 0;
        for message in &messages {
            let stretch = stretch(message, reach);
            let more = stretch.frames.iter().map(raw_bytes).sum::<usize>();
            if raw + more > BATCH_AHEAD_BYTES {
                break;
            }
            raw += more;
            stretches.push(stretch);
        }
        if raw == 0 {
            return messages;
        }
        let budget = &self.inner.read_ahead;
        let Some(place) = budget.take(raw.div_ceil(FRAME_MAX)) else {
            return messages;
        };
        let held = self.inner.fetcher.ahead(shard, &stretches).await;
        let ahead = budget.lend(held, place);
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
