//! A snapshot and the entries behind it; and how long its objects live.

use coldpost_engine::ids::StoreId;
use coldpost_engine::op::{Intent, RangeTaken, Refusal, SnapshotTaken};
use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{Counted, ObjectRow, ObjectState};
use coldpost_tiers::segment::Lineage;
use coldpost_tiers::snapshot::{Loader, Manifest, Moment, pack};

use super::*;

/// The rows as they come back from a snapshot.
fn through_a_snapshot(rows: &Rows) -> Rows {
    let applied = &rows.fold.applied;
    let moment = Moment {
        lineage: Lineage {
            store: StoreId([1; 16]),
            shard: ShardNo(1),
            epoch: Epoch(applied.epoch),
        },
        position: applied.position,
        chain: applied.chain,
        hash: applied.hash,
        time_ms: applied.time_ms,
    };
    let mut ranges = Vec::new();
    let state = rows.hot.read().unwrap();
    let manifest: Manifest = pack(&state, &moment, &mut |_, bytes| {
        ranges.push(bytes.to_vec());
        Ok(())
    })
    .unwrap();
    let mut loaded = Rows::new();
    let mut loader = Loader::new(&loaded.hot, &manifest).unwrap();
    for range in &ranges {
        loader.take(range).unwrap();
    }
    loader.finish().unwrap();
    loaded.fold = Fold::load(&loaded.hot.read().unwrap()).unwrap();
    loaded
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases() / 2, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_and_the_entries_behind_it_give_what_all_entries_give(steps in steps(60), cut in any::<prop::sample::Index>(), batch in 1_usize..9) {
        let mut maker = Maker::new();
        for step in &steps {
            maker.step(step);
        }
        let mut whole = Rows::new();
        whole.apply(&maker.written);
        let cut = cut.index(maker.written.len());
        let mut before = Rows::new();
        before.apply(&maker.written[..cut]);
        let mut after = through_a_snapshot(&before);
        prop_assert!(rows::all(&after.hot.read().unwrap()) == rows::all(&before.hot.read().unwrap()));
        for entries in maker.written[cut..].chunks(batch) {
            after.apply(entries);
        }
        prop_assert_eq!(after.digest(), whole.digest());
        prop_assert_eq!(&after.fold.applied, &whole.fold.applied);
        let state = after.hot.read().unwrap();
        prop_assert_eq!(invariants::violations(&state).unwrap(), Vec::<String>::new());
        holes::assert_agree(&state, &maker.model, false);
    }
}

/// A shard to which ops about objects are given.
struct Given {
    maker: Maker,
    rows: Rows,
}

impl Given {
    fn new() -> Given {
        let (maker, mut rows) = (Maker::new(), Rows::new());
        rows.apply(&maker.written);
        Given { maker, rows }
    }

    fn op(&mut self, op: Op) -> Outcome {
        let at = self.maker.at(0);
        let mut id = [0xEE; 16];
        id[..8].copy_from_slice(&at.position.0.to_le_bytes());
        let entry = Entry {
            time_ms: self.maker.clock,
            id: OpId(id),
            known: (self.maker.epoch, Position(at.position.0 - 1)),
            op,
        };
        let meta = op::encode(&entry);
        self.maker.written.push((at, entry, meta, Vec::new()));
        let last = self.maker.written.len() - 1;
        let outcome = self.rows.apply(&self.maker.written[last..]).remove(0);
        let state = self.rows.hot.read().unwrap();
        assert_eq!(
            invariants::violations(&state).unwrap(),
            Vec::<String>::new()
        );
        outcome
    }

    fn object(&self, object: ObjectId) -> Option<ObjectRow> {
        let state = self.rows.hot.read().unwrap();
        let value = state.get(TableName::Objects, &key::object(object));
        let value = value.unwrap()?;
        Some(ObjectRow::decode("objects", &value).unwrap())
    }

    /// Announces and confirms one whose ranges have these names.
    fn snapshot(&mut self, names: &[u8]) -> SnapshotTaken {
        let position = self.rows.fold.applied.position;
        let ranges = names.iter().map(|n| RangeTaken {
            id: [*n; 16],
            bytes: 100,
            digest: [*n; 32],
        });
        let taken = SnapshotTaken {
            manifest: ObjectId::numbered(ObjectKind::Snapshot, Epoch(1), position.0),
            bytes: 10,
            digest: [9; 32],
            position,
            ranges: ranges.collect(),
        };
        let mut given: Vec<_> = taken.ranges.iter().map(RangeTaken::object).collect();
        given.push(taken.manifest);
        let intent = Intent {
            numbered: Vec::new(),
            given,
        };
        self.op(Op::Intent(intent));
        taken
    }
}

fn is_refused(outcome: &Outcome, wanted: Refusal) -> bool {
    matches!(outcome, Outcome::Refused { why, .. } if *why == wanted)
}

#[test]
fn a_snapshot_pins_itself_and_its_ranges_until_it_is_gone() {
    let mut given = Given::new();
    let first = given.snapshot(&[1, 2]);
    let done = Outcome::Done { modseq: 0 };
    assert_eq!(given.op(Op::Snapshot(first.clone())), done);
    let manifest = given.object(first.manifest).unwrap();
    assert_eq!(
        (manifest.state, manifest.count, manifest.last),
        (ObjectState::Stored, Counted::Live(0), first.position)
    );
    let range = first.ranges[0].object();
    let row = given.object(range).unwrap();
    assert_eq!(
        (row.state, row.count),
        (ObjectState::Stored, Counted::Live(1))
    );
    assert!(is_refused(
        &given.op(Op::Snapshot(first.clone())),
        Refusal::Exists
    ));
    for needed in [range, first.manifest] {
        assert!(is_refused(&given.op(Op::Condemn(needed)), Refusal::Invalid));
    }
    let second = given.snapshot(&[3]);
    assert_eq!(given.op(Op::Snapshot(second.clone())), done);
    assert_eq!(given.op(Op::Condemn(first.manifest)), done);
    assert!(is_refused(&given.op(Op::Condemn(range)), Refusal::Invalid));
    let gone = |object| Op::Gone {
        object,
        blobs: Vec::new(),
    };
    assert_eq!(given.op(gone(first.manifest)), done);
    assert_eq!(given.object(first.manifest), None);
    for range in first.ranges.iter().map(RangeTaken::object) {
        assert!(matches!(
            given.object(range).unwrap().count,
            Counted::DeadSince(_)
        ));
        assert_eq!(given.op(Op::Condemn(range)), done);
        assert_eq!(given.op(gone(range)), done);
        assert_eq!(given.object(range), None);
    }
    let kept = given.object(second.ranges[0].object()).unwrap();
    assert_eq!(kept.count, Counted::Live(1));
}

#[test]
fn a_snapshot_with_something_that_was_given_up_is_refused_as_a_whole() {
    let mut given = Given::new();
    let first = given.snapshot(&[1]);
    given.op(Op::Snapshot(first));
    let second = given.snapshot(&[2, 3]);
    let left = given.snapshot(&[4]);
    assert_eq!(given.op(Op::Snapshot(left)), Outcome::Done { modseq: 0 });
    assert_eq!(
        given.op(Op::Condemn(second.ranges[1].object())),
        Outcome::Done { modseq: 0 }
    );
    assert!(is_refused(
        &given.op(Op::Snapshot(second.clone())),
        Refusal::Invalid
    ));
    let row = given.object(second.ranges[0].object()).unwrap();
    assert_eq!(row.state, ObjectState::Local, "nothing of it was taken");
    let mut twice = given.snapshot(&[5]);
    twice.ranges.push(twice.ranges[0]);
    assert!(is_refused(&given.op(Op::Snapshot(twice)), Refusal::Invalid));
    let mut wrong = given.snapshot(&[6]);
    wrong.position = Position(wrong.position.0 + 1);
    assert!(is_refused(&given.op(Op::Snapshot(wrong)), Refusal::Invalid));
}
