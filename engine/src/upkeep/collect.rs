//! Purges what was expunged, once no session shows it any more, the entries of deleted mailboxes, and what deleted accounts leave.

use std::sync::Arc;
use std::time::Instant;

use coldpost_tiers::hot::row::{ExpungedRow, Row, Run};
use coldpost_tiers::hot::{TableName, key};
use tokio::sync::mpsc;

use super::{Notice, tick};
use crate::blocking;
use crate::error::Result;
use crate::ids::{AccountId, MailboxId, Uid};
use crate::limits::{OP_MESSAGES_MAX, PURGE_MESSAGES_MAX};
use crate::op::Op;
use crate::open::Engine;
use crate::shard::Shard;

/// Looking for what may go takes at most this share of the time.
const SHARE: u32 = 50;
/// Rows that one look passes once it has something to purge.
const LOOK_MAX: usize = 4 * OP_MESSAGES_MAX;

pub(super) async fn run(engine: Engine, mut queue: mpsc::UnboundedReceiver<Notice>) {
    let mut failures = 0_u32;
    loop {
        let mut left = false;
        let mut failed = false;
        let seen = moves(&engine);
        let begun = Instant::now();
        for shard in engine.mail_shards() {
            match collect(&engine, shard).await {
                Ok(more) => left |= more,
                Err(e) => {
                    failed = true;
                    // A full disk stays full for a while.
                    if failures.is_power_of_two() || failures == 0 {
                        tracing::warn!(shard = shard.no.0, "purging waits: {e}");
                    }
                }
            }
        }
        let rest = begun.elapsed() * SHARE;
        failures = if failed {
            failures.saturating_add(1)
        } else {
            0
        };
        let rest = rest.max(tick() * failures.min(60));
        tokio::time::sleep(tick().max(rest.min(tick() * 60))).await;
        if failed {
            continue;
        }
        // What some session shows may go when that session was told of more, or left; new work is looked at in any case.
        while left && moves(&engine) == seen && queue.is_empty() {
            tokio::time::sleep(tick()).await;
        }
        if left {
            while queue.try_recv().is_ok() {}
        } else if queue.recv().await.is_none() {
            return;
        }
    }
}

/// Frees what may go; whether anything is left that some session still shows.
pub(crate) async fn collect(engine: &Engine, shard: &Arc<Shard>) -> Result<bool> {
    let is_shown = purge(shard).await?;
    Ok(sweep(engine, shard).await? || is_shown)
}

/// How often sessions were told of something, or left.
fn moves(engine: &Engine) -> u64 {
    engine
        .mail_shards()
        .iter()
        .map(|shard| shard.registry.moves())
        .sum()
}

type Entries = Vec<(MailboxId, Uid)>;

/// Purges what may go; whether anything is left that some session still shows.
async fn purge(shard: &Arc<Shard>) -> Result<bool> {
    loop {
        let looked_at = Arc::clone(shard);
        let looking = move || due(&looked_at);
        let (due, shown) = blocking::run("looking for what may go", looking).await?;
        let Some((account, entries)) = due else {
            return Ok(shown);
        };
        // In small pieces: whoever delivers meanwhile waits for one of them, not for all.
        for some in entries.chunks(PURGE_MESSAGES_MAX) {
            let entries = some.to_vec();
            shard.change(Op::Purge { account, entries }).await?;
        }
    }
}

/// Drops what deleted accounts leave; whether one of them waits for a session that still shows its mail.
async fn sweep(engine: &Engine, shard: &Arc<Shard>) -> Result<bool> {
    let mut accounts = Vec::new();
    shard
        .hot
        .read()?
        .walk(TableName::Pending, &[3], &[3], |pending, _| {
            accounts.push(key::account_of(pending.get(1..).unwrap_or_default()));
            Ok(accounts.len() < OP_MESSAGES_MAX)
        })?;
    for account in &accounts {
        while engine.sweep_account(shard.no, *account).await? > 0 {}
    }
    Ok(!accounts.is_empty() && {
        let mut waits = false;
        shard
            .hot
            .read()?
            .walk(TableName::Pending, &[3], &[3], |_, _| {
                waits = true;
                Ok(false)
            })?;
        waits
    })
}

/// Entries of one account that may go now, and whether some may not.
fn due(shard: &Shard) -> Result<(Option<(AccountId, Entries)>, bool)> {
    let state = shard.hot.read()?;
    let mut entries: Entries = Vec::new();
    let mut account = None;
    let mut shown = false;
    let mut passed = 0;
    state.walk(TableName::Due, &[], &[], |due_key, _| {
        passed += 1;
        let (_, owner, mailbox, uid) = key::read_due(due_key);
        let mailbox = MailboxId(mailbox);
        if account.is_some_and(|a| a != owner) {
            return Ok(passed < LOOK_MAX);
        }
        let expunged = state.get(TableName::Expunged, &key::uid(owner, mailbox.0, uid))?;
        let modseq = match expunged {
            Some(value) => ExpungedRow::decode("expunged", &value)?.modseq,
            None => 0,
        };
        if shard.registry.shows(owner, mailbox, modseq) {
            shown = true;
            return Ok(true);
        }
        account = Some(owner);
        entries.push((mailbox, uid));
        Ok(entries.len() < OP_MESSAGES_MAX)
    })?;
    if account.is_none() {
        (account, entries) = of_deleted_mailbox(shard, &mut shown)?;
    }
    Ok((account.map(|account| (account, entries)), shown))
}

fn of_deleted_mailbox(shard: &Shard, shown: &mut bool) -> Result<(Option<AccountId>, Entries)> {
    let state = shard.hot.read()?;
    let mut entries: Entries = Vec::new();
    let mut account = None;
    state.walk(TableName::Pending, &[2], &[2], |pending, _| {
        let owner = key::account_of(pending.get(1..).unwrap_or_default());
        let mailbox = MailboxId(key::mailbox_of(pending));
        if shard.registry.shows(owner, mailbox, u64::MAX) {
            *shown = true;
            return Ok(true);
        }
        let runs = key::mailbox(owner, mailbox.0);
        state.walk(TableName::Runs, &runs, &runs, |_, value| {
            entries.extend(
                Run::decode("runs", value)?
                    .entries
                    .iter()
                    .map(|e| (mailbox, e.uid)),
            );
            Ok(entries.len() < OP_MESSAGES_MAX - 128)
        })?;
        account = (!entries.is_empty()).then_some(owner);
        Ok(account.is_none())
    })?;
    Ok((account, entries))
}
