//! What a service manager hears of the real binary, and the unit that comes with it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use coldpost_testkit::{Daemon, Must, Options, place, tool};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/coldpost.service");

struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Manager {
        let socket = UnixDatagram::bind(path).must("binding a socket");
        let patience = Some(Duration::from_secs(60));
        socket.set_read_timeout(patience).must("a time limit");
        Manager(socket)
    }

    /// What is heard up to and with the message that has the line `last`, line by line.
    fn until(&self, last: &str) -> BTreeSet<String> {
        let mut heard = BTreeSet::new();
        let mut buffer = [0; 4_096];
        while !heard.contains(last) {
            let length = self
                .0
                .recv(&mut buffer)
                .must(&format!("{last} after {heard:?}"));
            let text = String::from_utf8_lossy(&buffer[..length]);
            heard.extend(text.lines().map(str::to_owned));
        }
        heard
    }
}

#[test]
fn the_service_manager_hears_of_the_start_of_readiness_of_life_and_of_the_end() {
    let dir = place::scratch("notify");
    let path = dir.path().join("notify");
    let manager = Manager::at(&path);
    let options = Options::new(BINARY)
        .environment("NOTIFY_SOCKET", &path.display().to_string())
        .environment("WATCHDOG_USEC", "200000");
    let mut daemon = Daemon::start(options);
    let start = manager.until("READY=1");
    assert!(start.contains("EXTEND_TIMEOUT_USEC=30000000"), "{start:?}");
    let address = format!("IMAP {}", daemon.imap_addr());
    let status = start.iter().find(|line| line.contains(&address));
    assert!(
        status.is_some_and(|line| line.starts_with("STATUS=LMTP ")),
        "{start:?}"
    );
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
    assert!(daemon.stop().must("it ends by itself").success());
    manager.until("STOPPING=1");
}

#[test]
fn a_manager_that_does_not_listen_holds_nothing_up() {
    let dir = place::scratch("notify-deaf");
    let path = dir.path().join("notify");
    // Its queue is full after a few messages, as nobody takes them.
    let _deaf = Manager::at(&path);
    let options = Options::new(BINARY)
        .environment("NOTIFY_SOCKET", &path.display().to_string())
        .environment("WATCHDOG_USEC", "1000");
    let mut daemon = Daemon::start(options);
    daemon.lmtp().deliver(
        "b@example.net",
        "anna@example.org",
        b"Subject: x\r\n\r\nx\r\n",
    );
    daemon.imap("anna@example.org").command("SELECT INBOX").ok();
    assert!(daemon.stop().must("it ends by itself").success());
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_calls_well_protected() {
    let unit = fs::read_to_string(UNIT).must("reading the unit");
    let dir = place::scratch("unit");
    // What it starts has to be there.
    let here = dir.path().join("coldpost.service");
    fs::write(&here, unit.replace("/usr/local/bin/coldpost", BINARY)).must("writing");
    let analyze = |arguments: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        command.args(arguments).arg(&here);
        command.output().ok()
    };
    let Some(verified) = analyze(&["verify", "--man=no"]) else {
        // A machine without systemd has no use for the unit either.
        return tool::say_skipped("systemd-analyze (apt-get install systemd)");
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success(), "{said}");
    assert!(!said.contains("coldpost.service"), "{said}");
    // 10 is no protection, 2 what systemd calls OK.
    let secured = analyze(&["security", "--offline=yes", "--threshold=20"]);
    let secured = secured.must("the same program again");
    assert!(
        secured.status.success(),
        "{}",
        String::from_utf8_lossy(&secured.stdout)
    );
}
