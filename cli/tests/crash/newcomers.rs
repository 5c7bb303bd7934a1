//! kill -9 while accounts are made: each has all of its first mailboxes after the restart, and what a user deleted stays away.

use std::sync::Mutex;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::{Daemon, Must, Options, wait};

use crate::Server;

const CONNECTIONS: usize = 4;
const ROUNDS: usize = 12;
/// What the defaults make.
const ALL: [&str; 4] = [
    r#"(\HasNoChildren \Subscribed \Drafts) "/" Drafts"#,
    r#"(\HasNoChildren \Subscribed \Junk) "/" Junk"#,
    r#"(\HasNoChildren \Subscribed \Sent) "/" Sent"#,
    r#"(\HasNoChildren \Subscribed \Trash) "/" Trash"#,
];

/// Somebody who had no account before.
#[derive(Clone, Debug)]
struct Newcomer {
    name: String,
    /// The login or the delivery was acknowledged.
    is_told: bool,
}

/// New accounts, by login and by delivery in turns, until the server is gone.
fn arrive(server: &Server, prefix: &str, arrived: &Mutex<Vec<Newcomer>>) {
    for number in 0.. {
        let name = format!("{prefix}-{number}@example.org");
        let newcomer = |is_told| Newcomer {
            name: name.clone(),
            is_told,
        };
        arrived.lock().must("the list").push(newcomer(false));
        let told = match number % 2 {
            0 => Imap::try_connect(server.imap).and_then(|mut imap| {
                let login = format!("LOGIN {name} {}", server.password);
                imap.try_command(&login).map(|reply| drop(reply.ok()))
            }),
            _ => Lmtp::try_connect(server.lmtp).and_then(|mut lmtp| {
                let mail = b"Subject: welcome\r\n\r\nhello\r\n";
                let replies = lmtp.try_deliver("a@example.org", &[&name], mail)?;
                assert!(replies.iter().all(|reply| reply.is_ok()), "{replies:?}");
                Ok(())
            }),
        };
        if told.is_err() {
            return;
        }
        let mut arrived = arrived.lock().must("the list");
        let mine = arrived.iter_mut().rev().find(|other| other.name == name);
        *mine.must("the one that was written down") = newcomer(true);
    }
}

/// The lines of LIST for all but INBOX.
fn listed(server: &Server, name: &str) -> Vec<String> {
    let mut imap = Imap::login(server.imap, name, &server.password);
    let command = r#"LIST "" * RETURN (SUBSCRIBED SPECIAL-USE)"#;
    let mut lines = imap.command(command).ok().lines("LIST");
    let inbox = lines.iter().position(|line| line.ends_with("INBOX"));
    lines.remove(inbox.must("INBOX"));
    lines
}

#[test]
fn accounts_that_kill_9_meets_while_they_are_made_have_all_their_first_mailboxes() {
    let mut dice = Dice::from_env();
    let mut daemon = Daemon::start(Options::new(env!("CARGO_BIN_EXE_coldpost")));
    let (mut told, mut untold, mut dropped) = (0, 0, None::<String>);
    for round in 0..ROUNDS {
        let server = Server::of(&daemon);
        let arrived = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for connection in 0..CONNECTIONS {
                let (server, arrived) = (&server, &arrived);
                scope.spawn(move || arrive(server, &format!("{round}-{connection}"), arrived));
            }
            wait::pause(Duration::from_millis(20 + dice.below(200)));
            daemon.kill();
        });
        daemon.restart();
        let server = Server::of(&daemon);
        let arrived = arrived.into_inner().must("the list");
        for newcomer in &arrived {
            assert_eq!(listed(&server, &newcomer.name), ALL, "{newcomer:?}");
        }
        if let Some(name) = &dropped {
            assert_eq!(listed(&server, name), ALL[1..], "Drafts came back");
        }
        // Somebody who was there before the next kill deletes one.
        let somebody = &dice.pick(&arrived).name;
        let mut imap = Imap::login(server.imap, somebody, &server.password);
        imap.command("DELETE Drafts").ok();
        imap.command("UNSUBSCRIBE Drafts").ok();
        dropped = Some(somebody.clone());
        let count = |is_told| arrived.iter().filter(|n| n.is_told == is_told).count();
        (told, untold) = (told + count(true), untold + count(false));
    }
    println!("{ROUNDS} rounds, {told} accounts told of, {untold} cut short");
    assert!(
        told > ROUNDS && untold > ROUNDS,
        "too little load to prove anything"
    );
}
