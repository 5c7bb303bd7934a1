//! Every bound of the engine: one name, one unit, one home. `docs/limits.md` is kept equal by `cli/tests/tidy.rs`.

/// Bytes of an account name after normalisation (RFC 5321, 4.5.3.1: 64 + 1 + 255).
pub const ACCOUNT_NAME_MAX: usize = 320;
/// Bytes of an entry (meta and frames together) in both journals.
pub const ENTRY_MAX: usize = 512 * 1024;
/// Bytes of a row.
pub const ROW_MAX: usize = 256 * 1024;
/// MIME parts that are parsed; the rest is one leaf.
pub const PARTS_MAX: usize = 1_000;
/// Levels of MIME nesting that are parsed; deeper is one leaf.
pub const LEVELS_MAX: usize = 100;
/// Bytes of main fields kept hot; what is over stays with the trace fields.
pub const MAIN_FIELDS_MAX: usize = 128 * 1024;
/// Addresses in one list of an ENVELOPE.
pub const ENVELOPE_ADDRESSES_MAX: usize = 4_096;
/// Recipients of one deliver op.
pub const RECIPIENTS_MAX: usize = 2_000;
/// Messages that one op touches.
pub const OP_MESSAGES_MAX: usize = 4_096;
/// Messages that one `expunge` of a large set takes: deliveries to the shard wait while it is applied, which takes about 5 microseconds a message.
pub const EXPUNGE_MESSAGES_MAX: usize = 1_024;
/// Messages that one `purge` drops, for the same reason; it takes about 20 microseconds a message.
pub const PURGE_MESSAGES_MAX: usize = 256;
/// Keywords of one mailbox.
pub const KEYWORDS_MAX: usize = 128;
/// Bytes of a keyword.
pub const KEYWORD_LENGTH_MAX: usize = 255;
/// Bytes of a mailbox name in UTF-8.
pub const MAILBOX_NAME_MAX: usize = 1_024;
/// Levels of a mailbox name.
pub const MAILBOX_LEVELS_MAX: usize = 64;
/// Mailboxes of an account.
pub const MAILBOXES_MAX: usize = 10_000;
/// Mailboxes that a new account has beside INBOX.
pub const AUTOCREATE_MAX: usize = 32;
/// Hashes of References kept for threading.
pub const REFERENCES_MAX: usize = 32;
/// Decoded bytes of a frame: what one read has to unpack at most.
pub const FRAME_MAX: usize = 256 * 1024;
/// Bytes of a multipart boundary that are compared (RFC 2046 allows 70).
pub const BOUNDARY_MAX: usize = 80;
/// Bytes of a string in an ENVELOPE; longer ones are cut.
pub const ENVELOPE_STRING_MAX: usize = 4 * 1024;
/// Bytes of each of From, Sender and Reply-To in an ENVELOPE; addresses that do not fit are left out.
pub const ENVELOPE_SENDERS_MAX: usize = 4 * 1024;
/// Bytes of To, Cc and Bcc in an ENVELOPE together with the BODYSTRUCTURE of its message; addresses that do not fit are left out.
pub const ENVELOPE_RECIPIENTS_MAX: usize = STRUCTURE_MAX + 48 * 1024;
/// Bytes of To, Cc and Bcc in the ENVELOPE of a nested message.
pub const NESTED_RECIPIENTS_MAX: usize = 48 * 1024;
/// Bytes of a BODYSTRUCTURE; of what would be longer the last parts are written with types, encodings and sizes only.
pub const STRUCTURE_MAX: usize = 140 * 1024;
/// Bytes of a header in which sort keys and search texts are looked for; those of a longer header are decoded when asked for.
pub const HEADER_KEYS_MAX: usize = 1024 * 1024;
/// Bytes of a sort key.
pub const SORT_KEY_MAX: usize = 512;
/// Bytes of decoded search text kept with a message; what is over is decoded when asked for.
pub const SEARCH_TEXT_MAX: usize = 8 * 1024;
/// Bytes of an encoded description: what is left of a row for its address, ids and dates is 8 KiB.
pub const DESCRIPTION_MAX: usize = ROW_MAX - 8 * 1024;
/// Bytes of values of attributes that are kept while HTML is read; where there are more it is read twice.
pub const HTML_VALUES_MAX: usize = 256 * 1024;
/// Bytes of a piece of decoded text handed to a search.
pub const TEXT_PIECE_MAX: usize = 1024 * 1024;

const _: () = assert!(
    4 * ENVELOPE_STRING_MAX
        + 3 * ENVELOPE_SENDERS_MAX
        + ENVELOPE_RECIPIENTS_MAX
        + SEARCH_TEXT_MAX
        + 20 * 1024
        <= DESCRIPTION_MAX,
    "an encoded description without main fields fits into its bound"
);
const _: () = assert!(
    EXPUNGE_MESSAGES_MAX <= OP_MESSAGES_MAX && PURGE_MESSAGES_MAX <= OP_MESSAGES_MAX,
    "what is put into an op is within its bound"
);
/// Bytes of a kept outcome.
pub const OUTCOME_MAX: usize = 4 * 1024;
/// Bytes of disk that stay free for the hot tier, at most a 32nd of the file system: below it, durable entries wait to be applied.
pub const HOT_RESERVE: u64 = 8 << 20;
/// Bytes of disk below which no mail is taken, whatever `min_free` says, at most a 16th of the file system.
pub const MAIL_RESERVE: u64 = 2 * HOT_RESERVE;
/// Milliseconds between two looks whether there is room again for the hot tier.
pub const ROOM_TICK_MS: u64 = 100;
/// Positions whose op ids and outcomes are kept.
pub const WINDOW: u64 = 1 << 18;
/// Bytes of the targets of one `add`.
pub const TARGETS_BYTES_MAX: usize = 96 * 1024;
/// Bytes of rows that one `add` makes.
pub const ADD_ROWS_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the meta of an entry.
pub const META_MAX: usize = 384 * 1024;
/// Journal bytes between durable commits of the hot tier.
pub const DURABLE_EVERY_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of changed rows between durable commits of the hot tier: nothing is applied while one is made.
pub const DURABLE_EVERY_ROW_BYTES: u64 = 2 * 1024 * 1024;
/// Milliseconds of work between durable commits of the hot tier.
pub const DURABLE_EVERY_MS: u64 = 2_000;
/// Entries of a journal batch.
pub const BATCH_ENTRIES_MAX: usize = 4_096;
/// Bytes of a journal batch beyond which no more entries join it.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Milliseconds without an entry after which the journal notes that all of it was promised.
pub const IDLE_MARK_MS: u64 = 1_000;
/// Entries of one transaction of the hot tier.
pub const APPLY_ENTRIES_MAX: usize = 1_024;
/// Entries that wait for the journal, or for apply.
pub const QUEUE_ENTRIES_MAX: usize = 1_024;
/// Journal bytes of one transaction while replaying.
pub const REPLAY_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Unpacked bytes of rows read together, after which no more of them are: whoever wants the rest asks again.
pub const ROWS_BYTES_MAX: usize = 256 * 1024;
/// Frames that one read asks for at most: 8 MiB of mail, one request to the store.
pub const READ_AHEAD_FRAMES: usize = 32;
/// Bytes of a part that is stored decoded which are written as base64 at once: what one read of a body gives.
pub const RECODED_AT_ONCE: u64 = 256 * 1024;
/// Raw bytes of bodies that a FETCH reads ahead for a batch of messages.
pub const BATCH_AHEAD_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of disk that the disk cache leaves free beyond what mail needs.
pub const CACHE_FREE_SLACK: u64 = 64 * 1024 * 1024;
/// Times that one read follows a message to where it was moved.
pub const MOVES_FOLLOWED_MAX: usize = 4;
/// Frames that all readers together hold ahead of themselves: 16 MiB of mail.
pub const READ_AHEAD_HELD: usize = 64;
/// Mailboxes of a shard whose last changes are kept for all their sessions.
pub const SHARED_CHANGES_MAX: usize = 256;
/// Ranges of UIDs, or entries, of such changes; each session works out larger ones for itself.
pub const SHARED_CHANGES_PIECES: usize = 64;
/// Milliseconds that a reader keeps what was read ahead for it when others want its place.
pub const AHEAD_KEPT_MS: u64 = 5_000;
/// Bytes of a part below which its leaving does not help an entry to fit.
pub const BLOB_PART_MIN: u64 = 16 * 1024;
/// Parts of a message that leave it as blobs of their own; then the whole message does.
pub const BLOB_PARTS_MAX: usize = 8;
/// Bytes of a query in its text form, as written and as printed.
pub const QUERY_LENGTH_MAX: usize = 16 * 1024;
/// Levels of parentheses in the text form of a query.
pub const QUERY_DEPTH_MAX: usize = 50;
/// Keys of the text form of a query.
pub const QUERY_KEYS_MAX: usize = 1_000;
/// Seconds of the longest span in a query: a hundred years.
pub const QUERY_SPAN_MAX: u32 = 36_525 * 86_400;
/// Bytes of message bodies that all searches together hold.
pub const SEARCH_MEMORY: usize = 52 * 1024 * 1024;
/// Bytes that the bounds of the engine and of what is below it add up to, caches and message bytes in flight apart (those are settings). What is read ahead is there twice while it is unpacked.
pub const MEMORY_BOUNDS: usize = SEARCH_MEMORY
    + PREVIEWS_MEMORY
    + 2 * READ_AHEAD_HELD * FRAME_MAX
    + BATCH_BYTES_MAX
    + coldpost_tiers::limits::COLD_FETCH_MEMORY as usize
    + coldpost_tiers::limits::CACHE_INDEX_MEMORY
    + coldpost_tiers::limits::UPLOAD_MEMORY as usize
    + COMPACTION_MEMORY
    + SNAPSHOT_MEMORY
    + TEXT_WAITING_MAX
    + INDEX_MEMORY;
/// Bytes of a run of compaction: what it knows of its messages and of where they are listed, a group of them, what is read of a block again, and zstd.
pub const COMPACTION_MEMORY: usize = COMPACT_MESSAGES_MAX
    * (COMPACT_MESSAGE_BYTES + 2 * COMPACT_ENTRY_BYTES)
    + 4 * PLACE_BYTES_MAX
    + 4 * 1024 * 1024;
/// Bytes that a run of compaction knows of a message.
pub const COMPACT_MESSAGE_BYTES: usize = 128;
/// Bytes that it knows of an entry of one.
pub const COMPACT_ENTRY_BYTES: usize = 80;
/// Entries of a message that its block names.
pub const PLACE_ENTRIES_MAX: usize = 16;
/// Bytes of what a group says of its messages, and as many of their entries and mailboxes.
pub const PLACE_BYTES_MAX: usize = 768 * 1024;
/// Bytes of a snapshot that is packed: a range as frames and as an object, and zstd.
pub const SNAPSHOT_MEMORY: usize = 2 * coldpost_tiers::limits::SNAPSHOT_RANGE_STORED_MAX
    + coldpost_tiers::limits::SNAPSHOT_FRAME_RAW_MAX
    + 6 * 1024 * 1024;
/// A message over this many bytes is searched alone: smaller ones never wait behind two of them.
pub const SEARCH_LARGE: usize = SEARCH_MEMORY / 8;
/// Bytes that the fields of a message are reckoned to take while a search reads them.
pub const FIELD_MESSAGE_BYTES: usize = 256;
/// Messages of which a search unpacks the rows one by one; of more it keeps the fields that it asked for.
pub const FIELD_FEW_MESSAGES: usize = 32;
/// Bytes of folded header fields that one search reads to keep them; of the messages behind them it unpacks rows.
pub const FIELD_COLUMN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of previews that are remembered.
pub const PREVIEWS_MEMORY: usize = 2 * 1024 * 1024;
/// Bytes of keys and threads that one sort holds while it is made, of what all searches together hold; keys that are kept count in `[hot] frames`.
pub const ORDER_MEMORY: usize = 48 * 1024 * 1024;
const _: () = assert!(ORDER_MEMORY <= SEARCH_MEMORY);
/// Keys that are kept have one part in so many of `[hot] frames`.
pub const MADE_SHARE: u64 = 4;
/// Unpacked frames of text have one part in so many of `[hot] frames`; frames of mail the rest.
pub const KEPT_TEXT_SHARE: u64 = 2;
/// Bytes that a key of a message is reckoned to take while it is read; where it takes more, it is read again with all of that memory.
pub const ORDER_MESSAGE_BYTES: usize = 192;
/// Characters of a preview (RFC 8970, 3).
pub const PREVIEW_CHARACTERS_MAX: usize = 200;
/// Bytes of a part, and of its header, that are read for a preview.
pub const PREVIEW_BYTES_MAX: u64 = 64 * 1024;
/// Parts that are looked at for a preview until one has a text.
pub const PREVIEW_PARTS_MAX: usize = 16;
/// Bytes of the texts of a message that are looked through for an excerpt.
pub const EXCERPT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Characters of an excerpt on either side of the hit, about.
pub const EXCERPT_WIDTH: usize = 60;
/// Searches that look through texts at the same time.
pub const SEARCH_SCANS_MAX: usize = 2;
/// Windows of 8,192 entries, of mailboxes with more than 256, that searches look at at the same time: 1.5 MB each.
pub const SEARCH_WINDOWS_MAX: usize = 8;
/// Bytes of mail that is not indexed which one search reads.
pub const SEARCH_UNINDEXED_BYTES: u64 = 64 * 1024 * 1024;
/// Seconds that a search waits for the index where too much is not indexed.
pub const SEARCH_UNINDEXED_WAIT_SECONDS: u64 = 20;
/// Bytes of text that wait for a file, of each shard.
pub const TEXT_WAITING_MAX: usize = 4 * 1024 * 1024;
/// Seconds after which text that waits is written, however little it is.
pub const TEXT_WAITING_SECONDS: u64 = 60;
/// Milliseconds for which the indexing of what comes in waits for more; until then a search reads it itself.
pub const TEXT_BATCH_MS: u64 = 100;
/// Seconds between two looks whether something of the index is to be made again, merged or dropped.
pub const TEXT_LOOK_SECONDS: u64 = 10;
/// Seconds after which a message that could not be read is tried again.
pub const TEXT_AGAIN_SECONDS: u64 = 600;
/// Messages whose text is made again together.
pub const TEXT_REBUILD_MESSAGES: usize = 20_000;
/// Bytes of mail whose text is made again together.
pub const TEXT_REBUILD_BYTES: u64 = 256 * 1024 * 1024;
/// Stretches of messages without text that are remembered one by one.
pub const TEXT_LOST_MAX: usize = 10_000;
/// Messages that a merge looks up in one state of the hot tier.
pub const TEXT_STATE_LOOKS: usize = 20_000;
/// Texts that one search may look for in bodies.
pub const SEARCH_TEXTS_MAX: usize = 100;
/// Seconds that one search may take.
pub const SEARCH_SECONDS_MAX: u64 = 120;
/// Milliseconds that a start waits for each of two answers of the object store: whose it is, and what it has of the journals.
pub const START_CHECK_MS: u64 = 500;
/// The same where no shard may begin without that answer: at the first start, and where a journal is empty.
pub const START_NEEDS_MS: u64 = 20_000;
/// Seconds that `serve` waits for a data directory that another process has: a command on stopped data has it for a moment.
pub const LOCK_WAIT_SECONDS: u64 = 10;
/// Milliseconds between two looks of an upkeep task.
pub const UPKEEP_TICK_MS: u64 = 500;
/// Seconds after which a snapshot is taken of a shard in which something changed.
pub const SNAPSHOT_EVERY_S: i64 = 24 * 3_600;
/// Bytes of sealed segments behind the newest snapshot after which another one is taken.
pub const SNAPSHOT_EVERY_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Milliseconds between two looks whether a snapshot is due.
pub const SNAPSHOT_LOOK_MS: u64 = 60_000;
/// Looks that are left out after a snapshot that failed.
pub const SNAPSHOT_RETRY_LOOKS: u32 = 10;
/// Milliseconds without an upload after which a snapshot that waits for some ends when they were given up, or failed for as long.
pub const SNAPSHOT_STALLED_MS: u64 = 30_000;
/// Bytes of a copy that `verify` reads at once.
pub const VERIFY_PIECE_MAX: u64 = 8 * 1024 * 1024;
/// Rows of objects that a comparison with the store's listing has in memory.
pub const VERIFY_ROWS_AT_ONCE: usize = 1_024;
/// Objects that nobody has, collected before the messages in them are looked for.
pub const VERIFY_LOST_AT_ONCE: usize = 16_384;
/// Objects in the store that are not ours, told by name; the others are counted.
pub const FOREIGN_TOLD_MAX: u64 = 100;
/// Seconds after which a probe in the store belongs to no check that is running.
pub const PROBE_LIFE_SECONDS: i64 = 3_600;
/// Bytes of local segments that are worth a run of compaction; a quarter of `[hot] local_bodies` where that is less.
pub const COMPACT_BATCH_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes of local segments below which no run is worth it, however little stays on local disk.
pub const COMPACT_BATCH_MIN: u64 = 32 * 1024 * 1024;
/// Bytes that are asked of the store at once where compaction needs a whole object.
pub const BRING_PIECE_MAX: u64 = 8 * 1024 * 1024;
/// Bytes of objects that one run of compaction takes.
pub const COMPACT_RUN_BYTES: u64 = 512 * 1024 * 1024;
/// Messages that one run of compaction takes; an object that has more takes several.
pub const COMPACT_MESSAGES_MAX: usize = 20_000;
/// Seconds for which an object, or a shard, that has trouble of its own keeps no other from its upload.
pub const UPLOAD_ASIDE_SECONDS: u64 = 60;
/// Bytes of mail as it came that one run of compaction writes, but for a message that has more; an object that has more takes several.
pub const COMPACT_RAW_MAX: u64 = 1024 * 1024 * 1024;
/// Rows that compaction looks at in one state of the hot tier.
pub const GATHER_ROWS_MAX: usize = 20_000;
/// Compaction has one part in so many of the machine's cores beside the serving, and never more than one core.
pub const COMPACT_CORES_SHARE: u32 = 8;
/// Milliseconds that a thread behind all others waits for a processor before it can be said to starve.
pub const STARVED_MS: u64 = 500;
/// It starves when it had one for less than one part in so many of that wait.
pub const STARVED_SHARE: u32 = 16;
/// Seconds in which no other stands behind after one that starved.
pub const STARVED_SECONDS: u64 = 600;
/// Bytes of mail that compaction writes in a second beside the serving.
pub const COMPACT_BYTES_A_SECOND: u64 = 32 * 1024 * 1024;
/// Milliseconds that compaction waits after each group of messages for entries that wait for the journal and readers that wait for bytes.
pub const COMPACT_STEP_ASIDE_MS: u64 = 25;
/// Bytes of disk that stay free, beyond what mail needs, of what compaction brings: a step, and what comes in meanwhile.
pub const COMPACT_FREE: u64 = STEP_BYTES + CACHE_FREE_SLACK;
/// Seconds until compaction tries a shard again after trouble; twice as many each time that it was for want of room.
pub const COMPACT_WAIT_SECONDS: u64 = 30;
/// The most of these.
pub const COMPACT_WAIT_MAX_SECONDS: u64 = 900;
/// Objects that are known to hold mail which compaction could not move; beyond that the count says no more.
pub const COMPACT_LEFT_MAX: usize = 16_384;
/// Seconds for which upkeep does not choose an object again in which compaction left something.
pub const COMPACT_AGAIN_SECONDS: u64 = 3_600;
/// Stored bytes of an account in a run of compaction from which on it has blocks of its own.
pub const COMPACT_OWN_BLOCK: u64 = 8 * 1024 * 1024;
/// Raw bytes of the headers of a group of messages, but for those of one message alone: who reads one of them unpacks all of the group. (A frame of twice
/// as many costs 1.8 times the time of a read, and saves 2 % of the bytes.)
pub const GROUP_HEADERS_MAX: u64 = 128 * 1024;
/// Bytes of a block, or of a pack, at which it is ended.
pub const BLOCK_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of a pack at which it is worth an object when its block is ended; below it stays open for the next block.
pub const PACK_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Bodies of a shard that are remembered because they broke off while they were sent: each is read whole before it is sent again.
pub const BROKEN_BODIES_MAX: usize = 1_024;
/// Seconds that lie at most between the reading of a message by compaction and the entry that moves it, by far: what was written within so much
/// time after an account was erased may have mail of it.
pub const RUN_SECONDS_MAX: i64 = 24 * 3600;
/// Bytes of blocks and packs that are written before they are sent.
pub const STEP_BYTES: u64 = 64 * 1024 * 1024;
/// Raw bytes of a blob from which on it is an object of its own.
pub const BLOB_ALONE_MIN: u64 = 4 * 1024 * 1024;
/// Blobs of a pack.
pub const PACK_BLOBS_MAX: usize = 4_096;
/// Messages of one `relocate`: apply holds up nobody for long.
pub const RELOCATE_MESSAGES_MAX: usize = 256;
/// Bytes of extents, frames and blob records of one `relocate`, about.
pub const RELOCATE_BYTES_MAX: usize = 192 * 1024;
/// Seconds between two looks whether something grew old enough to be compacted.
pub const COMPACT_LOOK_SECONDS: u64 = 60;
/// Seconds between two looks for objects that can be deleted.
pub const DELETE_LOOK_SECONDS: u64 = 3_600;
/// Rounds of one collection of garbage: what goes frees other things.
pub const DELETE_PASSES_MAX: u32 = 8;
/// Seconds that the deletion of a segment waits for the durable commit of the hot tier behind it.
pub const DURABLE_WAIT_SECONDS: u64 = 30;
/// Objects that may refuse to be deleted before a pass is given up.
pub const DELETE_FAILURES_MAX: usize = 8;
/// Seconds that the machine's clock may be behind the time of a shard before nothing is deleted by age any more.
pub const CLOCKS_APART_SECONDS: i64 = 3_600;
/// What is added to a date by which bytes are gone: looks are taken every hour, and work takes its time.
pub const GONE_SLACK_SECONDS: i64 = 6 * 3_600;
const _: () = assert!(
    coldpost_tiers::limits::SNAPSHOT_RANGES_MAX * (16 + 4 + 32) + 256 <= META_MAX,
    "the op about a snapshot names all of its ranges"
);
/// Ranges of messages that a word index lacks beyond which all of it is made again.
pub const WORDS_LOST_MAX: usize = 512;
/// Bytes of folded text after which words are committed at the next account.
pub const WORDS_COMMIT_BYTES: usize = 64 * 1024 * 1024;
/// Messages after which words are committed.
pub const WORDS_COMMIT_MESSAGES: usize = 8 * 1024;
/// Spellings that are suggested for a word.
pub const SUGGESTED_MAX: usize = 8;
/// Accounts that are checked between two words about how far it is.
pub const CHECK_ACCOUNTS: usize = 16;
/// Bytes that one who makes or merges files of text, or writes words, has at once: the one thread does one after the other. Of text the signatures of a
/// file twice, and a frame of each file that is merged; of words what tantivy has, what waits for it, removals, and dictionaries that are merged.
pub const INDEX_MEMORY: usize = coldpost_search::limits::WORDS_WRITER_MEMORY
    + coldpost_search::limits::WORDS_WAITING_MAX
    + coldpost_search::limits::WORDS_COLUMNS_MAX
    + coldpost_search::limits::WORDS_MERGE_TERMS_MAX as usize
    + WORDS_COMMIT_MESSAGES * WORD_CHANGE_BYTES;
/// Bytes of a message that is taken out of the word index, until the commit.
pub const WORD_CHANGE_BYTES: usize = 900;
const _: () = assert!(
    INDEX_MEMORY
        > 2 * coldpost_search::limits::RUN_FRAMES_MAX * 4 * 1024 / 8
            + coldpost_search::limits::RUNS_MAX * 4 * coldpost_search::limits::TEXT_FRAME_MAX,
    "what text takes is less"
);
/// Messages of a stretch that may be away before it is left for later as a whole.
pub const TEXT_AWAY_MAX: usize = 64;
/// Bytes that mail may still take below which words are not indexed and files of text not merged.
pub const INDEX_ROOM_MIN: u64 = 64 * 1024 * 1024;
