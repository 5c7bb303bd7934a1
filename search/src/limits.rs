//! Every bound of the text store and of the word index: one name, one unit, one home. `docs/limits.md` is kept equal by `cli/tests/tidy.rs`.

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

/// Bytes of a word; a longer one is cut there.
pub const WORD_MAX: usize = 64;
/// Bytes of a message's folded texts whose words are indexed, headers first; what is behind them is not found by words.
pub const WORDS_TEXT_MAX: usize = 1024 * 1024;
/// Different words of a message that are indexed.
pub const WORDS_DISTINCT_MAX: usize = 20_000;
/// Different words of a question that count.
pub const WORDS_ASK_MAX: usize = 16;
/// Spellings that a word of a question stands for, the nearest, of these the most frequent; words that are suggested.
pub const WORDS_SPELLINGS_MAX: usize = 64;
/// Terms that are read at once of a dictionary that is walked through.
pub const WORDS_WALK: usize = 1024;
/// Bytes of a file of the word index that have a checksum of their own.
pub const WORDS_BLOCK: usize = 16 * 1024;
/// Bytes of a commit's payload.
pub const WORDS_PAYLOAD_MAX: usize = 64 * 1024;
/// Messages that may be added and removed between two commits; one that is removed or replaced takes about 900 bytes until then.
pub const WORDS_CHANGES_MAX: usize = 64 * 1024;
/// Bytes of memory for words that are not in a file yet: the least that tantivy takes.
pub const WORDS_WRITER_MEMORY: usize = 15_000_000;
/// Bytes of words of messages that wait for the indexing thread; one message may have more.
pub const WORDS_WAITING_MAX: usize = 4 * 1024 * 1024;
/// Bytes of columns of all segments that stay in memory; of others they are read for each question.
pub const WORDS_COLUMNS_MAX: usize = 8 * 1024 * 1024;
/// Accounts of which the number of messages and of words is remembered until the next commit.
pub const WORDS_ACCOUNTS_MAX: usize = 1024;
/// Segments of a size class of the word index that are merged, and how many times larger those of the next class are.
pub const WORDS_MERGE_CLASS: u32 = 4;
/// Messages below which a segment is of the lowest size class.
pub const WORDS_MERGE_SMALLEST: u32 = 64;
/// Bytes of the dictionaries of segments that are merged, which are in memory meanwhile.
pub const WORDS_MERGE_TERMS_MAX: u32 = 32 * 1024 * 1024;

const _: () = assert!(TEXT_OVERLAP * 8 <= TEXT_FRAME_MAX && TEXT_FRAME_MAX <= TEXT_PIECE_MAX);
const _: () = assert!(MERGE_RUNS <= RUNS_MAX);
const _: () = assert!(WORD_MAX < WORDS_BLOCK && WORDS_TEXT_MAX <= WORDS_WAITING_MAX);
