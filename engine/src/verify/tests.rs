//! A store that was killed: its hot tier ends before its journal does.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::{place, wait};
use coldpost_tiers::address::ObjectId;
use coldpost_tiers::disk::RealDisk;
use coldpost_tiers::hot::row::{ObjectRow, ObjectState, Row};
use coldpost_tiers::hot::{TableName, key};
use coldpost_tiers::segment::{FileState, Lineage, Placed, RecordParts, SegmentReader, recover};

use super::*;
use crate::account::AccountName;
use crate::flags::Flags;
use crate::ids::AccountRef;
use crate::journal::embedded::{LocalSegment, local_segments};
use crate::local::shard_dir;
use crate::write::Append;

const ANN: &str = "ann@example.org";
/// Messages that the hot tier knows.
const KNOWN: u32 = 3;
/// Messages that stand in the journal alone.
const TAIL: u32 = 5;

fn settings(dir: &Path) -> Settings {
    Settings {
        local_bodies: 1 << 30,
        ..crate::tests::settings(dir)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

async fn append(engine: &Engine, ann: AccountRef, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mut text = format!("Subject: {number}\r\n\r\n");
        let mut dice = Dice::new(u64::from(number));
        for _ in 0..100 {
            text.push_str(&format!("{:016x}\r\n", dice.draw()));
        }
        let message = Append {
            message: Bytes::from(text),
            flags: Flags::default(),
            internal_date: Some((1_700_000_000, 60)),
            email_id: None,
        };
        engine.append(ann, "INBOX", vec![message]).await.unwrap();
    }
}

/// A store whose hot tier's last durable commit was before the last messages.
struct Killed {
    settings: Settings,
    hot: PathBuf,
    /// The newest file of the journal.
    open: PathBuf,
    /// The last messages in it.
    tail: Vec<Placed>,
}

impl Killed {
    async fn new(settings: Settings) -> Killed {
        let hot = shard_dir(&settings.data, ShardNo(1)).join("hot.redb");
        let engine = Engine::open(settings.clone()).await.unwrap();
        let name = AccountName::normalise(ANN).unwrap();
        let ann = engine.open_account(&name).await.unwrap();
        append(&engine, ann, 0..KNOWN).await;
        engine.close().await;
        let before = fs::read(&hot).unwrap();
        let engine = Engine::open(settings.clone()).await.unwrap();
        append(&engine, ann, KNOWN..KNOWN + TAIL).await;
        if settings.segment_size < 1 << 20 {
            wait::until("everything in the store", Duration::from_secs(60), || {
                let sealed = sealed(&settings);
                sealed.len() > 2 && sealed.iter().all(|file| is_stored(&engine, file))
            });
        }
        engine.close().await;
        fs::write(&hot, before).unwrap();
        let open = files(&settings).pop().unwrap().path;
        let mut records = SegmentReader::open(&RealDisk, &open).unwrap();
        let mut placed = Vec::new();
        while let Some(record) = records.next_record().unwrap() {
            if record.body.len() > 500 {
                placed.push(record.at);
            }
        }
        let from = placed.len().saturating_sub(TAIL as usize);
        Killed {
            hot,
            open,
            tail: placed.split_off(from),
            settings,
        }
    }

    async fn verified(&self) -> (Summary, Vec<Damage>, Vec<Unchecked>) {
        let before = fs::read(&self.hot).unwrap();
        let (mut damage, mut unchecked) = (Vec::new(), Vec::new());
        let mut report = |event| match event {
            Event::Damage(found) => damage.push(found),
            Event::Unchecked(found) => unchecked.push(found),
            Event::Progress { .. } => {}
            Event::Object(_) | Event::Totals(_) => panic!("nobody asked for a listing: {event:?}"),
        };
        let summary = verify(Target::Stopped(&self.settings), &mut report).await;
        assert!(fs::read(&self.hot).unwrap() == before, "it changed on disk");
        (summary.unwrap(), damage, unchecked)
    }

    /// The same with bytes of the newest file that are others.
    async fn damaged(&self, at: u64, length: usize) -> (Summary, Vec<Damage>, Vec<Unchecked>) {
        let whole = fs::read(&self.open).unwrap();
        let mut bytes = vec![0; length];
        let file = fs::File::options().read(true).write(true).open(&self.open);
        let file = file.unwrap();
        file.read_exact_at(&mut bytes, at).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 0x10);
        file.write_all_at(&bytes, at).unwrap();
        let found = self.verified().await;
        fs::write(&self.open, whole).unwrap();
        found
    }
}

/// The journal's files of the mail shard, the newest last.
fn files(settings: &Settings) -> Vec<LocalSegment> {
    let dir = shard_dir(&settings.data, ShardNo(1)).join("journal");
    local_segments(&RealDisk, &dir).unwrap()
}

fn sealed(settings: &Settings) -> Vec<LocalSegment> {
    let mut files = files(settings);
    files.retain(|file| file.state == FileState::Sealed);
    files
}

/// Whether the journal says that the store has it.
fn is_stored(engine: &Engine, file: &LocalSegment) -> bool {
    let object = ObjectId::segment(file.epoch, file.first);
    let state = engine.shard(ShardNo(1)).unwrap().hot.read().unwrap();
    let row = state.get(TableName::Objects, &key::object(object)).unwrap();
    row.is_some_and(|row| ObjectRow::decode("objects", &row).unwrap().state == ObjectState::Stored)
}

fn uids(damage: &[Damage]) -> Vec<Uid> {
    let victims = damage.iter().flat_map(|found| &found.victims);
    victims
        .inspect(|victim| assert_eq!((&*victim.account, &*victim.mailbox), (ANN, "INBOX")))
        .map(|victim| victim.uid)
        .collect()
}

/// It counted and named what the hot tier holds: of acknowledged mail that was damaged it said that everything else is readable.
#[test]
fn of_a_killed_store_the_last_messages_are_counted_and_named_too() {
    let dir = place::scratch("killed");
    block_on(async {
        let store = Killed::new(settings(dir.path())).await;
        let all = u64::from(KNOWN + TAIL);
        let (summary, damage, unchecked) = store.verified().await;
        assert_eq!((damage, unchecked), (Vec::new(), Vec::new()));
        assert_eq!(summary.messages, all);

        for (number, placed) in (KNOWN + 1..).zip(&store.tail) {
            // In its mail: its head still says whose it is.
            let (summary, damage, unchecked) = store.damaged(placed.end_offset - 3, 1).await;
            assert_eq!(uids(&damage), [number], "{damage:?}");
            assert_eq!((summary.messages, unchecked), (all, Vec::new()));
            // In its head, and all of it: the position is what is known.
            let length = usize::try_from(placed.end_offset - placed.record_offset).unwrap();
            for (at, length) in [(placed.body_offset - 3, 1), (placed.record_offset, length)] {
                let (summary, damage, unchecked) = store.damaged(at, length).await;
                assert_eq!(uids(&damage), Vec::<Uid>::new(), "{damage:?}");
                let position = placed.position.0;
                let range = format!("entry {position} of shard 1 (and all up to entry {position})");
                let told = damage.iter().any(|found| found.what.contains(&range));
                assert!(told, "{range}: {damage:?}");
                assert_eq!(summary.messages, all - 1);
                assert_eq!(summary.unchecked.entries, 1, "{unchecked:?}");
            }
        }
        let engine = Engine::open(store.settings.clone()).await.unwrap();
        let ann = engine
            .account(&AccountName::normalise(ANN).unwrap())
            .unwrap();
        let exists = engine.status(ann.unwrap(), "INBOX").unwrap().exists;
        assert_eq!(exists, KNOWN + TAIL, "as many as were counted");
        engine.close().await;
    });
}

#[test]
fn what_a_kill_left_torn_behind_the_last_promised_entry_is_no_damage() {
    let dir = place::scratch("torn");
    block_on(async {
        let store = Killed::new(settings(dir.path())).await;
        let last = store.tail.last().unwrap();
        let file = fs::File::options().write(true).open(&store.open).unwrap();
        for end in [last.end_offset, last.end_offset - 3, last.record_offset + 3] {
            file.set_len(end).unwrap();
            let (summary, damage, unchecked) = store.verified().await;
            assert_eq!((damage, unchecked), (Vec::new(), Vec::new()), "{end}");
            let is_whole = u64::from(end == last.end_offset);
            assert_eq!(summary.messages, u64::from(KNOWN + TAIL) - 1 + is_whole);
        }
    });
}

/// Of a batch that was never promised, any part may have reached the disk.
#[test]
fn a_batch_that_was_not_promised_counts_to_its_first_torn_record() {
    let dir = place::scratch("last-batch");
    block_on(async {
        let store = Killed::new(settings(dir.path())).await;
        let mut reader = SegmentReader::open(&RealDisk, &store.open).unwrap();
        let header = reader.header().clone();
        let mail = loop {
            let record = reader.next_record().unwrap().unwrap();
            if record.at == store.tail[0] {
                break record;
            }
        };
        // The same mail twice again, as ops of their own.
        let metas = [1, 2].map(|id| {
            let mut meta = mail.meta.to_vec();
            meta[10..26].fill(id);
            meta
        });
        let lineage = Lineage {
            store: header.store,
            shard: header.shard,
            epoch: header.epoch,
        };
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let recovered = recover(disk, &store.open, lineage, header.first, 0);
        let mut open = recovered.unwrap().unwrap().open;
        let parts = metas.each_ref().map(|meta| RecordParts {
            meta,
            body: &mail.body,
        });
        let placed = open.append_batch(&parts, 1_800_000_000_000).unwrap();
        open.sync().unwrap();
        let all = u64::from(KNOWN + TAIL);
        let (summary, damage, unchecked) = store.verified().await;
        assert_eq!((damage, unchecked), (Vec::new(), Vec::new()));
        assert_eq!(summary.messages, all + 2);
        for (placed, whole) in placed.iter().zip([all, all + 1]) {
            let found = store.damaged(placed.end_offset - 3, 1).await;
            let (summary, damage, unchecked) = found;
            assert_eq!((damage, unchecked), (Vec::new(), Vec::new()));
            assert_eq!(summary.messages, whole);
        }
        // Once something is written behind it, it was promised.
        open.idle_mark(1_800_000_000_001).unwrap();
        let found = store.damaged(placed[0].end_offset - 3, 1).await;
        let (summary, damage, unchecked) = found;
        assert_eq!(
            uids(&damage).first(),
            Some(&(KNOWN + TAIL + 1)),
            "{damage:?}"
        );
        assert_eq!((summary.messages, unchecked), (all + 2, Vec::new()));
    });
}

/// A hot tier that is older than the files, or a sealed file with damage: the start reads the store's copy, and so does this.
#[test]
fn what_the_hot_tier_lacks_of_sealed_segments_is_taken_from_the_store_where_the_file_is_not_whole()
{
    let dir = place::scratch("sealed");
    block_on(async {
        let settings = Settings {
            segment_size: 3_000,
            ..settings(dir.path())
        };
        let store = Killed::new(settings).await;
        let all = u64::from(KNOWN + TAIL);
        let (summary, damage, _) = store.verified().await;
        assert_eq!((summary.messages, damage), (all, Vec::new()));
        let sealed = sealed(&store.settings);
        let last = &sealed.last().unwrap().path;
        // The file may share its bytes with the object.
        let mut bytes = fs::read(last).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::remove_file(last).unwrap();
        fs::write(last, bytes).unwrap();
        let (summary, damage, unchecked) = store.verified().await;
        assert_eq!((summary.messages, unchecked), (all, Vec::new()));
        assert_eq!((uids(&damage), damage.len()), (Vec::new(), 1), "{damage:?}");
        for file in &sealed {
            fs::remove_file(&file.path).unwrap();
        }
        let (summary, damage, unchecked) = store.verified().await;
        assert_eq!((damage, unchecked), (Vec::new(), Vec::new()));
        assert_eq!(summary.messages, all);
    });
}
