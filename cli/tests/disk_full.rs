//! The data directory on a small tmpfs that fills up: mail is refused for now, reading goes on, and it heals by itself.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::Imap;
use coldpost_testkit::tool::{self, ROOT};
use coldpost_testkit::{Daemon, Must, Options, have, place, wait};
use tempfile::TempDir;

const USER: &str = "ann@example.org";

/// A tmpfs of some MiB, unmounted at the end.
struct Tmpfs {
    dir: TempDir,
}

impl Tmpfs {
    fn mount(mib: u32) -> Option<Tmpfs> {
        if !have(&[ROOT]) {
            return None;
        }
        let dir = place::scratch("tmpfs");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]);
        let mounted = mount.arg(dir.path()).status().is_ok_and(|s| s.success());
        if !mounted {
            tool::say_skipped("the right to mount a tmpfs");
            return None;
        }
        Some(Tmpfs { dir })
    }

    /// Fills what is free.
    fn fill(&self) {
        let mut ballast = File::options()
            .create(true)
            .append(true)
            .open(self.ballast())
            .must("making the ballast");
        for size in [1 << 20, 4096, 1] {
            while ballast.write_all(&vec![7; size]).is_ok() {}
        }
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.dir.path().join("ballast")
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).must("removing the ballast");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let unmounted = Command::new("umount")
            .arg("-l")
            .arg(self.dir.path())
            .status();
        assert!(unmounted.is_ok_and(|s| s.success()) || std::thread::panicking());
    }
}

fn mail(number: u64) -> Vec<u8> {
    let mut dice = Dice::new(number);
    let mut text = format!("Subject: {number}\r\n\r\n");
    for _ in 0..300 {
        text.push_str(&format!(
            "{:016x}{:016x}{:016x}\r\n",
            dice.draw(),
            dice.draw(),
            dice.draw()
        ));
    }
    text.into_bytes()
}

fn start(tmpfs: &Tmpfs, cold: &Path, min_free: &str) -> Daemon {
    let options = Options::new(env!("CARGO_BIN_EXE_coldpost"))
        .text("cold", "url", &format!("file://{}", cold.display()))
        .text("hot", "min_free", min_free)
        .text("journal", "segment_size", "1MiB")
        .data(&tmpfs.dir.path().join("data"));
    Daemon::start(options)
}

/// Delivers until mail is refused; gives that reply.
fn deliver_until_refused(daemon: &Daemon, next: &mut u64) -> coldpost_testkit::lmtp::Reply {
    let mut lmtp = daemon.lmtp();
    loop {
        let replies = lmtp
            .try_deliver("b@example.org", &[USER], &mail(*next))
            .must("an answer");
        let [reply] = &replies[..] else {
            panic!("{replies:?}")
        };
        if !reply.is_ok() {
            return reply.clone();
        }
        *next += 1;
        assert!(*next < 20_000, "the disk does not fill");
    }
}

fn check(daemon: &Daemon, count: u64) {
    let mut imap = daemon.imap(USER);
    assert_eq!(
        imap.command("EXAMINE INBOX").ok().number("EXISTS"),
        Some(count)
    );
    for (number, fetch) in (0..).zip(imap.fetch("FETCH 1:* BODY.PEEK[]")) {
        assert!(
            fetch.bytes("BODY[]").ends_with(&mail(number)),
            "message {number}"
        );
    }
}

/// Changes flags until there is no room for that either: journal and hot tier have written their last page.
fn change_until_refused(imap: &mut Imap, count: u64) {
    for turn in 0..2_000 {
        let sign = if turn % 2 == 0 { '+' } else { '-' };
        let reply = imap.command(&format!(
            "UID STORE 1:{count} {sign}FLAGS.SILENT (k{})",
            turn / 2 % 9
        ));
        if !reply.is_ok() {
            println!("refused at turn {turn}: {reply:?}");
            return;
        }
    }
}

fn heals(daemon: &Daemon, next: &mut u64) {
    wait::until("mail to be taken again", Duration::from_secs(30), || {
        let replies = daemon
            .lmtp()
            .try_deliver("b@example.org", &[USER], &mail(*next));
        replies.must("an answer")[0].is_ok()
    });
    *next += 1;
}

fn fills_and_heals(min_free: &str) {
    let Some(tmpfs) = Tmpfs::mount(48) else {
        return;
    };
    let store = place::scratch("store");
    let mut daemon = start(&tmpfs, &store.path().join("cold"), min_free);
    let mut next = 0;
    {
        let mut lmtp = daemon.lmtp();
        while next < 40 {
            lmtp.deliver("b@example.org", USER, &mail(next));
            next += 1;
        }
    }
    for round in 0..2 {
        tmpfs.fill();
        let reply = deliver_until_refused(&daemon, &mut next);
        assert!(
            reply.code == 452 && reply.text.starts_with("4.3.1"),
            "round {round}: {reply:?}"
        );
        let mut imap = daemon.imap(USER);
        imap.command("SELECT INBOX").ok();
        let append = imap.try_append("INBOX", "", &mail(0)).must("an answer");
        assert!(
            append.status == "NO" && append.text.starts_with("[UNAVAILABLE]"),
            "round {round}: {append:?}"
        );
        change_until_refused(&mut imap, next);
        check(&daemon, next);
        tmpfs.free();
        heals(&daemon, &mut next);
        check(&daemon, next);
    }
    daemon.kill();
    daemon.restart();
    check(&daemon, next);
}

/// One message that never ended filled the disk, and nobody got mail any more.
#[test]
fn a_message_that_is_still_coming_in_leaves_room_for_others() {
    let Some(tmpfs) = Tmpfs::mount(24) else {
        return;
    };
    let store = place::scratch("store");
    let daemon = start(&tmpfs, &store.path().join("cold"), "5%");
    let mut greedy = daemon.lmtp();
    for line in ["MAIL FROM:<>", "RCPT TO:<ann@example.org>", "DATA"] {
        greedy.command(line).must(line);
    }
    let chunk = mail(0).repeat(70);
    for _ in 0..30 {
        greedy.send(&chunk).must("sending");
        daemon.lmtp().deliver("b@example.org", USER, &mail(0));
    }
    greedy.send(b".\r\n").must("ending");
    let reply = greedy.reply().must("a reply");
    assert!(
        reply.code == 452 && reply.text.starts_with("4.3.1"),
        "{reply:?}"
    );
    greedy.deliver("b@example.org", USER, &mail(0));
}

#[test]
fn below_min_free_mail_is_refused_with_452_and_reading_goes_on() {
    fills_and_heals("5%");
}

#[test]
fn on_a_disk_that_is_full_to_the_last_byte_mail_is_refused_with_452_and_reading_goes_on() {
    fills_and_heals("0");
}
