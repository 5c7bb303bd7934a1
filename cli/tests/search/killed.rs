//! kill -9 while texts are taken, written, merged and made again, and damage to their files: the right answer, or none yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::{Daemon, Must, Options, place, tool, wait};

use crate::{ANN, BINARY};

const ROUNDS: usize = 5;
const ROUNDS_LONG: usize = 50;
/// Connections that deliver.
const DELIVERING: usize = 2;
/// Needles that are looked for after each round.
const NEEDLES: usize = 20;
/// Words of which every message has one.
const SHARED: u32 = 7;
/// Bytes of the longest text.
const TEXT_MAX: u64 = 300_000;
/// Messages beyond which the oldest are expunged while others come.
const MESSAGES_MAX: usize = 80;
/// How long an answer may be `NO [UNAVAILABLE]`, while texts are made again.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);

/// What becomes of the files of text while nothing runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Nothing,
    Flips,
    Cut,
    Gone,
    Manifest,
    AllGone,
}

impl Damage {
    /// A round's: those of the first four are always the same.
    fn of(round: usize, dice: &mut Dice) -> Damage {
        let all = [
            Damage::Flips,
            Damage::Cut,
            Damage::Gone,
            Damage::Manifest,
            Damage::Nothing,
            Damage::AllGone,
        ];
        match round {
            0..4 => all[round],
            _ => *dice.pick(&all),
        }
    }

    /// Does it; gives how many files it met.
    fn happens(self, data: &Path, dice: &mut Dice) -> usize {
        let files: Vec<PathBuf> = place::files(&data.join("shards"))
            .into_iter()
            .filter(|path| path.parent().is_some_and(|dir| dir.ends_with("text")))
            .collect();
        let is_manifest = |path: &PathBuf| path.ends_with("manifest");
        let runs: Vec<&PathBuf> = files.iter().filter(|path| !is_manifest(path)).collect();
        // About half of them, and the first one that was drawn.
        let first = dice.index(runs.len());
        let some = runs
            .iter()
            .enumerate()
            .filter(|(at, _)| *at == first || dice.below(2) == 0);
        let some: Vec<&PathBuf> = some.map(|(_, path)| *path).collect();
        let met: Vec<&PathBuf> = match self {
            Damage::Nothing => vec![],
            Damage::Flips | Damage::Cut | Damage::Gone => some,
            Damage::Manifest => files.iter().filter(|path| is_manifest(path)).collect(),
            Damage::AllGone => files.iter().collect(),
        };
        for path in &met {
            let mut bytes = fs::read(path).must("reading a file of text");
            match self {
                Damage::Gone | Damage::AllGone => {
                    fs::remove_file(path).must("removing a file of text");
                    continue;
                }
                Damage::Cut => bytes.truncate(dice.index(bytes.len())),
                Damage::Manifest if dice.below(2) == 0 => bytes.truncate(dice.index(bytes.len())),
                _ => {
                    // A file that was begun when the daemon died may have none.
                    let flips = if bytes.is_empty() {
                        0
                    } else {
                        1 + dice.below(9)
                    };
                    for _ in 0..flips {
                        let at = dice.index(bytes.len());
                        bytes[at] ^= 1 << dice.below(8);
                    }
                }
            }
            fs::write(path, bytes).must("damaging a file of text");
        }
        met.len()
    }
}

/// Where a needle is looked for.
const KEYS: [&str; 2] = ["BODY", "TEXT"];

/// The message of a number: always the same bytes.
fn message(number: u32) -> Vec<u8> {
    let mut dice = Dice::new(u64::from(number));
    let mut text = format!(
        "Subject: {number}\r\nX-Fact: trace{number}q\r\n\r\nBegin fact{number}q shared{}z\r\n",
        number % SHARED
    );
    let size = usize::try_from(dice.below(TEXT_MAX)).must("a length");
    while text.len() < size {
        text += &format!("{:016x} {:016x} filler\r\n", dice.draw(), dice.draw());
    }
    text.into_bytes()
}

/// Whether SEARCH with this key has to find a message.
fn has(number: u32, key: &str, needle: &str) -> bool {
    let words = [
        format!("fact{number}q"),
        format!("shared{}z", number % SHARED),
    ];
    let is_in_body = words.iter().any(|word| word == needle);
    is_in_body || key == "TEXT" && format!("trace{number}q") == needle
}

/// What is known of INBOX.
#[derive(Default)]
struct Known {
    /// Numbers that were tried, in order.
    tried: Vec<u32>,
    acknowledged: BTreeSet<u32>,
    /// Perhaps expunged, or for certain.
    expunging: BTreeSet<u32>,
    expunged: BTreeSet<u32>,
}

/// Delivers one after the other until the daemon is gone.
fn deliver(addr: SocketAddr, known: &Mutex<Known>) {
    let Ok(mut lmtp) = Lmtp::try_connect(addr) else {
        return;
    };
    loop {
        let number = {
            let tried = &mut known.lock().must("what is known").tried;
            let number = u32::try_from(tried.len()).must("a number");
            tried.push(number);
            number
        };
        let Ok(replies) = lmtp.try_deliver("a@example.org", &[ANN], &message(number)) else {
            return;
        };
        assert!(replies[0].is_ok(), "{replies:?}");
        known
            .lock()
            .must("what is known")
            .acknowledged
            .insert(number);
    }
}

/// By UID the numbers of what is there.
fn present(imap: &mut Imap) -> BTreeMap<u32, u32> {
    imap.command("SELECT INBOX").ok();
    let fetched = imap.fetch("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
    let number = |field: Vec<u8>| {
        let text = String::from_utf8(field).must("text");
        text.trim()
            .strip_prefix("Subject: ")
            .and_then(|number| number.parse().ok())
            .must("a number")
    };
    let uids = fetched.iter();
    let uids = uids.map(|one| {
        (
            one.uid(),
            number(one.bytes("BODY[HEADER.FIELDS (SUBJECT)]")),
        )
    });
    uids.collect()
}

/// Expunges the oldest of what is too much.
fn expunge(daemon: &Daemon, known: &Mutex<Known>) {
    let mut imap = daemon.imap(ANN);
    let present = present(&mut imap);
    let too_many = present.len().saturating_sub(MESSAGES_MAX);
    let going: Vec<(&u32, &u32)> = present.iter().take(too_many).collect();
    let numbers: Vec<u32> = going.iter().map(|(_, number)| **number).collect();
    known
        .lock()
        .must("what is known")
        .expunging
        .extend(&numbers);
    for (uid, _) in going {
        imap.command(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"))
            .ok();
    }
    imap.command("EXPUNGE").ok();
    known.lock().must("what is known").expunged.extend(&numbers);
}

/// The answer, once there is one.
fn answered(imap: &mut Imap, command: &str) -> Vec<u32> {
    let begun = Instant::now();
    loop {
        let reply = imap.command(command);
        if reply.is_ok() {
            return reply.search();
        }
        let waits = reply.code("UNAVAILABLE").is_some() && begun.elapsed() < ANSWERED_WITHIN;
        assert!(waits, "{command}: {reply:?}");
        wait::pause(Duration::from_millis(50));
    }
}

/// Compares what is there with what was acknowledged, and what is found with what is there.
fn verify(daemon: &Daemon, known: &Known, dice: &mut Dice) {
    let mut imap = daemon.imap(ANN);
    let present = present(&mut imap);
    let numbers: BTreeSet<u32> = present.values().copied().collect();
    assert_eq!(numbers.len(), present.len(), "a message is there twice");
    let kept = known.acknowledged.difference(&known.expunging);
    let lost: Vec<&u32> = kept.filter(|number| !numbers.contains(number)).collect();
    assert!(lost.is_empty(), "acknowledged, not there: {lost:?}");
    assert!(
        numbers.is_disjoint(&known.expunged),
        "expunged, still there"
    );
    for at in 0..NEEDLES {
        let number = *dice.pick(&known.tried);
        let needle = match at % 4 {
            0 | 1 => format!("fact{number}q"),
            2 => format!("trace{number}q"),
            // One of them is in no message.
            _ => format!("shared{}z", dice.below(u64::from(SHARED) + 1)),
        };
        for key in KEYS {
            let found = answered(&mut imap, &format!("UID SEARCH {key} {needle}"));
            let expected = present
                .iter()
                .filter(|(_, number)| has(**number, key, &needle));
            let expected: Vec<u32> = expected.map(|(uid, _)| *uid).collect();
            assert_eq!(found, expected, "{key} {needle}");
        }
    }
}

#[test]
fn a_search_is_right_after_kill_9_at_any_moment_and_whatever_became_of_its_files() {
    let mut dice = Dice::from_env();
    let rounds = if tool::long() { ROUNDS_LONG } else { ROUNDS };
    let options = Options::new(BINARY).text("journal", "segment_size", "1MiB");
    let mut daemon = Daemon::start(options);
    let known = Mutex::new(Known::default());
    for round in 0..rounds {
        let lmtp = daemon.lmtp_addr();
        std::thread::scope(|scope| {
            for _ in 0..DELIVERING {
                scope.spawn(|| deliver(lmtp, &known));
            }
            expunge(&daemon, &known);
            wait::pause(Duration::from_millis(500 + dice.below(1_500)));
            daemon.kill();
        });
        let damage = Damage::of(round, &mut dice);
        let met = damage.happens(daemon.data_dir(), &mut dice);
        daemon.restart();
        let started = daemon.started_in();
        if damage != Damage::Nothing {
            // Its texts are being made again.
            wait::pause(Duration::from_millis(dice.below(600)));
            daemon.kill();
            daemon.restart();
        }
        let verified = Instant::now();
        let known = known.lock().must("what is known");
        verify(&daemon, &known, &mut dice);
        println!(
            "round {round}: {} acknowledged, {} expunged, {damage:?} of {met} files, started in {started:.1?}, looked at for {:.1?}",
            known.acknowledged.len(),
            known.expunged.len(),
            verified.elapsed()
        );
        drop(known);
        if round % 2 == 1 {
            // A clean stop writes what waits: small files, which are merged.
            assert!(daemon.stop().must("its end").success());
            daemon.restart();
        }
    }
    let known = known.into_inner().must("what is known");
    assert!(
        known.acknowledged.len() > rounds * 10,
        "too little load to prove anything"
    );
}
