//! What a store must be able to do, one attempt at a time: the seam between patience above and S3, directories and faults below.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use futures::stream::BoxStream;

use super::question::{Answer, Question};
use crate::address::StoreId;

/// Why an attempt failed, by what to do about it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no such object.
    Missing,
    /// There is one already.
    Exists,
    /// The store refuses: asking again changes nothing until somebody changes permissions or settings.
    Refused(Cause),
    /// It has fewer bytes of that object than it was asked for; who asks again may get them.
    Short(Cause),
    /// Not now.
    Away(Cause),
}

/// What lies below a failure.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The bytes of an answer.
pub(crate) struct Body {
    /// Bytes of the whole object, whatever was asked of it.
    pub(crate) object_bytes: u64,
    /// Bytes that this answer has when it does not break off.
    pub(crate) answer_bytes: u64,
    /// What was asked for, piece by piece.
    pub(crate) pieces: BoxStream<'static, Result<Bytes, Failure>>,
}

/// An object as a listing shows it.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Below the prefix.
    pub(crate) name: String,
    /// Bytes.
    pub(crate) size: u64,
    /// When it was written, by the store's clock: seconds since 1970.
    pub(crate) modified: i64,
}

/// What one request for a listing gives.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// In the order of their names.
    pub(crate) objects: Vec<Shown>,
    /// Leads to the next page; none behind the last.
    pub(crate) next: Option<String>,
}

/// Whether a file became an object without passing through memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    /// Durably, by another name of the same file.
    Done,
    /// Durably, by a copy that was made in pieces.
    Copied,
    /// The file is not what its digest says: nothing was made.
    Damaged,
    /// This store cannot, or not with this file: write the bytes.
    Impossible,
}

/// One store. Names are relative to its prefix.
pub(crate) trait Backend: Send + Sync + fmt::Debug {
    /// Makes the place for the first object of all.
    fn prepare(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Makes an object that must not exist; durable when it returns.
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), Failure>>;

    /// Writes an object in the place of whatever is there; durable when it returns. To mend, and for nothing else.
    fn put_over<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), Failure>>;

    /// Says whose what is put from now on is, to one that may become another unnoticed.
    fn belongs_to(&self, _store: StoreId) {}

    /// Whether `link_new` is worth asking.
    fn links(&self) -> bool {
        false
    }

    /// The same as a put out of a local file of this digest (BLAKE3) that nobody changes any more.
    fn link_new<'a>(
        &'a self,
        _name: &'a str,
        _file: &'a Path,
        _digest: [u8; 32],
    ) -> BoxFuture<'a, Result<Linked, Failure>> {
        ready(Ok(Linked::Impossible)).boxed()
    }

    /// Reads a range, or all.
    fn read<'a>(
        &'a self,
        name: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Body, Failure>>;

    /// The same as [`Backend::read`] of a range, whose bytes are handed on as they come.
    fn stream<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        self.read(name, Some(range))
    }

    /// In how many stores each object is.
    fn copies(&self) -> usize {
        1
    }

    /// Reads a range of one copy.
    fn read_copy<'a>(
        &'a self,
        _copy: usize,
        name: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        self.read(name, Some(range))
    }

    /// Bytes of an object that was put, from every store that must have it.
    fn confirm<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        self.size(name)
    }

    /// The stores that this one is made of, with their addresses.
    fn sides(&self) -> Vec<(String, Arc<dyn Backend>)> {
        vec![]
    }

    /// Which of them are away; `None`: it is one store, and whoever asks it notes that.
    fn away(&self) -> Option<Vec<String>> {
        None
    }

    /// Bytes of an object.
    fn size<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, Failure>>;

    /// A page of what lies below a folder (or of everything, for ""); only what is behind a name when one is given. `token` is the one of
    /// the page before. Names within a directory ascend; of the directories no order is promised.
    fn list_page<'a>(
        &'a self,
        folder: &'a str,
        after: Option<&'a str>,
        token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, Failure>>;

    /// What its bucket's owner set; a directory has no such settings.
    fn ask(&self, _: Question) -> BoxFuture<'_, Result<Option<Answer>, Failure>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Below which everything lies in the bucket, without a slash at its end.
    fn prefix(&self) -> String {
        String::new()
    }

    /// Deletes an object.
    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Failure>>;
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Missing => f.write_str("it is not there"),
            Failure::Exists => f.write_str("it exists already"),
            Failure::Refused(cause) | Failure::Short(cause) | Failure::Away(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Failure::Missing | Failure::Exists => None,
            Failure::Refused(cause) | Failure::Short(cause) | Failure::Away(cause) => {
                Some(cause.as_ref())
            }
        }
    }
}
