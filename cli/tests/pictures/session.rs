//! One client: its connection, its picture of INBOX, and what it does next.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::{Imap, Reply};
use coldpost_testkit::imap_picture::Picture;
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::{Daemon, Must};

/// Messages beyond which nothing is added, so that a round stays short.
const MESSAGES_MAX: usize = 150;
/// Mailboxes that come and go.
const SIDE: [&str; 4] = ["Side", "Side/Below", "Other", "Third"];
/// Flags that are stored.
const FLAGS: [&str; 7] = [
    "\\Seen",
    "\\Answered",
    "\\Flagged",
    "\\Deleted",
    "\\Draft",
    "work",
    "$Forwarded",
];
const MAIL: &[u8] = b"From: a@example.org\r\nSubject: one of many\r\n\r\nbody\r\n";

/// A session.
pub(crate) struct Session {
    imap: Imap,
    lmtp: Lmtp,
    picture: Picture,
    dice: Dice,
    user: String,
    password: String,
    addr: SocketAddr,
    /// Everything up to this modseq was told: the highest one after a command that could tell all.
    synced: u64,
    number: usize,
    idles: usize,
    steps: VecDeque<String>,
    /// Until an answer was taken without a panic.
    is_contradicted: bool,
    counts: [usize; 4],
}

/// What a session sees that was not there before.
pub(crate) fn fresh(daemon: &Daemon, user: &str) -> Picture {
    let mut imap = daemon.imap(user);
    let mut picture = Picture::default();
    picture.select(&imap.command("EXAMINE INBOX (CONDSTORE)").ok(), false);
    if !picture.is_empty() {
        picture.told(&imap.command("FETCH 1:* (UID FLAGS MODSEQ)").ok());
    }
    picture
}

/// What led to a contradiction stands in the answers that came before it.
impl Drop for Session {
    fn drop(&mut self) {
        if self.is_contradicted {
            eprintln!(
                "the last steps of the session that was contradicted:\n{}",
                self.steps()
            );
        }
    }
}

impl Session {
    /// Logs in and selects INBOX.
    pub(crate) fn begin(daemon: &Daemon, user: &str, number: usize, dice: Dice) -> Session {
        let mut session = Session {
            imap: daemon.imap(user),
            lmtp: daemon.lmtp(),
            picture: Picture::default(),
            dice,
            user: user.to_owned(),
            password: daemon.password(),
            addr: daemon.imap_addr(),
            synced: 0,
            number,
            idles: 0,
            steps: VecDeque::new(),
            is_contradicted: false,
            counts: [0; 4],
        };
        session.select();
        session
    }

    /// What it knows.
    pub(crate) fn picture(&self) -> &Picture {
        &self.picture
    }

    /// Its last commands and answers.
    pub(crate) fn steps(&self) -> String {
        Vec::from(self.steps.clone()).join("\n")
    }

    /// Messages that it added, EXPUNGEs, STOREs, reconnects.
    pub(crate) fn counts(&self) -> [usize; 4] {
        self.counts
    }

    /// Hears of everything, and asks for what is new.
    pub(crate) fn catch_up(&mut self) {
        loop {
            self.command("NOOP");
            self.synced = self.picture.highest_modseq;
            let Some(first) = self.picture.first_untold() else {
                return;
            };
            self.command(&format!("FETCH {first}:* (UID FLAGS MODSEQ)"));
        }
    }

    /// Does one thing.
    pub(crate) fn step(&mut self) {
        if let Some(first) = self.picture.first_untold()
            && self.dice.below(2) == 0
        {
            self.command(&format!("FETCH {first}:* (UID FLAGS MODSEQ)"));
        }
        match self.dice.below(16) {
            0..3 => self.add(),
            3..7 => self.store(),
            7 => self.copy("COPY", "INBOX"),
            8 => {
                let to = *self.dice.pick(&SIDE);
                let verb = *self.dice.pick(&["COPY", "MOVE"]);
                self.copy(verb, to);
            }
            9 => self.expunge(),
            10 => self.side(),
            11 => self.idle(),
            12 => self.catch_up(),
            13 => self.reconnect(),
            14 => {
                let all = if self.picture.is_empty() {
                    "UID SEARCH ALL"
                } else {
                    "SEARCH 1:*"
                };
                self.command(all);
            }
            _ => {
                self.command("UID FETCH 1:* (FLAGS)");
            }
        }
    }

    /// Runs a command; BAD is never an answer to a client that follows what it was told.
    fn command(&mut self, command: &str) -> Reply {
        let reply = self.imap.try_command(command);
        self.took(command, reply.must(command))
    }

    fn took(&mut self, command: &str, reply: Reply) -> Reply {
        if self.steps.len() == 40 {
            self.steps.pop_front();
        }
        self.steps
            .push_back(format!("{}: {command}\n{reply:?}", self.number));
        assert!(reply.status != "BAD", "{}", self.steps());
        self.is_contradicted = true;
        self.picture.told(&reply);
        self.is_contradicted = false;
        reply
    }

    fn add(&mut self) {
        if self.picture.len() > MESSAGES_MAX {
            return self.expunge();
        }
        self.counts[0] += 1;
        if self.dice.below(2) == 0 {
            self.lmtp.deliver("sender@example.org", &self.user, MAIL);
            return;
        }
        let flags = format!("({})", self.dice.pick(&FLAGS));
        let reply = self.imap.try_append("INBOX", &flags, MAIL).must("APPEND");
        self.took("APPEND", reply).ok();
    }

    fn store(&mut self) {
        let uids = self.some();
        if uids.is_empty() {
            return;
        }
        self.counts[2] += 1;
        let item = *self.dice.pick(&["+FLAGS", "-FLAGS", "FLAGS"]);
        let flags = [*self.dice.pick(&FLAGS), *self.dice.pick(&FLAGS)];
        let silent = self.dice.below(2) == 0;
        let unchanged = match self.dice.below(3) {
            0 => format!(" (UNCHANGEDSINCE {})", self.synced),
            _ => String::new(),
        };
        let word = if silent { ".SILENT" } else { "" };
        let command = format!(
            "UID STORE {}{unchanged} {item}{word} ({})",
            set(&uids),
            flags.join(" ")
        );
        let reply = self.command(&command);
        if silent && reply.is_ok() {
            self.picture.stored(&uids, item, &flags, &reply);
        }
    }

    fn copy(&mut self, verb: &str, to: &str) {
        let uids = self.some();
        if !uids.is_empty() && (to != "INBOX" || self.picture.len() < MESSAGES_MAX) {
            self.command(&format!("UID {verb} {} {to}", set(&uids)));
        }
    }

    fn expunge(&mut self) {
        self.counts[1] += 1;
        let uids = self.some();
        if self.dice.below(2) == 0 || uids.is_empty() {
            self.command("EXPUNGE");
        } else {
            self.command(&format!("UID STORE {} +FLAGS (\\Deleted)", set(&uids)));
            self.command(&format!("UID EXPUNGE {}", set(&uids)));
        }
    }

    /// Mailboxes that come, go and change their names; NO where another session was first.
    fn side(&mut self) {
        let (one, other) = (*self.dice.pick(&SIDE), *self.dice.pick(&SIDE));
        match self.dice.below(4) {
            0 | 1 => self.command(&format!("CREATE {one}")),
            2 => self.command(&format!("RENAME {one} {other}")),
            _ => self.command(&format!("DELETE {one}")),
        };
    }

    /// IDLE, with or without something to hear of, and DONE.
    fn idle(&mut self) {
        self.idles += 1;
        let tag = format!("idle{}", self.idles);
        self.imap
            .send(format!("{tag} IDLE\r\n").as_bytes())
            .must("IDLE");
        self.until(b"+");
        if self.dice.below(2) == 0 {
            // Something that wakes it, from itself.
            self.lmtp.deliver("sender@example.org", &self.user, MAIL);
        }
        self.imap.send(b"DONE\r\n").must("DONE");
        self.until(tag.as_bytes());
    }

    fn until(&mut self, start: &[u8]) {
        while !self.response().starts_with(start) {}
    }

    fn response(&mut self) -> Vec<u8> {
        let response = self.imap.response().must("an answer in IDLE");
        if let Some(line) = response.strip_prefix(b"* ") {
            self.steps.push_back(format!(
                "{} idle: {}",
                self.number,
                String::from_utf8_lossy(line)
            ));
            self.is_contradicted = true;
            self.picture.line(line);
            self.is_contradicted = false;
        }
        response
    }

    fn reconnect(&mut self) {
        self.counts[3] += 1;
        let mut imap = Imap::login(self.addr, &self.user, &self.password);
        std::mem::swap(&mut self.imap, &mut imap);
        drop(imap);
        self.select();
    }

    /// SELECT, by QRESYNC where it is announced and something is known.
    fn select(&mut self) {
        let capability = self.imap.command("CAPABILITY").ok().lines("CAPABILITY");
        let qresync = capability
            .iter()
            .any(|line| line.split(' ').any(|word| word == "QRESYNC"));
        self.picture.forget_behind_untold();
        let known = self.picture.uids();
        let resume = qresync && !known.is_empty() && self.synced > 0;
        if qresync {
            self.imap.command("ENABLE QRESYNC").ok();
        }
        let parameter = if resume {
            let (validity, synced) = (self.picture.uid_validity, self.synced);
            format!("QRESYNC ({validity} {synced} {})", set(&known))
        } else {
            "CONDSTORE".to_owned()
        };
        let command = format!("SELECT INBOX ({parameter})");
        let reply = self.imap.command(&command).ok();
        self.steps
            .push_back(format!("{}: {command}\n{reply:?}", self.number));
        if !resume {
            self.picture = Picture::default();
        }
        self.is_contradicted = true;
        self.picture.select(&reply, resume);
        self.is_contradicted = false;
        self.synced = self.picture.highest_modseq;
    }

    /// A few of the messages that are known.
    fn some(&mut self) -> BTreeSet<u32> {
        let all: Vec<u32> = self.picture.uids().into_iter().collect();
        if all.is_empty() {
            return BTreeSet::new();
        }
        let count = self.dice.below(4) + 1;
        (0..count).map(|_| *self.dice.pick(&all)).collect()
    }
}

fn set(uids: &BTreeSet<u32>) -> String {
    let words: Vec<String> = uids.iter().map(u32::to_string).collect();
    words.join(",")
}
