//! Bugs planted on order where the code decides, so that a test can show that it would find them. In no product build.

use std::cell::Cell;

/// A bug that the simulation of engine must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Apply moves a message or blob wherever it stands by now.
    RelocatesFromAnywhere,
    /// Apply condemns without looking again whether something refers to the object.
    CondemnsUnseen,
    /// Compaction says that packs and blobs are stored, relocates, and uploads them afterwards.
    UploadsLate,
    /// Local files go before the bucket has them.
    EvictsUnconfirmed,
    /// What died goes when `grace` has passed since, whatever snapshots there are.
    GraceByClock,
    /// A content that is there already is written as it stood in the first message that had it.
    CutOfAnother,
    /// An account that is deleted frees the blobs of its messages twice.
    FreesTwice,
    /// Compaction names its objects without an `intent`.
    ForgetsIntent,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 8] = [
        Bug::RelocatesFromAnywhere,
        Bug::CondemnsUnseen,
        Bug::UploadsLate,
        Bug::EvictsUnconfirmed,
        Bug::GraceByClock,
        Bug::CutOfAnother,
        Bug::FreesTwice,
        Bug::ForgetsIntent,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in this thread, or none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this thread has the bug.
pub fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
