//! The mailboxes that an account has from the first (`[mail] autocreate`), each subscribed.
//!
//! Promises: they are there before the directory names the account, so nobody sees it without them, and what a user deletes never comes
//! back. A crash leaves: an account without a name that has some of them; whoever finishes its opening makes the rest.

use coldpost_tiers::hot::row::{AccountRow, Row};
use coldpost_tiers::hot::{TableName, key};
use futures::future;

use crate::deliver::unexpected;
use crate::error::Result;
use crate::ids::{AccountId, ShardNo};
use crate::op::{Op, Outcome, Refusal};
use crate::open::Engine;
use crate::view::SpecialUse;

impl Engine {
    /// Makes those that are missing in an account without a name.
    ///
    /// # Errors
    /// `Unavailable`; what was made stays, and the next try makes the rest.
    pub(super) async fn make_first_mailboxes(
        &self,
        account: AccountId,
        shard: ShardNo,
    ) -> Result<()> {
        let wanted = &self.settings().autocreate;
        if self.mailboxes_ever(account, shard)? > wanted.len() {
            return Ok(());
        }
        let shard = self.shard(shard)?;
        // All at once: they share an fsync.
        let changes = wanted.iter().flat_map(|mailbox| {
            [
                Op::Subscribe {
                    account,
                    name: mailbox.name.clone(),
                    on: true,
                },
                Op::Create {
                    account,
                    name: mailbox.name.clone(),
                    special_use: mailbox.special_use.map_or(0, SpecialUse::bit),
                },
            ]
        });
        for outcome in future::join_all(changes.map(|op| shard.change(op))).await {
            match outcome? {
                Outcome::Done { .. }
                | Outcome::Created { .. }
                | Outcome::Refused {
                    why: Refusal::Exists,
                    ..
                } => {}
                other => return Err(unexpected(&other)),
            }
        }
        Ok(())
    }

    /// How many mailboxes an account has ever had, INBOX among them. An account that had all of its first ones may have lost its name
    /// with the directory, and its user may have deleted some.
    fn mailboxes_ever(&self, account: AccountId, shard: ShardNo) -> Result<usize> {
        let state = self.shard(shard)?.hot.read()?;
        let value = state.get(TableName::Accounts, &key::account(account))?;
        let row = value.map(|value| AccountRow::decode("accounts", &value));
        let next = row.transpose()?.map_or(1, |row| row.next_mailbox);
        Ok(usize::try_from(next.saturating_sub(1)).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests;
