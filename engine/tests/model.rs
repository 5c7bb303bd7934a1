//! Apply on real rows against a mailbox said in maps: random ops, in random transactions, replayed in other ones.
#![expect(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

#[path = "model/holes.rs"]
mod holes;
#[path = "model/mailboxes.rs"]
mod mailboxes;
#[path = "model/rows.rs"]
mod rows;
#[path = "model/snapshots.rs"]
mod snapshots;
#[path = "model/steps.rs"]
mod steps;

use coldpost_engine::apply::{APPLIED, At, Fold, apply, invariants};
use coldpost_engine::ids::{AccountId, Epoch, MailboxId, Position, ShardNo};
use coldpost_engine::limits::WINDOW;
use coldpost_engine::op::{self, Entry, Op, OpId, Outcome};
use coldpost_tiers::hot::digest::{Columns, of_rows};
use coldpost_tiers::hot::row::{Applied, MailboxRow, Row};
use coldpost_tiers::hot::{CommitKind, HotTier, TableName, key};
use proptest::prelude::*;
use tempfile::TempDir;

use mailboxes::Model;
use steps::{Kind, Step, steps};

/// An entry where it stands, with its meta and body.
type Written = (At, Entry, Vec<u8>, Vec<u8>);

/// A hot tier in a directory of its own.
struct Rows {
    hot: HotTier,
    fold: Fold,
    _dir: TempDir,
}

impl Rows {
    fn new() -> Rows {
        let dir = tempfile::tempdir().unwrap();
        let hot = HotTier::open(&dir.path().join("hot.redb"), 1 << 20).unwrap();
        let fold = Fold::load(&hot.read().unwrap()).unwrap();
        Rows {
            hot,
            fold,
            _dir: dir,
        }
    }

    /// One transaction; the outcomes.
    fn apply(&mut self, entries: &[Written]) -> Vec<Outcome> {
        let fold = &mut self.fold;
        let written = self.hot.write(CommitKind::Volatile, |batch| {
            let mut outcomes = Vec::new();
            for (at, entry, meta, body) in entries {
                outcomes.push(apply(batch, fold, *at, entry, [meta, body])?.outcome);
            }
            fold.save(batch)?;
            Ok(outcomes)
        });
        written.unwrap()
    }

    fn digest(&self) -> [u8; 32] {
        of_rows(&self.hot.read().unwrap(), Columns::All).unwrap()
    }
}

/// The one who makes entries and gives them places.
struct Maker {
    model: Model,
    epoch: Epoch,
    clock: u64,
    written: Vec<Written>,
    /// What the model said to each; `None` for an op that was applied before.
    expected: Vec<Option<Outcome>>,
}

fn without_text(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Refused { why, .. } => Outcome::refused(why, ""),
        other => other,
    }
}

impl Maker {
    fn new() -> Maker {
        let clock = 1_700_000_000_000;
        let mut maker = Maker {
            model: Model::default(),
            epoch: Epoch(1),
            clock,
            written: Vec::new(),
            expected: Vec::new(),
        };
        for account in [1, 2].map(AccountId) {
            maker.write(
                Op::OpenAccount {
                    account,
                    name: format!("u{}@example.org", account.0),
                },
                Vec::new(),
            );
        }
        maker
    }

    fn next(&self) -> Position {
        Position(u64::try_from(self.written.len()).unwrap() + 1)
    }

    fn at(&self, body: usize) -> At {
        let position = self.next();
        At {
            shard: ShardNo(1),
            epoch: self.epoch,
            position,
            segment_first: Position(position.0 / 10 * 10 + 1),
            body_offset: position.0 * 1000,
            end_offset: position.0 * 1000 + u64::try_from(body).unwrap(),
            chain: u32::try_from(position.0).unwrap() * 7,
        }
    }

    fn write(&mut self, op: Op, body: Vec<u8>) {
        let position = self.next();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&position.0.to_le_bytes());
        let known = (self.epoch, Position(position.0 - 1));
        self.place(
            Entry {
                time_ms: self.clock,
                id: OpId(id),
                known,
                op,
            },
            body,
        );
    }

    fn place(&mut self, entry: Entry, body: Vec<u8>) {
        let at = self.at(body.len());
        self.expected.push(Some(self.model.apply(at, &entry)));
        let meta = op::encode(&entry);
        self.written.push((at, entry, meta, body));
    }

    /// The entry at `pick` once more, as a retry sends it.
    fn again(&mut self, pick: u8) {
        let (_, entry, meta, body) = self.written[usize::from(pick) % self.written.len()].clone();
        let at = self.at(body.len());
        self.model.time_ms = self.model.time_ms.max(entry.time_ms);
        self.written.push((at, entry, meta, body));
        self.expected.push(None);
    }

    fn step(&mut self, step: &Step) {
        self.clock = self.clock.saturating_add_signed(i64::from(step.time));
        if step.kind == Kind::Again {
            return self.again(step.picks[0]);
        }
        if step.kind == Kind::Epoch {
            self.epoch = Epoch(self.epoch.0 + 1);
        }
        let (op, body) = step.op(&self.model, self.next(), self.epoch);
        self.write(op, body);
    }

    /// The model's keywords of entries whose mailbox is gone cannot be read from rows any more.
    fn readable(&self) -> Model {
        let mut model = self.model.clone();
        for account in model.accounts.values_mut() {
            for ((mailbox, _), gone) in &mut account.expunged {
                if !account.mailboxes.contains_key(mailbox) {
                    gone.0.keywords.clear();
                }
            }
        }
        model
    }
}

fn cases() -> u32 {
    if coldpost_testkit::tool::long() {
        5_000
    } else {
        96
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn apply_gives_what_a_mailbox_said_in_maps_gives(steps in steps(80), batch in 1_usize..9, cut in any::<prop::sample::Index>()) {
        let (mut maker, mut rows) = (Maker::new(), Rows::new());
        let mut done = 0;
        for (n, step) in steps.iter().enumerate() {
            maker.step(step);
            if n % batch != 0 && n + 1 < steps.len() {
                continue;
            }
            let outcomes = rows.apply(&maker.written[done..]);
            for (n, outcome) in (done..).zip(outcomes) {
                if let Some(expected) = &maker.expected[n] {
                    prop_assert_eq!(&without_text(outcome), expected, "entry {} {:?}", n + 1, &maker.written[n].1.op);
                }
            }
            done = maker.written.len();
            let state = rows.hot.read().unwrap();
            prop_assert_eq!(rows::read(&state, rows.fold.applied.time_ms), maker.readable());
            prop_assert_eq!(invariants::violations(&state).unwrap(), Vec::<String>::new());
            holes::assert_agree(&state, &maker.model, false);
        }

        // Whatever the transactions were, and wherever a process died between two of them.
        let digest = rows.digest();
        let mut whole = Rows::new();
        whole.apply(&maker.written);
        prop_assert_eq!(whole.digest(), digest);
        let cut = cut.index(maker.written.len());
        let mut twice = Rows::new();
        twice.apply(&maker.written[..cut]);
        twice.fold = Fold::load(&twice.hot.read().unwrap()).unwrap();
        for entries in maker.written[cut..].chunks(3) {
            twice.apply(entries);
        }
        prop_assert_eq!(twice.digest(), digest);
    }

    #[test]
    fn holes_that_an_older_binary_did_not_note_are_found_with_the_next(steps in steps(80), cut in any::<prop::sample::Index>()) {
        let (mut maker, mut rows) = (Maker::new(), Rows::new());
        let cut = cut.index(steps.len());
        let mut done = 0;
        for (n, step) in steps.iter().enumerate() {
            maker.step(step);
            rows.apply(&maker.written[done..]);
            done = maker.written.len();
            // It worked on the store for these steps.
            if (cut / 2..cut).contains(&n) {
                holes::forget(&rows.hot);
            }
            let state = rows.hot.read().unwrap();
            holes::assert_agree(&state, &maker.model, true);
            prop_assert_eq!(invariants::violations(&state).unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn damaged_holes_stop_no_op_and_show_no_wrong_uid(steps in steps(60), first in 0_u8..4) {
        let (mut maker, mut rows) = (Maker::new(), Rows::new());
        let mut done = 0;
        for step in &steps {
            maker.step(step);
            rows.apply(&maker.written[done..]);
            done = maker.written.len();
            holes::damage(&rows.hot, first);
            let state = rows.hot.read().unwrap();
            prop_assert_eq!(rows::read(&state, rows.fold.applied.time_ms), maker.readable());
            prop_assert_eq!(invariants::violations(&state).unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_repeated_op_changes_nothing_and_gives_its_first_outcome(steps in steps(40), pick in any::<u8>()) {
        let (mut maker, mut rows) = (Maker::new(), Rows::new());
        for step in steps.iter().filter(|s| s.kind != Kind::Again) {
            maker.step(step);
        }
        let first = rows.apply(&maker.written);
        let before = rows::all(&rows.hot.read().unwrap());
        maker.again(pick);
        let last = maker.written.len() - 1;
        let outcome = rows.apply(&maker.written[last..]);
        let kept = first[usize::from(pick) % last].encode_kept();
        prop_assert_eq!(&outcome[0], &Outcome::decode(&kept).unwrap());
        prop_assert!(rows::all(&rows.hot.read().unwrap()) == before, "rows changed");
        prop_assert_eq!(rows.fold.applied.position, maker.written[last].0.position);
    }
}

fn add_to_inbox(maker: &mut Maker, picks: [u8; 8]) {
    let step = Step {
        kind: Kind::Add,
        picks,
        time: 1000,
    };
    maker.step(&step);
}

#[test]
fn an_op_from_before_the_window_is_too_old_and_one_inside_is_not() {
    let mut maker = Maker::new();
    let mut rows = Rows::new();
    rows.apply(&maker.written);
    let far = WINDOW + 50;
    rows.fold.applied = Applied {
        position: Position(far),
        ..rows.fold.applied.clone()
    };
    rows.hot
        .write(CommitKind::Volatile, |batch| {
            batch.put(TableName::Meta, APPLIED, &rows.fold.applied.encode())
        })
        .unwrap();
    rows.fold = Fold::load(&rows.hot.read().unwrap()).unwrap();
    add_to_inbox(&mut maker, [21, 0, 3, 1, 1, 0, 0, 0]);
    let (at, entry, meta, body) = maker.written.last().unwrap().clone();
    let mut give = |known: u64, position: u64, id: u8| {
        let at = At {
            position: Position(position),
            ..at
        };
        let entry = Entry {
            known: (Epoch(1), Position(known)),
            id: OpId([id; 16]),
            ..entry.clone()
        };
        let before = rows::all(&rows.hot.read().unwrap());
        let outcome = rows
            .apply(&[(at, entry, meta.clone(), body.clone())])
            .remove(0);
        let mut after = rows::all(&rows.hot.read().unwrap());
        after.retain(|row| row.0 != TableName::Outcomes);
        let unchanged = after.len()
            == before
                .iter()
                .filter(|row| row.0 != TableName::Outcomes)
                .count();
        (outcome, unchanged)
    };
    assert_eq!(give(50, far + 1, 1), (Outcome::TooOld, true));
    let (outcome, unchanged) = give(52, far + 2, 2);
    assert!(
        matches!(outcome, Outcome::Added(_)) && !unchanged,
        "{outcome:?}"
    );
    // What was too old stays too old, and the outcomes of the first positions have left the window.
    assert_eq!(give(far, far + 3, 1), (Outcome::TooOld, true));
}

/// It stayed for ever when the entry that should have pushed it out was one that had been applied before.
#[test]
fn an_outcome_leaves_the_window_whatever_entry_comes_then() {
    let (maker, mut rows) = (Maker::new(), Rows::new());
    rows.apply(&maker.written);
    let mut again = |number: usize, position: u64| {
        rows.fold.applied.position = Position(position - 1);
        let (at, mut entry, meta, body) = maker.written[number].clone();
        entry.known = (Epoch(1), Position(position - 1));
        let at = At {
            position: Position(position),
            ..at
        };
        let outcome = rows.apply(&[(at, entry, meta, body)]).remove(0);
        let state = rows.hot.read().unwrap();
        // What a start reads knows no more.
        rows.fold.window = Fold::load(&state).unwrap().window;
        // Applied anew it would be refused: the account is there.
        !matches!(outcome, Outcome::Refused { .. })
    };
    assert!(again(0, WINDOW) && again(1, WINDOW) && again(0, WINDOW + 1));
    assert!(again(1, WINDOW + 2), "the last time");
    assert!(!again(0, WINDOW + 2) && !again(1, WINDOW + 3));
}

/// Kept for a while longer than they count, until all of a row has left.
#[test]
fn rows_of_outcomes_go_when_all_in_them_has_left_the_window() {
    let (mut maker, mut rows) = (Maker::new(), Rows::new());
    for pick in 0..250 {
        add_to_inbox(&mut maker, [21, 0, pick, 1, pick, 0, 0, 0]);
    }
    rows.apply(&maker.written);
    let kept = |rows: &Rows| {
        let state = rows.hot.read().unwrap();
        let all = state.scan(TableName::Outcomes, &[], &[]).unwrap();
        all.map(|row| key::position_of(&row.unwrap().0).0)
            .collect::<Vec<_>>()
    };
    let before = kept(&rows);
    assert!(before.len() > 1 && before[0] == 1, "{before:?}");
    let (at, entry, meta, body) = maker.written[251].clone();
    for (last_left, rows_left) in [
        (before[1] - 2, before.len()),
        (before[1] - 1, before.len() - 1),
    ] {
        let position = last_left + WINDOW;
        rows.fold.applied.position = Position(position - 1);
        let at = At {
            position: Position(position),
            ..at
        };
        rows.apply(&[(at, entry.clone(), meta.clone(), body.clone())]);
        assert_eq!(kept(&rows), before[before.len() - rows_left..]);
    }
}

#[test]
fn an_entry_of_a_history_that_was_cut_off_is_too_old() {
    let mut maker = Maker::new();
    maker.step(&Step {
        kind: Kind::Epoch,
        picks: [0; 8],
        time: 0,
    });
    let mut rows = Rows::new();
    rows.apply(&maker.written);
    add_to_inbox(&mut maker, [21, 0, 3, 1, 1, 0, 0, 0]);
    let (at, mut entry, meta, body) = maker.written.last().unwrap().clone();
    entry.known = (Epoch(1), Position(3));
    assert_eq!(rows.apply(&[(at, entry, meta, body)]), [Outcome::TooOld]);
}

#[test]
fn an_epoch_that_raises_past_two_to_the_31_gives_a_new_uidvalidity_and_uids_from_1() {
    let (mut maker, mut rows) = (Maker::new(), Rows::new());
    let high = (1 << 31) - (1 << 20) - 2;
    rows.apply(&maker.written);
    let inbox = key::mailbox(AccountId(2), 1);
    let raised = rows.hot.write(CommitKind::Volatile, |batch| {
        let value = batch.get(TableName::Mailboxes, &inbox)?.unwrap();
        let row = MailboxRow {
            uid_next: high,
            ..MailboxRow::decode("mailboxes", &value)?
        };
        batch.put(TableName::Mailboxes, &inbox, &row.encode())
    });
    raised.unwrap();
    maker
        .model
        .accounts
        .get_mut(&2)
        .unwrap()
        .mailboxes
        .get_mut(&1)
        .unwrap()
        .uid_next = high;
    let done = maker.written.len();
    for pick in 0..60 {
        add_to_inbox(&mut maker, [21, 9, pick, 1, pick, 0, 0, 0]);
    }
    maker.step(&Step {
        kind: Kind::Expunge,
        picks: [21, 0, 0, 0b101_0001, 200, 0, 0, 0],
        time: 0,
    });
    maker.step(&Step {
        kind: Kind::Epoch,
        picks: [0; 8],
        time: 0,
    });
    add_to_inbox(&mut maker, [21, 9, 1, 1, 1, 0, 0, 0]);
    rows.apply(&maker.written[done..]);
    let state = rows.hot.read().unwrap();
    assert_eq!(
        rows::read(&state, rows.fold.applied.time_ms),
        maker.readable()
    );
    assert_eq!(
        invariants::violations(&state).unwrap(),
        Vec::<String>::new()
    );
    let inbox = &maker.model.accounts[&2].mailboxes[&MailboxId(1).0];
    assert!(
        inbox.held.len() > 30 && inbox.held.keys().copied().eq(1..inbox.uid_next),
        "{:?}",
        inbox.held.keys()
    );
}
