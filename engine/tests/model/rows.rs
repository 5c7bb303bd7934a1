//! The rows of a hot tier, read as the model says them.

use std::collections::{BTreeMap, BTreeSet};

use coldpost_engine::op::uids::read_uids;
use coldpost_tiers::address::MessageId;
use coldpost_tiers::codec::Reader;
use coldpost_tiers::hot::row::{
    AccountRow, AccountState, ExpungedRow, MailboxRow, MailboxState, NameRow, NameState, Place,
    Row, Run, RunEntry, ThreadRow,
};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::mailboxes::{Account, Held, Mailbox, Message, Model};

fn message(id: MessageId) -> Message {
    (id.epoch.0, id.position.0, id.number)
}

fn held(entry: &RunEntry, table: &[String]) -> Held {
    let named = (0..table.len()).filter(|bit| entry.keywords & (1 << bit) != 0);
    Held {
        message: message(entry.message),
        flags: entry.flags,
        keywords: named.map(|bit| table[bit].to_ascii_lowercase()).collect(),
        modseq: entry.modseq,
        save_date: entry.save_date,
    }
}

fn each(state: &Snapshot, table: TableName, mut look: impl FnMut(&[u8], &[u8])) {
    let walked = state.walk(table, &[], &[], |key, value| {
        look(key, value);
        Ok(true)
    });
    walked.unwrap();
}

fn id(key: &[u8]) -> u64 {
    key::account_of(key).0
}

/// The state as the model would have it. Expunged entries of a mailbox whose row is gone have lost the names of their keywords.
pub(crate) fn read(state: &Snapshot, time_ms: u64) -> Model {
    let mut model = Model {
        time_ms,
        ..Model::default()
    };
    each(state, TableName::Accounts, |k, value| {
        let row = AccountRow::decode("accounts", value).unwrap();
        let (modseq, uid_validity, next_mailbox) = (row.modseq, row.uid_validity, row.next_mailbox);
        model.accounts.insert(
            id(k),
            Account {
                modseq,
                uid_validity,
                next_mailbox,
                closed: row.state == AccountState::Deleting,
                ..Account::default()
            },
        );
    });
    each(state, TableName::Names, |k, value| {
        let row = NameRow::decode("names", value).unwrap();
        let state = match row.state {
            NameState::Named => 1,
            NameState::Renaming => 2,
            NameState::Deleting => 3,
            NameState::Reserved => 4,
        };
        let name = String::from_utf8(k.to_vec()).unwrap();
        model.names.insert(name, (row.account.0, state, row.other));
    });
    let mut named = BTreeSet::new();
    each(state, TableName::MailboxNames, |k, value| {
        let mailbox = u32::from_be_bytes(value.try_into().unwrap());
        named.insert((id(k), mailbox, String::from_utf8(k[8..].to_vec()).unwrap()));
    });
    each(state, TableName::Mailboxes, |k, value| {
        let row = MailboxRow::decode("mailboxes", value).unwrap();
        let deleted = row.state == MailboxState::Deleted;
        let name = (id(k), key::mailbox_of(k), row.name.clone());
        assert_eq!(named.remove(&name), !deleted, "the name of {name:?}");
        let mailbox = Mailbox {
            name: row.name,
            deleted,
            special_use: row.special_use,
            uid_validity: row.uid_validity,
            uid_next: row.uid_next,
            highest: row.highest_modseq,
            forgotten: row.forgotten_modseq,
            keywords: row.keywords,
            held: BTreeMap::new(),
        };
        model
            .accounts
            .get_mut(&id(k))
            .unwrap()
            .mailboxes
            .insert(key::mailbox_of(k), mailbox);
    });
    assert!(named.is_empty(), "names without a mailbox: {named:?}");
    entries(state, &mut model);
    places(state, &mut model);
    model
}

fn entries(state: &Snapshot, model: &mut Model) {
    each(state, TableName::Runs, |k, value| {
        let account = model.accounts.get_mut(&id(k)).unwrap();
        let mailbox = account
            .mailboxes
            .get_mut(&key::mailbox_of(&k[..12]))
            .unwrap();
        for entry in Run::decode("runs", value).unwrap().entries {
            mailbox
                .held
                .insert(entry.uid, held(&entry, &mailbox.keywords));
        }
    });
    let mut due = BTreeSet::new();
    each(state, TableName::Due, |k, _| {
        due.insert(key::read_due(k));
    });
    each(state, TableName::Expunged, |k, value| {
        let row = ExpungedRow::decode("expunged", value).unwrap();
        let account = model.accounts.get_mut(&id(k)).unwrap();
        let mailbox = key::mailbox_of(&k[..12]);
        let table = account
            .mailboxes
            .get(&mailbox)
            .map_or(&[][..], |m| &m.keywords);
        let entry = (held(&row.entry, table), row.modseq, row.cause as u8);
        account.expunged.insert((mailbox, key::uid_of(k)), entry);
        let item = (row.time, key::account_of(k), mailbox, key::uid_of(k));
        assert!(due.remove(&item), "{item:?} is not due");
    });
    assert!(due.is_empty(), "due without an expunged entry: {due:?}");
    each(state, TableName::Subscriptions, |k, _| {
        let name = String::from_utf8(k[8..].to_vec()).unwrap();
        model
            .accounts
            .get_mut(&id(k))
            .unwrap()
            .subscriptions
            .insert(name);
    });
    let mut deleted = BTreeSet::new();
    each(state, TableName::Pending, |k, value| {
        let owner = id(&k[1..]);
        let account = model.accounts.get_mut(&owner).unwrap();
        if k[0] == 2 {
            deleted.insert((owner, u32::from_be_bytes(k[9..].try_into().unwrap())));
            return;
        }
        if k[0] == 3 {
            assert!(account.closed, "{owner} is pending and open");
            return;
        }
        let mut r = Reader::new(&value[1..]);
        let (mailbox, uids) = (r.number().unwrap(), read_uids(&mut r).unwrap());
        let group = (
            k[9..25].try_into().unwrap(),
            u64::from_be_bytes(k[25..].try_into().unwrap()),
        );
        account
            .groups
            .insert(group, (mailbox, uids.iter().collect()));
    });
    let is_deleted = |(owner, a): (&u64, &Account)| {
        let gone = a.mailboxes.iter().filter(|(_, m)| m.deleted);
        gone.map(|(id, _)| (*owner, *id)).collect::<Vec<_>>()
    };
    let expected: BTreeSet<(u64, u32)> = model.accounts.iter().flat_map(is_deleted).collect();
    assert_eq!(deleted, expected, "pending names the deleted mailboxes");
}

fn places(state: &Snapshot, model: &mut Model) {
    each(state, TableName::Places, |k, value| {
        let place = Place::decode(k, value).unwrap();
        let this = message(key::read_message(k).unwrap().1);
        let seen = (
            place.size,
            message(place.email_id.message),
            message(place.thread_id.message),
        );
        model
            .accounts
            .get_mut(&id(k))
            .unwrap()
            .messages
            .insert(this, seen);
    });
    let mut covered: Option<(u64, u64)> = None;
    each(state, TableName::Threads, |k, value| {
        let first = u64::from_be_bytes(k[8..].try_into().unwrap());
        let threads = &mut model.accounts.get_mut(&id(k)).unwrap().threads;
        for (hash, thread) in ThreadRow::decode("threads", value).unwrap().entries {
            assert!(hash >= first && covered.is_none_or(|before| before < (id(k), first)));
            threads.insert(hash, message(thread.message));
        }
        covered = threads.last_key_value().map(|(hash, _)| (id(k), *hash));
    });
}

/// All rows but those of `meta`: what a repeated op must leave as it was.
pub(crate) fn all(state: &Snapshot) -> Vec<(TableName, Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    for table in TableName::ALL
        .into_iter()
        .filter(|table| *table != TableName::Meta)
    {
        each(state, table, |key, value| {
            rows.push((table, key.to_vec(), value.to_vec()))
        });
    }
    rows
}
