//! Renaming and deleting touch two shards three times: killed or cut off after every single disk operation, an account has one name,
//! is never lost, and never half deleted for long.

use coldpost_tiers::hot::row::NameState;

use super::*;
use crate::upkeep::collect;

const ANN: &str = "ann@example.org";
const ZOE: &str = "zoe@example.org";
/// Tables that have rows of an account, whose number begins their keys.
const OF_ACCOUNTS: [TableName; 8] = [
    TableName::Accounts,
    TableName::Mailboxes,
    TableName::MailboxNames,
    TableName::Runs,
    TableName::Expunged,
    TableName::Rows,
    TableName::Places,
    TableName::Threads,
];

/// The names of the directory, with their states and whose they are.
fn names(engine: &Engine, context: &str) -> Vec<(String, NameState, AccountId)> {
    let mut names = Vec::new();
    for shard in &engine.inner.shards {
        let state = shard.hot.read().unwrap();
        let wrong = invariants::violations(&state).unwrap();
        assert_eq!(wrong, Vec::<String>::new(), "{context}");
        let walked = state.walk(TableName::Names, &[], &[], |at, value| {
            let row = NameRow::decode("names", value)?;
            names.push((
                String::from_utf8_lossy(at).into_owned(),
                row.state,
                row.account,
            ));
            Ok(true)
        });
        walked.unwrap();
    }
    names
}

/// What a start does, twice: the second time there is nothing to do.
async fn settle(engine: &Engine, context: &str) {
    for round in 0..2 {
        let before: Vec<_> = engine.inner.shards.iter().map(|s| s.durable()).collect();
        engine.finish_changes().await.unwrap();
        engine.check_directory().await.unwrap();
        let after: Vec<_> = engine.inner.shards.iter().map(|s| s.durable()).collect();
        assert!(round == 0 || before == after, "{context}");
    }
}

fn rows_of(engine: &Engine, account: AccountRef) -> Vec<TableName> {
    let state = engine.shard(account.shard).unwrap().hot.read().unwrap();
    let prefix = key::account(account.number);
    let mut found = Vec::new();
    for table in OF_ACCOUNTS {
        let walked = state.walk(table, &prefix, &prefix, |_, _| {
            found.push(table);
            Ok(false)
        });
        walked.unwrap();
    }
    for (table, prefix) in [(TableName::Due, &[][..]), (TableName::Pending, &[])] {
        let walked = state.walk(table, prefix, prefix, |_, _| {
            found.push(table);
            Ok(false)
        });
        walked.unwrap();
    }
    found
}

async fn renamed(image: &Image, ann: AccountRef, is_told: bool, scratch: &Path) -> NameState {
    let context = &image.context;
    let engine = start(Arc::new(image.disk.clone()), scratch);
    let engine = engine.unwrap_or_else(|e| panic!("{context}: {e}"));
    let found = names(&engine, context);
    let state = match &found[..] {
        [(name, NameState::Named, _)] if name == ANN => NameState::Named,
        [(name, NameState::Named, _)] if name == ZOE => NameState::Reserved,
        [(_, NameState::Renaming, _), (_, NameState::Reserved, _)] => NameState::Renaming,
        other => panic!("{context}: {other:?}"),
    };
    let has = |text: &str| engine.account(&name(text)).unwrap();
    let both = [has(ANN), has(ZOE)];
    assert_eq!(
        both.iter().flatten().collect::<Vec<_>>(),
        [&ann],
        "{context}"
    );

    settle(&engine, context).await;
    let (old, new) = (has(ANN), has(ZOE));
    let (now, free) = match old {
        Some(_) => (ANN, ZOE),
        None => (ZOE, ANN),
    };
    assert_eq!(
        [old, new].iter().flatten().collect::<Vec<_>>(),
        [&ann],
        "{context}"
    );
    assert!(
        state == NameState::Named || now == ZOE,
        "{context}: it went back"
    );
    assert!(!is_told || now == ZOE, "{context}: what was told is not so");
    assert_eq!(names(&engine, context).len(), 1, "{context}");
    assert_eq!(engine.account_name(ann).unwrap(), now, "{context}");

    // The name that is free is another account's.
    let other = engine.open_account(&name(free)).await.unwrap();
    assert_ne!(other.number, ann.number, "{context}");
    let taken = engine.rename_account(&name(now), &name(free)).await;
    assert_eq!(taken.unwrap_err().kind(), Kind::Conflict, "{context}");
    deliver(&engine, &[ann, other], context).await;
    for (account, mails) in [(ann, 2), (other, 1)] {
        let status = engine.status(account, "INBOX").unwrap();
        assert_eq!(status.exists, mails, "{context}");
    }
    engine.close().await;
    state
}

#[test]
fn a_kill_at_each_step_of_renaming_an_account_leaves_it_under_one_name() {
    let scratch = place::scratch("renaming");
    let disk = Filmed::new(&FaultyDisk::new());
    let (engine, ann) = block_on(with_ann(&disk, scratch.path()));
    let mut states = Vec::new();
    let rename = || block_on(engine.rename_account(&name(ANN), &name(ZOE))).unwrap();
    let account = disk.during(rename, |image| {
        states.push(block_on(renamed(&image, ann, false, scratch.path())));
    });
    assert_eq!(account, ann);
    for state in [NameState::Named, NameState::Renaming, NameState::Reserved] {
        assert!(states.contains(&state), "never {state:?}: {states:?}");
    }
    for seed in 0..10 {
        let image = Image {
            disk: disk.disk.crash(seed),
            context: format!("power cut {seed} after the answer"),
        };
        block_on(renamed(&image, ann, true, scratch.path()));
    }
    block_on(engine.close());
}

/// How far a deletion had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    All,
    Mark,
    Rows,
    Nothing,
}

async fn deleted(image: &Image, ann: AccountRef, scratch: &Path) -> Left {
    let context = &image.context;
    let engine = start(Arc::new(image.disk.clone()), scratch);
    let engine = engine.unwrap_or_else(|e| panic!("{context}: {e}"));
    let found = names(&engine, context);
    let left = match &found[..] {
        [(_, NameState::Named, _)] => Left::All,
        [(_, NameState::Deleting, _)] => Left::Mark,
        [] if rows_of(&engine, ann).is_empty() => Left::Nothing,
        [] => Left::Rows,
        other => panic!("{context}: {other:?}"),
    };
    let is_there = engine.account(&name(ANN)).unwrap().is_some();
    assert_eq!(
        is_there,
        left == Left::All,
        "{context}: half deleted and open"
    );

    settle(&engine, context).await;
    assert_eq!(engine.is_open(ann).unwrap(), left == Left::All, "{context}");
    if left == Left::All {
        deliver(&engine, &[ann], context).await;
        assert_eq!(engine.status(ann, "INBOX").unwrap().exists, 2, "{context}");
        engine.delete_account(&name(ANN), false).await.unwrap();
    }
    assert_eq!(names(&engine, context), [], "{context}");
    let mail = Bytes::from_static(b"Subject: late\r\n\r\nLate.\r\n");
    let late = engine.deliver(mail, &[(ann, None)]).await.unwrap();
    assert_eq!(late, [Delivered::AccountGone], "{context}");

    // A new account of the same name is another one, while the rows of the old one go.
    let again = engine.open_account(&name(ANN)).await.unwrap();
    assert_ne!(again.number, ann.number, "{context}");
    deliver(&engine, &[again], context).await;
    let shard = engine.shard(ann.shard).unwrap();
    assert!(!collect(&engine, &shard).await.unwrap(), "{context}");
    assert_eq!(rows_of(&engine, ann), [], "{context}");
    assert_eq!(engine.usage(again).unwrap().0, 1, "{context}");
    names(&engine, context);
    drop(shard);
    engine.close().await;
    left
}

#[test]
fn a_kill_at_each_step_of_deleting_an_account_leaves_all_of_it_or_nothing_that_opens() {
    let scratch = place::scratch("deleting");
    let disk = Filmed::new(&FaultyDisk::new());
    let (engine, ann) = block_on(with_ann(&disk, scratch.path()));
    let mut seen = Vec::new();
    let work = || {
        block_on(async {
            engine.delete_account(&name(ANN), false).await.unwrap();
            let shard = engine.shard(ann.shard).unwrap();
            assert!(!collect(&engine, &shard).await.unwrap());
        });
    };
    disk.during(work, |image| {
        seen.push(block_on(deleted(&image, ann, scratch.path())));
    });
    for left in [Left::All, Left::Mark, Left::Rows, Left::Nothing] {
        assert!(seen.contains(&left), "never {left:?}: {seen:?}");
    }
    assert_eq!(rows_of(&engine, ann), []);
    block_on(engine.close());
}

/// Every pass of upkeep wrote an entry for each account that waited for a session, into a journal that is kept for ever.
#[test]
fn while_a_session_shows_the_mail_of_a_deleted_account_upkeep_writes_nothing() {
    let scratch = place::scratch("shown");
    let disk = Filmed::new(&FaultyDisk::new());
    block_on(async {
        let (engine, ann) = with_ann(&disk, scratch.path()).await;
        let shown = engine.select(ann, "INBOX", false).unwrap();
        engine.delete_account(&name(ANN), false).await.unwrap();
        let shard = engine.shard(ann.shard).unwrap();
        assert!(collect(&engine, &shard).await.unwrap(), "it is shown");
        let before = shard.durable();
        for _ in 0..3 {
            assert!(collect(&engine, &shard).await.unwrap(), "it is shown");
        }
        assert_eq!(shard.durable(), before);
        drop(shown);
        assert!(!collect(&engine, &shard).await.unwrap(), "nothing waits");
        assert_eq!(rows_of(&engine, ann), []);
        let before = shard.durable();
        assert!(!collect(&engine, &shard).await.unwrap(), "nothing waits");
        assert_eq!(shard.durable(), before);
        drop(shard);
        engine.close().await;
    });
}

/// The mark is there and the mail shard fails: the name is nobody's until upkeep has gone on.
#[test]
fn a_name_that_is_being_given_away_is_not_given_to_somebody_else() {
    let scratch = place::scratch("between");
    block_on(async {
        let disk = FaultyDisk::new();
        let (engine, ann) = with_ann(&Filmed::new(&disk), scratch.path()).await;
        let directory = engine.shard(ShardNo(0)).unwrap();
        let op = crate::op::Op::RenameAccount {
            account: ann.number,
            from: ANN.to_owned(),
            to: ZOE.to_owned(),
            step: crate::op::AccountStep::Marked,
        };
        directory.change(op).await.unwrap();
        let wanted = engine.open_account(&name(ZOE)).await.unwrap_err();
        assert_eq!(wanted.kind(), Kind::Unavailable);
        let twice = engine.rename_account(&name(ANN), &name("ben")).await;
        assert_eq!(twice.unwrap_err().kind(), Kind::NotFound);
        let deleted = engine.delete_account(&name(ANN), false).await.unwrap_err();
        assert_eq!(deleted.kind(), Kind::NotFound);
        settle(&engine, "after the mark").await;
        assert_eq!(engine.account(&name(ZOE)).unwrap(), Some(ann));
        drop(directory);
        engine.close().await;
    });
}
