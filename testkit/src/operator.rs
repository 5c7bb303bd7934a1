//! What an operator does to a daemon: commands of the binary, waiting for the bucket, removing local copies.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::daemon::Daemon;
use crate::must::Must;
use crate::{place, wait};

/// Time in which what was delivered reaches a store on this machine.
const SHIPPED: Duration = Duration::from_secs(120);

impl Daemon {
    /// Runs a command of the binary to its end, however that is.
    pub fn run(&self, words: &[&str]) -> Output {
        let (first, rest) = words.split_first().must("a command");
        let mut command = self.command(first);
        command.args(rest).output().must("running a command")
    }

    /// Runs a command that succeeds; gives what it prints.
    pub fn ok(&self, words: &[&str]) -> String {
        let done = self.run(words);
        assert!(done.status.success(), "coldpost {words:?}: {done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Runs a command that succeeds, with `--json`; gives the last value that it prints.
    pub fn json(&self, words: &[&str]) -> Value {
        let text = self.ok(&[words, &["--json"]].concat());
        serde_json::from_str(text.lines().last().must("a line")).must("JSON")
    }

    /// Waits until nothing waits for the bucket any more.
    pub fn wait_until_shipped(&self) {
        wait::until("everything is in the bucket", SHIPPED, || {
            let status = self.json(&["status"]);
            let figures = status["figures"].as_array().must("figures");
            let waiting = figures.iter().find(|f| f[0] == "uploads waiting");
            waiting.is_some_and(|f| f[1] == "0")
        });
    }

    /// Until nothing that can be in the bucket alone is on local disk (`hot.local_bodies` 0).
    pub fn wait_until_evicted(&self) {
        wait::until("uploads and eviction", SHIPPED, || {
            let is_none = |name: &str| self.metric(name) == Some(0.0);
            is_none("coldpost_uploads_waiting") && is_none("coldpost_local_bytes")
        });
    }

    /// Takes away what a stopped daemon's bucket has as well: sealed segments, blocks, packs and blobs of the first shard.
    pub fn remove_local_mail(&self) {
        let shard = self.data_dir().join("shards/0001");
        for dir in ["blocks", "packs", "blobs", "journal"] {
            for file in place::files(&shard.join(dir)) {
                if file.extension().is_none_or(|kind| kind == "seg") {
                    std::fs::remove_file(&file).must("removing a local copy");
                }
            }
        }
    }
}
