//! What must hold of the rows after every batch: checked by tests and by `verify`.

use std::collections::BTreeMap;

use coldpost_tiers::Result;
use coldpost_tiers::address::{Extent, ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{
    AccountRow, AccountState, BlobRow, Counted, ExpungedRow, MailboxRow, MailboxState, NameRow,
    NameState, ObjectRow, ObjectState, Place, Row, Run, SnapshotRow,
};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::flags::SystemFlags;
use crate::ids::MailboxId;
use crate::objects::object_row;
use crate::present;

#[derive(Default)]
struct Tally {
    exists: u32,
    unseen: u32,
    deleted: u32,
    bytes: u64,
    last_uid: u32,
}

/// Everything that is wrong, in words; empty when the rows agree with one another.
///
/// # Errors
/// Of the disk, or `Corrupt` for a value that cannot be read.
pub fn violations(state: &Snapshot) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut references: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let mut tallies: BTreeMap<Vec<u8>, Tally> = BTreeMap::new();
    let places = places(state)?;
    state.walk(TableName::Runs, &[], &[], |run_key, value| {
        let run = Run::decode("runs", value)?;
        let mailbox = run_key.get(..12).unwrap_or_default().to_vec();
        let tally = tallies.entry(mailbox).or_default();
        for e in &run.entries {
            if e.uid <= tally.last_uid || Run::first_uid(e.uid) != key::uid_of(run_key) {
                wrong.push(format!(
                    "run {run_key:02x?}: UID {} is out of order or in the wrong run",
                    e.uid
                ));
            }
            let message = key::message(key::account_of(run_key), e.message);
            tally.last_uid = e.uid;
            tally.exists += 1;
            tally.unseen += u32::from(!SystemFlags(e.flags).contains(SystemFlags::SEEN));
            tally.deleted += u32::from(SystemFlags(e.flags).contains(SystemFlags::DELETED));
            tally.bytes += places.get(&message).map_or(0, |p| p.size);
            *references.entry(message).or_default() += 1;
        }
        Ok(true)
    })?;
    state.walk(TableName::Expunged, &[], &[], |k, value| {
        let row = ExpungedRow::decode("expunged", value)?;
        *references
            .entry(key::message(key::account_of(k), row.entry.message))
            .or_default() += 1;
        Ok(true)
    })?;
    wrong.extend(mailboxes(state, tallies)?);
    for (message, place) in &places {
        let counted = references.remove(message).unwrap_or(0);
        if counted != place.references {
            wrong.push(format!(
                "message {message:02x?}: {} references, counted {counted}",
                place.references
            ));
        }
        if state.look(TableName::Rows, message, |_| ())?.is_none() {
            wrong.push(format!("message {message:02x?} has no row"));
        }
    }
    wrong.extend(
        references
            .keys()
            .map(|k| format!("an entry names message {k:02x?}, which is not there")),
    );
    wrong.extend(objects(state, &places)?);
    wrong.extend(names(state)?);
    wrong.extend(closed_accounts(state)?);
    Ok(wrong)
}

/// A name that is given away and the one that is kept for it name one another.
fn names(state: &Snapshot) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    state.walk(TableName::Names, &[], &[], |k, value| {
        let row = NameRow::decode("names", value)?;
        let partner = match row.state {
            NameState::Named | NameState::Deleting => return Ok(true),
            NameState::Renaming => NameState::Reserved,
            NameState::Reserved => NameState::Renaming,
        };
        let other = state.get(TableName::Names, row.other.as_bytes())?;
        let other = other.map(|v| NameRow::decode("names", &v)).transpose()?;
        let agrees = |other: &NameRow| {
            (other.account, other.state, other.other.as_bytes()) == (row.account, partner, k)
        };
        if !other.as_ref().is_some_and(agrees) {
            let name = String::from_utf8_lossy(k);
            wrong.push(format!("name {name}: {row:?}, the other is {other:?}"));
        }
        Ok(true)
    })?;
    Ok(wrong)
}

/// An account that is being deleted shows nothing, and upkeep knows of it.
fn closed_accounts(state: &Snapshot) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    state.walk(TableName::Accounts, &[], &[], |k, value| {
        if AccountRow::decode("accounts", value)?.state == AccountState::Open {
            return Ok(true);
        }
        let pending = key::pending(3, key::account_of(k), &[]);
        if state.get(TableName::Pending, &pending)?.is_none() {
            wrong.push(format!("account {k:02x?} is being deleted by nobody"));
        }
        for table in [TableName::MailboxNames, TableName::Subscriptions] {
            state.walk(table, k, k, |_, _| {
                wrong.push(format!(
                    "account {k:02x?} is being deleted and has {}",
                    table.name()
                ));
                Ok(false)
            })?;
        }
        state.walk(TableName::Mailboxes, k, k, |_, value| {
            let row = MailboxRow::decode("mailboxes", value)?;
            if row.state == MailboxState::Live {
                wrong.push(format!(
                    "account {k:02x?} is being deleted and shows {}",
                    row.name
                ));
            }
            Ok(true)
        })?;
        Ok(true)
    })?;
    Ok(wrong)
}

fn mailboxes(state: &Snapshot, mut tallies: BTreeMap<Vec<u8>, Tally>) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    state.walk(TableName::Mailboxes, &[], &[], |k, value| {
        let row = MailboxRow::decode("mailboxes", value)?;
        let t = tallies.remove(k).unwrap_or_default();
        let counted = (t.exists, t.unseen, t.deleted, t.bytes);
        let kept = (row.exists, row.unseen, row.deleted, row.bytes);
        if counted != kept {
            wrong.push(format!(
                "mailbox {}: counters {kept:?}, counted {counted:?}",
                row.name
            ));
        }
        if row.state == MailboxState::Live {
            let id = MailboxId(key::mailbox_of(k));
            let present = present::without_holes(state, key::account_of(k), id, &row)?;
            // Runs in disorder were named above.
            let of_runs = present::of_runs(state, key::account_of(k), id);
            let differ = |present| of_runs.is_ok_and(|of_runs| of_runs != present);
            if present.is_some_and(differ) {
                wrong.push(format!(
                    "mailbox {}: its holes are where messages are",
                    row.name
                ));
            }
        }
        if t.last_uid >= row.uid_next {
            wrong.push(format!(
                "mailbox {}: UIDNEXT {} is not above {}",
                row.name, row.uid_next, t.last_uid
            ));
        }
        Ok(true)
    })?;
    wrong.extend(
        tallies
            .keys()
            .map(|k| format!("runs of a mailbox that is not there: {k:02x?}")),
    );
    Ok(wrong)
}

fn places(state: &Snapshot) -> Result<BTreeMap<Vec<u8>, Place>> {
    let mut places = BTreeMap::new();
    state.walk(TableName::Places, &[], &[], |k, value| {
        places.insert(k.to_vec(), Place::decode(k, value)?);
        Ok(true)
    })?;
    Ok(places)
}

fn objects(state: &Snapshot, places: &BTreeMap<Vec<u8>, Place>) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut objects: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let mut blobs: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for place in places.values() {
        *objects
            .entry(key::object(place.address.object))
            .or_default() += 1;
        for extent in &place.address.extents {
            if let Extent::Blob { blob, .. } = extent {
                *blobs.entry(key::blob(*blob)).or_default() += 1;
            }
        }
    }
    let agrees = |count: Counted, counted: u64| match count {
        Counted::Live(n) => n == counted,
        Counted::DeadSince(_) => counted == 0,
    };
    state.walk(TableName::Blobs, &[], &[], |k, value| {
        let row = BlobRow::decode("blobs", value)?;
        let counted = blobs.remove(k).unwrap_or(0);
        if !agrees(row.count, counted) {
            wrong.push(format!("blob {k:02x?}: {:?}, counted {counted}", row.count));
        }
        if let Counted::Live(_) = row.count {
            *objects.entry(key::object(row.object)).or_default() += 1;
        }
        Ok(true)
    })?;
    wrong.extend(snapshots(state, &mut objects)?);
    state.walk(TableName::Objects, &[], &[], |k, value| {
        let row = ObjectRow::decode("objects", value)?;
        let counted = objects.remove(k).unwrap_or(0);
        if !agrees(row.count, counted) {
            wrong.push(format!(
                "object {k:02x?}: {:?}, counted {counted}",
                row.count
            ));
        }
        Ok(true)
    })?;
    wrong.extend(
        blobs
            .keys()
            .map(|k| format!("blob {k:02x?} is named and not there")),
    );
    wrong.extend(
        objects
            .keys()
            .map(|k| format!("object {k:02x?} is named and not there")),
    );
    Ok(wrong)
}

/// Counts the ranges that manifests name; each manifest is an object that was stored.
fn snapshots(state: &Snapshot, objects: &mut BTreeMap<Vec<u8>, u64>) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    state.walk(TableName::Snapshots, &[], &[], |k, value| {
        let kind = ObjectKind::SnapshotRange;
        for id in SnapshotRow::decode("snapshots", value)?.ranges {
            *objects
                .entry(key::object(ObjectId { kind, id }))
                .or_default() += 1;
        }
        let (position, epoch) = key::read_snapshot(k);
        let manifest = ObjectId::numbered(ObjectKind::Snapshot, epoch, position.0);
        let row = object_row(state, manifest)?;
        if row.is_none_or(|row| row.state == ObjectState::Local || row.last != position) {
            wrong.push(format!("snapshot {k:02x?}: its manifest is not stored"));
        }
        Ok(true)
    })?;
    Ok(wrong)
}
