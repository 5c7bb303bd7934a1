//! A newcomer's first hour: the first start prints lines to paste, and pasted they work.

use std::process::Command;

use coldpost_testkit::tool::{self, CURL, SWAKS};
use coldpost_testkit::{Daemon, Must, Options, have, place, process};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");

/// The lines of the greeting that a shell can run.
fn pasteable(log: &str) -> Vec<String> {
    let lines = log.lines().map(str::trim);
    let commands = ["printf ", "curl ", "swaks "];
    lines
        .filter(|line| commands.iter().any(|command| line.starts_with(command)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_printed_lines_work_as_pasted() {
    if !have(&[CURL, SWAKS]) {
        return;
    }
    let daemon = Daemon::start(Options::new(BINARY));
    let log = daemon.log();
    assert!(
        log.contains(&daemon.password()),
        "the first start prints the development password"
    );
    let lines = pasteable(&log);
    assert!(
        lines.len() >= 3,
        "deliver, read and metrics are printed as curl and swaks lines; printed was\n{log}"
    );
    let mut seen = String::new();
    let scratch = place::scratch("newcomer");
    for line in &lines {
        let output = process::run(
            Command::new("sh")
                .args(["-ec", line])
                .current_dir(scratch.path()),
        );
        seen.push_str(&String::from_utf8_lossy(&output));
    }
    assert!(
        seen.contains("Subject:"),
        "the reading line shows a message; seen was\n{seen}"
    );
    assert!(
        seen.contains("coldpost_deliveries_total"),
        "the metrics line shows metrics"
    );
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
    let output = daemon
        .command("serve")
        .output()
        .must("running a second daemon");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        said.contains("another") || said.contains("already"),
        "it says that another process has the directory: {said}"
    );
}

/// With `--long`: a clone with empty caches, the README's two commands.
#[test]
fn a_fresh_clone_with_empty_caches_passes_its_own_checks() {
    // The clone runs this test too; there it has nothing to do.
    if !tool::long() || std::env::var_os("COLDPOST_IN_A_CLONE").is_some() {
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
    process::run(fresh("cargo").args(["build", "--locked", "-q"]));
    let daemon = Daemon::start(Options::new(clone.join("target/debug/coldpost")));
    assert!(daemon.log().contains(&daemon.password()));
    drop(daemon);
    let output = process::run(&mut fresh("./test.sh"));
    let last = String::from_utf8_lossy(&output)
        .trim_end()
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned();
    assert!(last.contains(" 0 failed"), "{last}");
}
