//! Whose data directory, whose bucket: what does not belong together is refused with the way out, and nothing is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use coldpost_testkit::place::files;
use coldpost_testkit::process::Process;
use coldpost_testkit::{Daemon, Must, Options, place, wait};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const USER: &str = "ann@example.org";

/// What `serve` says when it refuses this data directory with this store.
fn refusal(data: &Path, cold: &Path) -> String {
    let dir = place::scratch("refused");
    let config = dir.path().join("coldpost.toml");
    let listen = ["lmtp", "imap", "http"].map(|s| format!("[{s}]\nlisten = \"127.0.0.1:0\"\n"));
    let toml = format!(
        "{}[cold]\nurl = \"file://{}\"\n",
        listen.concat(),
        cold.display()
    );
    fs::write(&config, toml).must("writing coldpost.toml");
    let mut command = Command::new(BINARY);
    command.arg("serve").arg("--config").arg(&config);
    command.arg("--data").arg(data);
    let log = dir.path().join("log");
    let mut process = Process::start("a refused serve", &mut command, &log);
    wait::until("serve to refuse", Duration::from_secs(30), || {
        !process.alive()
    });
    let status = process.stop().must("its status");
    assert!(!status.success(), "it must not say that all is well");
    fs::read_to_string(&log).must("its output")
}

/// All files below a directory, with what is in them.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).must("reading");
        (path, bytes)
    };
    files(dir).into_iter().map(read).collect()
}

fn on(cold: &Path) -> Options {
    Options::new(BINARY).text("cold", "url", &format!("file://{}", cold.display()))
}

fn mail(number: usize) -> Vec<u8> {
    let line = format!("line of message {number}\r\n");
    format!("Subject: {number}\r\n\r\n{}", line.repeat(10)).into_bytes()
}

#[test]
fn a_second_process_on_a_data_directory_is_told_that_there_is_one() {
    let store = place::scratch("store");
    let mut daemon = Daemon::start(on(&store.path().join("cold")));
    let text = refusal(daemon.data_dir(), &store.path().join("cold"));
    let names = format!("listen.json there names process {}", daemon.pid());
    for said in [
        "another coldpost process has the data directory",
        "use another --data",
        "waited 10 s",
        &names,
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    daemon.lmtp().deliver("b@example.org", USER, &mail(1));
    assert!(daemon.alive());
}

/// A monitor that asked a stopped store for its status kept the daemon from starting.
#[test]
fn a_start_waits_for_a_command_that_has_the_data_directory_for_a_moment() {
    let store = place::scratch("store");
    let mut daemon = Daemon::start(on(&store.path().join("cold")));
    daemon.stop();
    // What `coldpost status` has while it looks at stopped data.
    let lock = fs::File::open(daemon.data_dir().join("lock")).must("opening the lock");
    lock.try_lock().must("taking the lock");
    let log = daemon.config_file().with_file_name("log");
    let waits = || fs::read_to_string(&log).is_ok_and(|log| log.contains("waiting up to 10 s"));
    std::thread::scope(|scope| {
        scope.spawn(|| daemon.restart());
        wait::until("the start to wait", Duration::from_secs(30), waits);
        lock.unlock().must("letting go of the lock");
    });
    daemon.lmtp().deliver("b@example.org", USER, &mail(1));
}

#[test]
fn an_empty_data_directory_on_a_used_bucket_is_refused_with_the_way_out() {
    let store = place::scratch("store");
    let cold = store.path().join("cold");
    let mut daemon = Daemon::start(on(&cold));
    daemon.lmtp().deliver("b@example.org", USER, &mail(1));
    daemon.stop();
    let before = contents(&cold);
    let empty = store.path().join("empty");
    let text = refusal(&empty, &cold);
    assert!(
        text.contains("holds a store already") && text.contains("Use that store's data directory"),
        "{text}"
    );
    assert_eq!(contents(&cold), before, "the bucket is untouched");
    assert!(!empty.join("store").exists(), "no store was made");
}

#[test]
fn a_data_directory_and_the_bucket_of_another_store_are_refused() {
    let store = place::scratch("store");
    let (one, two) = (store.path().join("one"), store.path().join("two"));
    let mut first = Daemon::start(on(&one));
    let mut second = Daemon::start(on(&two));
    first.lmtp().deliver("b@example.org", USER, &mail(1));
    second.lmtp().deliver("b@example.org", USER, &mail(2));
    first.stop();
    second.stop();
    let before = (contents(&one), contents(&two));
    let text = refusal(second.data_dir(), &one);
    assert!(
        text.contains("belongs to another store than this data directory")
            && text.contains("nothing was changed"),
        "{text}"
    );
    assert_eq!((contents(&one), contents(&two)), before);
    second.restart();
    let mut imap = second.imap(USER);
    assert_eq!(imap.command("EXAMINE INBOX").ok().number("EXISTS"), Some(1));
}

/// Writes the files of one directory to another.
fn put(found: &BTreeMap<PathBuf, Vec<u8>>, from: &Path, to: &Path) {
    for (path, bytes) in found {
        let path = to.join(path.strip_prefix(from).must("a file below"));
        fs::create_dir_all(path.parent().must("a parent")).must("making a directory");
        fs::write(path, bytes).must("writing a file");
    }
}

#[test]
fn a_data_directory_that_lost_a_shard_or_is_older_than_its_bucket_is_refused() {
    let store = place::scratch("store");
    let (cold, older) = (store.path().join("cold"), store.path().join("older"));
    let mut daemon = Daemon::start(on(&cold).text("journal", "segment_size", "1MiB"));
    daemon.lmtp().deliver("b@example.org", USER, &mail(1));
    daemon.stop();
    put(&contents(daemon.data_dir()), daemon.data_dir(), &older);
    daemon.restart();
    let mut lmtp = daemon.lmtp();
    for number in 0..40 {
        lmtp.deliver("b@example.org", USER, &large(number));
    }
    drop(lmtp);
    let segments = cold.join("segments/0001");
    wait::until("an upload", Duration::from_secs(60), || {
        segments.exists() && !contents(&segments).is_empty()
    });
    daemon.stop();
    let (bucket, shard) = (contents(&cold), daemon.data_dir().join("shards/0001"));
    let is_refused = |data: &Path, why: &str, way_out: &str| {
        let text = refusal(data, &cold);
        assert!(text.contains(why) && text.contains(way_out), "{text}");
    };
    let whole = contents(&shard);
    // Without journal and hot tier: nothing local says that there was mail.
    fs::remove_dir_all(shard.join("journal")).must("removing the journal");
    fs::remove_file(shard.join("hot.redb")).must("removing the hot tier");
    is_refused(
        daemon.data_dir(),
        "has a later one",
        "Put the newest copy back",
    );
    fs::rename(&cold, store.path().join("aside")).must("moving the bucket away");
    is_refused(
        daemon.data_dir(),
        "is empty, and whether there was one",
        "does not hold this store",
    );
    fs::rename(store.path().join("aside"), &cold).must("moving the bucket back");
    fs::remove_dir_all(&shard).must("removing the shard");
    is_refused(
        daemon.data_dir(),
        "epoch is missing",
        "put the shard's directory back",
    );
    assert!(!shard.exists(), "no epoch was made up");
    is_refused(&older, "has a later one", "Put the newest copy back");
    assert_eq!(contents(&cold), bucket, "the bucket is untouched");
    put(&whole, &shard, &shard);
    // What is no segment of ours says nothing about it.
    fs::write(segments.join("00000001/Thumbs.db"), b"x").must("writing a stray file");
    daemon.restart();
    let mut imap = daemon.imap(USER);
    assert_eq!(
        imap.command("EXAMINE INBOX").ok().number("EXISTS"),
        Some(41)
    );
}

#[test]
fn a_damaged_claim_in_the_bucket_is_not_taken_for_another_store() {
    let store = place::scratch("store");
    let cold = store.path().join("cold");
    let mut daemon = Daemon::start(on(&cold));
    let claim = cold.join("epochs/0001/00000001");
    let whole = fs::read(&claim).must("reading the claim");
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let page = b"<html>sign in</html>".to_vec();
    let damaged = [
        flipped(20),
        flipped(whole.len() - 3),
        whole[1..].to_vec(),
        page,
    ];
    for (number, bytes) in damaged.into_iter().enumerate() {
        daemon.stop();
        fs::write(&claim, bytes).must("damaging the claim");
        daemon.restart();
        daemon.lmtp().deliver("b@example.org", USER, &mail(number));
    }
    daemon.stop();
    fs::write(&claim, &whole).must("mending the claim");
    daemon.restart();
    let mut imap = daemon.imap(USER);
    assert_eq!(imap.command("EXAMINE INBOX").ok().number("EXISTS"), Some(4));
}

/// A directory that is not mounted looks like an empty one: mail is taken, and nothing is written into what is not ours.
#[test]
fn a_store_that_is_not_mounted_keeps_no_daemon_from_starting_and_gets_nothing() {
    let store = place::scratch("store");
    let (cold, aside) = (store.path().join("cold"), store.path().join("aside"));
    let mut daemon = Daemon::start(on(&cold));
    daemon.lmtp().deliver("b@example.org", USER, &mail(1));
    daemon.stop();
    fs::rename(&cold, &aside).must("moving the store away");
    daemon.restart();
    daemon.lmtp().deliver("b@example.org", USER, &mail(2));
    let exists = |daemon: &Daemon| {
        let mut imap = daemon.imap(USER);
        imap.command("EXAMINE INBOX").ok().number("EXISTS")
    };
    assert_eq!(exists(&daemon), Some(2));
    daemon.stop();
    assert!(!cold.exists(), "nothing is made in its place");
    fs::create_dir(&cold).must("making a mount point");
    daemon.restart();
    daemon.lmtp().deliver("b@example.org", USER, &mail(3));
    assert_eq!(exists(&daemon), Some(3));
    daemon.stop();
    assert!(contents(&cold).is_empty(), "nothing was written there");
    fs::remove_dir(&cold).must("removing the mount point");
    fs::rename(&aside, &cold).must("moving the store back");
    daemon.restart();
    assert_eq!(exists(&daemon), Some(3));
}

#[test]
fn files_of_another_store_in_the_journal_are_refused() {
    let store = place::scratch("store");
    let mut first = Daemon::start(on(&store.path().join("one")));
    let mut second = Daemon::start(on(&store.path().join("two")));
    first.lmtp().deliver("b@example.org", USER, &mail(1));
    second.lmtp().deliver("b@example.org", USER, &mail(2));
    first.stop();
    second.stop();
    let journal = |daemon: &Daemon| daemon.data_dir().join("shards/0001/journal");
    let segment = contents(&journal(&first))
        .into_keys()
        .next_back()
        .must("a segment");
    let name = segment.file_name().must("a name");
    fs::copy(&segment, journal(&second).join(name)).must("copying");
    let text = refusal(second.data_dir(), &store.path().join("two"));
    assert!(text.contains(&*name.to_string_lossy()), "{text}");
}

/// A mail of 43 KB that does not compress well.
fn large(number: usize) -> Vec<u8> {
    let mut bytes = mail(number);
    let mut dice = coldpost_testkit::dice::Dice::new(number as u64);
    for _ in 0..600 {
        let line: String = (0..70)
            .map(|_| char::from(b'!' + u8::try_from(dice.below(90)).must("a letter")))
            .collect();
        bytes.extend_from_slice(format!("{}\r\n", line.replace('.', ",")).as_bytes());
    }
    bytes
}

/// What a client sees of both mailboxes.
fn listing(daemon: &Daemon) -> String {
    let mut imap = daemon.imap(USER);
    let mut seen = String::new();
    for mailbox in ["INBOX", "Kept"] {
        imap.command(&format!("EXAMINE {mailbox}")).ok();
        let replies = imap
            .fetch("UID FETCH 1:* (UID FLAGS MODSEQ RFC822.SIZE INTERNALDATE EMAILID ENVELOPE)");
        for reply in replies {
            let items = reply.items.iter().filter(|(name, _)| name != "FLAGS");
            let items: Vec<_> = items.collect();
            seen.push_str(&format!("{mailbox} {:?} {items:?}\n", reply.flags()));
        }
    }
    seen
}

#[test]
fn a_hot_tier_that_is_gone_is_rebuilt_from_local_and_evicted_segments() {
    let store = place::scratch("store");
    let cold = store.path().join("cold");
    let options =
        on(&cold)
            .text("hot", "local_bodies", "0")
            .text("journal", "segment_size", "1MiB");
    let mut daemon = Daemon::start(options);
    let mut lmtp = daemon.lmtp();
    for number in 0..100 {
        lmtp.deliver("b@example.org", USER, &large(number));
    }
    let mut imap = daemon.imap(USER);
    imap.command("SELECT INBOX").ok();
    imap.command("UID STORE 1:10 +FLAGS (\\Flagged later)").ok();
    imap.command("CREATE Kept").ok();
    imap.command("UID COPY 5:9 Kept").ok();
    imap.command("UID MOVE 50 Kept").ok();
    drop(imap);
    let journal = daemon.data_dir().join("shards/0001/journal");
    // Sealed by now: 4 MB were delivered.
    let first = |state: &str| journal.join(format!("00000001-0000000000000001.{state}"));
    wait::until(
        "the first segment to be evicted",
        Duration::from_secs(60),
        || !first("open").exists() && !first("seg").exists(),
    );
    let before = listing(&daemon);
    daemon.stop();
    for shard in ["0000", "0001"] {
        fs::remove_file(
            daemon
                .data_dir()
                .join("shards")
                .join(shard)
                .join("hot.redb"),
        )
        .must("removing hot.redb");
    }
    daemon.restart();
    let after = listing(&daemon);
    let differs = before.lines().zip(after.lines()).find(|(a, b)| a != b);
    assert!(after == before, "{differs:?}");
    let mut imap = daemon.imap(USER);
    imap.command("EXAMINE INBOX").ok();
    let body = imap.fetch("UID FETCH 1 BODY.PEEK[TEXT]")[0].bytes("BODY[TEXT]");
    assert!(large(0).ends_with(&body) && body.len() > 40_000);
}
