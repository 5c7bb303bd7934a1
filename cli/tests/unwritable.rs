//! A log, or an answer, that nobody takes: the daemon goes on without its log, and a command does not pretend that it answered.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use coldpost_testkit::{Daemon, Must, Options, Stderr, http};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const USER: &str = "anna@example.org";
const MAIL: &[u8] = b"From: Bob <bob@example.net>\r\nSubject: Hello\r\n\r\nHello Anna!\r\n";

/// The first line that could not be written took the LMTP listener along, the next one IMAP's, and /readyz said "ready".
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    for stderr in [Stderr::Full, Stderr::Unread] {
        let mut daemon = Daemon::start(Options::new(BINARY).stderr(stderr));
        for round in 1..=3 {
            // A connection each: listeners and sessions both have something to log.
            let mut lmtp = daemon.lmtp();
            lmtp.deliver("bob@example.net", USER, MAIL);
            let mut imap = daemon.imap(USER);
            let found = imap.command("SELECT INBOX").ok().number("EXISTS");
            assert_eq!(found, Some(round), "{stderr:?}");
        }
        let ready = http::get(daemon.http_addr(), "/readyz", None).must("asking");
        assert_eq!(ready.status, 200, "{stderr:?}: {}", ready.text());
        let lost = daemon.metric("coldpost_log_lines_lost_total");
        assert!(lost > Some(0.0), "{stderr:?}: {lost:?}");
        let ended = daemon.stop().must("it ends by itself");
        assert!(ended.success(), "{stderr:?}: {ended}");
        let status = daemon.command("status").output().must("running it");
        assert!(status.status.success(), "{stderr:?}: {status:?}");
    }
}

fn into_full_disk(command: &mut Command) -> Output {
    let full = File::options().write(true).open("/dev/full");
    let child = command
        .stdout(full.must("opening /dev/full"))
        .stderr(Stdio::piped())
        .spawn();
    let child = child.must("running the binary");
    child.wait_with_output().must("waiting for it")
}

/// They gave exit code 0, and a script took the empty file for the answer.
#[test]
fn a_command_whose_answer_cannot_be_written_fails_and_says_so() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    daemon.lmtp().deliver("bob@example.net", USER, MAIL);
    for stopped in [false, true] {
        if stopped {
            daemon.stop();
        }
        for line in [
            &["status"][..],
            &["status", "--json"],
            &["account", "list"],
            &["account", "add", "bob@example.org"],
            &["verify"],
            &["config", "show"],
            &["status", "--help"],
        ] {
            let output = into_full_disk(daemon.command(line[0]).args(&line[1..]));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{line:?}: {said}");
            assert!(
                said.contains("standard output cannot be written: No space left"),
                "{line:?}: {said}"
            );
        }
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let daemon = Daemon::start(Options::new(BINARY));
    for line in [&["status"][..], &["config", "show"], &["status", "--help"]] {
        let (reader, writer) = std::io::pipe().must("a pipe");
        drop(reader);
        let mut command = daemon.command(line[0]);
        let output = command.args(&line[1..]).stdout(writer).spawn();
        let output = output.and_then(|child| child.wait_with_output());
        let status = output.must("running the binary").status;
        assert!(status.success(), "{line:?}: {status}");
    }
}

/// With its first lines unread the daemon serves all the same: listen.json says where.
#[test]
fn a_daemon_whose_first_lines_cannot_be_written_serves() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    daemon.stop();
    let full = File::options().write(true).open("/dev/full");
    let mut command = daemon.command("serve");
    let (reader, writer) = std::io::pipe().must("a pipe");
    let child = command
        .stdout(full.must("opening /dev/full"))
        .stderr(writer)
        .spawn();
    let mut child = child.must("running the binary");
    drop(command);
    let log = std::io::BufReader::new(reader);
    let mut lines = std::io::BufRead::lines(log).map(|line| line.must("its log"));
    let warned = lines.find(|line| line.contains("standard output cannot be written"));
    let alive = child.try_wait().must("asking how it is").is_none();
    child.kill().must("killing it");
    child.wait().must("waiting for it");
    assert!(warned.is_some() && alive, "{warned:?}");
}
