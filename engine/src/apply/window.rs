//! Ids and outcomes of the last 2^18 positions: why a retry is harmless, and forgetting is too.

use std::collections::HashMap;

use coldpost_tiers::hot::row::{KeptOutcome, OutcomesRow, Row};
use coldpost_tiers::hot::{Batch, Snapshot, TableName, key};
use coldpost_tiers::{Error, Result};

use crate::ids::Position;
use crate::limits::WINDOW;
use crate::op::{OpId, Outcome};

/// For errors.
const TABLE: &str = "outcomes";

/// Fingerprints of the op ids whose outcomes are kept as rows: 16 bytes each in memory.
#[derive(Default)]
pub struct Window {
    positions: HashMap<u64, u64>,
}

fn fingerprint(id: OpId) -> u64 {
    id.0.first_chunk::<8>()
        .map_or(0, |b| u64::from_le_bytes(*b))
}

impl Window {
    /// Reads the fingerprints of all kept outcomes.
    ///
    /// # Errors
    /// Of the disk.
    pub fn load(state: &Snapshot) -> Result<Window> {
        let mut window = Window::default();
        state.walk(TableName::Outcomes, &[], &[], |_, value| {
            for kept in OutcomesRow::decode(TABLE, value)?.entries {
                let print = fingerprint(OpId(kept.op));
                window.positions.insert(print, kept.position.0);
            }
            Ok(true)
        })?;
        Ok(window)
    }

    /// What the op with this id gave when it was applied inside the window.
    pub(super) fn outcome(&self, batch: &Batch<'_>, id: OpId) -> Result<Option<Outcome>> {
        let Some(position) = self.positions.get(&fingerprint(id)) else {
            return Ok(None);
        };
        let at = key::position(Position(*position));
        match batch.last_at_most(TableName::Outcomes, &[], &at)? {
            Some((_, value)) => kept(&value, Position(*position), id),
            None => Ok(None),
        }
    }

    /// The same, asked by a reader.
    ///
    /// # Errors
    /// Of the disk, or `Corrupt`.
    pub fn outcome_in(&self, state: &Snapshot, id: OpId) -> Result<Option<Outcome>> {
        let Some(position) = self.positions.get(&fingerprint(id)) else {
            return Ok(None);
        };
        let at = key::position(Position(*position));
        match state.scan_back(TableName::Outcomes, &[], &at)?.next() {
            Some(row) => kept(&row?.1, Position(*position), id),
            None => Ok(None),
        }
    }

    /// Keeps an outcome.
    pub(super) fn keep(
        &mut self,
        batch: &mut Batch<'_>,
        at: Position,
        id: OpId,
        outcome: &Outcome,
    ) -> Result<()> {
        let mut begun = (key::position(at), OutcomesRow::default());
        if let Some((first, value)) = batch.last_at_most(TableName::Outcomes, &[], &begun.0)? {
            let row = OutcomesRow::decode(TABLE, &value)?;
            if !row.is_full(value.len()) {
                begun = (first, row);
            }
        }
        let (first, mut row) = begun;
        row.entries.push(KeptOutcome {
            position: at,
            op: id.0,
            outcome: outcome.encode_kept(),
        });
        batch.put(TableName::Outcomes, &first, &row.encode())?;
        self.positions.insert(fingerprint(id), at.0);
        Ok(())
    }

    /// Forgets what leaves the window with the entry at `at`, whether that has kept something or not.
    pub(super) fn forget(&mut self, batch: &mut Batch<'_>, at: Position) -> Result<()> {
        let Some(leaving) = at.0.checked_sub(WINDOW) else {
            return Ok(());
        };
        loop {
            let mut rows = batch.scan(TableName::Outcomes, &[], &[])?;
            let Some((first, value)) = rows.next().transpose()? else {
                return Ok(());
            };
            drop(rows);
            if first > key::position(Position(leaving)) {
                return Ok(());
            }
            let mut row = OutcomesRow::decode(TABLE, &value)?;
            let stays = row.entries.partition_point(|e| e.position.0 <= leaving);
            for gone in row.entries.drain(..stays) {
                let print = fingerprint(OpId(gone.op));
                if self.positions.get(&print) == Some(&gone.position.0) {
                    self.positions.remove(&print);
                }
            }
            if row.entries.is_empty() {
                batch.remove(TableName::Outcomes, &first)?;
            } else {
                if stays > 0 {
                    batch.put(TableName::Outcomes, &first, &row.encode())?;
                }
                return Ok(());
            }
        }
    }
}

/// The outcome in a row, if it is of this op and not of one with the same fingerprint.
fn kept(value: &[u8], position: Position, id: OpId) -> Result<Option<Outcome>> {
    let row = OutcomesRow::decode(TABLE, value)?;
    let Some(kept) = row.at(position).filter(|kept| kept.op == id.0) else {
        return Ok(None);
    };
    Outcome::decode(&kept.outcome).map(Some).map_err(|e| {
        let offset = u64::try_from(e.offset).unwrap_or(u64::MAX);
        Error::corrupt("hot tier, table outcomes", offset, e.to_string())
    })
}
