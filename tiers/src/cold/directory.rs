//! A directory as a store (`file://`): for one machine, tests and the first hour. It protects against no lost disk.
//!
//! Promises: an object is on disk with every directory above it when a put returns. A listing is in the order of names. A local file on the same file system becomes an
//! object by a hard link, one on another is copied in pieces (`link.rs`). What was put counts where the store is (`directory/known.rs`). A crash leaves: a staged file `name#n` that no listing shows.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::local::LocalFileSystem;

use super::backend::{Backend, Body, Failure, Linked, Page, Shown};
use super::bucket::Bucket;
use super::link::{link_or_copy, sync_above};
use crate::address::StoreId;
use crate::disk::{Disk, RealDisk};
use crate::error::{Error, Kind, Result};
use crate::limits::{DIRECTORY_DEPTH_MAX, DIRECTORY_PAGE};
use crate::pool;

mod known;

use known::{Owner, is_claim};

/// A directory.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    files: Bucket,
    owner: Arc<Owner>,
}

impl Directory {
    /// Names it, whether it is there or not: a store may be mounted later.
    pub(crate) fn open(root: &Path) -> Result<Directory> {
        let root = &resolved(root);
        let prefix = object_store::path::Path::from_absolute_path(root).map_err(|e| {
            let words = format!(
                "`file://{}` is no name for a directory: write it without `..`",
                root.display()
            );
            Error::with_source(Kind::Invalid, words, e)
        })?;
        let files = Arc::new(LocalFileSystem::new().with_fsync(true));
        Ok(Directory {
            root: root.to_owned(),
            files: Bucket::local(files, prefix),
            owner: Arc::default(),
        })
    }

    /// A store that was taken away is not made anew in its place.
    async fn is_there(&self) -> Result<(), Failure> {
        let root = self.root.clone();
        pool::run(move || Ok(fs::metadata(root)))
            .await
            .map_err(away)?
            .map(drop)
            .map_err(away)
    }

    /// A claim was read, or put.
    async fn note(&self) -> Result<(), Failure> {
        let (root, owner) = (self.root.clone(), Arc::clone(&self.owner));
        let note = move || {
            owner.note(&root);
            Ok(())
        };
        pool::run(note).await.map_err(away)
    }

    /// What was put just now counts where the store is.
    async fn counts(&self, name: &str) -> Result<(), Failure> {
        let (root, owner, name) = (self.root.clone(), Arc::clone(&self.owner), name.to_owned());
        pool::run(move || Ok(owner.has(&root, &name)))
            .await
            .map_err(away)?
            .map_err(away)
    }

    /// Where a file system was unmounted there is an empty directory, and what was in it is not deleted.
    async fn is_unmounted(&self, name: &str) -> Result<bool, Failure> {
        let (root, path) = (self.root.clone(), self.root.join(name));
        let look = move || {
            let names = fs::read_dir(&root);
            let is_empty = names.map_or(true, |mut names| names.next().is_none());
            Ok(!path.exists() && is_empty)
        };
        pool::run(look).await.map_err(away)
    }

    /// Makes a deletion last. Where the directory is not there either nothing is.
    async fn sync_parent(&self, name: &str) -> Result<(), Failure> {
        let path = self.root.join(name);
        let sync = move || match path.parent().map(File::open) {
            Some(Err(e)) if e.kind() == io::ErrorKind::NotFound => Ok(Ok(())),
            Some(parent) => Ok(parent.and_then(|parent| parent.sync_all())),
            None => Ok(Ok(())),
        };
        pool::run(sync).await.map_err(away)?.map_err(away)
    }

    /// Syncs every directory from the object's up to the root: the one who made them may have died before he did.
    async fn sync(&self, name: &str) -> Result<(), Failure> {
        let (root, path) = (self.root.clone(), self.root.join(name));
        pool::run(move || Ok(sync_above(&path, &root)))
            .await
            .map_err(away)?
            .map_err(away)
    }
}

impl Backend for Directory {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            self.is_there().await?;
            let put = self.files.put_new(name, bytes).await;
            if matches!(put, Err(Failure::Exists)) {
                self.sync(name).await?;
            }
            if matches!(put, Ok(()) | Err(Failure::Exists)) {
                self.counts(name).await?;
            }
            if put.is_ok() && is_claim(name) {
                self.note().await?;
            }
            put
        }
        .boxed()
    }

    fn put_over<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            self.is_there().await?;
            self.files.put_over(name, bytes).await?;
            self.sync(name).await?;
            self.counts(name).await
        }
        .boxed()
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), Failure>> {
        let root = self.root.clone();
        let make = move || {
            // Durable like the objects in it, and mail is read by its owner alone.
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&root);
            Ok(made.and_then(|()| RealDisk.create_dir(&root)).map_err(|e| {
                let words = format!(
                    "make {} writable, or name another directory",
                    root.display()
                );
                Failure::Refused(format!("{words} ({e})").into())
            }))
        };
        async move { pool::run(make).await.map_err(away)? }.boxed()
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            if self.is_unmounted(name).await? {
                return Err(away(io::Error::from(io::ErrorKind::NotFound)));
            }
            match self.files.delete(name).await {
                // Not by `object_store`: a power cut would bring it back, and nobody would know it.
                gone @ (Ok(()) | Err(Failure::Missing)) => {
                    self.sync_parent(name).await?;
                    gone
                }
                // The directory is there: this is its word about one object.
                Err(Failure::Away(cause)) if is_refusal(&*cause) => Err(Failure::Refused(cause)),
                other => other,
            }
        }
        .boxed()
    }

    fn links(&self) -> bool {
        true
    }

    fn belongs_to(&self, store: StoreId) {
        self.owner.set(store);
    }

    fn link_new<'a>(
        &'a self,
        name: &'a str,
        file: &'a Path,
        digest: [u8; 32],
    ) -> BoxFuture<'a, Result<Linked, Failure>> {
        async move {
            let (root, path, file) = (self.root.clone(), self.root.join(name), file.to_owned());
            let link = move || Ok(link_or_copy((&file, digest), &path, &root));
            let linked = pool::run(link).await.map_err(away)?;
            if matches!(
                linked,
                Ok(Linked::Done | Linked::Copied) | Err(Failure::Exists)
            ) {
                self.counts(name).await?;
            }
            linked
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        name: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        async move {
            let body = self.files.read(name, range).await?;
            if is_claim(name) {
                self.note().await?;
            }
            Ok(body)
        }
        .boxed()
    }

    fn stream<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        self.files.stream(name, range)
    }

    fn size<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        self.files.size(name)
    }

    fn list_page<'a>(
        &'a self,
        folder: &'a str,
        after: Option<&'a str>,
        token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        let after = token.or(after).unwrap_or_default().to_owned();
        let (root, folder) = (self.root.clone(), folder.to_owned());
        async move {
            let list = move || Ok(page(&root, &folder, after, DIRECTORY_PAGE));
            pool::run(list).await.map_err(away)?.map_err(away)
        }
        .boxed()
    }
}

/// Without `..` and symbolic links, as far as it is there.
fn resolved(root: &Path) -> PathBuf {
    let there = |above: &Path| {
        Some((
            fs::canonicalize(above).ok()?,
            root.strip_prefix(above).ok()?,
        ))
    };
    let found = root
        .ancestors()
        .find_map(|above| there(above).map(|(real, below)| real.join(below)));
    found.unwrap_or_else(|| root.to_owned())
}

/// The names that come next behind one, in order: a directory of any size is gone through with few of them in memory.
fn page(root: &Path, folder: &str, after: String, names_max: usize) -> io::Result<Page> {
    let mut pass = Pass {
        after,
        names_max,
        next: BTreeSet::new(),
        is_cut: false,
    };
    pass.walk(&root.join(folder), folder, 0)?;
    let mut objects = Vec::with_capacity(pass.next.len());
    let last = pass.next.last().cloned();
    for name in pass.next {
        let meta = match fs::metadata(root.join(&name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            meta => meta?,
        };
        objects.push(Shown {
            size: meta.len(),
            modified: meta.mtime(),
            name,
        });
    }
    let next = last.filter(|_| pass.is_cut);
    Ok(Page { objects, next })
}

/// One pass over a tree.
struct Pass {
    after: String,
    names_max: usize,
    /// The first names behind `after`.
    next: BTreeSet<String>,
    /// There were more.
    is_cut: bool,
}

impl Pass {
    /// `below`: its name, empty for the root.
    fn walk(&mut self, dir: &Path, below: &str, depth: u32) -> io::Result<()> {
        let entries = match fs::read_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let file = entry.file_name();
            let file = file.to_string_lossy();
            let name = match below {
                "" => file.into_owned(),
                _ => format!("{below}/{file}"),
            };
            let is_dir = match entry.file_type()? {
                kind if kind.is_symlink() => fs::metadata(entry.path()).is_ok_and(|m| m.is_dir()),
                kind => kind.is_dir(),
            };
            if !is_dir && !is_staged(&name) {
                self.take(name);
            } else if is_dir && depth < DIRECTORY_DEPTH_MAX && self.wants(&name) {
                self.walk(&entry.path(), &name, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Whether anything in a directory may be among the next.
    fn wants(&self, dir: &str) -> bool {
        let first = format!("{dir}/");
        let is_behind = first >= self.after || self.after.starts_with(&first);
        let last = self.next.last().filter(|_| self.is_cut);
        is_behind && last.is_none_or(|last| first < *last)
    }

    fn take(&mut self, name: String) {
        if name <= self.after {
            return;
        }
        self.next.insert(name);
        if self.next.len() > self.names_max {
            self.next.pop_last();
            self.is_cut = true;
        }
    }
}

/// What a put that was broken off left.
fn is_staged(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether the file system says that it may not, and not that it cannot now.
fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    use io::ErrorKind::{IsADirectory, PermissionDenied, ReadOnlyFilesystem};
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut kinds =
        causes.filter_map(|error| error.downcast_ref::<io::Error>().map(io::Error::kind));
    kinds.any(|kind| matches!(kind, IsADirectory | PermissionDenied | ReadOnlyFilesystem))
}

pub(super) fn away(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Away(error.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path, folder: &str, names_max: usize) -> Vec<String> {
        let (mut after, mut names) = (String::new(), Vec::new());
        loop {
            let page = page(root, folder, after, names_max).unwrap();
            assert!(page.objects.len() <= names_max);
            names.extend(page.objects.into_iter().map(|shown| shown.name));
            match page.next {
                Some(next) => after = next,
                None => return names,
            }
        }
    }

    #[tokio::test]
    async fn where_the_store_was_unmounted_nothing_counts_as_deleted() {
        let scratch = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (
            scratch.path().join("store"),
            scratch.path().join("elsewhere"),
        );
        let directory = Directory::open(&root).unwrap();
        directory.prepare().await.unwrap();
        let put = |name| directory.put_new(name, Bytes::from_static(b"x"));
        put("claim").await.unwrap();
        put("blocks/1").await.unwrap();
        fs::rename(&root, &elsewhere).unwrap();
        fs::create_dir(&root).unwrap();
        let deleted = directory.delete("blocks/1").await;
        assert!(matches!(deleted, Err(Failure::Away(_))), "{deleted:?}");
        fs::remove_dir(&root).unwrap();
        fs::rename(&elsewhere, &root).unwrap();
        for _ in 0..2 {
            // One that is not there is no trouble where the store is.
            let deleted = directory.delete("blocks/1").await;
            assert!(
                matches!(deleted, Ok(()) | Err(Failure::Missing)),
                "{deleted:?}"
            );
            assert!(!root.join("blocks/1").exists());
        }
    }

    #[test]
    fn pages_of_any_size_give_every_name_once_and_in_order() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        let mut all = Vec::new();
        for dir in ["a/1", "a/10", "a-b", "a", "b/c/d", ""] {
            fs::create_dir_all(root.join(dir)).unwrap();
            for number in [1, 9, 10, 2] {
                let name = format!("{dir}/x{number}");
                let name = name.trim_start_matches('/').to_owned();
                fs::write(root.join(&name), "x").unwrap();
                all.push(name);
            }
        }
        fs::write(root.join("a/x1#77"), "what a kill left").unwrap();
        symlink(root.join("b/c"), root.join("z")).unwrap();
        all.extend([1, 9, 10, 2].map(|n| format!("z/d/x{n}")));
        all.sort();
        for names_max in [1, 2, 3, 7, 100] {
            assert_eq!(names(root, "", names_max), all, "{names_max}");
            let below: Vec<_> = all
                .iter()
                .filter(|n| n.starts_with("a/"))
                .cloned()
                .collect();
            assert_eq!(names(root, "a", names_max), below, "{names_max}");
            assert!(names(root, "nothing", names_max).is_empty());
        }
    }

    #[test]
    fn directories_that_go_in_a_circle_end_a_listing_all_the_same() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::write(root.join("x"), "x").unwrap();
        symlink(root, root.join("circle")).unwrap();
        let depth = usize::try_from(DIRECTORY_DEPTH_MAX).unwrap();
        assert_eq!(names(root, "", 100).len(), depth + 1);
    }
}
