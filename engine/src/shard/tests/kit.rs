//! A shard on a disk in memory, changes to give it, and what must be true of it after every start.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use coldpost_testkit::dice::Dice;
use coldpost_tiers::address::{Extent, FrameRef};
use coldpost_tiers::cache::made::MadeCache;
use coldpost_tiers::disk::{Disk, FaultyDisk};
use coldpost_tiers::hot::digest::{Columns, of_rows};
use coldpost_tiers::hot::{CommitKind, HotTier, TableName};
use coldpost_tiers::segment::{Lineage, SegmentReader};

use crate::apply::{Fold, apply, invariants};
use crate::error::{Error, Kind, Result};
use crate::flags::{FlagAction, Flags, SystemFlags};
use crate::ids::{AccountId, Epoch, MailboxId, Position, ShardNo, StoreId};
use crate::journal::embedded::{decode_record, local_segments};
use crate::local::shard_dir;
use crate::op::{
    Add, Carried, CopyUids, ExpungeUids, How, NewMessage, Op, OpId, Outcome, Placed, SetFlags,
    Target,
};
use crate::shard::fetch::Copies;
use crate::shard::{OpenShard, Shard, open};
use crate::text::KeptFrames;
use crate::uidset::UidSet;

pub(super) const ACCOUNT: AccountId = AccountId(7);
const CACHE: usize = 1 << 20;

pub(super) fn lineage() -> Lineage {
    Lineage {
        store: StoreId([9; 16]),
        shard: ShardNo(1),
        epoch: Epoch(1),
    }
}

pub(super) fn dir() -> &'static Path {
    Path::new("shards/0001")
}

/// How it is opened.
pub(super) struct Setup {
    pub(super) journal: Arc<dyn Disk>,
    pub(super) hot: Arc<dyn Disk>,
    pub(super) segment_size: u64,
    pub(super) durable_every: Duration,
}

impl Setup {
    /// All on one disk; small segments, a durable commit now and then.
    pub(super) fn on(disk: &FaultyDisk) -> Setup {
        Setup {
            journal: Arc::new(disk.clone()),
            hot: Arc::new(disk.clone()),
            segment_size: 6_000,
            durable_every: Duration::from_millis(3),
        }
    }
}

pub(super) fn kept_nothing() -> Arc<KeptFrames> {
    Arc::new(KeptFrames(MadeCache::of_text(0)))
}

/// What `setup` means for a shard of the store; there is no bucket.
pub(super) fn open_settings(setup: Setup, shard: ShardNo) -> OpenShard {
    let hot = setup.hot;
    let nothing = |position: Position, _: &Path| {
        let text = format!("entry {} is not in the bucket", position.0);
        Box::new(std::iter::once(Err(Error::new(Kind::NotFound, text)))) as Copies
    };
    OpenShard {
        disk: setup.journal,
        dir: shard_dir(Path::new(""), shard),
        lineage: Lineage { shard, ..lineage() },
        segment_size: setup.segment_size,
        cache: CACHE,
        open_hot: Arc::new(move |path, cache| HotTier::open_on(&*hot, path, cache)),
        durable_every: setup.durable_every,
        fetch: Arc::new(nothing),
        snapshots: None,
        kept_text: kept_nothing(),
        words: false,
        notices: tokio::sync::mpsc::unbounded_channel().0,
    }
}

/// A shard that is stopped when it is dropped.
pub(super) struct Running {
    pub(super) shard: Arc<Shard>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    pub(super) fn open(setup: Setup) -> Result<Running> {
        let opened = open(open_settings(setup, lineage().shard))?;
        Ok(Running {
            shard: opened.shard,
            threads: opened.threads,
        })
    }

    pub(super) fn submit(&self, change: &Change) -> Result<Outcome> {
        submit(&self.shard, change)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shard.shut();
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "a thread of the shard panicked"
            );
        }
        self.shard.hot.replace(None);
    }
}

pub(super) fn submit(shard: &Shard, change: &Change) -> Result<Outcome> {
    futures::executor::block_on(shard.submit(change.id, change.op.clone(), change.body.clone()))
}

/// An op with its id and body, as a retry would send it again.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) id: OpId,
    pub(super) op: Op,
    pub(super) body: Bytes,
}

impl Change {
    pub(super) fn new(dice: &mut Dice, op: Op) -> Change {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&dice.draw().to_le_bytes());
        id[8..].copy_from_slice(&dice.draw().to_le_bytes());
        Change {
            id: OpId(id),
            op,
            body: Bytes::new(),
        }
    }

    pub(super) fn open_account(dice: &mut Dice) -> Change {
        Change::new(
            dice,
            Op::OpenAccount {
                account: ACCOUNT,
                name: "ann@example.org".to_owned(),
            },
        )
    }

    /// A message of `bytes` stored bytes to INBOX.
    pub(super) fn mail(dice: &mut Dice, bytes: usize) -> Change {
        let mut body = vec![0; bytes];
        body.fill_with(|| dice.draw().to_le_bytes()[0]);
        let stored = u32::try_from(bytes).unwrap();
        let message = NewMessage {
            size: 2 * u64::from(stored),
            crc: 1,
            extents: vec![Extent::Frame(FrameRef {
                stored,
                raw: 2 * stored,
                crc: 2,
            })],
            blobs: Vec::new(),
            row: Bytes::from_static(b"row"),
            thread_keys: vec![dice.below(9)],
        };
        let placed = Placed {
            flags: Flags::default(),
            date: (0, 0),
            save_date: 0,
            carried: Carried::default(),
        };
        let target = Target {
            account: ACCOUNT,
            how: How::Name("INBOX".to_owned()),
            placed: vec![placed],
        };
        let add = Add {
            group: None,
            messages: vec![message],
            targets: vec![target],
        };
        Change {
            body: Bytes::from(body),
            ..Change::new(dice, Op::Add(add))
        }
    }

    pub(super) fn random(dice: &mut Dice) -> Change {
        let first = u32::try_from(1 + dice.below(40)).unwrap();
        let uids = UidSet::from_ranges([(first, first + u32::try_from(dice.below(5)).unwrap())]);
        let (account, mailbox) = (ACCOUNT, MailboxId(1));
        let system = SystemFlags(dice.draw().to_le_bytes()[0] & 31);
        let op = match dice.below(12) {
            0..=5 => {
                let bytes = if dice.below(8) == 0 {
                    5_000
                } else {
                    100 + dice.index(900)
                };
                return Change::mail(dice, bytes);
            }
            6 | 7 => Op::Flags(SetFlags {
                account,
                mailbox,
                uids,
                action: FlagAction::Replace,
                flags: Flags {
                    system,
                    keywords: ["later".to_owned()].into(),
                },
                unchanged_since: None,
            }),
            8 => Op::Expunge(ExpungeUids {
                account,
                mailbox,
                uids,
                only_deleted: true,
            }),
            9 => Op::Copy(CopyUids {
                account,
                from: mailbox,
                uids,
                to: mailbox,
                group: None,
            }),
            10 => Op::Purge {
                account,
                entries: uids.iter().map(|uid| (mailbox, uid)).collect(),
            },
            _ => Op::Create {
                account,
                name: format!("m{}", dice.below(6)),
                special_use: 0,
            },
        };
        Change::new(dice, op)
    }
}

/// The rows that the journal on this disk gives from the beginning, up to `last`, and the position it reached.
pub(super) fn replayed(disk: &FaultyDisk, last: Position) -> (HotTier, Fold) {
    let hot = HotTier::open_on(&FaultyDisk::new(), Path::new("hot.redb"), CACHE).unwrap();
    let mut fold = Fold::load(&hot.read().unwrap()).unwrap();
    for file in local_segments(disk, &dir().join("journal")).unwrap() {
        let mut reader = SegmentReader::open(disk, &file.path).unwrap();
        if fold.applied.position == last {
            break;
        }
        let written = hot.write(CommitKind::Volatile, |batch| {
            while fold.applied.position < last {
                let Some(record) = reader.next_record()? else {
                    break;
                };
                let (at, record) =
                    decode_record(reader.header(), record).expect("an entry of ours");
                apply(
                    batch,
                    &mut fold,
                    at,
                    &record.entry,
                    [&record.meta, &record.body],
                )?;
            }
            let whose = crate::shard::open::identity_of(lineage());
            crate::shard::schema::note(batch)?;
            batch.put(TableName::Meta, crate::shard::open::STORE, &whose)?;
            fold.save(batch)
        });
        written.unwrap();
    }
    (hot, fold)
}

/// The position that the hot tier on this disk has, where there is one that opens.
pub(super) fn hot_position(disk: &FaultyDisk) -> Option<Position> {
    // A power cut right after everything was synced changes nothing: this is a disk of our own to look at.
    let hot = HotTier::open_on(&disk.crash(0), &dir().join("hot.redb"), CACHE).ok()?;
    Some(Fold::load(&hot.read().ok()?).ok()?.applied.position)
}

/// After a start: the rows are what the journal gives and agree with one another; what was acknowledged is there, as it was.
pub(super) fn check(
    running: &Running,
    disk: &FaultyDisk,
    acknowledged: &[(Change, Outcome)],
    context: &str,
) {
    let shard = &running.shard;
    assert_eq!(
        shard.applied(),
        shard.durable(),
        "{context}: all of the journal is applied"
    );
    let (hot, fold) = replayed(disk, shard.durable());
    assert_eq!(
        fold.applied.position,
        shard.durable(),
        "{context}: the journal's files hold all of it"
    );
    {
        let state = shard.hot.read().unwrap();
        let digest = |state| of_rows(state, Columns::All).unwrap();
        assert_eq!(
            digest(&state),
            digest(&hot.read().unwrap()),
            "{context}: rows are those of a replay"
        );
        assert_eq!(
            invariants::violations(&state).unwrap(),
            Vec::<String>::new(),
            "{context}"
        );
    }
    for (change, outcome) in acknowledged {
        let again = running
            .submit(change)
            .unwrap_or_else(|e| panic!("{context}: {e}"));
        assert_eq!(
            again,
            Outcome::decode(&outcome.encode_kept()).unwrap(),
            "{context}: {:?}",
            change.op
        );
    }
}
