//! A hot tier for the time of a verification, made from all that can be read of a journal, so that victims have names.
//!
//! Promises: goes on behind what no copy gives, and says which entries these are. Never: takes an entry from bytes that do not fit, but for
//! one whose mail is damaged and whose head is not; leaves a file behind.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use coldpost_tiers::address::Extent;
use coldpost_tiers::hot::HotTier;
use coldpost_tiers::object::ObjectHeader;
use coldpost_tiers::segment::Record as Stored;
use tokio::runtime::Handle;

use super::lane::{End, Lane, Look};
use super::{Event, Summary, Unchecked, Whose, damage, in_full, unchecked};
use crate::apply::{At, Fold};
use crate::blocking;
use crate::error::Result;
use crate::ids::{Position, ShardNo};
use crate::journal::Record;
use crate::journal::embedded::decode_record;
use crate::limits::REPLAY_BATCH_BYTES;
use crate::local::shard_dir;
use crate::op::{Add, Op};
use crate::shard::{flush_entries, random_id};

/// Name of the file while it is made; it loses it at once.
const FILE: &str = "verify.redb";

/// Entries that no copy gives: the first and the last one, and the copy that should.
struct Lost {
    first: Position,
    last: Position,
    object: Option<String>,
}

impl Lost {
    fn what(&self, shard: ShardNo) -> String {
        format!(
            "entry {} of shard {} (and all up to entry {}) is in no copy that can be read: what these entries changed is not known, \
             and the UIDs that are named of later messages may be too low",
            self.first.0, shard.0, self.last.0
        )
    }
}

/// Makes it and tells what it could not be made from; `None` when there is no place for it.
///
/// # Errors
/// `Internal` when we failed.
pub(super) async fn aside(
    whose: &Whose<'_>,
    shard: ShardNo,
    cache: usize,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) -> Result<Option<HotTier>> {
    let dir = shard_dir(&whose.settings.data, shard);
    let lanes = vec![local(whose, shard), stored(whose, shard).await];
    let work = move || Making::behind(nameless(&dir, cache)?, lanes)?.run();
    let made = match blocking::run("making a hot tier", work).await {
        Ok(made) => made,
        Err(e) => {
            let what = Unchecked {
                object: super::hot_name(shard),
                what: format!(
                    "none can be made for this, so that messages have no names: {}",
                    in_full(&e)
                ),
                objects: 1,
                ..Unchecked::default()
            };
            unchecked(summary, report, what);
            return Ok(None);
        }
    };
    tell(&made, shard, summary, report);
    if let [local, stored] = &made.lanes[..]
        && ends_too_early(local, stored)
    {
        let last = made.expected.0 - 1;
        let what = Unchecked {
            object: journal_name(shard),
            what: format!(
                "a file with newer entries, those after entry {last}, is not there, if there was one: nobody knows how many these are"
            ),
            objects: 1,
            ..Unchecked::default()
        };
        unchecked(summary, report, what);
    }
    Ok(Some(made.hot))
}

/// The shard's files.
pub(super) fn local(whose: &Whose<'_>, shard: ShardNo) -> Lane {
    Lane::local(&whose.settings.data, shard, whose.identity.store)
}

/// The shard's objects.
pub(super) async fn stored(whose: &Whose<'_>, shard: ShardNo) -> Lane {
    Lane::stored(&whose.cold, shard, whose.identity.store, Handle::current()).await
}

fn journal_name(shard: ShardNo) -> String {
    format!("shards/{:04x}/journal", shard.0)
}

/// Tells what it could not be made from.
pub(super) fn tell(
    made: &Making,
    shard: ShardNo,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) {
    let journal = journal_name(shard);
    for (object, what) in made.lanes.iter().flat_map(Lane::misfits) {
        damage(summary, report, object.clone(), 0, what.clone(), Vec::new());
    }
    let away = made.lanes.iter().find_map(Lane::away);
    for lost in &made.lost {
        let object = lost.object.as_ref().unwrap_or(&journal).clone();
        let what = lost.what(shard);
        // Without the store's answer it may be whole there.
        if away.is_none() {
            damage(summary, report, object.clone(), 0, what.clone(), Vec::new());
        }
        let entries = lost.last.0 + 1 - lost.first.0;
        let what = Unchecked {
            object,
            what,
            entries,
            ..Unchecked::default()
        };
        unchecked(summary, report, what);
    }
    let mut not_read = |object: &str, what: String| {
        let what = Unchecked {
            object: object.to_owned(),
            what,
            objects: 1,
            ..Unchecked::default()
        };
        unchecked(summary, report, what);
    };
    for (object, why) in made.lanes.iter().flat_map(Lane::unread) {
        let what = format!("its entries could not be read, or not to their end: {why}");
        not_read(object, what);
    }
    if let Some((object, why)) = away {
        let what = format!("the store could not be asked for the journal: {why}");
        not_read(object, what);
    }
}

/// Whether the newest file is missing: there always is one, and what says that a segment is stored stands in a newer one.
fn ends_too_early(local: &Lane, stored: &Lane) -> bool {
    match (local.newest(), stored.newest()) {
        (None, _) => true,
        (Some((first, is_open)), Some((object, _))) => !is_open && object >= first,
        (Some(_), None) => false,
    }
}

/// An empty hot tier without a name: nothing of it is left, however we end. In the shard's directory, or where temporary files go.
fn nameless(dir: &Path, cache: usize) -> Result<HotTier> {
    let path = dir.join(FILE);
    remove_left(dir)?;
    match HotTier::open(&path, cache) {
        Ok(hot) => {
            remove_left(dir)?;
            Ok(hot)
        }
        Err(e) => elsewhere(cache).map_err(|_| e.into()),
    }
}

fn elsewhere(cache: usize) -> Result<HotTier> {
    let id: String = random_id()?.iter().map(|b| format!("{b:02x}")).collect();
    let dir = std::env::temp_dir().join(format!("coldpost-{id}"));
    let failed = |e| coldpost_tiers::disk::failed("make", &dir, e);
    DirBuilder::new().mode(0o700).create(&dir).map_err(failed)?;
    let opened = HotTier::open(&dir.join(FILE), cache);
    // Best done at once; what stays is in a directory for temporary files.
    let _ = fs::remove_dir_all(&dir);
    Ok(opened?)
}

/// Removes what a verification left that was killed while it made the file.
pub(super) fn remove_left(dir: &Path) -> Result<()> {
    let path = dir.join(FILE);
    match fs::remove_file(&path) {
        Err(e) if path.exists() => Err(coldpost_tiers::disk::failed("remove", &path, e).into()),
        _ => Ok(()),
    }
}

/// The making of a hot tier's rows from where it stands on.
pub(super) struct Making {
    pub(super) hot: HotTier,
    fold: Fold,
    expected: Position,
    pending: Vec<(At, Record)>,
    bytes: usize,
    /// The nearest first: who asks the next one has no whole entry from this one.
    lanes: Vec<Lane>,
    end: End,
    lost: Vec<Lost>,
    /// The first entry that no lane gave whole.
    first_bad: Option<Position>,
}

impl Making {
    /// With what `lanes` have behind the last entry of `hot`; the files' lane is the first.
    ///
    /// # Errors
    /// `Corrupt` of the hot tier.
    pub(super) fn behind(hot: HotTier, lanes: Vec<Lane>) -> Result<Making> {
        let fold = Fold::load(&hot.read()?)?;
        let mut end = End {
            promised: Position(0),
            open_from: None,
        };
        if let Some((files, others)) = lanes.split_first() {
            end = files.end();
            // The store has only what was sealed.
            let newest = others.iter().filter_map(Lane::newest).max();
            end.open_from = end
                .open_from
                .filter(|first| newest.is_none_or(|(newest, _)| newest < *first));
        }
        Ok(Making {
            hot,
            expected: Position(fold.applied.position.0 + 1),
            fold,
            pending: Vec::new(),
            bytes: 0,
            lanes,
            end,
            lost: Vec::new(),
            first_bad: None,
        })
    }

    /// Whether an entry is not whole that another copy than the files may have.
    pub(super) fn lacks_sealed(&self) -> bool {
        let open_from = self.end.open_from.unwrap_or(Position(u64::MAX));
        self.first_bad.is_some_and(|first| first < open_from)
    }

    /// Takes entries up to the last one.
    ///
    /// # Errors
    /// `Unavailable` when there is no room for them, `Corrupt` of the hot tier.
    pub(super) fn run(mut self) -> Result<Making> {
        loop {
            let at = self.expected;
            let (mut next, mut found, mut damaged) = (None, None, None);
            let mut is_unknown = false;
            for lane in &mut self.lanes {
                match lane.look(at) {
                    Look::Whole(header, record) => {
                        found = decode(&header, record);
                        is_unknown |= found.is_none();
                    }
                    Look::Damaged(header, record) => damaged = damaged.or(Some((header, record))),
                    Look::Nothing(Some(later)) => {
                        next = Some(next.map_or(later, |n: Position| n.min(later)))
                    }
                    Look::Nothing(None) => {}
                }
                if found.is_some() {
                    break;
                }
            }
            let behind = Position(at.0 + 1);
            if damaged.is_some() || is_unknown {
                next = Some(behind);
            }
            let promised = self.end.promised;
            if found.is_none() {
                // The start cuts from here on what a crash left.
                if self.end.open_from.is_some() && at > promised && !is_unknown {
                    break;
                }
                found = damaged.and_then(|(header, record)| headed(&header, record));
                if found.is_some() || next.is_some() || at <= promised {
                    self.first_bad.get_or_insert(at);
                }
            }
            match (found, next) {
                (Some((at, record)), _) => self.take(at, record)?,
                (None, Some(next)) => self.skip(next.max(behind))?,
                (None, None) if at <= promised => self.skip(Position(promised.0 + 1))?,
                (None, None) => break,
            }
        }
        self.flush()?;
        Ok(self)
    }

    fn take(&mut self, at: At, record: Record) -> Result<()> {
        self.expected = Position(at.position.0 + 1);
        self.bytes += record.meta.len() + record.body.len();
        self.pending.push((at, record));
        if self.bytes >= REPLAY_BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Goes on at `next`.
    fn skip(&mut self, next: Position) -> Result<()> {
        self.flush()?;
        let first = self.expected;
        let object = self.lanes.iter().rev().find_map(|lane| lane.name_at(first));
        self.expected = next;
        let last = Position(next.0 - 1);
        self.fold.applied.position = last;
        match self.lost.last_mut() {
            Some(before) if before.last.0 + 1 == first.0 && before.object == object => {
                before.last = last
            }
            _ => self.lost.push(Lost {
                first,
                last,
                object,
            }),
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        flush_entries(&self.hot, &mut self.fold, &mut self.pending)
    }
}

fn decode(header: &ObjectHeader, record: Stored) -> Option<(At, Record)> {
    decode_record(header, record).ok()
}

/// An entry with damaged bytes, when these are in its mail: then its head names whose it was.
fn headed(header: &ObjectHeader, record: Stored) -> Option<(At, Record)> {
    let (at, record) = decode(header, record)?;
    match &record.entry.op {
        Op::Add(add) if !whole_body(add, &record.body) => Some((at, record)),
        _ => None,
    }
}

/// Whether the mail of an entry is what its head says.
fn whole_body(add: &Add, body: &[u8]) -> bool {
    let mut rest = body;
    for extent in add.messages.iter().flat_map(|m| &m.extents) {
        if let Extent::Frame(frame) = extent {
            let length = usize::try_from(frame.stored).unwrap_or(usize::MAX);
            match rest.split_at_checked(length) {
                Some((stored, behind)) if crc32c::crc32c(stored) == frame.crc => rest = behind,
                _ => return false,
            }
        }
    }
    true
}
