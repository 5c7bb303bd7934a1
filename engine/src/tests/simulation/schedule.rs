//! A schedule: steps drawn from a seed without looking; what they do to what there is, the world decides.

use coldpost_testkit::dice::Dice;

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Deliver,
    Copy,
    Move,
    Expunge,
    /// What was expunged, and what deleted accounts had, goes for good.
    Purge,
    DeleteAccount,
    /// The open segment ends.
    Seal,
    Ship,
    Evict,
    Compact,
    /// Garbage.
    Collect,
    Snapshot,
    /// The hot tier's rows reach the disk.
    Commit,
    Kill,
    /// Only the bucket is left.
    LoseDisk,
    /// The next requests to the store fail.
    Trouble,
    Time,
}

/// A step, with numbers that whoever takes it reads as he likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) kind: Kind,
    pub(super) picks: [u8; 4],
}

/// Kinds and how often they come, about.
const WEIGHTS: [(Kind, u64); 17] = [
    (Kind::Deliver, 10),
    (Kind::Copy, 2),
    (Kind::Move, 2),
    (Kind::Expunge, 6),
    (Kind::Purge, 4),
    (Kind::DeleteAccount, 1),
    (Kind::Seal, 5),
    (Kind::Ship, 7),
    (Kind::Evict, 3),
    (Kind::Compact, 12),
    (Kind::Collect, 8),
    (Kind::Snapshot, 5),
    (Kind::Commit, 2),
    (Kind::Kill, 2),
    (Kind::LoseDisk, 2),
    (Kind::Trouble, 3),
    (Kind::Time, 4),
];

/// Upkeep alone, close together: each runner meets the others half done.
const UPKEEP: [(Kind, u64); 6] = [
    (Kind::Deliver, 4),
    (Kind::Seal, 2),
    (Kind::Ship, 2),
    (Kind::Compact, 8),
    (Kind::Collect, 5),
    // The first one moves the horizon from 0 to where they are.
    (Kind::Snapshot, 1),
];

/// Days pass, and disks are lost.
const DAYS: [(Kind, u64); 8] = [
    (Kind::Deliver, 4),
    (Kind::Expunge, 1),
    (Kind::Seal, 2),
    (Kind::Ship, 6),
    (Kind::Compact, 6),
    (Kind::Collect, 8),
    (Kind::Time, 4),
    (Kind::LoseDisk, 1),
];

/// The steps of a seed. Each seed has its own mixture: rare meetings are frequent in some of them.
pub(super) fn steps(seed: u64, many: usize) -> Vec<Step> {
    let mut dice = Dice::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(7));
    let weights: Vec<(Kind, u64)> = match seed % 4 {
        0 => UPKEEP.to_vec(),
        1 => DAYS.to_vec(),
        _ => {
            let mut often = |kind| match kind {
                Kind::Deliver => 1,
                _ => [0, 1, 1, 1, 3, 6][dice.index(6)],
            };
            let mixed = WEIGHTS.map(|(kind, weight)| (kind, weight * often(kind)));
            mixed.to_vec()
        }
    };
    let sum: u64 = weights.iter().map(|(_, weight)| weight).sum();
    let mut step = |n: usize| {
        let mut at = dice.below(sum);
        let drawn = weights.iter().find(|(_, weight)| {
            let is_it = at < *weight;
            at = at.saturating_sub(*weight);
            is_it
        });
        let kind = match drawn {
            // Something to work on first.
            _ if n < 3 => Kind::Deliver,
            Some((kind, _)) => *kind,
            None => Kind::Deliver,
        };
        let [a, b, c, d, ..] = dice.draw().to_le_bytes();
        Step {
            kind,
            picks: [a, b, c, d],
        }
    };
    (0..many).map(&mut step).collect()
}
