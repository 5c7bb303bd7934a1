//! Rows of the hot tier, packed by the maker of the op: `u8` dictionary id, then one zstd frame. With dictionary 2 the frame stands without
//! its four bytes of magic and states its raw size itself; before (0 none, 1) a varint of the raw bytes stands before a whole frame.
//!
//! A dictionary never changes and its id is never used again; a row with an id that we do not ship is refused.

use std::cell::RefCell;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::codec::{Malformed, Reader};
use crate::limits::ROW_MAX;
use crate::{Error, Result};

/// Id of [`ROWS_1`]: rows of the first version of a description.
const ROWS_1_ID: u8 = 1;
/// Trained on public mail.
static ROWS_1: &[u8] = include_bytes!("rows-1.dict");
/// Id of [`ROWS_2`], the one that new rows are written with.
const ROWS_2_ID: u8 = 2;
/// Trained on public mail, on rows of the second version.
static ROWS_2: &[u8] = include_bytes!("rows-2.dict");

/// zstd's level: a row is packed once and stays hot for as long as its message does; 3 costs 12 % more bytes (decision 12).
const LEVEL: i32 = 6;
/// What every zstd frame begins with (RFC 8878, 3.1.1).
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(ROWS_2, LEVEL));
static DECODER_1: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(ROWS_1));
static DECODER_2: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(ROWS_2));

const WHOLE: &str = "the shipped dictionary is whole";

thread_local! {
    static COMPRESSOR: RefCell<Compressor<'static>> = RefCell::new(compressor());
    static WITH_1: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::with_prepared_dictionary(&DECODER_1).expect(WHOLE));
    static WITH_2: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::with_prepared_dictionary(&DECODER_2).expect(WHOLE));
    static PLAIN: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::new().expect("no dictionary cannot be refused"));
}

/// The dictionary's own id is left out of the frame: ours stands before it, and four bytes of two hundred are worth it.
fn compressor() -> Compressor<'static> {
    let mut compressor = Compressor::with_prepared_dictionary(&ENCODER).expect(WHOLE);
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
    let frame = COMPRESSOR
        .with_borrow_mut(|c| c.compress(row))
        .expect("zstd's own bound is room enough");
    let frame = frame.strip_prefix(&MAGIC).expect("every frame has it");
    let mut packed = Vec::with_capacity(1 + frame.len());
    packed.push(ROWS_2_ID);
    packed.extend_from_slice(frame);
    packed
}

fn corrupt(what: &str) -> Error {
    let text = format!("a row of the hot tier is damaged: {what}");
    Error::corrupt("row", 0, text)
}

/// Unpacks a row.
///
/// # Errors
/// `Corrupt` when it does not unpack to the size that it names or names more than [`ROW_MAX`]; `Invalid` for a dictionary
/// of a newer version.
pub fn decompress_row(packed: &[u8]) -> Result<Vec<u8>> {
    let malformed = |m: Malformed| corrupt(&m.to_string());
    let mut reader = Reader::new(packed);
    match reader.u8().map_err(malformed)? {
        0 | ROWS_1_ID => {
            let raw = reader.number().map_err(malformed)?;
            let with = if packed[0] == 0 { &PLAIN } else { &WITH_1 };
            unpack(with, reader.rest(), raw)
        }
        ROWS_2_ID => {
            let frame = [&MAGIC, reader.rest()].concat();
            let raw = zstd::zstd_safe::get_frame_content_size(&frame)
                .ok()
                .flatten();
            let raw = raw.ok_or_else(|| corrupt("it does not name its size"))?;
            unpack(&WITH_2, &frame, usize::try_from(raw).unwrap_or(usize::MAX))
        }
        id => {
            let text = format!("row dictionary {id} is not known; a newer version wrote this row");
            Err(Error::new(crate::Kind::Invalid, text))
        }
    }
}

fn unpack(
    with: &'static std::thread::LocalKey<RefCell<Decompressor<'static>>>,
    frame: &[u8],
    raw: usize,
) -> Result<Vec<u8>> {
    if raw > ROW_MAX {
        return Err(corrupt(&format!(
            "it names {raw} bytes, at most {ROW_MAX} are allowed"
        )));
    }
    let row = with
        .with_borrow_mut(|d| d.decompress(frame, raw))
        .map_err(|e| corrupt(&format!("it does not unpack ({e})")))?;
    if row.len() == raw {
        Ok(row)
    } else {
        Err(corrupt(&format!("it gives {} bytes, not {raw}", row.len())))
    }
}
