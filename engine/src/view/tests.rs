//! Reading what is gone, on a real engine.

use coldpost_testkit::place;

use super::Vanished;
use crate::account::AccountName;
use crate::flags::{FlagAction, Flags, SystemFlags};
use crate::ids::Uid;
use crate::op::Op;
use crate::open::Engine;
use crate::tests::settings;
use crate::uidset::UidSet;
use crate::write::{Append, Store};

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
