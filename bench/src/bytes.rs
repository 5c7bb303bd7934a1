//! Bytes kept for a corpus: bucket and hot tier, as delivered and after compaction, against Dovecot's mdbox with zstd in the same run.
//!
//! Promises: the same mail over the same connection to the same accounts; everything below the data directory counts but what a start makes anew
//! anyway (sockets, passwords); the daemon is stopped when it is counted.

use std::fmt::Write as _;
use std::path::Path;

use coldpost_testkit::dovecot::{Dovecot, Kind};
use coldpost_testkit::tool::{DOVECOT, NPM, TAR};
use coldpost_testkit::{Daemon, Must, Options, have};

use crate::page::{machine, mib, number, whole};
use crate::{Bytes, binary, mails, page};

/// Accounts among whom the corpus is spread, in runs of neighbours.
const ACCOUNTS: [usize; 2] = [1, 60];
/// The most bytes of the hot tier that a message may have, its mailbox entry included.
const HOT_MAX: u64 = 450;

/// What a client asks for that lists a mailbox; Coldpost has it in the hot tier.
const LISTED: &str = "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE";

/// Bytes of one way of keeping the corpus.
struct Kept {
    accounts: usize,
    /// As delivered.
    mdbox: u64,
    /// With the index of what a client's list of messages shows, once one has asked for it.
    mdbox_listed: u64,
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
    let command = if arguments.newer {
        "bytes --newer"
    } else {
        "bytes"
    };
    page::give(arguments.everywhere.write.as_deref(), command, &table);
}

fn measure(binary: &Path, mails: &[Vec<u8>], accounts: usize) -> Kept {
    let user = |number: usize| format!("u{}@example.org", number * accounts / mails.len());
    eprintln!("{accounts} accounts");
    let dovecot = Dovecot::start(&Kind::MdboxWhole);
    let mut lmtp = dovecot.lmtp();
    for (number, mail) in mails.iter().enumerate() {
        lmtp.deliver("sender@example.org", &user(number), mail);
    }
    drop(lmtp);
    let mail = dovecot.dir().join("mail");
    let mdbox = below(&mail);
    for number in 0..accounts {
        let mut imap = dovecot.imap(&format!("u{number}@example.org"));
        imap.command("SELECT INBOX").ok();
        imap.command(&format!("FETCH 1:* ({LISTED})")).ok();
        imap.command("LOGOUT").ok();
    }
    let mdbox_listed = below(&mail);
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
        daemon.ok(words);
    }
    Kept {
        accounts,
        mdbox,
        mdbox_listed,
        delivered,
        compacted: parts(&daemon),
        messages: mails.len(),
    }
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

/// The most that bucket and hot tier together may have of what mdbox has.
fn together_max(accounts: usize, is_compacted: bool) -> f64 {
    match (is_compacted, accounts) {
        (false, _) => 0.85,
        (true, 1) => 0.55,
        (true, _) => 0.60,
    }
}

fn table(kept: &[Kept]) -> String {
    let messages = kept.iter().map(|kept| kept.messages).max().unwrap_or(0);
    let mut table = format!(
        "{}; {} messages of the corpus by LMTP over one connection, attachments included; the daemon stopped, which commits and makes the hot tier \
        small; \"compacted\" after `compact`, and `snapshot now` and `gc --apply` twice, with retention and grace 0. mdbox \"listed\": after one client \
        asked once for what a list of messages shows ({LISTED}), which Dovecot keeps from then on, and Coldpost has from the beginning.\n\n\
        | accounts | state | bucket, MiB | open journal, MiB | hot tier, MiB | hot, bytes a message | at most | mdbox with zstd, MiB | together, to mdbox | at most | mdbox, listed, MiB | together, to that |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        machine(),
        whole(number(messages as u64)),
    );
    for kept in kept {
        let (mdbox, listed) = (mib(kept.mdbox), mib(kept.mdbox_listed));
        for (state, parts, is_compacted) in [
            ("as delivered", kept.delivered, false),
            ("compacted", kept.compacted, true),
        ] {
            let [bucket, open, hot] = parts;
            let _ = writeln!(
                table,
                "| {} | {state} | {:.2} | {:.2} | {:.2} | {:.0} | {HOT_MAX} | {mdbox:.2} | {:.2} | {:.2} | {listed:.2} | {:.2} |",
                kept.accounts,
                mib(bucket),
                mib(open),
                mib(hot),
                number(hot) / kept.messages as f64,
                mib(bucket + open + hot) / mdbox,
                together_max(kept.accounts, is_compacted),
                mib(bucket + open + hot) / listed,
            );
        }
    }
    table
}
