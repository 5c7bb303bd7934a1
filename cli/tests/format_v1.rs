//! A store as version 1 of the formats wrote it, data directory and bucket: every later version opens it.
//!
//! `COLDPOST_BLESS=1 cargo test -p coldpost-engine a_small_store` makes it anew, which is right only before a release.

use std::path::Path;
use std::process::Command;

use coldpost_testkit::imap::{Fetch, Imap};
use coldpost_testkit::{Daemon, Must, Options, place};
use tempfile::TempDir;

/// Bytes of the kept store, at most.
const FIXTURE_MAX: u64 = 1 << 20;

/// A copy to work on.
fn copy() -> TempDir {
    let kept = place::workspace().join("cli/tests/fixtures/v1");
    let scratch = place::scratch("v1");
    let mut cp = Command::new("cp");
    let copied = cp.arg("-R").arg(&kept).arg(scratch.path()).status();
    assert!(copied.must("copying the fixture").success());
    scratch
}

fn options(dir: &Path) -> Options {
    Options::new(env!("CARGO_BIN_EXE_coldpost"))
        .text(
            "cold",
            "url",
            &format!("file://{}", dir.join("v1/cold").display()),
        )
        .data(&dir.join("v1/data"))
}

fn bytes_below(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir)
        .must("listing")
        .map(|entry| entry.must("an entry"));
    let sizes = entries.map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            bytes_below(&path)
        } else {
            entry.metadata().must("its size").len()
        }
    });
    sizes.sum()
}

fn fetch(imap: &mut Imap, mailbox: &str) -> Vec<Fetch> {
    imap.command(&format!("EXAMINE {mailbox}")).ok();
    imap.fetch("FETCH 1:* (UID FLAGS MODSEQ INTERNALDATE EMAILID THREADID ENVELOPE BODY.PEEK[])")
}

/// UID, flags and subject of each.
fn shown(fetches: &[Fetch]) -> Vec<String> {
    let line = |fetch: &Fetch| {
        let body = String::from_utf8_lossy(&fetch.bytes("BODY[]")).into_owned();
        let subject = body.lines().find_map(|line| line.strip_prefix("Subject: "));
        format!(
            "{} [{}] {}",
            fetch.uid(),
            fetch.flags().join(" "),
            subject.must("a subject")
        )
    };
    fetches.iter().map(line).collect()
}

fn check(daemon: &Daemon) {
    let mut ann = daemon.imap("ann@example.org");
    let inbox = fetch(&mut ann, "INBOX");
    assert_eq!(
        shown(&inbox),
        ["2 [] large", "3 [Later \\Seen] three", "5 [] five"]
    );
    assert!(
        inbox[0].bytes("BODY[]").len() > 700_000,
        "its attachment is there"
    );
    assert!(inbox[0].bytes("BODY[]").ends_with(b"\r\n--b--\r\n"));
    assert_eq!(
        inbox[1].get("INTERNALDATE").must("a date").text(),
        "14-Nov-2023 23:13:20 +0100"
    );
    let projects = fetch(&mut ann, "Projects");
    assert_eq!(
        shown(&projects),
        [
            "1 [] both",
            "2 [] large",
            "3 [Later \\Seen] three",
            "4 [] four"
        ]
    );
    assert_eq!(
        inbox[1].get("EMAILID"),
        projects[2].get("EMAILID"),
        "a copy is the same mail"
    );
    assert!(projects[0].bytes("BODY[]").ends_with(b"To two.\r\n"));
    assert_eq!(shown(&fetch(&mut ann, "Projects/Old")), ["1 [] four"]);
    let list = ann.command("LIST \"\" *").ok().lines("LIST");
    let names: Vec<&str> = list
        .iter()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert!(
        names.contains(&"Projects") && names.contains(&"Projects/Old"),
        "{list:?}"
    );
    assert!(
        !names.contains(&"Work") && !names.contains(&"Gone"),
        "{list:?}"
    );
    assert_eq!(ann.command("LSUB \"\" *").ok().lines("LSUB").len(), 1);
    let mut ben = daemon.imap("ben@example.org");
    assert_eq!(shown(&fetch(&mut ben, "INBOX")), ["1 [] both"]);
}

#[test]
fn a_store_of_version_1_opens_with_all_that_is_in_it() {
    let scratch = copy();
    let size = bytes_below(&scratch.path().join("v1"));
    assert!(
        size < FIXTURE_MAX,
        "the fixture has {size} bytes, at most {FIXTURE_MAX}"
    );
    let mut daemon = Daemon::start(options(scratch.path()));
    check(&daemon);
    // It is worked on, and opens again.
    let mail = b"Subject: six\r\n\r\nNew.\r\n";
    daemon
        .lmtp()
        .deliver("b@example.org", "ben@example.org", mail);
    daemon.kill();
    daemon.restart();
    let mut ben = daemon.imap("ben@example.org");
    assert_eq!(shown(&fetch(&mut ben, "INBOX")), ["1 [] both", "2 [] six"]);
    drop(ben);
    daemon.stop();
    let verify = daemon.command("verify").output().must("running verify");
    assert!(verify.status.success(), "{verify:?}");
}

#[test]
fn the_rows_of_a_store_of_version_1_come_again_from_its_journal_and_bucket() {
    let scratch = copy();
    for shard in ["0000", "0001"] {
        let hot = scratch
            .path()
            .join("v1/data/shards")
            .join(shard)
            .join("hot.redb");
        std::fs::remove_file(hot).must("removing hot.redb");
    }
    check(&Daemon::start(options(scratch.path())));
}
