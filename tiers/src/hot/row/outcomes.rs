//! What ops gave, of neighbouring positions, many a row: outcomes of one mailbox begin alike, so each has of its bytes only what the first of
//! its row has not. The next one goes to the end of the last row without reading it whole, until that fills a page: rows that grow
//! beside others leave pages half empty.

use super::{VERSION, versioned};
use crate::address::Position;
use crate::codec::{Malformed, Reader, Writer};
use crate::error::Error;
use crate::limits::OUTCOME_ROW_BYTES;

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

/// An outcome as it stands in a row: the position behind the first one's, the id, how much of the first one's bytes, and the rest.
struct Entry<'v> {
    behind: u64,
    op: [u8; 16],
    alike: usize,
    rest: &'v [u8],
}

impl<'v> Entry<'v> {
    fn read(r: &mut Reader<'v>) -> Result<Entry<'v>, Malformed> {
        Ok(Entry {
            behind: r.varint()?,
            op: r.array()?,
            alike: r.number()?,
            rest: r.bytes()?,
        })
    }
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl KeptOutcome {
    /// A row that begins with it.
    pub fn begin(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION);
        self.write(&mut w, self.position, &[]);
        w.into_bytes()
    }

    /// The row with it at its end, `first` being the position of its key; `None` when it begins one of its own.
    ///
    /// # Errors
    /// `Corrupt` when the row does not begin as one.
    pub fn append(&self, first: Position, row: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if row.len() >= OUTCOME_ROW_BYTES {
            return Ok(None);
        }
        let like = versioned(TABLE, VERSION, row, |r| {
            let first = Entry::read(r)?;
            r.raw(r.rest().len())?;
            Ok(first.rest)
        })?;
        let mut w = Writer::new();
        w.raw(row);
        self.write(&mut w, first, like);
        Ok((w.len() <= OUTCOME_ROW_BYTES).then(|| w.into_bytes()))
    }

    fn write(&self, w: &mut Writer, first: Position, like: &[u8]) {
        let alike = common(like, &self.outcome);
        w.varint(self.position.0 - first.0)
            .raw(&self.op)
            .count(alike)
            .bytes(&self.outcome[alike..]);
    }
}

/// Name of the table, for errors.
const TABLE: &str = "outcomes";

/// Gives the outcomes of a row to `take`, in order; `first` is the position of its key.
///
/// # Errors
/// `Corrupt` when the value is no such row.
pub fn each_outcome(
    first: Position,
    value: &[u8],
    mut take: impl FnMut(KeptOutcome),
) -> Result<(), Error> {
    versioned(TABLE, VERSION, value, |r| {
        let (mut like, mut before) = (&[][..], None);
        while !r.rest().is_empty() {
            let at = r.malformed("an outcome of a higher position that begins as the first one");
            let entry = Entry::read(r)?;
            let position = first.0.checked_add(entry.behind).ok_or(at)?;
            let is_next = before.map_or(entry.behind == 0, |before| position > before);
            let alike = like.get(..entry.alike).filter(|_| is_next).ok_or(at)?;
            take(KeptOutcome {
                position: Position(position),
                op: entry.op,
                outcome: [alike, entry.rest].concat(),
            });
            if before.is_none() {
                like = entry.rest;
            }
            before = Some(position);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    fn read(first: Position, value: &[u8]) -> Result<Vec<KeptOutcome>, Error> {
        let mut all = Vec::new();
        each_outcome(first, value, |kept| all.push(kept))?;
        Ok(all)
    }

    proptest! {
        #[test]
        fn outcomes_are_read_as_they_were_put_and_rows_stay_within_a_page(
            entries in btree_map(any::<u64>(), (any::<[u8; 16]>(), vec(0_u8..3, 0..300)), 1..60),
        ) {
            let kept = |(position, (op, outcome))| KeptOutcome { position: Position(position), op, outcome };
            let all: Vec<KeptOutcome> = entries.into_iter().map(kept).collect();
            let mut rows: Vec<(Position, Vec<u8>)> = Vec::new();
            for kept in &all {
                let longer = match rows.last() {
                    Some((first, row)) => kept.append(*first, row).unwrap(),
                    None => None,
                };
                match (longer, rows.last_mut()) {
                    (Some(longer), Some(last)) => last.1 = longer,
                    _ => rows.push((kept.position, kept.begin())),
                }
            }
            let mut got = Vec::new();
            for (first, row) in &rows {
                prop_assert!(row.len() <= OUTCOME_ROW_BYTES);
                got.extend(read(*first, row).unwrap());
            }
            prop_assert_eq!(got, all);
        }

        #[test]
        fn foreign_bytes_are_refused_without_a_panic(bytes in vec(0_u8..4, 0..120), first: u64) {
            let value = [&[VERSION][..], &bytes].concat();
            let _ = read(Position(first), &value);
            let kept = KeptOutcome { position: Position(u64::MAX), op: [0; 16], outcome: vec![1] };
            let _ = kept.append(Position(first), &value);
        }
    }

    #[test]
    fn an_outcome_that_fills_a_row_alone_has_one() {
        let kept = |position, bytes| KeptOutcome {
            position: Position(position),
            op: [7; 16],
            outcome: vec![1; bytes],
        };
        let large = kept(5, OUTCOME_ROW_BYTES + 100);
        assert_eq!(
            read(Position(5), &large.begin()).unwrap(),
            std::slice::from_ref(&large)
        );
        let small = kept(6, 3);
        assert_eq!(small.append(Position(5), &large.begin()).unwrap(), None);
        assert_eq!(
            large.append(Position(4), &kept(4, 0).begin()).unwrap(),
            None
        );
    }
}
