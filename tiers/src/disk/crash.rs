//! What a power cut leaves of a file's unsynced bytes.

use super::faulty::{ByteChange, Inode};

/// The unit in which the kernel writes back.
const PAGE: usize = 4096;

/// SplitMix64: the seed alone decides.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is at least 1.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a length fits 64 bits");
        usize::try_from(self.next() % bound).expect("below a usize")
    }
}

impl ByteChange {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            ByteChange::Length(length) => to.resize(*length, 0),
            ByteChange::Write(at, bytes) => {
                let end = at + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

impl Inode {
    pub(super) fn change(&mut self, change: ByteChange) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    pub(super) fn after_crash(&self, random: &mut Random) -> Inode {
        let left = match random.below(2) {
            0 => self.prefix(random),
            _ => self.pages(random),
        };
        Inode {
            now: left.clone(),
            durable: left,
            unsynced: Vec::new(),
        }
    }

    /// The first few changes, the last of them torn.
    fn prefix(&self, random: &mut Random) -> Vec<u8> {
        let mut left = self.durable.clone();
        let whole = random.below(self.unsynced.len() + 1);
        for change in &self.unsynced[..whole] {
            change.apply(&mut left);
        }
        if let Some(ByteChange::Write(at, bytes)) = self.unsynced.get(whole) {
            let torn = bytes[..random.below(bytes.len() + 1)].to_vec();
            if !torn.is_empty() {
                ByteChange::Write(*at, torn).apply(&mut left);
            }
        }
        left
    }

    /// Each page in a state that it had since the last sync; the length likewise, pages that it uncovers are zeros.
    fn pages(&self, random: &mut Random) -> Vec<u8> {
        let mut states = vec![self.durable.clone()];
        for change in &self.unsynced {
            let mut next = states[states.len() - 1].clone();
            change.apply(&mut next);
            states.push(next);
        }
        let length = states[random.below(states.len())].len();
        let mut left = vec![0; length];
        for (number, page) in left.chunks_mut(PAGE).enumerate() {
            let from = number * PAGE;
            // A page that no unsynced change touched is the same in all states.
            let state = &states[random.below(states.len())];
            let bytes = state
                .get(from..state.len().min(from + PAGE))
                .unwrap_or_default();
            let n = bytes.len().min(page.len());
            page[..n].copy_from_slice(&bytes[..n]);
        }
        left
    }
}
