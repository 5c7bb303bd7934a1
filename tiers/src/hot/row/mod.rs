//! Values of rows: versioned, explicit, never serde.

mod account;
mod block;
mod holes;
mod message;
mod outcomes;
mod place;
mod run;
mod snapshot;
mod thread;

pub use account::{AccountRow, AccountState, MailboxRow, MailboxState, NameRow, NameState};
pub use block::{ContentRow, FrameRow};
pub use holes::{Holes, HolesHead};
pub use message::{Origin, Place};
pub use outcomes::{KeptOutcome, each_outcome};
pub use place::{Applied, BlobRow, Counted, ObjectRow, ObjectState, ObjectTimes};
pub use run::{Cause, ExpungedRow, RUN_ENTRIES_MAX, Run, RunEntry};
pub use snapshot::SnapshotRow;
pub use thread::ThreadRow;

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
        versioned(table, VERSION, value, Self::read)
    }
}

/// Reads a value of `table` that begins with this version, to its end.
fn versioned<'v, T>(
    table: &str,
    version: u8,
    value: &'v [u8],
    read: impl FnOnce(&mut Reader<'v>) -> Result<T, Malformed>,
) -> Result<T, Error> {
    let mut r = Reader::new(value);
    let whole = || {
        if r.u8()? != version {
            return Err(Malformed {
                offset: 0,
                expected: "a row version that this coldpost knows",
            });
        }
        let row = read(&mut r)?;
        r.end()?;
        Ok(row)
    };
    whole().map_err(|e: Malformed| {
        let offset = u64::try_from(e.offset).unwrap_or(u64::MAX);
        Error::corrupt(format!("hot tier, table {table}"), offset, e.to_string())
    })
}
