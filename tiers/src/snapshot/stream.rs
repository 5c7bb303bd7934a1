//! Rows as a stream of items, and its digest.

use super::manifest::Form;
use crate::codec::{Malformed, Reader, Writer};
use crate::error::Result;
use crate::frame::decompress_row;
use crate::hot::{Snapshot, TableName};

/// From here on rows of a table.
const TABLE: u8 = 0;
/// A row.
const ROW: u8 = 1;
/// A row of a message, unpacked.
const UNPACKED: u8 = 2;

/// An item of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// From here on rows of this table.
    Table(&'a str),
    /// Key and value.
    Row(&'a [u8], &'a [u8]),
    /// Key and unpacked value, in the table of packed rows.
    Unpacked(&'a [u8], &'a [u8]),
}

impl Item<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Item::Table(name) => w.u8(TABLE).text(name),
            Item::Row(key, value) => w.u8(ROW).bytes(key).bytes(value),
            Item::Unpacked(key, row) => w.u8(UNPACKED).bytes(key).bytes(row),
        };
        w.into_bytes()
    }

    /// The next item; `None` at the end.
    pub(super) fn read<'a>(r: &mut Reader<'a>) -> Result<Option<Item<'a>>, Malformed> {
        if r.rest().is_empty() {
            return Ok(None);
        }
        let at = r.malformed("a table or a row");
        match r.u8()? {
            TABLE => Ok(Some(Item::Table(r.text()?))),
            ROW => Ok(Some(Item::Row(r.bytes()?, r.bytes()?))),
            UNPACKED => Ok(Some(Item::Unpacked(r.bytes()?, r.bytes()?))),
            _ => Err(at),
        }
    }
}

/// Gives every item of a state to `each`, in the order of the stream.
///
/// # Errors
/// `Unavailable` after an I/O error, `Corrupt` when the hot tier is damaged; what `each` gives.
pub(super) fn walk(
    state: &Snapshot,
    form: Form,
    mut each: impl FnMut(Item<'_>) -> Result<()>,
) -> Result<()> {
    for table in TableName::ALL {
        let mut begun = false;
        state.walk(table, &[], &[], |key, value| {
            if !begun {
                begun = true;
                each(Item::Table(table.name()))?;
            }
            let is_packed = table == TableName::Rows && form == Form::Unpacked;
            match is_packed.then(|| decompress_row(value)) {
                Some(Ok(row)) => each(Item::Unpacked(key, &row))?,
                // One that is damaged stays as it is.
                Some(Err(_)) | None => each(Item::Row(key, value))?,
            }
            Ok(true)
        })?;
    }
    Ok(())
}

/// Rows and digest of all the rows of a state.
///
/// # Errors
/// As [`walk`].
pub(super) fn digest(state: &Snapshot, form: Form) -> Result<(u64, [u8; 32])> {
    let mut hasher = blake3::Hasher::new();
    let mut rows = 0;
    walk(state, form, |item| {
        rows += u64::from(!matches!(item, Item::Table(_)));
        hasher.update(&item.encode());
        Ok(())
    })?;
    Ok((rows, *hasher.finalize().as_bytes()))
}
