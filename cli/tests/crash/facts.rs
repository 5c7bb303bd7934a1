//! What a user's mailboxes must hold, from what was acknowledged; and the comparison with what they hold.

use std::collections::{BTreeMap, BTreeSet};

use coldpost_testkit::Must;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::{Fetch, Imap};

use crate::Server;
use crate::deliveries::Delivery;
use crate::mail::{FIELD, id_of, message};

/// The mailboxes of every user; deliveries come into the first.
pub(crate) const MAILBOXES: [&str; 3] = ["INBOX", "Work", "Other"];
/// From so many messages on a mailbox is emptied after a round, so that long runs stay short.
const TRIM_AT: usize = 1_500;
/// Whole messages compared after each round.
const COMPARED: usize = 20;

/// Flags as a set.
pub(crate) type Flags = BTreeSet<String>;

/// A message at a UID.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Its name.
    pub(crate) id: String,
    /// The flags acknowledged last.
    pub(crate) flags: Flags,
    /// Flags of a STORE without an answer.
    pub(crate) maybe_flags: Option<Flags>,
    /// An EXPUNGE or MOVE without an answer.
    pub(crate) maybe_gone: bool,
}

impl Known {
    /// Without anything open.
    pub(crate) fn new(id: String, flags: Flags) -> Known {
        Known {
            id,
            flags,
            maybe_flags: None,
            maybe_gone: false,
        }
    }
}

/// A mailbox.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    /// UIDVALIDITY, once seen.
    validity: Option<String>,
    /// By UID.
    pub(crate) known: BTreeMap<u32, Known>,
    /// UIDs that were expunged, with the names.
    pub(crate) gone: BTreeMap<u32, String>,
    /// UIDNEXT after the last round: what comes later has higher UIDs.
    uid_next: u32,
    /// Names that may have come by an APPEND, COPY or MOVE without an answer.
    pub(crate) maybe: BTreeSet<String>,
}

/// A user's mailboxes.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The user.
    pub(crate) user: &'static str,
    /// By name.
    pub(crate) mailboxes: BTreeMap<&'static str, Mailbox>,
    /// A MOVE from Work to Other without an answer.
    pub(crate) moving: Option<Moving>,
}

/// A MOVE that happened or did not, never half.
#[derive(Clone, Debug)]
pub(crate) struct Moving {
    /// The UID in Work.
    pub(crate) uid: u32,
    /// The message.
    pub(crate) id: String,
    /// How often Other had it before.
    pub(crate) before: usize,
}

impl Facts {
    /// Nothing known.
    pub(crate) fn new(user: &'static str) -> Facts {
        Facts {
            user,
            moving: None,
            mailboxes: MAILBOXES
                .iter()
                .map(|name| (*name, Mailbox::default()))
                .collect(),
        }
    }

    /// Compares with the server and takes over what was open.
    ///
    /// # Panics
    /// At the first thing that cannot be.
    pub(crate) fn verify(&mut self, server: &Server, tried: &[Delivery], dice: &mut Dice) {
        let mut imap = Imap::login(server.imap, self.user, &server.password);
        for (name, mailbox) in &mut self.mailboxes {
            let selected = imap.command(&format!("SELECT {name}"));
            if !selected.is_ok() {
                assert!(
                    mailbox.validity.is_none() && mailbox.known.is_empty(),
                    "{} has lost {name}",
                    self.user
                );
                continue;
            }
            let place = format!("{} {name}", self.user);
            let validity = selected.ok_code("UIDVALIDITY").must("UIDVALIDITY");
            assert_eq!(
                mailbox.validity.get_or_insert(validity.clone()),
                &validity,
                "UIDVALIDITY of {place}"
            );
            let uid_next = selected
                .ok_code("UIDNEXT")
                .and_then(|text| text.parse().ok())
                .must("UIDNEXT");
            let items = format!("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS ({FIELD})])");
            let found = imap
                .fetch(&items)
                .iter()
                .map(|fetch| (fetch.uid(), (name_of(fetch), flags_of(fetch))))
                .collect();
            let mine = tried
                .iter()
                .filter(|delivery| *name == "INBOX" && delivery.users.contains(&self.user));
            mailbox.compare(&place, &found, &mine.collect::<Vec<_>>());
            mailbox.take_over(found, uid_next, &place);
            mailbox.compare_some(&mut imap, dice);
        }
        self.verify_moving();
        for (name, mailbox) in &mut self.mailboxes {
            if mailbox.known.len() > TRIM_AT {
                imap.command(&format!("SELECT {name}")).ok();
                mailbox.empty(&mut imap);
            }
        }
    }

    /// How often a mailbox has a message.
    pub(crate) fn count(&self, mailbox: &str, id: &str) -> usize {
        self.mailboxes[mailbox]
            .known
            .values()
            .filter(|known| known.id == id)
            .count()
    }

    /// A message that was being moved is in one of the two mailboxes.
    fn verify_moving(&mut self) {
        if let Some(moving) = self.moving.take() {
            let gone = !self.mailboxes["Work"].known.contains_key(&moving.uid);
            let come = self.count("Other", &moving.id) - moving.before;
            assert_eq!(
                usize::from(gone),
                come,
                "{}: {moving:?} happened by half",
                self.user
            );
        }
    }
}

impl Mailbox {
    fn compare(
        &self,
        place: &str,
        found: &BTreeMap<u32, (String, Flags)>,
        delivered: &[&Delivery],
    ) {
        for (uid, known) in &self.known {
            let Some((id, flags)) = found.get(uid) else {
                assert!(
                    known.maybe_gone,
                    "{place}: UID {uid} ({}) is gone",
                    known.id
                );
                continue;
            };
            assert_eq!(id, &known.id, "{place}: another message at UID {uid}");
            let as_known = flags == &known.flags || known.maybe_flags.as_ref() == Some(flags);
            assert!(
                as_known,
                "{place}: UID {uid} has {flags:?}, acknowledged {:?}, open {:?}",
                known.flags, known.maybe_flags
            );
        }
        for (uid, (id, _)) in found
            .iter()
            .filter(|(uid, _)| !self.known.contains_key(uid))
        {
            assert!(
                !self.gone.contains_key(uid),
                "{place}: UID {uid} was expunged and is {id} now"
            );
            assert!(
                *uid >= self.uid_next,
                "{place}: UID {uid} ({id}) is new, UIDNEXT was {}",
                self.uid_next
            );
            let sent =
                self.maybe.contains(id) || delivered.iter().any(|delivery| &delivery.id == id);
            assert!(sent, "{place}: nobody sent {id} (UID {uid})");
        }
        for delivery in delivered {
            let there = found.values().filter(|(id, _)| id == &delivery.id).count();
            let maybe_gone = self
                .known
                .values()
                .any(|known| known.id == delivery.id && known.maybe_gone);
            let count = there + self.gone.values().filter(|id| *id == &delivery.id).count();
            let least = usize::from(delivery.acknowledged && !maybe_gone);
            assert!(
                (least..=1).contains(&count),
                "{place}: {delivery:?} is there {count} times"
            );
        }
    }

    fn take_over(&mut self, found: BTreeMap<u32, (String, Flags)>, uid_next: u32, place: &str) {
        let highest = found
            .keys()
            .chain(self.known.keys())
            .chain(self.gone.keys())
            .max();
        assert!(
            highest.is_none_or(|uid| *uid < uid_next),
            "{place}: UIDNEXT {uid_next} is not above {highest:?}"
        );
        assert!(
            uid_next >= self.uid_next,
            "{place}: UIDNEXT went back from {} to {uid_next}",
            self.uid_next
        );
        self.uid_next = uid_next;
        self.gone.clear();
        self.maybe.clear();
        self.known = found
            .into_iter()
            .map(|(uid, (id, flags))| (uid, Known::new(id, flags)))
            .collect();
    }

    fn compare_some(&self, imap: &mut Imap, dice: &mut Dice) {
        let all: Vec<(&u32, &Known)> = self.known.iter().collect();
        for _ in 0..COMPARED.min(all.len()) {
            let (uid, known) = dice.pick(&all);
            let whole = imap.fetch(&format!("UID FETCH {uid} BODY.PEEK[]"))[0].bytes("BODY[]");
            assert!(
                whole.ends_with(&message(&known.id)),
                "UID {uid} ({}) has other bytes than were sent",
                known.id
            );
        }
    }

    fn empty(&mut self, imap: &mut Imap) {
        imap.command("STORE 1:* +FLAGS.SILENT (\\Deleted)").ok();
        imap.command("EXPUNGE").ok();
        self.known.clear();
    }
}

/// The name of a fetched message.
pub(crate) fn name_of(fetch: &Fetch) -> String {
    let field = fetch
        .items
        .iter()
        .find(|(name, _)| name.starts_with("BODY[HEADER.FIELDS"));
    field
        .and_then(|(_, value)| value.bytes())
        .map(id_of)
        .unwrap_or_default()
}

/// The flags of a fetched message.
pub(crate) fn flags_of(fetch: &Fetch) -> Flags {
    fetch.flags().into_iter().collect()
}
