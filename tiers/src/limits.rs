//! Every bound of tiers: one name, one unit, one home. `docs/limits.md` is kept equal by `cli/tests/tidy.rs`.

/// Raw bytes of a zstd frame: what one read has to unpack at most.
pub const FRAME_RAW_MAX: usize = 256 * 1024;
/// Bytes of a record of the journal, magic to end of body.
pub const RECORD_MAX: usize = 512 * 1024;
/// Bytes at the beginning of a hot tier's file that the kernel is asked to read ahead when it is opened.
pub const HOT_AHEAD_MAX: u64 = 512 * 1024 * 1024;
/// Bytes of pages that change in a hot tier that is only looked at; they are in memory.
pub const HOT_OVERLAY_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of a hot tier's file above which a stop does not take the time to make it smaller.
pub const HOT_COMPACT_MAX: u64 = 512 * 1024 * 1024;
/// A hot tier's file is made smaller when one part in so many of it holds no rows,
pub const HOT_WASTE_SHARE: u64 = 6;
/// and these are so many bytes: redb itself takes nearly as many.
pub const HOT_WASTE_MIN: u64 = 64 * 1024;
/// Bytes of redb's cache while it is written anew.
pub const HOT_DENSE_CACHE: usize = 8 * 1024 * 1024;
/// Rounds of making it smaller: redb moves some of the pages in each.
pub const HOT_COMPACT_ROUNDS: u32 = 16;
/// Raw bytes of a row.
pub const ROW_MAX: usize = 256 * 1024;
/// Thread keys of an account in one row; one more, and it becomes two.
pub const THREAD_ROW_MAX: usize = 64;
/// Bytes of a row of outcomes: what redb has room for in a page of 4,096 bytes.
pub const OUTCOME_ROW_BYTES: usize = 4032;
/// Bytes of an object's key: what S3 allows.
pub const OBJECT_KEY_MAX: usize = 1024;
/// Payload bytes of one index frame of a segment; its checksum included.
pub const INDEX_FRAME_MAX: usize = 1024 * 1024;
/// Bytes of an object in a local file that are written before they are synced: a delivery's own sync never waits behind all of a block.
pub const OBJECT_SYNC_BYTES: u64 = 1024 * 1024;
/// Raw bytes of a blob.
pub const BLOB_RAW_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes that a sequential read of a segment asks the disk for at once.
pub const READ_CHUNK: usize = 1024 * 1024;
/// Stored bytes of a frame: what zstd makes of [`FRAME_RAW_MAX`] bytes at worst.
pub const FRAME_STORED_MAX: usize = FRAME_RAW_MAX + FRAME_RAW_MAX / 256 + 64;
/// Raw bytes that a reader unpacks where it runs, when the page cache has them: the headers' and the bodies' frame of a message.
pub const FETCH_NOW_RAW_MAX: usize = 2 * FRAME_RAW_MAX;
/// Frames that one fetch gives; a longer part is fetched in steps.
pub const FETCH_FRAMES_MAX: usize = 64;
/// Stored bytes of frames that are read again, though they are there, to make one read of two.
pub const FETCH_GAP_MAX: u64 = 256 * 1024;
/// Stored bytes of fetches from the object store, all together.
pub const COLD_FETCH_MEMORY: u32 = 16 * 1024 * 1024;
/// What the smallest fetch takes of that, so that their number is bounded too.
pub const COLD_FETCH_SHARE: u32 = 512 * 1024;
/// Bytes of an object that are read ahead at once for who reads it from one end to the other, into the disk cache.
pub const CACHE_WINDOW: u64 = 8 * 1024 * 1024;
/// Such reads at a time; what is over is read exactly as asked for.
pub const CACHE_WINDOWS_MAX: usize = 4;
/// Bytes of one such read: of what is longer the rest is asked for again.
pub const CACHE_WINDOW_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of it that are written at once, and that its readers see then.
pub const CACHE_PIECE: usize = 256 * 1024;
/// Bytes of a file of the disk cache from which on a read ahead of what lies before it ends there.
pub const CACHE_LARGE_MIN: u32 = 1024 * 1024;
/// Of the disk cache one part in so many is for what was read in passing.
pub const CACHE_PASSING_SHARE: u64 = 4;
/// Files of the disk cache.
pub const CACHE_FILES_MAX: usize = 48 * 1024;
/// Bytes of memory that know them.
pub const CACHE_INDEX_MEMORY: usize = CACHE_FILES_MAX * 72;
/// Objects of which it is known how they were read last.
pub const SEQUENCES_MAX: usize = 256;
/// Bytes that may lie between two reads of who reads on and on.
pub const SEQUENCE_GAP_MAX: u64 = 1024 * 1024;
/// Reads of an object at different places that make one of all of it.
pub const SEQUENCE_READS: u32 = 4;
/// Seconds in which they are made.
pub const SEQUENCE_SECONDS: u64 = 60;
/// Frames that a reader is given at once of what is still on its way to the disk cache.
pub const LANDING_FRAMES: usize = 4;
/// Bytes of an object that is read whole into memory.
pub const COLD_GET_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of objects on their way to the store, all uploads together. One that is larger goes alone, and the log says so: a blob where
/// `lmtp.max_message` is more than this, and a segment that was sealed when there was no bucket and no mirror yet. A `file://` store alone
/// needs none of it for what is in files.
pub const UPLOAD_MEMORY: u32 = 52 * 1024 * 1024;
/// Names of a `file://` store that a listing of it has in memory.
pub const DIRECTORY_PAGE: usize = 10_000;
/// Directories of a `file://` store in one another; what is deeper is not listed.
pub const DIRECTORY_DEPTH_MAX: u32 = 16;
/// Uploads at a time.
pub const UPLOADS_MAX: usize = 2;
/// Uploads that wait.
pub const UPLOADS_WAITING_MAX: usize = 65_536;
/// Bytes of an answer about a setting of the bucket.
pub const BUCKET_ANSWER_MAX: usize = 1024 * 1024;
/// Raw bytes of a range of a snapshot: what loading one holds.
pub const SNAPSHOT_RANGE_RAW_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the frames of a range of a snapshot: what packing one holds.
pub const SNAPSHOT_RANGE_STORED_MAX: usize = 16 * FRAME_STORED_MAX;
/// Raw bytes of a frame of a range of a snapshot: it is never read in part.
pub const SNAPSHOT_FRAME_RAW_MAX: usize = 1024 * 1024;
/// Stored bytes of such a frame at worst.
pub const SNAPSHOT_FRAME_STORED_MAX: usize =
    SNAPSHOT_FRAME_RAW_MAX + SNAPSHOT_FRAME_RAW_MAX / 256 + 64;
/// Bytes of a range of a snapshot as an object.
pub const SNAPSHOT_RANGE_MAX: u64 = (SNAPSHOT_RANGE_STORED_MAX + 4096) as u64;
/// Ranges of a snapshot: 27 GiB of rows as stored.
pub const SNAPSHOT_RANGES_MAX: usize = 7_000;
/// Bytes of the manifest of a snapshot.
pub const SNAPSHOT_MANIFEST_MAX: u64 = 512 * 1024;
/// Blocking pieces of work (file reads, checksums, unpacking) at a time.
pub const BLOCKING_MAX: usize = 16;

const _: () = assert!(RECORD_MAX <= READ_CHUNK, "a record is whole in one read");
const _: () = assert!(
    INDEX_FRAME_MAX <= READ_CHUNK,
    "an index frame is whole in one read"
);
const _: () = assert!(ROW_MAX <= RECORD_MAX && FRAME_RAW_MAX <= RECORD_MAX);
const _: () = assert!(
    (SNAPSHOT_RANGES_MAX * (16 + 4 + 4 + 32) + OBJECT_KEY_MAX + 4096) as u64
        <= SNAPSHOT_MANIFEST_MAX,
    "a manifest holds all of its ranges"
);
