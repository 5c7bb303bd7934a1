//! Which messages a word index has, as each of its commits says.

use coldpost_search::text::{Key, Rect};
use coldpost_tiers::codec::{Malformed, Reader, Writer};
use coldpost_tiers::segment::Lineage;

use crate::limits::WORDS_LOST_MAX;
use crate::text::Written;
use crate::text::manifest::{put_rects, rects};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Covers {
    /// Of the text store that it was made of.
    pub(super) line: u64,
    /// Up to here all text is indexed, but for what is lost.
    pub(super) followed: u64,
    pub(super) lost: Vec<Rect>,
    /// Seconds since 1970 since when words of messages that are gone are in its files; 0: there are none.
    pub(super) unclean: i64,
}

impl Covers {
    pub(super) fn encode(&self, lineage: Lineage) -> Vec<u8> {
        let mut out = Writer::new();
        out.raw(&lineage.store.0).u16(lineage.shard.0);
        out.u32(lineage.epoch.0).u64(self.line);
        out.varint(self.followed).zigzag(self.unclean);
        put_rects(&mut out, &self.lost);
        out.into_bytes()
    }

    /// # Errors
    /// Of what is none, or of another shard.
    pub(super) fn decode(bytes: &[u8], lineage: Lineage) -> Result<Covers, Malformed> {
        let mut all = Reader::new(bytes);
        let is_ours = all.raw(16)? == lineage.store.0 && all.u16()? == lineage.shard.0;
        if !is_ours || all.u32()? != lineage.epoch.0 {
            return Err(all.malformed("this store, shard and epoch"));
        }
        let covers = Covers {
            line: all.u64()?,
            followed: all.varint()?,
            unclean: all.zigzag()?,
            lost: rects(&mut all)?,
        };
        all.end()?;
        Ok(covers)
    }

    /// Whether it has a message.
    pub(super) fn has(&self, key: Key) -> bool {
        key.id.position <= self.followed && !self.lost.iter().any(|rect| rect.has(key))
    }

    /// All that is written and not indexed is to be.
    pub(super) fn follow(&mut self, written: &Written) {
        if self.followed < written.followed {
            self.lost.push(Rect::all(self.followed, written.followed));
            self.followed = written.followed;
        }
    }

    /// What is indexed next: the first that the text store has.
    pub(super) fn next(&self, written: &Written) -> Option<Rect> {
        let is_lost = |rect: &Rect| {
            written
                .lost
                .iter()
                .any(|lost| both(rect, lost) == Some(*rect))
        };
        self.lost.iter().find(|rect| !is_lost(rect)).copied()
    }

    /// `rect` is indexed up to `high`, but for what the text store has lost.
    pub(super) fn found(&mut self, rect: Rect, high: Option<Key>, written: &Written) {
        self.lost.retain(|lost| *lost != rect);
        let lost = written.lost.iter();
        let done = Rect { high, ..rect };
        for part in lost.filter_map(|lost| both(&done, lost)) {
            if !self.lost.contains(&part) {
                self.lost.push(part);
            }
        }
        if let Some(low) = high
            && high != rect.high
        {
            self.lost.push(Rect { low, ..rect });
        }
        if self.lost.len() > WORDS_LOST_MAX {
            self.lost = vec![Rect::all(0, self.followed)];
        }
    }
}

/// What is in both.
fn both(a: &Rect, b: &Rect) -> Option<Rect> {
    let high = match (a.high, b.high) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    };
    let both = Rect {
        from: a.from.max(b.from),
        to: a.to.min(b.to),
        low: a.low.max(b.low),
        high,
    };
    let is_some = both.from < both.to && high.is_none_or(|high| both.low < high);
    is_some.then_some(both)
}
