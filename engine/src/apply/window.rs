//! Ids and outcomes of the last 2^18 positions: why a retry is harmless, and forgetting is too.

use std::collections::HashMap;

use coldpost_tiers::hot::row::{KeptOutcome, each_outcome};
use coldpost_tiers::hot::{Batch, Snapshot, TableName, key};
use coldpost_tiers::{Error, Result};

use crate::ids::Position;
use crate::limits::WINDOW;
use crate::op::{OpId, Outcome};

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
        state.walk(TableName::Outcomes, &[], &[], |first, value| {
            each_outcome(key::position_of(first), value, |kept| {
                let print = fingerprint(OpId(kept.op));
                window.positions.insert(print, kept.position.0);
            })?;
            Ok(true)
        })?;
        Ok(window)
    }

    /// Where the outcome of an op is kept, asked for by the entry at `at`: rows hold some of those too that have left the window.
    fn position(&self, at: Position, id: OpId) -> Option<Position> {
        let position = *self.positions.get(&fingerprint(id))?;
        (position.saturating_add(WINDOW) >= at.0).then_some(Position(position))
    }

    /// What the op with this id gave when it was applied inside the window that ends before `at`.
    pub(super) fn outcome(
        &self,
        batch: &Batch<'_>,
        at: Position,
        id: OpId,
    ) -> Result<Option<Outcome>> {
        let Some(position) = self.position(at, id) else {
            return Ok(None);
        };
        match batch.last_at_most(TableName::Outcomes, &[], &key::position(position))? {
            Some(row) => kept(&row, position, id),
            None => Ok(None),
        }
    }

    /// The same, asked by a reader.
    ///
    /// # Errors
    /// Of the disk, or `Corrupt`.
    pub fn outcome_in(&self, state: &Snapshot, at: Position, id: OpId) -> Result<Option<Outcome>> {
        let Some(position) = self.position(at, id) else {
            return Ok(None);
        };
        let mut rows = state.scan_back(TableName::Outcomes, &[], &key::position(position))?;
        match rows.next() {
            Some(row) => kept(&row?, position, id),
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
        let kept = KeptOutcome {
            position: at,
            op: id.0,
            outcome: outcome.encode_kept(),
        };
        self.positions.insert(fingerprint(id), at.0);
        let last = batch.last_at_most(TableName::Outcomes, &[], &key::position(at))?;
        if let Some((first, row)) = last
            && let Some(row) = kept.append(key::position_of(&first), &row)?
        {
            return batch.put(TableName::Outcomes, &first, &row);
        }
        batch.put(TableName::Outcomes, &key::position(at), &kept.begin())
    }

    /// Removes rows of which everything has left the window with the entry at `at`, whether that has kept something or not.
    pub(super) fn forget(&mut self, batch: &mut Batch<'_>, at: Position) -> Result<()> {
        let Some(leaving) = at.0.checked_sub(WINDOW) else {
            return Ok(());
        };
        loop {
            let mut rows = batch.scan(TableName::Outcomes, &[], &[])?;
            let (oldest, next) = (rows.next().transpose()?, rows.next().transpose()?);
            drop(rows);
            let (Some((first, value)), Some((behind, _))) = (oldest, next) else {
                return Ok(());
            };
            if key::position_of(&behind).0 > leaving.saturating_add(1) {
                return Ok(());
            }
            each_outcome(key::position_of(&first), &value, |gone| {
                let print = fingerprint(OpId(gone.op));
                if self.positions.get(&print) == Some(&gone.position.0) {
                    self.positions.remove(&print);
                }
            })?;
            batch.remove(TableName::Outcomes, &first)?;
        }
    }
}

/// The outcome in a row, if it is of this op and not of one with the same fingerprint.
fn kept(
    (first, value): &(Vec<u8>, Vec<u8>),
    position: Position,
    id: OpId,
) -> Result<Option<Outcome>> {
    let mut found = None;
    each_outcome(key::position_of(first), value, |kept| {
        if kept.position == position && kept.op == id.0 {
            found = Some(kept.outcome);
        }
    })?;
    let Some(found) = found else {
        return Ok(None);
    };
    Outcome::decode(&found).map(Some).map_err(|e| {
        let offset = u64::try_from(e.offset).unwrap_or(u64::MAX);
        Error::corrupt("hot tier, table outcomes", offset, e.to_string())
    })
}
