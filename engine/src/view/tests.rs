//! Reading what is gone, on a real engine.

use std::sync::Arc;
use std::time::Duration;

use coldpost_testkit::place;
use coldpost_tiers::hot::row::{Row, Run};
use coldpost_tiers::hot::{Batch, CommitKind, TableName, key};

use super::budget::Budget;
use super::{BodyReader, MailboxView, Vanished};
use crate::account::AccountName;
use crate::error::Kind;
use crate::flags::{FlagAction, Flags, SystemFlags};
use crate::ids::{AccountRef, Uid};
use crate::limits::{FRAME_MAX, ROW_MAX, ROWS_BYTES_MAX};
use crate::op::Op;
use crate::open::Engine;
use crate::present;
use crate::query::Query;
use crate::tests::settings;
use crate::uidset::UidSet;
use crate::write::{Append, Store};

mod moved;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_unseen_message_is_found_wherever_it_is() {
    let scratch = place::scratch("unseen");
    let engine = Engine::open(settings(scratch.path())).await.unwrap();
    let name = AccountName::normalise("ann@example.org").unwrap();
    let ann = engine.open_account(&name).await.unwrap();
    // Seven runs, the last one short.
    let all: UidSet = (1..=800).collect();
    for _ in 0..8 {
        let message = |number| Append {
            message: bytes::Bytes::from(format!("Subject: {number}\r\n\r\n")),
            flags: Flags::default(),
            internal_date: None,
            email_id: None,
        };
        let messages = (0..100).map(message).collect();
        engine.append(ann, "INBOX", messages).await.unwrap();
    }
    let mailbox = engine.select(ann, "INBOX", true).unwrap().mailbox();
    let set = |action, uids: &UidSet| {
        let flags = Flags {
            system: SystemFlags::SEEN,
            ..Flags::default()
        };
        let store = Store {
            mailbox,
            uids: uids.clone(),
            action,
            flags,
            unchanged_since: None,
        };
        engine.store(ann, store)
    };
    let sets = [
        &[][..],
        &[(1, 800)],
        &[(800, 800)],
        &[(770, 790), (795, 795)],
        &[(1, 1)],
        &[(128, 129)],
        &[(129, 129), (800, 800)],
        &[(390, 392)],
        &[(385, 385), (512, 513)],
        &[(2, 799)],
    ];
    for unseen in sets.map(|ranges| UidSet::from_ranges(ranges.iter().copied())) {
        set(FlagAction::Add, &all).await.unwrap();
        set(FlagAction::Remove, &unseen).await.unwrap();
        let view = engine.select(ann, "INBOX", true).unwrap();
        assert_eq!(view.first_unseen().unwrap(), unseen.first(), "{unseen:?}");
    }
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_vanished_is_told_exactly_until_it_is_purged_and_as_all_that_is_gone_after_that() {
    let scratch = place::scratch("vanished");
    let engine = Engine::open(settings(scratch.path())).await.unwrap();
    let name = AccountName::normalise("ann@example.org").unwrap();
    let ann = engine.open_account(&name).await.unwrap();
    for number in 1..=6 {
        let message = Append {
            message: bytes::Bytes::from(format!("Subject: {number}\r\n\r\n")),
            flags: Flags {
                system: SystemFlags::DELETED,
                ..Flags::default()
            },
            internal_date: None,
            email_id: None,
        };
        engine.append(ann, "INBOX", vec![message]).await.unwrap();
    }
    // While it lives, upkeep purges nothing of what it shows.
    let shown = engine.select(ann, "INBOX", true).unwrap();
    let expunge = |uid| engine.expunge(ann, shown.mailbox(), Some([uid].into_iter().collect()));
    expunge(2).await.unwrap();
    let since = engine.select(ann, "INBOX", true).unwrap().told_modseq();
    expunge(4).await.unwrap();
    let view = engine.select(ann, "INBOX", true).unwrap();
    let all = UidSet::from_ranges([(1, u32::MAX)]);
    let told = |since, from| view.vanished(&all, since, from, 1).unwrap();
    let piece = |uid: Uid, next| Vanished {
        uids: [uid].into_iter().collect(),
        next,
    };
    assert_eq!(told(since, 1), piece(4, None));
    assert_eq!(told(0, 1), piece(2, Some(4)));
    assert_eq!(told(0, 4), piece(4, None));
    assert_eq!(told(view.told_modseq(), 1), Vanished::default());
    let purge = Op::Purge {
        account: ann.number,
        entries: vec![(shown.mailbox(), 2), (shown.mailbox(), 4)],
    };
    let shard = engine.shard(ann.shard).unwrap();
    shard.change(purge).await.unwrap();
    assert_eq!(
        told(since, 1),
        piece(2, Some(4)),
        "nothing says when it went"
    );
    assert_eq!(told(since, 4), piece(4, None));
    assert_eq!(told(view.told_modseq(), 1), Vanished::default());
    drop((shard, view, shown));
    engine.close().await;
}

/// A mailbox of messages with these headers.
async fn mailbox(dir: &std::path::Path, headers: Vec<String>) -> (Engine, AccountRef) {
    let engine = Engine::open(settings(dir)).await.unwrap();
    let name = AccountName::normalise("ann@example.org").unwrap();
    let ann = engine.open_account(&name).await.unwrap();
    for header in headers {
        let message = Append {
            message: bytes::Bytes::from(format!("{header}\r\n\r\n")),
            flags: Flags::default(),
            internal_date: None,
            email_id: None,
        };
        engine.append(ann, "INBOX", vec![message]).await.unwrap();
    }
    (engine, ann)
}

/// What a disk may have made of the rows.
fn damage(engine: &Engine, ann: AccountRef, how: impl FnOnce(&mut Batch<'_>)) {
    let hot = engine.shard(ann.shard).unwrap().hot.get().unwrap();
    let change = |batch: &mut Batch<'_>| {
        how(batch);
        Ok(())
    };
    hot.write(CommitKind::Volatile, change).unwrap();
}

/// Forty sessions that fetched from a mailbox of such messages took 1.2 GB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_long_headers_are_read_some_at_a_time_and_all_of_them_in_the_end() {
    let scratch = place::scratch("long-rows");
    let long = |n: u32| {
        format!(
            "Subject: {n}\r\nTo: {}",
            format!("a{n}@b.c,\r\n ").repeat(8_000)
        )
    };
    let (engine, ann) = mailbox(scratch.path(), (1..=20).map(long).collect()).await;
    let view = engine.select(ann, "INBOX", true).unwrap();
    let all = UidSet::from_ranges([(1, u32::MAX)]);
    let entries = view.entries(&all, 100).unwrap();
    let mut subjects = Vec::new();
    let mut answers = 0;
    while subjects.len() < entries.len() {
        let read = engine.messages(ann, &entries[subjects.len()..]).unwrap();
        let messages: Vec<_> = read.into_iter().map(Result::unwrap).collect();
        let bytes: usize = messages.iter().map(|m| m.row.main_fields().len()).sum();
        assert!(bytes < ROWS_BYTES_MAX + ROW_MAX, "{bytes} bytes");
        subjects.extend(messages.iter().map(|m| m.row.main_fields()[9]));
        answers += 1;
    }
    let wanted: Vec<u8> = (1..=20).map(|n| n.to_string().as_bytes()[0]).collect();
    assert_eq!(subjects, wanted);
    assert!((5..20).contains(&answers), "{answers} answers");
    let of = |name: &str, text: &str| Query::Header(name.to_owned(), text.to_owned());
    for (query, found) in [
        (of("subject", "7"), "7,17"),
        (of("to", "a12@b.c"), "12"),
        (Query::Body("nothing".to_owned()), ""),
        (Query::Text("a19@".to_owned()), "19"),
    ] {
        let got = engine.search(&view, &query).await.unwrap();
        assert_eq!(got.text(), found, "{query:?}");
    }
    drop(view);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_costs_its_message_and_is_never_one_that_went() {
    let scratch = place::scratch("damaged-rows");
    let headers = (1..=5).map(|n| format!("Subject: {n}")).collect();
    let (engine, ann) = mailbox(scratch.path(), headers).await;
    let view = engine.select(ann, "INBOX", true).unwrap();
    let all = UidSet::from_ranges([(1, u32::MAX)]);
    let entries = view.entries(&all, 100).unwrap();
    let key = |at: usize| key::message(ann.number, entries[at].message);
    damage(&engine, ann, |batch| {
        batch.put(TableName::Rows, &key(0), &[1, 1, 9, 9]).unwrap();
        batch.remove(TableName::Rows, &key(1)).unwrap();
        batch.put(TableName::Places, &key(2), &[1]).unwrap();
        batch.remove(TableName::Places, &key(3)).unwrap();
    });
    let read = engine.messages(ann, &entries).unwrap();
    let told: Vec<_> = read
        .iter()
        .map(|m| m.as_ref().map_err(|e| e.kind()))
        .collect();
    for (at, told) in told.iter().enumerate() {
        match told {
            Ok(message) => assert_eq!((at, message.id), (4, entries[4].message)),
            Err(kind) => assert_eq!(*kind, Kind::Corrupt, "{at}"),
        }
    }
    assert_eq!(told.len(), 5);
    let subject = Query::Header("subject".to_owned(), "5".to_owned());
    let refused = engine.search(&view, &subject).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt, "{refused}");
    drop(view);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_with_uids_of_another_is_damage_and_no_panic() {
    let scratch = place::scratch("damaged-runs");
    let headers = (1..=130).map(|n| format!("Subject: {n}")).collect();
    let (engine, ann) = mailbox(scratch.path(), headers).await;
    let mailbox = engine.select(ann, "INBOX", true).unwrap().mailbox();
    damage(&engine, ann, |batch| {
        let key = key::uid(ann.number, mailbox.0, 1);
        let value = batch.get(TableName::Runs, &key).unwrap().unwrap();
        let mut run = Run::decode("runs", &value).unwrap();
        run.entries[127].uid = 4_000_000_000;
        batch.put(TableName::Runs, &key, &run.encode()).unwrap();
    });
    // What has no holes is opened without a look at its runs.
    let view = engine.select(ann, "INBOX", true).unwrap();
    assert_eq!(view.uids().len(), 130);
    let refused = view.entries(view.uids(), 1_000).unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt, "{refused}");
    let shard = engine.shard(ann.shard).unwrap();
    let state = shard.hot.read().unwrap();
    let refused = present::of_runs(&state, ann.number, mailbox).unwrap_err();
    let object = "hot tier, table runs".to_owned();
    let kind = coldpost_tiers::Kind::Corrupt { object, offset: 0 };
    assert_eq!(*refused.kind(), kind, "{refused}");
    // Nor does it stop an expunge that would note holes anew.
    let expunge = |uid| engine.expunge(ann, mailbox, Some([uid].into_iter().collect()));
    let deleted = Store {
        mailbox,
        uids: [129, 130].into_iter().collect(),
        action: FlagAction::Add,
        flags: Flags {
            system: SystemFlags::DELETED,
            ..Flags::default()
        },
        unchanged_since: None,
    };
    engine.store(ann, deleted).await.unwrap();
    expunge(130).await.unwrap();
    damage(&engine, ann, |batch| {
        let head = key::uid(ann.number, mailbox.0, 0);
        batch.put(TableName::Holes, &head, &[1, 2]).unwrap();
    });
    expunge(129).await.unwrap();
    drop((state, shard, view));
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_share_their_changes_are_told_what_each_would_have_found() {
    let scratch = place::scratch("shared-changes");
    let headers = || (1..=3).map(|n| format!("Subject: {n}")).collect::<Vec<_>>();
    let (engine, ann) = mailbox(scratch.path(), headers()).await;
    let mut views: Vec<_> = (0..3)
        .map(|_| engine.select(ann, "INBOX", true).unwrap())
        .collect();
    let expunge = |uid| engine.expunge(ann, views[0].mailbox(), Some([uid].into_iter().collect()));
    let told = |view: &MailboxView| {
        let changes = view.changes().unwrap().unwrap();
        let uids = |set: &UidSet| set.iter().collect::<Vec<_>>();
        (uids(&changes.expunged), uids(&changes.arrived))
    };
    for uid in [1, 2] {
        let flags = SystemFlags::DELETED;
        let set = Store {
            mailbox: views[0].mailbox(),
            uids: [uid].into_iter().collect(),
            action: FlagAction::Add,
            flags: Flags {
                system: flags,
                ..Flags::default()
            },
            unchanged_since: None,
        };
        engine.store(ann, set).await.unwrap();
    }
    expunge(1).await.unwrap();
    assert_eq!(told(&views[0]), (vec![1], vec![]));
    assert_eq!(told(&views[1]), (vec![1], vec![]));
    // The first goes on, the second keeps what is gone, the third has heard of nothing.
    let changes = views[0].changes().unwrap().unwrap();
    views[0].advance(changes, false);
    let changes = views[1].changes().unwrap().unwrap();
    views[1].advance(changes, true);
    let append = |n: u32| Append {
        message: bytes::Bytes::from(format!("Subject: {n}\r\n\r\n")),
        flags: Flags::default(),
        internal_date: None,
        email_id: None,
    };
    engine.append(ann, "INBOX", vec![append(4)]).await.unwrap();
    assert_eq!(told(&views[0]), (vec![], vec![4]));
    assert_eq!(told(&views[1]), (vec![1], vec![4]));
    assert_eq!(told(&views[2]), (vec![1], vec![4]));
    let view = engine.select(ann, "INBOX", true).unwrap();
    assert!(view.changes().unwrap().is_none());
    drop((views, view));
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_had_to_give_back_what_it_read_ahead_reads_the_same_bytes() {
    let scratch = place::scratch("given-back");
    let engine = Engine::open(settings(scratch.path())).await.unwrap();
    let name = AccountName::normalise("ann@example.org").unwrap();
    let ann = engine.open_account(&name).await.unwrap();
    let mut text = String::from("Subject: long\r\n\r\n");
    while text.len() < 6 * FRAME_MAX {
        text.push_str(&format!("Line at {}.\r\n", text.len()));
    }
    let message = Append {
        message: bytes::Bytes::from(text.clone()),
        flags: Flags::default(),
        internal_date: None,
        email_id: None,
    };
    engine.append(ann, "INBOX", vec![message]).await.unwrap();
    let view = engine.select(ann, "INBOX", false).unwrap();
    let entries = view.entries(&[1].into_iter().collect(), 1).unwrap();
    let message = engine.messages(ann, &entries).unwrap().remove(0).unwrap();
    let budget = Arc::new(Budget::new(16, Duration::ZERO));
    let shard = engine.shard(ann.shard).unwrap();
    let fetcher = engine.inner.fetcher.clone();
    let reader = BodyReader::new(fetcher, Arc::clone(&budget), &shard, &message).unwrap();
    let mut read = Vec::new();
    let mut held = 0;
    while read.len() < text.len() {
        let at = u64::try_from(read.len()).unwrap();
        read.extend_from_slice(&reader.read(at, reader.size()).await.unwrap());
        held += usize::from(budget.free(0) < 16);
        assert_eq!(budget.free(16), 16, "it is slow, and others want all of it");
    }
    assert!(read == text.as_bytes());
    assert!(held > 2, "it read ahead {held} times");
    drop((reader, shard, view));
    engine.close().await;
}
