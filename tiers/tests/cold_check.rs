//! The check of a bucket: each permission that is missing, each setting that works against us, is named with what to change.
#![expect(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

mod s3;

use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::have;
use coldpost_testkit::seaweedfs::{BUCKET, SeaweedFs};
use coldpost_testkit::tool::WEED;
use coldpost_tiers::cold::{ColdSettings, ColdStore, Finding, Severity};
use coldpost_tiers::{Error, Kind};
use tempfile::TempDir;

use s3::{now_s, settings_of, store};

/// What is not fine.
async fn found(store: &ColdStore, now_s: fn() -> i64) -> Vec<Finding> {
    let mut found = store.examine(now_s).await.unwrap();
    found.retain(|finding| finding.severity != Severity::Fine);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_lacks_is_named_with_what_to_change() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let store = store(proxy.addr());
    assert_eq!(found(&store, now_s).await, [], "a good bucket");
    let names: Vec<_> = store.examine(now_s).await.unwrap();
    let names: Vec<_> = names.iter().map(|finding| finding.what).collect();
    let expected =
        "clock lifecycle object-lock versioning put,conditional put,get range head list delete";
    assert_eq!(
        names
            .join(" ")
            .replace("put conditional put ", "put,conditional put,"),
        expected
    );

    refusals(&store, &proxy).await;
    settings(&store, &proxy).await;
    clocks(&store).await;
    proxy.set(Mode::Refuse);
    let away = store.examine(now_s).await.unwrap_err();
    assert_eq!(*away.kind(), Kind::Unavailable);
}

async fn refusals(store: &ColdStore, proxy: &FaultProxy) {
    for (requests, what, action) in [
        ("PUT /mail", "put", "s3:PutObject"),
        ("GET /mail/mail/a/probes", "get", "s3:GetObject"),
        ("HEAD /mail", "head", "s3:GetObject"),
        ("list-type", "list", "s3:ListBucket"),
        ("DELETE /mail", "delete", "s3:DeleteObject"),
    ] {
        proxy.set_for(requests, Mode::Status(403));
        let found = found(store, now_s).await;
        let first = found.first().unwrap();
        assert_eq!((first.what, first.severity), (what, Severity::Error));
        assert!(first.words.contains(action), "{first:?}");
        let error: Error = store.check(now_s).await.unwrap_err();
        assert_eq!(*error.kind(), Kind::Invalid);
        assert!(error.to_string().contains(action), "{error}");
    }
    proxy.set(Mode::Pass);
}

async fn settings(store: &ColdStore, proxy: &FaultProxy) {
    for (question, status, body, severity, words) in [
        (
            "?versioning",
            200,
            "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
            Severity::Error,
            "Suspend versioning",
        ),
        (
            "?lifecycle",
            200,
            "<LifecycleConfiguration><Rule><ID>old logs</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>",
            Severity::Error,
            "`old logs`",
        ),
        (
            "?object-lock",
            200,
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention/></Rule></ObjectLockConfiguration>",
            Severity::Error,
            "default retention",
        ),
        (
            "?versioning",
            403,
            "",
            Severity::Warning,
            "s3:GetBucketVersioning",
        ),
        (
            "?lifecycle",
            501,
            "",
            Severity::Warning,
            "s3:GetLifecycleConfiguration",
        ),
    ] {
        proxy.set_for(question, Mode::Say(status, body));
        let found = found(store, now_s).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, severity, "{found:?}");
        assert!(found[0].words.contains(words), "{found:?}");
    }
    proxy.set(Mode::Pass);
}

async fn clocks(store: &ColdStore) {
    let off = |found: Vec<Finding>| {
        let clock = found.iter().find(|finding| finding.what == "clock");
        clock.map(|finding| finding.severity)
    };
    let fast: fn() -> i64 = || now_s() + 100;
    assert_eq!(off(found(store, fast).await), Some(Severity::Warning));
    let slow: fn() -> i64 = || now_s() - 1000;
    assert_eq!(off(found(store, slow).await), Some(Severity::Error));
}

#[tokio::test]
async fn a_directory_is_checked_without_a_bucket_and_no_probe_stays() {
    let scratch = TempDir::new().unwrap();
    let settings = ColdSettings {
        url: format!("file://{}/cold", scratch.path().display()),
        ..ColdSettings::default()
    };
    let store = ColdStore::open(&settings).unwrap();
    store.examine(now_s).await.unwrap_err();
    assert!(
        !scratch.path().join("cold").exists(),
        "looking makes no store"
    );
    let found = store.check(now_s).await.unwrap();
    assert!(
        found.iter().all(|f| f.severity == Severity::Fine),
        "{found:?}"
    );
    let names: Vec<_> = found.iter().map(|f| f.what).collect();
    assert_eq!(
        names,
        [
            "put",
            "conditional put",
            "get",
            "range",
            "head",
            "list",
            "delete"
        ]
    );
    let left = std::fs::read_dir(scratch.path().join("cold/probes")).unwrap();
    assert_eq!(left.count(), 0);
}

/// Two addresses (a host and its alias, two directories of which one is mounted on the other) may lead to one store.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_is_the_same_store_under_another_address_is_named() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let at = |endpoint, prefix: &str| ColdSettings {
        url: format!("s3://{BUCKET}/{prefix}"),
        ..settings_of(endpoint)
    };
    let mirrored = |mirror: ColdSettings| {
        let settings = ColdSettings {
            mirror: Some(Box::new(mirror)),
            ..at(weed.s3_addr(), "mail/a")
        };
        ColdStore::open(&settings).unwrap()
    };
    let same = mirrored(at(proxy.addr(), "mail/a"));
    let found_now = found(&same, now_s).await;
    assert_eq!(found_now.len(), 1, "{found_now:?}");
    let first = &found_now[0];
    assert_eq!((first.what, first.severity), ("mirror", Severity::Error));
    assert!(first.words.contains("both are one store"), "{first:?}");
    assert_eq!(*same.check(now_s).await.unwrap_err().kind(), Kind::Invalid);
    let other = mirrored(at(proxy.addr(), "mail/b"));
    assert_eq!(found(&other, now_s).await, []);
}
