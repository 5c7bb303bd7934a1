//! What is stated of deletion against what is there: all objects, unpacked, after the date.

use std::path::Path;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::made_mail::{attached, drawn};
use coldpost_testkit::place::{self, files};

use crate::account::AccountName;
use crate::clock::{self, steps};
use crate::flags::{Flags, SystemFlags};
use crate::ids::AccountRef;
use crate::open::Engine;
use crate::tests::{append_of, settings};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const FRAME: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
const UNPACKED_MAX: usize = 16 << 20;

fn is_alone(name: &str) -> bool {
    steps::is_alone(&format!("upkeep::tests::dates::{name}"))
}

fn count(haystack: &[u8], needle: &[u8]) -> usize {
    haystack
        .windows(needle.len())
        .filter(|w| *w == needle)
        .count()
}

/// How often something stands in the files below a directory, as they are and unpacked.
fn found(dir: &Path, what: &[u8]) -> usize {
    let of_file = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let mut sum = count(&bytes, what);
        for at in 0..bytes.len().saturating_sub(4) {
            let Some(rest) = bytes.get(at..).filter(|rest| rest.starts_with(&FRAME)) else {
                continue;
            };
            let size = zstd::zstd_safe::find_frame_compressed_size(rest).unwrap_or(0);
            let frame = zstd::bulk::decompress(&rest[..size], UNPACKED_MAX).unwrap_or_default();
            sum += count(&frame, what);
        }
        sum
    };
    let files = files(dir);
    let mail = files.iter().filter(|path| !path.ends_with("hot.redb"));
    mail.map(of_file).sum()
}

async fn append(engine: &Engine, account: AccountRef, text: &str, is_deleted: bool, part: &[u8]) {
    let system = if is_deleted {
        SystemFlags::DELETED
    } else {
        SystemFlags::default()
    };
    let flags = Flags {
        system,
        ..Flags::default()
    };
    let message = append_of(attached(text, part), flags);
    engine
        .append(account, "INBOX", vec![message])
        .await
        .unwrap();
}

/// Time passes, and upkeep with it: what it began is ended before more time passes, however busy the machine is.
async fn pass(engine: &Engine, span: Duration) {
    steps::pass(span);
    tokio::time::sleep(2 * HOUR).await;
    let turns = &engine.inner.turns;
    drop(turns.compacting.take().await);
    drop(turns.snapshotting.take().await);
    drop(turns.deleting.lock().await);
}

/// Mail of ann and bob in the same block; some of ann's was expunged a day before her account is erased.
#[tokio::test]
async fn erased_mail_is_in_no_object_after_the_stated_date_nor_is_what_was_expunged_before() {
    if !is_alone(
        "erased_mail_is_in_no_object_after_the_stated_date_nor_is_what_was_expunged_before",
    ) {
        return;
    }
    let (early, late, others) = (
        "the early platypus",
        "the late platypus",
        "the platypus of bob",
    );
    let mut dice = Dice::new(7);
    let parts = [(); 7].map(|()| drawn(&mut dice, 100_000));
    let dir = place::scratch("dates");
    let engine = Engine::open(settings(dir.path())).await.unwrap();
    let name = |name| AccountName::normalise(name).unwrap();
    let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
    let bob = engine.open_account(&name("bob@example.org")).await.unwrap();
    append(&engine, ann, early, true, &parts[0]).await;
    // Most of what they share is his: it is not rewritten because much of it is dead.
    for part in &parts[1..6] {
        append(&engine, bob, others, false, part).await;
    }
    engine.compact_now(&mut |_| {}).await.unwrap();
    engine.snapshot_now(&mut |_| {}).await.unwrap();
    tokio::time::pause();
    pass(&engine, HOUR).await;
    let mailbox = engine.select(ann, "INBOX", true).unwrap().mailbox();
    engine.expunge(ann, mailbox, None).await.unwrap();
    append(&engine, ann, late, false, &parts[6]).await;
    pass(&engine, DAY).await;

    let stated = engine.gone_by(true);
    engine
        .delete_account(&name("ann@example.org"), true)
        .await
        .unwrap();
    // (The late attachment stands in a segment, encoded.)
    let needles = [early.as_bytes(), late.as_bytes(), &parts[0][5_000..5_100]];
    for needle in needles {
        assert!(found(dir.path(), needle) > 0, "it is there before");
    }
    while clock::now_s() < stated {
        pass(&engine, DAY / 2).await;
    }
    for needle in needles {
        assert_eq!(
            found(dir.path(), needle),
            0,
            "{}",
            String::from_utf8_lossy(needle)
        );
    }
    for needle in [others.as_bytes(), &parts[1][5_000..5_100]] {
        assert!(found(dir.path(), needle) > 0, "what is not hers stays");
    }
    tokio::time::resume();
    engine.close().await;
}

/// The same without erasing: what one account expunged, beside mail that stays.
#[tokio::test]
async fn expunged_mail_is_in_no_object_after_the_stated_date() {
    if !is_alone("expunged_mail_is_in_no_object_after_the_stated_date") {
        return;
    }
    let (gone, stays) = ("the platypus that goes", "the platypus that stays");
    let mut dice = Dice::new(8);
    let part = drawn(&mut dice, 100_000);
    let dir = place::scratch("dates");
    let engine = Engine::open(settings(dir.path())).await.unwrap();
    let ann = AccountName::normalise("ann@example.org").unwrap();
    let ann = engine.open_account(&ann).await.unwrap();
    append(&engine, ann, gone, true, &part).await;
    for _ in 0..5 {
        let part = drawn(&mut dice, 100_000);
        append(&engine, ann, stays, false, &part).await;
    }
    engine.compact_now(&mut |_| {}).await.unwrap();
    engine.snapshot_now(&mut |_| {}).await.unwrap();
    tokio::time::pause();
    let stated = engine.gone_by(false);
    let mailbox = engine.select(ann, "INBOX", true).unwrap().mailbox();
    engine.expunge(ann, mailbox, None).await.unwrap();
    let needles = [gone.as_bytes(), &part[5_000..5_100]];
    for needle in needles {
        assert!(found(dir.path(), needle) > 0, "it is there before");
    }
    while clock::now_s() < stated {
        pass(&engine, DAY).await;
    }
    for needle in needles {
        assert_eq!(
            found(dir.path(), needle),
            0,
            "{}",
            String::from_utf8_lossy(needle)
        );
    }
    assert!(found(dir.path(), stays.as_bytes()) > 0);
    tokio::time::resume();
    engine.close().await;
}
