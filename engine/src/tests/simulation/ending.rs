//! The end of a schedule: the store works again, time passes, everything that is due is done; then only what is needed may be left.

use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{Counted, ObjectState};

use super::compaction::SEGMENT_AGE;
use super::deletion::{GRACE, RETENTION};
use super::mail;
use super::store::{Away, Held};
use super::world::{Fails, Unread, World};
use crate::objects::horizon;

/// Rounds of upkeep until nothing is left to do: an object is rewritten, its snapshot outlived, its grace over, and so on for what held it.
const ROUNDS: usize = 12;
/// Rounds that change nothing, after which nothing is left to do.
const ROUNDS_THE_SAME: usize = 3;
/// Passes of deletion alone: a snapshot is condemned, goes, and what it needed is condemned, and goes.
const ROUNDS_OF_DELETION: usize = 4;
/// Steps of one round, far more than it needs.
const STEPS_MAX: usize = 10_000;

fn until_done(what: &str, mut step: impl FnMut() -> Result<bool, Away>) -> Fails {
    for _ in 0..STEPS_MAX {
        match step() {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(Away) => return Err(format!("{what}: the store is away without a reason")),
        }
    }
    Err(format!("{what} does not come to an end"))
}

impl World<'_> {
    pub(super) fn end(&mut self) -> Fails {
        self.bucket.trouble = None;
        // Runs that failed leave local files until a start.
        self.kill()?;
        let (mut before, mut same) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let now = self.of_compaction();
            same = if now == before { same + 1 } else { 0 };
            before = now;
            if same == ROUNDS_THE_SAME {
                break;
            }
            self.durable = self.rows.dump();
            self.now += SEGMENT_AGE.max(RETENTION).max(GRACE) + 3_600;
            self.purge();
            self.finish_compaction()?;
            self.seal();
            until_done("shipping", || self.ship())?;
            until_done("a snapshot", || self.snap())?;
            // What is at work, then a pass that finds nothing.
            until_done("deletion", || self.collect())?;
            until_done("deletion", || self.collect())?;
        }
        // The last rounds left segments of housekeeping, and the snapshots before the newest.
        for _ in 0..ROUNDS_OF_DELETION {
            self.now += RETENTION.max(GRACE) + 3_600;
            until_done("deletion", || self.collect())?;
            until_done("deletion", || self.collect())?;
        }
        self.check()?;
        self.nothing_else_is_left()?;
        self.nothing_erased_is_left()?;
        self.lose_disk()?;
        self.check()
    }

    /// What the bucket has that is no segment and no snapshot.
    fn of_compaction(&self) -> Vec<ObjectId> {
        let is_it = |object: &&ObjectId| {
            matches!(
                object.kind,
                ObjectKind::Block | ObjectKind::Pack | ObjectKind::Blob
            )
        };
        self.bucket.objects.keys().filter(is_it).copied().collect()
    }

    fn finish_compaction(&mut self) -> Fails {
        for which in [0, 1] {
            for _ in 0..STEPS_MAX {
                match self.compact(which, false, 100) {
                    Ok(true) => {}
                    Ok(false) => break,
                    // The file of what died was deleted: that run is over.
                    Err(Unread::Away) => {}
                    Err(Unread::Wrong(why)) => return Err(why),
                }
            }
        }
        Ok(())
    }

    fn nothing_else_is_left(&self) -> Fails {
        let horizon = horizon(&self.rows.state()).unwrap();
        let is_needed = |object: ObjectId| {
            let Some(row) = self.rows.object(object) else {
                return false;
            };
            let is_newest = object.kind == ObjectKind::Snapshot && row.last >= horizon;
            // One without mail is dead since it was stored, which is behind the snapshot that waited for it.
            let is_behind = matches!(row.count, Counted::DeadSince(since) if since > horizon);
            let is_segment =
                object.kind == ObjectKind::Segment && (row.last > horizon || is_behind);
            row.count.is_live() && row.state != ObjectState::Condemned || is_newest || is_segment
        };
        let all = self.bucket.objects.keys().chain(self.disk.keys());
        let mut left = all.filter(|object| !self.strays.contains(object) && !is_needed(**object));
        if let Some(object) = left.next() {
            return Err(format!(
                "{object:?} is left, known as {:?}, horizon {horizon:?}",
                self.rows.object(*object)
            ));
        }
        let mut gone = self.rows.objects().into_iter().filter(|(object, row)| {
            row.count.is_live() && !self.bucket.objects.contains_key(object)
        });
        match gone.next() {
            // The segment that is being written.
            Some((object, _)) if self.open.iter().all(|w| w.at.segment() != object) => {
                Err(format!("{object:?} is referred to and not in the bucket"))
            }
            _ => Ok(()),
        }
    }

    /// Words of messages that nobody has, and attachments that no message has, are in no object.
    fn nothing_erased_is_left(&self) -> Fails {
        let places = self.rows.places();
        let numbers = places.iter().map(|(_, id, _)| self.messages[id]);
        let alive: std::collections::BTreeSet<usize> = numbers.collect();
        let mut erased: Vec<(String, Vec<u8>)> = Vec::new();
        for (number, mail) in self.mails.iter().enumerate() {
            if !alive.contains(&number) {
                let words = mail.words.iter();
                erased.extend(words.map(|w| (w.clone(), w.clone().into_bytes())));
            }
        }
        for which in 0..mail::attachments() {
            if !alive.iter().any(|n| self.mails[*n].attachment == which) {
                let name = format!("attachment {which}");
                erased.push((name.clone(), mail::first_line(which).into_bytes()));
                erased.push((name, mail::attachment(which)));
            }
        }
        let of_bucket = self.bucket.objects.iter();
        let all = of_bucket.filter(|(object, _)| !self.strays.contains(*object));
        for (object, held) in all.chain(&self.disk) {
            if let Some(what) = has_one_of(held, &erased) {
                return Err(format!("{what} was erased and is in {object:?}"));
            }
        }
        Ok(())
    }
}

fn has_one_of<'w>(held: &Held, words: &'w [(String, Vec<u8>)]) -> Option<&'w str> {
    let pieces = held.pieces();
    let has = |word: &[u8]| {
        let mut found = pieces.iter().map(|piece| memchr::memmem::find(piece, word));
        found.any(|at| at.is_some())
    };
    let mut found = words.iter().filter(|(_, word)| has(word));
    found.next().map(|(name, _)| name.as_str())
}
