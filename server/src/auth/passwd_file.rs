//! `[auth] passwd_file`: somebody else's file of users, read again when it changes.
//!
//! Promises: a look costs one `stat` while nothing changes; a file that went away or cannot be used leaves the users as they were,
//! and is said once. Never: writes the file, reads it on an async thread.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::passwd::{Complaint, Table};
use crate::limits::PASSWD_FILE_MAX;

/// A file that was written less than this ago may be written again without looking different: clocks of file systems are coarse.
const COARSE: Duration = Duration::from_millis(100);

/// The file, and its users as they were when it last could be read.
#[derive(Debug)]
pub struct PasswdFile {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    table: Arc<Table>,
    stamp: Option<Stamp>,
    /// Why it is not used as it is now.
    refused: Option<String>,
}

/// What changes with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            place: (metadata.dev(), metadata.ino(), metadata.size()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl PasswdFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// It cannot be read, or is too large; the text names it.
    pub fn open(path: &Path) -> io::Result<PasswdFile> {
        let (table, stamp) = match look(path, None) {
            Look::New(table, stamp) => (table, stamp),
            Look::Unusable(why) => return Err(io::Error::other(why)),
            Look::Same => unreachable!("nothing was known"),
        };
        Ok(PasswdFile {
            path: path.to_owned(),
            known: Mutex::new(Known {
                table: Arc::new(table),
                stamp,
                refused: None,
            }),
        })
    }

    /// The users as the file has them now.
    pub(crate) async fn current(&self) -> Arc<Table> {
        let mut known = self.known.lock().await;
        let (path, stamp) = (self.path.clone(), known.stamp.clone());
        let looked = tokio::task::spawn_blocking(move || look(&path, stamp.as_ref())).await;
        match looked {
            Ok(Look::Same) => known.refused = None,
            Ok(Look::New(table, stamp)) => {
                tracing::info!(file = %self.path.display(), "the users were read again");
                *known = Known {
                    table: Arc::new(table),
                    stamp,
                    refused: None,
                };
            }
            Ok(Look::Unusable(why)) => {
                if known.refused.as_ref() != Some(&why) {
                    tracing::error!("{why}; its users stay as they were");
                    known.refused = Some(why);
                }
            }
            Err(error) => tracing::error!(%error, "reading the users again failed"),
        }
        Arc::clone(&known.table)
    }
}

enum Look {
    Same,
    /// Without a stamp when it may have changed since without a trace.
    New(Table, Option<Stamp>),
    Unusable(String),
}

fn look(path: &Path, known: Option<&Stamp>) -> Look {
    let unusable = |why: &dyn std::fmt::Display| {
        Look::Unusable(format!("auth.passwd_file {}: {why}", path.display()))
    };
    // Before it is opened: a pipe would not let go of this thread.
    match std::fs::metadata(path) {
        Err(error) => return unusable(&error),
        Ok(found) if !found.is_file() => return unusable(&"it is no file"),
        Ok(found) if known == Some(&Stamp::of(&found)) => return Look::Same,
        Ok(_) => {}
    }
    let (bytes, metadata) = match read(path) {
        Ok(read) => read,
        Err(error) => return unusable(&error),
    };
    let (table, complaints) = match Table::read(&bytes) {
        Ok(read) => read,
        Err(why) => return unusable(&why),
    };
    complain(path, &complaints);
    let is_settled = metadata
        .modified()
        .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > COARSE));
    Look::New(table, is_settled.then(|| Stamp::of(&metadata)))
}

/// At most a byte more than it may have: the reader says that it is too large.
fn read(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let most = u64::try_from(PASSWD_FILE_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes, metadata))
}

/// Names lines, never what they say.
pub(super) fn complain(path: &Path, complaints: &[Complaint]) {
    for Complaint { line, why } in complaints {
        tracing::warn!(file = %path.display(), line, "{why}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use coldpost_engine::account::AccountName;

    use super::*;

    async fn opens(file: &PasswdFile, user: &str, password: &str) -> bool {
        let name = AccountName::normalise(user).expect("a name");
        let table = file.current().await;
        let hash = table.get(&name).flatten();
        hash.is_some_and(|hash| hash.matches(password.as_bytes()))
    }

    #[tokio::test]
    async fn a_change_is_seen_at_the_next_look_and_a_file_that_cannot_be_used_changes_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("passwd");
        let missing = PasswdFile::open(&path).expect_err("not there").to_string();
        assert!(
            missing.contains("passwd_file") && missing.contains("passwd"),
            "{missing}"
        );
        fs::write(&path, "anna:{PLAIN}one\n").expect("written");
        let file = PasswdFile::open(&path).expect("read");
        assert!(opens(&file, "anna", "one").await);
        // The same length, at once.
        fs::write(&path, "anna:{PLAIN}two\n").expect("written");
        assert!(opens(&file, "anna", "two").await && !opens(&file, "anna", "one").await);
        // Another file in its place.
        let draft = directory.path().join("draft");
        fs::write(&draft, "ben:{PLAIN}new\n").expect("written");
        fs::rename(&draft, &path).expect("renamed");
        assert!(opens(&file, "ben", "new").await && !opens(&file, "anna", "two").await);
        fs::remove_file(&path).expect("removed");
        assert!(opens(&file, "ben", "new").await);
        fs::create_dir(&path).expect("made");
        assert!(opens(&file, "ben", "new").await);
        fs::remove_dir(&path).expect("removed");
        fs::write(&path, vec![b'#'; PASSWD_FILE_MAX + 1]).expect("written");
        assert!(opens(&file, "ben", "new").await);
        fs::write(&path, "carl:{PLAIN}x\n").expect("written");
        assert!(opens(&file, "carl", "x").await && !opens(&file, "ben", "new").await);
    }
}
