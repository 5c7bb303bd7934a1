//! kill -9 at random moments under load: what was acknowledged is there, exactly once, as acknowledged.
//!
//! Promises: the seed is printed; what a session was waiting for when the process died may have happened or not, everything else is known.

#[path = "crash/changes.rs"]
mod changes;
#[path = "crash/compaction.rs"]
mod compaction;
#[path = "crash/deliveries.rs"]
mod deliveries;
#[path = "crash/facts.rs"]
mod facts;
#[path = "crash/groups.rs"]
mod groups;
#[path = "crash/mail.rs"]
mod mail;
#[path = "crash/newcomers.rs"]
mod newcomers;

use std::sync::Mutex;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::dovecot::{Dovecot, Kind, PASSWORD};
use coldpost_testkit::tool::{self, DOVECOT, ROOT};
use coldpost_testkit::{Daemon, Must, Options, have, wait};

use deliveries::Delivery;
use facts::Facts;

/// Connections that deliver.
const DELIVERING: usize = 8;
/// Users, and sessions that change mail: one each.
const USERS: [&str; 4] = [
    "ann@example.org",
    "ben@example.org",
    "cyd@example.org",
    "dan@example.org",
];

/// Where a server listens and what lets everybody in.
#[derive(Clone, Debug)]
struct Server {
    imap: std::net::SocketAddr,
    lmtp: std::net::SocketAddr,
    password: String,
}

impl Server {
    fn of(daemon: &Daemon) -> Server {
        Server {
            imap: daemon.imap_addr(),
            lmtp: daemon.lmtp_addr(),
            password: daemon.password(),
        }
    }
}

/// Load until `end` has returned; gives the deliveries that were tried.
fn load(
    server: &Server,
    facts: &mut [Facts],
    round: usize,
    dice: &mut Dice,
    end: impl FnOnce(),
) -> Vec<Delivery> {
    let (tried, over) = (Mutex::new(Vec::new()), Mutex::new(false));
    std::thread::scope(|scope| {
        for connection in 0..DELIVERING {
            let (dice, tried, over) = (dice.fork(), &tried, &over);
            scope.spawn(move || {
                deliveries::deliver(server, &format!("{round}-{connection}"), dice, tried, over)
            });
        }
        for facts in facts {
            let (dice, over) = (dice.fork(), &over);
            scope.spawn(move || changes::change(server, facts, round, dice, over));
        }
        end();
        *over.lock().must("the end of the load") = true;
    });
    tried.into_inner().must("the deliveries")
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let mut dice = Dice::from_env();
    let rounds = if tool::long() { 500 } else { 30 };
    let options =
        Options::new(env!("CARGO_BIN_EXE_coldpost")).text("journal", "segment_size", "1MiB");
    let mut daemon = Daemon::start(options);
    let mut facts: Vec<Facts> = USERS.iter().map(|user| Facts::new(user)).collect();
    let (mut starts, mut acknowledged, mut unanswered) = (Vec::new(), 0, 0);
    for round in 0..rounds {
        let server = Server::of(&daemon);
        let span = Duration::from_millis(30 + dice.below(500));
        let tried = load(&server, &mut facts, round, &mut dice, || {
            wait::pause(span);
            daemon.kill();
        });
        daemon.restart();
        starts.push(daemon.started_in());
        let server = Server::of(&daemon);
        for facts in &mut facts {
            facts.verify(&server, &tried, &mut dice);
        }
        acknowledged += tried
            .iter()
            .filter(|delivery| delivery.acknowledged)
            .count();
        unanswered += tried
            .iter()
            .filter(|delivery| !delivery.acknowledged)
            .count();
    }
    starts.sort();
    println!("{rounds} rounds, {acknowledged} deliveries acknowledged, {unanswered} unanswered");
    println!(
        "starts: median {:?}, longest {:?}",
        starts[rounds / 2],
        starts[rounds - 1]
    );
    assert!(
        acknowledged > rounds * 5 && unanswered > rounds / 3,
        "too little load to prove anything"
    );
    // The promise of a second is the release build's (docs/benchmarks.md); this is ten times the median of a debug build. In hundreds of
    // rounds the machine itself is busy now and then.
    let counted = if tool::long() {
        &starts[..rounds * 9 / 10]
    } else {
        &starts[..]
    };
    assert!(
        counted.iter().all(|start| *start < Duration::from_secs(5)),
        "starts took {starts:?}"
    );
}

#[test]
fn the_check_accepts_dovecot_that_is_not_killed() {
    if !have(&[DOVECOT, ROOT]) {
        return;
    }
    let dovecot = Dovecot::start(&Kind::Maildir);
    let server = Server {
        imap: dovecot.imap_addr(),
        lmtp: dovecot.lmtp_addr(),
        password: PASSWORD.to_owned(),
    };
    let mut dice = Dice::from_env();
    let mut facts: Vec<Facts> = USERS.iter().map(|user| Facts::new(user)).collect();
    for round in 0..2 {
        let tried = load(&server, &mut facts, round, &mut dice, || {
            wait::pause(Duration::from_secs(1))
        });
        for facts in &mut facts {
            facts.verify(&server, &tried, &mut dice);
        }
    }
    let forgery = Delivery {
        id: "never-sent".to_owned(),
        users: vec![USERS[0]],
        acknowledged: true,
    };
    let verify = std::panic::AssertUnwindSafe(|| facts[0].verify(&server, &[forgery], &mut dice));
    assert!(
        std::panic::catch_unwind(verify).is_err(),
        "a lost message goes unnoticed"
    );
}
