//! The bucket's permissions: the policies that `coldpost cold policy` prints are enough for the daemon, and no more; what a bucket lacks is told.

use std::process::{Command, Output};
use std::time::Duration;

use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::made_mail::dense as mail;
use coldpost_testkit::process::forget_ours;
use coldpost_testkit::seaweedfs::{ACCESS_KEY, BUCKET, Identity, SECRET_KEY, SeaweedFs};
use coldpost_testkit::tool::WEED;
use coldpost_testkit::{Daemon, Must, Options, have, http, wait};
use coldpost_tiers::cold::{Caller, ColdSettings, ColdStore, Key};
use futures::TryStreamExt;
use serde_json::Value;
use tokio::runtime::Runtime;

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const USER: &str = "ann@example.org";
const MESSAGES: u64 = 60;

/// A policy as the command prints it.
fn policy(gc: bool) -> String {
    let mut command = Command::new(BINARY);
    command.args(["cold", "policy"]);
    if gc {
        command.arg("--gc");
    }
    forget_ours(&mut command);
    command.env("COLDPOST_COLD__URL", format!("s3://{BUCKET}/narrow"));
    let output = command.output().must("running coldpost cold policy");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).must("text")
}

fn identity(name: &str, gc: bool) -> Identity {
    Identity {
        access_key: name.to_owned(),
        secret_key: format!("{name}-secret"),
        policy: policy(gc),
    }
}

fn as_identity(options: Options, name: &str) -> Options {
    options.text("cold", "access_key_id", name).text(
        "cold",
        "secret_access_key",
        &format!("{name}-secret"),
    )
}

fn check(daemon: &Daemon) -> (Option<i32>, Value) {
    let output: Output = daemon
        .command("cold")
        .args(["check", "--json"])
        .output()
        .must("running coldpost cold check");
    let value = serde_json::from_slice(&output.stdout);
    let value = value.must("JSON");
    (output.status.code(), value)
}

/// What is not fine, by name.
fn wrong(report: &Value) -> Vec<(String, String)> {
    let findings = report["findings"].as_array().must("findings");
    let text = |value: &Value| value.as_str().must("text").to_owned();
    let all = findings
        .iter()
        .map(|f| (text(&f["what"]), text(&f["severity"])));
    all.filter(|(_, severity)| severity != "fine").collect()
}

fn problems(daemon: &Daemon) -> Vec<String> {
    let reply = http::get(daemon.http_addr(), "/admin/status", Some(&daemon.token()));
    let status: Value = serde_json::from_slice(&reply.must("the status").body).must("JSON");
    let problems = status["problems"].as_array().must("problems").clone();
    problems
        .iter()
        .map(|p| p.as_str().must("text").to_owned())
        .collect()
}

fn deliver_and_evict(daemon: &Daemon) {
    let mut lmtp = daemon.lmtp();
    for number in 0..MESSAGES {
        lmtp.deliver("b@example.org", USER, &mail(number));
    }
    let segments = daemon.data_dir().join("shards/0001/journal");
    wait::until("uploads and eviction", Duration::from_secs(60), || {
        let entries = std::fs::read_dir(&segments).must("listing the journal");
        let mut paths = entries.map(|entry| entry.must("an entry").path());
        paths.all(|path| path.extension().is_none_or(|e| e != "seg"))
    });
}

fn read_all(daemon: &Daemon) {
    let mut imap = daemon.imap(USER);
    imap.command("EXAMINE INBOX").ok();
    let fetched = imap.fetch("FETCH 1:* BODY.PEEK[]");
    assert_eq!(fetched.len() as u64, MESSAGES);
    for (number, fetch) in (0..).zip(fetched) {
        assert!(
            fetch.bytes("BODY[]").ends_with(&mail(number)),
            "message {number}"
        );
    }
}

/// A store that knows two keys, each with its policy, and a daemon with the narrower one, whose mail is in the store alone.
fn under_the_daemons_policy(grace: &str) -> (SeaweedFs, Daemon) {
    let identities = vec![identity("daemon", false), identity("collector", true)];
    let weed = SeaweedFs::start_with(identities);
    let options = weed
        .cold(Options::new(BINARY), weed.s3_addr(), "narrow")
        .text("hot", "local_bodies", "0")
        .text("cold", "grace", grace)
        .text("cold", "retention", grace)
        .text("journal", "segment_size", "1MiB");
    let daemon = Daemon::start(as_identity(options, "daemon"));
    deliver_and_evict(&daemon);
    (weed, daemon)
}

#[test]
fn under_the_daemons_policy_mail_is_served_and_no_mail_can_be_deleted() {
    if !have(&[WEED]) {
        return;
    }
    let (weed, mut daemon) = under_the_daemons_policy("1d");
    daemon.restart();
    read_all(&daemon);
    let (code, report) = check(&daemon);
    assert_eq!((code, wrong(&report)), (Some(0), vec![]), "{report}");
    assert_eq!(problems(&daemon), Vec::<String>::new());

    let bucket = Bucket::new(&weed);
    let (segment, claim) = (&bucket.keys("segments")[0], &bucket.keys("epochs")[0]);
    assert!(!bucket.deletes(segment, "daemon"));
    assert!(!bucket.deletes(claim, "collector"));
    assert!(bucket.keys("segments").contains(segment));
    assert!(bucket.keys("epochs").contains(claim));
    assert!(bucket.deletes(segment, "collector"));
    assert!(!bucket.keys("segments").contains(segment));
}

#[test]
fn under_the_two_policies_mail_is_compacted_and_what_that_leaves_is_deleted() {
    if !have(&[WEED]) {
        return;
    }
    let (weed, mut daemon) = under_the_daemons_policy("0s");
    let done = daemon.json(&["compact"]);
    assert_eq!(
        (&done["moved"], &done["left"]),
        (&MESSAGES.into(), &0.into())
    );
    daemon.ok(&["snapshot", "now"]);
    let bucket = Bucket::new(&weed);
    let segments = bucket.keys("segments").len();
    assert!(segments > 1);
    daemon.stop();
    let config = std::fs::read_to_string(daemon.config_file()).must("the configuration");
    let of_collector = config
        .replace("\"daemon-secret\"", "\"collector-secret\"")
        .replace("\"daemon\"", "\"collector\"");
    assert_ne!(config, of_collector);
    std::fs::write(daemon.config_file(), of_collector).must("writing it");
    daemon.ok(&["gc", "--apply"]);
    // Of each shard the one with the end of its journal is needed.
    let left = bucket.keys("segments");
    assert!(left.len() < segments && left.len() <= 2, "{left:?}");
    // Which writes the configuration of the daemon.
    daemon.restart();
    read_all(&daemon);
}

#[test]
fn a_permission_that_is_missing_is_told_by_check_and_by_status_and_stops_nothing_later() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let options = weed.cold(Options::new(BINARY), proxy.addr(), "checked");
    let mut daemon = Daemon::start(options);
    proxy.set_for(
        "?versioning",
        Mode::Say(
            200,
            "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        ),
    );
    daemon.restart();
    wait::until(
        "the check in the background",
        Duration::from_secs(20),
        || {
            problems(&daemon)
                .iter()
                .any(|problem| problem.contains("Suspend versioning"))
        },
    );
    daemon.lmtp().deliver("b@example.org", USER, &mail(1));
    let versioned = ("versioning".to_owned(), "error".to_owned());
    let (code, report) = check(&daemon);
    assert_eq!((code, wrong(&report)), (Some(1), vec![versioned]));
    proxy.set(Mode::Status(403));
    let (code, report) = check(&daemon);
    assert_eq!(code, Some(1));
    assert!(report.to_string().contains("s3:PutObject"), "{report}");
    proxy.set(Mode::Refuse);
    let (code, report) = check(&daemon);
    let silent = ("answer".to_owned(), "error".to_owned());
    assert_eq!((code, wrong(&report)), (Some(1), vec![silent]));
}

/// The bucket behind the daemon's back, under the key of whoever acts.
struct Bucket<'w> {
    weed: &'w SeaweedFs,
    runtime: Runtime,
}

impl Bucket<'_> {
    fn new(weed: &SeaweedFs) -> Bucket<'_> {
        let runtime = Runtime::new().must("a runtime");
        Bucket { weed, runtime }
    }

    fn store(&self, name: &str, secret: &str) -> ColdStore {
        let settings = ColdSettings {
            url: format!("s3://{BUCKET}/narrow"),
            endpoint: Some(format!("http://{}", self.weed.s3_addr())),
            region: Some("us-east-1".to_owned()),
            access_key_id: Some(name.to_owned()),
            secret_access_key: Some(secret.to_owned()),
            allow_http: true,
            ..ColdSettings::default()
        };
        ColdStore::open(&settings).must("a store")
    }

    fn keys(&self, folder: &str) -> Vec<Key> {
        let store = self.store(ACCESS_KEY, SECRET_KEY);
        let listed = store.list(folder, Caller::Verify).try_collect::<Vec<_>>();
        let listed = self.runtime.block_on(listed).must("a listing");
        listed.into_iter().filter_map(|listed| listed.key).collect()
    }

    /// Whether it is allowed to.
    fn deletes(&self, key: &Key, name: &str) -> bool {
        let store = self.store(name, &format!("{name}-secret"));
        self.runtime
            .block_on(store.delete(key, Caller::Collect))
            .is_ok()
    }
}
