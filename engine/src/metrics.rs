//! Counters and histograms of the engine, in the process's default registry.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntGaugeVec, Opts, register_histogram,
    register_int_counter, register_int_gauge_vec,
};

const REGISTERED: &str = "each metric is registered once, under its own name";

fn latency(name: &str, help: &str) -> Histogram {
    let buckets = vec![
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
        10.0,
    ];
    register_histogram!(HistogramOpts::new(name, help).buckets(buckets)).expect(REGISTERED)
}

fn counter(name: &str, help: &str) -> IntCounter {
    register_int_counter!(Opts::new(name, help)).expect(REGISTERED)
}

static BATCH_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    latency(
        "coldpost_journal_batch_seconds",
        "Write and fsync of a journal batch.",
    )
});
static BATCH_ENTRIES: LazyLock<Histogram> = LazyLock::new(|| {
    let buckets = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0, 4096.0];
    let opts = HistogramOpts::new(
        "coldpost_journal_batch_entries",
        "Entries of a journal batch.",
    )
    .buckets(buckets);
    register_histogram!(opts).expect(REGISTERED)
});
static JOURNAL_FAILED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "coldpost_journal_failed_total",
        "Journal batches that the disk refused.",
    )
});
static APPLY_SECONDS: LazyLock<Histogram> =
    LazyLock::new(|| latency("coldpost_apply_seconds", "One transaction of the hot tier."));
static DURABLE_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    latency(
        "coldpost_hot_durable_seconds",
        "A durable commit of the hot tier, with its fsync.",
    )
});
static APPLIED: LazyLock<IntCounter> =
    LazyLock::new(|| counter("coldpost_applied_entries_total", "Journal entries applied."));
static TEXT_WRITTEN: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "coldpost_text_written_bytes_total",
        "Bytes of files of the text store that were written, by merges too.",
    )
});
static TEXT_SET_ASIDE: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "coldpost_text_set_aside_total",
        "Files of the text store that were damaged.",
    )
});
static WORDS_SET_ASIDE: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "coldpost_words_set_aside_total",
        "Word indexes that were damaged.",
    )
});
static HOT_REOPENED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "coldpost_hot_reopened_total",
        "Times that a hot tier was reopened after an error.",
    )
});
static DELIVERED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "coldpost_messages_added_total",
        "Messages that deliveries and APPEND added.",
    )
});
static POSITION: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!(
        Opts::new("coldpost_position", "Journal positions by shard and kind."),
        &["shard", "kind"]
    )
    .expect(REGISTERED)
});
static COMPACTED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "coldpost_compacted_messages_total",
        "Messages that compaction moved into blocks.",
    )
});
static COMPACTED_BYTES: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "coldpost_compacted_bytes_total",
        "Bytes of blocks, packs and blobs that compaction made.",
    )
});
static DELETED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "coldpost_deleted_objects_total",
        "Objects that nobody needed and that were deleted.",
    )
});
static DELETED_BYTES: LazyLock<IntCounter> =
    LazyLock::new(|| counter("coldpost_deleted_bytes_total", "Their bytes."));
static LOCAL_BYTES: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let opts = Opts::new(
        "coldpost_local_bytes",
        "Sealed segments and blobs on local disk, by whether the store has them.",
    );
    register_int_gauge_vec!(opts, &["stored"]).expect(REGISTERED)
});

/// A batch was written and synced.
pub(crate) fn journal_batch(entries: usize, took: Duration) {
    BATCH_SECONDS.observe(took.as_secs_f64());
    BATCH_ENTRIES.observe(f64::from(u32::try_from(entries).unwrap_or(u32::MAX)));
}

/// The disk refused a batch.
pub(crate) fn journal_failed() {
    JOURNAL_FAILED.inc();
}

/// A transaction of the hot tier was committed.
pub(crate) fn applied(entries: usize, took: Duration) {
    APPLY_SECONDS.observe(took.as_secs_f64());
    APPLIED.inc_by(u64::try_from(entries).unwrap_or(0));
}

/// The hot tier's last transactions are on disk.
pub(crate) fn durable(took: Duration) {
    DURABLE_SECONDS.observe(took.as_secs_f64());
}

/// A hot tier was closed and reopened.
pub(crate) fn hot_reopened() {
    HOT_REOPENED.inc();
}

/// Messages were added.
pub(crate) fn added(messages: usize) {
    DELIVERED.inc_by(u64::try_from(messages).unwrap_or(0));
}

/// Where a shard stands.
pub(crate) fn position(shard: u16, kind: &str, position: u64) {
    POSITION
        .with_label_values(&[&shard.to_string(), kind])
        .set(i64::try_from(position).unwrap_or(i64::MAX));
}

/// What lies on local disk.
pub(crate) fn local_bytes(stored: u64, unconfirmed: u64) {
    LOCAL_BYTES
        .with_label_values(&["yes"])
        .set(i64::try_from(stored).unwrap_or(i64::MAX));
    LOCAL_BYTES
        .with_label_values(&["no"])
        .set(i64::try_from(unconfirmed).unwrap_or(i64::MAX));
}

/// A run of compaction moved so many messages, into objects of so many bytes.
pub(crate) fn compacted(messages: u64, bytes: u64) {
    COMPACTED.inc_by(messages);
    COMPACTED_BYTES.inc_by(bytes);
}

/// So many objects of so many bytes were deleted.
pub(crate) fn deleted(objects: u64, bytes: u64) {
    DELETED.inc_by(objects);
    DELETED_BYTES.inc_by(bytes);
}

/// So many bytes of text were written.
pub(crate) fn text_written(bytes: u64) {
    TEXT_WRITTEN.inc_by(bytes);
}

/// A file of the text store was damaged.
pub(crate) fn text_set_aside() {
    TEXT_SET_ASIDE.inc();
}

/// A word index was damaged.
pub(crate) fn words_set_aside() {
    WORDS_SET_ASIDE.inc();
}
