//! What clients do meanwhile: deliveries to all accounts, and bodies read at random from all of them.

use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::{Daemon, Must};

use super::ACCOUNTS;
use crate::paced::Stream;

/// Connections that fill the store before.
const FILLERS: usize = 8;
/// Connections that deliver, and clients that read.
const CONNECTIONS: usize = 4;
/// Between two deliveries of a connection.
const DELIVER_EVERY: Duration = Duration::from_millis(20);
/// Between two bodies that a client asks for.
const FETCH_EVERY: Duration = Duration::from_millis(10);

/// The load in words.
pub(super) fn words() -> String {
    let rate = |every: Duration| CONNECTIONS as u128 * 1_000 / every.as_millis();
    format!(
        "{} deliveries a second by {CONNECTIONS} connections and {} FETCHes of whole messages, chosen at random, by {CONNECTIONS} clients",
        rate(DELIVER_EVERY),
        rate(FETCH_EVERY)
    )
}

fn user(number: usize) -> String {
    format!("u{}@example.org", number % ACCOUNTS)
}

/// Spreads messages among the accounts; their bytes.
pub(super) fn deliver(daemon: &Daemon, mails: &[Vec<u8>], messages: usize) -> u64 {
    let of = |number: usize| &mails[number % mails.len()];
    std::thread::scope(|scope| {
        for first in 0..FILLERS {
            scope.spawn(move || {
                let mut lmtp = daemon.lmtp();
                for number in (first..messages).step_by(FILLERS) {
                    lmtp.deliver("sender@example.org", &user(number), of(number));
                }
            });
        }
    });
    (0..messages).map(|number| of(number).len() as u64).sum()
}

/// A session with the mailbox's number of messages.
type Reader = (Imap, usize);

/// Connections of all clients.
pub(super) struct Load<'a> {
    mails: &'a [Vec<u8>],
    deliveries: Vec<(Lmtp, Dice)>,
    /// A client has a session in each of some accounts.
    clients: Vec<(Vec<Reader>, Dice)>,
}

impl<'a> Load<'a> {
    pub(super) fn open(daemon: &Daemon, mails: &'a [Vec<u8>]) -> Load<'a> {
        let dice = |number: usize| Dice::new(number as u64);
        let reader = |number: usize| {
            let mut imap = daemon.imap(&user(number));
            let count = imap.command("SELECT INBOX").ok().number(" EXISTS");
            let count = usize::try_from(count.must("EXISTS")).must("a count");
            (imap, count)
        };
        let client = |first: usize| {
            let accounts = (first..ACCOUNTS).step_by(CONNECTIONS);
            (accounts.map(reader).collect(), dice(100 + first))
        };
        Load {
            mails,
            deliveries: (0..CONNECTIONS)
                .map(|number| (daemon.lmtp(), dice(number)))
                .collect(),
            clients: (0..CONNECTIONS).map(client).collect(),
        }
    }

    pub(super) fn streams(&mut self) -> Vec<Stream<'_>> {
        let mails = self.mails;
        let deliveries = self.deliveries.iter_mut().map(|(lmtp, dice)| {
            Stream::new("LMTP", DELIVER_EVERY, move || {
                let to = user(dice.index(ACCOUNTS));
                let mail: &Vec<u8> = dice.pick(mails);
                lmtp.deliver("sender@example.org", &to, mail);
            })
        });
        let clients = self.clients.iter_mut().map(|(readers, dice)| {
            Stream::new("FETCH", FETCH_EVERY, move || {
                let at = dice.index(readers.len());
                let (imap, count) = &mut readers[at];
                let command = format!("FETCH {} BODY.PEEK[]", dice.index(*count) + 1);
                imap.count(&command).must("FETCH");
            })
        });
        deliveries.chain(clients).collect()
    }
}
