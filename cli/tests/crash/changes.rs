//! A session that appends, flags, copies, moves and expunges until the server is gone.

use std::io;
use std::sync::Mutex;

use coldpost_testkit::Must;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::{Imap, Reply};

use crate::Server;
use crate::facts::{Facts, Flags, Known, Moving, flags_of, name_of};
use crate::mail::{FIELD, message};

const FLAGS: [&str; 4] = ["\\Seen", "\\Flagged", "\\Answered", "$Work"];

/// Changes the user's mail; every change is written down as open before it is sent and as a fact when it is acknowledged.
pub(crate) fn change(
    server: &Server,
    facts: &mut Facts,
    round: usize,
    dice: Dice,
    over: &Mutex<bool>,
) {
    let Ok(imap) = Imap::try_connect(server.imap) else {
        return;
    };
    let mut session = Session {
        imap,
        facts,
        dice,
        selected: "",
        appended: 0,
        round,
    };
    if let Ok(reply) = session
        .imap
        .try_command(&format!("LOGIN {} {}", session.facts.user, server.password))
    {
        reply.ok();
        // The end of the server is the only error there may be.
        while !*over.lock().must("the end of the load") && session.step().is_ok() {}
    }
}

struct Session<'a> {
    imap: Imap,
    facts: &'a mut Facts,
    dice: Dice,
    selected: &'static str,
    appended: usize,
    round: usize,
}

impl Session<'_> {
    fn step(&mut self) -> io::Result<()> {
        match self.dice.below(12) {
            0..=2 => self.append(),
            3 => self.look(),
            4..=6 => self.store("INBOX"),
            7 | 8 => self.store("Work"),
            9 => self.copy("COPY"),
            10 => self.copy("MOVE"),
            _ => {
                let mailbox = self.dice.pick(&["INBOX", "Work", "Other"]);
                self.expunge(mailbox)
            }
        }
    }

    fn run(&mut self, command: &str) -> io::Result<Reply> {
        self.imap.try_command(command).map(Reply::ok)
    }

    /// Selects a mailbox, making it where it is missing.
    fn select(&mut self, mailbox: &'static str) -> io::Result<()> {
        if self.selected != mailbox {
            if !self.imap.try_command(&format!("SELECT {mailbox}"))?.is_ok() {
                // A delivery may have made it since; the next command needs it.
                self.imap.try_command(&format!("CREATE {mailbox}"))?;
                self.run(&format!("SELECT {mailbox}"))?;
            }
            self.selected = mailbox;
        }
        Ok(())
    }

    fn append(&mut self) -> io::Result<()> {
        self.select("Work")?;
        let id = format!("{}-{}-{}", self.facts.user, self.round, self.appended);
        self.appended += 1;
        let flags = self.some_flags();
        let list = listed(&flags);
        self.facts
            .mailboxes
            .get_mut("Work")
            .must("Work")
            .maybe
            .insert(id.clone());
        let reply = self.imap.try_append("Work", &list, &message(&id))?.ok();
        let uid = reply.code("APPENDUID").must("APPENDUID")[1]
            .parse()
            .must("a UID");
        let work = self.facts.mailboxes.get_mut("Work").must("Work");
        work.maybe.remove(&id);
        let before = work.known.insert(uid, Known::new(id, flags));
        assert!(
            before.is_none(),
            "{} Work: UID {uid} was given twice, to {before:?}",
            self.facts.user
        );
        Ok(())
    }

    /// Learns what deliveries have brought.
    fn look(&mut self) -> io::Result<()> {
        self.select("INBOX")?;
        let from = self.facts.mailboxes["INBOX"]
            .known
            .keys()
            .next_back()
            .map_or(1, |uid| uid + 1);
        let reply = self.run(&format!(
            "UID FETCH {from}:* (FLAGS BODY.PEEK[HEADER.FIELDS ({FIELD})])"
        ))?;
        let inbox = self.facts.mailboxes.get_mut("INBOX").must("INBOX");
        for fetch in reply
            .fetches()
            .iter()
            .filter(|fetch| fetch.get("UID").is_some() && fetch.items.len() >= 3)
        {
            if fetch.uid() >= from {
                inbox
                    .known
                    .insert(fetch.uid(), Known::new(name_of(fetch), flags_of(fetch)));
            }
        }
        Ok(())
    }

    fn store(&mut self, mailbox: &'static str) -> io::Result<()> {
        let Some(uid) = self.some_uid(mailbox) else {
            return Ok(());
        };
        self.select(mailbox)?;
        let flags = self.some_flags();
        self.known(mailbox, uid).maybe_flags = Some(flags.clone());
        self.run(&format!("UID STORE {uid} FLAGS {}", listed(&flags)))?;
        let known = self.known(mailbox, uid);
        (known.flags, known.maybe_flags) = (flags, None);
        Ok(())
    }

    fn copy(&mut self, command: &str) -> io::Result<()> {
        let Some(uid) = self.some_uid("Work") else {
            return Ok(());
        };
        self.select("Other")?;
        self.select("Work")?;
        let copied = self.known("Work", uid).clone();
        if command == "MOVE" {
            self.known("Work", uid).maybe_gone = true;
            let before = self.facts.count("Other", &copied.id);
            self.facts.moving = Some(Moving {
                uid,
                id: copied.id.clone(),
                before,
            });
        }
        let other = self.facts.mailboxes.get_mut("Other").must("Other");
        other.maybe.insert(copied.id.clone());
        let reply = self.run(&format!("UID {command} {uid} Other"))?;
        let other = self.facts.mailboxes.get_mut("Other").must("Other");
        other.maybe.remove(&copied.id);
        let untagged = reply
            .ok_code("COPYUID")
            .map(|code| code.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let code = reply
            .code("COPYUID")
            .or(untagged)
            .must(&format!("COPYUID in {reply:?}"));
        let before = other.known.insert(
            code[2].parse().must("a UID"),
            Known::new(copied.id, copied.flags),
        );
        assert!(
            before.is_none(),
            "{} Other: a UID was given twice, to {before:?}",
            self.facts.user
        );
        if command == "MOVE" {
            self.facts.moving = None;
            self.forget("Work", uid);
        }
        Ok(())
    }

    fn expunge(&mut self, mailbox: &'static str) -> io::Result<()> {
        let Some(uid) = self.some_uid(mailbox) else {
            return Ok(());
        };
        self.select(mailbox)?;
        let deleted: Flags = ["\\Deleted".to_owned()].into();
        self.known(mailbox, uid).maybe_flags = Some(deleted.clone());
        self.run(&format!("UID STORE {uid} FLAGS (\\Deleted)"))?;
        let known = self.known(mailbox, uid);
        (known.flags, known.maybe_flags, known.maybe_gone) = (deleted, None, true);
        self.run(&format!("UID EXPUNGE {uid}"))?;
        self.forget(mailbox, uid);
        Ok(())
    }

    fn forget(&mut self, mailbox: &'static str, uid: u32) {
        let mailbox = self.facts.mailboxes.get_mut(mailbox).must("a mailbox");
        let known = mailbox.known.remove(&uid).must("a known message");
        mailbox.gone.insert(uid, known.id);
    }

    fn known(&mut self, mailbox: &'static str, uid: u32) -> &mut Known {
        let mailbox = self.facts.mailboxes.get_mut(mailbox).must("a mailbox");
        mailbox.known.get_mut(&uid).must("a known message")
    }

    fn some_uid(&mut self, mailbox: &'static str) -> Option<u32> {
        let uids: Vec<u32> = self.facts.mailboxes[mailbox]
            .known
            .keys()
            .copied()
            .collect();
        if uids.is_empty() {
            None
        } else {
            Some(*self.dice.pick(&uids))
        }
    }

    fn some_flags(&mut self) -> Flags {
        FLAGS
            .iter()
            .filter(|_| self.dice.below(3) == 0)
            .map(|flag| (*flag).to_owned())
            .collect()
    }
}

fn listed(flags: &Flags) -> String {
    format!("({})", flags.iter().cloned().collect::<Vec<_>>().join(" "))
}
