//! Changes to what is there: flags, expunge, copy, move. Each is cut into ops of at most 4,096 messages.

use std::sync::Arc;

use bytes::Bytes;

use crate::blocking;
use crate::deliver::{refused, unexpected};
use crate::error::{Error, Result};
use crate::flags::{FlagAction, Flags};
use crate::ids::{AccountId, AccountRef, EmailId, MailboxId, ModSeq, ShardNo, Uid};
use crate::limits::{EXPUNGE_MESSAGES_MAX, OP_MESSAGES_MAX};
use crate::op::{CopyUids, ExpungeUids, GroupId, Op, Outcome, SetFlags};
use crate::open::Engine;
use crate::shard::{self, OpenGroup, random_id};
use crate::uidset::UidSet;
use crate::view::mailbox::{deleted_uids, mailbox_id, mailbox_row, uid_set};

/// What became of one recipient of a delivery, after durability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Durable and visible: where.
    Stored {
        /// The mailbox (INBOX when the one asked for is not there).
        mailbox: MailboxId,
        /// UIDVALIDITY of it.
        uid_validity: u32,
        /// The UID given.
        uid: Uid,
    },
    /// The account is gone: 550.
    AccountGone,
    /// Others got it, this one did not: to be delivered again.
    NotNow {
        /// Because the disk is full.
        is_disk_full: bool,
    },
}

/// What an APPEND gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// UIDVALIDITY
    pub uid_validity: u32,
    /// The UIDs given, one a message.
    pub uids: UidSet,
    /// The account's modseq after it.
    pub modseq: ModSeq,
}

/// One message to append.
#[derive(Clone, Debug)]
pub struct Append {
    /// Its bytes, as they came.
    pub message: Bytes,
    /// Flags and keywords.
    pub flags: Flags,
    /// INTERNALDATE (seconds, zone in minutes east); now in UTC when absent.
    pub internal_date: Option<(i64, i16)>,
    /// EMAILID to carry when the message comes from elsewhere in the store.
    pub email_id: Option<EmailId>,
}

/// A STORE (RFC 3501, 6.4.6; RFC 7162, 3.1.3).
#[derive(Clone, Debug)]
pub struct Store {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Which messages; UIDs that are not there are skipped.
    pub uids: UidSet,
    /// What to do.
    pub action: FlagAction,
    /// With which flags.
    pub flags: Flags,
    /// UNCHANGEDSINCE
    pub unchanged_since: Option<ModSeq>,
}

/// What a STORE gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Messages that failed UNCHANGEDSINCE (MODIFIED).
    pub modified: UidSet,
    /// UIDs of messages whose flags changed.
    pub changed: UidSet,
    /// The account's modseq after it (unchanged when nothing changed).
    pub modseq: ModSeq,
}

/// What COPY or MOVE gave: COPYUID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// UIDVALIDITY of the target.
    pub uid_validity: u32,
    /// Source UIDs, ascending, as pairs with the target's.
    pub uids: Vec<(Uid, Uid)>,
}

impl Engine {
    /// STORE. Conditions are decided by apply, atomically for each batch of 4,096 messages.
    ///
    /// # Errors
    /// `NotFound`, `Limit` (keywords), `Unavailable`.
    pub async fn store(&self, account: AccountRef, store: Store) -> Result<Stored> {
        let shard = self.shard(account.shard)?;
        let mut given = Stored::default();
        for uids in self.existing(account, store.mailbox, &store.uids)? {
            let set = SetFlags {
                account: account.number,
                mailbox: store.mailbox,
                uids,
                action: store.action,
                flags: store.flags.clone(),
                unchanged_since: store.unchanged_since,
            };
            match shard.change(Op::Flags(set)).await? {
                Outcome::Flagged {
                    modified,
                    changed,
                    modseq,
                } => {
                    given.modified = given.modified.union(&modified);
                    given.changed = given.changed.union(&changed);
                    given.modseq = modseq;
                }
                other => return Err(unexpected(&other)),
            }
        }
        Ok(given)
    }

    /// Expunges those of `uids` that have \Deleted (`None`: all that have it). Gives the UIDs that went.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn expunge(
        &self,
        account: AccountRef,
        mailbox: MailboxId,
        uids: Option<UidSet>,
    ) -> Result<UidSet> {
        let shard = self.shard(account.shard)?;
        let of = Arc::clone(&shard);
        // It reads all of the mailbox: others would wait for that here.
        let look = move || deleted_uids(&of.hot.read()?, account, mailbox);
        let deleted = blocking::run("looking for what is deleted", look).await?;
        let wanted = uids.map_or(deleted.clone(), |uids| uids.intersection(&deleted));
        let mut gone = UidSet::new();
        for uids in pieces(&wanted, EXPUNGE_MESSAGES_MAX) {
            let op = ExpungeUids {
                account: account.number,
                mailbox,
                uids,
                only_deleted: true,
            };
            match shard.change(Op::Expunge(op)).await? {
                Outcome::Expunged { uids, .. } => gone = gone.union(&uids),
                other => return Err(unexpected(&other)),
            }
        }
        Ok(gone)
    }

    /// COPY into the mailbox `to`. All or nothing. `NotFound` when `to` is not there.
    ///
    /// # Errors
    /// As said, `Limit`, `Unavailable`.
    pub async fn copy(
        &self,
        account: AccountRef,
        from: MailboxId,
        uids: &UidSet,
        to: &str,
    ) -> Result<Copied> {
        let pieces = self.existing(account, from, uids)?;
        let (to, mut given) = self.target(account, to)?;
        let group = if pieces.len() > 1 {
            Some(self.begin_group(account).await?)
        } else {
            None
        };
        for uids in pieces {
            let copy = CopyUids {
                account: account.number,
                from,
                uids,
                to,
                group: group.as_ref().map(OpenGroup::id),
            };
            if let Err(e) = self
                .copy_piece(account.shard, Op::Copy(copy), &mut given)
                .await
            {
                if let Some(group) = group {
                    self.undo_group(account.shard, account.number, group.id())
                        .await?;
                    group.ended();
                }
                return Err(e);
            }
        }
        if let Some(group) = group {
            self.end_group(account, group).await?;
        }
        Ok(given)
    }

    /// MOVE (RFC 6851): each message is in exactly one of both at any moment.
    ///
    /// # Errors
    /// As `copy`; what was moved before an error stays moved.
    pub async fn r#move(
        &self,
        account: AccountRef,
        from: MailboxId,
        uids: &UidSet,
        to: &str,
    ) -> Result<Copied> {
        let pieces = self.existing(account, from, uids)?;
        let (to, mut given) = self.target(account, to)?;
        for uids in pieces {
            let copy = CopyUids {
                account: account.number,
                from,
                uids,
                to,
                group: None,
            };
            self.copy_piece(account.shard, Op::Move(copy), &mut given)
                .await?;
        }
        Ok(given)
    }

    async fn copy_piece(&self, shard: ShardNo, op: Op, given: &mut Copied) -> Result<()> {
        match self.shard(shard)?.change(op).await? {
            Outcome::Copied {
                from,
                to,
                uid_validity,
                ..
            } => {
                given.uid_validity = uid_validity;
                given.uids.extend(from.iter().zip(to.iter()));
                Ok(())
            }
            other => Err(unexpected(&other)),
        }
    }

    fn target(&self, account: AccountRef, to: &str) -> Result<(MailboxId, Copied)> {
        let state = self.shard(account.shard)?.hot.read()?;
        let to = mailbox_id(&state, account, to)?;
        let row = mailbox_row(&state, account, to)?.ok_or_else(no_mailbox)?;
        Ok((
            to,
            Copied {
                uid_validity: row.uid_validity,
                uids: Vec::new(),
            },
        ))
    }

    /// Those of `uids` that are there now, in pieces for one op each.
    fn existing(
        &self,
        account: AccountRef,
        mailbox: MailboxId,
        uids: &UidSet,
    ) -> Result<Vec<UidSet>> {
        let shard = self.shard(account.shard)?;
        let state = shard.hot.read()?;
        let row = mailbox_row(&state, account, mailbox)?.ok_or_else(no_mailbox)?;
        let there = uid_set(&shard, &state, account, mailbox, &row)?;
        Ok(pieces(&uids.intersection(&there), OP_MESSAGES_MAX))
    }

    pub(crate) async fn begin_group(&self, account: AccountRef) -> Result<OpenGroup> {
        let group = GroupId(random_id()?);
        let open = OpenGroup::new(self.shard(account.shard)?, account.number, group);
        let op = Op::BeginGroup {
            account: account.number,
            group,
        };
        self.done(account, op).await?;
        Ok(open)
    }

    pub(crate) async fn end_group(&self, account: AccountRef, group: OpenGroup) -> Result<()> {
        let op = Op::EndGroup {
            account: account.number,
            group: group.id(),
        };
        self.done(account, op).await?;
        group.ended();
        Ok(())
    }

    /// Expunges by id what the group's ops gave, then ends it: before a NO, or at the start after a kill.
    pub(crate) async fn undo_group(
        &self,
        shard: ShardNo,
        account: AccountId,
        group: GroupId,
    ) -> Result<()> {
        let shard = self.shard(shard)?;
        for (mailbox, uids) in shard::group_rows(&shard, account, group)? {
            for uids in pieces(&uids, EXPUNGE_MESSAGES_MAX) {
                let op = ExpungeUids {
                    account,
                    mailbox,
                    uids,
                    only_deleted: false,
                };
                match shard.change(Op::Expunge(op)).await? {
                    Outcome::Expunged { .. } | Outcome::Refused { .. } => {}
                    other => return Err(unexpected(&other)),
                }
            }
        }
        shard.change(Op::EndGroup { account, group }).await?;
        Ok(())
    }
}

fn no_mailbox() -> Error {
    refused(
        crate::op::Refusal::Mailbox,
        "the mailbox is not there any more",
    )
}

/// A set in pieces of at most so many members.
fn pieces(set: &UidSet, most: usize) -> Vec<UidSet> {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let mut pieces = Vec::new();
    let mut piece = UidSet::new();
    for &(first, last) in set.ranges() {
        let mut from = first;
        loop {
            let room = most - piece.len();
            let to = last.min(from.saturating_add(room - 1));
            piece.push_range(from, to);
            if piece.len() == most {
                pieces.push(std::mem::take(&mut piece));
            }
            if to == last {
                break;
            }
            from = to + 1;
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}
