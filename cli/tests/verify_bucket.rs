//! `verify --bucket`: references and objects agree both ways, or it is said where they do not; `--repair` mends a copy from what is whole.

#[path = "verify_bucket/store.rs"]
mod store;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use coldpost_testkit::place::scratch;
use coldpost_testkit::seaweedfs::{ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFs};
use coldpost_testkit::tool::WEED;
use coldpost_testkit::{Daemon, Must, have, wait};

use store::*;

const MINUTE: Duration = Duration::from_secs(60);
const FOLDERS: [&str; 5] = ["segments", "blocks", "blobs", "snapshots", "ranges"];

#[test]
fn of_a_whole_store_every_object_is_counted_and_nothing_is_found() {
    let place = scratch("verify-whole");
    let (data, cold) = (place.path().join("data"), place.path().join("cold"));
    let daemon = Daemon::start(options(&data, &cold, None));
    fill(&daemon);
    for folder in FOLDERS {
        assert!(!objects(&cold, folder).is_empty(), "nothing in {folder}");
    }
    let told = Told::by(&daemon, &[]);
    told.is_clean();
    let listed = coldpost_testkit::place::files(&cold).len();
    let listed = u64::try_from(listed).must("a count");
    assert_eq!(told.count("objects"), listed, "{told:#?}");
    let kinds = told.lines.iter().filter(|l| l["event"] == "totals");
    for totals in kinds.clone() {
        assert_eq!(totals["objects"], totals["referenced"], "{totals}");
    }
    let kinds = kinds.count();
    assert_eq!(kinds, FOLDERS.len() + 1, "and the claims: {told:#?}");
    let gets = told.lines.last().must("an end")["requests"]["get"].as_u64();
    assert!(gets <= Some(4), "it reads claims alone: {told:#?}");
}

#[test]
fn what_is_missing_or_cut_short_is_said_with_whose_mail_is_gone() {
    let place = scratch("verify-missing");
    let (data, cold) = (place.path().join("data"), place.path().join("cold"));
    let mut daemon = Daemon::start(options(&data, &cold, None));
    fill(&daemon);
    let away = place.path().join("away");
    let missing = objects(&cold, "segments/0001").pop().must("a segment");
    let cut = objects(&cold, "blocks").remove(0);
    let blob = objects(&cold, "blobs").remove(0);
    let whole = fs::read(&cut).must("a block");
    fs::rename(&missing, &away).must("taking a segment away");
    let taken = fs::read(&blob).must("a blob");
    fs::remove_file(&blob).must("removing a blob");
    daemon.restart();
    let victims = unreadable(&daemon);
    assert!(victims.len() > 5, "{victims:?}");
    // Some of what is in it may be readable: who reads it says which.
    truncate(&cut);
    let lacking: BTreeSet<String> = [&missing, &cut, &blob].map(|o| name(&cold, o)).into();
    for how in ["running", "stopped"] {
        let told = Told::by(&daemon, &[]);
        assert_eq!(told.code, Some(DAMAGED), "{how}: {told:#?}");
        assert_eq!(told.of("damage"), lacking, "{how}");
        assert_eq!(told.victims(), victims, "{how}");
        assert_eq!(told.count("unchecked"), 0, "{how}: {told:#?}");
        daemon.stop();
    }
    fs::rename(&away, &missing).must("bringing it back");
    fs::write(&cut, whole).must("writing it again");
    fs::write(&blob, taken).must("writing it again");
    daemon.restart();
    Told::by(&daemon, &[]).is_clean();
    assert_eq!(unreadable(&daemon), Victims::new());
}

#[test]
fn what_nobody_refers_to_and_what_is_not_ours_is_named_and_left_alone() {
    let place = scratch("verify-unknown");
    let (data, cold) = (place.path().join("data"), place.path().join("cold"));
    let mut daemon = Daemon::start(options(&data, &cold, None));
    fill(&daemon);
    let id = "00000000000000aa00000000000000bb";
    let unknown = [
        format!("blocks/0001/{id}"),
        format!("blobs/0001/{id}"),
        format!("ranges/0000/{id}"),
        "segments/0001/00000001/0000000000000003".to_owned(),
        "segments/00ff/00000001/0000000000000001".to_owned(),
        "tails/0001/00000001/0000000000000001-0000000000000002".to_owned(),
        format!("probes/{id}"),
    ];
    let foreign = ["README.txt", "blocks/0001/x", "segments-old/a/b"].map(str::to_owned);
    for name in unknown.iter().chain(&foreign) {
        put(&cold.join(name), b"something");
    }
    let hours = SystemTime::now() - Duration::from_secs(7_200);
    let probe = cold.join(format!("probes/{id}"));
    let probe = File::options().write(true).open(probe).must("a probe");
    probe.set_modified(hours).must("making it old");
    // A check is at work.
    put(&cold.join("probes/00000000000000cc00000000000000dd"), b"x");
    for (how, more) in [
        ("running", &[][..]),
        ("stopped", &[]),
        ("mended", &["--repair"]),
    ] {
        let told = Told::by(&daemon, more);
        assert_eq!(told.code, Some(0), "{how}: {told:#?}");
        assert_eq!(
            told.of("unknown"),
            unknown.iter().cloned().collect(),
            "{how}"
        );
        assert_eq!(
            told.of("foreign"),
            foreign.iter().cloned().collect(),
            "{how}"
        );
        for key in ["damaged", "unchecked", "unconfirmed", "mended"] {
            assert_eq!(told.count(key), 0, "{how}, {key}: {told:#?}");
        }
        let bytes = u64::try_from(unknown.len() * "something".len()).must("a number");
        assert_eq!(told.count("unknown_bytes"), bytes, "{how}");
        daemon.stop();
    }
    for name in unknown.iter().chain(&foreign) {
        assert!(cold.join(name).exists(), "{name}");
    }
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().must("a folder")).must("making a folder");
    fs::write(path, bytes).must("writing an object");
}

/// Every way in which an object of each folder can be wrong, all at once.
fn spoil(store: &Path) -> BTreeSet<String> {
    let mut spoilt = BTreeSet::new();
    for (at, folder) in FOLDERS.iter().enumerate() {
        let objects = objects(store, folder);
        for (way, object) in objects.iter().enumerate().take(3) {
            match (way + at) % 3 {
                0 => fs::remove_file(object).must("removing an object"),
                1 => truncate(object),
                _ => flip(object),
            }
            spoilt.insert(name(store, object));
        }
    }
    let claim = objects(store, "epochs/0001").remove(0);
    fs::remove_file(&claim).must("removing a claim");
    spoilt.insert(name(store, &claim));
    spoilt
}

/// All mail is read from this copy while the other is away.
fn assert_alone(daemon: &mut Daemon, other: &Path) {
    let away = other.with_extension("away");
    fs::rename(other, &away).must("taking a copy away");
    daemon.restart();
    assert_eq!(
        unreadable(daemon),
        Victims::new(),
        "without {}",
        other.display()
    );
    fs::rename(&away, other).must("bringing it back");
}

#[test]
fn either_copy_is_mended_from_the_other_and_gives_all_mail_by_itself() {
    let place = scratch("verify-mirror");
    let data = place.path().join("data");
    let copies = ["first", "second"].map(|name| place.path().join(name));
    let mut daemon = Daemon::start(options(&data, &copies[0], Some(&copies[1])));
    fill(&daemon);
    Told::by(&daemon, &[]).is_clean();
    for (spoilt, other) in [(0, 1), (1, 0)] {
        let (copy, other) = (&copies[spoilt], &copies[other]);
        let wrong = spoil(copy);
        daemon.restart();
        // By listing alone a flipped bit is not seen; the other copy has everything.
        let told = Told::by(&daemon, &[]);
        assert_eq!(told.code, Some(DAMAGED), "{told:#?}");
        assert!(told.of("damage").is_subset(&wrong), "{told:#?}");
        assert_eq!(told.victims(), Victims::new());
        if spoilt == 1 {
            daemon.stop();
        }
        let told = Told::by(&daemon, &["--repair"]);
        assert_eq!(told.of("mended"), wrong, "{told:#?}");
        told.is_clean();
        let again = Told::by(&daemon, &["--repair"]);
        assert_eq!(again.count("mended"), 0, "{again:#?}");
        assert_alone(&mut daemon, other);
        daemon.restart();
    }

    // What neither has whole is not called mended, and the whole of the other is not overwritten with it.
    let [first, second] = copies.each_ref().map(|c| objects(c, "blocks").remove(0));
    flip(&first);
    truncate(&second);
    daemon.restart();
    let victims = unreadable(&daemon);
    let told = Told::by(&daemon, &["--repair"]);
    assert_eq!(
        (told.code, told.count("mended")),
        (Some(DAMAGED), 0),
        "{told:#?}"
    );
    assert_eq!(told.of("damage"), [name(&copies[0], &first)].into());
    assert!(!victims.is_empty());
}

#[test]
fn a_mirror_that_is_added_later_is_filled_and_then_gives_all_mail_alone() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let place = scratch("verify-added");
    let (data, cold) = (place.path().join("data"), place.path().join("cold"));
    let mut daemon = Daemon::start(options(&data, &cold, None));
    fill(&daemon);
    let endpoint = format!("http://{}", weed.s3_addr());
    daemon.reconfigure(|options| {
        options
            .text("cold", "mirror", &format!("s3://{BUCKET}/added"))
            .text("cold", "mirror_endpoint", &endpoint)
            .text("cold", "mirror_region", "us-east-1")
            .text("cold", "mirror_access_key_id", ACCESS_KEY)
            .text("cold", "mirror_secret_access_key", SECRET_KEY)
            .raw("cold", "mirror_allow_http", "true")
    });
    daemon.restart();
    let is_said = || {
        daemon
            .json(&["status"])
            .to_string()
            .contains("does not hold this store")
    };
    wait::until("what the mirror lacks in status", MINUTE, is_said);
    let told = Told::by(&daemon, &[]);
    assert_eq!(
        told.code,
        Some(DAMAGED),
        "an empty one is no mirror: {told:#?}"
    );
    let told = Told::by(&daemon, &["--repair"]);
    told.is_clean();
    wait::until("a whole mirror in status", MINUTE, || !is_said());
    let there = u64::try_from(contents(&cold).len()).must("a count");
    assert_eq!(told.count("mended"), there, "{told:#?}");
    Told::by(&daemon, &[]).is_clean();

    // Objects that S3 loses come back from the directory.
    let lost: BTreeSet<String> = FOLDERS
        .iter()
        .map(|folder| name(&cold, &objects(&cold, folder)[0]))
        .collect();
    for name in &lost {
        weed.delete(&format!("added/{name}"));
    }
    assert_eq!(Told::by(&daemon, &[]).of("damage"), lost);
    let told = Told::by(&daemon, &["--repair"]);
    assert_eq!(told.of("mended"), lost, "{told:#?}");
    assert_alone(&mut daemon, &cold);
}

/// After a start of the machine without the first one's file system all went on, and what was put went below, unnoticed.
#[test]
fn a_store_of_two_that_is_not_mounted_is_said_to_be() {
    let place = scratch("verify-unmounted");
    let [data, cold, mirror, aside] =
        ["data", "cold", "mirror", "aside"].map(|name| place.path().join(name));
    let mut daemon = Daemon::start(options(&data, &cold, Some(&mirror)));
    deliver(&daemon, 0..3);
    for store in [&cold, &mirror] {
        fs::rename(store, &aside).must("unmounting");
        fs::create_dir(store).must("the directory below");
        daemon.restart();
        let words = format!("{} does not hold this store", store.display());
        let is_said = || daemon.json(&["status"]).to_string().contains(&words);
        wait::until("what is not mounted in status", MINUTE, is_said);
        fs::rename(store, store.with_extension("below")).must("what went below");
        fs::rename(&aside, store).must("mounting");
        wait::until("both in status", MINUTE, || !is_said());
    }
}

#[test]
fn beside_deliveries_compaction_and_deletion_nothing_is_found() {
    let place = scratch("verify-beside");
    let (data, cold) = (place.path().join("data"), place.path().join("cold"));
    let options = options(&data, &cold, None)
        .text("cold", "grace", "0s")
        .text("cold", "retention", "0s");
    let mut daemon = Daemon::start(options);
    fill(&daemon);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut imap = daemon.imap(USER);
            imap.command("SELECT INBOX").ok();
            for round in 0..6 {
                deliver(&daemon, round * 10..round * 10 + 10);
                let first = round * 8 + 1;
                let last = first + 7;
                imap.command(&format!("UID STORE {first}:{last} +FLAGS (\\Deleted)"))
                    .ok();
                imap.command("EXPUNGE").ok();
                run(&daemon, "compact", &[]);
                run(&daemon, "snapshot", &["now"]);
                run(&daemon, "gc", &["--apply"]);
            }
            is_over.store(true, Ordering::Release);
        });
        let mut looks = 0;
        while !is_over.load(Ordering::Acquire) && !work.is_finished() {
            Told::by(&daemon, if looks % 3 == 2 { &["--repair"] } else { &[] }).is_clean();
            looks += 1;
        }
        assert!(work.join().is_ok(), "the work failed");
        assert!(looks >= 3, "{looks} looks");
    });
    Told::by(&daemon, &[]).is_clean();
    // What the hot tier had not applied yet counts too.
    deliver(&daemon, 0..MESSAGES / 2);
    daemon.kill();
    Told::by(&daemon, &[]).is_clean();
}

/// Files of a store with what is in them, but for the probes of checks.
fn contents(store: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = coldpost_testkit::place::files(store);
    files.retain(|path| !path.starts_with(store.join("probes")));
    files.sort();
    let read = |path: PathBuf| (path.clone(), fs::read(path).must("an object"));
    files.into_iter().map(read).collect()
}

#[test]
fn a_store_that_is_empty_or_somebody_elses_is_said_to_be_and_not_written_to() {
    let place = scratch("verify-whose");
    let [data, cold, other_data, other, empty] =
        ["data", "cold", "other-data", "other", "empty"].map(|name| place.path().join(name));
    let mut daemon = Daemon::start(options(&other_data, &other, None));
    fill(&daemon);
    daemon.stop();
    let theirs = contents(&other);
    let mut daemon = Daemon::start(options(&data, &cold, None));
    fill(&daemon);
    daemon.stop();
    fs::create_dir(&empty).must("an empty directory");
    let url = |path: &Path| format!("file://{}", path.display());

    // It may be one that is not mounted: nothing in it is called missing one by one, nothing is put there.
    daemon.reconfigure(|options| options.environment("COLDPOST_COLD__URL", &url(&empty)));
    for more in [&[][..], &["--repair"]] {
        let told = Told::by(&daemon, more);
        assert_eq!(told.code, Some(DAMAGED), "{told:#?}");
        assert!(
            told.of("damage")
                .iter()
                .all(|name| name.starts_with("epochs/")),
            "{told:#?}"
        );
        assert_eq!(told.count("unchecked"), 1, "{told:#?}");
    }
    assert_eq!(contents(&empty), vec![]);

    // Another store as ours, and as a mirror of ours.
    daemon.reconfigure(|options| options.environment("COLDPOST_COLD__URL", &url(&other)));
    let told = Told::by(&daemon, &[]);
    assert_eq!(
        (told.code, told.count("objects")),
        (Some(DAMAGED), 0),
        "{told:#?}"
    );
    daemon.reconfigure(|options| {
        let ours = options.environment("COLDPOST_COLD__URL", &url(&cold));
        ours.environment("COLDPOST_COLD__MIRROR", &url(&other))
    });
    for more in [&[][..], &["--repair"]] {
        let told = Told::by(&daemon, more);
        assert_eq!(
            (told.code, told.count("mended")),
            (Some(DAMAGED), 0),
            "{told:#?}"
        );
        let ours = u64::try_from(contents(&cold).len()).must("a count");
        assert_eq!(told.count("objects"), ours, "{told:#?}");
        assert_eq!(told.count("unknown"), 0, "{told:#?}");
    }
    assert_eq!(contents(&other), theirs);
}

/// All files below a directory.
fn copy_tree(from: &Path, to: &Path) {
    for file in coldpost_testkit::place::files(from) {
        let path = to.join(file.strip_prefix(from).must("a path below"));
        fs::create_dir_all(path.parent().must("a folder")).must("making a folder");
        fs::copy(&file, path).must("copying a file");
    }
}

fn sealed(data: &Path) -> Vec<PathBuf> {
    let mut files = coldpost_testkit::place::files(&data.join("shards/0001/journal"));
    files.retain(|path| path.extension().is_some_and(|e| e == "seg"));
    files
}

/// What was uploaded, and whose `stored` was lost with a disk, was nobody's concern for ever.
#[test]
fn what_is_in_the_store_and_was_never_confirmed_is_confirmed() {
    let place = scratch("verify-forgotten");
    let [data, before, cold, away] =
        ["data", "before", "cold", "away"].map(|name| place.path().join(name));
    let mut daemon = Daemon::start(options(&data, &cold, None));
    fs::rename(&cold, &away).must("taking the store away");
    deliver(&daemon, 0..MESSAGES);
    daemon.stop();
    assert!(!sealed(&data).is_empty());
    copy_tree(&data, &before);
    fs::rename(&away, &cold).must("bringing the store back");
    daemon.restart();
    settled(&daemon);
    daemon.stop();
    let stored: BTreeSet<String> = objects(&cold, "segments/0001")
        .iter()
        .chain(&objects(&cold, "blobs"))
        .map(|object| name(&cold, object))
        .collect();

    for keeps_files in [true, false] {
        fs::remove_dir_all(&data).must("losing the disk");
        copy_tree(&before, &data);
        if !keeps_files {
            let blobs = coldpost_testkit::place::files(&data.join("shards/0001/blobs"));
            for file in sealed(&data).into_iter().chain(blobs) {
                fs::remove_file(file).must("losing a file");
            }
            let told = Told::by(&daemon, &[]);
            assert_eq!(told.of("unconfirmed"), stored, "{told:#?}");
            assert_eq!(told.code, Some(0), "{told:#?}");
            // Neither here nor there.
            let gone = objects(&cold, "segments/0001").remove(0);
            fs::rename(&gone, &away).must("taking an object away");
            let told = Told::by(&daemon, &[]);
            assert_eq!(told.of("damage"), [name(&cold, &gone)].into());
            assert!(!told.victims().is_empty(), "{told:#?}");
            fs::rename(&away, &gone).must("bringing it back");
        }
        daemon.restart();
        if keeps_files {
            // Sent again, found there, confirmed, evicted.
            settled(&daemon);
        } else {
            let told = Told::by(&daemon, &["--repair"]);
            assert_eq!(told.of("mended"), stored, "{told:#?}");
        }
        Told::by(&daemon, &[]).is_clean();
        daemon.restart();
        assert_eq!(unreadable(&daemon), Victims::new());
        daemon.stop();
    }
}
