//! A byte that changed in what was promised: named, refused, never cut; put back, everything is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use coldpost_testkit::process::Process;
use coldpost_testkit::{Daemon, Must, Options, place, wait};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const USER: &str = "ann@example.org";

fn open_segment(data: &Path) -> PathBuf {
    let entries = fs::read_dir(data.join("shards/0001/journal")).must("listing the journal");
    let mut paths = entries.map(|entry| entry.must("an entry").path());
    paths
        .find(|path| path.extension().is_some_and(|e| e == "open"))
        .must("an open segment")
}

/// What `serve` says when it does not start.
fn refusal(daemon: &Daemon) -> String {
    let dir = place::scratch("damaged");
    let log = dir.path().join("log");
    let mut command: Command = daemon.command("serve");
    let mut process = Process::start("serve on damage", &mut command, &log);
    wait::until("serve to refuse", Duration::from_secs(30), || {
        !process.alive()
    });
    let status = process.stop().must("its status");
    let text = fs::read_to_string(&log).must("its output");
    assert!(!status.success(), "{text}");
    text
}

#[test]
fn a_flipped_byte_in_the_last_acknowledged_mail_of_an_idle_store_is_named_and_refused() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    let mail = b"Subject: the last one\r\n\r\nIt was promised.\r\n";
    daemon.lmtp().deliver("b@example.org", USER, mail);
    let path = open_segment(daemon.data_dir());
    let acknowledged = fs::metadata(&path).must("its length").len();
    // Within 5 s of its 250 the journal states on disk that it was promised.
    wait::until("the idle mark", Duration::from_secs(5), || {
        fs::metadata(&path).must("its length").len() > acknowledged
    });
    daemon.kill();
    let whole = fs::read(&path).must("the segment");
    let end = usize::try_from(acknowledged).must("a length");
    // In its mail, in its meta, and far before it.
    for at in [end - 3, end - 200, 200] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        fs::write(&path, &damaged).must("flipping a byte");
        let text = refusal(&daemon);
        let name = path
            .file_name()
            .must("a name")
            .to_string_lossy()
            .into_owned();
        assert!(
            text.contains(&name) && text.contains("byte"),
            "byte {at}: {text}"
        );
        assert!(
            fs::read(&path).must("the segment") == damaged,
            "byte {at}: the file was changed"
        );
        let verify = daemon.command("verify").output().must("running verify");
        let said = String::from_utf8_lossy(&[verify.stdout, verify.stderr].concat()).into_owned();
        assert!(
            !verify.status.success() && said.contains(&name),
            "byte {at}: verify says {said}"
        );
    }
    fs::write(&path, &whole).must("putting it back");
    daemon.restart();
    let mut imap = daemon.imap(USER);
    imap.command("EXAMINE INBOX").ok();
    let body = imap.fetch("FETCH 1 BODY.PEEK[]")[0].bytes("BODY[]");
    assert!(body.ends_with(mail));
}

#[test]
fn a_torn_batch_behind_what_was_promised_is_cut_without_a_word() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    daemon
        .lmtp()
        .deliver("b@example.org", USER, b"Subject: 1\r\n\r\none\r\n");
    let path = open_segment(daemon.data_dir());
    let acknowledged = fs::metadata(&path).must("its length").len();
    wait::until("the idle mark", Duration::from_secs(5), || {
        fs::metadata(&path).must("its length").len() > acknowledged
    });
    daemon.kill();
    let whole = fs::read(&path).must("the segment");
    for tail in [
        &whole[200..260],
        &[0; 5000],
        b"\x51\x2a\x4d\x18\x30\0\0\0torn",
    ] {
        fs::write(&path, [&whole, tail].concat()).must("tearing");
        daemon.restart();
        let mut imap = daemon.imap(USER);
        assert_eq!(imap.command("EXAMINE INBOX").ok().number("EXISTS"), Some(1));
        daemon.kill();
    }
}
