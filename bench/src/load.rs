//! The load: what each row of the table does to a server.

use coldpost_testkit::Must;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Lmtp;

use crate::measure::Sample;
use crate::peer::Running;

/// Who gets all of the corpus.
const USER: &str = "reader@example.org";
/// Messages delivered over one connection, to somebody else.
const ONE_BY_ONE: usize = 1_000;
/// Users among whom deliveries are spread.
const USERS: usize = 100;
/// Bodies fetched one at a time.
const RANDOM_BODIES: usize = 1_000;
/// Messages copied.
const COPIED: usize = 1_000;
/// Repetitions of a search.
const SEARCHES: usize = 5;

/// A row: its name and one sample.
pub(crate) type Row = (&'static str, Sample);

/// Runs everything once, on a server that has no mail yet.
pub(crate) fn run(server: &Running, mails: &[Vec<u8>]) -> Vec<Row> {
    let mut rows = deliveries(server, mails);
    rows.extend(reading(server, mails.len()));
    rows.extend(changing(server, mails.len()));
    rows
}

fn deliveries(server: &Running, mails: &[Vec<u8>]) -> Vec<Row> {
    let few = &mails[..ONE_BY_ONE.min(mails.len())];
    let one = Sample::take(few.len(), || deliver(server, "single@example.org", few));
    let eight = Sample::take(mails.len(), || {
        std::thread::scope(|scope| {
            for part in mails.chunks(mails.len().div_ceil(8)) {
                scope.spawn(move || deliver(server, USER, part));
            }
        });
    });
    // Dovecot's mdbox fails when two connections bring a user the first mail together.
    deliver_around(server, 0, &mails[..USERS.min(mails.len())]);
    let many = Sample::take(mails.len(), || {
        std::thread::scope(|scope| {
            for (first, part) in mails.chunks(mails.len().div_ceil(8)).enumerate() {
                scope.spawn(move || deliver_around(server, first, part));
            }
        });
    });
    vec![
        ("LMTP, 1 connection", one),
        ("LMTP, 8 connections", eight),
        ("LMTP, 8 connections, 100 users", many),
    ]
}

/// To one user after the other, so that all connections meet in the same mailboxes.
fn deliver_around(server: &Running, first: usize, mails: &[Vec<u8>]) {
    let mut lmtp = Lmtp::connect(server.lmtp);
    for (number, mail) in (first..).zip(mails) {
        let user = format!("user{}@example.org", number % USERS);
        lmtp.deliver("sender@example.org", &user, mail);
    }
}

fn deliver(server: &Running, user: &str, mails: &[Vec<u8>]) {
    let mut lmtp = Lmtp::connect(server.lmtp);
    for mail in mails {
        lmtp.deliver("sender@example.org", user, mail);
    }
}

fn reading(server: &Running, count: usize) -> Vec<Row> {
    let mut imap = session(server);
    let rows = "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)";
    let fields =
        "FETCH 1:* BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID REFERENCES)]";
    let mut run = |name, command: &str| (name, Sample::take(count, || ask(&mut imap, command)));
    let mut found = vec![
        run("FETCH envelope, structure, size: first", rows),
        run("FETCH envelope, structure, size: again", rows),
        run("FETCH 7 header fields", fields),
        run("FETCH FLAGS", "FETCH 1:* (UID FLAGS)"),
    ];
    let mut dice = Dice::new(7);
    let random = Sample::take(RANDOM_BODIES, || {
        (0..RANDOM_BODIES).for_each(|_| {
            ask(
                &mut imap,
                &format!("FETCH {} BODY.PEEK[]", dice.index(count) + 1),
            )
        });
    });
    found.push(("FETCH random bodies, one at a time", random));
    let all = Sample::take(count, || ask(&mut imap, "FETCH 1:* BODY.PEEK[]"));
    found.push(("FETCH all bodies", all));
    for (name, command) in [
        ("SEARCH SUBJECT", "SEARCH SUBJECT \"linux\""),
        ("SEARCH FROM", "SEARCH FROM \"redhat\""),
    ] {
        let sample = Sample::take(count * SEARCHES, || {
            (0..SEARCHES).for_each(|_| ask(&mut imap, command))
        });
        found.push((name, sample));
    }
    found
}

fn changing(server: &Running, count: usize) -> Vec<Row> {
    let mut imap = session(server);
    imap.command("CREATE Copies").ok();
    let copied = COPIED.min(count);
    let store = Sample::take(count, || ask(&mut imap, "STORE 1:* +FLAGS.SILENT (\\Seen)"));
    let copy = Sample::take(copied, || {
        ask(&mut imap, &format!("COPY 1:{copied} Copies"))
    });
    vec![("STORE +FLAGS, all", store), ("COPY 1,000", copy)]
}

fn session(server: &Running) -> Imap {
    let mut imap = Imap::login(server.imap, USER, &server.password);
    imap.command("SELECT INBOX").ok();
    imap
}

fn ask(imap: &mut Imap, command: &str) {
    imap.count(command).must("a measured command");
}
