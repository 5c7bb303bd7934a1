//! SEARCH by one user: substrings of bodies, whole messages and main fields, beside Dovecot that scans and Dovecot with an index of its own.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use coldpost_testkit::dice::Dice;
use coldpost_testkit::dovecot::{Dovecot, Kind, PASSWORD};
use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::tool::{DOVECOT, NPM, ROOT, TAR};
use coldpost_testkit::{Daemon, Must, Options, have};

use crate::measure::{Took, median};
use crate::page::{machine, number, whole};
use crate::{Search, binary, mails, page};

/// Whose mail it is.
const USER: &str = "reader@example.org";
/// Needles that a server without an index is asked for: each takes it a scan of all mail.
const OF_SCANS: usize = 20;
/// How often what is asked again is asked.
const AGAIN: usize = 50;
/// Words of which much mail has some.
const WORDS: &[&str] = &["the", "message", "free", "http", "linux", "you"];
/// Time that an index has to take in what was delivered.
const INDEXED_WITHIN: Duration = Duration::from_secs(600);
const XAPIAN: &str = "mail_plugins = fts fts_xapian
plugin {
  fts = xapian
  fts_xapian = partial=3 full=20
  fts_autoindex = yes
  fts_enforced = yes
}
service indexer-worker {
  vsz_limit = 0
}
";

/// What is asked, and how its times are named.
struct Asked {
    title: &'static str,
    commands: Vec<String>,
    /// Whether a scan of all mail answers it where there is no index.
    is_text: bool,
}

/// The servers, in the order of the columns.
const SERVERS: [&str; 3] = ["Coldpost", "Dovecot maildir", "Dovecot fts-xapian"];

/// Held so that it runs.
enum Server {
    Ours(Box<Daemon>),
    Theirs(Box<Dovecot>),
}

/// Measures and prints the table.
///
/// # Panics
/// When a tool is missing or a server fails.
pub(crate) fn run(arguments: &Search) {
    if !have(&[NPM, TAR, DOVECOT, ROOT]) {
        return;
    }
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let corpus = mails::first(usize::MAX);
    let asked = questions(&corpus, arguments);
    let mut runs: [Vec<Vec<Took>>; 3] = Default::default();
    let mut cold: [Vec<f64>; 3] = Default::default();
    for run in 0..arguments.runs {
        for (at, title) in SERVERS.iter().enumerate().take(arguments.servers) {
            eprintln!("{title}, run {}", run + 1);
            let server = start(at, &binary);
            fill(&server, &corpus, arguments);
            let mut imap = server.imap();
            imap.command("SELECT INBOX").ok();
            runs[at].push(
                asked
                    .iter()
                    .map(|asked| ask(&mut imap, at, asked))
                    .collect(),
            );
            cold[at].push(cold_cache(&mut imap, &asked[0]));
            if let Server::Ours(daemon) = &server {
                eprintln!("{}", figures(daemon));
            }
        }
    }
    let text = table(&asked, &runs, &cold, arguments);
    page::give(arguments.everywhere.write.as_deref(), "search", &text);
}

fn start(at: usize, binary: &std::path::Path) -> Server {
    match at {
        0 => Server::Ours(Box::new(Daemon::start(Options::new(binary)))),
        1 => Server::Theirs(Box::new(Dovecot::start(&Kind::Maildir))),
        _ => Server::Theirs(Box::new(Dovecot::start_with(&Kind::Maildir, XAPIAN))),
    }
}

impl Server {
    fn imap(&self) -> Imap {
        let mut imap = match self {
            Server::Ours(daemon) => Imap::login(daemon.imap_addr(), USER, &daemon.password()),
            Server::Theirs(dovecot) => Imap::login(dovecot.imap_addr(), USER, PASSWORD),
        };
        // A scan of 200,000 messages, and an index that is made for the first search.
        imap.set_patience(INDEXED_WITHIN).must("waiting for longer");
        imap
    }

    fn lmtp(&self) -> Lmtp {
        Lmtp::connect(match self {
            Server::Ours(daemon) => daemon.lmtp_addr(),
            Server::Theirs(dovecot) => dovecot.lmtp_addr(),
        })
    }
}

/// Delivers, and waits until what was delivered is indexed and the files of the index are few.
fn fill(server: &Server, corpus: &[Vec<u8>], arguments: &Search) {
    let mut lmtp = server.lmtp();
    let others = arguments.accounts.saturating_sub(1);
    for (at, mail) in corpus.iter().cycle().take(arguments.messages).enumerate() {
        lmtp.deliver("sender@example.org", USER, mail);
        if others > 0 {
            let other = format!("other{}@example.org", at % others);
            lmtp.deliver("sender@example.org", &other, mail);
        }
    }
    let mut imap = server.imap();
    imap.command("SELECT INBOX").ok();
    imap.command("SEARCH BODY indexed-once").ok();
    if let Server::Ours(_) = server {
        // What waits becomes a file after a minute, and files are merged at the next look.
        std::thread::sleep(Duration::from_secs(arguments.settle));
    }
}

/// What `status` says of the text store.
fn figures(daemon: &Daemon) -> String {
    let status = daemon.ok(&["status"]);
    let lines = status.lines().filter(|line| line.contains(" of shard"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Quoted, so that each server takes it at once.
fn is_quotable(text: &str) -> bool {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    !text.trim().is_empty() && text.bytes().all(is_plain)
}

/// Substrings of 1 to 40 characters of decoded bodies.
fn needles(corpus: &[Vec<u8>], count: usize) -> Vec<String> {
    let mut dice = Dice::new(6);
    let mut needles = Vec::with_capacity(count);
    while needles.len() < count {
        let mail = dice.pick(corpus);
        let text: Vec<char> = mails::body(mail).chars().collect();
        if text.is_empty() {
            continue;
        }
        let (start, long) = (dice.index(text.len()), 1 + dice.index(40));
        let needle: String = text.iter().skip(start).take(long).collect();
        if needle.chars().count() == long && is_quotable(&needle) {
            needles.push(needle);
        }
    }
    needles
}

fn questions(corpus: &[Vec<u8>], arguments: &Search) -> Vec<Asked> {
    let needles = needles(corpus, arguments.needles);
    let key = |key: &str, of: &[String]| {
        of.iter()
            .map(|text| format!("SEARCH {key} \"{text}\""))
            .collect()
    };
    let words: Vec<String> = WORDS.iter().map(|word| (*word).to_owned()).collect();
    let again = |command: &str| vec![command.to_owned(); AGAIN];
    let text = |title, commands| Asked {
        title,
        commands,
        is_text: true,
    };
    let field = |title, commands| Asked {
        title,
        commands,
        is_text: false,
    };
    vec![
        text("BODY, random needles", key("BODY", &needles)),
        text("TEXT, random needles", key("TEXT", &needles)),
        text("BODY, a common word", key("BODY", &words)),
        text("TEXT, a common word", key("TEXT", &words)),
        text(
            "BODY, what is nowhere",
            again("SEARCH BODY \"xyzzy-nowhere-plugh\""),
        ),
        field(
            "SUBJECT, the first time",
            vec!["SEARCH SUBJECT \"linux\"".to_owned()],
        ),
        field("SUBJECT again", again("SEARCH SUBJECT \"linux\"")),
        field(
            "FROM, the first time",
            vec!["SEARCH FROM \"@example\"".to_owned()],
        ),
        field("FROM again", again("SEARCH FROM \"@example\"")),
        field("ALL", again("SEARCH ALL")),
    ]
}

fn ask(imap: &mut Imap, server: usize, asked: &Asked) -> Took {
    let count = match asked.is_text && server == 1 {
        true => OF_SCANS,
        false => asked.commands.len(),
    };
    let each = asked.commands.iter().take(count).map(|command| {
        let begun = Instant::now();
        imap.count(command).must(command);
        begun.elapsed()
    });
    Took::from(each.collect::<Vec<_>>())
}

/// The median of the first needles, each with nothing in the page cache.
fn cold_cache(imap: &mut Imap, asked: &Asked) -> f64 {
    let some = asked.commands.iter().take(OF_SCANS);
    median(some.map(|command| {
        Command::new("sync").status().must("sync");
        fs::write("/proc/sys/vm/drop_caches", "3").must("emptying the page cache");
        let begun = Instant::now();
        imap.count(command).must(command);
        begun.elapsed().as_secs_f64() * 1e3
    }))
}

fn table(
    asked: &[Asked],
    runs: &[Vec<Vec<Took>>; 3],
    cold: &[Vec<f64>; 3],
    arguments: &Search,
) -> String {
    let mut text = format!(
        "{}; one user, {} messages, {} accounts in the shard; {} random needles of 1 to 40 characters out of bodies (servers without an index: {OF_SCANS}); {} runs, medians.\n\n|",
        machine(),
        whole(number(arguments.messages as u64)),
        arguments.accounts,
        arguments.needles,
        arguments.runs
    );
    for title in SERVERS {
        text.push_str(&format!(" | {title}, p50 | p99"));
    }
    text.push_str(&format!(
        " |\n| ---{} |\n",
        " | --- | ---".repeat(SERVERS.len())
    ));
    for (at, asked) in asked.iter().enumerate() {
        text.push_str(&format!("| {} |", asked.title));
        for server in runs {
            let of = |value: fn(&Took) -> f64| median(server.iter().map(|run| value(&run[at])));
            text.push_str(&format!(
                " {:.2} ms | {:.1} ms |",
                of(Took::p50),
                of(Took::p99)
            ));
        }
        text.push('\n');
    }
    text.push_str("| BODY, random needles, page cache empty |");
    for server in cold {
        text.push_str(&format!(" {:.1} ms | |", median(server.iter().copied())));
    }
    text.push('\n');
    text
}
