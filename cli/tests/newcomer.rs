//! A newcomer's first hour: the first start prints lines to paste, and pasted they work.

use std::fs;
use std::process::Command;
use std::time::Duration;

use coldpost_testkit::process::Process;
use coldpost_testkit::tool::{self, CURL, SWAKS};
use coldpost_testkit::{Daemon, Must, Options, have, place, process, wait};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
/// How long a daemon may take that has to see that it is not alone.
const GIVES_UP_WITHIN: Duration = Duration::from_secs(20);
/// A release build with empty caches on a small machine.
const BUILT_WITHIN: Duration = Duration::from_secs(3_600);

/// The lines of the greeting that a shell can run.
fn pasteable(log: &str) -> Vec<String> {
    let lines = log.lines().map(str::trim);
    let commands = ["printf ", "curl ", "swaks "];
    lines
        .filter(|line| commands.iter().any(|command| line.starts_with(command)))
        .map(str::to_owned)
        .collect()
}

/// Pastes every line; what each said, with the line.
fn paste(log: &str) -> Vec<(String, String)> {
    let lines = pasteable(log);
    assert_eq!(
        lines.len(),
        4,
        "deliver twice, read, metrics; printed was\n{log}"
    );
    let scratch = place::scratch("newcomer");
    let run = |line: String| {
        let mut shell = Command::new("sh");
        let output = process::run(shell.args(["-ec", &line]).current_dir(scratch.path()));
        (line, String::from_utf8_lossy(&output).into_owned())
    };
    lines.into_iter().map(run).collect()
}

/// The reading line alone shows the message that the first line made; the metrics have both deliveries.
fn assert_pasted_lines_work(log: &str) {
    let said = paste(log);
    let of = |part: &str| {
        let found: Vec<&str> = said
            .iter()
            .filter(|(line, _)| line.contains(part))
            .map(|(_, said)| said.as_str())
            .collect();
        assert_eq!(found.len(), 1, "one line with {part:?} in\n{log}");
        found.concat()
    };
    assert_eq!(
        of("MAILINDEX=1"),
        "From: Bob <bob@example.net>\r\nTo: anna@example.org\r\nSubject: Hello\r\n\r\nHello Anna!\r\n",
        "the reading line shows the appended message"
    );
    assert!(of("swaks").contains("250 2."), "{}", of("swaks"));
    let metrics = of("/metrics");
    assert!(
        metrics.contains("coldpost_deliveries_total{outcome=\"stored\"} 1\n"),
        "the metrics line shows metrics; seen was\n{metrics}"
    );
}

#[test]
fn the_printed_lines_work_as_pasted() {
    if !have(&[CURL, SWAKS]) {
        return;
    }
    let daemon = Daemon::start(Options::new(BINARY));
    // It is ready a moment before it says so.
    wait::until("the printed lines", GIVES_UP_WITHIN, || {
        pasteable(&daemon.log()).len() == 4
    });
    let log = daemon.log();
    assert!(
        log.contains(&daemon.password()),
        "the first start prints the development password"
    );
    assert_pasted_lines_work(&log);
}

#[test]
fn a_second_start_does_not_print_the_password_as_new() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    let password = daemon.password();
    daemon.restart();
    assert_eq!(daemon.password(), password);
}

#[test]
fn a_second_daemon_on_the_same_data_says_so() {
    let daemon = Daemon::start(Options::new(BINARY));
    let scratch = place::scratch("second");
    let log = scratch.path().join("log");
    let mut second = Process::start("a second daemon", &mut daemon.command("serve"), &log);
    wait::until("the second daemon to give up", GIVES_UP_WITHIN, || {
        !second.alive()
    });
    let status = second.stop().must("how it ended");
    let said = fs::read_to_string(&log).must("reading what it said");
    assert!(!status.success());
    assert!(
        said.contains("another") || said.contains("already"),
        "it says that another process has the directory: {said}"
    );
    daemon.imap("anna@example.org").command("NOOP").ok();
}

/// With `--long`: a clone with empty caches, the README's two commands.
#[test]
fn a_fresh_clone_with_empty_caches_passes_its_own_checks() {
    // The clone runs this test too; there it has nothing to do.
    if !tool::long() || std::env::var_os("COLDPOST_IN_A_CLONE").is_some() {
        return;
    }
    if !have(&[CURL, SWAKS]) {
        return;
    }
    let scratch = place::scratch("clone");
    let clone = scratch.path().join("coldpost");
    process::run(
        Command::new("git")
            .args(["clone", "-q"])
            .arg(place::workspace())
            .arg(&clone),
    );
    let fresh = |program: &str| {
        let mut command = Command::new(program);
        command
            .current_dir(&clone)
            .env("COLDPOST_IN_A_CLONE", "1")
            .env_remove("COLDPOST_LONG");
        command
            .env("CARGO_HOME", scratch.path().join("cargo"))
            .env_remove("CARGO_TARGET_DIR");
        command
    };
    let log = scratch.path().join("log");
    let mut serve = fresh("cargo");
    serve
        .args(["run", "--release", "--", "serve"])
        .env_remove("COLDPOST_IN_A_CLONE");
    for section in ["LMTP", "IMAP", "HTTP"] {
        serve.env(format!("COLDPOST_{section}__LISTEN"), "127.0.0.1:0");
    }
    let mut serve = Process::start("cargo run --release -- serve", &mut serve, &log);
    let listen = clone.join("coldpost-data/listen.json");
    serve.wait_until("the daemon to be ready", BUILT_WITHIN, || listen.is_file());
    let mut printed = String::new();
    serve.wait_until("the lines to paste", GIVES_UP_WITHIN, || {
        printed = fs::read_to_string(&log).unwrap_or_default();
        pasteable(&printed).len() == 4
    });
    assert_pasted_lines_work(&printed);
    assert!(serve.stop().must("how it ended").success());
    drop(serve);
    let output = process::run(&mut fresh("./test.sh"));
    let last = String::from_utf8_lossy(&output)
        .trim_end()
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned();
    assert!(last.contains(" 0 failed"), "{last}");
}
