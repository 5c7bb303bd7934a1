//! Feeds mutated input to everything that reads foreign bytes: protocols, settings, mail, and what lies on disk and in the bucket.
//!
//! A [`Target`] is a plain function from bytes to nothing, with seeds; `run` feeds it a share of seeded input on stable Rust, and the
//! files in `fuzz/libfuzzer` hand it to libFuzzer. See `docs/fuzzing.md`.
//!
//! Promises: the same seed and number give the same input; an input that panics or hangs is written to a file that is named.
//! Never: a switch in the product: what is fed is what is shipped.

mod held;
mod memory;
mod mutate;
mod place;
mod reached;
mod run;
mod seeds;
mod talk;
mod watch;

pub mod config;
pub mod framing;
pub mod imap;
pub mod lmtp;
pub mod mail;
pub mod object;
pub mod passwd;
pub mod query;
pub mod rows;
pub mod segment;
pub mod text;
pub mod text_run;

pub use memory::resident_bytes;
pub use mutate::{INPUT_MAX, Mutator};
pub use run::{Order, Report, run};

/// Something that reads foreign bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Names files and output.
    pub name: &'static str,
    /// What is mutated.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that the reader knows, for putting in anywhere.
    pub words: &'static [&'static [u8]],
    /// Stands before three of four inputs, so that what wants a state finds it.
    pub opening: &'static [u8],
    /// Reads an input, panics where a promise is broken; gives the bytes that the reader took.
    pub feed: fn(&[u8]) -> usize,
    /// Inputs after which the target makes its state anew, beginning with the first; 1: it has none.
    pub group: u64,
}

/// All targets.
pub const TARGETS: [Target; 12] = [
    imap::TARGET,
    lmtp::TARGET,
    mail::TARGET,
    framing::TARGET,
    query::TARGET,
    config::TARGET,
    passwd::TARGET,
    segment::TARGET,
    rows::TARGET,
    object::TARGET,
    text::TARGET,
    text_run::TARGET,
];
