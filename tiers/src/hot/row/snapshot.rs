//! Which ranges a snapshot's manifest names.

use super::{Row, VERSION};
use crate::codec::{Malformed, Reader, Writer};

/// The ranges of a manifest, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotRow {
    /// Their object ids.
    pub ranges: Vec<[u8; 16]>,
}

impl Row for SnapshotRow {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION).count(self.ranges.len());
        for id in &self.ranges {
            w.raw(id);
        }
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<SnapshotRow, Malformed> {
        let mut ranges = Vec::new();
        for _ in 0..r.count()? {
            ranges.push(r.array()?);
        }
        Ok(SnapshotRow { ranges })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_ranges_of_a_snapshot_are_read_as_they_were_written(ranges: Vec<[u8; 16]>) {
            let row = SnapshotRow { ranges };
            prop_assert_eq!(SnapshotRow::decode("snapshots", &row.encode()).unwrap(), row);
        }
    }
}
