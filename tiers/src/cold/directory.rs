//! A directory as a store (`file://`): for one machine, tests and the first hour. It protects against no lost disk.
//!
//! Promises: an object is on disk with every directory above it when a put returns. A local file on the same file system becomes an
//! object by a hard link: segments are moved, not copied. A crash leaves: a staged file `name#n` that no listing shows.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::local::LocalFileSystem;

use super::backend::{Backend, Body, Failure, Linked, Page};
use super::bucket::Bucket;
use crate::disk::{Disk, RealDisk};
use crate::error::{Error, Kind, Result};
use crate::pool;

/// A directory.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    files: Bucket,
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
            match self.files.put_new(name, bytes).await {
                Err(Failure::Exists) => {
                    self.sync(name).await?;
                    Err(Failure::Exists)
                }
                other => other,
            }
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

    fn links(&self) -> bool {
        true
    }

    fn link_new<'a>(
        &'a self,
        name: &'a str,
        file: &'a Path,
    ) -> BoxFuture<'a, Result<Linked, Failure>> {
        async move {
            let (root, path, file) = (self.root.clone(), self.root.join(name), file.to_owned());
            pool::run(move || Ok(link(&file, &path, &root)))
                .await
                .map_err(away)?
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        name: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        self.files.read(name, range)
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
        self.files.list_page(folder, after, token)
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        self.files.delete(name)
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

fn link(file: &Path, path: &Path, root: &Path) -> Result<Linked, Failure> {
    File::open(file).and_then(|f| f.sync_all()).map_err(away)?;
    // A store that was taken away is not made anew in its place.
    fs::metadata(root).map_err(away)?;
    let folder = path.parent().unwrap_or(root);
    fs::create_dir_all(folder).map_err(away)?;
    let linked = fs::hard_link(file, path);
    match linked.map_err(|e| (e.kind(), e)) {
        Ok(()) => sync_above(path, root).map(|()| Linked::Done).map_err(away),
        Err((io::ErrorKind::AlreadyExists, _)) => {
            sync_above(path, root).map_err(away)?;
            Err(Failure::Exists)
        }
        // Another file system, or one without hard links (or no more of them on this file).
        Err((
            io::ErrorKind::CrossesDevices
            | io::ErrorKind::Unsupported
            | io::ErrorKind::TooManyLinks
            | io::ErrorKind::PermissionDenied,
            _,
        )) => Ok(Linked::Impossible),
        Err((_, e)) => Err(away(e)),
    }
}

fn sync_above(path: &Path, root: &Path) -> io::Result<()> {
    path.ancestors()
        .skip(1)
        .take_while(|folder| folder.starts_with(root))
        .try_for_each(|folder| File::open(folder)?.sync_all())
}

fn away(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Away(error.into())
}
