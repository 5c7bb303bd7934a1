//! Which UIDs a mailbox has: from its few rows of holes where they are complete, from its many runs otherwise.

use coldpost_tiers::hot::row::{Holes, HolesHead, MailboxRow, Row, Run};
use coldpost_tiers::hot::{Snapshot, TableName, key};
use coldpost_tiers::{Error, Result};

use crate::ids::{AccountId, MailboxId, Uid};
use crate::uidset::UidSet;

/// The UIDs as the runs have them.
pub(crate) fn of_runs(state: &Snapshot, account: AccountId, mailbox: MailboxId) -> Result<UidSet> {
    let mut set = UidSet::new();
    let prefix = key::mailbox(account, mailbox.0);
    state.walk(TableName::Runs, &prefix, &prefix, |run_key, value| {
        push_run(&mut set, run_key, value)?;
        Ok(true)
    })?;
    Ok(set)
}

/// Adds the UIDs of a run.
pub(crate) fn push_run(set: &mut UidSet, run_key: &[u8], value: &[u8]) -> Result<()> {
    let mut is_right = true;
    Run::each_uid(value, |uid| {
        is_right = is_right && push(set, run_key, uid);
    })?;
    in_place(is_right).map(drop)
}

/// Adds a UID of a run; not one that belongs into another run, or before those that are there: only a damaged row has such.
pub(crate) fn push(set: &mut UidSet, run_key: &[u8], uid: Uid) -> bool {
    let is_right = Run::first_uid(uid) == key::uid_of(run_key) && set.last() < Some(uid);
    if is_right {
        set.push(uid);
    }
    is_right
}

/// Goes on with the next run, where the UIDs of this one were its own.
pub(crate) fn in_place(is_right: bool) -> Result<bool> {
    let text = "a run has UIDs of another one: run coldpost verify";
    let wrong = || Error::corrupt("hot tier, table runs", 0, text);
    is_right.then_some(true).ok_or_else(wrong)
}

/// The UIDs below UIDNEXT that are in no hole; `None` when not all holes are noted, or are more to read than the runs.
pub(crate) fn without_holes(
    state: &Snapshot,
    account: AccountId,
    mailbox: MailboxId,
    row: &MailboxRow,
) -> Result<Option<UidSet>> {
    let wanted = row.missing();
    if wanted > 0 && row.exists < Holes::rows_max(row.uid_next) {
        return Ok(None);
    }
    let mut there = UidSet::new();
    let mut next = 1_u32;
    if wanted > 0 {
        let head = state.look(
            TableName::Holes,
            &key::uid(account, mailbox.0, Holes::HEAD),
            |value| HolesHead::decode("holes", value).ok(),
        )?;
        let whole = HolesHead {
            uid_validity: row.uid_validity,
            count: wanted,
        };
        if head.flatten() != Some(whole) {
            return Ok(None);
        }
        let (prefix, first) = (
            key::mailbox(account, mailbox.0),
            key::uid(account, mailbox.0, 1),
        );
        let mut is_in_order = true;
        state.walk(TableName::Holes, &prefix, &first, |_, value| {
            let Ok(holes) = Holes::decode("holes", value) else {
                is_in_order = false;
                return Ok(false);
            };
            for (first, last) in holes.ranges {
                is_in_order &= first >= next && last < row.uid_next;
                if is_in_order && first > next {
                    there.push_range(next, first - 1);
                }
                next = last.saturating_add(1);
            }
            Ok(is_in_order)
        })?;
        if !is_in_order {
            return Ok(None);
        }
    }
    if row.uid_next > next {
        there.push_range(next, row.uid_next - 1);
    }
    Ok((there.len() == row.exists).then_some(there))
}
