//! What ops gave, of neighbouring positions, many a row: outcomes of one mailbox begin alike, so each has of its bytes what the one before has not.
//!
//! A row holds positions from the one in its key on. It is full by count or by bytes, so that an op writes little again.

use super::{Row, VERSION};
use crate::address::Position;
use crate::codec::{Malformed, Reader, Writer};
use crate::limits::{OUTCOME_ROW_BYTES, OUTCOME_ROW_MAX};

/// What an op gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptOutcome {
    /// Where it stands in the journal.
    pub position: Position,
    /// Its id.
    pub op: [u8; 16],
    /// The outcome as bytes.
    pub outcome: Vec<u8>,
}

/// A row of `outcomes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutcomesRow {
    /// In order of positions.
    pub entries: Vec<KeptOutcome>,
}

impl OutcomesRow {
    /// Whether the next outcome begins a row of its own; `bytes` are those of its value.
    pub fn is_full(&self, bytes: usize) -> bool {
        self.entries.len() >= OUTCOME_ROW_MAX || bytes >= OUTCOME_ROW_BYTES
    }

    /// The outcome at a position.
    pub fn at(&self, position: Position) -> Option<&KeptOutcome> {
        let entries = &self.entries;
        let found = entries.binary_search_by_key(&position, |kept| kept.position);
        found.ok().map(|at| &entries[at])
    }
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Row for OutcomesRow {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION).count(self.entries.len());
        let (mut position, mut before) = (0, &[][..]);
        for kept in &self.entries {
            let alike = common(before, &kept.outcome);
            w.varint(kept.position.0 - position)
                .raw(&kept.op)
                .count(alike)
                .bytes(&kept.outcome[alike..]);
            (position, before) = (kept.position.0, &kept.outcome[..]);
        }
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<OutcomesRow, Malformed> {
        let count = r.count()?;
        let mut row = OutcomesRow {
            entries: Vec::with_capacity(count.min(OUTCOME_ROW_MAX)),
        };
        if count > OUTCOME_ROW_MAX {
            return Err(r.malformed("fewer outcomes"));
        }
        let mut position = 0_u64;
        for number in 0..count {
            let at = r.malformed("a higher position");
            let more = r.varint()?;
            if number > 0 && more == 0 {
                return Err(at);
            }
            position = position.checked_add(more).ok_or(at)?;
            let op = r.array()?;
            let at = r.malformed("as many bytes as the outcome before has");
            let alike = r.number::<usize>()?;
            let before = row.entries.last().map_or(&[][..], |kept| &kept.outcome);
            let mut outcome = before.get(..alike).ok_or(at)?.to_vec();
            outcome.extend_from_slice(r.bytes()?);
            row.entries.push(KeptOutcome {
                position: Position(position),
                op,
                outcome,
            });
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_of_outcomes_is_read_as_it_was_written(entries in btree_map(any::<u64>(), (any::<[u8; 16]>(), vec(0_u8..3, 0..30)), 0..=OUTCOME_ROW_MAX)) {
            let kept = |(position, (op, outcome))| KeptOutcome { position: Position(position), op, outcome };
            let row = OutcomesRow { entries: entries.into_iter().map(kept).collect() };
            let read = OutcomesRow::decode("outcomes", &row.encode()).unwrap();
            for kept in &row.entries {
                prop_assert_eq!(read.at(kept.position), Some(kept));
            }
            prop_assert_eq!(read, row);
        }

        #[test]
        fn foreign_bytes_are_refused_or_a_row_that_keeps_its_meaning(bytes in vec(0_u8..4, 0..120)) {
            let value = [&[VERSION][..], &bytes].concat();
            if let Ok(row) = OutcomesRow::decode("outcomes", &value) {
                prop_assert_eq!(OutcomesRow::decode("outcomes", &row.encode()).unwrap(), row);
            }
        }
    }
}
