//! mbsync both ways over a thousand messages.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use coldpost_testkit::imap::Imap;
use coldpost_testkit::mbsync::Mbsync;
use coldpost_testkit::{Must, corpus};

/// Messages at the beginning.
const MESSAGES: usize = 1_000;

/// Those at the end: 20 removed on either side, 7 and 9 new ones.
const MESSAGES_LEFT: usize = MESSAGES - 20 - 20 + 7 + 9;
/// Made on one side and expected on both, with one message each.
const MADE_FAR: &str = "Far";
const MADE_NEAR: &str = "Near";

/// Messages by their text; beside each the flags (`F`, `S`, both or none) of all that have it, sorted.
type Contents = BTreeMap<Vec<u8>, Vec<String>>;

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
    let flags: Vec<&String> = contents.values().flatten().collect();
    assert_eq!(flags.len(), MESSAGES_LEFT, "messages at the end");
    assert_eq!(
        flags.iter().map(|flags| flags.len()).sum::<usize>(),
        10 + 20,
        "flags set on either side"
    );
    for mailbox in [MADE_FAR, MADE_NEAR] {
        let (far, near) = (far(imap, mailbox), near(mbsync, mailbox));
        assert_eq!(far, near, "{mailbox} on both sides");
        assert_eq!(far.values().flatten().count(), 1, "{mailbox}");
    }
    let before = (state(imap), files(mbsync));
    let again = mbsync.run();
    assert_eq!(
        (state(imap), files(mbsync)),
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
    imap.command(&format!("CREATE {MADE_FAR}")).ok();
    imap.append(MADE_FAR, "", b"Subject: in Far\r\n\r\nnew\r\n");
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
    let made = mbsync.maildir(MADE_NEAR);
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(made.join(part)).must("making a Maildir");
    }
    let text = "Subject: in Near\n\nnew\n";
    fs::write(made.join("new/1.x.near"), text).must("writing a new message");
}

/// The contents of INBOX, when they are the same on both sides.
#[track_caller]
fn same(imap: &mut Imap, mbsync: &Mbsync) -> Contents {
    let (far, near) = (far(imap, "INBOX"), near(mbsync, "INBOX"));
    let only = |these: &Contents, those: &Contents| -> Vec<String> {
        let different = these
            .iter()
            .filter(|(mail, flags)| those.get(*mail) != Some(flags));
        let shown = different.map(|(mail, flags)| {
            let start = String::from_utf8_lossy(&mail[..mail.len().min(60)]).into_owned();
            format!("{} times with {flags:?}: {start}", flags.len())
        });
        shown.take(10).collect()
    };
    let (only_far, only_near) = (only(&far, &near), only(&near, &far));
    assert!(
        far == near,
        "far and not so near: {only_far:#?}, near and not so far: {only_near:#?}"
    );
    far
}

fn far(imap: &mut Imap, mailbox: &str) -> Contents {
    imap.command(&format!("EXAMINE {mailbox}")).ok();
    let fetched = imap.fetch("FETCH 1:* (FLAGS BODY.PEEK[])");
    let letters = |flags: &[String]| {
        let letter = |name: &str, letter| {
            if flags.iter().any(|f| f == name) {
                letter
            } else {
                ""
            }
        };
        format!("{}{}", letter("\\Flagged", "F"), letter("\\Seen", "S"))
    };
    contents(
        fetched
            .iter()
            .map(|fetch| (comparable(&fetch.bytes("BODY[]")), letters(&fetch.flags()))),
    )
}

fn near(mbsync: &Mbsync, mailbox: &str) -> Contents {
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
    contents(
        mbsync
            .messages(mailbox)
            .iter()
            .map(|path| (comparable(&read(path)), letters(path))),
    )
}

fn contents(messages: impl Iterator<Item = (Vec<u8>, String)>) -> Contents {
    let mut contents = Contents::new();
    for (mail, flags) in messages {
        let all = contents.entry(mail).or_default();
        all.push(flags);
        all.sort();
    }
    contents
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
    let status = |mailbox| {
        let items = "MESSAGES UIDNEXT UNSEEN UIDVALIDITY HIGHESTMODSEQ";
        let reply = imap.command(&format!("STATUS {mailbox} ({items})")).ok();
        reply.lines("STATUS")
    };
    ["INBOX", MADE_FAR, MADE_NEAR]
        .into_iter()
        .flat_map(status)
        .collect()
}

fn files(mbsync: &Mbsync) -> Vec<PathBuf> {
    let mailboxes = ["INBOX", MADE_FAR, MADE_NEAR];
    mailboxes
        .into_iter()
        .flat_map(|mailbox| mbsync.messages(mailbox))
        .collect()
}
