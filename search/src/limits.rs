//! Every bound of the text store: one name, one unit, one home. `docs/limits.md` is kept equal by `cli/tests/tidy.rs`.

/// Bytes of folded text in a frame; a single text may be as long as a piece.
pub const TEXT_FRAME_MAX: usize = 64 * 1024;
/// Bytes of folded text of one message and kind that stand together; what is longer is cut into pieces.
pub const TEXT_PIECE_MAX: usize = 1024 * 1024;
/// Bytes with which a piece repeats the end of the one before, at most three less so that no character is cut.
pub const TEXT_OVERLAP: usize = 4 * 1024;
/// Frames of an account and kind from which on a file has signatures of them.
pub const SIGNATURE_FRAMES_MIN: usize = 8;
/// Bytes of signature rows that have a checksum of their own.
pub const SIGNATURE_STRETCH_MAX: usize = 4 * 1024;
/// Frames of a file at which it is ended.
pub const RUN_FRAMES_MAX: usize = 8 * 1024;
/// Bytes of folded text of a file at which it is ended.
pub const RUN_RAW_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of the index of a file that are read.
pub const RUN_INDEX_MAX: u64 = 8 * 1024 * 1024;
/// Runs of the lowest size class side by side that are merged whatever their bytes.
pub const MERGE_RUNS: usize = 8;
/// Runs of a shard beyond which the cheapest neighbours are merged.
pub const RUNS_MAX: usize = 64;
/// Stored bytes below which a run is of the lowest size class.
pub const MERGE_SMALLEST: u64 = 64 * 1024;
/// How many times larger the runs of a size class are than those of the one below.
pub const MERGE_CLASS: u64 = 4;
/// Stored bytes from which on a run is not merged any more.
pub const MERGE_LARGEST: u64 = 4 * 1024 * 1024 * 1024;

const _: () = assert!(TEXT_OVERLAP * 8 <= TEXT_FRAME_MAX && TEXT_FRAME_MAX <= TEXT_PIECE_MAX);
const _: () = assert!(MERGE_RUNS <= RUNS_MAX);
