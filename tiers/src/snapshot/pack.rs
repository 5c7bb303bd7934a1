//! Packs a state of the hot tier into ranges, one after the other.

use super::manifest::{Form, Manifest, Moment, RangeRef, TableRows};
use super::range::RangeWriter;
use super::stream::{self, Item};
use crate::hot::Snapshot;
use crate::limits::{SNAPSHOT_RANGE_STORED_MAX, SNAPSHOT_RANGES_MAX};
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
        range: RangeWriter::default(),
        digest: blake3::Hasher::new(),
        raw_bytes: 0,
        tables: Vec::new(),
        ranges: Vec::new(),
    };
    stream::walk(state, Form::Unpacked, |item| packer.take(item))?;
    packer.close()?;
    Ok(Manifest {
        form: Form::Unpacked,
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
    range: RangeWriter,
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
            (Item::Row(..) | Item::Unpacked(..), Some(of)) => of.rows += 1,
            (Item::Row(..) | Item::Unpacked(..), None) => {
                unreachable!("a table comes before its rows")
            }
        }
        if !self.range.has_room(bytes.len()) {
            self.close()?;
            if let (false, Some(of)) = (matches!(item, Item::Table(_)), self.tables.last()) {
                self.range.add(&Item::Table(&of.table).encode());
            }
            if !self.range.has_room(bytes.len()) {
                let text = format!("a row of {} bytes does not fit a range", bytes.len());
                return Err(Error::new(Kind::Limit, text));
            }
        }
        self.range.add(&bytes);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        if self.range.is_empty() {
            return Ok(());
        }
        if self.ranges.len() >= SNAPSHOT_RANGES_MAX {
            let text = format!(
                "a snapshot has at most {SNAPSHOT_RANGES_MAX} ranges of {SNAPSHOT_RANGE_STORED_MAX} bytes, and this shard has more rows"
            );
            return Err(Error::new(Kind::Limit, text));
        }
        let range = std::mem::take(&mut self.range);
        let (range, bytes) = range.finish(self.moment, self.ranges.len());
        (self.put)(&range, &bytes)?;
        self.raw_bytes += range.raw;
        self.ranges.push(range);
        Ok(())
    }
}
