//! Frames both ways, borders, bounds, damage.

use proptest::prelude::*;

use super::*;
use crate::Kind;
use crate::address::FrameRef;
use crate::limits::{FRAME_RAW_MAX, ROW_MAX};

fn unpack(stored: &[u8], frames: &[FrameRef]) -> Vec<Vec<u8>> {
    let mut at = 0;
    frames
        .iter()
        .map(|f| {
            let end = at + f.stored as usize;
            let raw = decompress(&stored[at..end], f, "object", at as u64).unwrap();
            at = end;
            raw
        })
        .collect()
}

proptest! {
    #[test]
    fn a_message_comes_out_as_it_went_in_and_frames_end_at_borders(
        raw in proptest::collection::vec(any::<u8>(), 0..5000),
        mut borders in proptest::collection::vec(0_u64..6000, 0..5),
    ) {
        borders.sort_unstable();
        let (stored, frames) = compress_message(&raw, &borders);
        let pieces = unpack(&stored, &frames);
        prop_assert_eq!(pieces.concat(), raw.clone());
        let ends: Vec<u64> = pieces.iter().scan(0, |n, p| { *n += p.len() as u64; Some(*n) }).collect();
        for border in borders.into_iter().filter(|b| *b > 0 && *b <= raw.len() as u64) {
            prop_assert!(ends.contains(&border));
        }
        let mut walked = Vec::new();
        decompress_each(&stored, "object", 0, |piece| walked.extend_from_slice(piece)).unwrap();
        prop_assert_eq!(walked, raw);
    }

    #[test]
    fn a_row_comes_out_as_it_went_in(row in proptest::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert_eq!(decompress_row(&compress_row(&row)).unwrap(), row);
    }

    #[test]
    fn foreign_bytes_are_no_row_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(row) = decompress_row(&bytes) {
            prop_assert!(row.len() <= ROW_MAX);
        }
        let _ = decompress_each(&bytes, "object", 0, |_| ());
    }
}

#[test]
fn no_frame_holds_more_than_the_bound() {
    let raw = vec![7; 2 * FRAME_RAW_MAX + 1];
    let (_, frames) = compress_message(&raw, &[1]);
    let sizes: Vec<u32> = frames.iter().map(|f| f.raw).collect();
    assert_eq!(sizes, [1, 262_144, 262_144]);
    assert_eq!(compress_message(b"", &[0, 9]), (Vec::new(), Vec::new()));
}

#[test]
fn a_flipped_bit_is_seen_before_anything_is_unpacked() {
    let (stored, frames) = compress_message(&b"From: a@b\r\n\r\nhello hello hello".repeat(20), &[]);
    for bit in 0..stored.len() * 8 {
        let mut bad = stored.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let error = decompress(&bad, &frames[0], "segments/1", 100).unwrap_err();
        assert!(
            matches!(error.kind(), Kind::Corrupt { offset: 100, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("checksum"), "{error}");
    }
    assert!(decompress(&stored[1..], &frames[0], "segments/1", 0).is_err());
}

#[test]
fn a_frame_that_gives_more_than_it_names_is_refused_within_the_bound() {
    let (stored, frames) = compress_message(&[0; 100_000], &[]);
    let short = FrameRef {
        raw: 10,
        ..frames[0]
    };
    assert!(decompress(&stored, &short, "o", 0).is_err());
    let long = FrameRef {
        raw: u32::MAX,
        ..frames[0]
    };
    assert!(
        decompress(&stored, &long, "o", 0)
            .unwrap_err()
            .to_string()
            .contains("262144")
    );
    let mut bomb = zstd::bulk::compress(&vec![0; 2 * ROW_MAX], 3).unwrap();
    bomb.splice(0..0, [0, 10]);
    assert!(decompress_row(&bomb).is_err());
    assert!(
        decompress_each(
            &zstd::bulk::compress(&vec![0; FRAME_RAW_MAX + 1], 3).unwrap(),
            "o",
            0,
            |_| ()
        )
        .is_err()
    );
}

#[test]
fn a_row_that_names_no_size_or_too_much_is_refused() {
    let mut row = compress_row(&[0; ROW_MAX]);
    assert_eq!(decompress_row(&row).unwrap(), [0; ROW_MAX]);
    // RFC 8878, 3.1.1.1: one segment, size in four bytes.
    assert_eq!((row[0], row[1]), (2, 0xa0));
    row[4] += 1;
    let error = decompress_row(&row).unwrap_err();
    assert!(error.to_string().contains("at most 262144"), "{error}");
    let error = decompress_row(&[2, 0, 0]).unwrap_err();
    assert!(
        error.to_string().contains("does not name its size"),
        "{error}"
    );
}

/// What journals hold is read for ever: a row as the first dictionary packed it.
#[test]
fn a_row_of_the_first_dictionary_is_read() {
    let row = b"From: a@b\r\nSubject: Re: first\r\n";
    let mut packed = vec![1, u8::try_from(row.len()).unwrap()];
    let dictionary = include_bytes!("rows-1.dict");
    let mut packer = zstd::bulk::Compressor::with_dictionary(3, dictionary).unwrap();
    packer.include_dictid(false).unwrap();
    packed.extend(packer.compress(row).unwrap());
    assert_eq!(decompress_row(&packed).unwrap(), row);
}

#[test]
fn an_unknown_row_dictionary_is_refused_in_words() {
    let mut row = compress_row(b"abc");
    row[0] = 9;
    let error = decompress_row(&row).unwrap_err();
    assert_eq!(
        error.to_string(),
        "row dictionary 9 is not known; a newer version wrote this row"
    );
}

#[test]
fn a_row_without_dictionary_is_read() {
    let mut row = vec![0, 3];
    row.extend(zstd::bulk::compress(b"abc", 3).unwrap());
    assert_eq!(decompress_row(&row).unwrap(), b"abc");
}

#[test]
fn a_skippable_frame_is_read_over_by_zstd() {
    let mut file = skippable(OBJECT, b"anything");
    file.extend(compress_message(b"mail", &[]).0);
    assert_eq!(zstd::stream::decode_all(&file[..]).unwrap(), b"mail");
}
