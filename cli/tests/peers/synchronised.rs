//! mbsync both ways over a thousand messages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use coldpost_testkit::imap::Imap;
use coldpost_testkit::mbsync::Mbsync;
use coldpost_testkit::{Must, corpus};

/// Messages at the beginning.
const MESSAGES: usize = 1_000;

/// Messages by their text, with their flags (`F`, `S`, both or none) beside them.
type Contents = BTreeMap<Vec<u8>, String>;

/// Changes both sides of a synchronised mailbox and expects them to be the same after one run, and nothing to do after that.
pub(crate) fn both_ways(imap: &mut Imap, mbsync: &Mbsync) {
    for (_, mail) in corpus::spam_assassin()
        .iter()
        .filter(|(_, mail)| !mail.contains(&0))
        .take(MESSAGES)
    {
        imap.append("INBOX", "", &corpus::crlf(mail));
    }
    mbsync.run();
    assert_eq!(mbsync.messages("INBOX").len(), MESSAGES);
    same(imap, mbsync);
    change_far(imap);
    change_near(mbsync);
    mbsync.run();
    let contents = same(imap, mbsync);
    assert_eq!(
        contents.values().map(String::len).sum::<usize>(),
        10 + 20,
        "flags set on either side"
    );
    let before = (state(imap), mbsync.messages("INBOX"));
    let again = mbsync.run();
    assert_eq!(
        (state(imap), mbsync.messages("INBOX")),
        before,
        "a second run changed something: {again}"
    );
}

fn change_far(imap: &mut Imap) {
    imap.command("SELECT INBOX").ok();
    imap.command("STORE 1:10 +FLAGS (\\Flagged)").ok();
    imap.command("STORE 100:119 +FLAGS (\\Deleted)").ok();
    imap.command("EXPUNGE").ok();
    for number in 0..7 {
        imap.append(
            "INBOX",
            "",
            format!("Subject: far {number}\r\n\r\nnew\r\n").as_bytes(),
        );
    }
    imap.command("CREATE Far").ok();
    imap.append("Far", "", b"Subject: in Far\r\n\r\nnew\r\n");
}

fn change_near(mbsync: &Mbsync) {
    let messages = mbsync.messages("INBOX");
    for path in &messages[400..420] {
        let name = path.display().to_string();
        let (base, flags) = name.split_once(":2,").unwrap_or((&name, ""));
        let seen = format!("{base}:2,{flags}S").replace("/new/", "/cur/");
        fs::rename(path, seen).must("marking a message as seen");
    }
    for path in &messages[500..520] {
        fs::remove_file(path).must("removing a message");
    }
    let new = mbsync.maildir("INBOX").join("new");
    for number in 0..9 {
        let text = format!("Subject: near {number}\n\nnew\n");
        fs::write(new.join(format!("1000{number}.x.near")), text).must("writing a new message");
    }
}

/// The contents, when they are the same on both sides.
#[track_caller]
fn same(imap: &mut Imap, mbsync: &Mbsync) -> Contents {
    let (far, near) = (far(imap), near(mbsync));
    let missing = far.keys().filter(|mail| !near.contains_key(*mail)).count();
    let extra = near.keys().filter(|mail| !far.contains_key(*mail)).count();
    assert_eq!(
        (missing, extra),
        (0, 0),
        "messages only far, only near; {} far, {} near",
        far.len(),
        near.len()
    );
    assert_eq!(
        far.values().collect::<Vec<_>>(),
        near.values().collect::<Vec<_>>(),
        "flags differ"
    );
    far
}

fn far(imap: &mut Imap) -> Contents {
    imap.command("EXAMINE INBOX").ok();
    let fetched = imap.fetch("FETCH 1:* (FLAGS BODY.PEEK[])");
    let flag = |flags: &[String], name: &str| flags.iter().any(|flag| flag == name);
    let letters = |flags: &[String]| {
        let flagged = if flag(flags, "\\Flagged") { "F" } else { "" };
        format!("{flagged}{}", if flag(flags, "\\Seen") { "S" } else { "" })
    };
    fetched
        .iter()
        .map(|fetch| (comparable(&fetch.bytes("BODY[]")), letters(&fetch.flags())))
        .collect()
}

fn near(mbsync: &Mbsync) -> Contents {
    let read = |path: &Path| fs::read(path).must("reading a message of the Maildir");
    let letters = |path: &Path| {
        let name = path.display().to_string();
        let flags = name
            .split_once(":2,")
            .map(|(_, flags)| flags.to_owned())
            .unwrap_or_default();
        flags
            .chars()
            .filter(|flag| matches!(flag, 'F' | 'S'))
            .collect()
    };
    mbsync
        .messages("INBOX")
        .iter()
        .map(|path| (comparable(&read(path)), letters(path)))
        .collect()
}

/// Without CR (a Maildir has none) and without the line that mbsync adds to what it copies.
fn comparable(mail: &[u8]) -> Vec<u8> {
    let lines = mail
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"X-TUID: "));
    lines
        .flatten()
        .copied()
        .filter(|byte| *byte != b'\r')
        .collect()
}

/// What a run that transfers nothing leaves alone.
fn state(imap: &mut Imap) -> Vec<String> {
    imap.command("STATUS INBOX (MESSAGES UIDNEXT UNSEEN UIDVALIDITY)")
        .ok()
        .lines("STATUS")
}
