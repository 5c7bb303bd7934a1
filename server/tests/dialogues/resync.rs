//! A client that keeps a copy of a mailbox and is cut off again and again, beside another that changes it: what QRESYNC tells puts the
//! copy right, whenever that was (RFC 7162, 6).

use std::collections::BTreeMap;

use coldpost_testkit::dice::Dice;

use crate::server::{Connection, Server, Setup};

/// What happens in one run.
const ROUNDS: usize = 150;
/// UIDs below the next one that are named.
const REACH: u64 = 12;
const FLAGS: [&str; 4] = ["\\Seen", "\\Flagged", "\\Answered", "work"];

/// What the client knows.
#[derive(Default)]
struct Copy {
    /// Flags by UID.
    messages: BTreeMap<u32, String>,
    uid_validity: String,
    modseq: u64,
}

/// The text between `before` and `after`.
fn between<'l>(line: &'l str, before: &str, after: char) -> Option<&'l str> {
    line.split_once(before)?.1.split(after).next()
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    let number = text.trim_end_matches(')').parse().ok();
    number.unwrap_or_else(|| panic!("{text:?} is no number"))
}

impl Copy {
    /// Takes the answer to one command.
    fn take(&mut self, heard: &str) {
        let mut told = None;
        let mut seen = self.modseq;
        for line in heard.lines() {
            if let Some(vanished) = line.strip_prefix("* VANISHED ") {
                for range in vanished.trim_start_matches("(EARLIER) ").split(',') {
                    let (first, last) = range.split_once(':').unwrap_or((range, range));
                    let gone = number::<u32>(first)..=number(last);
                    self.messages.retain(|uid, _| !gone.contains(uid));
                }
            } else if line.contains(" FETCH (") {
                let uid = number(between(line, "UID ", ' ').expect("every FETCH has it"));
                if let Some(flags) = between(line, "FLAGS (", ')') {
                    self.messages.insert(uid, flags.replace("\\Recent", ""));
                }
                seen = seen.max(between(line, "MODSEQ (", ')').map_or(0, number));
            }
            told = between(line, "[HIGHESTMODSEQ ", ']').map(number).or(told);
        }
        // HIGHESTMODSEQ counts, even where a FETCH had more.
        self.modseq = told.unwrap_or(seen);
    }

    /// Comes back, and looks whether everything that it still knows is true; then it learns the rest.
    async fn come_back(&mut self, server: &Server) -> Connection {
        let mut connection = server.connect();
        let login = b"a LOGIN anna sesame\r\na ENABLE QRESYNC\r\n";
        connection.exchange(login, "a OK Enable").await;
        let known = match self.uid_validity.as_str() {
            "" => String::new(),
            of => format!(" (QRESYNC ({of} {}))", self.modseq),
        };
        let select = format!("b SELECT INBOX{known}\r\n");
        let heard = connection.exchange(select.as_bytes(), "b OK").await;
        let before = std::mem::take(&mut self.modseq);
        self.take(&heard);
        let of = between(&heard, "[UIDVALIDITY ", ']').expect("SELECT tells it");
        self.uid_validity = of.to_owned();
        let heard = connection
            .exchange(b"c UID FETCH 1:* (FLAGS)\r\n", "c OK")
            .await;
        let mut truth = Copy::default();
        truth.take(&heard);
        for (uid, flags) in &self.messages {
            let is = truth.messages.get(uid);
            assert_eq!(is, Some(flags), "UID {uid} of a client at modseq {before}");
        }
        self.messages = truth.messages;
        connection
    }
}

/// UIDs among the last that were given.
fn some_uids(dice: &mut Dice, given: u64) -> String {
    let uid = |dice: &mut Dice| (given + 1).saturating_sub(dice.below(REACH)).max(1);
    format!("{},{},{}", uid(dice), uid(dice), uid(dice))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_was_cut_off_anywhere_is_put_right_by_qresync() {
    let mut dice = Dice::from_env();
    let server = Server::start(Setup::default()).await;
    let mut given = 0;
    let mut copy = Copy::default();
    let mut client = copy.come_back(&server).await;
    let mut other = server.connect();
    let login = b"a LOGIN anna sesame\r\nb SELECT INBOX\r\n";
    other.exchange(login, "b OK").await;
    for _ in 0..ROUNDS {
        while given < 8 || dice.below(3) == 0 {
            server.deliver("anna", "small").await;
            given += 1;
        }
        let (uids, flag) = (some_uids(&mut dice, given), *dice.pick(&FLAGS));
        let change = match dice.below(3) {
            0 => format!("c UID STORE {uids} +FLAGS.SILENT ({flag})\r\n"),
            1 => format!("c UID STORE {uids} -FLAGS.SILENT ({flag})\r\n"),
            _ => format!("c UID STORE {uids} +FLAGS.SILENT (\\Deleted)\r\nc EXPUNGE\r\n"),
        };
        let end = if change.ends_with("EXPUNGE\r\n") {
            "c OK Expunge"
        } else {
            "c OK"
        };
        other.exchange(change.as_bytes(), end).await;
        // By numbers, so that it cannot be told what went.
        let command = match dice.below(5) {
            0 => "d NOOP\r\n".to_owned(),
            1 => "d FETCH 1:* (UID FLAGS MODSEQ)\r\n".to_owned(),
            2 => format!("d STORE 1 +FLAGS.SILENT ({flag})\r\n"),
            3 => format!("d STORE 1:* -FLAGS ({flag})\r\n"),
            _ => "d UID SEARCH 1\r\n".to_owned(),
        };
        let heard = client.exchange(command.as_bytes(), "d ").await;
        copy.take(&heard);
        if command.contains(".SILENT") && !heard.contains("d BAD") {
            // What was done to the flags of message 1 is not told, so it is asked for.
            let heard = client.exchange(b"e FETCH 1 (UID FLAGS)\r\n", "e ").await;
            copy.take(&heard);
        }
        if dice.below(3) == 0 {
            client = copy.come_back(&server).await;
        }
    }
    server.engine.close().await;
}
