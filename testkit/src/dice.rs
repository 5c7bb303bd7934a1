//! Seeded random numbers: the same seed gives the same test.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// SplitMix64; enough for choosing what a test does next.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// From `COLDPOST_SEED`, or a fresh one; prints it so that a failure can be repeated.
    pub fn from_env() -> Dice {
        let asked = std::env::var("COLDPOST_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let seed = asked.unwrap_or_else(|| Dice::from_entropy().state);
        println!("seed {seed} (COLDPOST_SEED={seed} repeats it)");
        Dice::new(seed)
    }

    /// From a seed.
    pub fn new(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// Unpredictable.
    pub fn from_entropy() -> Dice {
        Dice {
            state: RandomState::new().build_hasher().finish(),
        }
    }

    /// A generator of its own, for a thread.
    pub fn fork(&mut self) -> Dice {
        Dice { state: self.draw() }
    }

    /// 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number under `bound` (0 when it is 0).
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.draw() % bound }
    }

    /// An index into something of `len` elements.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// One of `things`.
    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.index(things.len())]
    }
}
