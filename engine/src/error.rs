//! What can go wrong in the engine, by what the caller should do about it.

use std::sync::Arc;
use std::{fmt, io};

/// Kinds by what a caller does: the server maps each to LMTP, IMAP and HTTP answers in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong and will stay wrong.
    Invalid,
    /// A stated bound was reached; the text names it.
    Limit,
    /// An account, mailbox or message that is not there.
    NotFound,
    /// It exists already, or changed meanwhile.
    Conflict,
    /// Stored bytes are not what was written.
    Corrupt,
    /// Not now: a store, disk or replica is away. Try again.
    Unavailable,
    /// The engine or shard is shut down.
    Closed,
    /// A bug of ours.
    Internal,
}

/// An engine error: kind, what happened in words, and the cause below it.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; `context` says what happened and what to do.
    pub fn new(kind: Kind, context: impl Into<String>) -> Error {
        Error {
            kind,
            context: context.into(),
            source: None,
        }
    }

    /// The same with the cause kept.
    pub fn with_source(
        kind: Kind,
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error {
            kind,
            context: context.into(),
            source: Some(source.into()),
        }
    }

    /// `Unavailable`, as the disk has too little room: below `[hot] min_free` it is not full yet.
    pub(crate) fn no_room(context: impl Into<String>) -> Error {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        Error::with_source(Kind::Unavailable, context, full)
    }

    /// What the caller should do.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether somewhere below it the system said that the disk is full.
    pub fn is_disk_full(&self) -> bool {
        let of_disk = |e: &io::Error| {
            matches!(
                e.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        };
        self.below()
            .any(|e| e.downcast_ref::<io::Error>().is_some_and(of_disk))
    }

    /// Whether bytes of the hot tier are not what was written: what its rows say comes again from the journal.
    pub(crate) fn is_hot_damage(&self) -> bool {
        use coldpost_tiers::hot::{OBJECT, TableName};
        self.below().any(|e| {
            match e
                .downcast_ref::<coldpost_tiers::Error>()
                .map(coldpost_tiers::Error::kind)
            {
                Some(coldpost_tiers::Kind::Corrupt { object, .. }) => {
                    object == OBJECT || TableName::ALL.iter().any(|table| table.name() == object)
                }
                _ => false,
            }
        })
    }

    /// Whether it is certain that nothing of the change is in the journal, or ever will be.
    pub(crate) fn is_not_taken(&self) -> bool {
        self.below().any(|e| e.is::<NotTaken>())
    }

    /// Whether another process has the data directory, perhaps for a moment only.
    pub fn is_in_use(&self) -> bool {
        self.below().any(|e| e.is::<InUse>())
    }

    fn below(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        let first: &(dyn std::error::Error + 'static) = self;
        std::iter::successors(Some(first), |error| error.source())
    }
}

/// An error with its causes, in one line; what was said is not said again.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Below an error: the journal did not take the entry.
#[derive(Clone, Debug)]
pub(crate) struct NotTaken(pub(crate) Arc<Error>);

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NotTaken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// Below an error: another process has the data directory. What it says stands in the error already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InUse;

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another coldpost process")
    }
}

impl std::error::Error for InUse {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as _)
    }
}

impl From<coldpost_tiers::Error> for Error {
    fn from(error: coldpost_tiers::Error) -> Error {
        use coldpost_tiers::Kind as Below;
        let kind = match error.kind() {
            Below::Invalid => Kind::Invalid,
            Below::Limit => Kind::Limit,
            Below::NotFound => Kind::NotFound,
            Below::Conflict => Kind::Conflict,
            Below::Corrupt { .. } => Kind::Corrupt,
            Below::Unavailable => Kind::Unavailable,
            Below::Closed => Kind::Closed,
            Below::Internal => Kind::Internal,
        };
        Error::with_source(kind, error.to_string(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_full_says_each_cause_once() {
        let io = io::Error::other("403 Forbidden");
        let tiers = coldpost_tiers::Error::with_source(
            coldpost_tiers::Kind::Unavailable,
            "delete is refused",
            io,
        );
        let error = Error::with_source(Kind::Unavailable, "gc waits", Error::from(tiers));
        assert_eq!(
            in_full(&error),
            "gc waits: delete is refused: 403 Forbidden"
        );
    }

    #[test]
    fn a_full_disk_is_found_below_other_errors() {
        let below = |kind: io::ErrorKind| {
            let unavailable = Error::with_source(
                Kind::Unavailable,
                "the journal refused",
                io::Error::from(kind),
            );
            let refused = NotTaken(Arc::new(unavailable));
            let error = Error::with_source(Kind::Unavailable, "not stored", refused);
            assert!(error.is_not_taken());
            error.is_disk_full()
        };
        assert!(below(io::ErrorKind::StorageFull) && below(io::ErrorKind::QuotaExceeded));
        assert!(!below(io::ErrorKind::PermissionDenied));
        assert!(!Error::new(Kind::Unavailable, "").is_not_taken());
    }
}
