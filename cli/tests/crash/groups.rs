//! kill -9 while an APPEND of several messages goes in: all of them are there after the restart, or none.

use std::sync::Mutex;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::Imap;
use coldpost_testkit::tool;
use coldpost_testkit::{Daemon, Must, Options};

use crate::facts::name_of;
use crate::mail::{FIELD, message};

const USER: &str = "ann@example.org";
/// Messages of one APPEND: each is an op of its own, so the kill has time to come between two of them.
const MESSAGES: std::ops::Range<u64> = 60..200;

/// One APPEND of several messages.
struct Group {
    round: usize,
    messages: usize,
}

impl Group {
    fn id(&self, number: usize) -> String {
        format!("group-{}-{number}", self.round)
    }

    /// The command without its tag, with literals that nobody waits for.
    fn command(&self) -> Vec<u8> {
        let mut command = b"APPEND Many".to_vec();
        for number in 0..self.messages {
            let message = message(&self.id(number));
            command.extend_from_slice(format!(" (Group) {{{}+}}\r\n", message.len()).as_bytes());
            command.extend_from_slice(&message);
        }
        command
    }
}

/// Appends a group and kills the daemon once another session has seen `seen` of its messages; whether it was acknowledged.
fn append_until_killed(daemon: &mut Daemon, group: &Group, before: u64, seen: u64) -> bool {
    let mut appending = daemon.imap(USER);
    let mut watching = daemon.imap(USER);
    let answered = Mutex::new(None);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let reply = appending.try_command_bytes(&group.command());
            let acknowledged = reply.map(|reply| reply.ok()).is_ok();
            *answered.lock().must("the answer") = Some(acknowledged);
        });
        while messages_in(&mut watching) < before + seen
            && answered.lock().must("the answer").is_none()
        {}
        daemon.kill();
    });
    let answered = answered.into_inner().must("the answer");
    answered.must("an end of the APPEND")
}

fn messages_in(imap: &mut Imap) -> u64 {
    let status = imap.command("STATUS Many (MESSAGES)").ok();
    let line = status.lines("STATUS").join(" ");
    let number = line.rsplit_once("MESSAGES ").must("a number").1;
    number.trim_end_matches(')').parse().must("a number")
}

#[test]
fn an_append_of_several_messages_that_kill_9_cuts_short_is_there_whole_or_not_at_all() {
    let mut dice = Dice::from_env();
    let rounds = if tool::long() { 150 } else { 12 };
    let options =
        Options::new(env!("CARGO_BIN_EXE_coldpost")).text("journal", "segment_size", "1MiB");
    let mut daemon = Daemon::start(options);
    daemon.imap(USER).command("CREATE Many").ok();
    let (mut there, mut uid_next, mut undone) = (Vec::new(), 1_u32, 0);
    for round in 0..rounds {
        let messages = usize::try_from(MESSAGES.start + dice.below(MESSAGES.end - MESSAGES.start))
            .must("a number");
        let group = Group { round, messages };
        let before = u64::try_from(there.len()).must("a number");
        let seen = 1 + dice.below(u64::try_from(messages).must("a number") - 1);
        let acknowledged = append_until_killed(&mut daemon, &group, before, seen);
        daemon.restart();

        let mut imap = daemon.imap(USER);
        let selected = imap.command("SELECT Many").ok();
        let next = selected.ok_code("UIDNEXT").must("UIDNEXT");
        let next: u32 = next.parse().must("a number");
        let items = format!("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS ({FIELD})])");
        let found: Vec<(u32, String)> = match messages_in(&mut imap) {
            0 => Vec::new(),
            _ => {
                let fetched = imap.fetch(&items);
                let flagged = |fetch: &coldpost_testkit::imap::Fetch| {
                    assert!(fetch.flags().contains(&"Group".to_owned()), "{fetch:?}");
                    (fetch.uid(), name_of(fetch))
                };
                fetched.iter().map(flagged).collect()
            }
        };
        let (old, new) = found.split_at(there.len().min(found.len()));
        assert_eq!(old, there, "round {round}: another group has changed");
        let ids: Vec<String> = new.iter().map(|(_, id)| id.clone()).collect();
        if acknowledged || !ids.is_empty() {
            let all: Vec<String> = (0..messages).map(|number| group.id(number)).collect();
            assert_eq!(ids, all, "round {round}: not the whole group");
            assert!(new.iter().all(|(uid, _)| (uid_next..next).contains(uid)));
        } else {
            // UIDs that others have seen are not given again.
            let given = uid_next + u32::try_from(seen).must("a number");
            assert!(next >= given, "round {round}: UIDNEXT is {next}");
            undone += 1;
        }
        there = found;
        uid_next = next;
    }
    println!("{rounds} rounds, {undone} groups undone");
    assert!(undone > rounds / 3, "the kills came too late");
}
