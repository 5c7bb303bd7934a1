//! A mailbox as one session sees it: its own picture of which messages are there, moved on only when the session says so.

use std::sync::Arc;

use coldpost_tiers::hot::row::{ExpungedRow, MailboxRow, MailboxState, Row, Run, RunEntry};
use coldpost_tiers::hot::{Snapshot, TableName, key};
use tokio::sync::watch;

use super::kinds::{Changes, Entry, MailboxStatus};
use crate::error::{Error, Kind, Result};
use crate::flags::SystemFlags;
use crate::ids::{AccountRef, MailboxId, ModSeq, Uid};
use crate::present;
use crate::shard::Shard;
use crate::shard::registry::Picture;
use crate::uidset::UidSet;

/// A selected mailbox. Cheap to hold (shares its UID set with other sessions); holds no transaction.
/// While it lives, messages it shows are not purged.
pub struct MailboxView {
    pub(super) shard: Arc<Shard>,
    pub(super) account: AccountRef,
    pub(super) mailbox: MailboxId,
    pub(super) status: MailboxStatus,
    keywords: Arc<Vec<String>>,
    pub(super) uids: Arc<UidSet>,
    /// Up to here everything was told: held expunges do not count as told.
    told_modseq: ModSeq,
    recent: UidSet,
    takes_recent: bool,
    /// Expunged messages stay in the picture until EXPUNGE may be sent.
    kept_expunged: bool,
    picture: Picture,
    watch: watch::Receiver<u64>,
}

pub(crate) fn status_of(id: MailboxId, row: &MailboxRow) -> MailboxStatus {
    MailboxStatus {
        id,
        uid_validity: row.uid_validity,
        uid_next: row.uid_next,
        exists: row.exists,
        unseen: row.unseen,
        size: row.bytes,
        highest_modseq: row.highest_modseq,
        deleted: row.deleted,
        keywords: row.keywords.clone(),
    }
}

fn entry_of(e: &RunEntry) -> Entry {
    Entry {
        uid: e.uid,
        message: e.message,
        system: SystemFlags(e.flags),
        keywords: e.keywords,
        modseq: e.modseq,
        save_date: e.save_date,
    }
}

pub(crate) fn mailbox_row(
    state: &Snapshot,
    account: AccountRef,
    mailbox: MailboxId,
) -> Result<Option<MailboxRow>> {
    let value = state.get(
        TableName::Mailboxes,
        &key::mailbox(account.number, mailbox.0),
    )?;
    let row = value
        .map(|v| MailboxRow::decode("mailboxes", &v))
        .transpose()?;
    Ok(row.filter(|row| row.state == MailboxState::Live))
}

/// The mailbox of a name.
///
/// # Errors
/// `NotFound`; `Unavailable` after an I/O error.
pub(crate) fn mailbox_id(state: &Snapshot, account: AccountRef, name: &str) -> Result<MailboxId> {
    let value = state.get(TableName::MailboxNames, &key::name(account.number, name))?;
    let id = value.and_then(|v| v.first_chunk::<4>().copied());
    let gone = || Error::new(Kind::NotFound, format!("mailbox {name} is not there"));
    Ok(MailboxId(u32::from_be_bytes(id.ok_or_else(gone)?)))
}

/// UIDs with \Deleted.
pub(crate) fn deleted_uids(
    state: &Snapshot,
    account: AccountRef,
    mailbox: MailboxId,
) -> Result<UidSet> {
    let mut set = UidSet::new();
    let prefix = key::mailbox(account.number, mailbox.0);
    state.walk(TableName::Runs, &prefix, &prefix, |run_key, value| {
        let run = Run::decode("runs", value)?;
        let deleted = |e: &&RunEntry| SystemFlags(e.flags).contains(SystemFlags::DELETED);
        let mut deleted = run.entries.iter().filter(deleted);
        present::in_place(deleted.all(|e| present::push(&mut set, run_key, e.uid)))
    })?;
    Ok(set)
}

/// All UIDs of a mailbox in `state`, shared with other sessions that have it. `row` is the mailbox's in the same state.
pub(crate) fn uid_set(
    shard: &Shard,
    state: &Snapshot,
    account: AccountRef,
    mailbox: MailboxId,
    row: &MailboxRow,
) -> Result<Arc<UidSet>> {
    let (account, modseq) = (account.number, row.highest_modseq);
    if let Some(set) = shard.registry.shared_set(account, mailbox, modseq) {
        return Ok(set);
    }
    let set = match present::without_holes(state, account, mailbox, row)? {
        Some(set) => set,
        None => present::of_runs(state, account, mailbox)?,
    };
    let set = Arc::new(set);
    shard.registry.share_set(account, mailbox, modseq, &set);
    Ok(set)
}

/// The first UID that came after this process started: what is \Recent in a mailbox that nobody opened yet.
pub(crate) fn first_recent(
    state: &Snapshot,
    account: AccountRef,
    mailbox: MailboxId,
    started: i64,
    next: Uid,
) -> Result<Uid> {
    let prefix = key::mailbox(account.number, mailbox.0);
    let end = key::uid(account.number, mailbox.0, u32::MAX);
    let mut first = next;
    for item in state.scan_back(TableName::Runs, &prefix, &end)? {
        let run = Run::decode("runs", &item?.1)?;
        for entry in run.entries.iter().rev() {
            if entry.save_date < started {
                return Ok(first);
            }
            first = entry.uid;
        }
    }
    Ok(first)
}

impl MailboxView {
    pub(crate) fn open(
        shard: &Arc<Shard>,
        account: AccountRef,
        mailbox: MailboxId,
        takes_recent: bool,
        started: i64,
    ) -> Result<MailboxView> {
        let watch = shard.registry.watch(account.number);
        // The picture is registered as of nothing before the state is read: a purge in between spares what it will show.
        let picture = Picture::new(shard, (account.number, mailbox), 0);
        let state = shard.hot.read()?;
        let gone = || Error::new(Kind::NotFound, "the mailbox is not there any more");
        let row = mailbox_row(&state, account, mailbox)?.ok_or_else(gone)?;
        picture.move_to(row.highest_modseq);
        let uids = uid_set(shard, &state, account, mailbox, &row)?;
        let first = first_recent(&state, account, mailbox, started, row.uid_next)?;
        let from = shard
            .registry
            .recent_from(account.number, mailbox, || first);
        let recent = uids.intersection(&UidSet::from_ranges([(from, u32::MAX)]));
        if takes_recent {
            shard
                .registry
                .take_recent(account.number, mailbox, row.uid_next);
        }
        Ok(MailboxView {
            shard: Arc::clone(shard),
            account,
            mailbox,
            status: status_of(mailbox, &row),
            told_modseq: row.highest_modseq,
            keywords: Arc::new(row.keywords),
            uids,
            recent,
            takes_recent,
            kept_expunged: false,
            picture,
            watch,
        })
    }

    /// The account.
    pub fn account(&self) -> AccountRef {
        self.account
    }

    /// The mailbox.
    pub fn mailbox(&self) -> MailboxId {
        self.mailbox
    }

    /// The counters when the view was last moved on; `exists` and `uid_next` fit `uids()`.
    pub fn status(&self) -> &MailboxStatus {
        &self.status
    }

    /// The modseq up to which the session was told everything, expunges too.
    pub fn told_modseq(&self) -> ModSeq {
        self.told_modseq
    }

    /// Whether expunged messages are in the picture because EXPUNGE might not be sent.
    pub fn holds_expunged(&self) -> bool {
        self.kept_expunged
    }

    /// UIDs in this picture; the sequence number of a UID is its rank + 1.
    pub fn uids(&self) -> &Arc<UidSet> {
        &self.uids
    }

    /// Keywords of the mailbox as of the last move.
    pub fn keywords(&self) -> &Arc<Vec<String>> {
        &self.keywords
    }

    /// UIDs that are \Recent in this session: those that no earlier read-write session of this node was told of.
    pub fn recent(&self) -> &UidSet {
        &self.recent
    }

    /// The first UID without \Seen (SELECT's UNSEEN).
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn first_unseen(&self) -> Result<Option<Uid>> {
        if self.status.unseen == 0 {
            return Ok(None);
        }
        let state = self.shard.hot.read()?;
        let Some(row) = mailbox_row(&state, self.account, self.mailbox)? else {
            return Ok(None);
        };
        let prefix = key::mailbox(self.account.number, self.mailbox.0);
        let end = key::uid(self.account.number, self.mailbox.0, u32::MAX);
        let unseen = |run: Run| -> Vec<Uid> {
            let unseen = |e: &RunEntry| !SystemFlags(e.flags).contains(SystemFlags::SEEN);
            let unseen = run.entries.into_iter().filter(unseen);
            unseen.map(|e| e.uid).collect()
        };
        // New mail is at the end, and who reads none of it leaves all of it unseen: from both ends, whichever is there first.
        let mut before = state.scan(TableName::Runs, &prefix, &prefix)?;
        let mut behind = state.scan_back(TableName::Runs, &prefix, &end)?;
        let (mut left, mut last) = (row.unseen, None);
        while let (Some(low), Some(high)) = (before.next(), behind.next()) {
            let (low, high) = (low?, high?);
            let mut uids = unseen(Run::decode("runs", &low.1)?).into_iter();
            let first = uids.find(|uid| self.uids.contains(*uid));
            if first.is_some() {
                return Ok(first);
            }
            if low.0 >= high.0 {
                break;
            }
            let uids = unseen(Run::decode("runs", &high.1)?);
            left = left.saturating_sub(u32::try_from(uids.len()).unwrap_or(u32::MAX));
            let there = uids.into_iter().find(|uid| self.uids.contains(*uid));
            last = there.or(last);
            if left == 0 {
                break;
            }
        }
        Ok(last)
    }

    /// The current entries of `uids` that are in this picture, ascending; also those expunged meanwhile and not yet announced.
    /// At most `limit`: ask again from the last UID + 1 for more, so that memory stays bounded.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error; `Corrupt` when one of them is not to be found.
    pub fn entries(&self, uids: &UidSet, limit: usize) -> Result<Vec<Entry>> {
        let wanted = uids.intersection(&self.uids);
        let state = self.shard.hot.read()?;
        let mut found = Vec::new();
        let mut ranges = wanted.ranges().iter().copied().peekable();
        while let Some((start, _)) = ranges.peek().copied() {
            if found.len() >= limit {
                break;
            }
            let first = Run::first_uid(start);
            let last = first.saturating_add(127);
            let mut of_run = UidSet::new();
            while let Some((a, b)) = ranges.peek_mut() {
                if *a > last {
                    break;
                }
                of_run.push_range(*a, (*b).min(last));
                if *b <= last {
                    ranges.next();
                } else {
                    *a = last + 1;
                    break;
                }
            }
            self.entries_of_run(&state, first, &of_run, &mut found)?;
        }
        found.truncate(limit);
        Ok(found)
    }

    fn entries_of_run(
        &self,
        state: &Snapshot,
        first: Uid,
        wanted: &UidSet,
        found: &mut Vec<Entry>,
    ) -> Result<()> {
        let run_key = key::uid(self.account.number, self.mailbox.0, first);
        let run = match state.look(TableName::Runs, &run_key, |v| Run::decode("runs", v))? {
            Some(run) => run?,
            None => Run::default(),
        };
        let before = found.len();
        let there = run.entries.iter().filter(|e| wanted.contains(e.uid));
        found.extend(there.map(entry_of));
        let missing = usize::try_from(wanted.len()).unwrap_or(usize::MAX) - (found.len() - before);
        if missing > 0 {
            let there: UidSet = found[before..].iter().map(|e| e.uid).collect();
            for uid in wanted.difference(&there).iter() {
                let key = key::uid(self.account.number, self.mailbox.0, uid);
                let row = state.look(TableName::Expunged, &key, |v| {
                    ExpungedRow::decode("expunged", v)
                })?;
                // What a session shows is not purged.
                let lost = || {
                    let text =
                        format!("UID {uid} is neither there nor expunged: run coldpost verify");
                    coldpost_tiers::Error::corrupt("hot tier, table runs", 0, text)
                };
                found.push(entry_of(&row.ok_or_else(lost)??.entry));
            }
            found[before..].sort_by_key(|e| e.uid);
        }
        Ok(())
    }

    /// The keywords of an entry spelled out, in alphabetical order.
    pub fn keywords_of(&self, entry: &Entry) -> Vec<&str> {
        let mut keywords = Vec::new();
        let mut bits = entry.keywords;
        while bits != 0 {
            let bit = usize::try_from(bits.trailing_zeros()).unwrap_or(usize::MAX);
            keywords.extend(self.keywords.get(bit).map(String::as_str));
            bits &= bits - 1;
        }
        keywords.sort_unstable();
        keywords
    }

    /// What happened since; `None` when nothing did. Does not change the picture.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn changes(&self) -> Result<Option<Changes>> {
        let place = (self.account.number, self.mailbox);
        let (seen, woken) = (self.status.highest_modseq, *self.watch.borrow());
        if !self.kept_expunged
            && let Some(known) = self.shard.changes.known(place, seen, woken)
        {
            return Ok(Some(known));
        }
        let changes = self.look_for_changes()?;
        if let Some(changes) = changes
            .as_ref()
            .filter(|c| !c.deleted && !self.kept_expunged)
        {
            self.shard.changes.keep(place, seen, woken, changes);
        }
        Ok(changes)
    }

    fn look_for_changes(&self) -> Result<Option<Changes>> {
        let state = self.shard.hot.read()?;
        let Some(row) = mailbox_row(&state, self.account, self.mailbox)? else {
            return Ok(Some(Changes::mailbox_deleted()));
        };
        let seen = self.status.highest_modseq;
        if row.highest_modseq == seen && !self.kept_expunged {
            return Ok(None);
        }
        let uids = uid_set(&self.shard, &state, self.account, self.mailbox, &row)?;
        let mut flagged = Vec::new();
        let prefix = key::mailbox(self.account.number, self.mailbox.0);
        state.walk(TableName::Runs, &prefix, &prefix, |_, value| {
            if Run::peek_highest_modseq(value).is_some_and(|highest| highest <= seen) {
                return Ok(true);
            }
            let changed = |e: &&RunEntry| e.modseq > seen && self.uids.contains(e.uid);
            flagged.extend(
                Run::decode("runs", value)?
                    .entries
                    .iter()
                    .filter(changed)
                    .map(entry_of),
            );
            Ok(true)
        })?;
        Ok(Some(Changes {
            expunged: self.uids.difference(&uids),
            arrived: uids.difference(&self.uids),
            flagged,
            keywords: Arc::new(row.keywords.clone()),
            deleted: false,
            status: Some(status_of(self.mailbox, &row)),
            uids,
        }))
    }

    /// Takes the changes into the picture. With `keep_expunged` the expunged stay in it (commands during which EXPUNGE may
    /// not be sent, RFC 3501, 7.4.1) and come again with the next `changes`.
    pub fn advance(&mut self, changes: Changes, keep_expunged: bool) {
        let Some(status) = changes.status else { return };
        let from = self
            .shard
            .registry
            .recent_from(self.account.number, self.mailbox, || self.status.uid_next);
        let fresh = changes
            .arrived
            .intersection(&UidSet::from_ranges([(from, u32::MAX)]));
        self.recent = self.recent.union(&fresh);
        if self.takes_recent {
            self.shard
                .registry
                .take_recent(self.account.number, self.mailbox, status.uid_next);
        }
        self.kept_expunged = keep_expunged && !changes.expunged.is_empty();
        if self.kept_expunged {
            self.uids = Arc::new(changes.uids.union(&changes.expunged));
        } else {
            self.uids = changes.uids;
            self.recent = self.recent.intersection(&self.uids);
            self.picture.move_to(status.highest_modseq);
            self.told_modseq = status.highest_modseq;
        }
        self.keywords = changes.keywords;
        self.status = status;
    }

    /// Waits until something happened in the account that may concern this mailbox. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.watch.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
