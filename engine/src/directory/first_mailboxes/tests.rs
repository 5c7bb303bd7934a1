//! What a new account has, also when a kill met it half made.

use coldpost_testkit::place;

use super::*;
use crate::account::AccountName;
use crate::ids::AccountRef;
use crate::settings::{NewMailbox, Settings};

async fn open(dir: &std::path::Path) -> Engine {
    let mailbox = |(name, special_use)| NewMailbox {
        name: String::from(name),
        special_use,
    };
    let autocreate = [
        ("Drafts", Some(SpecialUse::Drafts)),
        ("Trash", Some(SpecialUse::Trash)),
        ("Lists/rust", None),
    ];
    let settings = Settings {
        autocreate: autocreate.map(mailbox).to_vec(),
        ..crate::tests::settings(dir)
    };
    Engine::open(settings).await.expect("the store opens")
}

/// Names with their uses; a `*` where it is subscribed.
fn listed(engine: &Engine, account: AccountRef) -> Vec<String> {
    let mailboxes = engine.mailboxes(account).expect("listed");
    let described = mailboxes.iter().map(|mailbox| {
        let subscribed = if mailbox.subscribed { "*" } else { "" };
        let special_use = mailbox.special_use.map(|r#use| format!(" {use:?}"));
        let name = &mailbox.name;
        format!("{name}{}{subscribed}", special_use.unwrap_or_default())
    });
    described.collect()
}

async fn open_in_shard(engine: &Engine, number: u64, name: &str) -> AccountRef {
    let (account, name) = (AccountId(number), name.to_owned());
    let opened = Op::OpenAccount { account, name };
    let shard = engine.shard(ShardNo(1)).expect("the shard");
    shard.change(opened).await.expect("opened");
    AccountRef {
        number: account,
        shard: ShardNo(1),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_has_its_first_mailboxes_and_what_its_user_deletes_stays_away() {
    let dir = place::scratch("first-mailboxes");
    let engine = open(dir.path()).await;
    let ann = AccountName::normalise("ann@example.org").expect("a name");
    let account = engine.open_account(&ann).await.expect("opened");
    let all = [
        "Drafts Drafts*",
        "INBOX",
        "Lists",
        "Lists/rust*",
        "Trash Trash*",
    ];
    assert_eq!(listed(&engine, account), all);
    engine.delete(account, "Drafts").await.expect("deleted");
    engine
        .subscribe(account, "Drafts", false)
        .await
        .expect("unsubscribed");
    for _ in 0..2 {
        let again = engine.open_account(&ann).await.expect("it is there");
        assert_eq!(again, account);
        assert_eq!(listed(&engine, account), all[1..]);
    }
    // A directory that has lost the name gives it back, and nothing else.
    let shard = ShardNo(1);
    let made = engine.make_first_mailboxes(account.number, shard).await;
    made.expect("nothing to do");
    assert_eq!(listed(&engine, account), all[1..]);
    engine.close().await;

    let engine = open(dir.path()).await;
    assert_eq!(listed(&engine, account), all[1..]);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_a_kill_left_with_some_of_its_first_mailboxes_gets_the_rest_at_the_next_start()
 {
    let dir = place::scratch("first-mailboxes-cut");
    let engine = open(dir.path()).await;
    let none = open_in_shard(&engine, 77, "ann@example.org").await;
    let some = open_in_shard(&engine, 78, "ben@example.org").await;
    let subscribed = engine.subscribe(some, "Drafts", true).await;
    subscribed.expect("subscribed");
    let use_of = Some(SpecialUse::Trash);
    let created = engine.create(some, "Trash", use_of).await;
    created.expect("made");
    engine.close().await;

    let engine = open(dir.path()).await;
    for (account, name) in [(none, "ann@example.org"), (some, "ben@example.org")] {
        let name = AccountName::normalise(name).expect("a name");
        assert_eq!(engine.account(&name).expect("read"), Some(account));
        assert_eq!(
            listed(&engine, account),
            [
                "Drafts Drafts*",
                "INBOX",
                "Lists",
                "Lists/rust*",
                "Trash Trash*"
            ]
        );
    }
    engine.close().await;
}
