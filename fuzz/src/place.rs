//! A small store on a scratch directory: caches that are full soon, so that memory is level from the first tenth on.

use std::path::Path;
use std::time::Duration;

use coldpost_engine::Engine;
use coldpost_engine::settings::{ColdSettings, MinFree, Settings};
use coldpost_testkit::place;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Where a store lies; goes with the value.
#[derive(Debug)]
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new(name: &str) -> Place {
        Place(place::scratch(name))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// An engine on it.
    pub(crate) fn engine(&self, runtime: &Runtime) -> Engine {
        let settings = Settings {
            data: self.path().join("data"),
            cold: ColdSettings {
                url: format!("file://{}", self.path().join("cold").display()),
                ..ColdSettings::default()
            },
            segment_size: 1 << 20,
            shards: 1,
            hot_cache: 2 << 20,
            frames_cache: 256 << 10,
            words: true,
            local_bodies: 4 << 20,
            min_free: MinFree::Bytes(0),
            mail_memory: 16 << 20,
            attachment_threshold: 1 << 10,
            dedup: Default::default(),
            cut_age: Duration::from_secs(3600),
            retention: Duration::from_secs(14 * 86_400),
            grace: Duration::from_secs(86_400),
            segment_age: Duration::from_secs(30 * 86_400),
            autocreate: Vec::new(),
        };
        runtime
            .block_on(Engine::open(settings))
            .expect("an empty directory can be opened")
    }
}

/// Threads for blocking work: each has contexts of zstd for as long as it lives, megabytes that no allocator of ours counts. With few of
/// them all are there within the first tenth.
const BLOCKING_THREADS: usize = 4;

/// What sessions run on.
pub(crate) fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS);
    builder.thread_keep_alive(Duration::from_secs(3600));
    builder.enable_all().build().expect("a runtime")
}
