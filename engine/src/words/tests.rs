//! What is looked for by words is found the same, indexed or not, and whatever became of the index.

use std::path::{Path, PathBuf};

use coldpost_testkit::place;

use super::*;
use crate::Engine;
use crate::flags::{Flags, SystemFlags};
use crate::ids::{AccountRef, ShardNo};
use crate::query::{Query, WordsIn};
use crate::search::Ranked;
use crate::shard::Shard;
use crate::tests::{append_of, name, settings};

struct Store {
    engine: Engine,
    ann: AccountRef,
    bob: AccountRef,
}

/// Subject and body of the messages, from UID 1 on.
const MAILS: [(&str, &str); 5] = [
    (
        "Invoice for november",
        "Please pay the enclosed invoice by Friday.",
    ),
    ("Minutes", "The invoice was discussed, and the weather."),
    ("Résumé", "My résumé is attached. Kind regards"),
    ("Lunch", "Shall we have lunch? The new place has noodles."),
    ("Re: Lunch", "Noodles, noodles, noodles! 東京のラーメン"),
];

impl Store {
    async fn open(dir: &Path) -> Store {
        crate::blocking::never_starves();
        let engine = Engine::open(settings(dir)).await.unwrap();
        let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
        let bob = engine.open_account(&name("bob@example.org")).await.unwrap();
        Store { engine, ann, bob }
    }

    async fn fill(&self, account: AccountRef) {
        self.fill_with(account, &[]).await;
    }

    /// Those of these UIDs \\Deleted.
    async fn fill_with(&self, account: AccountRef, deleted: &[u32]) {
        for (uid, (subject, body)) in (1..).zip(MAILS) {
            let mail = format!(
                "From: Ännchen <ann@example.org>\r\nSubject: {subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n"
            );
            let mut flags = Flags::default();
            if deleted.contains(&uid) {
                flags.system = SystemFlags::DELETED;
            }
            let message = append_of(mail.into_bytes(), flags);
            let appended = self.engine.append(account, "INBOX", vec![message]).await;
            appended.unwrap();
        }
    }

    fn shard(&self) -> Arc<Shard> {
        self.engine.shard(ShardNo(1)).unwrap()
    }

    /// Waits until texts are taken, writes them, and indexes their words.
    async fn indexed(&self) {
        let shard = self.shard();
        loop {
            let advanced = shard.text.advanced.notified();
            if shard.text.standing().covered == shard.applied().0 {
                break;
            }
            advanced.await;
        }
        shard.text.close();
        let mut keeper = WordKeeper::new(&self.engine, &shard);
        while keeper.step(&mut || true).unwrap() {}
        keeper.rest();
        let words = shard.words.clone().unwrap();
        assert_eq!(words.standing().followed, shard.text.written().followed);
    }

    async fn ask(&self, account: AccountRef, place: WordsIn, text: &str) -> Ranked {
        let view = self.engine.select(account, "INBOX", false).unwrap();
        let query = Query::Fuzzy(place, text.to_owned());
        self.engine.search_ranked(&view, &query).await.unwrap()
    }

    async fn finds_all(&self) {
        for (place, text, uids) in [
            (WordsIn::Text, "invoice", "1:2"),
            (WordsIn::Text, "INVIOCE", "1:2"),
            (WordsIn::Body, "november", ""),
            (WordsIn::Subject, "novenber", "1"),
            (WordsIn::Text, "pay friday", "1"),
            (WordsIn::Text, "pay monday", ""),
            (WordsIn::Text, "resume", "3"),
            (WordsIn::From, "annchen", "1:5"),
            (WordsIn::Text, "東京", "5"),
            (WordsIn::Text, "!?", ""),
        ] {
            let found = self.ask(self.ann, place, text).await;
            assert_eq!(found.uids.text(), uids, "{place:?} {text}");
            let scored = found.scores.iter().map(|(uid, _)| *uid);
            assert_eq!(scored.collect::<crate::uidset::UidSet>(), found.uids);
        }
        let view = self.engine.select(self.ann, "INBOX", false).unwrap();
        let neither = Query::And(vec![
            Query::Not(Box::new(Query::Fuzzy(WordsIn::Text, "noodels".to_owned()))),
            Query::Header("Subject".to_owned(), "i".to_owned()),
        ]);
        let found = self.engine.search(&view, &neither).await.unwrap();
        assert_eq!(found.text(), "1:2");
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let words = std::fs::read_dir(dir.join("data/shards/0001/words")).unwrap();
    words.map(|file| file.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_found_however_they_are_spelled_before_and_after_they_are_indexed() {
    let dir = place::scratch("words-found");
    let store = Store::open(dir.path()).await;
    store.fill(store.ann).await;
    store.finds_all().await;
    store.indexed().await;
    assert_eq!(store.shard().words.clone().unwrap().standing().messages, 5);
    store.finds_all().await;
    assert!(
        store
            .ask(store.bob, WordsIn::Text, "invoice")
            .await
            .uids
            .is_empty()
    );
    let ranked = store.ask(store.ann, WordsIn::Text, "noodles").await;
    let best = ranked.relevancy_of(&[4, 5]);
    assert!(best[1] == 100 && best[0] < 100, "{best:?}");
    store.engine.close().await;
    let store = Store::open(dir.path()).await;
    assert_eq!(store.shard().words.clone().unwrap().standing().messages, 5);
    store.finds_all().await;
    store.fill(store.bob).await;
    store.indexed().await;
    let again = store.ask(store.ann, WordsIn::Text, "noodles").await;
    assert_eq!(
        again.scores, ranked.scores,
        "mail of others changes no score"
    );
    store.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_costs_no_answer_and_is_made_again() {
    let dir = place::scratch("words-damaged");
    let store = Store::open(dir.path()).await;
    store.fill(store.ann).await;
    store.indexed().await;
    store.engine.close().await;
    for number in 0..files(dir.path()).len() {
        let mut all = files(dir.path());
        all.sort();
        let file = &all[number % all.len()];
        let mut bytes = std::fs::read(file).unwrap();
        match number % 2 {
            0 => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
            }
            _ => bytes.truncate(bytes.len() / 2),
        }
        std::fs::write(file, bytes).unwrap();
        let store = Store::open(dir.path()).await;
        store.finds_all().await;
        store.indexed().await;
        store.finds_all().await;
        assert_eq!(store.shard().words.clone().unwrap().standing().messages, 5);
        store.engine.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_what_was_purged_are_in_no_file_after_the_next_look() {
    let dir = place::scratch("words-purged");
    let store = Store::open(dir.path()).await;
    store.fill_with(store.ann, &[2, 5]).await;
    store.indexed().await;
    let engine = &store.engine;
    let asked = "text \"wether noodels\"".parse().unwrap();
    let suggested = |all: Vec<(String, Vec<String>)>| format!("{all:?}");
    let before = suggested(engine.suggested(store.ann, &asked).await.unwrap());
    assert_eq!(
        before,
        r#"[("WETHER", ["WEATHER"]), ("NOODELS", ["NOODLES"])]"#
    );
    let inbox = engine.status(store.ann, "INBOX").unwrap().id;
    engine.expunge(store.ann, inbox, None).await.unwrap();
    let shard = store.shard();
    crate::upkeep::collect(engine, &shard).await.unwrap();
    let after = suggested(engine.suggested(store.ann, &asked).await.unwrap());
    assert_eq!(after, r#"[("WETHER", []), ("NOODELS", ["NOODLES"])]"#);
    let mut looked = std::collections::BTreeMap::new();
    let look = (std::time::Duration::ZERO, &mut looked);
    let dropped = shard.text.drop_dead(&shard, look, i64::MAX, &mut || true);
    assert!(dropped.unwrap());
    let mut keeper = WordKeeper::new(engine, &shard);
    while keeper.clean(i64::MAX).unwrap() {}
    keeper.rest();
    let standing = shard.words.clone().unwrap().standing();
    assert_eq!((standing.messages, standing.segments), (3, 1));
    let words = shard.words.clone().unwrap();
    let view = words.view(store.ann.number, shard.text.written().line);
    let near = view.suggest("weather", 8, &mut || false).unwrap();
    assert!(near.is_empty(), "{near:?}");
    let found = store.ask(store.ann, WordsIn::Text, "noodles").await;
    assert_eq!(found.uids.text(), "4");
    store.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_window_of_a_mailbox_does_not_ask_the_next_one_does() {
    let dir = place::scratch("words-windows");
    let store = Store::open(dir.path()).await;
    // Several windows, of which the index has the last ones only.
    for _ in 0..40 {
        store.fill(store.ann).await;
    }
    store.indexed().await;
    let words = store.shard().words.clone().unwrap();
    let whole = store.ask(store.ann, WordsIn::Text, "invioce").await.uids;
    assert_eq!(whole.len(), 80);
    let half = words.state().covers.followed / 2;
    words
        .change()
        .covers
        .lost
        .push(coldpost_search::text::Rect::all(0, half));
    let found = store.ask(store.ann, WordsIn::Text, "invioce").await;
    assert_eq!(found.uids, whole);
    store.engine.close().await;
}
