//! Ids and outcomes of the last 2^18 positions: why a retry is harmless, and forgetting is too.

use std::collections::HashMap;

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
        state.walk(TableName::Outcomes, &[], &[], |key, value| {
            if let (Some(position), Some(id)) = (key.first_chunk::<8>(), value.first_chunk::<16>())
            {
                window
                    .positions
                    .insert(fingerprint(OpId(*id)), u64::from_be_bytes(*position));
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
        let Some(value) = batch.get(TableName::Outcomes, &key::position(Position(*position)))?
        else {
            return Ok(None);
        };
        kept(&value, id)
    }

    /// The same, asked by a reader.
    ///
    /// # Errors
    /// Of the disk, or `Corrupt`.
    pub fn outcome_in(&self, state: &Snapshot, id: OpId) -> Result<Option<Outcome>> {
        let Some(position) = self.positions.get(&fingerprint(id)) else {
            return Ok(None);
        };
        let value = state.get(TableName::Outcomes, &key::position(Position(*position)))?;
        value.map_or(Ok(None), |value| kept(&value, id))
    }

    /// Keeps an outcome and forgets the one that leaves the window.
    pub(super) fn keep(
        &mut self,
        batch: &mut Batch<'_>,
        at: Position,
        id: OpId,
        outcome: &Outcome,
    ) -> Result<()> {
        let mut value = id.0.to_vec();
        value.extend_from_slice(&outcome.encode_kept());
        batch.put(TableName::Outcomes, &key::position(at), &value)?;
        self.positions.insert(fingerprint(id), at.0);
        let Some(leaving) = at.0.checked_sub(WINDOW) else {
            return Ok(());
        };
        let leaving_key = key::position(Position(leaving));
        if let Some(value) = batch.get(TableName::Outcomes, &leaving_key)? {
            if let Some(id) = value.first_chunk::<16>() {
                let print = fingerprint(OpId(*id));
                if self.positions.get(&print) == Some(&leaving) {
                    self.positions.remove(&print);
                }
            }
            batch.remove(TableName::Outcomes, &leaving_key)?;
        }
        Ok(())
    }
}

/// The outcome in a row, if it is of this op and not of one with the same fingerprint.
fn kept(value: &[u8], id: OpId) -> Result<Option<Outcome>> {
    match value.split_first_chunk::<16>() {
        Some((kept, outcome)) if *kept == id.0 => Outcome::decode(outcome).map(Some).map_err(|e| {
            let offset = u64::try_from(e.offset).unwrap_or(u64::MAX);
            Error::corrupt("hot tier, table outcomes", offset, e.to_string())
        }),
        _ => Ok(None),
    }
}
