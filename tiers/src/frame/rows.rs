//! Rows of the hot tier, packed by the maker of the op: `u8` dictionary id, varint raw bytes, one zstd frame.
//!
//! A dictionary never changes and its id is never used again; a row with an id that we do not ship is refused.

use std::cell::RefCell;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use super::LEVEL;
use crate::codec::{Malformed, Reader, Writer};
use crate::limits::ROW_MAX;
use crate::{Error, Result};

/// Id of [`ROWS_1`], the one that new rows are written with.
const ROWS_1_ID: u8 = 1;
/// Trained on public mail.
static ROWS_1: &[u8] = include_bytes!("rows-1.dict");

static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(ROWS_1, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(ROWS_1));

thread_local! {
    static COMPRESSOR: RefCell<Compressor<'static>> = RefCell::new(compressor());
    static DECOMPRESSOR: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::with_prepared_dictionary(&DECODER).expect("the shipped dictionary is whole"));
    static PLAIN: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::new().expect("no dictionary cannot be refused"));
}

/// The dictionary's own id is left out of the frame: ours stands before it, and four bytes of three hundred are worth it.
fn compressor() -> Compressor<'static> {
    let mut compressor =
        Compressor::with_prepared_dictionary(&ENCODER).expect("the shipped dictionary is whole");
    compressor
        .include_dictid(false)
        .expect("zstd knows this flag");
    compressor
}

/// Packs a row. Its maker has bounded it: at most [`ROW_MAX`] bytes.
pub fn compress_row(row: &[u8]) -> Vec<u8> {
    assert!(
        row.len() <= ROW_MAX,
        "a row of {} bytes, its maker allows {ROW_MAX}",
        row.len()
    );
    let mut head = Writer::new();
    head.u8(ROWS_1_ID).count(row.len());
    let mut packed = head.into_bytes();
    let start = packed.len();
    packed.resize(start + zstd::zstd_safe::compress_bound(row.len()), 0);
    let written = COMPRESSOR
        .with_borrow_mut(|c| c.compress_to_buffer(row, &mut packed[start..]))
        .expect("zstd's own bound is room enough");
    packed.truncate(start + written);
    packed
}

/// Unpacks a row.
///
/// # Errors
/// `Corrupt` when it does not unpack to the size that it names or names more than [`ROW_MAX`]; `Invalid` for a dictionary
/// of a newer version.
pub fn decompress_row(packed: &[u8]) -> Result<Vec<u8>> {
    let corrupt = |what: &str| {
        Error::corrupt(
            "row",
            0,
            format!("a row of the hot tier is damaged: {what}"),
        )
    };
    let malformed = |m: Malformed| corrupt(&m.to_string());
    let mut reader = Reader::new(packed);
    let id = reader.u8().map_err(malformed)?;
    let raw: usize = reader.number().map_err(malformed)?;
    if raw > ROW_MAX {
        return Err(corrupt(&format!(
            "it names {raw} bytes, at most {ROW_MAX} are allowed"
        )));
    }
    let decompressor = match id {
        0 => &PLAIN,
        ROWS_1_ID => &DECOMPRESSOR,
        _ => {
            let kind = crate::Kind::Invalid;
            return Err(Error::new(
                kind,
                format!("row dictionary {id} is not known; a newer version wrote this row"),
            ));
        }
    };
    let row = decompressor
        .with_borrow_mut(|d| d.decompress(reader.rest(), raw))
        .map_err(|e| corrupt(&format!("it does not unpack ({e})")))?;
    if row.len() == raw {
        Ok(row)
    } else {
        Err(corrupt(&format!("it gives {} bytes, not {raw}", row.len())))
    }
}
