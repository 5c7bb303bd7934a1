//! For each object that is not simply needed: what is next for it, and why (`docs/cold.md`, "Deletion"). A pure decision.
//!
//! Promises: nothing is condemned that died behind the horizon or that somebody is at work on, nothing deleted before its grace has passed
//! since it was condemned; the newest snapshot stays.

use crate::address::{ObjectId, ObjectKind, Position};
use crate::hot::row::{Counted, ObjectRow, ObjectState};

/// An object as the hot tier knows it.
#[derive(Clone, Debug)]
pub struct Known {
    /// Which.
    pub object: ObjectId,
    /// Its row.
    pub row: ObjectRow,
    /// It waits for its upload, or belongs to work that is going on.
    pub is_busy: bool,
}

/// Work that is going on, which has announced objects that nothing refers to yet: when it began, seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ongoing {
    /// A run of compaction.
    pub compaction: Option<i64>,
    /// A snapshot.
    pub snapshot: Option<i64>,
}

/// Seconds by which an entry's time may seem to be before the work that sent it: both are cut to whole ones.
const ROUNDED: i64 = 1;

impl Known {
    /// An object with its row; `is_delivered`: a blob that came with an entry, and is not in the store yet.
    pub fn new(object: ObjectId, row: ObjectRow, is_delivered: bool, ongoing: &Ongoing) -> Known {
        let began = match object.kind {
            ObjectKind::Block | ObjectKind::Pack | ObjectKind::Blob => ongoing.compaction,
            ObjectKind::Snapshot | ObjectKind::SnapshotRange => ongoing.snapshot,
            _ => None,
        };
        let is_of_work = began.is_some_and(|began| row.times.made.saturating_add(ROUNDED) >= began);
        Known {
            object,
            row,
            is_busy: is_delivered || is_of_work,
        }
    }
}

/// By what is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Seconds since 1970.
    pub now: i64,
    /// Position before which nobody needs anything.
    pub horizon: Position,
    /// Seconds for which points in time are kept.
    pub retention: i64,
    /// Seconds between condemning and deleting.
    pub grace: i64,
}

/// Why an object goes, or does not go yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Nothing refers to it any more.
    Unreferenced,
    /// It was announced, and what it was for never came to its end.
    Unfinished,
    /// A snapshot that is older than `retention`.
    Outlived,
    /// Nothing refers to it, but the rows of that time are in no snapshot yet.
    BehindHorizon,
    /// Nothing refers to it but an older snapshot.
    OlderSnapshot,
}

/// What is next for an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can be condemned now.
    Condemn(Why),
    /// It can be deleted now.
    Delete,
    /// It was condemned; seconds since 1970 at which it can be deleted.
    Wait(i64),
    /// Not yet.
    Kept(Why),
}

/// What is next; objects that are in use are left out.
pub fn mark(known: &[Known], rules: &Rules) -> Vec<(ObjectId, Verdict)> {
    let snapshots = known.iter().filter(|k| is_snapshot(k));
    let newest = snapshots.map(|k| k.row.last).max();
    known
        .iter()
        .filter_map(|k| Some((k.object, verdict(k, rules, newest)?)))
        .collect()
}

/// A snapshot that was confirmed once.
fn is_snapshot(known: &Known) -> bool {
    known.object.kind == ObjectKind::Snapshot && known.row.last > Position(0)
}

fn verdict(known: &Known, rules: &Rules, newest: Option<Position>) -> Option<Verdict> {
    let (row, kind) = (&known.row, known.object.kind);
    if row.state == ObjectState::Condemned {
        let due = row.times.condemned.saturating_add(rules.grace);
        return Some(match due <= rules.now {
            true => Verdict::Delete,
            false => Verdict::Wait(due),
        });
    }
    if is_snapshot(known) {
        let is_past = row.times.stored.saturating_add(rules.retention) <= rules.now;
        let goes = is_past && Some(row.last) != newest;
        return goes.then_some(Verdict::Condemn(Why::Outlived));
    }
    let since = match row.count {
        Counted::Live(n) if n > 0 => return None,
        Counted::Live(_) => Position(0),
        Counted::DeadSince(since) => since,
    };
    let is_local = row.state == ObjectState::Local;
    if known.is_busy || kind == ObjectKind::Segment && is_local {
        return None;
    }
    let horizon = horizon(row, rules);
    let ends_behind = kind == ObjectKind::Segment && row.last > horizon;
    // A range is needed by its manifest alone.
    let died_behind = kind != ObjectKind::SnapshotRange && since > horizon;
    let needed_until = match kind {
        ObjectKind::Segment => since.max(row.last),
        _ => since,
    };
    let is_in_newest = newest.is_some_and(|newest| newest >= needed_until);
    Some(match (died_behind || ends_behind, is_local) {
        (true, _) if is_in_newest => Verdict::Kept(Why::OlderSnapshot),
        (true, _) => Verdict::Kept(Why::BehindHorizon),
        (false, true) => Verdict::Condemn(Why::Unfinished),
        (false, false) => Verdict::Condemn(Why::Unreferenced),
    })
}

/// The same for all objects, but where a bug is planted.
#[cfg_attr(
    not(any(test, feature = "faults")),
    expect(unused_variables, reason = "only a planted bug looks at the object")
)]
fn horizon(row: &ObjectRow, rules: &Rules) -> Position {
    #[cfg(any(test, feature = "faults"))]
    if crate::planted::is_planted(crate::planted::Bug::GraceByClock)
        && row.times.dead.saturating_add(rules.grace) <= rules.now
    {
        return Position(u64::MAX);
    }
    rules.horizon
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Epoch;

    const RULES: Rules = Rules {
        now: 1_000,
        horizon: Position(50),
        retention: 100,
        grace: 10,
    };

    fn known(kind: ObjectKind, number: u64, change: impl FnOnce(&mut ObjectRow)) -> Known {
        let mut row = ObjectRow::new(900);
        row.state = ObjectState::Stored;
        row.count = Counted::DeadSince(Position(40));
        change(&mut row);
        Known {
            object: ObjectId::numbered(kind, Epoch(1), number),
            row,
            is_busy: false,
        }
    }

    fn one(known: Known) -> Option<Verdict> {
        mark(&[known], &RULES).pop().map(|(_, verdict)| verdict)
    }

    #[test]
    fn what_is_referred_to_or_worked_on_is_left_alone() {
        let live = known(ObjectKind::Block, 1, |row| row.count = Counted::Live(1));
        assert_eq!(one(live), None);
        let busy = Known {
            is_busy: true,
            ..known(ObjectKind::Pack, 1, |_| ())
        };
        assert_eq!(one(busy), None);
        let unshipped = known(ObjectKind::Segment, 1, |row| row.state = ObjectState::Local);
        assert_eq!(one(unshipped), None);
    }

    #[test]
    fn work_that_goes_on_keeps_what_it_announced_and_nothing_older() {
        let ongoing = Ongoing {
            compaction: Some(900),
            snapshot: None,
        };
        let of = |kind, made| {
            let known = known(kind, 1, |row| row.times.made = made);
            Known::new(known.object, known.row, false, &ongoing).is_busy
        };
        for (kind, made, busy) in [
            (ObjectKind::Block, 900, true),
            (ObjectKind::Pack, 899, true),
            (ObjectKind::Blob, 898, false),
            (ObjectKind::SnapshotRange, 900, false),
        ] {
            assert_eq!(of(kind, made), busy, "{kind:?} {made}");
        }
    }

    #[test]
    fn what_only_an_older_snapshot_needs_is_told_from_what_is_in_none() {
        let snapshot = |last| {
            known(ObjectKind::Snapshot, last, |row| {
                row.last = Position(last);
                row.count = Counted::Live(0);
                row.times.stored = 950;
            })
        };
        let dead = |since| {
            known(ObjectKind::Block, since, |row| {
                row.count = Counted::DeadSince(Position(since))
            })
        };
        let all = [snapshot(50), snapshot(80), dead(70), dead(90)];
        let whys = mark(&all, &RULES);
        let expected = [
            (all[2].object, Verdict::Kept(Why::OlderSnapshot)),
            (all[3].object, Verdict::Kept(Why::BehindHorizon)),
        ];
        assert_eq!(whys, expected);
    }

    #[test]
    fn the_horizon_decides_and_the_clock_only_afterwards() {
        let dead = |since| {
            known(ObjectKind::Block, 1, |row| {
                row.count = Counted::DeadSince(Position(since))
            })
        };
        assert_eq!(one(dead(50)), Some(Verdict::Condemn(Why::Unreferenced)));
        assert_eq!(one(dead(51)), Some(Verdict::Kept(Why::BehindHorizon)));
        let segment = |last| known(ObjectKind::Segment, 1, |row| row.last = Position(last));
        assert_eq!(one(segment(50)), Some(Verdict::Condemn(Why::Unreferenced)));
        assert_eq!(one(segment(51)), Some(Verdict::Kept(Why::BehindHorizon)));
        let condemned = |at| {
            known(ObjectKind::Block, 1, |row| {
                row.state = ObjectState::Condemned;
                row.times.condemned = at;
            })
        };
        assert_eq!(one(condemned(990)), Some(Verdict::Delete));
        assert_eq!(one(condemned(991)), Some(Verdict::Wait(1_001)));
    }

    #[test]
    fn snapshots_go_by_retention_but_for_the_newest_and_ranges_with_their_manifest() {
        let snapshot = |last, stored| {
            known(ObjectKind::Snapshot, last, |row| {
                row.last = Position(last);
                row.count = Counted::Live(0);
                row.times.stored = stored;
            })
        };
        let all = [snapshot(10, 800), snapshot(20, 950), snapshot(30, 850)];
        let verdicts = mark(&all, &RULES);
        assert_eq!(verdicts, [(all[0].object, Verdict::Condemn(Why::Outlived))]);
        let range = known(ObjectKind::SnapshotRange, 1, |row| {
            row.count = Counted::DeadSince(Position(99))
        });
        assert_eq!(one(range), Some(Verdict::Condemn(Why::Unreferenced)));
        let unfinished = known(ObjectKind::Snapshot, 40, |row| {
            row.state = ObjectState::Local
        });
        assert_eq!(one(unfinished), Some(Verdict::Condemn(Why::Unfinished)));
    }
}
