//! Opening an account touches two shards: killed or cut off after every single disk operation of it, it is there once, with all of
//! its first mailboxes, or not at all.

#[path = "changes.rs"]
mod changes;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use coldpost_testkit::place;
use coldpost_tiers::cold::ColdStore;
use coldpost_tiers::disk::{Disk, DiskFile, FaultyDisk};
use coldpost_tiers::fetch::Fetcher;
use coldpost_tiers::hot::row::{AccountRow, NameRow, Row};
use coldpost_tiers::hot::{TableName, key};

use super::kit::{Setup, open_settings};
use crate::account::AccountName;
use crate::apply::invariants;
use crate::error::{Error, Kind};
use crate::ids::{AccountId, AccountRef, ShardNo};
use crate::local::{LocalStore, shard_dir};
use crate::open::{Engine, Inner};
use crate::settings::{NewMailbox, Settings};
use crate::view::SpecialUse;
use crate::write::Delivered;

/// The directory and one shard for mail.
const SHARDS: [ShardNo; 2] = [ShardNo(0), ShardNo(1)];
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// Power cuts that are tried after each operation, besides the kill.
const CUTS: u64 = 3;

/// The disk of a machine as somebody finds it who starts it again.
struct Image {
    disk: FaultyDisk,
    /// After which operation, and how it ended.
    context: String,
}

/// A disk that shows its state after each operation that changes it, while somebody wants to see it.
#[derive(Clone, Debug)]
struct Filmed {
    disk: FaultyDisk,
    film: Arc<Mutex<Film>>,
}

#[derive(Debug, Default)]
struct Film {
    images: Option<SyncSender<Image>>,
    operations: u64,
}

#[derive(Debug)]
struct FilmedFile(Filmed, Arc<dyn DiskFile>);

impl Filmed {
    fn new(disk: &FaultyDisk) -> Filmed {
        Filmed {
            disk: disk.clone(),
            film: Arc::default(),
        }
    }

    fn film(&self) -> MutexGuard<'_, Film> {
        self.film.lock().expect("no panic while it is held")
    }

    /// Does one operation, nothing else meanwhile, and shows what a kill and some power cuts after it leave.
    fn step<T>(&self, name: &str, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut film = self.film();
        let done = work();
        film.operations += 1;
        if let Some(images) = &film.images {
            let at = film.operations;
            let show = |disk, how: String| {
                let context = format!("operation {at} ({name}), {how}");
                // Nobody looks any more once the test has failed.
                let _ = images.send(Image { disk, context });
            };
            show(killed(&self.disk), "kill".to_owned());
            for seed in 0..CUTS {
                let cut = self.disk.crash(at * CUTS + seed);
                show(cut, format!("power cut {seed}"));
            }
        }
        done
    }

    /// Does `work` and hands every image of it to `look`.
    fn during<T: Send>(&self, work: impl FnOnce() -> T + Send, mut look: impl FnMut(Image)) -> T {
        let (images, seen) = sync_channel(4);
        self.film().images = Some(images);
        std::thread::scope(|scope| {
            let working = scope.spawn(|| {
                // The first of its operations may already be the one that counts.
                self.step("none of it yet", || Ok(()))
                    .expect("nothing to fail");
                let done = work();
                self.film().images = None;
                done
            });
            seen.iter().for_each(&mut look);
            working.join().expect("it ends")
        })
    }
}

/// All that was written, as a process leaves it that is killed while the machine goes on.
fn killed(disk: &FaultyDisk) -> FaultyDisk {
    let after = FaultyDisk::new();
    let whole = |path: &Path| -> io::Result<()> {
        let file = disk.open(path)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).expect("a length")];
        file.read_at(0, &mut bytes)?;
        let copy = after.create(path)?;
        copy.write_at(0, &bytes)?;
        copy.sync_data()
    };
    for shard in SHARDS.map(dir) {
        for dir in [shard.clone(), shard.join("journal")] {
            for name in disk.list(&dir).expect("a listing") {
                whole(&dir.join(name)).expect("a copy");
            }
            after.sync_dir(&dir).expect("a sync");
        }
    }
    after
}

fn dir(shard: ShardNo) -> PathBuf {
    shard_dir(Path::new(""), shard)
}

impl Disk for Filmed {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FilmedFile(self.clone(), self.disk.open(path)?)))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.step("create", || self.disk.create(path))?;
        Ok(Arc::new(FilmedFile(self.clone(), file)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename", || self.disk.rename(from, to))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step("remove", || self.disk.remove(path))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step("sync of a directory", || self.disk.sync_dir(dir))
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.total_bytes(path)
    }
}

impl DiskFile for FilmedFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.1.read_at(offset, into)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.step("write", || self.1.write_at(offset, bytes))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.step("sync", || self.1.sync_data())
    }
    fn len(&self) -> io::Result<u64> {
        self.1.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.step("set length", || self.1.set_len(len))
    }
}

/// The engine on a disk in memory, without upkeep; `scratch` is for what is no part of the test.
fn start(disk: Arc<dyn Disk>, scratch: &Path) -> crate::Result<Engine> {
    let settings = Settings {
        segment_size: 1 << 20,
        autocreate: first_mailboxes(),
        ..crate::tests::settings(scratch)
    };
    let (mut shards, mut threads) = (Vec::new(), Vec::new());
    for shard in SHARDS {
        let setup = Setup {
            journal: Arc::clone(&disk),
            hot: Arc::clone(&disk),
            segment_size: settings.segment_size,
            durable_every: Duration::from_millis(3),
        };
        let opened = crate::shard::open(open_settings(setup, shard))?;
        shards.push(opened.shard);
        threads.extend(opened.threads);
    }
    let cold = ColdStore::open(&settings.cold)?;
    let local = Arc::new(LocalStore::new(&settings.data));
    let lock = std::fs::File::create(scratch.join("lock")).expect("a file");
    Ok(Engine {
        inner: Arc::new(Inner {
            fetcher: Fetcher::new(1 << 20, Arc::clone(&local) as _, cold.clone()),
            settings,
            disk,
            shards,
            cold,
            local,
            started: 0,
            threads: Mutex::new(threads),
            upkeep: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            unfinished: tokio::sync::Notify::new(),
            search_memory: Default::default(),
            previews: coldpost_tiers::cache::previews::PreviewsCache::new(0),
            made: coldpost_tiers::cache::made::MadeCache::of_mailboxes(0),
            kept_text: super::kit::kept_nothing(),
            read_ahead: Arc::default(),
            turns: Default::default(),
            lock,
        }),
    })
}

fn first_mailboxes() -> Vec<NewMailbox> {
    let mailbox = |(name, special_use)| NewMailbox {
        name: String::from(name),
        special_use,
    };
    [("Drafts", Some(SpecialUse::Drafts)), ("Later", None)]
        .map(mailbox)
        .to_vec()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

fn name(text: &str) -> AccountName {
    AccountName::normalise(text).unwrap()
}

/// What is in the mail shard and what is in the directory, by name.
#[derive(Debug, PartialEq, Eq)]
struct Accounts {
    opened: Vec<(String, AccountId)>,
    named: Vec<(String, AccountId)>,
}

impl Accounts {
    fn of(engine: &Engine, context: &str) -> Accounts {
        let mut found = Accounts {
            opened: Vec::new(),
            named: Vec::new(),
        };
        for shard in &engine.inner.shards {
            let state = shard.hot.read().unwrap();
            let wrong = invariants::violations(&state).unwrap();
            assert_eq!(wrong, Vec::<String>::new(), "{context}");
            let opened = state.walk(TableName::Accounts, &[], &[], |at, value| {
                let row = AccountRow::decode("accounts", value)?;
                found.opened.push((row.name, key::account_of(at)));
                Ok(true)
            });
            opened.unwrap();
            let named = state.walk(TableName::Names, &[], &[], |at, value| {
                let row = NameRow::decode("names", value)?;
                let name = String::from_utf8_lossy(at).into_owned();
                found.named.push((name, row.account));
                Ok(true)
            });
            named.unwrap();
        }
        found.opened.sort_unstable();
        found.named.sort_unstable();
        found
    }

    fn number(&self, wanted: &str) -> Option<AccountId> {
        let mut numbers = self.opened.iter().filter(|(name, _)| name == wanted);
        let number = numbers.next().map(|(_, number)| *number);
        assert!(numbers.next().is_none(), "opened twice: {self:?}");
        number
    }

    /// Accounts and names are the same, one for one.
    fn assert_agree(&self, names: &[&str], context: &str) {
        assert_eq!(self.opened, self.named, "{context}");
        let named: Vec<&str> = self.named.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(named, names, "{context}");
        let mut numbers: Vec<AccountId> = self.named.iter().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), names.len(), "{context}: a number twice");
    }
}

async fn deliver(engine: &Engine, accounts: &[AccountRef], context: &str) {
    let to: Vec<_> = accounts.iter().map(|account| (*account, None)).collect();
    let mail = Bytes::from_static(b"Subject: hello\r\n\r\nHello.\r\n");
    let delivered = engine.deliver(mail, &to).await;
    let delivered = delivered.unwrap_or_else(|e| panic!("{context}: {e}"));
    let stored = |d: &Delivered| matches!(d, Delivered::Stored { .. });
    assert!(delivered.iter().all(stored), "{context}: {delivered:?}");
}

/// A machine with one account that has one mail.
async fn with_ann(disk: &Filmed, scratch: &Path) -> (Engine, AccountRef) {
    let engine = start(Arc::new(disk.clone()), scratch).unwrap();
    let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
    deliver(&engine, &[ann], "before").await;
    (engine, ann)
}

/// What somebody must find who starts the machine again; `ben` was told to a client.
async fn check(image: &Image, ann: AccountRef, ben: Option<AccountRef>, scratch: &Path) -> State {
    let context = &image.context;
    let engine = start(Arc::new(image.disk.clone()), scratch);
    let engine = engine.unwrap_or_else(|e| panic!("{context}: {e}"));
    let found = Accounts::of(&engine, context);
    assert_eq!(found.number("ann@example.org"), Some(ann.number));
    for named in &found.named {
        let open = found.opened.contains(named);
        assert!(open, "{context}: a name without its account: {found:?}");
    }
    let opened = found.number("ben@example.org");
    let state = match (opened, found.named.len()) {
        (None, _) => State::Absent,
        (Some(_), 1) => State::Unnamed,
        (Some(_), _) => State::Named,
    };

    // The start enters an account without a name; a second time there is nothing to do.
    engine.check_directory().await.unwrap();
    let entered = Accounts::of(&engine, context);
    let names: &[&str] = match opened {
        Some(_) => &["ann@example.org", "ben@example.org"],
        None => &["ann@example.org"],
    };
    entered.assert_agree(names, context);
    let directory = engine.shard(ShardNo(0)).unwrap();
    let before = directory.durable();
    engine.check_directory().await.unwrap();
    assert_eq!(directory.durable(), before, "{context}");
    drop(directory);

    // The client's retry, somebody else, and mail for all.
    let retried = engine.open_account(&name("ben@example.org")).await.unwrap();
    assert!(opened.is_none_or(|n| n == retried.number), "{context}");
    assert!(ben.is_none_or(|told| told == retried), "{context}");
    let carl = engine.open_account(&name("carl@example.org")).await;
    let carl = carl.unwrap();
    deliver(&engine, &[retried, carl, ann], context).await;
    let all = ["ann@example.org", "ben@example.org", "carl@example.org"];
    let last = Accounts::of(&engine, context);
    last.assert_agree(&all, context);
    engine.close().await;

    let engine = start(Arc::new(image.disk.clone()), scratch).unwrap();
    engine.check_directory().await.unwrap();
    assert_eq!(Accounts::of(&engine, context), last, "{context}");
    for (account, mails) in [(ann, 2), (retried, 1), (carl, 1)] {
        let there = engine.mailboxes_of(account);
        let all = ["Drafts subscribed", "INBOX", "Later subscribed"];
        assert_eq!(there, all, "{context}");
        let status = engine.status(account, "INBOX").unwrap();
        assert_eq!(status.exists, mails, "{context}");
    }
    engine.close().await;
    state
}

/// How far the opening had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Absent,
    Unnamed,
    Named,
}

impl Engine {
    fn mailboxes_of(&self, account: AccountRef) -> Vec<String> {
        let mailboxes = self.mailboxes(account).unwrap();
        let described = mailboxes.into_iter().map(|mailbox| {
            let subscribed = if mailbox.subscribed {
                " subscribed"
            } else {
                ""
            };
            assert!(mailbox.id.is_some(), "{} is a name only", mailbox.name);
            format!("{}{subscribed}", mailbox.name)
        });
        described.collect()
    }
}

#[test]
fn a_kill_at_each_step_of_opening_an_account_leaves_it_once_or_not_at_all() {
    let scratch = place::scratch("opening");
    let disk = Filmed::new(&FaultyDisk::new());
    let (engine, ann) = block_on(with_ann(&disk, scratch.path()));
    let mut states = Vec::new();
    let mut unnamed = None;
    let open = || block_on(engine.open_account(&name("ben@example.org"))).unwrap();
    let ben = disk.during(open, |image| {
        let copy = image.disk.crash(0);
        let state = block_on(check(&image, ann, None, scratch.path()));
        states.push(state);
        if state == State::Unnamed {
            unnamed = Some(copy);
        }
    });
    let seen = |state| states.iter().filter(|s| **s == state).count();
    println!(
        "{} images: {} without the account, {} without its name, {} with both",
        states.len(),
        seen(State::Absent),
        seen(State::Unnamed),
        seen(State::Named)
    );
    assert!(seen(State::Absent) > 0 && seen(State::Unnamed) > 0 && seen(State::Named) > 0);

    // What was told to a client stays, whatever comes.
    for seed in 0..20 {
        let image = Image {
            disk: disk.disk.crash(seed),
            context: format!("power cut {seed} after the answer"),
        };
        let state = block_on(check(&image, ann, Some(ben), scratch.path()));
        assert_eq!(state, State::Named, "{}", image.context);
    }
    block_on(engine.close());

    // And the start that enters the name may be killed as well.
    let disk = Filmed::new(&unnamed.expect("an account without a name"));
    let engine = start(Arc::new(disk.clone()), scratch.path()).unwrap();
    let mut last = State::Absent;
    let enter = || block_on(engine.check_directory()).unwrap();
    disk.during(enter, |mut image| {
        image.context = format!("while the name is entered: {}", image.context);
        last = block_on(check(&image, ann, None, scratch.path()));
        assert_ne!(last, State::Absent, "{}", image.context);
    });
    block_on(engine.close());
}

/// A client hears that it did not work, asks again, and the daemon was up all the time: not two accounts of one name.
#[test]
fn an_opening_that_a_failing_sync_refuses_gives_one_account_when_it_is_tried_again() {
    let mut refused = 0;
    for nth in 0..6 {
        let context = format!("sync {nth}");
        let scratch = place::scratch("refused");
        let disk = FaultyDisk::new();
        block_on(async {
            let (engine, ann) = with_ann(&Filmed::new(&disk), scratch.path()).await;
            disk.fail_sync(nth);
            // A hot tier that waits for its disk keeps the client waiting, until it leaves.
            let ben = name("ben@example.org");
            let first = tokio::time::timeout(PATIENCE, engine.open_account(&ben)).await;
            let first = first.unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "no answer")));
            disk.mend();
            refused += usize::from(first.is_err());
            // A failed sync of the rescue may leave a shard closed until the next start.
            let again = engine.open_account(&name("ben@example.org")).await;
            engine.close().await;
            let told = again.or(first).ok();
            let image = Image { disk, context };
            check(&image, ann, told, scratch.path()).await;
        });
    }
    assert!(refused > 1, "only {refused} openings were refused");
}
