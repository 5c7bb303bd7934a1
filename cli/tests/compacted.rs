//! Mail after compaction, from the bucket alone: every answer as before, byte for byte.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::Imap;
use coldpost_testkit::made_mail::{attachment, dense, drawn, with_parts};
use coldpost_testkit::place::files;
use coldpost_testkit::tool::{self, NPM, TAR, ZSTD};
use coldpost_testkit::{Daemon, Must, Options, corpus, have, odd_mail};
use serde_json::Value;

/// What clients ask of a message: the whole, its parts, ranges that begin and end anywhere.
const ITEMS: &str = "(UID INTERNALDATE RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[1] BODY.PEEK[2]<7.3000> \
                     BODY.PEEK[TEXT]<1000.70000> BODY.PEEK[1.2] BODY.PEEK[2.1] BODY.PEEK[1.MIME])";

fn options() -> Options {
    Options::new(env!("CARGO_BIN_EXE_coldpost"))
        .text("mail", "attachment_threshold", "1KiB")
        .text("hot", "frames", "1MiB")
}

/// An answer to FETCH, kept small.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    begins: String,
    length: usize,
    hash: u64,
}

impl Answer {
    fn of(line: &[u8]) -> Answer {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        let begins = line.get(..line.len().min(120)).unwrap_or_default();
        Answer {
            begins: String::from_utf8_lossy(begins).into_owned(),
            length: line.len(),
            hash: hasher.finish(),
        }
    }
}

/// All as it was, or the first that is not.
fn same(now: &[Vec<Answer>], before: &[Vec<Answer>], where_from: &str) {
    for (now, before) in now.iter().zip(before) {
        for (now, before) in now.iter().zip(before) {
            assert_eq!(now, before, "{where_from}");
        }
        assert_eq!(now.len(), before.len(), "{where_from}");
    }
}

/// Everything that a mailbox answers to [`ITEMS`].
fn answers(imap: &mut Imap, mailbox: &str) -> Vec<Answer> {
    let exists = imap
        .command(&format!("EXAMINE {mailbox}"))
        .ok()
        .number("EXISTS");
    let exists = exists.must("EXISTS");
    let mut answers = Vec::new();
    for first in (1..=exists).step_by(50) {
        let last = exists.min(first + 49);
        let reply = imap.command(&format!("FETCH {first}:{last} {ITEMS}")).ok();
        for line in &reply.untagged {
            answers.push(Answer::of(line));
        }
    }
    assert!(answers.len() as u64 >= exists);
    answers
}

#[test]
fn oddly_encoded_mail_answers_as_before_from_blocks_and_blobs_in_the_bucket_alone() {
    let cases = if tool::long() { 100_000 } else { 5_000 };
    let mut dice = Dice::from_env();
    let mut daemon = Daemon::start(options());
    let users = ["ann@example.org", "bob@example.org"];
    let per_round = 1_000;
    for round in 0..cases / per_round {
        let mut imap = daemon.imap(users[round % 2]);
        let batch: Vec<Vec<u8>> = (0..per_round).map(|_| odd_mail::drawn(&mut dice)).collect();
        for message in &batch {
            let mailbox = *dice.pick(&["INBOX", "Sent", "Junk"]);
            imap.append(mailbox, "", message);
        }
        imap.command("SELECT INBOX").ok();
        imap.command("STORE 1:3 +FLAGS.SILENT (\\Flagged later)")
            .ok();
        imap.command("COPY 1:5 Drafts").ok();
        imap.command("STORE 7 +FLAGS.SILENT (\\Deleted)").ok();
        imap.command("EXPUNGE").ok();
    }
    let look = |daemon: &Daemon| {
        let mut all = Vec::new();
        for user in users {
            let mut imap = daemon.imap(user);
            for mailbox in ["INBOX", "Sent", "Junk", "Drafts"] {
                all.push(answers(&mut imap, mailbox));
            }
        }
        all
    };
    let before = look(&daemon);
    let done = daemon.json(&["compact"]);
    assert_eq!(done["left"], 0, "{done}");
    // All that are there: every one that was looked at, and no fewer than came in and stayed. (Some may have been moved before anybody asked.)
    assert_eq!(done["moved"], done["messages"], "{done}");
    let stayed = (cases - cases / per_round) as f64;
    let moved = daemon.metric("coldpost_compacted_messages_total");
    assert!(moved >= Some(stayed), "{moved:?}: {done}");
    let messages = done["messages"].as_u64().must("a count");
    assert!(done["attachments"].as_u64() > Some(messages / 10), "{done}");
    assert!(done["merged"].as_u64() > Some(messages / 20), "{done}");
    same(&look(&daemon), &before, "from local files");
    daemon.wait_until_shipped();
    daemon.stop();
    daemon.remove_local_mail();
    daemon.restart();
    same(&look(&daemon), &before, "from the bucket");
    let verified = daemon.command("verify").output().must("coldpost verify");
    assert!(verified.status.success(), "{verified:?}");
}

/// Two dense texts and an attachment that nobody else has.
fn large(number: u64) -> Vec<u8> {
    let texts = [2 * number, 2 * number + 1].map(dense);
    let texts = texts.map(|text| String::from_utf8(text).must("ASCII"));
    let part = attachment(&drawn(&mut Dice::new(number), 32_000), 76);
    with_parts(&number.to_string(), &texts.concat(), &[part])
}

/// A daemon with so many of them in one account.
fn with_large(messages: u64) -> Daemon {
    let daemon = Daemon::start(options());
    let mut lmtp = daemon.lmtp();
    for number in 0..messages {
        lmtp.deliver("a@example.org", "ann@example.org", &large(number));
    }
    drop(lmtp);
    daemon
}

#[test]
fn a_run_of_several_blocks_and_packs_moves_every_message() {
    let messages = 600;
    let daemon = with_large(messages);
    let done = daemon.json(&["compact"]);
    let figures = ["messages", "moved", "left", "attachments"];
    let expected = [messages, messages, 0, messages].map(Value::from);
    assert_eq!(figures.map(|name| done[name].clone()), expected, "{done}");
    let cold = daemon.data_dir().join("cold");
    for kind in ["blocks", "blobs"] {
        assert!(files(&cold.join(kind)).len() > 1, "several {kind}");
    }
    let mut imap = daemon.imap("ann@example.org");
    imap.command("EXAMINE INBOX").ok();
    for number in (0..messages).step_by(10) {
        let uid = number + 1;
        let fetched = imap.fetch(&format!("UID FETCH {uid} (BODY.PEEK[])"));
        let bytes = fetched.first().must("the message").bytes("BODY[]");
        assert!(bytes.ends_with(&large(number)), "UID {uid}");
    }
}

/// Ends those who look, also where a test fails.
struct EndsAll<'a>(&'a AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_run_beside_work_that_takes_every_processor_ends_at_a_message_and_another_comes_to_the_rest() {
    let messages = 150;
    let daemon = with_large(messages);
    let is_over = AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..processors {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let _ends = EndsAll(&is_over);
        daemon.json(&["compact"])
    });
    let log = daemon.log();
    assert!(log.contains("has next to nothing of a processor"), "{log}");
    let moved = [done["moved"].clone(), done["left"].clone()];
    assert_eq!(moved, [messages, 0].map(Value::from), "{done}");
}

#[test]
fn zstd_reads_the_mail_out_of_a_block() {
    if !have(&[NPM, TAR, ZSTD]) {
        return;
    }
    let daemon = Daemon::start(options());
    let mut lmtp = daemon.lmtp();
    for (_, mail) in corpus::spam_assassin().iter().step_by(300) {
        lmtp.deliver("a@example.org", "ann@example.org", &corpus::crlf(mail));
    }
    daemon.json(&["compact"]);
    let blocks = files(&daemon.data_dir().join("cold/blocks"));
    assert_eq!(blocks.len(), 1, "{blocks:?}");
    let read = std::process::Command::new("zstd")
        .arg("-dcq")
        .arg(&blocks[0])
        .output()
        .must("zstd");
    let text = String::from_utf8_lossy(&read.stdout).into_owned();
    assert!(read.status.success(), "{read:?}");
    let mut imap = daemon.imap("ann@example.org");
    imap.command("EXAMINE INBOX").ok();
    for fetch in imap.fetch("FETCH 1:* (BODY.PEEK[HEADER] BODY.PEEK[TEXT])") {
        for part in ["BODY[HEADER]", "BODY[TEXT]"] {
            let bytes = fetch.bytes(part);
            assert!(text.contains(&*String::from_utf8_lossy(&bytes)));
        }
    }
}

#[test]
fn what_is_delivered_while_it_runs_and_after_it_is_there_and_a_second_run_finds_nothing_to_do() {
    if !have(&[NPM, TAR]) {
        return;
    }
    let mut daemon = Daemon::start(options());
    let mut lmtp = daemon.lmtp();
    let mails = corpus::selection(40);
    for (_, mail) in &mails {
        lmtp.deliver("a@example.org", "ann@example.org", &corpus::crlf(mail));
    }
    let mut running = daemon.command("compact");
    let running = running.stderr(Stdio::piped()).spawn();
    let running = running.must("coldpost compact");
    for (_, mail) in &mails {
        lmtp.deliver("a@example.org", "bob@example.org", &corpus::crlf(mail));
    }
    let end = running.wait_with_output().must("its end");
    assert!(end.status.success(), "{end:?}");
    daemon.json(&["compact"]);
    let again = daemon.json(&["compact"]);
    assert_eq!(
        (&again["messages"], &again["bytes"]),
        (&0.into(), &0.into())
    );
    let count = |daemon: &Daemon| {
        ["ann@example.org", "bob@example.org"].map(|user| {
            let mut imap = daemon.imap(user);
            answers(&mut imap, "INBOX")
        })
    };
    let before = count(&daemon);
    daemon.kill();
    daemon.restart();
    assert!(count(&daemon) == before);
    let expected = mails.len();
    assert!(before.iter().all(|all| all.len() == expected));
}

#[test]
fn a_damaged_block_costs_the_messages_that_stand_in_the_damage_and_verify_names_them() {
    if !have(&[NPM, TAR]) {
        return;
    }
    let daemon = Daemon::start(options());
    let mut lmtp = daemon.lmtp();
    let mails = corpus::selection(10);
    for (_, mail) in &mails {
        lmtp.deliver("a@example.org", "ann@example.org", &corpus::crlf(mail));
    }
    daemon.json(&["compact"]);
    let whole = daemon.command("verify").output().must("coldpost verify");
    assert!(whole.status.success(), "{whole:?}");
    // The bucket's copy is the same file.
    let block = files(&daemon.data_dir().join("cold/blocks"))
        .pop()
        .must("a block");
    let mut bytes = std::fs::read(&block).must("the block");
    let at = bytes.len() / 3;
    bytes[at] ^= 0x10;
    overwrite(&block, &bytes);
    let damaged = daemon.command("verify").arg("--json").output();
    let damaged = damaged.must("coldpost verify");
    assert_eq!(damaged.status.code(), Some(3), "{damaged:?}");
    let lines = String::from_utf8_lossy(&damaged.stdout).into_owned();
    let mut named = Vec::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).must("JSON");
        for victim in line["victims"].as_array().into_iter().flatten() {
            named.push(victim["uid"].as_u64().must("a UID"));
        }
    }
    named.sort_unstable();
    assert!(!named.is_empty() && named.len() < mails.len(), "{lines}");
    let mut imap = daemon.imap("ann@example.org");
    imap.command("SELECT INBOX").ok();
    for uid in 1..=mails.len() as u64 {
        let reply = imap.command(&format!("UID FETCH {uid} (BODY.PEEK[])"));
        assert_eq!(reply.is_ok(), !named.contains(&uid), "UID {uid}: {reply:?}");
    }
    let all = imap.command("FETCH 1:* (FLAGS ENVELOPE)").ok();
    assert_eq!(all.fetches().len(), mails.len(), "listings need no block");
}

/// Writes into the file that is there, under all its names.
fn overwrite(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let file = std::fs::OpenOptions::new().write(true).open(path);
    let mut file = file.must("opening");
    file.write_all(bytes).must("writing");
}
