//! `DIR/users`: the passwords that `coldpost account` sets, in the format of a passwd-file, ARGON2ID.
//!
//! Promises: a line belongs to the number of an account, not to its name: after a rename it opens the same account, after a delete
//! none, whatever moment a crash chose. Written whole, synced, mode 0600. Never: holds a password.
//! A crash leaves: the file as it was or as it is to be; names in it that [`OwnUsers::settle`] puts right.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use coldpost_engine::account::AccountName;
use coldpost_engine::ids::AccountId;
use coldpost_engine::{Error, Kind, Result};
use tokio::sync::Mutex;

use super::passwd::{Complaint, Shut, lines, parse, text};
use super::passwd_file::{complain, read};
use super::scheme::Hash;
use crate::limits::{PASSWD_COMPLAINTS_MAX, PASSWD_FILE_MAX, PASSWD_USERS_MAX};

/// Its name in the data directory.
const FILE: &str = "users";

/// Our users: one value for each data directory that is served.
#[derive(Debug)]
pub struct OwnUsers {
    path: PathBuf,
    users: RwLock<Arc<Own>>,
    /// One writer at a time.
    writing: Mutex<()>,
}

/// A password, by the number of its account.
#[derive(Clone, Debug, Default)]
struct Own {
    users: BTreeMap<u64, (Box<str>, Hash)>,
    /// Why an account that has a line cannot be opened with it.
    shut: BTreeMap<u64, Shut>,
    /// Lines that are not understood: they are kept as they are.
    strange: Vec<Box<[u8]>>,
}

/// What is to become of a line.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// This password, under this name.
    Set(AccountId, AccountName, Hash),
    /// The account has another name now.
    Rename(AccountId, AccountName),
    /// The account is gone.
    Remove(AccountId),
}

impl OwnUsers {
    /// Reads the file of the data directory, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is too large; the text names it.
    pub fn open(data: &Path) -> io::Result<OwnUsers> {
        let path = data.join(FILE);
        let named = |why: &dyn std::fmt::Display| {
            io::Error::other(format!(
                "{} cannot be used: {why}; put a backup of it in its place, or move it away and set the passwords again",
                path.display()
            ))
        };
        let bytes = match read(&path) {
            Ok((bytes, _)) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(named(&error)),
        };
        let mut own = Own::default();
        let mut complaints = Vec::new();
        for (number, line) in lines(&bytes).map_err(|why| named(&why))? {
            let why = match text(line).and_then(parse) {
                Ok((found, why)) => match (found.account, found.hash) {
                    (Some(account), Some(hash)) => {
                        own.users
                            .insert(account, (found.name.as_str().into(), hash));
                        continue;
                    }
                    (Some(account), None) => {
                        let why = why.unwrap_or_default();
                        let shut = Shut {
                            line: number,
                            why: why.as_str().into(),
                        };
                        own.shut.insert(account, shut);
                        why
                    }
                    (None, _) => why.unwrap_or_else(|| "it has no field account=NUMBER".to_owned()),
                },
                Err(why) => why,
            };
            own.strange.push(line.into());
            if complaints.len() < PASSWD_COMPLAINTS_MAX {
                complaints.push(Complaint { line: number, why });
            }
        }
        complain(&path, &complaints);
        Ok(OwnUsers {
            path,
            users: RwLock::new(Arc::new(own)),
            writing: Mutex::default(),
        })
    }

    fn own(&self) -> Arc<Own> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What opens an account.
    pub(crate) fn hash(&self, account: AccountId) -> Option<Hash> {
        self.own()
            .users
            .get(&account.0)
            .map(|(_, hash)| hash.clone())
    }

    /// Why nothing opens an account that has a line.
    pub(crate) fn shut(&self, account: AccountId) -> Option<Shut> {
        self.own().shut.get(&account.0).cloned()
    }

    /// What costs as much as any of them; `None` when there is none.
    pub(crate) fn decoy(&self) -> Option<Hash> {
        self.own()
            .users
            .values()
            .next()
            .map(|(_, hash)| hash.clone())
    }

    /// Whether an account has a password of ours.
    pub(crate) fn has(&self, account: AccountId) -> bool {
        self.own().users.contains_key(&account.0)
    }

    /// Writes changes, all at once; goes on when nobody waits any more.
    ///
    /// # Errors
    /// `Limit`: too many users, or too large. `Unavailable`: the disk.
    pub(crate) async fn change(self: &Arc<OwnUsers>, changes: Vec<Change>) -> Result<()> {
        let this = Arc::clone(self);
        let work = tokio::spawn(async move {
            let _alone = this.writing.lock().await;
            let mut own = (*this.own()).clone();
            let mut is_changed = false;
            for change in changes {
                is_changed |= own.take(change);
            }
            if !is_changed {
                return Ok(());
            }
            let (path, bytes) = (this.path.clone(), own.bytes()?);
            let written = tokio::task::spawn_blocking(move || write(&path, &bytes)).await;
            let failed = |e| {
                let text = format!("{} cannot be written", this.path.display());
                Error::with_source(Kind::Unavailable, text, e)
            };
            written
                .map_err(io::Error::other)
                .flatten()
                .map_err(failed)?;
            *this.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(own);
            Ok(())
        });
        let died = |e| Error::with_source(Kind::Internal, "writing the users failed", e);
        work.await.map_err(died)?
    }

    /// Puts names right and drops lines of accounts that are gone; `name_of` knows those that are there.
    ///
    /// # Errors
    /// As [`OwnUsers::change`].
    pub(crate) async fn settle(
        self: &Arc<OwnUsers>,
        name_of: &BTreeMap<AccountId, AccountName>,
    ) -> Result<()> {
        let own = self.own();
        let changes = own.users.keys().map(|number| {
            let account = AccountId(*number);
            match name_of.get(&account) {
                Some(name) => Change::Rename(account, name.clone()),
                None => Change::Remove(account),
            }
        });
        self.change(changes.collect()).await
    }

    /// Whether there is nobody in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.own().users.is_empty()
    }
}

impl Own {
    /// Whether anything changed.
    fn take(&mut self, change: Change) -> bool {
        match change {
            Change::Set(account, name, hash) => {
                self.users.insert(account.0, (name.as_str().into(), hash));
                true
            }
            Change::Rename(account, name) => match self.users.get_mut(&account.0) {
                Some((old, _)) if **old != *name.as_str() => {
                    *old = name.as_str().into();
                    true
                }
                _ => false,
            },
            Change::Remove(account) => self.users.remove(&account.0).is_some(),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        if self.users.len() > PASSWD_USERS_MAX {
            let text = format!(
                "more than {PASSWD_USERS_MAX} accounts with passwords of ours; use auth.passwd_file or a front end"
            );
            return Err(Error::new(Kind::Limit, text));
        }
        let mut bytes = b"# Written by coldpost: see coldpost account.\n".to_vec();
        for line in &self.strange {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        for (account, (name, hash)) in &self.users {
            let line = format!("{name}:{}::::::account={account:016x}\n", hash.text());
            bytes.extend_from_slice(line.as_bytes());
        }
        if bytes.len() > PASSWD_FILE_MAX {
            let text = format!(
                "the file of users would be larger than {} MiB; use auth.passwd_file or a front end",
                PASSWD_FILE_MAX >> 20
            );
            return Err(Error::new(Kind::Limit, text));
        }
        Ok(bytes)
    }
}

/// Through another name, so that a crash leaves a whole file.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    // One that a crash left has whatever mode it has.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn name(text: &str) -> AccountName {
        AccountName::normalise(text).expect("a name")
    }

    #[tokio::test]
    async fn a_password_belongs_to_a_number_and_only_its_owner_reads_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || Arc::new(OwnUsers::open(directory.path()).expect("read"));
        let path = directory.path().join(FILE);
        let own = open();
        let hash = Hash::make(b"sesame").expect("made");
        let (anna, ben) = (AccountId(7), AccountId(u64::MAX));
        let set = |account, user: &str| Change::Set(account, name(user), hash.clone());
        let changes = vec![set(anna, "anna@example.org"), set(ben, "ben")];
        own.change(changes).await.expect("written");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(&path).expect("read");
        assert!(
            text.contains("anna@example.org:{ARGON2ID}$argon2id$")
                && text.contains("::::::account=0000000000000007\n"),
            "{text}"
        );
        assert!(
            open()
                .hash(anna)
                .is_some_and(|hash| hash.matches(b"sesame"))
        );

        // A draft that a crash left, with a mode of its own; a line of somebody else's.
        fs::write(path.with_extension("new"), "half").expect("written");
        let strange = [text.as_bytes(), b"carl:{PLAIN}x\nno name:x\n\xff\xfe\n"].concat();
        fs::write(&path, strange).expect("written");
        let own = open();
        own.change(vec![Change::Rename(anna, name("zoe")), Change::Remove(ben)])
            .await
            .expect("written");
        let text = fs::read(&path).expect("read");
        let text = text.escape_ascii().to_string();
        assert!(
            text.contains("zoe:{ARGON2ID}")
                && text.contains("carl:{PLAIN}x\\nno name:x\\n\\xff\\xfe\\n")
                && !text.contains("ben"),
            "{text}"
        );
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // What a crash between directory and file left.
        let names = BTreeMap::from([(AccountId(1), name("other"))]);
        assert!(open().has(anna) && !open().has(ben));
        own.settle(&names).await.expect("written");
        assert!(open().is_empty());
    }
}
