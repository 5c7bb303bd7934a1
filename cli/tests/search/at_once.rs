//! What was acknowledged is found by the next search of any connection; what has gone is found by none that knows of it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::{Daemon, Must, Options, made_mail, place, tool};

use crate::{ANN, BINARY};

/// Messages that are delivered and looked for.
const DELIVERIES: u32 = 1_000;
/// With `--long`.
const DELIVERIES_LONG: u32 = 10_000;
/// Every so many of them has a long text, so that files are written and merged meanwhile.
const LONG_TEXT_EVERY: u32 = 20;
/// Bytes of it.
const LONG_TEXT: usize = 250_000;
/// After every so many of them one goes, in one way or the other.
const GOES_EVERY: u32 = 5;
/// What all have.
const COMMON: &str = "everywhere";

/// Where the needle is.
#[derive(Clone, Copy, Debug)]
enum Within {
    Plain,
    Base64,
    QuotedPrintable,
    Html,
    Trace,
    FileName,
}

impl Within {
    const ALL: [Within; 6] = [
        Within::Plain,
        Within::Base64,
        Within::QuotedPrintable,
        Within::Html,
        Within::Trace,
        Within::FileName,
    ];

    /// A message that has the needle there and nowhere else.
    fn message(self, needle: &str, filler: &str) -> Vec<u8> {
        let (start, end) = needle.split_at(needle.len() / 2);
        let (fields, body) = match self {
            Within::Plain => (String::new(), format!("Begin {needle} end.")),
            Within::Base64 => {
                let text = format!("Grüße {needle}, in Base64");
                let fields = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n";
                (
                    fields.to_owned(),
                    made_mail::base64_lines(text.as_bytes(), 20),
                )
            }
            Within::QuotedPrintable => {
                let fields = "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n";
                (
                    fields.to_owned(),
                    format!("Gr=FC=DFe {start}=\r\n{end} end"),
                )
            }
            Within::Html => {
                let fields = "Content-Type: text/html; charset=us-ascii\r\n";
                (
                    fields.to_owned(),
                    format!("<p title=x>Say <b>{start}</b>{end}&excl;</p>"),
                )
            }
            Within::Trace => (
                format!("X-Trace: by way of\r\n {needle};\r\n"),
                String::new(),
            ),
            Within::FileName => {
                let encoded = STANDARD.encode(format!("Ünter {needle}.bin"));
                let fields = "Content-Type: multipart/mixed; boundary=b\r\n";
                let part = format!(
                    "--b\r\nContent-Type: application/octet-stream; name=\"=?utf-8?b?{encoded}?=\"\r\n\r\nAAAA\r\n--b--\r\n"
                );
                (fields.to_owned(), part)
            }
        };
        let filler = match self {
            // Behind their ends it would be none of their text.
            Within::Base64 | Within::FileName => "",
            _ => filler,
        };
        format!(
            "From: {COMMON} <a@example.org>\r\nSubject: {self:?}\r\nMIME-Version: 1.0\r\n{fields}\r\n{body}\r\n{filler}"
        )
        .into_bytes()
    }

    /// Keys of SEARCH that find it, and no other message.
    fn keys(self, needle: &str) -> Vec<String> {
        let mixed = needle.to_uppercase();
        match self {
            Within::Trace => vec![
                format!("HEADER X-Trace \"of {mixed}\""),
                format!("TEXT {needle}"),
            ],
            _ => vec![format!("BODY {mixed}"), format!("TEXT {needle}")],
        }
    }
}

/// Connections, and what is known of the mailbox.
struct Mailbox {
    lmtp: Lmtp,
    /// Has INBOX selected and only looks.
    watching: Imap,
    /// Has it selected and takes messages away.
    taking: Imap,
    /// Has Archive selected.
    archive: Imap,
    /// By UID what is in INBOX.
    live: BTreeMap<u32, (Within, String)>,
    /// And in Archive.
    archived: BTreeMap<u32, (Within, String)>,
}

/// What a connection finds once it has been told of everything.
#[track_caller]
fn finds(imap: &mut Imap, key: &str) -> Vec<u32> {
    imap.command("NOOP").ok();
    imap.command(&format!("UID SEARCH {key}")).ok().search()
}

impl Mailbox {
    fn of(daemon: &Daemon) -> Mailbox {
        let selected = |mailbox: &str| {
            let mut imap = daemon.imap(ANN);
            imap.command(&format!("SELECT {mailbox}")).ok();
            imap
        };
        daemon.imap(ANN).command("CREATE Archive").ok();
        Mailbox {
            lmtp: daemon.lmtp(),
            watching: selected("INBOX"),
            taking: selected("INBOX"),
            archive: selected("Archive"),
            live: BTreeMap::new(),
            archived: BTreeMap::new(),
        }
    }

    /// Delivers the message with this UID, and looks for it.
    fn comes(&mut self, uid: u32, dice: &mut Dice) {
        let within = *dice.pick(&Within::ALL);
        let needle = format!("n{uid}x{:08x}", dice.below(1 << 32));
        let mut filler = String::new();
        while uid.is_multiple_of(LONG_TEXT_EVERY) && filler.len() < LONG_TEXT {
            filler += &format!("{:016x}{:016x} filler\r\n", dice.draw(), dice.draw());
        }
        let message = within.message(&needle, &filler);
        self.lmtp.deliver("a@example.org", ANN, &message);
        for key in within.keys(&needle) {
            assert_eq!(finds(&mut self.watching, &key), [uid], "{within:?}: {key}");
        }
        self.live.insert(uid, (within, needle));
    }

    /// Takes a message away: by EXPUNGE or by MOVE.
    fn goes(&mut self, dice: &mut Dice) {
        let uids: Vec<u32> = self.live.keys().copied().collect();
        let uid = *dice.pick(&uids);
        let (within, needle) = self.live.remove(&uid).must("what is there");
        self.taking.command("NOOP").ok();
        let moved = dice.below(2) == 0;
        let reply = if moved {
            self.taking.command(&format!("UID MOVE {uid} Archive")).ok()
        } else {
            let flag = format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)");
            self.taking.command(&flag).ok();
            self.taking.command(&format!("UID EXPUNGE {uid}")).ok()
        };
        if moved {
            let there = reply.ok_code("COPYUID").must("COPYUID");
            let there = there.rsplit_once(' ').and_then(|(_, uid)| uid.parse().ok());
            self.archived
                .insert(there.must("a UID"), (within, needle.clone()));
        }
        for key in within.keys(&needle) {
            // Who took it away knows of it without being told.
            let left = self.taking.command(&format!("UID SEARCH {key}")).ok();
            let left = [left.search(), finds(&mut self.watching, &key)].concat();
            assert!(
                left.is_empty(),
                "{within:?}, moved {moved}: {key}: {left:?}"
            );
            let there = self
                .archived
                .iter()
                .filter(|(_, (_, other))| *other == needle);
            let there: Vec<u32> = there.map(|(uid, _)| *uid).collect();
            assert_eq!(
                finds(&mut self.archive, &key),
                there,
                "{within:?}, moved {moved}: {key}"
            );
        }
    }

    /// Looks for all that is there, and for all at once.
    fn is_whole(&mut self) {
        let sides = [
            (&mut self.watching, &self.live),
            (&mut self.archive, &self.archived),
        ];
        for (imap, messages) in sides {
            let all: Vec<u32> = messages.keys().copied().collect();
            assert_eq!(finds(imap, &format!("TEXT {COMMON}")), all);
            for (uid, (within, needle)) in messages {
                for key in within.keys(needle) {
                    assert_eq!(finds(imap, &key), [*uid], "{within:?}: {key}");
                }
            }
        }
    }
}

#[test]
fn mail_is_found_as_soon_as_it_is_acknowledged_and_not_once_it_has_gone() {
    let mut dice = Dice::from_env();
    let daemon = Daemon::start(Options::new(BINARY));
    let mut mailbox = Mailbox::of(&daemon);
    let deliveries = if tool::long() {
        DELIVERIES_LONG
    } else {
        DELIVERIES
    };
    for uid in 1..=deliveries {
        mailbox.comes(uid, &mut dice);
        if uid.is_multiple_of(GOES_EVERY) {
            mailbox.goes(&mut dice);
        }
    }
    let text = place::files(&daemon.data_dir().join("shards/0001/text"));
    assert!(text.len() > 1, "texts wait alone: no file was searched");
    mailbox.is_whole();
    let (live, archived) = (mailbox.live.len(), mailbox.archived.len());
    println!("{deliveries} delivered, {live} left, {archived} moved");
}
