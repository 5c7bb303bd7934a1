//! Stores that are compared with what refers to them, what is done to them, and what `verify --bucket` says.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::made_mail::dense;
use coldpost_testkit::place::files;
use coldpost_testkit::{Daemon, Must, Options, wait};
use serde_json::Value;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
pub(crate) const USER: &str = "ann@example.org";
/// Messages; some segments of the smallest size.
pub(crate) const MESSAGES: u64 = 60;
/// The last of them have an attachment.
const ATTACHED: u64 = 3;
/// Exit code of a store with damage.
pub(crate) const DAMAGED: i32 = 3;

/// Account, mailbox, UID.
pub(crate) type Victims = BTreeSet<(String, String, u64)>;

/// The message of a number: a few leave the entry as a blob.
pub(crate) fn mail(number: u64) -> Vec<u8> {
    if number + ATTACHED < MESSAGES {
        return dense(number);
    }
    let mut dice = Dice::new(number);
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!(
        "Subject: {number}\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..9_000 {
        let letter = |_| letters[usize::try_from(dice.draw() % 64).must("a small number")];
        text.extend((0..76).map(letter));
        text.extend(b"\r\n");
    }
    text
}

/// With its store in a directory of its own, and the same in a mirror.
pub(crate) fn options(data: &Path, store: &Path, mirror: Option<&Path>) -> Options {
    let url = |path: &Path| format!("file://{}", path.display());
    let options = Options::new(BINARY)
        .data(data)
        .text("journal", "segment_size", "1MiB")
        .text("hot", "local_bodies", "0")
        .text("cold", "url", &url(store));
    match mirror {
        Some(mirror) => options.text("cold", "mirror", &url(mirror)),
        None => options,
    }
}

pub(crate) fn deliver(daemon: &Daemon, numbers: std::ops::Range<u64>) {
    let mut lmtp = daemon.lmtp();
    for number in numbers {
        lmtp.deliver("b@example.org", USER, &mail(number));
    }
}

/// Every sealed file is in the store and evicted.
pub(crate) fn settled(daemon: &Daemon) {
    wait::until("uploads and eviction", Duration::from_secs(60), || {
        let shards = files(&daemon.data_dir().join("shards"));
        let bodies = |path: &PathBuf| {
            let folder = path.parent().and_then(Path::file_name);
            let folder = folder.and_then(|f| f.to_str()).unwrap_or_default();
            ["blobs", "packs", "blocks"].contains(&folder)
                || path.extension().is_some_and(|e| e == "seg")
        };
        !shards.iter().any(bodies)
    });
}

pub(crate) fn run(daemon: &Daemon, command: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = daemon.command(command);
    let output = command.args(arguments).output();
    let output = output.must("running a command");
    assert!(output.status.success(), "{output:?}");
    output
}

/// Mail in segments, blocks, packs and blobs, and a snapshot of it.
pub(crate) fn fill(daemon: &Daemon) {
    deliver(daemon, 0..MESSAGES / 2);
    deliver(daemon, MESSAGES - ATTACHED..MESSAGES - 1);
    run(daemon, "snapshot", &["now"]);
    run(daemon, "compact", &[]);
    deliver(daemon, MESSAGES / 2..MESSAGES - ATTACHED);
    deliver(daemon, MESSAGES - 1..MESSAGES);
    run(daemon, "snapshot", &["now"]);
    settled(daemon);
}

/// The messages that cannot be read; what is read is as it was sent.
pub(crate) fn unreadable(daemon: &Daemon) -> Victims {
    let mut imap = daemon.imap(USER);
    imap.command("EXAMINE INBOX").ok();
    let mut victims = Victims::new();
    let sent: Vec<Vec<u8>> = (0..MESSAGES).map(mail).collect();
    for number in 1..=MESSAGES {
        let fetch = format!("FETCH {number} BODY.PEEK[]");
        let reply = imap.command(&fetch);
        if !reply.is_ok() {
            victims.insert((USER.to_owned(), "INBOX".to_owned(), number));
            continue;
        }
        let fetched = reply.fetches();
        let body = fetched.first().must("a message").bytes("BODY[]");
        assert!(sent.iter().any(|m| body.ends_with(m)), "message {number}");
    }
    victims
}

/// Objects of a folder of a store in a directory, by name.
pub(crate) fn objects(store: &Path, folder: &str) -> Vec<PathBuf> {
    let mut objects = files(&store.join(folder));
    objects.sort();
    objects
}

pub(crate) fn name(store: &Path, object: &Path) -> String {
    let name = object.strip_prefix(store).must("an object of the store");
    name.display().to_string()
}

pub(crate) fn flip(path: &Path) {
    let at = fs::metadata(path).must("its length").len() / 2;
    let file = fs::File::options().read(true).write(true).open(path);
    let file = file.must("opening a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).must("reading a byte");
    file.write_all_at(&[byte[0] ^ 0x20], at)
        .must("flipping a byte");
}

pub(crate) fn truncate(path: &Path) {
    let file = fs::File::options().write(true).open(path);
    let file = file.must("opening a file");
    let bytes = file.metadata().must("its length").len();
    file.set_len(bytes / 2).must("cutting a file");
}

/// What `verify --bucket --json` said.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<Value>,
}

impl Told {
    pub(crate) fn by(daemon: &Daemon, more: &[&str]) -> Told {
        let mut command = daemon.command("verify");
        let output = command.args(["--bucket", "--json"]).args(more).output();
        let output = output.must("running verify");
        let text = String::from_utf8(output.stdout).must("text");
        let lines = text.lines().map(serde_json::from_str);
        Told {
            code: output.status.code(),
            lines: lines.collect::<Result<_, _>>().must("lines of JSON"),
        }
    }

    /// Names of objects that an event is about.
    pub(crate) fn of(&self, event: &str) -> BTreeSet<String> {
        let lines = self.lines.iter().filter(|line| line["event"] == event);
        let name = |line: &Value| line["object"].as_str().must("an object").to_owned();
        lines.map(name).collect()
    }

    /// One that is named twice fails.
    pub(crate) fn victims(&self) -> Victims {
        let mut victims = Victims::new();
        for line in self.lines.iter().filter(|line| line["event"] == "damage") {
            for victim in line["victims"].as_array().must("victims") {
                let text = |key: &str| victim[key].as_str().must("a text").to_owned();
                let uid = victim["uid"].as_u64().must("a UID");
                let news = victims.insert((text("account"), text("mailbox"), uid));
                assert!(news, "named twice: {self:#?}");
            }
        }
        victims
    }

    /// A number of the last line.
    pub(crate) fn count(&self, key: &str) -> u64 {
        let end = self.lines.last().must("an end");
        assert_eq!(end["event"], "bucket", "{self:#?}");
        end[key].as_u64().must("a count")
    }

    /// Nothing is wrong, strange, or not looked at.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        assert_eq!(self.code, Some(0), "{self:#?}");
        for key in [
            "damaged",
            "victims",
            "unchecked",
            "unknown",
            "foreign",
            "unconfirmed",
        ] {
            assert_eq!(self.count(key), 0, "{key}: {self:#?}");
        }
    }
}
