//! Changes as values: one op is one deterministic change with everything needed to apply it.

pub mod codec;
pub mod kind;
mod outcome;
pub mod uids;

pub use codec::{EntryError, decode, encode};
pub use kind::{
    AccountStep, Add, Carried, CopyUids, Entry, EpochOp, ExpungeUids, GroupId, How, LEVEL,
    NewMessage, Op, OpId, Placed, SetFlags, Stored, Target,
};
pub use outcome::{Outcome, Refusal, TargetOutcome};

#[cfg(test)]
mod tests;
