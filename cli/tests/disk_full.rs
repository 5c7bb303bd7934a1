//! The data directory on a small tmpfs that fills up: mail is refused for now, reading goes on, and it heals by itself.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Reply;
use coldpost_testkit::made_mail::{attached, drawn};
use coldpost_testkit::tool::{self, ROOT};
use coldpost_testkit::{Daemon, Must, Options, have, place, wait};
use serde_json::Value;
use tempfile::TempDir;

const USER: &str = "ann@example.org";
const MIB: u64 = 1 << 20;

/// A tmpfs of some MiB, unmounted at the end.
struct Tmpfs {
    dir: TempDir,
    mib: u32,
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
        Some(Tmpfs { dir, mib })
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
fn deliver_until_refused(daemon: &Daemon, next: &mut u64) -> Reply {
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

/// A daemon whose mail is in the store alone, and whose disk has `room` bytes before mail is refused.
fn with_little_room(
    tmpfs: &Tmpfs,
    cold: &Path,
    mails: impl Iterator<Item = Vec<u8>>,
    room: u64,
) -> Daemon {
    let options = Options::new(env!("CARGO_BIN_EXE_coldpost"))
        .text("cold", "url", &format!("file://{}", cold.display()))
        .text("hot", "min_free", "1MiB")
        .text("hot", "local_bodies", "0")
        .text("journal", "segment_size", "1MiB")
        .data(&tmpfs.dir.path().join("data"));
    let mut daemon = Daemon::start(options);
    let mut lmtp = daemon.lmtp();
    for mail in mails {
        lmtp.deliver("b@example.org", USER, &mail);
    }
    drop(lmtp);
    daemon.wait_until_evicted();
    shorten(tmpfs, &mut daemon, room);
    daemon
}

/// Leaves `room` bytes before mail is refused.
fn shorten(tmpfs: &Tmpfs, daemon: &mut Daemon, room: u64) {
    // A 16th of the file system is the least that is kept for the journal.
    let kept = u64::from(tmpfs.mib) * MIB / 16;
    daemon.stop();
    tmpfs.fill();
    let ballast = File::options().write(true).open(tmpfs.ballast());
    let ballast = ballast.must("the ballast");
    let length = ballast.metadata().must("its length").len();
    ballast
        .set_len(length - kept - room)
        .must("giving room back");
    daemon.restart();
}

/// What it brought filled the disk up to `min_free`, and nothing could be written beside that: downloads without end, and mail was refused
/// meanwhile.
#[test]
fn what_does_not_fit_on_the_disk_is_compacted_all_the_same_and_no_mail_is_refused_for_it() {
    let Some(tmpfs) = Tmpfs::mount(128) else {
        return;
    };
    let store = place::scratch("store");
    let cold = store.path().join("cold");
    let messages = 3_200;
    let daemon = with_little_room(&tmpfs, &cold, (0..messages).map(mail), 18 * MIB);
    let of_mail = place::files(&cold.join("segments/0001"));
    let bytes = of_mail
        .iter()
        .map(|path| path.metadata().must("a size").len());
    assert!(bytes.sum::<u64>() > 20 * MIB, "more than there is room for");
    let (done, refused) = compacted_beside_deliveries(&daemon);
    assert!(refused.is_empty(), "{refused:?}");
    assert!(done["moved"].as_u64() >= Some(messages), "{done}");
    assert_eq!(done["left"], 0, "{done}");
    check(&daemon, messages);
}

/// It was written all the same, mail was refused for it, and nothing that stood behind it was ever compacted.
#[test]
fn a_message_for_which_there_is_no_room_stays_while_others_are_compacted_and_no_mail_is_refused() {
    let Some(tmpfs) = Tmpfs::mount(128) else {
        return;
    };
    let store = place::scratch("store");
    let cold = store.path().join("cold");
    let large = attached("large", &drawn(&mut Dice::new(1), 31 * MIB));
    let mails = (0..40).map(|number| match number {
        20 => large.clone(),
        number => mail(number),
    });
    let daemon = with_little_room(&tmpfs, &cold, mails, 36 * MIB);
    let (done, refused) = compacted_beside_deliveries(&daemon);
    assert!(refused.is_empty(), "{refused:?}");
    assert!(done["moved"].as_u64() >= Some(39), "{done}");
    assert_eq!(done["left"], 1, "{done}");
    let status = daemon.json(&["status"]).to_string();
    assert!(status.contains("could not move all"), "{status}");
    let mut imap = daemon.imap(USER);
    imap.command("EXAMINE INBOX").ok();
    let fetched = imap.fetch("FETCH 21 BODY.PEEK[]");
    assert!(fetched[0].bytes("BODY[]").ends_with(&large));
    tmpfs.free();
    let done = daemon.json(&["compact"]);
    // With the small mail that came in meanwhile.
    assert!(done["moved"].as_u64() >= Some(1), "{done}");
    assert_eq!(done["left"], 0, "{done}");
}

/// All that is alive in packs was written at once, however short the disk was.
#[test]
fn attachments_of_packs_are_moved_in_steps_for_which_there_is_room() {
    let Some(tmpfs) = Tmpfs::mount(320) else {
        return;
    };
    let store = place::scratch("store");
    let cold = store.path().join("cold");
    let many = 80;
    let large = |number| {
        let part = drawn(&mut Dice::new(number), MIB);
        attached(&number.to_string(), &part)
    };
    let mut daemon = start(&tmpfs, &cold, "1MiB");
    let mut lmtp = daemon.lmtp();
    for number in 0..many {
        lmtp.deliver("b@example.org", USER, &large(number));
    }
    drop(lmtp);
    daemon.ok(&["compact"]);
    daemon.imap(USER).expunge("INBOX", (1..=many).step_by(2));
    daemon.wait_until_shipped();
    // All of it is here: a run takes what is, however short the disk.
    shorten(&tmpfs, &mut daemon, 34 * MIB);
    wait::until("all to be moved", Duration::from_secs(120), || {
        let (done, refused) = compacted_beside_deliveries(&daemon);
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(done["left"], 0, "{done}");
        let moved = daemon.metric("coldpost_compacted_messages_total");
        // Of half of them the message and its attachment, by whoever comes first.
        moved >= Some(many as f64)
    });
    let mut imap = daemon.imap(USER);
    imap.command("EXAMINE INBOX").ok();
    let fetched = imap.fetch("FETCH 1:* BODY.PEEK[]");
    for (number, fetch) in (1..many).step_by(2).zip(&fetched) {
        assert!(fetch.bytes("BODY[]").ends_with(&large(number)), "{number}");
    }
}

/// What `coldpost compact` did, and which mail was refused meanwhile.
fn compacted_beside_deliveries(daemon: &Daemon) -> (Value, Vec<Reply>) {
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| daemon.json(&["compact"]));
        let mut refused = Vec::new();
        let mut lmtp = daemon.lmtp();
        // At the pace of a small site: what comes in takes room too.
        while !compacting.is_finished() {
            wait::pause(Duration::from_millis(100));
            let small = b"Subject: small\r\n\r\nText.\r\n";
            let replies = lmtp.try_deliver("b@example.org", &["bob@example.org"], small);
            refused.extend(replies.must("an answer").into_iter().filter(|r| !r.is_ok()));
        }
        (compacting.join().unwrap(), refused)
    })
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
