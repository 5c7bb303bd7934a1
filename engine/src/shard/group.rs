//! What the ops of a COPY or MULTIAPPEND gave so far, so that it can be undone by id.

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
