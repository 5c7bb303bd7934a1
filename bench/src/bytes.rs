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
    mdbox: Mdbox,
    /// With attachments in files of their own, which it keeps once each.
    mdbox_single: Mdbox,
    /// Bucket, journal and hot tier.
    delivered: [u64; 3],
    compacted: [u64; 3],
    messages: usize,
}

/// Bytes of an mdbox.
struct Mdbox {
    /// As delivered.
    delivered: u64,
    /// With the index of what a client's list of messages shows, once one has asked for it.
    listed: u64,
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
    let all = match arguments.newer {
        false => mails::first(usize::MAX),
        true => mails::newer(),
    };
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
    eprintln!("{accounts} accounts");
    let [whole, single] = [Kind::MdboxWhole, Kind::Mdbox].map(|kind| mdbox(&kind, mails, accounts));
    let options = Options::new(binary)
        .text("cold", "retention", "0s")
        .text("cold", "grace", "0s");
    let mut daemon = Daemon::start(options);
    let mut lmtp = daemon.lmtp();
    for (number, mail) in mails.iter().enumerate() {
        lmtp.deliver("sender@example.org", &user(number, mails, accounts), mail);
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
        mdbox: whole,
        mdbox_single: single,
        delivered,
        compacted: parts(&daemon),
        messages: mails.len(),
    }
}

fn user(number: usize, mails: &[Vec<u8>], accounts: usize) -> String {
    format!("u{}@example.org", number * accounts / mails.len())
}

fn mdbox(kind: &Kind, mails: &[Vec<u8>], accounts: usize) -> Mdbox {
    let dovecot = Dovecot::start(kind);
    let mut lmtp = dovecot.lmtp();
    for (number, mail) in mails.iter().enumerate() {
        lmtp.deliver("sender@example.org", &user(number, mails, accounts), mail);
    }
    drop(lmtp);
    let delivered = below(&dovecot.dir().join("mail"));
    for number in 0..accounts {
        let mut imap = dovecot.imap(&format!("u{number}@example.org"));
        imap.command("SELECT INBOX").ok();
        imap.command(&format!("FETCH 1:* ({LISTED})")).ok();
        imap.command("LOGOUT").ok();
    }
    Mdbox {
        delivered,
        listed: below(&dovecot.dir().join("mail")),
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
        small; \"compacted\" after `compact`, and `snapshot now` and `gc --apply` twice, with retention and grace 0. The last columns are all of it to what \
        Dovecot's mdbox with zstd keeps, and how many MiB that is; \"listed\": after one client asked once for what a list of messages shows ({LISTED}), which \
        Dovecot keeps from then on, and Coldpost has from the beginning; \"single\": with attachments in files of their own (`mail_attachment_dir`), once each.\n\n\
        | accounts | state | bucket, MiB | open journal, MiB | hot tier, MiB | hot, bytes a message | at most | all, MiB | to mdbox, at most | listed | single, listed | as delivered | single |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        machine(),
        whole(number(messages as u64)),
    );
    for kept in kept {
        for (state, parts, is_compacted) in [
            ("as delivered", kept.delivered, false),
            ("compacted", kept.compacted, true),
        ] {
            let [bucket, open, hot] = parts;
            let all = bucket + open + hot;
            let (whole, single) = (&kept.mdbox, &kept.mdbox_single);
            let of = [
                whole.listed,
                single.listed,
                whole.delivered,
                single.delivered,
            ];
            let of = of.map(|mdbox| format!("{:.2} (of {:.2})", mib(all) / mib(mdbox), mib(mdbox)));
            let _ = writeln!(
                table,
                "| {} | {state} | {:.2} | {:.2} | {:.2} | {:.0} | {HOT_MAX} | {:.2} | {:.2} | {} |",
                kept.accounts,
                mib(bucket),
                mib(open),
                mib(hot),
                number(hot) / kept.messages as f64,
                mib(all),
                together_max(kept.accounts, is_compacted),
                of.join(" | "),
            );
        }
    }
    table
}
