//! A search finds the same, whatever became of the files that it looks at.

mod oracle;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::place;
use coldpost_tiers::hot::TableName;

use super::extract::Extractor;
use super::*;
use crate::Engine;
use crate::flags::{Flags, SystemFlags};
use crate::ids::{AccountRef, ShardNo};
use crate::query::Query;
use crate::settings::Settings;
use crate::shard::Shard;
use crate::tests::{append_of, name, settings};
use crate::uidset::UidSet;

struct Store {
    engine: Engine,
    ann: AccountRef,
    bob: AccountRef,
}

async fn open(dir: &Path) -> Store {
    crate::blocking::never_starves();
    Store::of(settings(dir)).await
}

/// A message that no other is like: its number, words of it, and a field.
fn mail(number: u32) -> Vec<u8> {
    let filler = format!("filler of {number} here ").repeat(40);
    format!("Subject: s{number}\r\nX-Trace: t{number}e\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBegin needle{number}x Grüße\r\n{filler}\r\n").into_bytes()
}

impl Store {
    async fn of(settings: Settings) -> Store {
        let engine = Engine::open(settings).await.unwrap();
        let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
        let bob = engine.open_account(&name("bob@example.org")).await.unwrap();
        Store { engine, ann, bob }
    }

    fn shard(&self) -> Arc<Shard> {
        self.engine.shard(ShardNo(1)).unwrap()
    }

    async fn append(&self, account: AccountRef, number: u32) {
        self.append_with(account, number, Flags::default()).await;
    }

    async fn append_with(&self, account: AccountRef, number: u32, flags: Flags) {
        let message = append_of(mail(number), flags);
        let appended = self.engine.append(account, "INBOX", vec![message]).await;
        appended.unwrap();
    }

    async fn search(&self, account: AccountRef, query: Query) -> UidSet {
        let view = self.engine.select(account, "INBOX", false).unwrap();
        self.engine.search(&view, &query).await.unwrap()
    }

    /// Everything that may be asked of message `number`, which has this UID.
    async fn is_found(&self, account: AccountRef, number: u32, uid: u32) {
        let only: UidSet = [uid].into_iter().collect();
        let needle = format!("NEEDLE{number}X grüsse").replace("ss", "ß");
        for query in [
            Query::Body(needle.clone()),
            Query::Text(format!("eedle{number}x G")),
            Query::Text(format!("x-trace: T{number}E")),
            Query::Header("X-Trace".to_owned(), format!("t{number}e")),
            Query::And(vec![
                Query::Header("X-TRACE".to_owned(), String::new()),
                Query::Header("Subject".to_owned(), format!("S{number}")),
                Query::Body(format!("filler of {number} here")),
            ]),
        ] {
            let found = self.search(account, query.clone()).await;
            assert_eq!(found, only, "{query:?}");
        }
        let not = Query::Not(Box::new(Query::Body(needle)));
        assert!(!self.search(account, not).await.contains(uid));
        let nowhere = Query::Header("X-Trace".to_owned(), format!("s{number}"));
        assert_eq!(self.search(account, nowhere).await, UidSet::new());
    }

    /// Waits until the text of everything is taken, and nothing is to be made again.
    async fn settled(&self) {
        let shard = self.shard();
        loop {
            let advanced = shard.text.advanced.notified();
            let standing = shard.text.standing();
            if standing.covered == shard.applied().0 && standing.lost == 0 {
                return;
            }
            let waited = tokio::time::timeout(Duration::from_secs(60), advanced).await;
            assert!(waited.is_ok(), "{standing:?}");
        }
    }

    /// Writes what waits.
    async fn written(&self) {
        self.settled().await;
        let shard = self.shard();
        shard
            .text
            .write_waiting(&mut Extractor::new(&shard.text.dir))
            .unwrap();
    }

    async fn close(self) {
        self.engine.close().await;
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let text = dir.join("data/shards/0001/text");
    let files = std::fs::read_dir(text)
        .unwrap()
        .map(|file| file.unwrap().path());
    files.filter(|path| !path.ends_with("manifest")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_found_as_soon_as_it_is_taken_and_whatever_is_written_meanwhile() {
    let dir = place::scratch("text-at-once");
    let store = open(dir.path()).await;
    for number in 1..=60 {
        store.append(store.ann, number).await;
        store.is_found(store.ann, number, number).await;
        if number % 20 == 0 {
            store.written().await;
            store.is_found(store.ann, number, number).await;
        }
    }
    assert_eq!(files(dir.path()).len(), 3);
    for number in [1, 7, 60] {
        store.is_found(store.ann, number, number).await;
    }
    assert_eq!(
        store
            .search(store.bob, Query::Text("needle".to_owned()))
            .await,
        UidSet::new(),
        "it is nobody else's"
    );
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_counts_after_a_restart_and_what_was_not_is_read_again() {
    let dir = place::scratch("text-restart");
    let store = open(dir.path()).await;
    for number in 1..=9 {
        store.append(store.ann, number).await;
    }
    store.written().await;
    store.append(store.ann, 10).await;
    store.close().await;
    let before: BTreeSet<PathBuf> = files(dir.path()).into_iter().collect();
    std::fs::write(dir.path().join("data/shards/0001/text/left"), "by a kill").unwrap();
    let store = open(dir.path()).await;
    let after: BTreeSet<PathBuf> = files(dir.path()).into_iter().collect();
    assert_eq!(before, after);
    for number in 1..=10 {
        store.is_found(store.ann, number, number).await;
    }
    store.settled().await;
    store.is_found(store.ann, 10, 10).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_costs_no_answer_and_is_mended() {
    let dir = place::scratch("text-damage");
    let mut dice = Dice::from_env();
    for round in 0..12 {
        let store = open(dir.path()).await;
        for number in 1..=4 {
            store.append(store.ann, round * 4 + number).await;
        }
        store.written().await;
        let is_closed = dice.below(2) == 0;
        let store = match is_closed {
            true => {
                store.close().await;
                None
            }
            false => Some(store),
        };
        let there = files(dir.path());
        let path = dice.pick(&there);
        let mut bytes = std::fs::read(path).unwrap();
        let at = dice.index(bytes.len());
        match dice.below(3) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1_u8 << dice.below(8),
            _ => bytes[at..].fill(0),
        }
        std::fs::write(path, bytes).unwrap();
        let store = match store {
            Some(store) => store,
            None => open(dir.path()).await,
        };
        for number in 1..=(round + 1) * 4 {
            store.is_found(store.ann, number, number).await;
        }
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_of_its_files_text_is_taken_out_of_the_messages_again() {
    let dir = place::scratch("text-rebuilt");
    let store = open(dir.path()).await;
    for number in 1..=30 {
        store.append(store.ann, number).await;
        store.append(store.bob, 1_000 + number).await;
    }
    store.written().await;
    store.engine.compact_now(&mut |_| {}).await.unwrap();
    store.close().await;
    let text = dir.path().join("data/shards/0001/text");
    for is_cut in [false, true] {
        match is_cut {
            false => std::fs::remove_dir_all(&text).unwrap(),
            true => std::fs::write(text.join("manifest"), "torn").unwrap(),
        }
        let store = open(dir.path()).await;
        store.is_found(store.ann, 3, 3).await;
        store.settled().await;
        for number in [1, 30] {
            store.is_found(store.ann, number, number).await;
            store.is_found(store.bob, 1_000 + number, number).await;
        }
        assert!(!files(dir.path()).is_empty());
        store.close().await;
    }
}

/// All text of all files, unpacked as `zstd -dc` would.
fn unpacked(dir: &Path) -> String {
    let mut all = Vec::new();
    for path in files(dir) {
        let file = std::fs::File::open(path).unwrap();
        std::io::copy(&mut zstd::Decoder::new(file).unwrap(), &mut all).unwrap();
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_purged_is_in_no_file_after_the_next_look() {
    let dir = place::scratch("text-purged");
    let store = open(dir.path()).await;
    for number in 1..=20 {
        let deleted = Flags {
            system: SystemFlags::DELETED,
            ..Flags::default()
        };
        let flags = match number {
            2 | 13 => deleted,
            _ => Flags::default(),
        };
        store.append_with(store.ann, number, flags).await;
        if number % 5 == 0 {
            store.written().await;
        }
    }
    let inbox = store.engine.status(store.ann, "INBOX").unwrap().id;
    store.engine.expunge(store.ann, inbox, None).await.unwrap();
    let shard = store.shard();
    crate::upkeep::collect(&store.engine, &shard).await.unwrap();
    let found = store
        .search(store.ann, Query::Body("needle".to_owned()))
        .await;
    assert_eq!(found.len(), 18);
    assert!(unpacked(dir.path()).contains("NEEDLE13X"));
    let mut looked = Default::default();
    loop {
        let look = (Duration::ZERO, &mut looked);
        if !shard
            .text
            .drop_dead(&shard, look, i64::MAX, &mut || true)
            .unwrap()
        {
            break;
        }
    }
    let text = unpacked(dir.path());
    assert!(!text.contains("NEEDLE13X") && !text.contains("NEEDLE2X"));
    for number in [1, 14, 20] {
        store.is_found(store.ann, number, number).await;
    }
    store
        .engine
        .delete_account(&name("ann@example.org"), true)
        .await
        .unwrap();
    while shard.hot.read().unwrap().count(TableName::Places).unwrap() > 0 {
        crate::upkeep::collect(&store.engine, &shard).await.unwrap();
    }
    while shard.text.drop_erased(&shard, &mut || true).unwrap() {}
    assert_eq!(unpacked(dir.path()), "");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_become_one_and_answer_the_same() {
    let dir = place::scratch("text-merged");
    let store = open(dir.path()).await;
    for number in 1..=12 {
        store.append(store.ann, number).await;
        store.append(store.bob, 100 + number).await;
        store.written().await;
    }
    let shard = store.shard();
    while shard
        .text
        .merge_some(&shard, u64::MAX, &mut || true)
        .unwrap()
    {}
    assert!(files(dir.path()).len() < 8);
    for number in 1..=12 {
        store.is_found(store.ann, number, number).await;
        store.is_found(store.bob, 100 + number, number).await;
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_very_long_text_is_found_before_and_after_it_is_written() {
    let dir = place::scratch("text-long");
    let store = open(dir.path()).await;
    let line: String = (0..400_000).map(|n| format!("{n} ")).collect();
    let message = format!("Subject: long\r\n\r\n{line}");
    let message = append_of(message.into_bytes(), Flags::default());
    store
        .engine
        .append(store.ann, "INBOX", vec![message])
        .await
        .unwrap();
    store.append(store.ann, 2).await;
    for _ in 0..2 {
        for needle in ["123456 123457", &line[1_000_000..1_100_000], "399999 "] {
            let found = store
                .search(store.ann, Query::Body(needle.to_owned()))
                .await;
            assert_eq!(found, [1].into_iter().collect());
        }
        store.is_found(store.ann, 2, 2).await;
        store.settled().await;
    }
    assert_eq!(store.shard().text.standing().lost, 0);
    store.close().await;
}

/// Takes mail off local disk, so that only the object store has it.
fn forget_local(dir: &Path) {
    let shard = dir.join("data/shards/0001");
    for of in ["journal", "blocks", "packs"] {
        for file in std::fs::read_dir(shard.join(of)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "open") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_indexed_is_found_while_mail_is_away_and_what_is_not_is_refused_and_not_left_out() {
    let dir = place::scratch("text-away");
    crate::blocking::never_starves();
    let mut settings = settings(dir.path());
    settings.frames_cache = 0;
    let store = Store::of(settings).await;
    for number in 1..=3 {
        store.append(store.ann, number).await;
    }
    store.written().await;
    store.engine.compact_now(&mut |_| {}).await.unwrap();
    forget_local(dir.path());
    let (cold, away) = (dir.path().join("cold"), dir.path().join("away"));
    std::fs::rename(&cold, &away).unwrap();
    for number in 1..=3 {
        store.is_found(store.ann, number, number).await;
    }
    for path in files(dir.path()) {
        let file = std::fs::OpenOptions::new().write(true).open(path);
        file.unwrap().set_len(10).unwrap();
    }
    let view = store.engine.select(store.ann, "INBOX", false).unwrap();
    let query = Query::Body("needle2x".to_owned());
    let refused = store.engine.search(&view, &query).await.unwrap_err();
    assert_eq!(refused.kind(), crate::Kind::Unavailable, "{refused}");
    std::fs::rename(&away, &cold).unwrap();
    let found = async {
        loop {
            // For a moment it is asked nothing.
            match store.engine.search(&view, &query).await {
                Ok(found) => return found,
                Err(e) => assert_eq!(e.kind(), crate::Kind::Unavailable, "{e}"),
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(60), found).await;
    assert_eq!(found.unwrap(), [2].into_iter().collect());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_of_which_much_is_away_stays_one_stretch() {
    let dir = place::scratch("text-stretch");
    crate::blocking::never_starves();
    let mut settings = settings(dir.path());
    settings.frames_cache = 0;
    let store = Store::of(settings).await;
    for number in 1..=80 {
        store.append(store.ann, number).await;
    }
    store.written().await;
    store.engine.compact_now(&mut |_| {}).await.unwrap();
    let turn = store.engine.inner.turns.indexing.take().await;
    let shard = store.shard();
    shard.text.lose_files().unwrap();
    forget_local(dir.path());
    let (cold, away) = (dir.path().join("cold"), dir.path().join("away"));
    std::fs::rename(&cold, &away).unwrap();
    let mut rebuilder = Rebuilder::new(&store.engine, &shard);
    let steps = move || {
        let refused = rebuilder.step(&mut || true).unwrap_err();
        assert_eq!(refused.kind(), crate::Kind::Unavailable, "{refused}");
        assert!(!rebuilder.step(&mut || true).unwrap(), "it is too early");
        rebuilder
    };
    tokio::task::spawn_blocking(steps).await.unwrap();
    assert_eq!(shard.text.standing().lost, 1);
    std::fs::rename(&away, &cold).unwrap();
    let again = async {
        loop {
            let mut rebuilder = Rebuilder::new(&store.engine, &shard);
            let step = move || rebuilder.step(&mut || true).is_ok();
            // For a moment the store is asked nothing.
            if tokio::task::spawn_blocking(step).await.unwrap() {
                return;
            }
        }
    };
    let again = tokio::time::timeout(Duration::from_secs(60), again).await;
    again.unwrap();
    drop(turn);
    assert_eq!(shard.text.standing().lost, 0);
    store.is_found(store.ann, 7, 7).await;
    store.close().await;
}
