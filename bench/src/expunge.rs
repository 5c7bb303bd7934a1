//! A mailbox of very many messages is emptied: what that takes, step by step to the last byte in the store, and what other accounts notice of it.
//!
//! Promises: the other account's clients work at a fixed rate through every step; the store's requests are those of the daemon, whoever asked.

use std::time::{Duration, Instant};

use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::place::files;
use coldpost_testkit::tool::{NPM, TAR};
use coldpost_testkit::{Daemon, Must, Options, have, http, usage, wait};
use serde_json::Value;

use crate::measure::Took;
use crate::operator::{self, Requests};
use crate::paced::{self, Stream};
use crate::page::{machine, mib, number, whole};
use crate::{Expunge, binary, page, synthetic};

/// Whose mailbox is emptied.
const USER: &str = "large@example.org";
/// Who is not to notice.
const OTHER: &str = "other@example.org";
/// Messages that the other account has.
const OTHER_MESSAGES: usize = 100;
/// Between two operations of each of the other account's clients.
const EVERY: Duration = Duration::from_millis(5);
/// How long the other account is measured with nothing beside it.
const QUIET: Duration = Duration::from_secs(5);
/// Longest wait for a command, and for upkeep.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// One step and what was seen of it.
struct Step {
    name: &'static str,
    seconds: f64,
    requests: Requests,
    others: Vec<(&'static str, Took)>,
    peak: u64,
}

/// The other account's clients.
struct Others {
    idler: Imap,
    reader: Imap,
    sender: Lmtp,
    mail: Vec<u8>,
}

impl Others {
    fn open(daemon: &Daemon) -> Others {
        synthetic::fill(daemon.lmtp_addr(), OTHER, 0, OTHER_MESSAGES);
        let session = || {
            let mut imap = daemon.imap(OTHER);
            imap.command("SELECT INBOX").ok();
            imap
        };
        Others {
            idler: session(),
            reader: session(),
            sender: daemon.lmtp(),
            mail: synthetic::message(OTHER_MESSAGES),
        }
    }

    fn streams(&mut self) -> Vec<Stream<'_>> {
        let Others {
            idler,
            reader,
            sender,
            mail,
        } = self;
        let flags = format!("FETCH 1:{OTHER_MESSAGES} (FLAGS)");
        vec![
            Stream::new("NOOP", EVERY, || {
                idler.count("NOOP").must("NOOP");
            }),
            Stream::new("FETCH", EVERY, move || {
                reader.count(&flags).must("FETCH");
            }),
            Stream::new("LMTP", EVERY, || {
                sender.deliver("sender@example.org", OTHER, mail);
            }),
        ]
    }
}

/// Steps that were measured, on a daemon.
struct Steps<'a> {
    daemon: &'a Daemon,
    others: Others,
    done: Vec<Step>,
}

impl Steps<'_> {
    fn step(&mut self, name: &'static str, work: impl FnOnce()) {
        let before = Requests::of(self.daemon);
        let (seconds, others) = paced::meanwhile(self.others.streams(), || {
            let begun = Instant::now();
            work();
            begun.elapsed().as_secs_f64()
        });
        let step = Step {
            name,
            seconds,
            requests: Requests::of(self.daemon).since(&before),
            others,
            peak: usage::memory(self.daemon.pid()).peak,
        };
        eprintln!("{}", row(&step).trim_end());
        eprintln!("{}", operator::slow_ones(self.daemon));
        self.done.push(step);
    }
}

/// Measures and prints the table.
///
/// # Panics
/// When a tool is missing, the daemon fails, or something is left.
pub(crate) fn run(arguments: &Expunge) {
    if !have(&[NPM, TAR]) {
        return;
    }
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let options = Options::new(&binary)
        .text("cold", "retention", "0s")
        .text("cold", "grace", "0s");
    let daemon = Daemon::start(options);
    let begun = Instant::now();
    synthetic::fill(daemon.lmtp_addr(), USER, 0, arguments.messages);
    let filled = begun.elapsed();
    eprintln!("filled in {:.0} s", filled.as_secs_f64());
    let before = usage::files(&daemon.data_dir().join("cold"));
    // The other account's mail comes later: it would share a block with what goes.
    let begun = Instant::now();
    daemon.ok(&["compact"]);
    let packed = begun.elapsed();
    let blocks = blocks_of(&daemon);
    let compacted = usage::files(&daemon.data_dir().join("cold"));
    let mut steps = Steps {
        daemon: &daemon,
        others: Others::open(&daemon),
        done: Vec::new(),
    };
    steps.step("nothing", || wait::pause(QUIET));
    empty(&mut steps, arguments.messages);
    steps.step("purge, by itself", || purged(&daemon, &blocks));
    steps.step("`snapshot now`", || {
        daemon.ok(&["snapshot", "now"]);
    });
    steps.step("`gc --apply`", || {
        daemon.ok(&["gc", "--apply"]);
    });
    let left = usage::files(&daemon.data_dir().join("cold"));
    let text = table(
        &steps.done,
        arguments,
        [filled, packed],
        [before, compacted, left],
    );
    let command = match arguments.messages {
        200_000 => "expunge".to_owned(),
        messages => format!("expunge --messages {messages}"),
    };
    page::give(arguments.everywhere.write.as_deref(), &command, &text);
}

/// As a client does it.
fn empty(steps: &mut Steps<'_>, messages: usize) {
    let mut imap = steps.daemon.imap(USER);
    imap.set_patience(PATIENCE).must("a longer patience");
    let there = imap.command("SELECT INBOX").ok().number(" EXISTS");
    assert_eq!(there, Some(messages as u64), "messages of {USER}");
    steps.step("UID STORE 1:* +FLAGS (\\Deleted)", || {
        let store = imap.count("UID STORE 1:* +FLAGS (\\Deleted)");
        store.must("STORE");
    });
    steps.step("EXPUNGE", || {
        imap.count("EXPUNGE").must("EXPUNGE");
    });
    let left = imap.command("STATUS INBOX (MESSAGES)").ok();
    let is_empty = left
        .lines("STATUS")
        .iter()
        .any(|line| line.ends_with("(MESSAGES 0)"));
    assert!(is_empty, "{left:?}");
}

/// Keys of all blocks in the store.
fn blocks_of(daemon: &Daemon) -> Vec<String> {
    let cold = daemon.data_dir().join("cold");
    let blocks = files(&cold.join("blocks"));
    let key = |path: &std::path::PathBuf| {
        let key = path.strip_prefix(&cold).must("a key of the store");
        key.display().to_string()
    };
    blocks.iter().map(key).collect()
}

/// Waits until nothing refers to these blocks any more.
fn purged(daemon: &Daemon, blocks: &[String]) {
    assert!(!blocks.is_empty(), "blocks in the store");
    wait::until("all that was expunged is purged", PATIENCE, || {
        wait::pause(Duration::from_millis(100));
        let reply = http::get(daemon.http_addr(), "/admin/gc", Some(&daemon.token()));
        let garbage: Value = serde_json::from_slice(&reply.must("/admin/gc").body).must("JSON");
        let dead = garbage["objects"].as_array().must("objects");
        let is_dead = |block: &String| dead.iter().any(|o| o["key"] == block.as_str());
        blocks.iter().all(is_dead)
    });
}

fn table(steps: &[Step], arguments: &Expunge, before: [Duration; 2], cold: [u64; 3]) -> String {
    let mut text = format!(
        "{}; {} messages with headers of the corpus and the beginnings of its bodies in one mailbox (delivered in {:.0} s, compacted in {:.0} s), object store on the same disk, `retention` and \
        `grace` 0; one run. Another account's clients meanwhile: a NOOP, a FETCH of the flags of {OTHER_MESSAGES} messages and a delivery by LMTP, each once in {} ms; a pause is \
        the longest that one of them took. Promised is none over 50 ms. Requests to the store are those of the daemon, whoever asked. The store had {:.1} MiB, after compaction \
        {:.1} MiB, at the end {:.1} MiB.\n\n\
        | step | seconds | requests to the store | longest pause: NOOP | FETCH | LMTP | p99: NOOP | FETCH | LMTP | daemon's largest memory (VmHWM) |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        machine(),
        whole(number(arguments.messages as u64)),
        before[0].as_secs_f64(),
        before[1].as_secs_f64(),
        EVERY.as_millis(),
        mib(cold[0]),
        mib(cold[1]),
        mib(cold[2]),
    );
    steps.iter().for_each(|step| text.push_str(&row(step)));
    text
}

fn row(step: &Step) -> String {
    let of = |value: fn(&Took) -> f64| {
        let each = step.others.iter();
        let words: Vec<String> = each
            .map(|(_, took)| format!("{:.1} ms", value(took)))
            .collect();
        words.join(" | ")
    };
    format!(
        "| {} | {:.2} | {} | {} | {} | {:.0} MiB |\n",
        step.name,
        step.seconds,
        step.requests.words(),
        of(Took::longest),
        of(Took::p99),
        mib(step.peak)
    )
}
