//! `flags`: STORE, with its condition decided here.

use std::collections::BTreeSet;

use coldpost_tiers::Result;
use coldpost_tiers::hot::row::{MailboxRow, Run, RunEntry};

use super::{Step, no_account, no_mailbox};
use crate::flags::{FlagAction, SystemFlags};
use crate::limits::KEYWORDS_MAX;
use crate::op::{Outcome, Refusal, SetFlags};
use crate::uidset::UidSet;

/// Bits of `wanted` in the mailbox's table, which grows; `None` when it would grow past its bound.
pub(super) fn intern(table: &mut Vec<String>, wanted: &BTreeSet<String>) -> Option<u128> {
    let mut bits = 0;
    for keyword in wanted {
        let bit = match table.iter().position(|k| k.eq_ignore_ascii_case(keyword)) {
            Some(bit) => bit,
            None if table.len() < KEYWORDS_MAX => {
                table.push(keyword.clone());
                table.len() - 1
            }
            None => return None,
        };
        bits |= 1_u128 << bit;
    }
    Some(bits)
}

pub(super) fn too_many_keywords() -> Outcome {
    let text = format!(
        "a mailbox has at most {KEYWORDS_MAX} different keywords over its life: use ones that it has, or another mailbox"
    );
    Outcome::refused(Refusal::Limit, text)
}

/// Bits of those of `wanted` that the table knows.
fn known(table: &[String], wanted: &BTreeSet<String>) -> u128 {
    let bit = |keyword: &String| table.iter().position(|k| k.eq_ignore_ascii_case(keyword));
    wanted
        .iter()
        .filter_map(bit)
        .fold(0, |bits, bit| bits | 1_u128 << bit)
}

impl Step<'_, '_> {
    pub(super) fn set_flags(&mut self, set: &SetFlags) -> Result<Outcome> {
        let Some(mut account) = self.account(set.account)? else {
            return Ok(no_account());
        };
        let Some(mut row) = self.mailbox(set.account, set.mailbox)? else {
            return Ok(no_mailbox());
        };
        let bits = match set.action {
            FlagAction::Remove => known(&row.keywords, &set.flags.keywords),
            FlagAction::Add | FlagAction::Replace => {
                match intern(&mut row.keywords, &set.flags.keywords) {
                    Some(bits) => bits,
                    None => return Ok(too_many_keywords()),
                }
            }
        };
        let modseq = account.modseq + 1;
        let (mut modified, mut changed) = (UidSet::new(), UidSet::new());
        for (first, uids) in by_run(&set.uids) {
            let mut run = self.run(set.account, set.mailbox, first)?;
            let mut dirty = false;
            for entry in run.entries.iter_mut().filter(|e| uids.contains(e.uid)) {
                if set
                    .unchanged_since
                    .is_some_and(|since| entry.modseq > since)
                {
                    modified.push(entry.uid);
                    continue;
                }
                if change(entry, set.action, set.flags.system.0, bits, &mut row) {
                    entry.modseq = modseq;
                    changed.push(entry.uid);
                    dirty = true;
                }
            }
            if dirty {
                self.put_run(set.account, set.mailbox, first, &run)?;
            }
        }
        if changed.is_empty() {
            return Ok(Outcome::Flagged {
                modified,
                changed,
                modseq: account.modseq,
            });
        }
        account.modseq = modseq;
        row.highest_modseq = modseq;
        self.put_mailbox(set.account, set.mailbox, &row)?;
        self.put_account(set.account, &account)?;
        Ok(Outcome::Flagged {
            modified,
            changed,
            modseq,
        })
    }
}

/// Changes an entry's flags and the mailbox's counters; whether anything changed.
fn change(
    entry: &mut RunEntry,
    action: FlagAction,
    system: u8,
    keywords: u128,
    row: &mut MailboxRow,
) -> bool {
    let before = (entry.flags, entry.keywords);
    (entry.flags, entry.keywords) = match action {
        FlagAction::Replace => (system, keywords),
        FlagAction::Add => (before.0 | system, before.1 | keywords),
        FlagAction::Remove => (before.0 & !system, before.1 & !keywords),
    };
    let had = |flag| SystemFlags(before.0).contains(flag);
    let has = |flag| SystemFlags(entry.flags).contains(flag);
    row.unseen =
        row.unseen + u32::from(!has(SystemFlags::SEEN)) - u32::from(!had(SystemFlags::SEEN));
    row.deleted =
        row.deleted + u32::from(has(SystemFlags::DELETED)) - u32::from(had(SystemFlags::DELETED));
    before != (entry.flags, entry.keywords)
}

/// The set cut at the borders of runs: each run's key column and the members in it.
pub(super) fn by_run(uids: &UidSet) -> Vec<(u32, UidSet)> {
    let mut runs: Vec<(u32, UidSet)> = Vec::new();
    for &(start, end) in uids.ranges() {
        let mut from = start.max(1);
        while from <= end {
            let first = Run::first_uid(from);
            let to = end.min(first.saturating_add(127));
            match runs.last_mut() {
                Some((at, set)) if *at == first => set.push_range(from, to),
                _ => runs.push((first, UidSet::from_ranges([(from, to)]))),
            }
            match to.checked_add(1) {
                Some(next) => from = next,
                None => break,
            }
        }
    }
    runs
}
