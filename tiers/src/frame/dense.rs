//! Frames for what is written once by upkeep and kept long: a high level, as nobody waits for them.

use zstd::bulk::Compressor;

use crate::address::FrameRef;
use crate::limits::FRAME_RAW_MAX;

/// Above this level time grows by more than what is left out.
const LEVEL: i32 = 9;

/// Frames of [`FRAME_RAW_MAX`] raw bytes each, the last one of what is left.
pub fn compress_dense(raw: &[u8]) -> (Vec<u8>, Vec<FrameRef>) {
    let mut compressor = Compressor::new(LEVEL).expect("zstd knows this level");
    let mut stored = Vec::with_capacity(raw.len() / 3 + 64);
    let size = |n: usize| u32::try_from(n).expect("a frame is bounded far below 4 GiB");
    let frames = raw.chunks(FRAME_RAW_MAX).map(|piece| {
        let frame = compressor
            .compress(piece)
            .expect("zstd makes its own room for what it compresses");
        let crc = crc32c::crc32c(&frame);
        stored.extend_from_slice(&frame);
        FrameRef {
            stored: size(frame.len()),
            raw: size(piece.len()),
            crc,
        }
    });
    let frames = frames.collect();
    (stored, frames)
}
