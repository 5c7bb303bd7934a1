//! How much a durable commit would have to write.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::schema::TableName;

/// Rows remembered as counted.
const COUNTED: usize = 4096;
/// Bytes of a changed row beside its own: its part of the pages above it.
const BESIDE: u64 = 64;

/// Bytes of rows that changed since the last durable commit. A row that changes again and again counts once, as its page is written once,
/// as long as few others change in between: in doubt it counts again.
#[derive(Debug)]
pub(super) struct Unwritten {
    bytes: u64,
    counted: Box<[u64]>,
}

impl Default for Unwritten {
    fn default() -> Unwritten {
        Unwritten {
            bytes: 0,
            counted: vec![0; COUNTED].into_boxed_slice(),
        }
    }
}

impl Unwritten {
    /// A row was put, or taken away where `value` is 0.
    pub(super) fn changed(&mut self, table: TableName, key: &[u8], value: usize) {
        let mut hasher = DefaultHasher::new();
        (table as usize, key).hash(&mut hasher);
        let row = hasher.finish();
        let place = usize::try_from(row % COUNTED as u64).unwrap_or(0);
        if let Some(last) = self.counted.get_mut(place)
            && std::mem::replace(last, row) != row
        {
            let bytes = u64::try_from(key.len().saturating_add(value)).unwrap_or(u64::MAX);
            self.bytes = self.bytes.saturating_add(bytes).saturating_add(BESIDE);
        }
    }

    /// All of it is written.
    pub(super) fn written(&mut self) {
        self.bytes = 0;
        self.counted.fill(0);
    }

    /// Bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_changes_again_is_written_once() {
        let mut unwritten = Unwritten::default();
        for _ in 0..1000 {
            unwritten.changed(TableName::Runs, b"one", 100);
            unwritten.changed(TableName::Mailboxes, b"one", 100);
        }
        assert_eq!(unwritten.bytes(), 2 * (3 + 100 + BESIDE));
        unwritten.written();
        assert_eq!(unwritten.bytes(), 0);
        unwritten.changed(TableName::Runs, b"one", 0);
        assert_eq!(unwritten.bytes(), 3 + BESIDE);
    }

    #[test]
    fn each_of_many_rows_counts() {
        let mut unwritten = Unwritten::default();
        for number in 0..100_000_u32 {
            unwritten.changed(TableName::Rows, &number.to_be_bytes(), 0);
        }
        assert_eq!(unwritten.bytes(), 100_000 * (4 + BESIDE));
    }
}
