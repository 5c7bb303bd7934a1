//! The engine as a whole on a real directory: what a kill leaves half done, and the store that is kept for later versions.

mod simulation;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::{place, wait};
use coldpost_tiers::disk::RealDisk;
use coldpost_tiers::segment::SegmentReader;

use crate::account::AccountName;
use crate::append::Messages;
use crate::flags::{FlagAction, Flags, SystemFlags};
use crate::ids::{AccountId, AccountRef, Epoch, MailboxId, Position, ShardNo};
use crate::journal::embedded::{decode_record, local_segments};
use crate::limits::KEYWORDS_MAX;
use crate::op::{CopyUids, EpochOp, Op, Outcome};
use crate::settings::{ColdSettings, MinFree, Settings};
use crate::uidset::UidSet;
use crate::write::{Append, Store};
use crate::{Engine, Kind};

pub(crate) fn settings(dir: &Path) -> Settings {
    Settings {
        data: dir.join("data"),
        cold: ColdSettings {
            url: format!("file://{}", dir.join("cold").display()),
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: None,
            allow_http: false,
            cache: 0,
            mirror: None,
        },
        segment_size: 8 << 20,
        shards: 1,
        hot_cache: 16 << 20,
        frames_cache: 16 << 20,
        words: true,
        local_bodies: 0,
        min_free: MinFree::Bytes(0),
        mail_memory: 64 << 20,
        attachment_threshold: 64 << 10,
        dedup: Default::default(),
        cut_age: Duration::from_secs(3600),
        retention: Duration::from_secs(14 * 86_400),
        grace: Duration::from_secs(86_400),
        segment_age: Duration::from_secs(30 * 86_400),
        autocreate: Vec::new(),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

async fn open(dir: &Path) -> Engine {
    Engine::open(settings(dir)).await.expect("the store opens")
}

pub(crate) fn name(text: &str) -> AccountName {
    AccountName::normalise(text).unwrap()
}

/// A small message.
pub(crate) fn append(text: &str, flags: Flags) -> Append {
    let message = format!("Subject: {text}\r\n\r\nBody of {text}.\r\n");
    append_of(message.into_bytes(), flags)
}

/// This message.
pub(crate) fn append_of(message: Vec<u8>, flags: Flags) -> Append {
    Append {
        message: Bytes::from(message),
        flags,
        internal_date: Some((1_700_000_000, 60)),
        email_id: None,
    }
}

fn all() -> UidSet {
    UidSet::from_ranges([(1, 1000)])
}

fn exists(engine: &Engine, account: AccountRef, mailbox: &str) -> u32 {
    engine.status(account, mailbox).unwrap().exists
}

#[test]
fn an_account_that_a_kill_left_without_a_name_appears_under_it() {
    let dir = place::scratch("accounts");
    block_on(async {
        let engine = open(dir.path()).await;
        // Killed between the two steps; the second time somebody else has got the name meanwhile.
        let open_in_shard = |number: u64, text: &str| {
            let op = Op::OpenAccount {
                account: AccountId(number),
                name: text.to_owned(),
            };
            let shard = engine.shard(ShardNo(1)).unwrap();
            async move { shard.change(op).await.unwrap() }
        };
        open_in_shard(77, "ann@example.org").await;
        open_in_shard(78, "ben@example.org").await;
        let ben = engine.open_account(&name("ben@example.org")).await.unwrap();
        assert!(engine.account(&name("ann@example.org")).unwrap().is_none());
        engine.close().await;

        let engine = open(dir.path()).await;
        let ann = engine
            .account(&name("ann@example.org"))
            .unwrap()
            .expect("entered under its name");
        assert_eq!(
            ann,
            AccountRef {
                number: AccountId(77),
                shard: ShardNo(1)
            }
        );
        assert_eq!(
            engine.account(&name("ben@example.org")).unwrap(),
            Some(ben),
            "nobody's account is handed out"
        );
        let names: Vec<String> = engine
            .accounts(None, 10)
            .unwrap()
            .iter()
            .map(|(name, _)| name.as_str().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "ann@example.org",
                "ben@example.org",
                "ben@example.org~000000000000004e"
            ]
        );
        // And a retry after the kill gets it, whole.
        assert_eq!(
            engine.open_account(&name("ann@example.org")).await.unwrap(),
            ann
        );
        engine
            .append(ann, "INBOX", vec![append("one", Flags::default())])
            .await
            .unwrap();
        assert_eq!(exists(&engine, ann, "INBOX"), 1);
        engine.close().await;
    });
}

#[test]
fn a_copy_that_a_kill_left_half_done_is_undone_at_the_next_start() {
    let dir = place::scratch("groups");
    block_on(async {
        let engine = open(dir.path()).await;
        let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
        engine.create(ann, "a", None).await.unwrap();
        engine
            .append(
                ann,
                "INBOX",
                vec![append("1", Flags::default()), append("2", Flags::default())],
            )
            .await
            .unwrap();
        let begun = engine.begin_group(ann).await.unwrap();
        let group = begun.id();
        let copy = |group| {
            Op::Copy(CopyUids {
                account: ann.number,
                from: MailboxId(1),
                uids: all(),
                to: MailboxId(2),
                group,
            })
        };
        let shard = engine.shard(ann.shard).unwrap();
        shard.change(copy(Some(group))).await.unwrap();
        shard.change(copy(None)).await.unwrap();
        assert_eq!(exists(&engine, ann, "a"), 4);
        drop(shard);
        // A kill drops nothing in order: upkeep never hears of it.
        std::mem::forget(begun);
        engine.close().await;
        for _ in 0..2 {
            let engine = open(dir.path()).await;
            assert_eq!(
                exists(&engine, ann, "a"),
                2,
                "what the group copied is gone, the rest is there"
            );
            engine.close().await;
        }
    });
}

#[test]
fn an_append_of_several_messages_that_a_kill_cut_off_leaves_none_of_them() {
    let dir = place::scratch("several");
    block_on(async {
        let engine = open(dir.path()).await;
        let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
        let message = |text| append(text, Flags::default());
        let two = || vec![message("1"), message("2")];
        let whole = engine.append(ann, "INBOX", two()).await.unwrap();
        assert_eq!(whole.uids.text(), "1:2");
        let mut cut = engine
            .begin_append(ann, "INBOX", Messages::Several)
            .await
            .unwrap();
        for each in two() {
            cut = cut.add(each).await.unwrap();
        }
        let kept = cut.add(message("3")).await.unwrap();
        let failed = engine
            .begin_append(ann, "INBOX", Messages::Several)
            .await
            .unwrap();
        let failed = failed.add(message("4")).await.unwrap();
        let keywords = (0..=KEYWORDS_MAX).map(|n| format!("k{n}"));
        let flags = Flags {
            keywords: keywords.collect(),
            ..Flags::default()
        };
        let error = failed.add(append("5", flags)).await.err();
        assert_eq!(error.map(|e| e.kind()), Some(Kind::Limit));
        assert_eq!(exists(&engine, ann, "INBOX"), 5, "the fourth is undone");
        // A kill drops nothing in order: upkeep never hears of it.
        std::mem::forget(kept);
        engine.close().await;
        for _ in 0..2 {
            let engine = open(dir.path()).await;
            assert_eq!(exists(&engine, ann, "INBOX"), 2, "all or nothing");
            engine.close().await;
        }
    });
}

#[test]
fn a_keyword_that_a_mailbox_has_no_room_for_is_refused_and_never_lost() {
    let dir = place::scratch("keywords");
    block_on(async {
        let engine = open(dir.path()).await;
        let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
        engine.create(ann, "full", None).await.unwrap();
        let with = |keywords: &[String]| {
            let keywords = keywords.iter().cloned().collect();
            let flags = Flags {
                keywords,
                ..Flags::default()
            };
            vec![append("x", flags)]
        };
        let table: Vec<String> = (0..128).map(|n| format!("key{n}")).collect();
        engine.append(ann, "full", with(&table)).await.unwrap();
        let one_more = with(&["$Forwarded".to_owned()]);
        engine.append(ann, "INBOX", one_more.clone()).await.unwrap();
        let refused = engine.append(ann, "full", one_more).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Limit, "{refused}");
        for move_it in [false, true] {
            let done = match move_it {
                false => engine.copy(ann, MailboxId(1), &all(), "full").await,
                true => engine.r#move(ann, MailboxId(1), &all(), "full").await,
            };
            assert_eq!(done.unwrap_err().kind(), Kind::Limit);
        }
        assert_eq!(
            (exists(&engine, ann, "INBOX"), exists(&engine, ann, "full")),
            (1, 1)
        );
        // One that it has is no new one, in whatever case.
        let known = with(&["KEY7".to_owned()]);
        engine.append(ann, "INBOX", known).await.unwrap();
        let second = UidSet::from_ranges([(2, 2)]);
        let moved = engine.r#move(ann, MailboxId(1), &second, "full").await;
        moved.unwrap();
        assert_eq!(exists(&engine, ann, "full"), 2);
        engine.close().await;
    });
}

#[test]
fn two_engines_do_not_open_one_directory() {
    let dir = place::scratch("lock");
    block_on(async {
        let engine = open(dir.path()).await;
        let second = Engine::open(settings(dir.path()))
            .await
            .err()
            .expect("it is refused");
        assert_eq!(second.kind(), Kind::Conflict);
        assert!(second.is_in_use(), "it may be waited for");
        engine.close().await;
        open(dir.path()).await.close().await;
    });
}

/// A message whose attachment leaves its entry as a blob.
fn with_attachment() -> Bytes {
    let mut dice = Dice::new(7);
    let mut text = "Subject: large\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee below\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n".to_owned();
    let letters: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '/'])
        .collect();
    // Just over what an entry takes.
    for _ in 0..9_250 {
        text.extend((0..76).map(|_| *dice.pick(&letters)));
        text.push_str("\r\n");
    }
    text.push_str("--b--\r\n");
    Bytes::from(text)
}

/// The changes of an account that has four messages and three mailboxes.
async fn change_store(engine: &Engine, ann: AccountRef) {
    let inbox = MailboxId(1);
    let one = |uid| UidSet::from_ranges([(uid, uid)]);
    engine.copy(ann, inbox, &all(), "Work").await.unwrap();
    engine.copy(ann, inbox, &one(1), "Gone").await.unwrap();
    engine
        .r#move(ann, inbox, &one(4), "Work/Old")
        .await
        .unwrap();
    engine.delete(ann, "Gone").await.unwrap();
    engine.rename(ann, "Work", "Projects").await.unwrap();
    engine.subscribe(ann, "Projects", true).await.unwrap();
    let deleted = Flags {
        system: SystemFlags::DELETED,
        ..Flags::default()
    };
    let store = Store {
        mailbox: inbox,
        uids: one(1),
        action: FlagAction::Add,
        flags: deleted,
        unchanged_since: None,
    };
    engine.store(ann, store).await.unwrap();
    engine.expunge(ann, inbox, None).await.unwrap();
}

/// Every change that there is, in a store whose first segment is sealed and stored and gone from local disk.
async fn make_store(dir: &Path) {
    let engine = open(dir).await;
    let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
    let ben = engine.open_account(&name("ben@example.org")).await.unwrap();
    let both = [(ann, None), (ben, Some("Nowhere".to_owned()))];
    engine
        .deliver(
            Bytes::from_static(b"Subject: both\r\n\r\nTo two.\r\n"),
            &both,
        )
        .await
        .unwrap();
    engine
        .deliver(with_attachment(), &[(ann, None)])
        .await
        .unwrap();
    let seen = Flags {
        system: SystemFlags::SEEN,
        keywords: ["Later".to_owned()].into(),
    };
    engine
        .append(
            ann,
            "INBOX",
            vec![append("three", seen), append("four", Flags::default())],
        )
        .await
        .unwrap();
    for (made, use_) in [("Work", None), ("Work/Old", None), ("Gone", None)] {
        engine.create(ann, made, use_).await.unwrap();
    }
    change_store(&engine, ann).await;
    let shard = engine.shard(ShardNo(1)).unwrap();
    let epoch = EpochOp {
        epoch: Epoch(1),
        parent: Epoch(0),
        fork: Position(0),
        open_segment: Position(0),
        raise: false,
    };
    shard.change(Op::Epoch(epoch)).await.unwrap();
    wait::until("the purge", Duration::from_secs(20), || {
        kinds(dir).contains(&4)
    });
    assert!(matches!(
        shard.change(Op::Cut).await.unwrap(),
        Outcome::Done { .. }
    ));
    drop(shard);
    let sealed = journal(dir, 1).join("00000001-0000000000000001.seg");
    wait::until("its upload and eviction", Duration::from_secs(20), || {
        !sealed.exists()
    });
    engine
        .append(ann, "INBOX", vec![append("five", Flags::default())])
        .await
        .unwrap();
    wait::until("the entry that says so", Duration::from_secs(20), || {
        kinds(dir).contains(&19)
    });
    engine.close().await;
}

fn journal(dir: &Path, shard: u16) -> PathBuf {
    dir.join(format!("data/shards/{shard:04}/journal"))
}

/// Kinds of entries in the local journals, and in the copy of the first segment.
fn kinds(dir: &Path) -> BTreeSet<u8> {
    let mut found = BTreeSet::new();
    let local = (0..2).flat_map(|shard| local_segments(&RealDisk, &journal(dir, shard)).unwrap());
    let paths = local.map(|file| file.path).chain([dir.join("kept.seg")]);
    for path in paths.filter(|path| path.exists()) {
        let Ok(mut reader) = SegmentReader::open(&RealDisk, &path) else {
            continue;
        };
        while let Ok(Some(record)) = reader.next_record() {
            found.insert(record.meta[1]);
            decode_record(reader.header(), record).unwrap();
        }
    }
    found
}

fn bytes_below(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let path = entry.path();
            if path.is_dir() {
                bytes_below(&path)
            } else {
                entry.metadata().unwrap().len()
            }
        })
        .sum()
}

/// `COLDPOST_BLESS=1` puts it where `cli/tests/format_v1.rs` finds it: once for each version of the formats.
#[test]
fn a_small_store_has_every_kind_of_entry_and_object() {
    let scratch = place::scratch("v1");
    let made = scratch.path().join("v1");
    std::fs::create_dir_all(&made).unwrap();
    block_on(make_store(&made));
    let cold = made.join("cold");
    let first = cold.join("segments/0001/00000001/0000000000000001");
    std::fs::copy(&first, made.join("kept.seg")).unwrap();
    let found = kinds(&made);
    std::fs::remove_file(made.join("kept.seg")).unwrap();
    let written: BTreeSet<u8> = (1..=14).chain([17, 18, 19, 24]).collect();
    assert_eq!(found, written);
    for object in ["epochs/0001", "segments/0001", "blobs/0001"] {
        assert!(cold.join(object).is_dir(), "{object}");
    }
    assert!(bytes_below(&made) < 1 << 20, "{} bytes", bytes_below(&made));
    if std::env::var_os("COLDPOST_BLESS").is_some() {
        let kept = place::workspace().join("cli/tests/fixtures/v1");
        let _ = std::fs::remove_dir_all(&kept);
        std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
        let status = std::process::Command::new("cp")
            .arg("-a")
            .arg(&made)
            .arg(&kept)
            .status()
            .unwrap();
        assert!(status.success());
    }
}
