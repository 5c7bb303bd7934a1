//! Bytes kept for a corpus: bucket and hot tier, as delivered and after compaction, against Dovecot's mdbox with zstd in the same run.
//!
//! Promises: the same mail over the same connection to the same accounts; everything below the data directory counts but what a start makes anew
//! anyway (sockets, passwords); the daemon is stopped when it is counted.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use coldpost_testkit::dovecot::{Dovecot, Kind};
use coldpost_testkit::tool::{DOVECOT, NPM, TAR};
use coldpost_testkit::{Daemon, Must, Options, have};

use crate::page::{mib, number};
use crate::{Bytes, binary, mails, page};

/// Accounts among whom the corpus is spread, in runs of neighbours.
const ACCOUNTS: [usize; 2] = [1, 60];

/// Bytes of one way of keeping the corpus.
struct Kept {
    accounts: usize,
    mdbox: u64,
    /// Bucket, journal and hot tier.
    delivered: [u64; 3],
    compacted: [u64; 3],
    messages: usize,
}

/// Measures and prints the table.
///
/// # Panics
/// When a tool is missing or a server fails.
pub(crate) fn run(arguments: &Bytes) {
    if !have(&[NPM, TAR, DOVECOT]) {
        return;
    }
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let mut all = mails::first(usize::MAX);
    if arguments.newer {
        all = all.split_off(all.len() / 2);
    }
    let kept: Vec<Kept> = ACCOUNTS
        .iter()
        .map(|accounts| measure(&binary, &all, *accounts))
        .collect();
    let table = table(&kept);
    page::give(arguments.everywhere.write.as_deref(), "bytes", &table);
}

fn measure(binary: &Path, mails: &[Vec<u8>], accounts: usize) -> Kept {
    let user = |number: usize| format!("u{}@example.org", number * accounts / mails.len());
    eprintln!("{accounts} accounts");
    let dovecot = Dovecot::start(&Kind::Mdbox);
    let mut lmtp = dovecot.lmtp();
    for (number, mail) in mails.iter().enumerate() {
        lmtp.deliver("sender@example.org", &user(number), mail);
    }
    let mdbox = below(&dovecot.dir().join("mail"));
    drop(dovecot);
    let options = Options::new(binary)
        .text("cold", "retention", "0s")
        .text("cold", "grace", "0s");
    let mut daemon = Daemon::start(options);
    let mut lmtp = daemon.lmtp();
    for (number, mail) in mails.iter().enumerate() {
        lmtp.deliver("sender@example.org", &user(number), mail);
    }
    drop(lmtp);
    daemon.stop();
    let delivered = parts(&daemon);
    for words in [
        &["compact"][..],
        &["snapshot", "now"],
        &["gc", "--apply"],
        &["snapshot", "now"],
        &["gc", "--apply"],
    ] {
        command(&daemon, words);
    }
    Kept {
        accounts,
        mdbox,
        delivered,
        compacted: parts(&daemon),
        messages: mails.len(),
    }
}

fn command(daemon: &Daemon, words: &[&str]) {
    let (first, rest) = words.split_first().must("a command");
    let mut command: Command = daemon.command(first);
    let status = command.args(rest).status().must("a command");
    assert!(status.success(), "coldpost {words:?}");
}

/// Bucket, what of the journal is not in the bucket, hot tier.
fn parts(daemon: &Daemon) -> [u64; 3] {
    let data = daemon.data_dir();
    let shards: Vec<_> = std::fs::read_dir(data.join("shards"))
        .must("the shards")
        .map(|entry| entry.must("a shard").path())
        .collect();
    let hot = shards.iter().map(|dir| size(&dir.join("hot.redb"))).sum();
    let open = |dir: &std::path::PathBuf| {
        let files = std::fs::read_dir(dir.join("journal")).must("a journal");
        let files = files.map(|entry| entry.must("a file").path());
        let open = files.filter(|path| path.extension().is_some_and(|kind| kind == "open"));
        open.map(|path| size(&path)).sum::<u64>()
    };
    [
        below(&data.join("cold")),
        shards.iter().map(open).sum(),
        hot,
    ]
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

fn below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let sizes = entries.map(|entry| {
        let path = entry.must("an entry").path();
        match path.is_dir() {
            true => below(&path),
            false => size(&path),
        }
    });
    sizes.sum()
}

fn table(kept: &[Kept]) -> String {
    let mut table = String::from(
        "| accounts | state | bucket, MiB | open journal, MiB | hot tier, MiB | hot, bytes a message | together, to mdbox |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for kept in kept {
        let mdbox = mib(kept.mdbox);
        for (state, parts) in [
            ("as delivered", kept.delivered),
            ("compacted", kept.compacted),
        ] {
            let [bucket, open, hot] = parts;
            let _ = writeln!(
                table,
                "| {} | {state} | {:.2} | {:.2} | {:.2} | {:.0} | {:.2} (of {mdbox:.2} MiB) |",
                kept.accounts,
                mib(bucket),
                mib(open),
                mib(hot),
                number(hot) / kept.messages as f64,
                mib(bucket + open + hot) / mdbox,
            );
        }
    }
    table
}
