//! APPEND: one message, or several that come all or not at all (RFC 3502), handed over one by one so that no more than one is in memory.
//!
//! A crash leaves: a group that was begun and not ended; the next start expunges by id what it gave.

use crate::error::Result;
use crate::ids::{AccountRef, MailboxId};
use crate::open::Engine;
use crate::shard::OpenGroup;
use crate::view::mailbox::mailbox_id;
use crate::write::{Append, Appended};

/// How many messages an APPEND brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// One: durable and visible with its own op.
    One,
    /// Several: what was added can be undone until the end.
    Several,
}

/// An APPEND under way. Dropped before its end, what it added is undone by upkeep.
#[must_use = "an APPEND ends with `end`"]
pub struct Appending {
    engine: Engine,
    account: AccountRef,
    mailbox: MailboxId,
    group: Option<OpenGroup>,
    given: Appended,
}

impl Engine {
    /// Begins an APPEND to `mailbox`.
    ///
    /// # Errors
    /// `NotFound` when the mailbox is not there (TRYCREATE); `Unavailable` as for deliveries.
    pub async fn begin_append(
        &self,
        account: AccountRef,
        mailbox: &str,
        messages: Messages,
    ) -> Result<Appending> {
        self.room()?;
        let shard = self.shard(account.shard)?;
        let mailbox = mailbox_id(&shard.hot.read()?, account, mailbox)?;
        let group = match messages {
            Messages::One => None,
            Messages::Several => Some(self.begin_group(account).await?),
        };
        Ok(Appending {
            engine: self.clone(),
            account,
            mailbox,
            group,
            given: Appended::default(),
        })
    }

    /// APPEND of what is in memory: all or nothing.
    ///
    /// # Errors
    /// As [`Engine::begin_append`] and [`Appending::add`].
    pub async fn append(
        &self,
        account: AccountRef,
        mailbox: &str,
        messages: Vec<Append>,
    ) -> Result<Appended> {
        let many = match messages.len() {
            0 | 1 => Messages::One,
            _ => Messages::Several,
        };
        let mut appending = self.begin_append(account, mailbox, many).await?;
        for message in messages {
            appending = appending.add(message).await?;
        }
        appending.end().await
    }
}

impl Appending {
    /// Adds a message. When it cannot be added nothing is: those before it are gone again, too.
    ///
    /// # Errors
    /// `NotFound` when the mailbox went away, `Limit` (keywords), `Unavailable`.
    pub async fn add(mut self, message: Append) -> Result<Appending> {
        let group = self.group.as_ref().map(OpenGroup::id);
        let added = match self.engine.room() {
            Ok(()) => {
                let (account, mailbox) = (self.account, self.mailbox);
                let adding = self.engine.append_one(account, mailbox, message, group);
                adding.await
            }
            Err(e) => Err(e),
        };
        match added {
            Ok(one) => {
                self.given.uid_validity = one.uid_validity;
                self.given.modseq = one.modseq;
                self.given.uids = self.given.uids.union(&one.uids);
                Ok(self)
            }
            Err(e) => {
                self.undo().await?;
                Err(e)
            }
        }
    }

    /// Takes back what was added.
    ///
    /// # Errors
    /// `Unavailable`: upkeep takes it back later.
    pub async fn undo(self) -> Result<()> {
        if let Some(group) = self.group {
            let (shard, account) = (self.account.shard, self.account.number);
            self.engine.undo_group(shard, account, group.id()).await?;
            group.ended();
        }
        Ok(())
    }

    /// All of it is there, for good.
    ///
    /// # Errors
    /// `Unavailable`: upkeep takes back what was added.
    pub async fn end(self) -> Result<Appended> {
        if let Some(group) = self.group {
            self.engine.end_group(self.account, group).await?;
        }
        Ok(self.given)
    }
}
