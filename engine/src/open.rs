//! The engine as a whole: open, ask, close.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use coldpost_tiers::address::ObjectId;
use coldpost_tiers::cache::made::{MadeCache, MadeKey};
use coldpost_tiers::cache::previews::PreviewsCache;
use coldpost_tiers::cold::ColdStore;
use coldpost_tiers::disk::Disk;
use coldpost_tiers::fetch::Fetcher;

use crate::blocking;
use crate::clock;
use crate::directory::HalfOpen;
use crate::error::{Error, Kind, Result};
use crate::ids::{AccountRef, MailboxId, ShardNo};
use crate::limits::MAIL_RESERVE;
use crate::local::LocalStore;
use crate::mail::part::{Located, filter_header, locate};
use crate::mail::{Section, SectionText};
use crate::search::SearchMemory;
use crate::settings::{MinFree, Settings};
use crate::shard::Shard;
use crate::text::KeptFrames;
use crate::turns::Turns;
use crate::upkeep::{Progress, Upkeep};
use crate::view::budget::Budget;
use crate::view::{BodyReader, Entry, MailboxView, Message, SectionReader, mailbox, message};

/// Of a small disk the reserve for mail is this part (`MAIL_RESERVE`).
const MAIL_RESERVE_SHARE: u64 = 16;

/// The store, opened. Cheap to clone; the last clone does not close it: `close` does.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) disk: Arc<dyn Disk>,
    /// By number; 0 is the directory.
    pub(crate) shards: Vec<Arc<Shard>>,
    pub(crate) cold: ColdStore,
    pub(crate) fetcher: Fetcher,
    pub(crate) local: Arc<LocalStore>,
    /// Seconds since 1970.
    pub(crate) started: i64,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) upkeep: Mutex<Option<Upkeep>>,
    /// One account is opened at a time, so that a name is never opened twice; at most one a shard is left half open.
    pub(crate) opening: tokio::sync::Mutex<BTreeMap<ShardNo, HalfOpen>>,
    /// An account's change stopped between two steps: upkeep goes on with it.
    pub(crate) unfinished: tokio::sync::Notify,
    /// Searches that read bodies hold a share of it, and who sorts and threads.
    pub(crate) search_memory: SearchMemory,
    /// The first words of messages that were listed.
    pub(crate) previews: PreviewsCache,
    /// Keys that SORT and THREAD asked for.
    pub(crate) made: MadeCache<MadeKey>,
    /// Unpacked frames of text.
    pub(crate) kept_text: Arc<KeptFrames>,
    /// Frames that readers of bodies hold ahead of themselves.
    pub(crate) read_ahead: Arc<Budget>,
    /// What only one does at a time.
    pub(crate) turns: Turns,
    /// Held for as long as the data directory is ours.
    pub(crate) lock: std::fs::File,
}

/// Whether it can do its work; for /healthz, /readyz and `status`.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Mail can be taken and read.
    pub ready: bool,
    /// What is wrong, in words, worst first.
    pub problems: Vec<String>,
    /// Numbers for `status`: name and value (positions, bytes, counts), in a fixed order.
    pub figures: Vec<(String, String)>,
}

impl Engine {
    /// Stops upkeep, syncs, closes. Waiting writers get `Closed`.
    pub async fn close(&self) {
        let upkeep = self
            .inner
            .upkeep
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(upkeep) = upkeep {
            upkeep.stop().await;
        }
        for shard in &self.inner.shards {
            shard.shut();
        }
        // It ends with its next message; what it wrote and did not confirm is deleted at the next start.
        drop(self.inner.turns.compacting.take().await);
        {
            let _following = self.inner.turns.following.take().await;
            for shard in self.mail_shards() {
                shard.text.close();
            }
        }
        drop(self.inner.turns.indexing.take().await);
        let threads = std::mem::take(
            &mut *self
                .inner
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().filter_map(|t| t.join().err()).count()
        });
        if joined.await.is_ok_and(|panicked| panicked > 0) {
            tracing::error!("a thread of the store ended with a panic");
        }
        for shard in &self.inner.shards {
            shard.hot.close(&shard.dir.join("hot.redb"));
        }
        // The lock goes with the file; a failure here cannot harm anybody else.
        drop(self.inner.lock.unlock());
    }

    /// What was asked of the object store within the last day; asks it nothing.
    pub fn bucket_usage(&self) -> crate::cold::Usage {
        self.inner.cold.usage()
    }

    /// Whether it can do its work.
    pub fn health(&self) -> Health {
        let inner = &self.inner;
        let mut health = Health {
            ready: true,
            ..Health::default()
        };
        for shard in &inner.shards {
            if let Some(why) = shard.down() {
                health.ready = false;
                health.problems.push(format!("shard {}: {why}", shard.no.0));
            }
            if shard.hot.is_damaged() {
                health.problems.push(format!(
                    "the hot tier of shard {} is damaged: some mailboxes cannot be read; restart, and it is made anew from the journal",
                    shard.no.0
                ));
            }
            let figures = [
                ("durable", shard.durable().0),
                ("applied", shard.applied().0),
                ("hot_durable", shard.hot_durable().0),
            ];
            for (name, position) in figures {
                crate::metrics::position(shard.no.0, name, position);
                health
                    .figures
                    .push((format!("shard {} {name}", shard.no.0), position.to_string()));
            }
        }
        if let Err(e) = self.room() {
            health.ready = false;
            health.problems.push(e.to_string());
        }
        let alone = match inner.cold.answers() {
            true => "nothing is uploaded until it does, mail is read from the other store",
            false => "mail is taken and kept here",
        };
        let away = inner.cold.away().into_iter();
        let away = away.map(|url| format!("the object store {url} does not answer; {alone}"));
        health.problems.extend(away);
        if let Some(cache) = inner.fetcher.disk() {
            let bytes = cache.bytes().to_string();
            health
                .figures
                .push(("bytes of the disk cache".to_owned(), bytes));
        }
        if let Some(upkeep) = inner
            .upkeep
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
        {
            upkeep.report(self, &mut health);
        }
        health
    }

    /// Whether the disk has room for mail.
    ///
    /// # Errors
    /// `Unavailable`: says how much is free and how much must be.
    pub fn room(&self) -> Result<()> {
        let Some(Space { free, wanted, who }) = Space::of(self.settings()) else {
            return Ok(());
        };
        if free >= wanted {
            return Ok(());
        }
        let (free, wanted) = apart(free, wanted);
        let data = self.inner.settings.data.display();
        let text =
            format!("{data} has {free} free, {who} {wanted}: no mail is taken until there is room");
        Err(Error::no_room(text))
    }

    /// Bytes of the data disk that mail may take before it is refused; all there are when the disk cannot say.
    pub fn room_left(&self) -> u64 {
        let left = |space: Space| space.free.saturating_sub(space.wanted);
        Space::of(self.settings()).map_or(u64::MAX, left)
    }

    /// Whether upkeep uploads what there is of a shard, and these objects of it.
    ///
    /// # Errors
    /// `Unavailable`: says why not; `Closed`.
    pub(crate) fn uploads_run(&self, shard: ShardNo, needed: &[ObjectId]) -> Result<()> {
        let upkeep = self.inner.upkeep.lock();
        match upkeep.unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(upkeep) => upkeep
                .uploads_run(shard)
                .and_then(|()| upkeep.will_upload(shard, needed)),
            None => Err(Error::new(Kind::Closed, "the store is shutting down")),
        }
    }

    /// What upkeep says of itself, while it runs.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        let upkeep = self.inner.upkeep.lock();
        let upkeep = upkeep.unwrap_or_else(PoisonError::into_inner);
        upkeep.as_ref().map(Upkeep::progress)
    }

    /// For how long uploads of a shard have failed without one that did not, and why.
    pub(crate) fn upload_trouble(&self, shard: ShardNo) -> Option<(Duration, String)> {
        let upkeep = self.inner.upkeep.lock();
        let upkeep = upkeep.unwrap_or_else(PoisonError::into_inner);
        upkeep.as_ref()?.upload_trouble(shard)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.inner.disk)
    }

    pub(crate) fn shard(&self, shard: ShardNo) -> Result<Arc<Shard>> {
        let known = self.inner.shards.get(usize::from(shard.0)).cloned();
        known.ok_or_else(|| Error::new(Kind::Internal, format!("there is no shard {}", shard.0)))
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.inner.settings.data
    }

    /// How many messages of a mailbox are \Recent for a session that would select it now (STATUS RECENT).
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` after an I/O error.
    pub fn recent(&self, account: AccountRef, mailbox: MailboxId) -> Result<u32> {
        let shard = self.shard(account.shard)?;
        let state = shard.hot.read()?;
        let gone = || Error::new(Kind::NotFound, "the mailbox is not there any more");
        let row = mailbox::mailbox_row(&state, account, mailbox)?.ok_or_else(gone)?;
        let first =
            mailbox::first_recent(&state, account, mailbox, self.inner.started, row.uid_next)?;
        let from = shard
            .registry
            .recent_from(account.number, mailbox, || first);
        let uids = mailbox::uid_set(&shard, &state, account, mailbox, &row)?;
        Ok(uids
            .intersection(&crate::uidset::UidSet::from_ranges([(from, u32::MAX)]))
            .len())
    }

    /// Opens a mailbox for one session. `read_write` takes \Recent.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` after an I/O error.
    pub fn select(&self, account: AccountRef, name: &str, read_write: bool) -> Result<MailboxView> {
        let shard = self.shard(account.shard)?;
        let id = mailbox::mailbox_id(&shard.hot.read()?, account, name)?;
        MailboxView::open(&shard, account, id, read_write, self.inner.started)
    }

    /// The rows of entries that a view shows, in their order, from the hot tier: each, or why it cannot be read (`Corrupt`). Of at most a few
    /// hundred entries the first ones, at least one, that are not over [`crate::limits::ROWS_BYTES_MAX`]: ask again for the rest.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error; `Corrupt` where the hot tier itself cannot be read.
    pub fn messages(&self, account: AccountRef, entries: &[Entry]) -> Result<Vec<Result<Message>>> {
        let state = self.shard(account.shard)?.hot.read()?;
        let ids: Vec<_> = entries.iter().map(|entry| entry.message).collect();
        message::read(&state, account, &ids)
    }

    /// A reader of raw ranges.
    ///
    /// # Errors
    /// `Corrupt` when the message names a blob that is not known.
    pub fn body(&self, message: &Message) -> Result<BodyReader> {
        let shard = self.shard(message.account.shard)?;
        BodyReader::new(
            self.inner.fetcher.clone(),
            Arc::clone(&self.inner.read_ahead),
            &shard,
            message,
        )
    }

    /// A reader that leaves the caches alone.
    ///
    /// # Errors
    /// As [`Engine::body`].
    pub(crate) fn body_aside(&self, message: &Message) -> Result<BodyReader> {
        let shard = self.shard(message.account.shard)?;
        BodyReader::new(
            self.inner.fetcher.aside(),
            Arc::clone(&self.inner.read_ahead),
            &shard,
            message,
        )
    }

    /// A section, or `partial` (offset, count) of it; `None` when the part is not there (NIL). Main fields come from the hot row.
    ///
    /// # Errors
    /// As [`BodyReader::read`].
    pub async fn section(
        &self,
        message: &Message,
        section: &Section,
        partial: Option<(u64, u64)>,
    ) -> Result<Option<SectionReader>> {
        let row = &message.row;
        if let SectionText::HeaderFields(names) = &section.text
            && section.is_main_fields()
            && row.main_fields_complete()
        {
            let bytes = filter_header(row.main_fields(), names, true);
            return Ok(Some(SectionReader::memory(cut(bytes, partial))));
        }
        match locate(&row.parts()?, section) {
            Located::Absent => Ok(None),
            Located::Range(range) => {
                let range = match partial {
                    None => range,
                    Some((offset, count)) => {
                        let start = range.start.saturating_add(offset).min(range.end);
                        start..start.saturating_add(count).min(range.end)
                    }
                };
                Ok(Some(SectionReader::body(self.body(message)?, range)))
            }
            // No blank line either, where a nested message has no header (RFC 3501, 6.4.5), as with Dovecot.
            Located::Filtered(range, ..) if range.is_empty() && !section.path.is_empty() => {
                Ok(Some(SectionReader::memory(Bytes::new())))
            }
            Located::Filtered(range, names, keep) => {
                let header = self.bytes(message, range).await?;
                // A header may have millions of lines: not on a thread that serves others.
                let filtering = move || Ok(filter_header(&header, &names, keep));
                let filtered = blocking::run("reading a header", filtering).await?;
                Ok(Some(SectionReader::memory(cut(filtered, partial))))
            }
        }
    }

    /// A raw range as a whole, for headers and searches.
    pub(crate) async fn bytes(
        &self,
        message: &Message,
        range: std::ops::Range<u64>,
    ) -> Result<Vec<u8>> {
        whole(&self.body(message)?, range).await
    }

    /// All of a message, and leaves the caches alone.
    pub(crate) async fn bytes_aside(&self, message: &Message) -> Result<Vec<u8>> {
        whole(&self.body_aside(message)?, 0..message.size).await
    }

    /// Seconds since 1970 when this process opened the store.
    pub fn started(&self) -> i64 {
        self.inner.started
    }

    /// The directory's shards that hold mail.
    pub(crate) fn mail_shards(&self) -> &[Arc<Shard>] {
        self.inner.shards.get(1..).unwrap_or_default()
    }

    /// The time, in seconds: what a message that comes now is dated.
    pub fn now(&self) -> i64 {
        clock::now_s()
    }
}

async fn whole(reader: &BodyReader, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let piece = reader.read(at, range.end).await?;
        at += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// The data disk, in bytes.
pub(crate) struct Space {
    pub(crate) free: u64,
    /// What must be free for mail to be taken.
    pub(crate) wanted: u64,
    /// Who wants that.
    who: &'static str,
}

impl Space {
    /// As the settings want it; `None`: the disk cannot say.
    pub(crate) fn of(settings: &Settings) -> Option<Space> {
        let stat = rustix::fs::statvfs(&settings.data).ok()?;
        let total = stat.f_blocks.saturating_mul(stat.f_frsize);
        let set = match settings.min_free {
            MinFree::Bytes(bytes) => bytes,
            MinFree::Percent(percent) => share(total, percent),
        };
        let reserve = MAIL_RESERVE.min(total / MAIL_RESERVE_SHARE);
        Some(Space {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            wanted: set.max(reserve),
            who: if set >= reserve {
                "[hot] min_free wants"
            } else {
                "its journal needs"
            },
        })
    }
}

/// Two sizes that differ, in the largest unit that shows it.
fn apart(free: u64, wanted: u64) -> (String, String) {
    let units = [(20, "MiB"), (10, "KiB")];
    let differs = |(shift, _): &(u32, &str)| free >> shift != wanted >> shift;
    let (shift, unit) = units.into_iter().find(differs).unwrap_or((0, "bytes"));
    let shown = |bytes: u64| format!("{} {unit}", bytes >> shift);
    (shown(free), shown(wanted))
}

fn cut(bytes: Vec<u8>, partial: Option<(u64, u64)>) -> bytes::Bytes {
    let bytes = bytes::Bytes::from(bytes);
    let Some((offset, count)) = partial else {
        return bytes;
    };
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
    let start = at(offset);
    bytes.slice(start..at(offset.saturating_add(count)).max(start))
}

/// `percent` of `total`, rounded down to whole thousandths of it.
fn share(total: u64, percent: f64) -> u64 {
    let thousandths = (percent.clamp(0.0, 100.0) * 1000.0).round();
    let thousandths = format!("{thousandths:.0}").parse::<u64>().unwrap_or(0);
    total / 100_000 * thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It said that 4 MiB were free and 4 MiB were wanted.
    #[test]
    fn what_is_free_and_what_is_wanted_are_told_apart() {
        let told = |free: u64, wanted: u64| {
            let (free, wanted) = apart(free, wanted);
            format!("{free} of {wanted}")
        };
        assert_eq!(told(3 << 20, 5 << 20), "3 MiB of 5 MiB");
        assert_eq!(
            told((4 << 20) + 1024, (4 << 20) + 4096),
            "4097 KiB of 4100 KiB"
        );
        assert_eq!(told(4095, 4096), "3 KiB of 4 KiB");
        assert_eq!(told(4096, 4097), "4096 bytes of 4097 bytes");
    }
}
