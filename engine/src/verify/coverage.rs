//! Whether every entry from the first to the last that was promised is in some file or object of the journal.

use std::collections::BTreeMap;

use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::hot::TableName;
use coldpost_tiers::hot::row::{ObjectRow, ObjectState, Row};
use coldpost_tiers::segment::{FileState, Salvage, Salvaged, SealedSegment, SegmentReader};

use super::{Bench, Event, Subject, Summary, damage, journal};
use crate::error::Result;
use crate::ids::Position;
use crate::journal::embedded::LocalSegment;

/// Looks taken: a segment may be sealed, stored or evicted during one.
const LOOKS: usize = 3;
/// Of a file whose end cannot be told: what is wrong with it is told where it is read.
const UNKNOWN: Position = Position(u64::MAX);

/// Entries that are nowhere, first and last.
type Gap = (u64, u64);

/// Reports the entries that are nowhere.
///
/// # Errors
/// `Unavailable` when the directory cannot be read, `Corrupt` of the hot tier.
pub(super) fn check(
    bench: &Bench<'_>,
    subject: &Subject,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<()> {
    let mut gaps = Vec::new();
    for _ in 0..LOOKS {
        gaps = look(bench, subject)?;
        if gaps.is_empty() {
            return Ok(());
        }
    }
    for (first, last) in gaps {
        let name = format!("shards/{:04x}/journal", subject.shard.0);
        let what = format!(
            "entries {first} to {last} are in no file and in no object: the hot tier cannot be made anew, and a shard whose last \
             entries are missing does not start; put the files back from a backup"
        );
        damage(summary, report, name, 0, what, Vec::new());
    }
    Ok(())
}

fn look(bench: &Bench<'_>, subject: &Subject) -> Result<Vec<Gap>> {
    // Files first: what is evicted meanwhile has its row by then.
    let mut ends: BTreeMap<Position, Position> = BTreeMap::new();
    for file in journal::files(bench, subject.shard).ours {
        if let Some(end) = end(bench, &file) {
            ends.insert(file.first, end);
        }
    }
    let state = subject.hot.read()?;
    state.walk(TableName::Objects, &[], &[], |key, value| {
        if let (Some((&kind, id)), Ok(row)) =
            (key.split_first(), ObjectRow::decode("objects", value))
            && let (Some(kind), Ok(id)) = (ObjectKind::from_number(kind), id.try_into())
            && row.state == ObjectState::Stored
            && let Some((_, first)) = (ObjectId { kind, id }).as_segment()
        {
            let end = ends.entry(first).or_insert(row.last);
            *end = row.last.max(*end);
        }
        Ok(true)
    })?;
    // What is before the oldest snapshot nobody needs any more.
    let begin = crate::objects::horizon(&state)?;
    Ok(gaps(&ends, begin, subject.promised))
}

/// The last whole record of a file; `None` when it is not there any more.
fn end(bench: &Bench<'_>, file: &LocalSegment) -> Option<Position> {
    let gone = |e: &coldpost_tiers::Error| *e.kind() == coldpost_tiers::Kind::NotFound;
    if file.state == FileState::Sealed {
        return match SealedSegment::open(&*bench.disk, &file.path) {
            Ok(segment) => Some(segment.footer().last),
            Err(e) if gone(&e) => None,
            Err(_) => Some(UNKNOWN),
        };
    }
    let reader = match SegmentReader::open(&*bench.disk, &file.path) {
        Ok(reader) => reader,
        Err(e) if gone(&e) => return None,
        Err(_) => return Some(UNKNOWN),
    };
    let mut last = Position(file.first.0 - 1);
    for item in Salvage::new(reader) {
        match item {
            Ok(Salvaged::Record(record)) => last = record.at.position,
            Ok(Salvaged::Damage(_) | Salvaged::Suspect(_)) => {}
            Err(_) => return Some(UNKNOWN),
        }
    }
    Some(last)
}

/// What lies between the ends of segments and the next beginnings, behind `begin` and up to `promised`.
fn gaps(ends: &BTreeMap<Position, Position>, begin: Position, promised: Position) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut next = begin.0 + 1;
    for (first, last) in ends {
        if first.0 > next {
            gaps.push((next, first.0 - 1));
        }
        next = match *last {
            UNKNOWN => u64::MAX,
            last => next.max(last.0 + 1),
        };
        if next == u64::MAX {
            // Up to where the next one begins.
            let behind = ends.range((
                std::ops::Bound::Excluded(*first),
                std::ops::Bound::Unbounded,
            ));
            next = behind.map(|(first, _)| first.0).next().unwrap_or(u64::MAX);
        }
    }
    if next <= promised.0 {
        gaps.push((next, promised.0));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_segment_is_a_gap() {
        let found = |ends: &[(u64, u64)], promised: u64| {
            let ends = ends.iter().map(|(a, b)| (Position(*a), Position(*b)));
            gaps(&ends.collect(), Position(0), Position(promised))
        };
        assert_eq!(found(&[], 0), []);
        assert_eq!(found(&[], 3), [(1, 3)]);
        assert_eq!(found(&[(1, 4), (5, 9), (10, 9)], 9), []);
        assert_eq!(found(&[(3, 4), (7, 9)], 12), [(1, 2), (5, 6), (10, 12)]);
        assert_eq!(found(&[(1, u64::MAX), (7, 9)], 9), []);
        assert_eq!(found(&[(1, u64::MAX)], 9), []);
        let ends = [(Position(3), Position(9))].into();
        assert_eq!(gaps(&ends, Position(2), Position(9)), []);
    }
}
