//! Changes as values: one op is one deterministic change with everything needed to apply it.

pub mod codec;
pub mod kind;
mod objects;
mod outcome;
pub mod uids;

pub use codec::{EntryError, decode, encode};
pub use kind::{
    AccountStep, Add, Carried, CopyUids, Entry, EpochOp, ExpungeUids, GroupId, How, Intent, LEVEL,
    MovedBlob, MovedMessage, NewBlob, NewMessage, Op, OpId, Placed, RangeTaken, Relocate, SetFlags,
    SnapshotTaken, Stored, Target,
};
pub use outcome::{Outcome, Refusal, TargetOutcome};

#[cfg(test)]
mod tests;
