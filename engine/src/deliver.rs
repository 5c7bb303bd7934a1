//! The write path on one screen: describe → op → append → wait → receipt.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use coldpost_tiers::hot::row::Origin;

use crate::blocking;
use crate::error::{Error, Kind, Result};
use crate::flags::Flags;
use crate::ids::{AccountId, AccountRef, MailboxId, ShardNo};
use crate::limits::{ADD_ROWS_MAX, KEYWORDS_MAX, TARGETS_BYTES_MAX};
use crate::mail::pack::{Packed, discard};
use crate::op::{
    Add, Carried, GroupId, How, Op, OpId, Outcome, Placed, Refusal, Target, TargetOutcome,
};
use crate::open::Engine;
use crate::shard::random_id;
use crate::write::{Append, Appended, Delivered};
use crate::{clock, metrics};

/// Bytes of a target besides its mailbox name, at most, for a delivery without flags.
const TARGET_BYTES: usize = 40;

impl Engine {
    /// Delivers one message to many accounts: in the journal once, acknowledged when durable and applied. `message` carries its
    /// trace lines already. Answers in the order of `recipients`; the same account twice gets one copy.
    ///
    /// # Errors
    /// `Unavailable` (disk short, journal closed): nobody got it, the client retries. Once somebody has, the others are `NotNow`.
    pub async fn deliver(
        &self,
        message: Bytes,
        recipients: &[(AccountRef, Option<String>)],
    ) -> Result<Vec<Delivered>> {
        self.room()?;
        let mut by_shard: BTreeMap<ShardNo, Vec<(AccountId, &str)>> = BTreeMap::new();
        for (account, mailbox) in recipients {
            let targets = by_shard.entry(account.shard).or_default();
            if !targets.iter().any(|(known, _)| *known == account.number) {
                targets.push((account.number, mailbox.as_deref().unwrap_or("INBOX")));
            }
        }
        let mut given: HashMap<AccountId, Delivered> = HashMap::new();
        let mut failed = None;
        for (shard, targets) in by_shard {
            if let Err(e) = self.add_all(shard, &message, &targets, &mut given).await {
                tracing::warn!(shard = shard.0, "recipients did not get a message: {e}");
                failed = Some(e);
            }
        }
        metrics::added(given.len());
        let not_now = match failed {
            Some(e) if given.is_empty() => return Err(e),
            Some(e) => Delivered::NotNow {
                is_disk_full: e.is_disk_full(),
            },
            None => Delivered::NotNow {
                is_disk_full: false,
            },
        };
        let outcome = |(account, _): &(AccountRef, _)| given.get(&account.number).cloned();
        Ok(recipients
            .iter()
            .map(|to| outcome(to).unwrap_or_else(|| not_now.clone()))
            .collect())
    }

    /// The recipients of one shard, in as many entries as they need; goes on after one that failed.
    async fn add_all(
        &self,
        shard: ShardNo,
        message: &Bytes,
        targets: &[(AccountId, &str)],
        given: &mut HashMap<AccountId, Delivered>,
    ) -> Result<()> {
        let packed = self.pack(shard, message.clone()).await?;
        let most = (ADD_ROWS_MAX / packed.message.row.len().max(1)).max(1);
        let mut failed = None;
        let mut is_named = false;
        for chunk in chunks(targets, most) {
            match self.add_chunk(shard, &packed, chunk, given).await {
                Ok(()) => is_named = true,
                Err(e) => {
                    is_named |= !e.is_not_taken();
                    failed = Some(e);
                }
            }
        }
        if !is_named {
            discard(&*self.disk(), &*self.shard(shard)?, &packed.message.blobs);
        }
        failed.map_or(Ok(()), Err)
    }

    async fn add_chunk(
        &self,
        shard: ShardNo,
        packed: &Packed,
        chunk: &[(AccountId, &str)],
        given: &mut HashMap<AccountId, Delivered>,
    ) -> Result<()> {
        let placed = Placed {
            flags: Flags::default(),
            date: (clock::now_s(), 0),
            save_date: 0,
            carried: Carried::default(),
        };
        let target = |(account, name): &(AccountId, &str)| Target {
            account: *account,
            how: How::Name((*name).to_owned()),
            placed: vec![placed.clone()],
        };
        let add = Add {
            group: None,
            messages: vec![packed.message.clone()],
            targets: chunk.iter().map(target).collect(),
        };
        let id = OpId(random_id()?);
        let Outcome::Added(outcomes) = self
            .shard(shard)?
            .submit(id, Op::Add(add), packed.body.clone())
            .await?
        else {
            return Err(Error::new(
                Kind::Unavailable,
                "the delivery's outcome is not known any more; deliver it again",
            ));
        };
        for ((account, _), outcome) in chunk.iter().zip(outcomes) {
            let delivered = match outcome {
                TargetOutcome::Stored {
                    mailbox,
                    uid_validity,
                    uids,
                    ..
                } => Delivered::Stored {
                    mailbox,
                    uid_validity,
                    uid: uids.first().unwrap_or(0),
                },
                TargetOutcome::Refused(Refusal::Account) => Delivered::AccountGone,
                TargetOutcome::Refused(why) => {
                    tracing::warn!("INBOX of account {account:?} takes no mail: {why:?}");
                    Delivered::NotNow {
                        is_disk_full: false,
                    }
                }
            };
            given.insert(*account, delivered);
        }
        Ok(())
    }

    /// One message of an APPEND, of `group` where there are several.
    pub(crate) async fn append_one(
        &self,
        account: AccountRef,
        mailbox: MailboxId,
        append: Append,
        group: Option<GroupId>,
    ) -> Result<Appended> {
        let packed = self.pack(account.shard, append.message).await?;
        let carried = Carried {
            email_id: append.email_id.map(|id| Origin {
                shard: id.shard,
                message: id.message,
            }),
            thread_id: None,
        };
        let date = append.internal_date.unwrap_or((clock::now_s(), 0));
        let placed = Placed {
            flags: append.flags,
            date,
            save_date: 0,
            carried,
        };
        let target = Target {
            account: account.number,
            how: How::Mailbox(mailbox),
            placed: vec![placed],
        };
        let add = Add {
            group,
            messages: vec![packed.message],
            targets: vec![target],
        };
        let id = OpId(random_id()?);
        let blobs = match &add.messages[..] {
            [message] => message.blobs.clone(),
            _ => Vec::new(),
        };
        let shard = self.shard(account.shard)?;
        let submitted = shard.submit(id, Op::Add(add), packed.body).await;
        let outcome = submitted.inspect_err(|e| {
            if e.is_not_taken() {
                discard(&*self.disk(), &shard, &blobs);
            }
        })?;
        let Outcome::Added(outcomes) = outcome else {
            return Err(unexpected(&outcome));
        };
        match outcomes.into_iter().next() {
            Some(TargetOutcome::Stored {
                uid_validity,
                uids,
                modseq,
                ..
            }) => {
                metrics::added(1);
                Ok(Appended {
                    uid_validity,
                    uids,
                    modseq,
                })
            }
            Some(TargetOutcome::Refused(why)) => Err(target_refused(why)),
            None => Err(Error::new(Kind::Internal, "an append without an outcome")),
        }
    }

    /// Reads and compresses a message off the async threads; what does not fit an entry leaves as blobs first.
    async fn pack(&self, shard: ShardNo, message: Bytes) -> Result<Packed> {
        let shard = self.shard(shard)?;
        let (disk, threshold) = (self.disk(), self.settings().attachment_threshold);
        let packing = move || Packed::new(&*disk, &shard, &message, threshold);
        blocking::run("reading the message", packing).await
    }
}

/// Targets in pieces that fit an entry: by bytes of their names and by number.
fn chunks<'a, 'n>(
    targets: &'a [(AccountId, &'n str)],
    most: usize,
) -> Vec<&'a [(AccountId, &'n str)]> {
    let mut pieces = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (n, (_, name)) in targets.iter().enumerate() {
        let more = TARGET_BYTES + name.len();
        if n > start && (bytes + more > TARGETS_BYTES_MAX || n - start >= most) {
            pieces.push(&targets[start..n]);
            (start, bytes) = (n, 0);
        }
        bytes += more;
    }
    pieces.push(&targets[start..]);
    pieces
}

fn target_refused(why: Refusal) -> Error {
    let text = match why {
        Refusal::Limit => format!(
            "the mailbox has no UIDs left, or had {KEYWORDS_MAX} different keywords already"
        ),
        _ => "the mailbox or account is not there any more".to_owned(),
    };
    refused(why, text)
}

/// The error for a refusal.
pub(crate) fn refused(why: Refusal, text: impl Into<String>) -> Error {
    let kind = match why {
        Refusal::Account | Refusal::Mailbox => Kind::NotFound,
        Refusal::Exists => Kind::Conflict,
        Refusal::Invalid => Kind::Invalid,
        Refusal::Limit => Kind::Limit,
    };
    Error::new(kind, text)
}

/// The error for an outcome that does not answer the op.
pub(crate) fn unexpected(outcome: &Outcome) -> Error {
    match outcome {
        Outcome::Refused { why, text } => refused(*why, text.clone()),
        other => Error::new(
            Kind::Unavailable,
            format!("the outcome is not known any more ({other:?}); look and try again"),
        ),
    }
}
