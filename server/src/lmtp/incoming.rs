//! A message while it comes in: in memory while it is small and quick, else in a file that has no name.
//!
//! Promises: holds memory only as far as the budget gave it, and disk as far as there is room; what is refused gives both back at once. Waits for the budget only when it holds nothing of it, so
//! sessions cannot block each other, and a slow client's message lies on disk. A crash leaves nothing behind: the file has no name.
//! Never: fails while the message comes in: what went wrong is said at its end, when a reply is due.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use coldpost_engine::{Error, Kind};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::limits::{IN_MEMORY_MAX, SHARE_STEP, SHARE_WAIT};
use super::room::{Held, Room};
use crate::budget::{Budget, Share};

/// Where messages wait for their end: shared by all sessions.
#[derive(Clone, Debug)]
pub struct Spool {
    /// Message bytes in memory, all sessions together.
    pub budget: Budget,
    /// The directory of spool files.
    pub directory: Arc<PathBuf>,
    /// What they may hold.
    pub room: Room,
}

/// One message that comes in.
pub(crate) struct Incoming {
    spool: Spool,
    place: Place,
    len: usize,
}

enum Place {
    Memory {
        bytes: Vec<u8>,
        granted: usize,
        share: Option<Share>,
    },
    File(File, Held),
    Failed(Error),
}

impl Incoming {
    /// An empty message.
    pub(crate) fn new(spool: Spool) -> Incoming {
        Incoming {
            spool,
            place: Place::Memory {
                bytes: Vec::new(),
                granted: 0,
                share: None,
            },
            len: 0,
        }
    }

    /// Whether it lies in memory.
    pub(crate) fn in_memory(&self) -> bool {
        matches!(self.place, Place::Memory { .. })
    }

    /// Appends bytes.
    pub(crate) async fn push(&mut self, chunk: &[u8]) {
        self.len += chunk.len();
        if let Place::Memory {
            bytes,
            granted,
            share,
        } = &mut self.place
        {
            if grant(&self.spool.budget, self.len, granted, share) {
                bytes.extend_from_slice(chunk);
                return;
            }
            self.spill().await;
        }
        if let Place::File(file, held) = &mut self.place {
            if !held.grow(self.len) {
                self.place = Place::Failed(no_room());
            } else if let Err(error) = file.write_all(chunk).await {
                self.place = Place::Failed(spool_error(error));
            }
        }
    }

    /// Moves what is in memory to a file and gives the memory back.
    pub(crate) async fn spill(&mut self) {
        let Place::Memory { bytes, .. } = &self.place else {
            return;
        };
        let mut held = self.spool.room.none();
        let written = async {
            if !held.grow(bytes.len()) {
                return Err(no_room());
            }
            let directory = Arc::clone(&self.spool.directory);
            let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(&*directory));
            let file = file.await.map_err(std::io::Error::other).flatten();
            let mut file = File::from_std(file.map_err(spool_error)?);
            file.write_all(bytes).await.map_err(spool_error)?;
            Ok(file)
        };
        self.place = match written.await {
            Ok(file) => Place::File(file, held),
            Err(error) => Place::Failed(error),
        };
    }

    /// The whole message, with the share of the budget that it holds until the share is dropped.
    ///
    /// # Errors
    /// `Limit` when memory or the spool's disk is short.
    pub(crate) async fn finish(self) -> Result<(Bytes, Option<Share>), Error> {
        match self.place {
            Place::Memory { bytes, share, .. } => Ok((Bytes::from(bytes), share)),
            Place::Failed(error) => Err(error),
            Place::File(mut file, _held) => {
                let share = self.spool.budget.take(self.len, SHARE_WAIT).await.ok_or_else(|| {
                    let seconds = SHARE_WAIT.as_secs();
                    Error::new(Kind::Limit, format!("no share of mail.memory came free within {seconds} s; raise mail.memory"))
                })?;
                let mut bytes = Vec::with_capacity(self.len);
                let read = async {
                    file.flush().await?;
                    file.seek(SeekFrom::Start(0)).await?;
                    file.read_to_end(&mut bytes).await
                };
                read.await.map_err(spool_error)?;
                Ok((Bytes::from(bytes), Some(share)))
            }
        }
    }
}

/// Whether the budget lets a message of `len` bytes stay in memory; asks for more in steps.
fn grant(budget: &Budget, len: usize, granted: &mut usize, share: &mut Option<Share>) -> bool {
    if len <= *granted {
        return true;
    }
    let wanted = len.next_multiple_of(SHARE_STEP);
    if wanted > IN_MEMORY_MAX {
        return false;
    }
    let Some(more) = budget.try_take(wanted - *granted) else {
        return false;
    };
    match share {
        Some(share) => share.join(more),
        None => *share = Some(more),
    }
    *granted = wanted;
    true
}

fn no_room() -> Error {
    let text = "messages that are coming in would leave too little room on the disk of the data directory; make room, or lower [hot] min_free";
    Error::new(Kind::Limit, text)
}

fn spool_error(error: std::io::Error) -> Error {
    Error::with_source(
        Kind::Limit,
        "the spool in the data directory cannot be used; look at its disk",
        error,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(directory: &tempfile::TempDir, budget: u64) -> Spool {
        Spool {
            budget: Budget::new(budget),
            directory: Arc::new(directory.path().to_owned()),
            room: Room::new(|| u64::MAX),
        }
    }

    async fn receive(incoming: &mut Incoming, size: usize) -> Vec<u8> {
        let message: Vec<u8> = (0..size)
            .map(|n| u8::try_from(n % 251).expect("small"))
            .collect();
        for chunk in message.chunks(30_000) {
            incoming.push(chunk).await;
        }
        message
    }

    #[tokio::test]
    async fn small_and_large_messages_come_out_as_they_went_in() {
        let directory = tempfile::tempdir().expect("a directory");
        for size in [
            0,
            1,
            SHARE_STEP,
            IN_MEMORY_MAX,
            IN_MEMORY_MAX + 1,
            3 * IN_MEMORY_MAX,
        ] {
            let spool = spool(&directory, 8 << 20);
            let mut incoming = Incoming::new(spool.clone());
            let message = receive(&mut incoming, size).await;
            assert_eq!(incoming.in_memory(), size <= IN_MEMORY_MAX, "{size}");
            let (bytes, share) = incoming.finish().await.expect("stored");
            assert!(bytes == message, "{size}");
            drop(share);
            assert_eq!(spool.budget.free(), 8 << 20);
        }
        assert_eq!(
            std::fs::read_dir(directory.path())
                .expect("readable")
                .count(),
            0
        );
    }

    #[tokio::test]
    async fn a_slow_message_gives_its_memory_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let spool = spool(&directory, 1 << 20);
        let mut incoming = Incoming::new(spool.clone());
        let message = receive(&mut incoming, 200_000).await;
        assert!(spool.budget.free() < 1 << 20);
        incoming.spill().await;
        assert_eq!(spool.budget.free(), 1 << 20);
        assert!(incoming.finish().await.expect("stored").0 == message);
    }

    #[tokio::test]
    async fn a_message_that_finds_no_room_gives_back_what_it_held() {
        let directory = tempfile::tempdir().expect("a directory");
        let spool = Spool {
            room: Room::on_disk_of(6 << 20),
            ..spool(&directory, 8 << 20)
        };
        let mut other = Incoming::new(spool.clone());
        let message = receive(&mut other, 3 << 20).await;
        let mut refused = Incoming::new(spool.clone());
        receive(&mut refused, 2 << 20).await;
        let mut small = Incoming::new(spool.clone());
        let small_message = receive(&mut small, 500_000).await;
        let mut next = Incoming::new(spool);
        assert!(other.finish().await.expect("kept").0 == message);
        receive(&mut next, 4 << 20).await;
        next.finish().await.expect("there is room again");
        assert!(small.finish().await.expect("in memory").0 == small_message);
        let error = refused.finish().await.expect_err("no room");
        assert_eq!(error.kind(), Kind::Limit);
    }

    #[tokio::test(start_paused = true)]
    async fn without_memory_or_disk_the_end_says_that_it_is_short() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut no_memory = Incoming::new(spool(&directory, 1024));
        receive(&mut no_memory, 5_000).await;
        assert_eq!(
            no_memory.finish().await.expect_err("short").kind(),
            Kind::Limit
        );
        let mut no_disk = Incoming::new(Spool {
            budget: Budget::new(0),
            directory: Arc::new(directory.path().join("missing")),
            room: Room::new(|| u64::MAX),
        });
        receive(&mut no_disk, 5_000).await;
        assert_eq!(
            no_disk.finish().await.expect_err("short").kind(),
            Kind::Limit
        );
    }
}
