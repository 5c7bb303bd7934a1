//! kill -9 while compaction, snapshots and the collection of garbage run beside the load: nothing is lost, and nothing stays for ever.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::{Daemon, Must, Options, tool, wait};

use crate::facts::Facts;
use crate::{Server, USERS, load};

/// What runs beside the load, over and over.
const WORK: [&[&str]; 3] = [&["compact"], &["snapshot", "now"], &["gc", "--apply"]];
/// Rounds of it, at most, before the kill.
const ROUNDS_OF_WORK: usize = 40;

fn options() -> Options {
    let options = Options::new(env!("CARGO_BIN_EXE_coldpost"))
        .text("journal", "segment_size", "1MiB")
        .text("mail", "attachment_threshold", "1KiB")
        .text("hot", "local_bodies", "1MiB");
    let now = |options: Options, key| options.text("cold", key, "0s");
    let keys = ["segment_age", "retention", "grace"];
    keys.into_iter().fold(options, now)
}

fn command(daemon: &Daemon, words: &[&str]) -> Command {
    let (first, rest) = words.split_first().must("a command");
    let mut command = daemon.command(first);
    command.args(rest);
    command
}

/// Runs one after the other until one fails, for the daemon is not there any more; says which, by its place among them.
fn work(commands: Vec<Command>) -> Option<usize> {
    let mut commands = commands.into_iter().enumerate();
    commands.find_map(|(at, mut command)| {
        let done = command.output().must("running coldpost");
        (!done.status.success()).then_some(at)
    })
}

fn settle(daemon: &Daemon) {
    for words in WORK.iter().cycle().take(3 * WORK.len()) {
        daemon.ok(words);
    }
}

/// The bucket has what is referred to, and nothing else.
fn nothing_unknown(daemon: &Daemon) {
    let end = daemon.json(&["verify", "--bucket"]);
    assert_eq!(
        (&end["unknown"], &end["damaged"]),
        (&0.into(), &0.into()),
        "{end}"
    );
}

#[test]
fn what_was_acknowledged_survives_kill_9_in_compaction_snapshots_and_collection() {
    let mut dice = Dice::from_env();
    let rounds = if tool::long() { 300 } else { 14 };
    let mut daemon = Daemon::start(options());
    let mut facts: Vec<Facts> = USERS.iter().map(|user| Facts::new(user)).collect();
    let mut cut: BTreeMap<&str, usize> = BTreeMap::new();
    for round in 0..rounds {
        let server = Server::of(&daemon);
        let span = Duration::from_millis(50 + dice.below(1_200));
        // Each of them is the first, and what a quick kill hits, in its turn.
        let all = WORK.iter().cycle().skip(round % WORK.len());
        let all = all.take(ROUNDS_OF_WORK * WORK.len());
        let commands = all.map(|words| command(&daemon, words)).collect();
        let tried = load(&server, &mut facts, round, &mut dice, || {
            std::thread::scope(|scope| {
                let work = scope.spawn(|| work(commands));
                wait::pause(span);
                daemon.kill();
                if let Some(which) = work.join().ok().must("the work") {
                    *cut.entry(WORK[(round + which) % WORK.len()][0])
                        .or_default() += 1;
                }
            });
        });
        daemon.restart();
        let server = Server::of(&daemon);
        for facts in &mut facts {
            facts.verify(&server, &tried, &mut dice);
        }
    }
    println!("{rounds} rounds, cut short: {cut:?}");
    let compactions = cut.get("compact").copied().unwrap_or_default();
    assert!(
        compactions > rounds / 5,
        "the kills hit other things: {cut:?}"
    );
    settle(&daemon);
    nothing_unknown(&daemon);
    daemon.stop();
    // From the bucket alone.
    daemon.remove_local_mail();
    daemon.ok(&["verify"]);
    daemon.restart();
    let server = Server::of(&daemon);
    for facts in &mut facts {
        facts.verify(&server, &[], &mut dice);
    }
}
