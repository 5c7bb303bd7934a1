//! What the ops of a COPY or MULTIAPPEND gave so far, so that it can be undone by id.

use std::sync::{Arc, PoisonError};

use coldpost_tiers::hot::{TableName, key};

use super::Shard;
use crate::error::Result;
use crate::ids::{AccountId, MailboxId};
use crate::op::GroupId;
use crate::uidset::UidSet;

/// Mailboxes and UIDs, an op each.
///
/// # Errors
/// `Unavailable` after an I/O error; `Corrupt` for a row that cannot be read.
pub(crate) fn group_rows(
    shard: &Shard,
    account: AccountId,
    group: GroupId,
) -> Result<Vec<(MailboxId, UidSet)>> {
    let prefix = key::pending(1, account, &group.0);
    let mut rows = Vec::new();
    shard
        .hot
        .read()?
        .walk(TableName::Pending, &prefix, &prefix, |_, value| {
            let (mailbox, uids) = crate::apply::copy::read_group_row(value)?;
            if !uids.is_empty() {
                rows.push((mailbox, uids));
            }
            Ok(true)
        })?;
    Ok(rows)
}

/// A group while its command is at work. Dropped before it was ended (the undoing failed, or the session went away), it is left to upkeep.
pub(crate) struct OpenGroup {
    shard: Arc<Shard>,
    account: AccountId,
    group: GroupId,
    is_ended: bool,
}

impl OpenGroup {
    /// Before its `begin group` is submitted.
    pub(crate) fn new(shard: Arc<Shard>, account: AccountId, group: GroupId) -> OpenGroup {
        OpenGroup {
            shard,
            account,
            group,
            is_ended: false,
        }
    }

    /// Its name.
    pub(crate) fn id(&self) -> GroupId {
        self.group
    }

    /// Its `end group` was applied.
    pub(crate) fn ended(mut self) {
        self.is_ended = true;
    }
}

impl Drop for OpenGroup {
    fn drop(&mut self) {
        if !self.is_ended {
            let mut left = self
                .shard
                .left_groups
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            left.push((self.account, self.group));
        }
    }
}
