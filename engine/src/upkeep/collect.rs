//! Purges what was expunged, once no session shows it any more, and the entries of deleted mailboxes.

use coldpost_tiers::hot::row::{ExpungedRow, Row, Run};
use coldpost_tiers::hot::{TableName, key};
use tokio::sync::mpsc;

use super::{Notice, tick};
use crate::error::Result;
use crate::ids::{AccountId, MailboxId, Uid};
use crate::limits::OP_MESSAGES_MAX;
use crate::op::Op;
use crate::open::Engine;
use crate::shard::Shard;

pub(super) async fn run(engine: Engine, mut queue: mpsc::UnboundedReceiver<Notice>) {
    loop {
        let mut left = false;
        for shard in engine.mail_shards() {
            match purge(shard).await {
                Ok(more) => left |= more,
                Err(e) => tracing::warn!(shard = shard.no.0, "purging waits: {e}"),
            }
        }
        tokio::time::sleep(tick()).await;
        if left {
            while queue.try_recv().is_ok() {}
        } else if queue.recv().await.is_none() {
            return;
        }
    }
}

type Entries = Vec<(MailboxId, Uid)>;

/// Purges what may go; whether anything is left that some session still shows.
async fn purge(shard: &Shard) -> Result<bool> {
    loop {
        let (due, shown) = due(shard)?;
        let Some((account, entries)) = due else {
            return Ok(shown);
        };
        shard.change(Op::Purge { account, entries }).await?;
    }
}

/// Entries of one account that may go now, and whether some may not.
fn due(shard: &Shard) -> Result<(Option<(AccountId, Entries)>, bool)> {
    let state = shard.hot.read()?;
    let mut entries: Entries = Vec::new();
    let mut account = None;
    let mut shown = false;
    state.walk(TableName::Due, &[], &[], |due_key, _| {
        let (_, owner, mailbox, uid) = key::read_due(due_key);
        let mailbox = MailboxId(mailbox);
        if account.is_some_and(|a| a != owner) {
            return Ok(true);
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
