//! The object store as everybody above uses it: every request has a caller, a time limit, a bounded number of attempts, and is counted.
//!
//! Promises: a put makes an object or finds an equal one, it never overwrites; a range is exactly as long as asked for. A missing
//! object is `NotFound` here; whoever knows that it must be there says `Unavailable`. Never: believes a size without counting.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use super::backend::{Backend, Failure, Shown};
use super::breaker::Breaker;
use super::bucket::Bucket;
use super::directory::Directory;
use super::key::Key;
use super::ledger::{Ledger, Usage};
use super::mirror::{Mirror, Side};
use super::place::{self, Place};
use super::request::{Caller, Verb, collect, truncated};
use crate::address::{Epoch, ShardNo, StoreId};
use crate::error::{Error, Kind, Result};
use crate::limits::{COLD_GET_MAX, UPLOAD_MEMORY};
use crate::metrics;
use crate::object::ObjectHeader;

/// Where the store is: `[cold]` of the config.
#[derive(Clone, Default)]
pub struct ColdSettings {
    /// `file:///path` (taken as it stands, nothing decoded) or `s3://bucket/prefix`.
    pub url: String,
    /// S3 endpoint, for stores that are not AWS.
    pub endpoint: Option<String>,
    /// S3 region.
    pub region: Option<String>,
    /// S3 key; without one the environment and the machine's role are asked.
    pub access_key_id: Option<String>,
    /// S3 secret.
    pub secret_access_key: Option<String>,
    /// Plain http to the endpoint.
    pub allow_http: bool,
    /// Bytes of local disk for what was read from it; 0 for none.
    pub cache: u64,
    /// A second store that has everything too.
    pub mirror: Option<Box<ColdSettings>>,
}

/// What the store says about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Bytes.
    pub size: u64,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name below the prefix.
    pub name: String,
    /// What that says; `None` for what is not ours.
    pub key: Option<Key>,
    /// Bytes.
    pub size: u64,
    /// When it was written, by the store's clock: seconds since 1970.
    pub modified: i64,
}

/// The store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ColdStore {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) backend: Arc<dyn Backend>,
    url: String,
    /// Whether it is there; `None`: the backend knows that of the stores that it is made of.
    pub(super) breaker: Option<Breaker>,
    /// Bytes that puts may hold in memory.
    pub(super) memory: Semaphore,
    pub(super) ledger: Arc<Ledger>,
}

impl ColdSettings {
    /// Whether it is a directory.
    pub fn is_local(&self) -> bool {
        is_local(&self.url)
    }
}

pub(super) fn is_local(url: &str) -> bool {
    url.starts_with("file://")
}

impl ColdStore {
    /// Opens a store; nothing is asked of it yet, and a directory may be missing until [`ColdStore::check`] makes it.
    ///
    /// # Errors
    /// `Invalid`: says which setting.
    pub fn open(settings: &ColdSettings) -> Result<ColdStore> {
        ColdStore::open_over(settings, |backend| backend)
    }

    /// The same with faults on order between it and its user; of two stores, before the first.
    ///
    /// # Errors
    /// As `open`.
    #[cfg(any(test, feature = "faults"))]
    pub fn open_with_faults(
        settings: &ColdSettings,
        faults: &super::faults::Faults,
    ) -> Result<ColdStore> {
        ColdStore::open_over(settings, |backend| faults.over(backend))
    }

    fn open_over(
        settings: &ColdSettings,
        over: impl Fn(Arc<dyn Backend>) -> Arc<dyn Backend>,
    ) -> Result<ColdStore> {
        let (first, url) = (over(backend(settings)?), settings.url.clone());
        let Some(mirror) = &settings.mirror else {
            return Ok(ColdStore::over(first, url));
        };
        if mirror.endpoint == settings.endpoint && place::overlap(&mirror.url, &url) {
            let words = format!(
                "`{}` cannot be the mirror of `{url}`: one is the other, or lies in it; name another store",
                mirror.url
            );
            return Err(Error::new(Kind::Invalid, words));
        }
        let ledger = Arc::new(Ledger::new());
        let sides = [
            Side::new(first, "first", url.clone()),
            Side::new(backend(mirror)?, "mirror", mirror.url.clone()),
        ];
        let both = Arc::new(Mirror::new(sides, Arc::clone(&ledger)));
        Ok(ColdStore::counted(both, url, None, ledger))
    }

    pub(super) fn over(backend: Arc<dyn Backend>, url: String) -> ColdStore {
        let breaker = Breaker::new("main", url.clone());
        ColdStore::counted(backend, url, Some(breaker), Arc::new(Ledger::new()))
    }

    /// One of the stores that this one is made of, for its check; counted with all else.
    pub(super) fn side(&self, url: String, backend: Arc<dyn Backend>) -> ColdStore {
        let ledger = Arc::clone(&self.inner.ledger);
        ColdStore::counted(backend, url, None, ledger)
    }

    fn counted(
        backend: Arc<dyn Backend>,
        url: String,
        breaker: Option<Breaker>,
        ledger: Arc<Ledger>,
    ) -> ColdStore {
        // A scrape before the first upload shows it.
        std::sync::LazyLock::force(&metrics::UPLOADS_WAITING);
        let memory = Semaphore::new(usize::try_from(UPLOAD_MEMORY).expect("32 bits fit"));
        ColdStore {
            inner: Arc::new(Inner {
                backend,
                url,
                breaker,
                memory,
                ledger,
            }),
        }
    }

    /// Where it is, without secrets.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// What it was asked within the last day; asks it nothing.
    pub fn usage(&self) -> Usage {
        self.inner.ledger.usage()
    }

    /// Whether it is there, as far as known. True before the first request.
    pub fn answers(&self) -> bool {
        match &self.inner.breaker {
            Some(breaker) => !breaker.is_open(),
            None => self.away().len() < self.inner.backend.copies(),
        }
    }

    /// The addresses of the stores that are away: of one, or of two.
    pub fn away(&self) -> Vec<String> {
        let away = self.inner.backend.away().unwrap_or_default();
        match &self.inner.breaker {
            Some(breaker) if breaker.is_open() => vec![breaker.url().to_owned()],
            _ => away,
        }
    }

    /// Says whose what is put from now on is: a directory takes nothing more that counts where its file system was unmounted.
    pub fn belongs_to(&self, store: StoreId) {
        self.inner.backend.belongs_to(store);
    }

    /// In how many stores each object is.
    pub fn copies(&self) -> usize {
        self.inner.backend.copies()
    }

    /// Each of the stores that this one is made of, as a store of its own: nobody speaks for another there.
    pub fn each_copy(&self) -> Vec<ColdStore> {
        let sides = self.inner.backend.sides().into_iter();
        let copies: Vec<_> = sides.map(|(url, side)| self.side(url, side)).collect();
        if copies.is_empty() {
            return vec![self.clone()];
        }
        copies
    }

    /// A range of one copy, for who found that the other gives wrong bytes.
    ///
    /// # Errors
    /// As `get_range`.
    pub async fn get_range_of_copy(
        &self,
        copy: usize,
        key: &Key,
        range: Range<u64>,
        caller: Caller,
    ) -> Result<Bytes> {
        let name = key.to_string();
        let length = range.end.saturating_sub(range.start);
        let get = || async {
            let body = self.inner.backend.read_copy(copy, &name, range.clone());
            collect(body.await?, length).await
        };
        let got = self.request(Verb::Get, caller, (&name, length), get).await;
        let bytes = got.map_err(|f| self.error(f, "read", &name))?;
        self.inner.ledger.bytes_in(caller, length);
        Ok(bytes)
    }

    /// A range of an object, exactly as long as asked for.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable`: away, or every answer was too short.
    pub async fn get_range(&self, key: &Key, range: Range<u64>, caller: Caller) -> Result<Bytes> {
        let name = key.to_string();
        let length = range.end.saturating_sub(range.start);
        if length == 0 || length > COLD_GET_MAX {
            let words = format!(
                "a read of {length} bytes of `{name}`: at least 1, at most {COLD_GET_MAX} at a time"
            );
            return Err(Error::new(Kind::Limit, words));
        }
        let get = || async {
            let body = self.inner.backend.read(&name, Some(range.clone())).await?;
            collect(body, length).await
        };
        let bytes = self
            .request(Verb::Get, caller, (&name, length), get)
            .await
            .map_err(|f| self.error(f, "read", &name))?;
        self.inner.ledger.bytes_in(caller, length);
        Ok(bytes)
    }

    /// A whole object of at most [`COLD_GET_MAX`] bytes.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Limit`.
    pub async fn get(&self, key: &Key, caller: Caller) -> Result<Bytes> {
        let size = self.size(key, caller).await?;
        if size > COLD_GET_MAX {
            let words =
                format!("`{key}` has {size} bytes; at most {COLD_GET_MAX} are read at a time");
            return Err(Error::new(Kind::Limit, words));
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        self.get_range(key, 0..size, caller).await
    }

    /// What the store says about an object; `None` when it is not there.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn head(&self, key: &Key, caller: Caller) -> Result<Option<Meta>> {
        match self.size(key, caller).await {
            Ok(size) => Ok(Some(Meta { size })),
            Err(e) if *e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether somebody claimed an epoch: an answer that is no claim (a store that says yes to everything) proves nothing.
    ///
    /// # Errors
    /// `Unavailable`: away, or answers with something else.
    pub async fn is_claimed(&self, shard: ShardNo, epoch: Epoch, caller: Caller) -> Result<bool> {
        Ok(self.claimant(shard, epoch, caller).await?.is_some())
    }

    /// The store that claimed an epoch of a shard, if one did.
    ///
    /// # Errors
    /// As `is_claimed`.
    pub async fn claimant(
        &self,
        shard: ShardNo,
        epoch: Epoch,
        caller: Caller,
    ) -> Result<Option<StoreId>> {
        let key = Key::Epoch { shard, epoch };
        if self.head(&key, caller).await?.is_none() {
            return Ok(None);
        }
        let bytes = match self.get(&key, caller).await {
            Err(e) if *e.kind() == Kind::NotFound => Bytes::new(),
            got => got?,
        };
        let name = key.to_string();
        match ObjectHeader::decode(&bytes, &name) {
            Ok((header, _)) if header.key == name => Ok(Some(header.store)),
            _ => Err(Error::new(
                Kind::Unavailable,
                format!(
                    "{}: `{name}` is said to be there and is no claim: the store answers wrongly, or it is damaged there \
                     (coldpost verify --bucket --repair mends it)",
                    self.url()
                ),
            )),
        }
    }

    /// BLAKE3 and size of an object, read without keeping it.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn digest(&self, key: &Key, caller: Caller) -> Result<([u8; 32], u64)> {
        let size = self.size(key, caller).await?;
        let name = key.to_string();
        self.hash(&name, size, caller)
            .await
            .map_err(|f| self.error(f, "read", &name))
    }

    /// A whole object of `size` bytes, however large: for who mends one.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable`: away, or it has another size.
    pub async fn get_whole(&self, key: &Key, size: u64, caller: Caller) -> Result<Bytes> {
        let name = key.to_string();
        let get = || async {
            let body = self.inner.backend.read(&name, None).await?;
            if body.object_bytes != size {
                return Err(truncated(body.object_bytes, size));
            }
            collect(body, size).await
        };
        let got = self.request(Verb::Get, caller, (&name, size), get).await;
        let bytes = got.map_err(|f| self.error(f, "read", &name))?;
        self.inner.ledger.bytes_in(caller, size);
        Ok(bytes)
    }

    /// Everything below a folder as `key::epochs` and its sisters name it, or below the prefix for "". Names within a directory
    /// ascend; of the directories no order is promised. After an error the listing is over and has to be begun again. For start and
    /// `verify`, never while serving.
    pub fn list(&self, folder: &str, caller: Caller) -> BoxStream<'static, Result<Listed>> {
        self.list_behind(folder, None, caller)
    }

    /// [`ColdStore::list`] of what comes behind a key in the order of names.
    pub fn list_after(
        &self,
        folder: &str,
        after: &Key,
        caller: Caller,
    ) -> BoxStream<'static, Result<Listed>> {
        self.list_behind(folder, Some(after), caller)
    }

    fn list_behind(
        &self,
        folder: &str,
        after: Option<&Key>,
        caller: Caller,
    ) -> BoxStream<'static, Result<Listed>> {
        let (store, folder) = (self.clone(), folder.to_owned());
        let after = after.map(Key::to_string);
        let pages = futures::stream::try_unfold(Some(None::<String>), move |at| {
            let (store, folder, after) = (store.clone(), folder.clone(), after.clone());
            async move {
                let Some(token) = at else { return Ok(None) };
                let (after, token) = (after.as_deref(), token.as_deref());
                let ask = || store.inner.backend.list_page(&folder, after, token);
                let page = store.request(Verb::List, caller, (&folder, 0), ask).await;
                let page = page.map_err(|f| store.error(f, "list", &folder))?;
                if page.next.is_some() && page.next.as_deref() == token {
                    let circle = Failure::Away("its listing goes in a circle".into());
                    return Err(store.error(circle, "list", &folder));
                }
                let objects = page.objects.into_iter().map(|shown| {
                    let Shown {
                        name,
                        size,
                        modified,
                    } = shown;
                    let key = Key::parse(&name);
                    Ok(Listed {
                        name,
                        key,
                        size,
                        modified,
                    })
                });
                Ok(Some((futures::stream::iter(objects), page.next.map(Some))))
            }
        });
        pages.try_flatten().boxed()
    }

    /// Deletes an object; one that is not there is deleted.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn delete(&self, key: &Key, caller: Caller) -> Result<()> {
        let name = key.to_string();
        match self
            .request(Verb::Delete, caller, (&name, 0), || {
                self.inner.backend.delete(&name)
            })
            .await
        {
            Ok(()) | Err(Failure::Missing) => Ok(()),
            Err(failure) => Err(self.error(failure, "delete", &name)),
        }
    }

    async fn size(&self, key: &Key, caller: Caller) -> Result<u64> {
        let name = key.to_string();
        let size = self
            .request(Verb::Head, caller, (&name, 0), || {
                self.inner.backend.size(&name)
            })
            .await;
        size.map_err(|f| self.error(f, "find", &name))
    }

    /// Digest and size of what is stored under a name.
    pub(super) async fn hash(
        &self,
        name: &str,
        size: u64,
        caller: Caller,
    ) -> Result<([u8; 32], u64), Failure> {
        let get = || async {
            let body = self.inner.backend.read(name, None).await?;
            let hashed = (blake3::Hasher::new(), 0_u64);
            let sum = |(mut hasher, size): (blake3::Hasher, u64), piece: Bytes| async move {
                hasher.update(&piece);
                Ok((
                    hasher,
                    size + u64::try_from(piece.len()).expect("a length fits 64 bits"),
                ))
            };
            let (hasher, size) = body.pieces.try_fold(hashed, sum).await?;
            if size != body.object_bytes {
                return Err(truncated(size, body.object_bytes));
            }
            Ok((hasher.finalize().into(), size))
        };
        let hashed = self.request(Verb::Get, caller, (name, size), get).await?;
        self.inner.ledger.bytes_in(caller, hashed.1);
        Ok(hashed)
    }
}

fn backend(settings: &ColdSettings) -> Result<Arc<dyn Backend>> {
    Ok(match Place::of(&settings.url)? {
        Place::Directory(path) => Arc::new(Directory::open(path)?),
        Place::Bucket { bucket, prefix } => Arc::new(Bucket::s3(settings, bucket, prefix)?),
    })
}

impl fmt::Debug for ColdSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColdSettings")
            .field("url", &self.url)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
