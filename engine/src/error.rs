//! What can go wrong in the engine, by what the caller should do about it.

use std::fmt;

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

    /// What the caller should do.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

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
