//! The corpus on its way in and out: some accounts, each with its share of the mail and a thread of its own.

use std::thread;

use coldpost_testkit::corpus::{self, Mail};
use coldpost_testkit::exact::{self, Expected};
use coldpost_testkit::{Daemon, Must};

/// Accounts that are written to and read at the same time.
const LANES: usize = 4;
/// Where APPEND goes; LMTP delivers to INBOX.
pub(crate) const APPENDED: &str = "Appended";

/// What an account must hold.
pub(crate) struct Lane {
    /// Its name.
    pub(crate) user: String,
    /// In INBOX.
    pub(crate) delivered: Vec<Expected>,
    /// In `Appended`.
    pub(crate) appended: Vec<Expected>,
}

/// Sends every message by LMTP and by APPEND to one of the accounts.
pub(crate) fn send<'a>(daemon: &Daemon, mails: impl Iterator<Item = &'a Mail>) -> Vec<Lane> {
    let mut shares: Vec<Vec<&Mail>> = vec![vec![]; LANES];
    for (number, mail) in mails.enumerate() {
        shares[number % LANES].push(mail);
    }
    thread::scope(|scope| {
        let lanes: Vec<_> = shares
            .iter()
            .enumerate()
            .map(|(number, share)| {
                let mut lane = Lane::new(&format!("corpus{number}@example.org"));
                scope.spawn(move || {
                    lane.send(daemon, share);
                    lane
                })
            })
            .collect();
        let joined = lanes.into_iter().map(|lane| lane.join().ok());
        joined.map(|lane| lane.must("a sending thread")).collect()
    })
}

/// Reads everything back and compares it.
pub(crate) fn check(daemon: &Daemon, lanes: &[Lane]) {
    in_threads(lanes, |lane| {
        let mut imap = daemon.imap(&lane.user);
        exact::check(&mut imap, "INBOX", &lane.delivered);
        exact::check(&mut imap, APPENDED, &lane.appended);
    });
}

/// Reads everything and compares nothing.
pub(crate) fn read(daemon: &Daemon, lanes: &[Lane]) {
    in_threads(lanes, |lane| {
        let mut imap = daemon.imap(&lane.user);
        for mailbox in ["INBOX", APPENDED] {
            imap.command(&format!("EXAMINE {mailbox}")).ok();
            imap.count("FETCH 1:* BODY.PEEK[]").must("reading all mail");
        }
    });
}

/// How many messages there are.
pub(crate) fn count(lanes: &[Lane]) -> usize {
    let counts = lanes
        .iter()
        .map(|lane| lane.delivered.len() + lane.appended.len());
    counts.sum()
}

fn in_threads(lanes: &[Lane], each: impl Fn(&Lane) + Sync) {
    thread::scope(|scope| {
        let running: Vec<_> = lanes
            .iter()
            .map(|lane| scope.spawn(|| each(lane)))
            .collect();
        for lane in running {
            assert!(
                lane.join().is_ok(),
                "a thread found a difference, see above"
            );
        }
    });
}

impl Lane {
    /// Without mail.
    pub(crate) fn new(user: &str) -> Lane {
        Lane {
            user: user.to_owned(),
            delivered: vec![],
            appended: vec![],
        }
    }

    fn send(&mut self, daemon: &Daemon, mails: &[&Mail]) {
        let (mut lmtp, mut imap) = (daemon.lmtp(), daemon.imap(&self.user));
        imap.command(&format!("CREATE {APPENDED}")).ok();
        for (name, mail) in mails {
            let bytes = corpus::crlf(mail);
            lmtp.deliver("sender@example.org", &self.user, &bytes);
            self.delivered.push(Expected {
                name: name.clone(),
                bytes,
                trace_lines: true,
            });
            let reply = imap.try_append(APPENDED, "", mail).must("APPEND");
            let refused = mail.contains(&0);
            assert_eq!(
                reply.is_ok(),
                !refused,
                "{name}: {reply:?} (only mail with NUL is refused)"
            );
            if !refused {
                self.appended.push(Expected {
                    name: name.clone(),
                    bytes: mail.clone(),
                    trace_lines: false,
                });
            }
        }
    }
}
