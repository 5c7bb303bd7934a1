//! Who reads an object from one end to the other, told by the reads that the cold rung gets: no clock, no store.
//!
//! Promises: bounded, whatever is read; what was read longest ago is forgotten first. Being wrong costs bytes, never a body.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use crate::address::{ObjectId, ObjectKind, ShardNo};
use crate::limits::{SEQUENCE_GAP_MAX, SEQUENCE_READS, SEQUENCE_SECONDS, SEQUENCES_MAX};

/// Objects read to their end whose successors nobody asked for yet.
const ENDED_MAX: usize = 16;

/// Reads of an object that are remembered.
const SPANS_MAX: usize = 4;

/// How an object is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Here and there.
    Scattered,
    /// On and on: what lies behind comes next.
    Onward,
    /// All of it, in no order that we can see.
    Throughout,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    of: HashMap<(ShardNo, ObjectId), Last>,
    ended: VecDeque<(ShardNo, ObjectKind)>,
    count: u64,
}

#[derive(Debug)]
struct Last {
    /// The last reads, the newest first: of one FETCH some are made ahead of the others.
    spans: VecDeque<Range<u64>>,
    /// How many there were since then.
    reads: u32,
    since: Instant,
    /// When the newest was, as a count of all reads.
    nth: u64,
}

impl Sequences {
    /// Notes that `span` is read at the time `now`, and says how that goes on. It follows another read when at most `gap` bytes lie between.
    pub(super) fn read(
        &mut self,
        shard: ShardNo,
        object: ObjectId,
        span: &Range<u64>,
        gap: u64,
        now: Instant,
    ) -> Manner {
        let follows = self.follows(shard, object.kind, span);
        self.count += 1;
        if !self.of.contains_key(&(shard, object)) {
            self.make_room();
        }
        let last = self.of.entry((shard, object)).or_insert_with(|| Last {
            spans: VecDeque::new(),
            reads: 0,
            since: now,
            nth: 0,
        });
        let is_fresh = now.duration_since(last.since) < Duration::from_secs(SEQUENCE_SECONDS);
        if !is_fresh {
            (last.reads, last.since) = (0, now);
        }
        last.reads = last.reads.saturating_add(1);
        last.nth = self.count;
        // Within what a long read was to bring, too: it broke off.
        let before = |other: &Range<u64>| {
            span.start > other.start && span.start <= other.end.saturating_add(gap)
        };
        let goes_on = last.spans.iter().any(before);
        last.spans.push_front(span.clone());
        last.spans.truncate(SPANS_MAX);
        match (goes_on || follows, last.reads > SEQUENCE_READS) {
            (true, _) => {
                if follows {
                    self.ended.retain(|ended| *ended != (shard, object.kind));
                }
                Manner::Onward
            }
            (false, true) => Manner::Throughout,
            (false, false) => Manner::Scattered,
        }
    }

    /// What was begun goes as far as `end`, which is the end of the object or not.
    pub(super) fn reaches(&mut self, shard: ShardNo, object: ObjectId, end: u64, is_all: bool) {
        if let Some(last) = self.of.get_mut(&(shard, object)) {
            // The newest: it was begun for that.
            if let Some(span) = last.spans.front_mut() {
                span.end = span.end.max(end);
            }
        }
        let ended = (shard, object.kind);
        if is_all && !self.ended.contains(&ended) {
            self.ended.push_back(ended);
            if self.ended.len() > ENDED_MAX {
                self.ended.pop_front();
            }
        }
    }

    /// Whether this is the beginning of an object, after one of its kind was read to the end.
    fn follows(&self, shard: ShardNo, kind: ObjectKind, span: &Range<u64>) -> bool {
        span.start <= SEQUENCE_GAP_MAX && self.ended.contains(&(shard, kind))
    }

    fn make_room(&mut self) {
        if self.of.len() < SEQUENCES_MAX {
            return;
        }
        let oldest = self.of.iter().min_by_key(|(_, last)| last.nth);
        if let Some(object) = oldest.map(|(object, _)| *object) {
            self.of.remove(&object);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Epoch;

    const SHARD: ShardNo = ShardNo(1);
    const MIB: u64 = 1024 * 1024;

    fn block(number: u64) -> ObjectId {
        ObjectId::numbered(ObjectKind::Block, Epoch(1), number)
    }

    #[tokio::test(start_paused = true)]
    async fn what_begins_where_the_last_read_ended_goes_onward_and_all_else_is_scattered() {
        let mut sequences = Sequences::default();
        let mut read = |number, span: Range<u64>| {
            sequences.read(SHARD, block(number), &span, MIB, Instant::now())
        };
        assert_eq!(read(1, 100..200), Manner::Scattered);
        assert_eq!(read(2, 200..300), Manner::Scattered, "of another object");
        assert_eq!(read(1, 200..300), Manner::Onward);
        assert_eq!(read(1, 300 + MIB..400 + MIB), Manner::Onward, "with a gap");
        assert_eq!(read(1, 9 * MIB..10 * MIB), Manner::Scattered, "a jump");
        assert_eq!(read(2, 100..250), Manner::Scattered, "backwards");
    }

    /// The batches of a FETCH are read ahead; who sends them comes past what lies between.
    #[tokio::test(start_paused = true)]
    async fn who_comes_after_a_read_ahead_of_others_goes_onward_as_well() {
        let mut sequences = Sequences::default();
        let mut read =
            |span: Range<u64>, gap| sequences.read(SHARD, block(1), &span, gap, Instant::now());
        assert_eq!(read(100..MIB, MIB), Manner::Scattered);
        assert_eq!(read(6 * MIB..7 * MIB, 8 * MIB), Manner::Onward);
        assert_eq!(read(MIB..2 * MIB, MIB), Manner::Onward);
    }

    #[tokio::test(start_paused = true)]
    async fn the_object_behind_one_that_was_read_to_its_end_is_read_onward_from_its_first_byte() {
        let mut sequences = Sequences::default();
        let now = Instant::now();
        sequences.read(SHARD, block(1), &(100..200), MIB, now);
        sequences.reaches(SHARD, block(1), 16 * MIB, true);
        let pack = ObjectId::numbered(ObjectKind::Pack, Epoch(1), 2);
        let mut read =
            |object, start: u64| sequences.read(SHARD, object, &(start..start + 100), MIB, now);
        assert_eq!(read(block(2), 5 * MIB), Manner::Scattered, "in its middle");
        assert_eq!(read(pack, 100), Manner::Scattered, "of another kind");
        assert_eq!(read(block(3), 100), Manner::Onward);
        assert_eq!(read(block(4), 100), Manner::Scattered, "one follows one");
    }

    #[tokio::test(start_paused = true)]
    async fn many_reads_of_one_object_within_a_minute_are_one_of_all_of_it() {
        let mut sequences = Sequences::default();
        let places = [9, 3, 12, 6, 1, 14].map(|at| at * MIB..at * MIB + 100);
        for (nth, span) in places.iter().enumerate() {
            let manner = sequences.read(SHARD, block(1), span, MIB, Instant::now());
            let many = nth >= usize::try_from(SEQUENCE_READS).unwrap();
            assert_eq!(manner == Manner::Throughout, many, "{nth}");
        }
        for span in &places {
            tokio::time::advance(Duration::from_secs(SEQUENCE_SECONDS)).await;
            let manner = sequences.read(SHARD, block(1), span, MIB, Instant::now());
            assert_eq!(manner, Manner::Scattered, "one a minute");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_remembers_so_many_objects_and_forgets_the_one_read_longest_ago() {
        let mut sequences = Sequences::default();
        let many = u64::try_from(SEQUENCES_MAX).unwrap();
        for number in 0..=many {
            sequences.read(SHARD, block(number), &(100..200), MIB, Instant::now());
        }
        assert_eq!(sequences.of.len(), SEQUENCES_MAX);
        let mut read =
            |number| sequences.read(SHARD, block(number), &(200..300), MIB, Instant::now());
        assert_eq!(read(many), Manner::Onward);
        assert_eq!(read(0), Manner::Scattered);
    }
}
