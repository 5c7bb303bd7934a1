//! What applying an op gave: decided by apply, kept for retries (`docs/format.md`, "Outcomes").

use coldpost_tiers::codec::{Malformed, Reader, Writer};

use super::uids::{read_uids, write_uids};
use crate::ids::{AccountId, MailboxId, ModSeq, ShardNo};
use crate::limits::OUTCOME_MAX;
use crate::uidset::UidSet;

/// Why an op, or a target of it, was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// The account is not there, or being deleted.
    Account = 1,
    /// The mailbox is not there.
    Mailbox = 2,
    /// It exists already.
    Exists = 3,
    /// It cannot be done (the text says why).
    Invalid = 4,
    /// A bound was reached (the text names it).
    Limit = 5,
}

/// What became of one target of an `add`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetOutcome {
    /// Stored.
    Stored {
        /// Where.
        mailbox: MailboxId,
        /// UIDVALIDITY
        uid_validity: u32,
        /// UIDs, one a message.
        uids: UidSet,
        /// The account's modseq.
        modseq: ModSeq,
    },
    /// Not.
    Refused(Refusal),
}

/// What applying an op gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "fields are named in docs/format.md; each variant says what it answers"
)]
pub enum Outcome {
    /// It is done.
    Done { modseq: ModSeq },
    /// `add`, a target each.
    Added(Vec<TargetOutcome>),
    /// `flags`.
    Flagged {
        modified: UidSet,
        changed: UidSet,
        modseq: ModSeq,
    },
    /// `expunge`.
    Expunged { uids: UidSet, modseq: ModSeq },
    /// `copy`, `move`: source and target UIDs in the same order.
    Copied {
        uid_validity: u32,
        from: UidSet,
        to: UidSet,
        modseq: ModSeq,
    },
    /// `create`.
    Created {
        mailbox: MailboxId,
        uid_validity: u32,
    },
    /// `open account`, `name account`: who has it.
    Account { account: AccountId, shard: ShardNo },
    /// Not done.
    Refused { why: Refusal, text: String },
    /// A retry from before the window: whether it was applied is not known any more.
    TooOld,
    /// How many.
    Counted(u64),
    /// A retry of what was applied; its sets were too large to keep.
    Applied,
    /// A retry of an `add` kept short: target numbers that were refused.
    AddedShort {
        refused_account: UidSet,
        refused_mailbox: UidSet,
        refused_otherwise: UidSet,
    },
}

impl Outcome {
    /// A refusal in words.
    pub fn refused(why: Refusal, text: impl Into<String>) -> Outcome {
        Outcome::Refused {
            why,
            text: text.into(),
        }
    }

    /// The bytes kept for retries: short when the whole would be over [`OUTCOME_MAX`].
    pub fn encode_kept(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.write(&mut w);
        if w.len() <= OUTCOME_MAX {
            return w.into_bytes();
        }
        let mut w = Writer::new();
        self.short().write(&mut w);
        w.into_bytes()
    }

    fn short(&self) -> Outcome {
        let Outcome::Added(targets) = self else {
            return Outcome::Applied;
        };
        let refused = |why: Refusal| {
            (1_u32..)
                .zip(targets)
                .filter(|(_, t)| **t == TargetOutcome::Refused(why))
                .map(|(n, _)| n)
                .collect()
        };
        Outcome::AddedShort {
            refused_account: refused(Refusal::Account),
            refused_mailbox: refused(Refusal::Mailbox),
            refused_otherwise: (1_u32..)
                .zip(targets)
                .filter(|(_, t)| {
                    use Refusal::{Exists, Invalid, Limit};
                    matches!(t, TargetOutcome::Refused(Exists | Invalid | Limit))
                })
                .map(|(n, _)| n)
                .collect(),
        }
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Outcome::Done { modseq } => {
                w.u8(0).varint(*modseq);
            }
            Outcome::Added(targets) => {
                w.u8(1).count(targets.len());
                for target in targets {
                    match target {
                        TargetOutcome::Stored {
                            mailbox,
                            uid_validity,
                            uids,
                            modseq,
                        } => {
                            w.u8(0).varint(mailbox.0).varint(*uid_validity);
                            write_uids(w, uids);
                            w.varint(*modseq);
                        }
                        TargetOutcome::Refused(why) => {
                            w.u8(*why as u8);
                        }
                    }
                }
            }
            Outcome::Flagged {
                modified,
                changed,
                modseq,
            } => {
                w.u8(2);
                write_uids(w, modified);
                write_uids(w, changed);
                w.varint(*modseq);
            }
            Outcome::Expunged { uids, modseq } => {
                w.u8(3);
                write_uids(w, uids);
                w.varint(*modseq);
            }
            Outcome::Copied {
                uid_validity,
                from,
                to,
                modseq,
            } => {
                w.u8(4).varint(*uid_validity);
                write_uids(w, from);
                write_uids(w, to);
                w.varint(*modseq);
            }
            Outcome::Created {
                mailbox,
                uid_validity,
            } => {
                w.u8(5).varint(mailbox.0).varint(*uid_validity);
            }
            Outcome::Account { account, shard } => {
                w.u8(6).u64(account.0).u16(shard.0);
            }
            Outcome::Refused { why, text } => {
                w.u8(7).u8(*why as u8).text(text);
            }
            Outcome::TooOld => {
                w.u8(8);
            }
            Outcome::Counted(n) => {
                w.u8(9).varint(*n);
            }
            Outcome::Applied => {
                w.u8(10);
            }
            Outcome::AddedShort {
                refused_account,
                refused_mailbox,
                refused_otherwise,
            } => {
                w.u8(11);
                write_uids(w, refused_account);
                write_uids(w, refused_mailbox);
                write_uids(w, refused_otherwise);
            }
        }
    }

    /// Reads a kept outcome.
    ///
    /// # Errors
    /// [`Malformed`] with the place.
    pub fn decode(bytes: &[u8]) -> Result<Outcome, Malformed> {
        let mut r = Reader::new(bytes);
        let outcome = read(&mut r)?;
        r.end()?;
        Ok(outcome)
    }
}

fn read(r: &mut Reader<'_>) -> Result<Outcome, Malformed> {
    let at = r.malformed("a kind of outcome, 0 to 11");
    Ok(match r.u8()? {
        0 => Outcome::Done {
            modseq: r.varint()?,
        },
        1 => {
            let mut targets = Vec::new();
            for _ in 0..r.count()? {
                targets.push(match r.u8()? {
                    0 => TargetOutcome::Stored {
                        mailbox: MailboxId(r.number()?),
                        uid_validity: r.number()?,
                        uids: read_uids(r)?,
                        modseq: r.varint()?,
                    },
                    why => TargetOutcome::Refused(refusal(why).ok_or(at)?),
                });
            }
            Outcome::Added(targets)
        }
        2 => Outcome::Flagged {
            modified: read_uids(r)?,
            changed: read_uids(r)?,
            modseq: r.varint()?,
        },
        3 => Outcome::Expunged {
            uids: read_uids(r)?,
            modseq: r.varint()?,
        },
        4 => Outcome::Copied {
            uid_validity: r.number()?,
            from: read_uids(r)?,
            to: read_uids(r)?,
            modseq: r.varint()?,
        },
        5 => Outcome::Created {
            mailbox: MailboxId(r.number()?),
            uid_validity: r.number()?,
        },
        6 => Outcome::Account {
            account: AccountId(r.u64()?),
            shard: ShardNo(r.u16()?),
        },
        7 => Outcome::Refused {
            why: refusal(r.u8()?).ok_or(at)?,
            text: r.text()?.to_owned(),
        },
        8 => Outcome::TooOld,
        9 => Outcome::Counted(r.varint()?),
        10 => Outcome::Applied,
        11 => Outcome::AddedShort {
            refused_account: read_uids(r)?,
            refused_mailbox: read_uids(r)?,
            refused_otherwise: read_uids(r)?,
        },
        _ => return Err(at),
    })
}

fn refusal(number: u8) -> Option<Refusal> {
    [
        Refusal::Account,
        Refusal::Mailbox,
        Refusal::Exists,
        Refusal::Invalid,
        Refusal::Limit,
    ]
    .into_iter()
    .find(|r| *r as u8 == number)
}
