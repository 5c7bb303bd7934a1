//! Counters of this crate, in prometheus' default registry: requests to the object store, the read ladder, uploads.
//!
//! Never: a label that grows with accounts, objects or shards.

use std::sync::LazyLock;

use prometheus::{
    HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, exponential_buckets,
    register_histogram_vec, register_int_counter, register_int_counter_vec, register_int_gauge,
    register_int_gauge_vec,
};

const ONCE: &str = "each name is registered once";

/// Attempts at the object store, by `kind` and `caller`.
pub(crate) static COLD_REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "coldpost_cold_requests_total",
        "Requests sent to the object store, every attempt counted.",
        &["kind", "caller"]
    )
    .expect(ONCE)
});

/// Attempts that failed, by `kind`, `caller` and `why`. A 404 and an object that exists are answers, not failures.
pub(crate) static COLD_ERRORS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "coldpost_cold_errors_total",
        "Requests to the object store that failed.",
        &["kind", "caller", "why"]
    )
    .expect(ONCE)
});

/// Bytes of bodies, by `direction` (in, out) and `caller`.
pub(crate) static COLD_BYTES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "coldpost_cold_bytes_total",
        "Bytes read from and written to the object store.",
        &["direction", "caller"]
    )
    .expect(ONCE)
});

/// Seconds of an attempt, by `kind` and `caller`.
pub(crate) static COLD_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!(
        "coldpost_cold_request_seconds",
        "How long a request to the object store took.",
        &["kind", "caller"],
        exponential_buckets(0.001, 2.5, 12).expect("a start over 0 and a factor over 1")
    )
    .expect(ONCE)
});

/// 1 while a store is away, by `store` (main, or first and mirror where there are two).
pub(crate) static COLD_AWAY: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!(
        "coldpost_cold_away",
        "1 while the object store does not answer.",
        &["store"]
    )
    .expect(ONCE)
});

/// Frames given to readers, by `rung` (memory, local, disk, bucket).
pub(crate) static FRAMES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "coldpost_frames_total",
        "Frames of mail given to readers, by where they were found.",
        &["rung"]
    )
    .expect(ONCE)
});

/// Reads of a local file that gave wrong bytes or too few.
pub(crate) static LOCAL_DAMAGED: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!(
        "coldpost_local_damaged_total",
        "Reads of local segments and blobs that gave wrong bytes or too few."
    )
    .expect(ONCE)
});

/// Bytes of the disk cache.
pub(crate) static CACHE_BYTES: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "coldpost_cache_bytes",
        "Bytes of disk that the cache of the object store takes."
    )
    .expect(ONCE)
});

/// Files of the disk cache that were found wrong.
pub(crate) static CACHE_DROPPED: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!(
        "coldpost_cache_dropped_total",
        "Files of the disk cache that gave wrong bytes or too few, and were removed."
    )
    .expect(ONCE)
});

/// Uploads that wait or run.
pub(crate) static UPLOADS_WAITING: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!(
        "coldpost_uploads_waiting",
        "Objects that are not in the object store yet."
    )
    .expect(ONCE)
});
