//! `[auth] passwd_file`: somebody else's file of users, read again when it changes.
//!
//! Promises: a look costs one `stat` while nothing changes; one that is being written is read when it has been quiet for a moment;
//! a file that went away or cannot be used leaves the users as they were, and is said once. Never: writes the file, reads it on an async thread.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::passwd::{Complaint, Table};
use crate::limits::{PASSWD_FILE_MAX, PASSWD_SETTLE_MAX};

/// A file that was written less than this ago may be written again without looking different: clocks of file systems are coarse.
const COARSE: Duration = Duration::from_millis(100);
/// Time between two looks at a file that is being written.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The file, and its users as they were when it last could be read.
#[derive(Debug)]
pub struct PasswdFile {
    path: PathBuf,
    /// What begins a detail in the name of a recipient.
    delimiters: String,
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

    /// Whether its last change is more than a moment from `now`; else whoever writes it may not be done.
    fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds))
        else {
            return true;
        };
        let changed = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        let apart = match now.duration_since(changed) {
            Ok(age) => age,
            Err(ahead) => ahead.duration(),
        };
        apart > COARSE
    }
}

impl PasswdFile {
    /// Reads the file for the first time; it is a complaint where a name has one of `delimiters` in it.
    ///
    /// # Errors
    /// It cannot be read, or is too large; the text names it.
    pub fn open(path: &Path, delimiters: &str) -> io::Result<PasswdFile> {
        let (table, stamp) = match look(path, delimiters, None, &Patience::None) {
            Look::New(table, stamp) => (table, stamp),
            Look::Unusable(why) => return Err(io::Error::other(why)),
            Look::Same | Look::Unsettled(_) => unreachable!("nothing was known, nor waited for"),
        };
        Ok(PasswdFile {
            path: path.to_owned(),
            delimiters: delimiters.to_owned(),
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
        let looked = self.looked(known.stamp.as_ref()).await;
        match looked {
            Ok(Look::Same | Look::Unsettled(_)) => known.refused = None,
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

    /// Waits a moment for whoever writes the file, not forever.
    async fn looked(&self, known: Option<&Stamp>) -> Result<Look, tokio::task::JoinError> {
        let last = Instant::now() + PASSWD_SETTLE_MAX;
        let mut seen: Option<(Stamp, Instant)> = None;
        loop {
            let quiet = seen.clone().filter(|(_, since)| since.elapsed() >= COARSE);
            let patience = match Instant::now() < last {
                true => Patience::UntilSeenAgain(quiet.map(|(stamp, _)| stamp)),
                false => Patience::None,
            };
            let (path, known) = (self.path.clone(), known.cloned());
            let delimiters = self.delimiters.clone();
            let look = move || look(&path, &delimiters, known.as_ref(), &patience);
            match tokio::task::spawn_blocking(look).await? {
                Look::Unsettled(stamp) => {
                    let again = seen.take().filter(|(before, _)| *before == stamp);
                    seen = again.or_else(|| Some((stamp, Instant::now())));
                }
                looked => return Ok(looked),
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// Whether a file is left alone while it is being written.
enum Patience {
    /// Until it is old enough and looks as it did a moment ago: one that is truncated has lost its bytes before it is young.
    UntilSeenAgain(Option<Stamp>),
    None,
}

impl Patience {
    fn ends(&self, stamp: &Stamp, is_settled: bool) -> bool {
        match self {
            Patience::UntilSeenAgain(seen) => is_settled && seen.as_ref() == Some(stamp),
            Patience::None => true,
        }
    }
}

enum Look {
    Same,
    /// It is being written, or may be.
    Unsettled(Stamp),
    /// Without a stamp when it may have changed since without a trace.
    New(Table, Option<Stamp>),
    Unusable(String),
}

fn look(path: &Path, delimiters: &str, known: Option<&Stamp>, patience: &Patience) -> Look {
    let unusable = |why: &dyn std::fmt::Display| {
        Look::Unusable(format!("auth.passwd_file {}: {why}", path.display()))
    };
    match std::fs::metadata(path) {
        Err(error) => return unusable(&error),
        Ok(found) => {
            let stamp = Stamp::of(&found);
            if known == Some(&stamp) {
                return Look::Same;
            }
            if !patience.ends(&stamp, stamp.is_settled(SystemTime::now())) {
                return Look::Unsettled(stamp);
            }
        }
    }
    let (bytes, metadata) = match read(path) {
        Ok(read) => read,
        Err(error) => return unusable(&error),
    };
    let stamp = Stamp::of(&metadata);
    let is_settled = stamp.is_settled(SystemTime::now());
    if !patience.ends(&stamp, is_settled) {
        return Look::Unsettled(stamp);
    }
    let (table, complaints) = match Table::read(&bytes, delimiters) {
        Ok(read) => read,
        Err(why) => return unusable(&why),
    };
    complain(path, &complaints);
    Look::New(table, is_settled.then_some(stamp))
}

/// At most a byte more than it may have: the reader says that it is too large.
pub(super) fn read(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    // Before it is opened: a pipe would not let go of this thread.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut file = File::open(path)?;
    let most = u64::try_from(PASSWD_FILE_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    (&mut file).take(most + 1).read_to_end(&mut bytes)?;
    // Behind the bytes: a change meanwhile makes it too young to be known.
    Ok((bytes, file.metadata()?))
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
    use std::io::Write;

    use coldpost_engine::account::AccountName;

    use super::*;

    async fn opens(file: &PasswdFile, user: &str, password: &str) -> bool {
        let name = AccountName::normalise(user).expect("a name");
        let table = file.current().await;
        let hash = table.get(&name).and_then(Result::ok);
        hash.is_some_and(|hash| hash.matches(password.as_bytes()))
    }

    #[tokio::test]
    async fn a_file_that_is_being_written_is_read_when_it_is_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("passwd");
        fs::write(&path, "anna:{PLAIN}one\nben:{PLAIN}two\n").expect("written");
        let file = PasswdFile::open(&path, "").expect("read");
        loop {
            // Truncated, and its second half later than a look.
            let begun = Instant::now();
            let mut half = File::create(&path).expect("truncated");
            half.write_all(b"anna:{PLAIN}new\nben:{PLA")
                .expect("written");
            let looks = async {
                let ben = opens(&file, "ben", "two").await;
                (ben, opens(&file, "anna", "new").await)
            };
            let rest = async {
                sleep(LOOK_AGAIN).await;
                half.write_all(b"IN}two\n").expect("written");
                begun.elapsed()
            };
            let (looked, took) = tokio::join!(looks, rest);
            // On a machine that was busy elsewhere it was no moment.
            if took < COARSE / 2 {
                assert_eq!(looked, (true, true));
                break;
            }
        }
    }

    #[test]
    fn a_file_that_lost_its_bytes_is_looked_at_twice_however_old_it_seems() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("passwd");
        fs::write(&path, "").expect("written");
        let file = File::open(&path).expect("opened");
        let found = Stamp::of(&file.metadata().expect("there"));
        let mut fuller = found.clone();
        fuller.place.2 = 20;
        let first = Patience::UntilSeenAgain(None);
        let other = Patience::UntilSeenAgain(Some(fuller));
        assert!(!first.ends(&found, true) && !other.ends(&found, true));
        let again = Patience::UntilSeenAgain(Some(found.clone()));
        assert!(again.ends(&found, true) && !again.ends(&found, false));
        assert!(Patience::None.ends(&found, false));
    }

    #[test]
    fn a_change_is_settled_when_it_is_old_or_of_a_clock_that_was_ahead() {
        let stamp = Stamp {
            place: (1, 2, 3),
            modified: (0, 0),
            changed: (1_790_000_000, 0),
        };
        let changed = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let hour = Duration::from_secs(3600);
        for (now, settled) in [
            (changed, false),
            (changed + COARSE, false),
            (changed - COARSE / 2, false),
            (changed + COARSE * 2, true),
            (changed - hour, true),
        ] {
            assert_eq!(stamp.is_settled(now), settled, "{now:?}");
        }
    }

    #[tokio::test]
    async fn a_change_is_seen_at_the_next_look_and_a_file_that_cannot_be_used_changes_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("passwd");
        let missing = PasswdFile::open(&path, "")
            .expect_err("not there")
            .to_string();
        assert!(
            missing.contains("passwd_file") && missing.contains("passwd"),
            "{missing}"
        );
        fs::write(&path, "anna:{PLAIN}one\n").expect("written");
        let file = PasswdFile::open(&path, "").expect("read");
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
