//! Entries and outcomes as bytes, both ways, and what foreign bytes do.

use std::collections::BTreeSet;

use bytes::Bytes;
use coldpost_tiers::address::{
    BlobId, BlobRecord, Extent, FrameRef, MessageId, ObjectId, ObjectKind, Recode,
};
use coldpost_tiers::hot::row::Origin;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::flags::{FlagAction, Flags, SystemFlags};
use crate::ids::{AccountId, Epoch, MailboxId, Position, ShardNo};
use crate::limits::OUTCOME_MAX;
use crate::uidset::UidSet;

mod object;

use object::object_op;

fn account() -> impl Strategy<Value = AccountId> {
    any::<u64>().prop_map(AccountId)
}

fn mailbox() -> impl Strategy<Value = MailboxId> {
    any::<u32>().prop_map(MailboxId)
}

fn uids() -> impl Strategy<Value = UidSet> {
    let range = prop_oneof![(0..500_u32, 0..9_u32), (u32::MAX - 20..=u32::MAX, 0..1_u32)];
    vec(range, 0..8).prop_map(|ranges| {
        UidSet::from_ranges(ranges.into_iter().map(|(a, n)| (a, a.saturating_add(n))))
    })
}

fn flags() -> impl Strategy<Value = Flags> {
    let keywords = proptest::collection::btree_set("[ -~]{0,9}", 0..4);
    (any::<u8>(), keywords).prop_map(|(system, keywords)| Flags {
        system: SystemFlags(system),
        keywords,
    })
}

fn group() -> impl Strategy<Value = GroupId> {
    any::<[u8; 16]>().prop_map(GroupId)
}

fn frame() -> impl Strategy<Value = FrameRef> {
    any::<(u32, u32, u32)>().prop_map(|(stored, raw, crc)| FrameRef { stored, raw, crc })
}

fn extent() -> impl Strategy<Value = Extent> {
    let base64 = any::<(u32, bool, u8)>().prop_map(|(line, crlf, flags)| Recode::Base64 {
        line,
        crlf,
        flags,
    });
    let recode = prop_oneof![Just(Recode::Same), base64];
    prop_oneof![
        frame().prop_map(Extent::Frame),
        (any::<([u8; 16], u64, u64)>(), recode).prop_map(|((blob, offset, length), recode)| {
            Extent::Blob {
                blob: BlobId(blob),
                offset,
                length,
                recode,
            }
        }),
        any::<(u32, u32, u32)>().prop_map(|(frame, skip, length)| {
            Extent::Slice {
                frame,
                skip,
                length,
            }
        }),
    ]
}

fn blob_record() -> impl Strategy<Value = BlobRecord> {
    let digests = any::<([u8; 32], [u8; 32])>();
    (any::<([u8; 16], u64, u64)>(), digests, vec(frame(), 0..3)).prop_map(
        |((blob, raw, object_bytes), (content, object_digest), frames)| BlobRecord {
            blob: BlobId(blob),
            raw,
            content,
            object_bytes,
            object_digest,
            frames,
        },
    )
}

fn message() -> impl Strategy<Value = NewMessage> {
    let small = (
        any::<(u64, u32)>(),
        vec(any::<u8>(), 0..20),
        vec(any::<u64>(), 0..4),
    );
    (small, vec(extent(), 0..4), vec(blob_record(), 0..2)).prop_map(
        |(((size, crc), row, thread_keys), extents, blobs)| NewMessage {
            size,
            crc,
            extents,
            blobs,
            row: Bytes::from(row),
            thread_keys,
        },
    )
}

fn origin() -> impl Strategy<Value = Origin> {
    any::<(u16, u32, u64, u16)>().prop_map(|(shard, epoch, position, number)| Origin {
        shard: ShardNo(shard),
        message: MessageId {
            epoch: Epoch(epoch),
            position: Position(position),
            number,
        },
    })
}

fn placed() -> impl Strategy<Value = Placed> {
    let ids = (option::of(origin()), option::of(origin()));
    let carried = ids.prop_map(|(email_id, thread_id)| Carried {
        email_id,
        thread_id,
    });
    (flags(), any::<(i64, i16, i64)>(), carried).prop_map(
        |(flags, (seconds, zone, save_date), carried)| Placed {
            flags,
            date: (seconds, zone),
            save_date,
            carried,
        },
    )
}

fn add() -> impl Strategy<Value = Add> {
    vec(message(), 0..3).prop_flat_map(|messages| {
        let how = prop_oneof![
            ".{0,9}".prop_map(How::Name),
            mailbox().prop_map(How::Mailbox)
        ];
        let target =
            (account(), how, vec(placed(), messages.len())).prop_map(|(account, how, placed)| {
                Target {
                    account,
                    how,
                    placed,
                }
            });
        (option::of(group()), vec(target, 0..4)).prop_map(move |(group, targets)| Add {
            group,
            messages: messages.clone(),
            targets,
        })
    })
}

fn set_flags() -> impl Strategy<Value = SetFlags> {
    let action = prop_oneof![
        Just(FlagAction::Replace),
        Just(FlagAction::Add),
        Just(FlagAction::Remove)
    ];
    let since = option::of(0..u64::MAX);
    (account(), mailbox(), uids(), action, flags(), since).prop_map(
        |(account, mailbox, uids, action, flags, unchanged_since)| SetFlags {
            account,
            mailbox,
            uids,
            action,
            flags,
            unchanged_since,
        },
    )
}

fn copy() -> impl Strategy<Value = CopyUids> {
    (account(), mailbox(), uids(), mailbox(), option::of(group())).prop_map(
        |(account, from, uids, to, group)| CopyUids {
            account,
            from,
            uids,
            to,
            group,
        },
    )
}

fn object() -> impl Strategy<Value = ObjectId> {
    let kinds = (0..=u8::MAX)
        .filter_map(ObjectKind::from_number)
        .collect::<Vec<_>>();
    (proptest::sample::select(kinds), any::<[u8; 16]>())
        .prop_map(|(kind, id)| ObjectId { kind, id })
}

fn user_op() -> impl Strategy<Value = Op> {
    let expunge = (account(), mailbox(), uids(), any::<bool>());
    let purge = (account(), vec((mailbox(), any::<u32>()), 0..5));
    prop_oneof![
        add().prop_map(Op::Add),
        set_flags().prop_map(Op::Flags),
        expunge.prop_map(|(account, mailbox, uids, only_deleted)| {
            Op::Expunge(ExpungeUids {
                account,
                mailbox,
                uids,
                only_deleted,
            })
        }),
        purge.prop_map(|(account, entries)| Op::Purge { account, entries }),
        copy().prop_map(Op::Copy),
        copy().prop_map(Op::Move),
        (account(), group()).prop_map(|(account, group)| Op::BeginGroup { account, group }),
        (account(), group()).prop_map(|(account, group)| Op::EndGroup { account, group }),
        (account(), ".{0,9}", any::<u8>()).prop_map(|(account, name, special_use)| Op::Create {
            account,
            name,
            special_use
        }),
        (account(), mailbox()).prop_map(|(account, mailbox)| Op::Delete { account, mailbox }),
        (account(), ".{0,9}", ".{0,9}").prop_map(|(account, from, to)| Op::Rename {
            account,
            from,
            to
        }),
        (account(), ".{0,9}", any::<bool>()).prop_map(|(account, name, on)| Op::Subscribe {
            account,
            name,
            on
        }),
    ]
}

fn account_step() -> impl Strategy<Value = AccountStep> {
    use AccountStep::{Closed, Done, Marked, Swept};
    proptest::sample::select(vec![Done, Marked, Closed, Swept])
}

fn store_op() -> impl Strategy<Value = Op> {
    let stored = (object(), any::<(u64, [u8; 32], u64, u32)>());
    prop_oneof![
        (account(), ".{0,9}").prop_map(|(account, name)| Op::OpenAccount { account, name }),
        (".{0,9}", account(), any::<u16>()).prop_map(|(name, account, shard)| Op::NameAccount {
            name,
            account,
            shard: ShardNo(shard)
        }),
        (account(), ".{0,9}", ".{0,9}", account_step()).prop_map(|(account, from, to, step)| {
            Op::RenameAccount {
                account,
                from,
                to,
                step,
            }
        }),
        (account(), ".{0,9}", any::<bool>(), account_step()).prop_map(
            |(account, name, erase, step)| Op::DeleteAccount {
                account,
                name,
                erase,
                step,
            }
        ),
        Just(Op::Cut),
        (0..=super::LEVEL, any::<u64>()).prop_map(|(level, segment_size)| Op::Level {
            level,
            segment_size
        }),
        stored.prop_map(|(object, (bytes, digest, last, key_id))| {
            Op::Stored(Stored {
                object,
                bytes,
                digest,
                last: Position(last),
                key_id,
            })
        }),
        any::<(u32, u32, u64, u64, bool)>().prop_map(|(epoch, parent, fork, open, raise)| {
            let (epoch, parent) = (Epoch(epoch), Epoch(parent));
            Op::Epoch(EpochOp {
                epoch,
                parent,
                fork: Position(fork),
                open_segment: Position(open),
                raise,
            })
        }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let head = any::<(u64, [u8; 16], u32, u64)>();
    (
        head,
        prop_oneof![3 => user_op(), 2 => store_op(), 1 => object_op()],
    )
        .prop_map(|((time_ms, id, epoch, position), op)| Entry {
            time_ms,
            id: OpId(id),
            known: (Epoch(epoch), Position(position)),
            op,
        })
}

fn refusal() -> impl Strategy<Value = Refusal> {
    use Refusal::{Account, Exists, Invalid, Limit, Mailbox};
    proptest::sample::select(vec![Account, Mailbox, Exists, Invalid, Limit])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let target = prop_oneof![
        refusal().prop_map(TargetOutcome::Refused),
        (mailbox(), any::<u32>(), uids(), any::<u64>()).prop_map(
            |(mailbox, uid_validity, uids, modseq)| {
                TargetOutcome::Stored {
                    mailbox,
                    uid_validity,
                    uids,
                    modseq,
                }
            }
        ),
    ];
    let copied = (any::<u32>(), uids(), uids(), any::<u64>());
    prop_oneof![
        any::<u64>().prop_map(|modseq| Outcome::Done { modseq }),
        vec(target, 0..600).prop_map(Outcome::Added),
        (uids(), uids(), any::<u64>()).prop_map(|(modified, changed, modseq)| Outcome::Flagged {
            modified,
            changed,
            modseq
        }),
        (uids(), any::<u64>()).prop_map(|(uids, modseq)| Outcome::Expunged { uids, modseq }),
        copied.prop_map(|(uid_validity, from, to, modseq)| Outcome::Copied {
            uid_validity,
            from,
            to,
            modseq
        }),
        (mailbox(), any::<u32>()).prop_map(|(mailbox, uid_validity)| Outcome::Created {
            mailbox,
            uid_validity
        }),
        (account(), any::<u16>()).prop_map(|(account, shard)| Outcome::Account {
            account,
            shard: ShardNo(shard)
        }),
        (refusal(), ".{0,30}").prop_map(|(why, text)| Outcome::Refused { why, text }),
        Just(Outcome::TooOld),
        any::<u64>().prop_map(Outcome::Counted),
        Just(Outcome::Applied),
        (uids(), uids(), uids()).prop_map(
            |(refused_account, refused_mailbox, refused_otherwise)| {
                Outcome::AddedShort {
                    refused_account,
                    refused_mailbox,
                    refused_otherwise,
                }
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_entry_is_read_as_it_was_written_and_no_part_of_it_is_another(entry in entry(), cut in any::<prop::sample::Index>()) {
        let meta = Bytes::from(encode(&entry));
        prop_assert_eq!(decode(&meta).unwrap(), entry);
        prop_assert!(decode(&meta.slice(..cut.index(meta.len()))).is_err());
        let mut longer = meta.to_vec();
        longer.push(0);
        prop_assert!(decode(&longer.into()).is_err());
    }

    #[test]
    fn a_changed_byte_never_makes_the_reader_panic(entry in entry(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut meta = encode(&entry);
        let at = at.index(meta.len());
        meta[at] = to;
        let meta = Bytes::from(meta);
        if let Ok(read) = decode(&meta) {
            prop_assert_eq!(decode(&Bytes::from(encode(&read))).unwrap(), read);
        }
    }

    #[test]
    fn foreign_bytes_are_refused_without_a_panic(kind in 0_u8..32, tail in vec(any::<u8>(), 0..200), bytes in vec(any::<u8>(), 0..60)) {
        let mut meta = vec![1, kind];
        meta.extend_from_slice(&[0; 36]);
        meta.extend_from_slice(&tail);
        let _ = decode(&Bytes::from(meta));
        let _ = decode(&Bytes::from(bytes.clone()));
        let _ = Outcome::decode(&bytes);
    }

    #[test]
    fn an_outcome_is_kept_whole_up_to_its_bound_and_short_beyond(outcome in outcome()) {
        let kept = outcome.encode_kept();
        prop_assert!(kept.len() <= OUTCOME_MAX);
        match (Outcome::decode(&kept).unwrap(), &outcome) {
            (Outcome::AddedShort { refused_account, refused_mailbox, refused_otherwise }, Outcome::Added(targets)) => {
                for (number, target) in (1..).zip(targets) {
                    prop_assert_eq!(refused_account.contains(number), *target == TargetOutcome::Refused(Refusal::Account));
                    prop_assert_eq!(refused_mailbox.contains(number), *target == TargetOutcome::Refused(Refusal::Mailbox));
                    let is_stored = matches!(target, TargetOutcome::Stored { .. });
                    let sets = [&refused_account, &refused_mailbox, &refused_otherwise];
                    prop_assert_eq!(sets.iter().any(|set| set.contains(number)), !is_stored);
                }
            }
            (read, whole) => prop_assert_eq!(&read, whole),
        }
    }
}

#[test]
fn a_level_that_is_not_known_is_refused_in_words() {
    let entry = |level| Entry {
        time_ms: 1,
        id: OpId([1; 16]),
        known: (Epoch(1), Position(0)),
        op: Op::Level {
            level,
            segment_size: 1 << 20,
        },
    };
    let known = entry(super::LEVEL);
    assert_eq!(decode(&Bytes::from(encode(&known))).unwrap(), known);
    let newer = entry(super::LEVEL + 1);
    let error = decode(&Bytes::from(encode(&newer))).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("start the version that wrote it"),
        "{error}"
    );
}

#[test]
fn kinds_and_versions_that_are_not_known_are_refused_in_words() {
    let head = |version: u8, kind: u8| [&[version, kind][..], &[0; 36]].concat();
    let known: BTreeSet<u8> = (1..=24).chain([31]).collect();
    for kind in (0..=u8::MAX).filter(|kind| !known.contains(kind)) {
        let error = decode(&head(1, kind).into()).unwrap_err();
        assert_eq!(error, EntryError::Unknown { version: 1, kind });
    }
    let text = decode(&head(2, 1).into()).unwrap_err().to_string();
    assert!(
        text.contains("version 2") && text.contains("start the version that wrote it"),
        "{text}"
    );
}
