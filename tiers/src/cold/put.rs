//! Puts: an object is made, or an equal one is found; never overwritten, but where a copy that is not what was put is put again.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::time::sleep;

use super::backend::{Failure, Linked};
use super::key::Key;
use super::patience::between_attempts;
use super::request::{Caller, Verb, collect};
use super::store::ColdStore;
use crate::error::{Error, Kind, Result};
use crate::limits::UPLOAD_MEMORY;
use crate::object::{HEADER_MAX, ObjectHeader, SIGNATURE};
use crate::pool;

/// How often a put looks again when an object was said to exist and then was not there (two writers at one time).
const PUT_ROUNDS: u32 = 3;
/// The signature stands within so many bytes of every object, and of a probe.
const SIGNED: usize = 32;

/// What a conditional put found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object was made now.
    Created,
    /// It was there, byte for byte: an answer was lost, or somebody did the same work.
    AlreadyThere,
}

impl ColdStore {
    /// Makes an object out of bytes.
    ///
    /// # Errors
    /// `Conflict`: it exists with other bytes. `Unavailable`: it may or may not have been made; ask again.
    pub async fn put_new(&self, key: &Key, bytes: Bytes, caller: Caller) -> Result<Put> {
        let name = key.to_string();
        let size = u64::try_from(bytes.len()).expect("a length fits 64 bits");
        for round in 1..=PUT_ROUNDS {
            let put = || self.inner.backend.put_new(&name, bytes.clone());
            match self.request(Verb::Put, caller, (&name, size), put).await {
                Ok(()) => {
                    self.inner.ledger.bytes_out(caller, size);
                    if let Some(put) = self.confirm(&name, &bytes, caller).await? {
                        return Ok(put);
                    }
                    sleep(between_attempts(round)).await;
                }
                Err(Failure::Exists) => {
                    if let Some(put) = self
                        .compare(&name, blake3::hash(&bytes).into(), size, caller)
                        .await?
                    {
                        return Ok(put);
                    }
                    sleep(between_attempts(round)).await;
                }
                Err(failure) => return Err(self.put_error(failure, &name)),
            }
        }
        Err(Error::new(
            Kind::Unavailable,
            format!(
                "{}: `{name}` is said to be there and is not: the store loses what it takes",
                self.url()
            ),
        ))
    }

    /// Writes an object in the place of a copy that is missing or is not what was put there, and looks whether it is there. Whoever asks
    /// compared `bytes` with the object's digest: nothing else may ever be overwritten.
    ///
    /// # Errors
    /// `Unavailable`: it may or may not have been written; ask again.
    pub async fn put_again(&self, key: &Key, bytes: Bytes, caller: Caller) -> Result<()> {
        let name = key.to_string();
        let size = u64::try_from(bytes.len()).expect("a length fits 64 bits");
        let put = || self.inner.backend.put_over(&name, bytes.clone());
        let put = self.request(Verb::Put, caller, (&name, size), put).await;
        put.map_err(|f| self.put_error(f, &name))?;
        self.inner.ledger.bytes_out(caller, size);
        match self.head(key, caller).await? {
            Some(found) if found.size == size => Ok(()),
            found => {
                let found = found.map_or(0, |meta| meta.size);
                let words = format!(
                    "{}: `{name}` was written and is not there whole ({found} bytes of {size})",
                    self.url()
                );
                Err(Error::new(Kind::Unavailable, words))
            }
        }
    }

    /// Makes an object out of a local file that is durable and that nobody changes any more: by a hard link where the store is a
    /// directory of the same file system, by a copy in pieces where it is one of another, else through memory, within a budget that all
    /// puts share. A file that is larger than the budget goes alone, and the log says so.
    ///
    /// # Errors
    /// As `put_new`; `Corrupt`: the file is not what `digest` (BLAKE3) says, nothing was put; `NotFound`: there is no such file.
    pub async fn put_file(
        &self,
        key: &Key,
        file: &Path,
        digest: [u8; 32],
        caller: Caller,
    ) -> Result<Put> {
        if self.inner.backend.links()
            && let Some(put) = self.link(key, file, digest, caller).await?
        {
            return Ok(put);
        }
        let size = tokio::fs::metadata(file)
            .await
            .map_err(|e| local(file, e))?
            .len();
        let share = u32::try_from(size)
            .unwrap_or(UPLOAD_MEMORY)
            .min(UPLOAD_MEMORY);
        let _share = self
            .inner
            .memory
            .acquire_many(share)
            .await
            .expect("the semaphore is never closed");
        if size > u64::from(UPLOAD_MEMORY) {
            tracing::warn!(
                "{} is read into memory to be sent, {size} bytes: more than the {UPLOAD_MEMORY} that uploads are given (docs/limits.md)",
                file.display()
            );
        }
        let bytes = whole_file(file.to_owned(), digest).await?;
        self.put_new(key, bytes, caller).await
    }

    /// Makes an object out of a file without its passing through memory; `None` when that cannot be done with this store.
    async fn link(
        &self,
        key: &Key,
        file: &Path,
        digest: [u8; 32],
        caller: Caller,
    ) -> Result<Option<Put>> {
        let name = key.to_string();
        let (found, size) = digest_of(file.to_owned()).await?;
        if found != digest {
            return Err(damaged(file));
        }
        match self
            // It may have to be copied, which takes as long as it is large.
            .request(Verb::Put, caller, (&name, size), || {
                self.inner.backend.link_new(&name, file, digest)
            })
            .await
        {
            Ok(Linked::Done) => Ok(Some(Put::Created)),
            Ok(Linked::Copied) => {
                self.inner.ledger.bytes_out(caller, size);
                Ok(Some(Put::Created))
            }
            Ok(Linked::Damaged) => Err(damaged(file)),
            Ok(Linked::Impossible) => Ok(None),
            Err(Failure::Exists) => self.compare(&name, digest, size, caller).await,
            Err(failure) => Err(self.put_error(failure, &name)),
        }
    }

    /// Looks whether an object is there that the store said to have made: one HEAD. `None`: it is not.
    async fn confirm(&self, name: &str, bytes: &Bytes, caller: Caller) -> Result<Option<Put>> {
        let size = u64::try_from(bytes.len()).expect("a length fits 64 bits");
        let head = || self.inner.backend.confirm(name);
        match self.request(Verb::Head, caller, (name, 0), head).await {
            Ok(found) if found == size => Ok(Some(Put::Created)),
            Ok(_) => {
                self.compare(name, blake3::hash(bytes).into(), size, caller)
                    .await
            }
            Err(Failure::Missing) => Ok(None),
            Err(failure) => Err(self.error(failure, "confirm", name)),
        }
    }

    /// Whether an object that exists is ours; `None` when it is not there after all.
    async fn compare(
        &self,
        name: &str,
        digest: [u8; 32],
        size: u64,
        caller: Caller,
    ) -> Result<Option<Put>> {
        match self.hash(name, size, caller).await {
            Ok((found, _)) if found == digest => Ok(Some(Put::AlreadyThere)),
            Ok((first, found_bytes)) => {
                // Nothing is concluded from one reading: it may be the answer that is wrong.
                match self.hash(name, size, caller).await {
                    Ok((again, _)) if again == digest => return Ok(Some(Put::AlreadyThere)),
                    Ok((again, _)) if again == first => {}
                    Ok(_) => {
                        let words = format!(
                            "{}: `{name}` is read differently each time: the store answers wrongly",
                            self.url()
                        );
                        return Err(Error::new(Kind::Unavailable, words));
                    }
                    Err(Failure::Missing) => return Ok(None),
                    Err(failure) => return Err(self.error(failure, "compare", name)),
                }
                self.must_be_an_object(name, found_bytes, caller).await?;
                let words = format!(
                    "{}: `{name}` exists already with other bytes: another writer uses this prefix, or this data directory is a copy",
                    self.url()
                );
                Err(Error::new(Kind::Conflict, words))
            }
            Err(Failure::Missing) => Ok(None),
            Err(failure) => Err(self.error(failure, "compare", name)),
        }
    }

    /// A page that a gateway sent is no other writer's work, nor is an object that says itself that it has another name.
    async fn must_be_an_object(&self, name: &str, bytes: u64, caller: Caller) -> Result<()> {
        let range = 0..bytes.min(u64::try_from(HEADER_MAX).expect("a small number"));
        let read = || async {
            let body = self.inner.backend.read(name, Some(range.clone())).await?;
            collect(body, range.end).await
        };
        let found = match range.is_empty() {
            true => Bytes::new(),
            false => match self
                .request(Verb::Get, caller, (name, range.end), read)
                .await
            {
                Err(Failure::Missing) => Bytes::new(),
                read => read.map_err(|f| self.error(f, "compare", name))?,
            },
        };
        self.inner.ledger.bytes_in(caller, range.end);
        let is_another =
            ObjectHeader::decode(&found, name).is_ok_and(|(header, _)| header.key != name);
        let begin = found.get(..found.len().min(SIGNED)).unwrap_or_default();
        if !is_another
            && begin
                .windows(SIGNATURE.len())
                .any(|bytes| bytes == SIGNATURE)
        {
            return Ok(());
        }
        let words = format!(
            "{}: what is said to be `{name}` was not written as that by Coldpost: the store answers wrongly, or somebody else writes below this prefix",
            self.url()
        );
        Err(Error::new(Kind::Unavailable, words))
    }

    fn put_error(&self, failure: Failure, name: &str) -> Error {
        match failure {
            Failure::Missing => Error::new(
                Kind::Unavailable,
                format!(
                    "{}: no such bucket: make it, or correct [cold] url",
                    self.url()
                ),
            ),
            failure => self.error(failure, "write", name),
        }
    }
}

/// Digest and size of a local file.
async fn digest_of(file: PathBuf) -> Result<([u8; 32], u64)> {
    pool::run(move || {
        let mut hasher = blake3::Hasher::new();
        let open = std::fs::File::open(&file).map_err(|e| local(&file, e))?;
        hasher.update_reader(open).map_err(|e| local(&file, e))?;
        Ok((hasher.finalize().into(), hasher.count()))
    })
    .await
}

async fn whole_file(file: PathBuf, digest: [u8; 32]) -> Result<Bytes> {
    pool::run(move || {
        let bytes = std::fs::read(&file).map_err(|e| local(&file, e))?;
        if *blake3::hash(&bytes).as_bytes() != digest {
            Err(damaged(&file))
        } else {
            Ok(bytes.into())
        }
    })
    .await
}

fn local(file: &Path, error: std::io::Error) -> Error {
    let kind = if error.kind() == std::io::ErrorKind::NotFound {
        Kind::NotFound
    } else {
        Kind::Unavailable
    };
    Error::with_source(kind, format!("{} cannot be read", file.display()), error)
}

fn damaged(file: &Path) -> Error {
    let words = format!(
        "{} is not what was written (its digest differs): it is not uploaded",
        file.display()
    );
    Error::corrupt(file.display().to_string(), 0, words)
}
