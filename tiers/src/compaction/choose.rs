//! Which objects a run of compaction rewrites: a pure decision.
//!
//! Promises: what holds mail of an erased account goes first; whatever is old enough goes, however little it is; a run is bounded; what is dead
//! as a whole is left to deletion.

use crate::address::{ObjectId, ObjectKind};

/// An object that holds live mail or blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which: a sealed segment, a block, a pack.
    pub object: ObjectId,
    /// Bytes of it.
    pub bytes: u64,
    /// Its file is here.
    pub is_local: bool,
    /// When it was confirmed in the bucket, seconds since 1970; 0 = not yet.
    pub stored: i64,
    /// When the first of it died; 0 = nothing did.
    pub first_dead: i64,
    /// How much of it is dead, in the unit of `total`.
    pub dead: u64,
    /// Raw bytes of a block, stored ones of a pack.
    pub total: u64,
    /// It holds mail of an account that is being erased.
    pub is_urgent: bool,
}

/// By what is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Seconds since 1970.
    pub now: i64,
    /// Seconds after which a segment, or what has something dead in it, is rewritten in any case.
    pub segment_age: i64,
    /// Bytes of local segments that are worth a run.
    pub batch_bytes: u64,
    /// Bytes of objects that one run takes, but for a first that is larger.
    pub run_bytes: u64,
    /// Segments need not be many, nor old: somebody asked.
    pub is_asked: bool,
    /// When an account was erased last, seconds since 1970: what lost something by then may hold mail of it that was expunged before. 0: never.
    pub erased: i64,
}

/// Why an object is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It holds mail of an account that is being erased.
    Erased,
    /// It is one of many local segments.
    Segments,
    /// It is older than it may get.
    Old,
    /// A third of it, or more, is dead.
    Dead,
}

/// What the next run rewrites, in the order of taking.
pub fn choose(candidates: &[Candidate], rules: &Rules) -> Vec<(ObjectId, Reason)> {
    let is_segment = |c: &Candidate| c.object.kind == ObjectKind::Segment;
    let local = candidates.iter().filter(|c| is_segment(c) && c.is_local);
    let local_bytes = local.fold(0_u64, |sum, c| sum.saturating_add(c.bytes));
    let are_many = rules.is_asked || local_bytes >= rules.batch_bytes;
    let mut wanted: Vec<(Reason, &Candidate)> = candidates
        .iter()
        .filter_map(|c| Some((reason(c, rules, are_many)?, c)))
        .collect();
    wanted.sort_by_key(|(reason, c)| (*reason, c.object));
    let mut bytes = 0_u64;
    let fits = |(_, c): &(Reason, &Candidate)| {
        let is_first = bytes == 0;
        bytes = bytes.saturating_add(c.bytes.max(1));
        is_first || bytes <= rules.run_bytes
    };
    wanted
        .into_iter()
        .take_while(fits)
        .map(|(reason, c)| (c.object, reason))
        .collect()
}

fn reason(c: &Candidate, rules: &Rules, are_many: bool) -> Option<Reason> {
    let is_past = |since: i64| since != 0 && since.saturating_add(rules.segment_age) <= rules.now;
    let lost_before = c.first_dead != 0 && c.first_dead <= rules.erased;
    if c.is_urgent || lost_before {
        return Some(Reason::Erased);
    }
    match c.object.kind {
        ObjectKind::Segment if are_many && (c.is_local || rules.is_asked) => Some(Reason::Segments),
        ObjectKind::Segment => is_past(c.stored).then_some(Reason::Old),
        ObjectKind::Block | ObjectKind::Pack if is_past(c.first_dead) => Some(Reason::Old),
        ObjectKind::Block | ObjectKind::Pack => {
            let is_mostly_dead = c.dead.saturating_mul(3) >= c.total;
            (c.first_dead != 0 && is_mostly_dead).then_some(Reason::Dead)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::address::Epoch;

    fn rules() -> Rules {
        Rules {
            now: 1_000,
            segment_age: 100,
            batch_bytes: 30,
            run_bytes: 50,
            is_asked: false,
            erased: 0,
        }
    }

    fn candidate(kind: ObjectKind, number: u64, bytes: u64) -> Candidate {
        Candidate {
            object: ObjectId::numbered(kind, Epoch(1), number),
            bytes,
            is_local: true,
            stored: 990,
            first_dead: 0,
            dead: 0,
            total: bytes,
            is_urgent: false,
        }
    }

    fn numbers(candidates: &[Candidate], rules: &Rules) -> Vec<u64> {
        let chosen = choose(candidates, rules);
        chosen
            .iter()
            .map(|(object, _)| object.numbers().1)
            .collect()
    }

    #[test]
    fn few_segments_wait_for_more_or_for_their_age() {
        let segment = |number| candidate(ObjectKind::Segment, number, 10);
        let two = [segment(1), segment(2)];
        assert_eq!(numbers(&two, &rules()), [0_u64; 0]);
        assert_eq!(numbers(&[two[0], two[1], segment(3)], &rules()), [1, 2, 3]);
        let old = Candidate {
            stored: 900,
            is_local: false,
            ..segment(4)
        };
        assert_eq!(numbers(&[two[0], two[1], old], &rules()), [4]);
        let asked = Rules {
            is_asked: true,
            ..rules()
        };
        assert_eq!(numbers(&two, &asked), [1, 2]);
    }

    #[test]
    fn a_block_is_rewritten_when_a_third_is_dead_or_when_something_died_long_ago() {
        let block = |dead, first_dead| Candidate {
            dead,
            first_dead,
            ..candidate(ObjectKind::Block, 1, 9)
        };
        assert_eq!(numbers(&[block(0, 0)], &rules()), [0_u64; 0]);
        assert_eq!(numbers(&[block(2, 990)], &rules()), [0_u64; 0]);
        assert_eq!(numbers(&[block(3, 990)], &rules()), [1]);
        assert_eq!(numbers(&[block(1, 900)], &rules()), [1]);
    }

    #[test]
    fn what_is_being_erased_goes_first() {
        let segments = (1..4).map(|n| candidate(ObjectKind::Segment, n, 10));
        let urgent = Candidate {
            is_urgent: true,
            ..candidate(ObjectKind::Pack, 9, 10)
        };
        let all: Vec<_> = segments.chain([urgent]).collect();
        assert_eq!(numbers(&all, &rules()), [9, 1, 2, 3]);
    }

    #[test]
    fn what_lost_mail_before_an_account_was_erased_may_hold_some_of_it_and_goes_as_well() {
        let block = |number, first_dead| Candidate {
            first_dead,
            total: 90,
            dead: 1,
            ..candidate(ObjectKind::Block, number, 9)
        };
        let blocks = [block(1, 980), block(2, 981), block(3, 0)];
        let erased = Rules {
            erased: 980,
            ..rules()
        };
        assert_eq!(numbers(&blocks, &erased), [1]);
        assert_eq!(numbers(&blocks, &rules()), [0_u64; 0]);
    }

    proptest! {
        #[test]
        fn a_run_is_bounded_and_takes_something_where_there_is_something(
            sizes in prop::collection::vec(0_u64..80, 0..20), asked: bool,
        ) {
            let candidates: Vec<_> = (1..).zip(&sizes).map(|(n, bytes)| candidate(ObjectKind::Segment, n, *bytes)).collect();
            let rules = Rules { is_asked: asked, ..rules() };
            let chosen = numbers(&candidates, &rules);
            let bytes: u64 = candidates.iter().filter(|c| chosen.contains(&c.object.numbers().1)).map(|c| c.bytes).sum();
            prop_assert!(bytes <= rules.run_bytes || chosen.len() == 1);
            let are_many = asked || sizes.iter().sum::<u64>() >= rules.batch_bytes;
            prop_assert_eq!(chosen.is_empty(), !are_many || sizes.is_empty());
        }
    }
}
