//! What is worth rewriting: decided here, carried out by the engine, which alone knows messages.

mod choose;

pub use choose::{Candidate, Reason, Rules, choose};
