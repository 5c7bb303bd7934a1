//! A local file becomes an object of a directory: by a hard link, or, from another file system, by a copy that is made in pieces.
//!
//! Promises: an object is never overwritten, is whole and durable when it has its name, and has the digest that it should have; a file of any size
//! takes [`READ_CHUNK`] bytes of memory. A crash leaves: a staged file `name#n`, which no listing shows.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::backend::{Failure, Linked};
use super::directory::away;
use crate::limits::READ_CHUNK;

/// Puts that were broken off for one name, each of which left a staged file.
const STAGED_MAX: u32 = 1_000;

/// Makes the object at `path` out of a file of this digest, which nobody changes any more.
pub(super) fn link_or_copy(
    (file, digest): (&Path, [u8; 32]),
    path: &Path,
    root: &Path,
) -> Result<Linked, Failure> {
    File::open(file).and_then(|f| f.sync_all()).map_err(away)?;
    // A store that was taken away is not made anew in its place.
    fs::metadata(root).map_err(away)?;
    fs::create_dir_all(path.parent().unwrap_or(root)).map_err(away)?;
    match fs::hard_link(file, path) {
        // Another file system, or one without hard links (or no more of them on this file).
        Err(e) if is_impossible(e.kind()) => copy((file, digest), path, root),
        linked => named(linked, path, root).map(|()| Linked::Done),
    }
}

fn is_impossible(kind: ErrorKind) -> bool {
    use ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(
        kind,
        CrossesDevices | Unsupported | TooManyLinks | PermissionDenied
    )
}

/// Beside its place first: what has the name of an object is all of it.
fn copy(file: (&Path, [u8; 32]), path: &Path, root: &Path) -> Result<Linked, Failure> {
    if fs::exists(path).map_err(away)? {
        sync_above(path, root).map_err(away)?;
        return Err(Failure::Exists);
    }
    let (staged, mut into) = stage(path).map_err(away)?;
    let copied = match copy_into(file, &mut into) {
        // The first of two writers makes it, as by a link of the file itself.
        Ok(true) => named(fs::hard_link(&staged, path), path, root).map(|()| Linked::Copied),
        Ok(false) => Ok(Linked::Damaged),
        Err(e) => Err(away(e)),
    };
    // Of an object this was the other name. What stays of a put that failed is seen by nobody.
    let removed = fs::remove_file(&staged);
    if copied.is_ok() {
        removed
            .and_then(|()| sync_above(path, root))
            .map_err(away)?;
    }
    copied
}

/// A new file in the directory of an object, under a name that no listing shows.
fn stage(path: &Path) -> io::Result<(PathBuf, File)> {
    for number in 1..=STAGED_MAX {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("#{number}"));
        let staged = PathBuf::from(name);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&staged)
        {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            made => return Ok((staged, made?)),
        }
    }
    let words = format!(
        "{} has {STAGED_MAX} files beside it that broken off puts left; remove them (`#` and a number at their ends)",
        path.display()
    );
    Err(io::Error::other(words))
}

/// Copies a file in pieces and syncs the copy; whether what was copied has its digest.
fn copy_into((file, digest): (&Path, [u8; 32]), into: &mut File) -> io::Result<bool> {
    let mut from = File::open(file)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; READ_CHUNK];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => piece.get(..read).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        hasher.update(read);
        into.write_all(read)?;
    }
    into.sync_all()?;
    Ok(*hasher.finalize().as_bytes() == digest)
}

/// An object that was given its name, durably; or another was there, which may not be durable yet.
fn named(linked: io::Result<()>, path: &Path, root: &Path) -> Result<(), Failure> {
    match linked {
        Ok(()) => sync_above(path, root).map_err(away),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            sync_above(path, root).map_err(away)?;
            Err(Failure::Exists)
        }
        Err(e) => Err(away(e)),
    }
}

/// Syncs every directory from an object's up to the root.
pub(super) fn sync_above(path: &Path, root: &Path) -> io::Result<()> {
    path.ancestors()
        .skip(1)
        .take_while(|folder| folder.starts_with(root))
        .try_for_each(|folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> [u8; 32] {
        blake3::hash(bytes).into()
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A segment of 512 MiB was read whole into memory where the store was on another file system than the data.
    #[test]
    fn a_file_of_another_file_system_is_copied_in_pieces_and_never_over_an_object() {
        let (scratch, shm) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir_in("/dev/shm").unwrap(),
        );
        let (root, file) = (scratch.path().join("cold"), shm.path().join("segment"));
        let path = root.join("segments/1");
        let bytes: Vec<u8> = (0..=250_u8).cycle().take(3 * READ_CHUNK + 5).collect();
        fs::write(&file, &bytes).unwrap();
        let put = |digest| link_or_copy((&file, digest), &path, &root);
        assert!(matches!(put(digest(&bytes)), Err(Failure::Away(_))));
        assert!(!root.exists(), "a store that is away is not made anew");

        fs::create_dir(&root).unwrap();
        assert_eq!(put(digest(b"other")).unwrap(), Linked::Damaged);
        assert_eq!(names(&root.join("segments")), [""; 0]);
        // What a kill left of an earlier one.
        fs::write(root.join("segments/1#1"), "half").unwrap();
        assert_eq!(put(digest(&bytes)).unwrap(), Linked::Copied);
        assert_eq!(names(&root.join("segments")), ["1", "1#1"]);
        assert!(fs::read(&path).unwrap() == bytes, "byte for byte");

        fs::write(&path, "what was there first").unwrap();
        assert!(matches!(put(digest(&bytes)), Err(Failure::Exists)));
        assert_eq!(fs::read(&path).unwrap(), b"what was there first");
        assert_eq!(names(&root.join("segments")), ["1", "1#1"]);
    }
}
