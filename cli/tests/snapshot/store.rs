//! Stores with snapshots, what is taken from them, and what is asked of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use coldpost_testkit::place::files;
use coldpost_testkit::process::Process;
use coldpost_testkit::{Daemon, Must, Options, place, wait};
use serde_json::Value;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
pub(crate) const USER: &str = "ann@example.org";
/// The shards of these stores.
pub(crate) const SHARDS: [u64; 2] = [0, 1];

pub(crate) fn store() -> Daemon {
    Daemon::start(Options::new(BINARY).text("journal", "segment_size", "1MiB"))
}

pub(crate) fn mail(number: u64) -> Vec<u8> {
    let line = format!("line of message {number}\r\n");
    format!(
        "From: b@example.org\r\nSubject: {number}\r\nMessage-ID: <{number}@example.org>\r\n\r\n{}",
        line.repeat(30)
    )
    .into_bytes()
}

pub(crate) fn deliver(daemon: &Daemon, numbers: std::ops::Range<u64>) {
    let mut lmtp = daemon.lmtp();
    for number in numbers {
        lmtp.deliver("b@example.org", USER, &mail(number));
    }
}

/// A command of `coldpost snapshot`: its lines of JSON.
pub(crate) fn snapshot(daemon: &Daemon, what: &str) -> Vec<Value> {
    let mut command = daemon.command("snapshot");
    let output = command.args([what, "--json"]).output().must("running it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}{said}");
    let parse = |line: &str| serde_json::from_str(line).must("a line of JSON");
    text.lines().map(parse).collect()
}

/// The newest snapshot of a shard, by its position.
pub(crate) fn newest(daemon: &Daemon, shard: u64) -> u64 {
    let all = snapshot(daemon, "list").into_iter();
    let of_shard = all.filter(|line| line["shard"] == shard);
    of_shard
        .filter_map(|line| line["position"].as_u64())
        .max()
        .must("a snapshot")
}

/// What a client sees but for bodies.
pub(crate) fn picture(daemon: &Daemon) -> Vec<String> {
    let mut imap = daemon.imap(USER);
    let mut seen = Vec::new();
    for mailbox in ["INBOX", "Kept"] {
        let status = format!("STATUS {mailbox} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)");
        seen.extend(imap.command(&status).ok().lines("STATUS"));
        imap.command(&format!("EXAMINE {mailbox}")).ok();
        let fetched = imap.fetch("UID FETCH 1:* (FLAGS RFC822.SIZE INTERNALDATE ENVELOPE EMAILID)");
        seen.extend(fetched.iter().map(|fetch| {
            let flags = fetch.flags();
            let names = ["RFC822.SIZE", "INTERNALDATE", "ENVELOPE", "EMAILID"];
            let values = names.map(|name| fetch.get(name));
            format!("{} {flags:?} {values:?}", fetch.uid())
        }));
    }
    seen
}

/// A message of INBOX as it was sent, without the trace lines before it; or what is said instead.
pub(crate) fn body(daemon: &Daemon, uid: u32) -> Result<Vec<u8>, String> {
    let mut imap = daemon.imap(USER);
    imap.command("EXAMINE INBOX").ok();
    let reply = imap.command(&format!("UID FETCH {uid} BODY.PEEK[]"));
    match reply.is_ok() {
        true => {
            let whole = reply.fetches().first().must("a message").bytes("BODY[]");
            let mut starts = (0..whole.len()).filter(|at| whole[*at..].starts_with(b"From: "));
            let start = starts.next().must("its first line");
            Ok(whole[start..].to_vec())
        }
        false => Err(format!("{reply:?}")),
    }
}

pub(crate) fn shard_dir(daemon: &Daemon, shard: u64) -> PathBuf {
    daemon.data_dir().join(format!("shards/{shard:04x}"))
}

pub(crate) fn cold(daemon: &Daemon) -> PathBuf {
    daemon.data_dir().join("cold")
}

pub(crate) fn remove_hot_tiers(daemon: &Daemon) {
    for shard in SHARDS {
        fs::remove_file(shard_dir(daemon, shard).join("hot.redb")).must("removing a hot tier");
    }
}

/// The first position in a segment's name, here or in the bucket.
fn first_of(path: &Path) -> u64 {
    let name = path.file_stem().must("a name").to_string_lossy();
    let digits = name.rsplit('-').next().must("a position");
    u64::from_str_radix(digits, 16).must("a position")
}

/// Removes the segments up to a snapshot: here, and in the bucket when that is asked for.
pub(crate) fn remove_segments(daemon: &Daemon, shard: u64, position: u64, also_in_bucket: bool) {
    let mut all = files(&shard_dir(daemon, shard).join("journal"));
    if also_in_bucket {
        all.extend(files(&cold(daemon).join(format!("segments/{shard:04x}"))));
    }
    remove_up_to(&all, position);
}

/// Removes those of these segments that begin at or before a position.
pub(crate) fn remove_up_to(segments: &[PathBuf], position: u64) {
    let gone = segments.iter().filter(|path| first_of(path) <= position);
    let mut count = 0;
    for path in gone {
        fs::remove_file(path).must("removing a segment");
        count += 1;
    }
    assert!(count > 0, "there was a segment up to {position}");
}

pub(crate) fn flip(path: &Path, from_end: usize) {
    let mut bytes = fs::read(path).must("an object");
    let at = bytes.len() - from_end;
    bytes[at] ^= 0x20;
    fs::remove_file(path).must("removing it");
    fs::write(path, bytes).must("writing it again");
}

/// What `serve` says when it refuses.
pub(crate) fn refusal(daemon: &Daemon) -> String {
    let dir = place::scratch("refused");
    let log = dir.path().join("log");
    let mut command: Command = daemon.command("serve");
    let mut process = Process::start("a refused serve", &mut command, &log);
    wait::until("serve to refuse", Duration::from_secs(60), || {
        !process.alive()
    });
    let status = process.stop().must("its status");
    let said = fs::read_to_string(&log).must("its output");
    assert!(!status.success(), "{said}");
    said
}
