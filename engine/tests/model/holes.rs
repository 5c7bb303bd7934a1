//! The holes of mailboxes, against what the model holds.

use std::collections::BTreeMap;

use coldpost_engine::uidset::UidSet;
use coldpost_tiers::hot::row::{Holes, HolesHead, Row};
use coldpost_tiers::hot::{CommitKind, HotTier, Snapshot, TableName, key};

use crate::mailboxes::Model;

/// What the table says: the head, and all ranges in the order of their rows.
type Noted = BTreeMap<(u64, u32), (Option<HolesHead>, Vec<(u32, u32)>)>;

fn noted(state: &Snapshot) -> Noted {
    let mut noted = Noted::new();
    let walked = state.walk(TableName::Holes, &[], &[], |k, value| {
        let mailbox = key::mailbox_of(&k[..12]);
        let of_mailbox = noted.entry((key::account_of(k).0, mailbox)).or_default();
        if key::uid_of(k) == Holes::HEAD {
            of_mailbox.0 = Some(HolesHead::decode("holes", value)?);
        } else {
            of_mailbox.1.extend(Holes::decode("holes", value)?.ranges);
        }
        Ok(true)
    });
    walked.unwrap();
    noted
}

/// Asserts that what is noted of a mailbox is all of its holes; unless `may_lack`, of every mailbox that has one.
pub(crate) fn assert_agree(state: &Snapshot, model: &Model, may_lack: bool) {
    let mut noted = noted(state);
    for (number, account) in &model.accounts {
        for (id, mailbox) in account.mailboxes.iter().filter(|(_, m)| !m.deleted) {
            let all =
                UidSet::from_ranges((mailbox.uid_next > 1).then(|| (1, mailbox.uid_next - 1)));
            let there: UidSet = mailbox.held.keys().copied().collect();
            let holes = all.difference(&there);
            let Some((head, ranges)) = noted.remove(&(*number, *id)) else {
                assert!(
                    may_lack || holes.is_empty(),
                    "{} lacks {holes:?}",
                    mailbox.name
                );
                continue;
            };
            let whole = HolesHead {
                uid_validity: mailbox.uid_validity,
                count: holes.len(),
            };
            assert_eq!(head, Some(whole), "{}", mailbox.name);
            assert!(ranges.is_sorted(), "{}: {ranges:?}", mailbox.name);
            assert_eq!(UidSet::from_ranges(ranges), holes, "{}", mailbox.name);
        }
    }
    assert!(noted.is_empty(), "holes of no mailbox: {noted:?}");
}

/// Flips bits in every row, from the `first` byte on every fifth.
pub(crate) fn damage(hot: &HotTier, first: u8) {
    let mut rows = Vec::new();
    let state = hot.read().unwrap();
    let walked = state.walk(TableName::Holes, &[], &[], |k, value| {
        let mut value = value.to_vec();
        for byte in value.iter_mut().skip(usize::from(first)).step_by(5) {
            *byte ^= 0x11;
        }
        rows.push((k.to_vec(), value));
        Ok(true)
    });
    walked.unwrap();
    let written = hot.write(CommitKind::Volatile, |batch| {
        rows.iter()
            .try_for_each(|(k, value)| batch.put(TableName::Holes, k, value))
    });
    written.unwrap();
}

/// Leaves the table as a binary does that does not know it.
pub(crate) fn forget(hot: &HotTier) {
    let mut keys = Vec::new();
    let state = hot.read().unwrap();
    let walked = state.walk(TableName::Holes, &[], &[], |k, _| {
        keys.push(k.to_vec());
        Ok(true)
    });
    walked.unwrap();
    let written = hot.write(CommitKind::Volatile, |batch| {
        keys.iter()
            .try_for_each(|k| batch.remove(TableName::Holes, k).map(drop))
    });
    written.unwrap();
}
