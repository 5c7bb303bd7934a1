//! The messages of an APPEND while they arrive: few octets in memory, more in one nameless file, so that a slow client holds
//! nothing that others wait for.
//!
//! A crash leaves: at most an empty-handed file name in the spool directory between making and unlinking it.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use coldpost_engine::ids::AccountId;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::limits::{IMAP_APPEND_IN_MEMORY, IMAP_APPENDS_IN_MEMORY, IMAP_INPUT_BUFFER};
use crate::places::{Place, Places};

static NUMBER: AtomicU64 = AtomicU64::new(0);
/// One for each message that may be in memory while it arrives. Nobody waits for one.
static IN_MEMORY: Semaphore = Semaphore::const_new(IMAP_APPENDS_IN_MEMORY / IMAP_APPEND_IN_MEMORY);

/// Messages of one APPEND, one behind the other, that are not whole yet.
pub(crate) struct Spool<'a> {
    directory: &'a Path,
    files: Files<'a>,
    memory: Vec<u8>,
    /// Lets it be in memory.
    place: Option<SemaphorePermit<'static>>,
    file: Option<SpoolFile>,
    size: u64,
}

/// Which files may be there at a time.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    /// One for each.
    pub(crate) all: &'a Arc<Semaphore>,
    /// Those of each account.
    pub(crate) of_account: &'a Places<AccountId>,
    /// Whose they are.
    pub(crate) account: AccountId,
}

/// A nameless file and its place among them.
struct SpoolFile {
    file: File,
    _place: (OwnedSemaphorePermit, Place<AccountId>),
}

/// As many files are there as may be, of all or of the account.
#[derive(Debug, thiserror::Error)]
#[error("too many large messages are arriving at once; try again")]
pub(crate) struct NoFileFree;

/// Whole messages, to be taken into memory one by one.
pub(crate) struct Whole {
    memory: Bytes,
    _place: Option<SemaphorePermit<'static>>,
    file: Option<SpoolFile>,
}

/// A whole message with its share of the memory for messages; the share goes back when this is dropped.
pub(crate) struct Spooled {
    pub(crate) message: Bytes,
    _share: OwnedSemaphorePermit,
}

impl Files<'_> {
    fn take(&self) -> Option<(OwnedSemaphorePermit, Place<AccountId>)> {
        let of_account = self.of_account.take(self.account)?;
        let of_all = Arc::clone(self.all).try_acquire_owned().ok()?;
        Some((of_all, of_account))
    }
}

impl<'a> Spool<'a> {
    pub(crate) fn new(directory: &'a Path, files: Files<'a>) -> Spool<'a> {
        Spool {
            directory,
            files,
            memory: Vec::new(),
            place: IN_MEMORY.try_acquire().ok(),
            file: None,
            size: 0,
        }
    }

    /// Adds octets of messages that have `whole` octets as far as they were announced.
    ///
    /// # Errors
    /// [`NoFileFree`]; those of the disk.
    pub(crate) async fn write(&mut self, octets: &[u8], whole: u64) -> io::Result<()> {
        self.size = self
            .size
            .saturating_add(u64::try_from(octets.len()).unwrap_or(u64::MAX));
        let fits = self.memory.len() + octets.len() <= IMAP_APPEND_IN_MEMORY;
        // What one read brought is there already.
        let is_all = self.size == whole && octets.len() <= IMAP_INPUT_BUFFER;
        if self.file.is_none() && (self.place.is_some() && fits || is_all && self.memory.is_empty())
        {
            self.memory.extend_from_slice(octets);
            return Ok(());
        }
        if self.file.is_none() {
            let place = self
                .files
                .take()
                .ok_or_else(|| io::Error::other(NoFileFree))?;
            let mut file = nameless(self.directory).await?;
            file.write_all(&self.memory).await?;
            (self.memory, self.place) = (Vec::new(), None);
            self.file = Some(SpoolFile {
                file,
                _place: place,
            });
        }
        match &mut self.file {
            Some(SpoolFile { file, .. }) => file.write_all(octets).await,
            None => Ok(()),
        }
    }

    /// Octets so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Everything has come.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) async fn finish(self) -> io::Result<Whole> {
        let mut file = self.file;
        if let Some(SpoolFile { file, .. }) = &mut file {
            file.flush().await?;
            file.seek(SeekFrom::Start(0)).await?;
        }
        Ok(Whole {
            memory: Bytes::from(self.memory),
            _place: self.place,
            file,
        })
    }
}

impl Whole {
    /// Waits for the share of `memory`, which began with `memory_kib`, of the next message, which has `size` octets, and takes it into
    /// memory.
    ///
    /// # Errors
    /// Those of the disk; `UnexpectedEof` when fewer octets are left.
    pub(crate) async fn next(
        &mut self,
        size: u64,
        memory: &Arc<Semaphore>,
        memory_kib: u32,
    ) -> io::Result<Spooled> {
        let share = u32::try_from(size.div_ceil(1024))
            .unwrap_or(u32::MAX)
            .clamp(1, memory_kib.max(1));
        let share = Arc::clone(memory)
            .acquire_many_owned(share)
            .await
            .map_err(io::Error::other)?;
        let octets = usize::try_from(size).map_err(io::Error::other)?;
        let message = match &mut self.file {
            None if octets > self.memory.len() => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => self.memory.split_to(octets),
            Some(SpoolFile { file, .. }) => {
                let mut message = vec![0; octets];
                file.read_exact(&mut message).await?;
                Bytes::from(message)
            }
        };
        Ok(Spooled {
            message,
            _share: share,
        })
    }
}

/// A file that goes away by itself.
async fn nameless(directory: &Path) -> io::Result<File> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = directory.join(format!("append-{}-{number}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .await?;
    fs::remove_file(&path).await?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More is to come.
    const LATER: u64 = u64::MAX;

    struct Free {
        all: Arc<Semaphore>,
        of_account: Places<AccountId>,
    }

    impl Free {
        /// So many, and half of them for an account.
        fn new(files: usize) -> Free {
            Free {
                all: Arc::new(Semaphore::new(files)),
                of_account: Places::new(files.div_ceil(2)),
            }
        }

        fn files(&self, account: u64) -> Files<'_> {
            Files {
                all: &self.all,
                of_account: &self.of_account,
                account: AccountId(account),
            }
        }
    }

    async fn spooled(sizes: &[usize], memory: &Arc<Semaphore>) -> Spooled {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let free = Free::new(1);
        let mut spool = Spool::new(directory.path(), free.files(1));
        for (number, size) in sizes.iter().enumerate() {
            let octet = u8::try_from(number % 250).expect("below 250");
            spool
                .write(&vec![octet; *size], LATER)
                .await
                .expect("the disk works");
        }
        assert_eq!(
            std::fs::read_dir(directory.path())
                .expect("readable")
                .count(),
            0,
            "no name is left"
        );
        let size = spool.size();
        let mut whole = spool.finish().await.expect("the disk works");
        let first = whole.next(size, memory, 96 * 1024).await;
        assert!(whole.next(1, memory, 96 * 1024).await.is_err(), "no more");
        first.expect("the disk works")
    }

    #[tokio::test]
    async fn small_and_large_messages_come_back_as_they_came() {
        let memory = Arc::new(Semaphore::new(96 * 1024));
        for sizes in [&[][..], &[3, 4], &[IMAP_APPEND_IN_MEMORY, 1], &[1000; 300]] {
            let got = spooled(sizes, &memory).await;
            let wanted: Vec<u8> = sizes
                .iter()
                .enumerate()
                .flat_map(|(n, size)| vec![u8::try_from(n % 250).expect("below 250"); *size])
                .collect();
            assert_eq!(got.message, wanted);
        }
    }

    #[tokio::test]
    async fn where_too_many_arrive_at_once_the_next_goes_through_a_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let memory = Arc::new(Semaphore::new(96 * 1024));
        let free = Free::new(1_000);
        let most = IMAP_APPENDS_IN_MEMORY / IMAP_APPEND_IN_MEMORY;
        let mut arriving: Vec<Spool<'_>> = Vec::new();
        for _ in 0..=most {
            let mut spool = Spool::new(directory.path(), free.files(1));
            spool
                .write(b"a message", LATER)
                .await
                .expect("the disk works");
            arriving.push(spool);
        }
        let in_memory = arriving.iter().filter(|spool| spool.file.is_none());
        assert!(in_memory.count() <= most);
        for spool in arriving {
            let mut whole = spool.finish().await.expect("the disk works");
            let got = whole.next(9, &memory, 96 * 1024).await;
            assert_eq!(got.expect("the disk works").message, &b"a message"[..]);
        }
    }

    #[tokio::test]
    async fn messages_one_behind_the_other_come_back_one_by_one() {
        let memory = Arc::new(Semaphore::new(96 * 1024));
        for sizes in [[3, 5, 1], [IMAP_APPEND_IN_MEMORY, 70_000, 2]] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let free = Free::new(1);
            let mut spool = Spool::new(directory.path(), free.files(1));
            for (octet, size) in (1..).zip(sizes) {
                let message = vec![octet; size];
                spool.write(&message, LATER).await.expect("the disk works");
            }
            let mut whole = spool.finish().await.expect("the disk works");
            for (octet, size) in (1..).zip(sizes) {
                let octets = u64::try_from(size).expect("small");
                let got = whole.next(octets, &memory, 96 * 1024).await;
                assert_eq!(got.expect("the disk works").message, vec![octet; size]);
            }
        }
    }

    #[tokio::test]
    async fn a_message_holds_its_share_of_the_memory_while_it_lives() {
        let memory = Arc::new(Semaphore::new(96 * 1024));
        let got = spooled(&[5000], &memory).await;
        assert_eq!(memory.available_permits(), 96 * 1024 - 5);
        drop(got);
        assert_eq!(memory.available_permits(), 96 * 1024);
    }

    #[tokio::test]
    async fn a_message_larger_than_all_memory_takes_all_of_it() {
        let memory = Arc::new(Semaphore::new(2));
        let directory = tempfile::tempdir().expect("a temporary directory");
        let free = Free::new(1);
        let mut spool = Spool::new(directory.path(), free.files(1));
        spool
            .write(&[1; 10_000], LATER)
            .await
            .expect("the disk works");
        let mut whole = spool.finish().await.expect("the disk works");
        let got = whole
            .next(10_000, &memory, 2)
            .await
            .expect("the disk works");
        assert_eq!((got.message.len(), memory.available_permits()), (10_000, 0));
    }

    #[tokio::test]
    async fn a_message_that_finds_no_file_free_is_refused_and_one_that_is_over_frees_its_own() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let free = Free::new(2);
        let large = vec![1; IMAP_APPEND_IN_MEMORY + 1];
        let mut first = Spool::new(directory.path(), free.files(1));
        first.write(&large, LATER).await.expect("the disk works");
        // One account does not take them all, and all together take no more than there are.
        let mut second = Spool::new(directory.path(), free.files(1));
        let mut other = Spool::new(directory.path(), free.files(2));
        other.write(&large, LATER).await.expect("the disk works");
        let mut third = Spool::new(directory.path(), free.files(3));
        for spool in [&mut second, &mut third] {
            let refused = spool.write(&large, LATER).await;
            let refused = refused.expect_err("no file is free");
            assert!(refused.get_ref().is_some_and(|e| e.is::<NoFileFree>()));
        }
        // What has come whole with one read wants none.
        let mut small = Spool::new(directory.path(), free.files(3));
        small.place = None;
        small.write(&[1; 100], 100).await.expect("the disk works");
        let whole = first.finish().await.expect("the disk works");
        assert_eq!(free.all.available_permits(), 0, "it is still there");
        drop(whole);
        second.write(&large, LATER).await.expect("the disk works");
    }
}
