//! The most memory that the daemon ever takes (VmHWM), phase by phase: caches full first, then the largest messages, several at once.

use std::time::Instant;

use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::tool::{NPM, TAR};
use coldpost_testkit::{Daemon, Must, Options, corpus, have, usage};

use crate::page::{machine, mib, number, whole};
use crate::synthetic::with_attachment;
use crate::{Memory, binary, page};

/// Octets of a large message: the daemon's default bound.
const LARGE: usize = 50 << 20;
/// Sessions at once.
const AT_ONCE: usize = 8;
/// Whose mail fills the caches.
const READER: &str = "reader@example.org";
/// Who gets the large messages.
const USER: &str = "large@example.org";

/// Memory after each phase, of one run.
type Phases = Vec<(&'static str, f64)>;

/// Measures and prints the table.
///
/// # Panics
/// When a tool is missing or the daemon fails.
pub(crate) fn run(arguments: &Memory) {
    if !have(&[NPM, TAR]) {
        return;
    }
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let runs: Vec<Phases> = (0..arguments.runs)
        .map(|run| {
            eprintln!("run {} of {}", run + 1, arguments.runs);
            let daemon = Daemon::start(Options::new(&binary));
            phases(&daemon, arguments.messages)
        })
        .collect();
    let text = table(&runs, arguments);
    page::give(arguments.everywhere.write.as_deref(), "memory", &text);
}

fn phases(daemon: &Daemon, messages: usize) -> Phases {
    let mut found = Vec::new();
    let mut phase = |name: &'static str, work: &dyn Fn()| {
        let begun = Instant::now();
        work();
        let peak = mib(usage::memory(daemon.pid()).peak);
        eprintln!(
            "{name}: {peak:.0} MiB, {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        found.push((name, peak));
    };
    phase("started", &|| ());
    phase(
        "caches filled: mail delivered, listed, fetched, searched",
        &|| fill(daemon, messages),
    );
    phase("a message of 50 MiB by LMTP", &|| deliver(daemon, 0));
    phase("8 at once by LMTP", &|| at_once(|n| deliver(daemon, n + 1)));
    phase("one by APPEND", &|| append(daemon, 100));
    phase("8 at once by APPEND", &|| {
        at_once(|n| append(daemon, n + 101))
    });
    phase("one fetched whole by 8 sessions at once", &|| {
        at_once(|_| fetch(daemon, "1"))
    });
    phase("8 of them fetched whole by 8 sessions at once", &|| {
        at_once(|n| fetch(daemon, &(n + 1).to_string()))
    });
    phase("8 of them searched by 8 sessions at once", &|| {
        at_once(|n| {
            let search = format!("SEARCH {} TEXT \"nowhere to be found\"", n + 1);
            ask(&mut session(daemon, USER), &search);
        });
    });
    phase("all of it once more, together", &|| {
        std::thread::scope(|scope| {
            for number in 0..AT_ONCE as u64 {
                scope.spawn(move || deliver(daemon, number + 200));
                scope.spawn(move || append(daemon, number + 300));
                scope.spawn(move || fetch(daemon, &(number + 1).to_string()));
            }
            scope.spawn(|| {
                ask(
                    &mut session(daemon, READER),
                    "SEARCH TEXT \"nowhere to be found\"",
                )
            });
        });
    });
    found
}

fn fill(daemon: &Daemon, messages: usize) {
    let mails = corpus::spam_assassin();
    let mails = &mails[..messages.min(mails.len())];
    std::thread::scope(|scope| {
        for part in mails.chunks(mails.len().div_ceil(AT_ONCE)) {
            scope.spawn(move || {
                let mut lmtp = daemon.lmtp();
                for (_, mail) in part {
                    lmtp.deliver("sender@example.org", READER, &corpus::crlf(mail));
                }
            });
        }
    });
    at_once(|_| {
        let mut imap = session(daemon, READER);
        for command in [
            "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)",
            "FETCH 1:* BODY.PEEK[]",
            "SEARCH TEXT \"nowhere to be found\"",
            "SEARCH SUBJECT \"linux\"",
        ] {
            ask(&mut imap, command);
        }
    });
}

fn deliver(daemon: &Daemon, number: u64) {
    let mail = with_attachment(number, LARGE);
    Lmtp::connect(daemon.lmtp_addr()).deliver("sender@example.org", USER, &mail);
}

fn append(daemon: &Daemon, number: u64) {
    let mail = with_attachment(number, LARGE);
    daemon.imap(USER).append("INBOX", "", &mail);
}

fn fetch(daemon: &Daemon, which: &str) {
    ask(
        &mut session(daemon, USER),
        &format!("FETCH {which} BODY.PEEK[]"),
    );
}

fn at_once(work: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for number in 0..AT_ONCE as u64 {
            let work = &work;
            scope.spawn(move || work(number));
        }
    });
}

fn session(daemon: &Daemon, user: &str) -> Imap {
    let mut imap = daemon.imap(user);
    imap.command("SELECT INBOX").ok();
    imap
}

fn ask(imap: &mut Imap, command: &str) {
    imap.count(command).must("a command of the load");
}

fn table(runs: &[Phases], arguments: &Memory) -> String {
    let mut text = format!(
        "{}; {} messages of the corpus, then messages of 50 MiB; {} runs. The daemon's largest memory since its start (VmHWM), MiB, \
        highest of the runs.\n\n| after | MiB |\n| --- | --- |\n",
        machine(),
        whole(number(arguments.messages as u64)),
        arguments.runs
    );
    for (at, (name, _)) in runs.first().must("at least one run").iter().enumerate() {
        let highest = runs.iter().map(|run| run[at].1).fold(0.0, f64::max);
        text.push_str(&format!("| {name} | {highest:.0} |\n"));
    }
    text
}
