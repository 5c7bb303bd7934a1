//! Packs a state of the hot tier into ranges, one after the other.

use super::manifest::{Manifest, Moment, RangeRef, TableRows};
use super::range;
use super::stream::{self, Item};
use crate::hot::Snapshot;
use crate::limits::{SNAPSHOT_RANGE_RAW_MAX, SNAPSHOT_RANGES_MAX};
use crate::{Error, Kind, Result};

/// Takes a range: what it is, and its bytes.
type Put<'p> = &'p mut dyn FnMut(&RangeRef, &[u8]) -> Result<()>;

/// Gives each range of `state` to `put` as soon as it is full, and then the manifest.
///
/// # Errors
/// `Unavailable` and `Corrupt` of the hot tier; `Limit` when it has more rows than a snapshot holds; what `put` gives.
pub fn pack(state: &Snapshot, moment: &Moment, put: Put<'_>) -> Result<Manifest> {
    let mut packer = Packer {
        moment,
        put,
        raw: Vec::with_capacity(SNAPSHOT_RANGE_RAW_MAX),
        digest: blake3::Hasher::new(),
        raw_bytes: 0,
        tables: Vec::new(),
        ranges: Vec::new(),
    };
    stream::walk(state, |item| packer.take(item))?;
    packer.close()?;
    Ok(Manifest {
        moment: *moment,
        rows: packer.tables.iter().map(|of| of.rows).sum(),
        raw_bytes: packer.raw_bytes,
        digest: *packer.digest.finalize().as_bytes(),
        tables: packer.tables,
        ranges: packer.ranges,
    })
}

struct Packer<'a> {
    moment: &'a Moment,
    put: Put<'a>,
    /// The range that is being filled: all that is held of the rows.
    raw: Vec<u8>,
    digest: blake3::Hasher,
    raw_bytes: u64,
    tables: Vec<TableRows>,
    ranges: Vec<RangeRef>,
}

impl Packer<'_> {
    fn take(&mut self, item: Item<'_>) -> Result<()> {
        let bytes = item.encode();
        self.digest.update(&bytes);
        match (item, self.tables.last_mut()) {
            (Item::Table(table), _) => self.tables.push(TableRows {
                table: table.to_owned(),
                rows: 0,
            }),
            (Item::Row(..), Some(of)) => of.rows += 1,
            (Item::Row(..), None) => unreachable!("a table comes before its rows"),
        }
        if self.raw.len() + bytes.len() > SNAPSHOT_RANGE_RAW_MAX {
            self.close()?;
            if let (Item::Row(..), Some(of)) = (item, self.tables.last()) {
                self.raw = Item::Table(&of.table).encode();
            }
            if self.raw.len() + bytes.len() > SNAPSHOT_RANGE_RAW_MAX {
                let text = format!(
                    "a row of {} bytes, at most {SNAPSHOT_RANGE_RAW_MAX} fit a range",
                    bytes.len()
                );
                return Err(Error::new(Kind::Limit, text));
            }
        }
        self.raw.extend_from_slice(&bytes);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        if self.ranges.len() >= SNAPSHOT_RANGES_MAX {
            let text = format!(
                "a snapshot has at most {SNAPSHOT_RANGES_MAX} ranges of {SNAPSHOT_RANGE_RAW_MAX} bytes, and this shard has more rows"
            );
            return Err(Error::new(Kind::Limit, text));
        }
        let (range, bytes) = range::encode(self.moment, self.ranges.len(), &self.raw);
        (self.put)(&range, &bytes)?;
        self.raw_bytes += range.raw;
        self.ranges.push(range);
        self.raw.clear();
        Ok(())
    }
}
