//! Stores that `verify` is asked about, what is done to them, and what it says.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::place::files;
use coldpost_testkit::{Daemon, Must, Options, wait};
use serde_json::Value;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
pub(crate) const USERS: [&str; 2] = ["ann@example.org", "ben@example.org"];
pub(crate) const MAILBOXES: [&str; 2] = ["INBOX", "Kept"];
/// Messages each user gets; several segments of the smallest size.
pub(crate) const MAILS: u64 = 40;
/// Exit code of a store with damage.
pub(crate) const DAMAGED: i32 = 3;

/// Account, mailbox, UID, date: what somebody needs who must tell the user.
pub(crate) type Victims = BTreeSet<(String, String, u32, String)>;

pub(crate) fn mail(number: u64) -> Vec<u8> {
    let mut dice = Dice::new(number);
    let mut text = format!("From: b@example.org\r\nSubject: {number}\r\n\r\n");
    for _ in 0..2000 {
        let line = [dice.draw(), dice.draw(), dice.draw()].map(|n| format!("{n:016x}"));
        text.push_str(&format!("{}\r\n", line.concat()));
    }
    text.into_bytes()
}

/// A store that has everything twice: local segments, and objects of their own in the store.
pub(crate) fn with_mail_in_both_places() -> Daemon {
    let mut daemon = Daemon::start(Options::new(BINARY).text("journal", "segment_size", "1MiB"));
    for user in USERS {
        let mut imap = daemon.imap(user);
        imap.command("CREATE Kept").ok();
        for number in 0..MAILS {
            let date = format!("\"{:02}-Jul-2024 10:11:12 +0200\"", number % 28 + 1);
            imap.append("INBOX", &date, &mail(number));
        }
        imap.command("SELECT INBOX").ok();
        // A message in two mailboxes is two victims, of one damage.
        imap.command("COPY 1:* Kept").ok();
    }
    daemon.restart();
    wait::until("all segments in the store", Duration::from_secs(60), || {
        segments(&daemon).len() >= 2
            && daemon.metric("coldpost_uploads_waiting").unwrap_or(0.0) == 0.0
            && segments(&daemon)
                .iter()
                .all(|path| object_of(&daemon, path).is_some())
    });
    for path in segments(&daemon) {
        unlink(&path);
    }
    daemon
}

/// The sealed segments of mail on local disk.
pub(crate) fn segments(daemon: &Daemon) -> Vec<PathBuf> {
    let mut files = files(&daemon.data_dir().join("shards/0001/journal"));
    files.retain(|path| path.extension().is_some_and(|e| e == "seg"));
    files
}

/// The same bytes in the store.
pub(crate) fn object_of(daemon: &Daemon, segment: &Path) -> Option<PathBuf> {
    let bytes = fs::read(segment).must("the segment");
    let mut objects = files(&daemon.data_dir().join("cold")).into_iter();
    objects.find(|path| fs::read(path).is_ok_and(|object| object == bytes))
}

/// Gives a file that shares its bytes with the store's object bytes of its own.
pub(crate) fn unlink(path: &Path) {
    let bytes = fs::read(path).must("a file");
    fs::remove_file(path).must("removing it");
    fs::write(path, bytes).must("writing it again");
}

pub(crate) fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path);
    let file = file.must("opening a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).must("reading a byte");
    file.write_all_at(&[byte[0] ^ 0x20], at)
        .must("flipping a byte");
}

/// Who cannot be read over IMAP.
pub(crate) fn unreadable(daemon: &Daemon) -> Victims {
    let mut victims = Victims::new();
    for user in USERS {
        let mut imap = daemon.imap(user);
        for mailbox in MAILBOXES {
            imap.command(&format!("EXAMINE {mailbox}")).ok();
            for number in 1..=MAILS {
                let reply = imap.command(&format!("FETCH {number} BODY.PEEK[]"));
                if !reply.is_ok() {
                    let day = (number - 1) % 28 + 1;
                    let date = format!("2024-07-{day:02}T10:11:12+02:00");
                    let uid = u32::try_from(number).must("a UID");
                    victims.insert((user.to_owned(), mailbox.to_owned(), uid, date));
                }
            }
        }
    }
    victims
}

pub(crate) fn verify(daemon: &Daemon, arguments: &[&str]) -> Output {
    let mut command = daemon.command("verify");
    command.args(arguments).output().must("running verify")
}

/// The lines of `verify --json`.
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<Value>,
}

impl Told {
    pub(crate) fn by(daemon: &Daemon) -> Told {
        let output = verify(daemon, &["--json"]);
        let text = String::from_utf8(output.stdout).must("text");
        let lines = text.lines().map(serde_json::from_str);
        Told {
            code: output.status.code(),
            lines: lines.collect::<Result<_, _>>().must("lines of JSON"),
        }
    }

    pub(crate) fn of<'a>(&'a self, event: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().filter(move |line| line["event"] == event)
    }

    /// Objects that are called damaged.
    pub(crate) fn objects(&self) -> BTreeSet<String> {
        let name = |line: &Value| line["object"].as_str().must("an object").to_owned();
        self.of("damage").map(name).collect()
    }

    /// One that is named twice fails.
    pub(crate) fn victims(&self) -> Victims {
        let mut victims = Victims::new();
        for line in self.of("damage") {
            for victim in line["victims"].as_array().must("victims") {
                let text = |key: &str| victim[key].as_str().must("a text").to_owned();
                let uid = u32::try_from(victim["uid"].as_u64().must("a UID")).must("32 bits");
                let victim = (text("account"), text("mailbox"), uid, text("internal_date"));
                let news = victims.insert(victim.clone());
                assert!(news, "{victim:?} is named twice: {:#?}", self.lines);
            }
        }
        assert_eq!(self.count("victims"), victims.len() as u64);
        victims
    }

    /// A number of the summary.
    pub(crate) fn count(&self, key: &str) -> u64 {
        let summary = self.lines.last().must("a summary");
        summary[key].as_u64().must("a count")
    }
}

/// What `verify --json` says of a store all of whose mail can be looked at: damaged objects and victims.
pub(crate) fn said(daemon: &Daemon) -> (BTreeSet<String>, Victims) {
    let told = Told::by(daemon);
    let code = match told.count("damaged") {
        0 => 0,
        _ => DAMAGED,
    };
    assert_eq!(told.code, Some(code), "{:#?}", told.lines);
    assert_eq!(told.count("messages"), 2 * MAILS, "{:#?}", told.lines);
    assert_eq!(told.count("unchecked"), 0, "{:#?}", told.lines);
    (told.objects(), told.victims())
}

/// Objects that `verify` calls damaged, without the daemon, which does not stop them from being what they were.
pub(crate) fn damaged(daemon: &Daemon) -> BTreeSet<String> {
    let data = daemon.data_dir();
    let hot = |shard: &str| fs::read(data.join("shards").join(shard).join("hot.redb")).ok();
    let before = [hot("0000"), hot("0001")];
    let (objects, victims) = said(daemon);
    assert_eq!(victims, Victims::new());
    assert!(
        before == [hot("0000"), hot("0001")],
        "verify changed a hot tier"
    );
    objects
}
