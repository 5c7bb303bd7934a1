//! What can go wrong below the engine, by what the caller should do about it.

use std::fmt;

/// Kinds by what a caller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong and will stay wrong.
    Invalid,
    /// A stated bound was reached.
    Limit,
    /// It is not there.
    NotFound,
    /// It exists already with other bytes.
    Conflict,
    /// Stored bytes are not what was written: in which object, from which byte on.
    Corrupt {
        /// Object key or file path.
        object: String,
        /// Byte offset in it.
        offset: u64,
    },
    /// Not now: try again.
    Unavailable,
    /// Shut down.
    Closed,
    /// A bug of ours.
    Internal,
}

/// An error of tiers: kind, what happened in words, and the cause below it.
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

    /// Bytes that are not what was written.
    pub fn corrupt(object: impl Into<String>, offset: u64, context: impl Into<String>) -> Error {
        Error::new(
            Kind::Corrupt {
                object: object.into(),
                offset,
            },
            context,
        )
    }

    /// What the caller should do.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as _)
    }
}
