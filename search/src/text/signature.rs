//! Which frames may hold a needle: 32,768 bits for each frame, one for each hash of its windows of one to four characters, stored a row for
//! each hash, so that a few short reads tell of all frames of an account at once.
//!
//! Promises: a frame that holds a needle is among those that are named; rows are compared with their checksums before they count.

use crate::error::{Error, Result};
use crate::limits::SIGNATURE_STRETCH_MAX;

use super::bytes::length;
use super::run::Source;
use super::{BEHIND, BETWEEN};

/// Rows of a signature, and bits of a frame.
const ROWS: usize = 32_768;
/// Characters of the longest window.
const WINDOW: usize = 4;
/// Bytes of a checksum.
const CRC: usize = 4;

/// The bits of one frame.
#[derive(Clone)]
pub(super) struct Bits(Box<[u64; ROWS / 64]>);

/// Hashes of the windows that end at one character after the other.
#[derive(Default)]
struct Windows {
    /// Of the windows of one, two and three characters that end at the last one.
    ending: [u32; WINDOW - 1],
    /// How many of them are there.
    count: usize,
}

impl Windows {
    /// The rows of all windows that end with `character`, the shortest first; none of a separator.
    #[inline]
    fn step(&mut self, character: char) -> impl Iterator<Item = usize> + use<> {
        let mut rows = [0; WINDOW];
        let mut count = 0;
        if character == BETWEEN || character == BEHIND {
            self.count = 0;
        } else {
            count = (self.count + 1).min(WINDOW);
            let [one, two, three] = self.ending;
            let hashes = [0, one, two, three].map(|before| mixed(before, character));
            for (row, (hash, size)) in rows.iter_mut().zip(hashes.into_iter().zip(1_u32..)) {
                *row = row_of(hash, size);
            }
            self.ending = [hashes[0], hashes[1], hashes[2]];
            self.count = count.min(WINDOW - 1);
        }
        rows.into_iter().take(count)
    }
}

#[inline]
fn mixed(hash: u32, character: char) -> u32 {
    let hash = (hash ^ u32::from(character)).wrapping_mul(0x9E37_79B1);
    hash ^ (hash >> 15)
}

#[inline]
fn row_of(hash: u32, size: u32) -> usize {
    let row = hash.wrapping_add(size).wrapping_mul(0x85EB_CA6B) >> 17;
    usize::try_from(row).unwrap_or(0)
}

impl Bits {
    /// Of the text of a frame.
    pub(super) fn of(text: &str) -> Bits {
        let mut bits = Box::new([0; ROWS / 64]);
        let mut windows = Windows::default();
        for character in text.chars() {
            for row in windows.step(character) {
                bits[row / 64] |= 1 << (row % 64);
            }
        }
        Bits(bits)
    }

    fn rows(&self) -> impl Iterator<Item = usize> {
        self.0.iter().zip(0_usize..).flat_map(|(word, at)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = usize::try_from(left.trailing_zeros()).unwrap_or(0);
                (left != 0).then(|| {
                    left &= left - 1;
                    at * 64 + bit
                })
            })
        })
    }
}

/// Rows of a stretch, for rows of so many bytes.
fn rows_of_stretch(row_bytes: usize) -> usize {
    let fits = |rows: &usize| rows * row_bytes <= SIGNATURE_STRETCH_MAX;
    let stretches = (0..=12).rev().map(|power| 1_usize << power);
    stretches.into_iter().find(fits).unwrap_or(1)
}

fn row_bytes(frames: usize) -> usize {
    frames.div_ceil(8)
}

/// Bytes of a signature of so many frames.
pub(super) fn size(frames: usize) -> usize {
    let rows = rows_of_stretch(row_bytes(frames));
    ROWS / rows * (rows * row_bytes(frames) + CRC)
}

/// The signature of frames, as it stands in a file; `seed` says whose it is.
pub(super) fn write(frames: &[Bits], seed: u32) -> Vec<u8> {
    let row_bytes = row_bytes(frames.len());
    let mut rows = vec![0; ROWS * row_bytes];
    for (number, bits) in frames.iter().enumerate() {
        for row in bits.rows() {
            rows[row * row_bytes + number / 8] |= 1 << (number % 8);
        }
    }
    let mut out = Vec::with_capacity(size(frames.len()));
    let stretches = rows.chunks(rows_of_stretch(row_bytes) * row_bytes);
    for (number, stretch) in (0_u32..).zip(stretches) {
        out.extend_from_slice(stretch);
        out.extend_from_slice(&checksum(seed, number, stretch).to_le_bytes());
    }
    out
}

fn checksum(seed: u32, number: u32, stretch: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &number.to_le_bytes()), stretch)
}

/// The rows in which a needle's windows are, each once. Of a long one those of three and four characters: what shorter ones would add is little.
pub(super) fn rows_of(needle: &str) -> Vec<usize> {
    let characters = needle.chars().count();
    let shortest = characters.clamp(1, WINDOW - 1);
    let mut windows = Windows::default();
    let mut rows = Vec::new();
    for character in needle.chars() {
        rows.extend(windows.step(character).skip(shortest - 1));
    }
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// Frames of an account, a bit each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frames(Vec<u8>);

impl Frames {
    /// All of so many.
    pub(super) fn all(frames: usize) -> Frames {
        Frames(vec![0xff; row_bytes(frames)])
    }

    pub(super) fn has(&self, frame: usize) -> bool {
        self.0
            .get(frame / 8)
            .is_some_and(|byte| byte & (1 << (frame % 8)) != 0)
    }

    fn is_none(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    fn and(&mut self, row: &[u8]) {
        for (byte, other) in self.0.iter_mut().zip(row) {
            *byte &= other;
        }
    }
}

/// A signature in a file.
#[derive(Clone, Copy)]
pub(super) struct Signature<'s> {
    pub(super) source: &'s dyn Source,
    pub(super) offset: u64,
    pub(super) frames: usize,
    pub(super) seed: u32,
}

/// Those of its frames whose signature has all of `rows`.
pub(super) fn find(signature: Signature<'_>, rows: &[usize]) -> Result<Frames> {
    let frames = signature.frames;
    let row_bytes = row_bytes(frames);
    let rows_each = rows_of_stretch(row_bytes);
    let stretch_bytes = rows_each * row_bytes + CRC;
    let mut found = Frames::all(frames);
    let mut read: Option<(usize, Vec<u8>)> = None;
    for row in rows {
        let number = row / rows_each;
        let stretch = match read.take() {
            Some((known, stretch)) if known == number => stretch,
            _ => read_stretch(signature, number, stretch_bytes)?,
        };
        let start = row % rows_each * row_bytes;
        found.and(stretch.get(start..start + row_bytes).unwrap_or_default());
        read = Some((number, stretch));
        if found.is_none() {
            break;
        }
    }
    Ok(found)
}

/// Compares all of it.
pub(super) fn check(signature: Signature<'_>) -> Result<()> {
    let row_bytes = row_bytes(signature.frames);
    let rows_each = rows_of_stretch(row_bytes);
    let stretch_bytes = rows_each * row_bytes + CRC;
    for number in 0..ROWS / rows_each {
        read_stretch(signature, number, stretch_bytes)?;
    }
    Ok(())
}

fn read_stretch(of: Signature<'_>, number: usize, bytes: usize) -> Result<Vec<u8>> {
    let offset = of.offset.saturating_add(length(number * bytes));
    let mut stretch = of
        .source
        .read_at(offset, bytes)
        .map_err(Error::io("a signature"))?;
    let crc = stretch.split_off(bytes - CRC);
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    if crc == checksum(of.seed, number, &stretch).to_le_bytes() {
        Ok(stretch)
    } else {
        let found = "its rows are not those of their checksum";
        Err(Error::corrupt("a signature", offset, found))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(source: &Vec<u8>, frames: usize, rows: &[usize]) -> Result<Frames> {
        let signature = Signature {
            source,
            offset: 0,
            frames,
            seed: 7,
        };
        super::find(signature, rows)
    }

    proptest! {
        #[test]
        fn every_frame_that_holds_a_needle_is_named(texts in prop::collection::vec("[a-cé\\n ]{0,40}", 1..30), needle in "[a-cé ]{1,9}") {
            let bits: Vec<Bits> = texts.iter().map(|text| Bits::of(text)).collect();
            let signature = write(&bits, 7);
            prop_assert_eq!(signature.len(), size(texts.len()));
            let found = find(&signature, texts.len(), &rows_of(&needle)).unwrap();
            for (number, text) in texts.iter().enumerate() {
                prop_assert!(found.has(number) || !text.contains(&needle));
            }
        }

        #[test]
        fn a_bit_that_flips_is_noticed_or_not_looked_at(at in any::<prop::sample::Index>(), bit in 0..8) {
            let frames: Vec<Bits> = (0..9).map(|n| Bits::of(&format!("frame {n} of nine"))).collect();
            let whole = write(&frames, 7);
            let mut flipped = whole.clone();
            let at = at.index(whole.len());
            flipped[at] ^= 1_u8 << bit;
            for row in (0..ROWS).step_by(61) {
                let before = find(&whole, 9, &[row]).unwrap();
                if let Ok(after) = find(&flipped, 9, &[row]) {
                    prop_assert_eq!(after, before);
                }
            }
        }
    }

    #[test]
    fn few_frames_are_named_for_what_few_have() {
        let frames: Vec<Bits> = (0..64)
            .map(|n| Bits::of(&format!("frame {n} of many")))
            .collect();
        let signature = write(&frames, 7);
        let named = find(&signature, 64, &rows_of("frame 37")).unwrap();
        assert_eq!((0..64).filter(|n| named.has(*n)).collect::<Vec<_>>(), [37]);
    }
}
