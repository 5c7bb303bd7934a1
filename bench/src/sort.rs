//! SORT, THREAD and a page of each by one user, the first time and again, beside Dovecot on a Maildir.

use std::time::Instant;

use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::tool::{DOVECOT, NPM, ROOT, TAR};
use coldpost_testkit::{Must, have};

use crate::measure::{Took, median};
use crate::page::{machine, number, whole};
use crate::peer::Peer;
use crate::{Sort, binary, mails, page};

/// Whose mail it is.
const USER: &str = "reader@example.org";
/// How often each command is asked again.
const AGAIN: usize = 50;
const COMMANDS: &[&str] = &[
    "SORT (ARRIVAL) UTF-8 ALL",
    "SORT (DATE) UTF-8 ALL",
    "SORT (SUBJECT) UTF-8 ALL",
    "SORT (REVERSE FROM DATE) UTF-8 ALL",
    "UID SORT RETURN (PARTIAL 1:50) (SIZE) UTF-8 ALL",
    "THREAD ORDEREDSUBJECT UTF-8 ALL",
    "THREAD REFS UTF-8 ALL",
    "THREAD REFERENCES UTF-8 ALL",
];
const SERVERS: [Peer; 2] = [Peer::Coldpost, Peer::Maildir];

/// Milliseconds of the first time, and what those again took, of each command.
type Asked = Vec<(f64, Took)>;

/// Measures and prints the table.
///
/// # Panics
/// When a tool is missing or a server fails.
pub(crate) fn run(arguments: &Sort) {
    if !have(&[NPM, TAR, DOVECOT, ROOT]) {
        return;
    }
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let corpus = mails::first(usize::MAX);
    let mut runs: [Vec<Asked>; 2] = Default::default();
    for run in 0..arguments.runs {
        for (server, asked) in SERVERS.iter().zip(&mut runs) {
            eprintln!("{}, run {}", server.title(), run + 1);
            let running = server.start(&binary);
            let mut lmtp = Lmtp::connect(running.lmtp);
            for mail in corpus.iter().cycle().take(arguments.messages) {
                lmtp.deliver("sender@example.org", USER, mail);
            }
            let mut imap = Imap::login(running.imap, USER, &running.password);
            imap.command("SELECT INBOX").ok();
            asked.push(
                COMMANDS
                    .iter()
                    .map(|command| ask(&mut imap, command))
                    .collect(),
            );
        }
    }
    let text = table(&runs, arguments);
    page::give(arguments.everywhere.write.as_deref(), "sort", &text);
}

fn ask(imap: &mut Imap, command: &str) -> (f64, Took) {
    let mut once = |_| {
        let begun = Instant::now();
        imap.count(command).must(command);
        begun.elapsed()
    };
    let first = once(0).as_secs_f64() * 1e3;
    let again: Vec<_> = (0..AGAIN).map(once).collect();
    (first, Took::from(again))
}

fn table(runs: &[Vec<Asked>; 2], arguments: &Sort) -> String {
    let mut text = format!(
        "{}; one user, {} messages, just delivered; each command once, then {AGAIN} times again, in this order; {} runs, medians.\n\n\
        | | Coldpost, first | again, p50 | Dovecot maildir, first | again, p50 |\n| --- | --- | --- | --- | --- |\n",
        machine(),
        whole(number(arguments.messages as u64)),
        arguments.runs
    );
    for (at, command) in COMMANDS.iter().enumerate() {
        text.push_str(&format!("| `{command}` |"));
        for server in runs {
            let of =
                |value: fn(&(f64, Took)) -> f64| median(server.iter().map(|run| value(&run[at])));
            let (first, again) = (of(|asked| asked.0), of(|asked| asked.1.p50()));
            text.push_str(&format!(" {first:.1} ms | {again:.2} ms |"));
        }
        text.push('\n');
    }
    text
}
