//! A byte that changed in what was promised: named, refused, never cut; put back, everything is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use coldpost_testkit::process::Process;
use coldpost_testkit::{Daemon, Must, Options, place, wait};
use coldpost_tiers::disk::RealDisk;
use coldpost_tiers::segment::SegmentReader;

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const USER: &str = "ann@example.org";

fn open_segment(data: &Path) -> PathBuf {
    let entries = fs::read_dir(data.join("shards/0001/journal")).must("listing the journal");
    let mut paths = entries.map(|entry| entry.must("an entry").path());
    paths
        .find(|path| path.extension().is_some_and(|e| e == "open"))
        .must("an open segment")
}

/// Where the last record of a segment ends; none while it is being written.
fn end_of_records(path: &Path) -> Option<u64> {
    let mut reader = SegmentReader::open(&RealDisk, path).ok()?;
    let mut end = 0;
    while reader.next_record().ok()?.is_some() {
        end = reader.mark().offset;
    }
    Some(end)
}

/// Where the last record ends, once something stands behind it: within 5 s of its 250 the journal states on disk that it was promised.
fn end_of_mail_below_the_idle_mark(path: &Path) -> usize {
    let end = wait::until_some("the idle mark", Duration::from_secs(5), || {
        let end = end_of_records(path)?;
        (fs::metadata(path).must("its length").len() > end).then_some(end)
    });
    usize::try_from(end).must("a length")
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
    let end = end_of_mail_below_the_idle_mark(&path);
    let at =
        |kind: &str| daemon.metric(&format!("coldpost_position{{kind=\"{kind}\",shard=\"1\"}}"));
    wait::until("rows that outlive a kill", Duration::from_secs(10), || {
        at("hot_durable").is_some() && at("hot_durable") == at("durable")
    });
    daemon.kill();
    let whole = fs::read(&path).must("the segment");
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
        let victim = format!("{USER} \"INBOX\" UID 1 of ");
        assert!(
            at < end - 200 || said.matches(&victim).count() == 1,
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
    end_of_mail_below_the_idle_mark(&path);
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
