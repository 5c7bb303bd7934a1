//! Renaming and deleting accounts: marked in the directory, done in the mail shard, closed in the directory.
//!
//! Promises: a name is one account's at any moment, and an account that is marked as deleted is nobody's to log in to. Each step may be
//! done again. A crash leaves: a mark; the next start, or upkeep, goes on from there.

use coldpost_tiers::hot::row::{AccountRow, AccountState, NameRow, NameState, Row};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::account::AccountName;
use crate::deliver::unexpected;
use crate::error::{Error, Kind, Result};
use crate::ids::{AccountId, AccountRef, ShardNo};
use crate::op::{AccountStep, Op, Outcome};
use crate::open::Engine;

/// What happens to an account, as its mark in the directory says it.
#[derive(Clone, Debug)]
struct Change {
    account: AccountRef,
    name: String,
    to: To,
}

#[derive(Clone, Debug)]
enum To {
    Name(String),
    Nothing { erase: bool },
}

impl Change {
    fn op(&self, step: AccountStep) -> Op {
        let (account, name) = (self.account.number, self.name.clone());
        match &self.to {
            To::Name(to) => Op::RenameAccount {
                account,
                from: name,
                to: to.clone(),
                step,
            },
            To::Nothing { erase } => Op::DeleteAccount {
                account,
                name,
                erase: *erase,
                step,
            },
        }
    }
}

impl Engine {
    /// Gives an account another name; sessions that are logged in go on. Goes to its end when nobody waits any more.
    ///
    /// # Errors
    /// `NotFound`: nobody has the name `from`. `Conflict`: somebody has `to`. `Unavailable`: not yet, or not to its end yet.
    pub async fn rename_account(&self, from: &AccountName, to: &AccountName) -> Result<AccountRef> {
        if from == to {
            return Err(Error::new(Kind::Invalid, "the two names are the same"));
        }
        self.begin_change(from, To::Name(to.as_str().to_owned()))
            .await
    }

    /// Deletes an account: from its mark on nobody logs in and no mail comes in; upkeep frees what it had. Goes to its end when nobody
    /// waits any more. With `erase` the objects that hold its mail are the next to be rewritten.
    ///
    /// # Errors
    /// `NotFound`: nobody has the name. `Unavailable`: not yet, or not to its end yet.
    pub async fn delete_account(&self, name: &AccountName, erase: bool) -> Result<AccountRef> {
        let account = self.begin_change(name, To::Nothing { erase }).await?;
        if erase {
            // Only a sealed segment is ever rewritten.
            self.shard(account.shard)?.change(Op::Cut).await?;
        }
        Ok(account)
    }

    /// Seconds since 1970 at which the bytes of mail that is deleted now are in no object any more.
    pub fn gone_by(&self, erase: bool) -> i64 {
        let settings = self.settings();
        let seconds = |span: std::time::Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let rewritten = if erase {
            0
        } else {
            seconds(settings.segment_age)
        };
        // The next snapshot, the retention of those before it, and the grace of what that frees: objects, then what they held.
        [
            rewritten,
            crate::limits::SNAPSHOT_EVERY_S,
            seconds(settings.retention),
            seconds(settings.grace).saturating_mul(2),
            crate::limits::GONE_SLACK_SECONDS,
        ]
        .into_iter()
        .fold(self.reckoned_now(), i64::saturating_add)
    }

    /// The clock, or the latest time of a shard where that is ahead: nothing goes by age before the clock has come there.
    fn reckoned_now(&self) -> i64 {
        let times = self.inner.shards.iter().filter_map(|shard| {
            let state = shard.hot.read().ok()?;
            crate::objects::shard_time(&state).ok()
        });
        times.fold(crate::clock::now_s(), i64::max)
    }

    async fn begin_change(&self, name: &AccountName, to: To) -> Result<AccountRef> {
        let (engine, name) = (self.clone(), name.clone());
        let work = tokio::spawn(async move {
            let gone = || {
                Error::new(
                    Kind::NotFound,
                    format!("there is no account {}", name.as_str()),
                )
            };
            let account = engine.account(&name)?.ok_or_else(gone)?;
            let change = Change {
                account,
                name: name.as_str().to_owned(),
                to,
            };
            let marked = {
                // Nobody opens an account of one of its names meanwhile.
                let _alone = engine.inner.opening.lock().await;
                engine
                    .step(ShardNo(0), change.op(AccountStep::Marked))
                    .await
            };
            let done = match marked {
                Ok(()) => engine.finish(&change).await,
                Err(e) => Err(e),
            };
            if done.as_ref().is_err_and(|e| e.kind() == Kind::Unavailable) {
                engine.inner.unfinished.notify_one();
            }
            done.map(|()| account)
        });
        let died = |e| Error::with_source(Kind::Internal, "changing the account failed", e);
        work.await.map_err(died)?
    }

    /// From the mark on.
    async fn finish(&self, change: &Change) -> Result<()> {
        let Change { account, .. } = change;
        self.step(account.shard, change.op(AccountStep::Done))
            .await?;
        self.step(ShardNo(0), change.op(AccountStep::Closed)).await
    }

    async fn step(&self, shard: ShardNo, op: Op) -> Result<()> {
        match self.shard(shard)?.change(op).await? {
            Outcome::Done { .. } | Outcome::Applied => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Finishes what is marked in the directory.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) async fn finish_changes(&self) -> Result<()> {
        for change in self.marked()? {
            tracing::info!(account = %change.name, "finishing the change of an account that was left half done");
            self.finish(&change).await?;
        }
        Ok(())
    }

    fn marked(&self) -> Result<Vec<Change>> {
        let mut marked = Vec::new();
        let state = self.shard(ShardNo(0))?.hot.read()?;
        state.walk(TableName::Names, &[], &[], |key, value| {
            let row = NameRow::decode("names", value)?;
            let to = match row.state {
                NameState::Renaming => To::Name(row.other),
                NameState::Deleting => To::Nothing { erase: row.erase },
                NameState::Named | NameState::Reserved => return Ok(true),
            };
            marked.push(Change {
                account: AccountRef {
                    number: row.account,
                    shard: row.shard,
                },
                name: String::from_utf8_lossy(key).into_owned(),
                to,
            });
            Ok(true)
        })?;
        Ok(marked)
    }

    /// One step of dropping what a deleted account leaves behind; how many rows went. While nothing may go no entry is written.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) async fn sweep_account(&self, shard: ShardNo, account: AccountId) -> Result<u64> {
        if !has_rows_to_sweep(&self.shard(shard)?.hot.read()?, account)? {
            return Ok(0);
        }
        let op = Op::DeleteAccount {
            account,
            name: String::new(),
            erase: false,
            step: AccountStep::Swept,
        };
        match self.shard(shard)?.change(op).await? {
            Outcome::Counted(rows) => Ok(rows),
            other => Err(unexpected(&other)),
        }
    }
}

/// Whether the step `swept` would drop a row: a thread, or with nothing left of its mail the account's own.
fn has_rows_to_sweep(state: &Snapshot, account: AccountId) -> Result<bool> {
    let prefix = key::account(account);
    let has = |table| -> Result<bool> {
        let first = state.scan(table, &prefix, &prefix)?.next().transpose()?;
        Ok(first.is_some())
    };
    let Some(value) = state.get(TableName::Accounts, &prefix)? else {
        return Ok(false);
    };
    if AccountRow::decode("accounts", &value)?.state != AccountState::Deleting {
        return Ok(false);
    }
    if has(TableName::Threads)? {
        return Ok(true);
    }
    for table in [TableName::Mailboxes, TableName::Expunged, TableName::Places] {
        if has(table)? {
            return Ok(false);
        }
    }
    Ok(true)
}
