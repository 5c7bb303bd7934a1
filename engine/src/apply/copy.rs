//! `copy` and `move`: new entries for messages that are there already; never a body.

use std::collections::BTreeSet;

use coldpost_tiers::Result;
use coldpost_tiers::hot::row::{Cause, MailboxRow, RunEntry};
use coldpost_tiers::hot::{TableName, key};

use super::flags::{by_run, intern, too_many_keywords};
use super::{Step, no_account, no_mailbox};
use crate::ids::{AccountId, MailboxId};
use crate::limits::KEYWORDS_MAX;
use crate::op::{CopyUids, GroupId, Outcome, Refusal};
use crate::uidset::UidSet;

impl Step<'_, '_> {
    pub(super) fn copy(&mut self, op: &CopyUids) -> Result<Outcome> {
        let Some(mut account) = self.account(op.account)? else {
            return Ok(no_account());
        };
        let Some(source) = self.mailbox(op.account, op.from)? else {
            return Ok(no_mailbox());
        };
        let Some(mut target) = self.mailbox(op.account, op.to)? else {
            return Ok(no_mailbox());
        };
        let entries = self.entries_to_copy(op)?;
        if !have_room(&source.keywords, &target.keywords, &entries) {
            return Ok(too_many_keywords());
        }
        if entries.is_empty() {
            return Ok(copied(
                &target,
                UidSet::new(),
                UidSet::new(),
                account.modseq,
            ));
        }
        account.modseq += 1;
        let from: UidSet = entries.iter().map(|e| e.uid).collect();
        let Some(to) =
            self.put_copies(op, &source.keywords, &mut target, &entries, account.modseq)?
        else {
            return Ok(Outcome::refused(
                Refusal::Limit,
                "the mailbox has no UIDs left",
            ));
        };
        if let Some(group) = op.group {
            self.note_group(op.account, group, op.to, &to)?;
        }
        self.put_mailbox(op.account, op.to, &target)?;
        self.put_account(op.account, &account)?;
        Ok(copied(&target, from, to, account.modseq))
    }

    pub(super) fn r#move(&mut self, op: &CopyUids) -> Result<Outcome> {
        let Some(mut account) = self.account(op.account)? else {
            return Ok(no_account());
        };
        let Some(mut source) = self.mailbox(op.account, op.from)? else {
            return Ok(no_mailbox());
        };
        let Some(target) = self.mailbox(op.account, op.to)? else {
            return Ok(no_mailbox());
        };
        let wanted = op.uids.len();
        if target.uid_next.checked_add(wanted).is_none() {
            return Ok(Outcome::refused(
                Refusal::Limit,
                "the mailbox has no UIDs left",
            ));
        }
        // Nearly every table has room for the other's whole: then no entry is read twice.
        let may_be_full = source.keywords.len() + target.keywords.len() > KEYWORDS_MAX;
        if may_be_full
            && !have_room(
                &source.keywords,
                &target.keywords,
                &self.entries_to_copy(op)?,
            )
        {
            return Ok(too_many_keywords());
        }
        let gone = self.take_entries(op.account, op.from, &mut source, &op.uids, |_| true)?;
        if gone.is_empty() {
            return Ok(copied(
                &target,
                UidSet::new(),
                UidSet::new(),
                account.modseq,
            ));
        }
        account.modseq += 1;
        self.keep_expunged(op.account, op.from, &gone, account.modseq, Cause::Move)?;
        source.highest_modseq = account.modseq;
        self.put_mailbox(op.account, op.from, &source)?;
        // Read again: source and target may be one mailbox.
        let Some(mut target) = self.mailbox(op.account, op.to)? else {
            return Ok(no_mailbox());
        };
        let from: UidSet = gone.iter().map(|e| e.uid).collect();
        let to = self
            .put_copies(op, &source.keywords, &mut target, &gone, account.modseq)?
            .unwrap_or_default();
        self.put_mailbox(op.account, op.to, &target)?;
        self.put_account(op.account, &account)?;
        Ok(copied(&target, from, to, account.modseq))
    }

    fn entries_to_copy(&self, op: &CopyUids) -> Result<Vec<RunEntry>> {
        let mut entries = Vec::new();
        for (first, uids) in by_run(&op.uids) {
            let run = self.run(op.account, op.from, first)?;
            entries.extend(run.entries.into_iter().filter(|e| uids.contains(e.uid)));
        }
        Ok(entries)
    }

    /// New entries in the target, each a reference more; `None` when it has no UIDs left.
    fn put_copies(
        &mut self,
        op: &CopyUids,
        keywords: &[String],
        target: &mut MailboxRow,
        entries: &[RunEntry],
        modseq: u64,
    ) -> Result<Option<UidSet>> {
        let wanted = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let Some(end) = target.uid_next.checked_add(wanted) else {
            return Ok(None);
        };
        let to = UidSet::from_ranges([(target.uid_next, end - 1)]);
        let mut copies = Vec::with_capacity(entries.len());
        for entry in entries {
            let size = self.refer(op.account, entry.message)?;
            // `have_room` was asked before.
            let bits = intern(&mut target.keywords, &named(entry.keywords, keywords)).unwrap_or(0);
            copies.push((
                RunEntry {
                    keywords: bits,
                    modseq,
                    save_date: self.now,
                    ..*entry
                },
                size,
            ));
        }
        self.append_entries(op.account, op.to, target, &copies)?;
        target.highest_modseq = modseq;
        Ok(Some(to))
    }

    pub(super) fn begin_group(&mut self, account: AccountId, group: GroupId) -> Result<Outcome> {
        if self.account(account)?.is_none() {
            return Ok(no_account());
        }
        let mut rest = group.0.to_vec();
        rest.extend_from_slice(&[0; 8]);
        self.batch.put(
            TableName::Pending,
            &key::pending(1, account, &rest),
            &[1, 0, 0],
        )?;
        Ok(Outcome::Done { modseq: 0 })
    }

    pub(super) fn end_group(&mut self, account: AccountId, group: GroupId) -> Result<Outcome> {
        let prefix = key::pending(1, account, &group.0);
        let rows: Vec<_> = self
            .batch
            .scan(TableName::Pending, &prefix, &prefix)?
            .collect::<Result<_>>()?;
        for (key, _) in &rows {
            self.batch.remove(TableName::Pending, key)?;
        }
        Ok(Outcome::Done { modseq: 0 })
    }
}

fn named(bits: u128, keywords: &[String]) -> BTreeSet<String> {
    let named = (0..KEYWORDS_MAX).filter(|bit| bits & (1_u128 << bit) != 0);
    named.filter_map(|bit| keywords.get(bit).cloned()).collect()
}

/// Whether the target's table can take all keywords of the entries: none is lost on the way.
fn have_room(keywords: &[String], target: &[String], entries: &[RunEntry]) -> bool {
    let bits = entries.iter().fold(0, |bits, entry| bits | entry.keywords);
    intern(&mut target.to_vec(), &named(bits, keywords)).is_some()
}

fn copied(target: &MailboxRow, from: UidSet, to: UidSet, modseq: u64) -> Outcome {
    Outcome::Copied {
        uid_validity: target.uid_validity,
        from,
        to,
        modseq,
    }
}

/// Which mailbox and UIDs a row of `pending` names for undoing.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn read_group_row(value: &[u8]) -> Result<(MailboxId, UidSet)> {
    let mut r = coldpost_tiers::codec::Reader::new(value);
    let mut read = || {
        r.u8()?;
        Ok((MailboxId(r.number()?), crate::op::uids::read_uids(&mut r)?))
    };
    read().map_err(|e: coldpost_tiers::codec::Malformed| {
        let offset = u64::try_from(e.offset).unwrap_or(u64::MAX);
        coldpost_tiers::Error::corrupt("hot tier, table pending", offset, e.to_string())
    })
}
