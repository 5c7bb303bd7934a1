//! Values of rows: versioned, explicit, never serde.

mod account;
mod block;
mod holes;
mod place;
mod run;
mod snapshot;

pub use account::{AccountRow, AccountState, MailboxRow, MailboxState, NameRow, NameState};
pub use block::{ContentRow, FrameRow};
pub use holes::{Holes, HolesHead};
pub use place::{Applied, BlobRow, Counted, ObjectRow, ObjectState, ObjectTimes, Origin, Place};
pub use run::{Cause, ExpungedRow, RUN_ENTRIES_MAX, Run, RunEntry};
pub use snapshot::SnapshotRow;

use crate::codec::{Malformed, Reader};
use crate::error::Error;

/// The version of every value.
const VERSION: u8 = 1;

/// A row value.
pub trait Row: Sized {
    /// The bytes that stand in the table.
    fn encode(&self) -> Vec<u8>;

    /// Reads a value without its version byte.
    ///
    /// # Errors
    /// [`Malformed`] with the place.
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// Reads a value of `table`.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not such a value, or of a newer version.
    fn decode(table: &str, value: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(value);
        let mut read = || {
            if r.u8()? != VERSION {
                return Err(Malformed {
                    offset: 0,
                    expected: "row version 1",
                });
            }
            let row = Self::read(&mut r)?;
            r.end()?;
            Ok(row)
        };
        read().map_err(|e: Malformed| {
            let offset = u64::try_from(e.offset).unwrap_or(u64::MAX);
            Error::corrupt(format!("hot tier, table {table}"), offset, e.to_string())
        })
    }
}
