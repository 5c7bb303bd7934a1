//! System flags as bits and keywords as a bounded set.

use std::collections::BTreeSet;

/// System flags of RFC 3501, 2.3.2 as bits. \Recent is no flag here: it lives in the node's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SystemFlags(pub u8);

impl SystemFlags {
    /// \Seen
    pub const SEEN: SystemFlags = SystemFlags(1);
    /// \Answered
    pub const ANSWERED: SystemFlags = SystemFlags(2);
    /// \Flagged
    pub const FLAGGED: SystemFlags = SystemFlags(4);
    /// \Deleted
    pub const DELETED: SystemFlags = SystemFlags(8);
    /// \Draft
    pub const DRAFT: SystemFlags = SystemFlags(16);

    /// Whether all bits of `other` are set.
    pub fn contains(self, other: SystemFlags) -> bool {
        self.0 & other.0 == other.0
    }
    /// Both sets together.
    #[must_use]
    pub fn union(self, other: SystemFlags) -> SystemFlags {
        SystemFlags(self.0 | other.0)
    }
    /// This set without `other`.
    #[must_use]
    pub fn without(self, other: SystemFlags) -> SystemFlags {
        SystemFlags(self.0 & !other.0)
    }
}

/// Flags as a client names them. Keywords keep their first spelling per mailbox and compare without ASCII case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The system flags.
    pub system: SystemFlags,
    /// Keywords (RFC 3501 flag-keyword atoms), without duplicates.
    pub keywords: BTreeSet<String>,
}

/// What STORE does with the flags it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagAction {
    /// FLAGS
    Replace,
    /// +FLAGS
    Add,
    /// -FLAGS
    Remove,
}
