//! One object in one or two stores, whole or not.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use coldpost_testkit::place;
use coldpost_tiers::cold::faults::{Fault, Faults, Operation};
use coldpost_tiers::cold::{Caller, ColdSettings, ColdStore, Key};

use super::{Size, read};
use crate::error::{Error, Kind, Result};
use crate::ids::{Epoch, Position, ShardNo};

const OBJECT: &[u8] = b"rows of a snapshot";
/// [`OBJECT`] has so many.
const SIZE: Size = Size::Exactly(18);
/// Attempts of a request of recovery.
const ATTEMPTS: usize = 4;

fn key() -> Key {
    Key::Snapshot {
        shard: ShardNo(1),
        epoch: Epoch(1),
        position: Position(7),
    }
}

fn at(dir: &Path, store: &str) -> PathBuf {
    dir.join(store).join(key().to_string())
}

/// The object in each of these directories.
async fn stores(dir: &Path, names: &[&str]) -> (ColdStore, Faults) {
    let named = |name: &&str| {
        fs::create_dir(dir.join(name)).unwrap();
        ColdSettings {
            url: format!("file://{}", dir.join(name).display()),
            ..ColdSettings::default()
        }
    };
    let mut all = names.iter().map(named);
    let mut settings = all.next().unwrap();
    settings.mirror = all.next().map(Box::new);
    let faults = Faults::new();
    let cold = ColdStore::open_with_faults(&settings, &faults).unwrap();
    let bytes = Bytes::from_static(OBJECT);
    cold.put_new(&key(), bytes, Caller::Snapshot).await.unwrap();
    (cold, faults)
}

async fn ask(cold: &ColdStore, size: Size) -> Result<Bytes> {
    let check = |bytes: Bytes| match bytes == OBJECT {
        true => Ok(bytes),
        false => Err(Error::new(Kind::Corrupt, format!("{} is wrong", key()))),
    };
    read(cold, &key(), size, check).await
}

#[tokio::test]
async fn what_is_wrong_short_or_missing_in_one_store_is_had_from_the_other() {
    let dir = place::scratch("copies");
    let (cold, _) = stores(dir.path(), &["first", "second"]).await;
    for (damaged, whole) in [("first", "second"), ("second", "first")] {
        let path = at(dir.path(), damaged);
        for bytes in [&b"rows of a snapshoT"[..], b"rows", b""] {
            fs::write(&path, bytes).unwrap();
            for size in [SIZE, Size::AtMost(100)] {
                assert_eq!(ask(&cold, size).await.unwrap(), OBJECT, "{whole}");
            }
        }
        fs::remove_file(&path).unwrap();
        for size in [SIZE, Size::AtMost(100)] {
            assert_eq!(ask(&cold, size).await.unwrap(), OBJECT, "{whole}");
        }
        fs::write(&path, OBJECT).unwrap();
    }
    fs::write(at(dir.path(), "first"), b"rows").unwrap();
    fs::write(at(dir.path(), "second"), b"rows of a snapshoT").unwrap();
    let error = ask(&cold, SIZE).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    let said = error.to_string();
    let first = format!(
        "{} has 4 of 18 bytes, in file://{}/first",
        key(),
        dir.path().display()
    );
    let second = format!(
        "{} is wrong, in file://{}/second",
        key(),
        dir.path().display()
    );
    assert!(said.contains(&first) && said.contains(&second), "{said}");
}

#[tokio::test]
async fn an_object_that_is_shorter_is_damaged_and_an_answer_that_breaks_off_says_nothing_of_it() {
    let dir = place::scratch("short");
    let (cold, faults) = stores(dir.path(), &["only"]).await;
    faults.order(Operation::Get, Fault::Truncate(4), ATTEMPTS);
    let error = ask(&cold, SIZE).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(ask(&cold, SIZE).await.unwrap(), OBJECT);
    fs::write(at(dir.path(), "only"), &OBJECT[..4]).unwrap();
    let error = ask(&cold, SIZE).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    assert!(error.to_string().contains("has 4 of 18 bytes"), "{error}");
}

#[tokio::test]
async fn while_one_store_does_not_answer_nothing_is_damaged() {
    let dir = place::scratch("away");
    let (cold, faults) = stores(dir.path(), &["first", "second"]).await;
    fs::write(at(dir.path(), "second"), b"rows of a snapshoT").unwrap();
    faults.set_away(true);
    let error = ask(&cold, SIZE).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    let said = error.to_string();
    assert!(
        said.contains("/first") && said.contains("/second"),
        "{said}"
    );
    faults.set_away(false);
    assert_eq!(ask(&cold, SIZE).await.unwrap(), OBJECT);
}
