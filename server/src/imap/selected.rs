//! The selected mailbox: its picture as this client was told it, and telling the client what changed.
//!
//! Promises: sequence numbers move only with the EXPUNGE and EXISTS that were sent (RFC 3501, 5.5 and 7.4.1). Never:
//! holds anything of the engine beyond the view.

use std::io;

use coldpost_engine::flags::{Flags, SystemFlags};
use coldpost_engine::ids::Uid;
use coldpost_engine::limits::KEYWORDS_MAX;
use coldpost_engine::uidset::UidSet;
use coldpost_engine::view::{Changes, Entry, MailboxView};

use crate::imap::ast::{Numbers, SequenceSet};
use crate::imap::completion::{Completion, Failure, Outcome};
use crate::imap::out::Out;
use crate::imap::reply::{self, Code, FetchLine};
use crate::limits::IMAP_VANISHED_RANGES;

/// All flags that every mailbox has.
const ALL_FLAGS: SystemFlags = SystemFlags(
    SystemFlags::ANSWERED.0
        | SystemFlags::FLAGGED.0
        | SystemFlags::DELETED.0
        | SystemFlags::SEEN.0
        | SystemFlags::DRAFT.0,
);

/// Whether EXPUNGE may be sent now (RFC 3501, 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expunges {
    /// Told now.
    Told,
    /// Kept for a later command: the client's sequence numbers must not move.
    Held,
}

/// The form of responses that nobody asked for: what FETCH contains beside FLAGS, and how expunges are told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unasked {
    /// MODSEQ: the client enabled CONDSTORE.
    pub(crate) modseq: bool,
    /// UID: in the course of a UID command, and always for a client that enabled CONDSTORE (RFC 7162, 3.2.4).
    pub(crate) uid: bool,
    /// VANISHED stands for EXPUNGE: the client enabled QRESYNC.
    pub(crate) vanished: bool,
}

/// A mailbox that SELECT or EXAMINE opened.
pub(crate) struct Selected {
    pub(crate) view: MailboxView,
    pub(crate) read_only: bool,
    /// What the last search that was to save its result found (RFC 5182), as UIDs: those that are gone are not in the picture, and no UID
    /// comes back.
    pub(crate) saved: UidSet,
    /// The modseq that the client was told last is below those of what it saw since: expunges were held.
    behind: bool,
}

impl Selected {
    /// A mailbox that was just opened.
    pub(crate) fn new(view: MailboxView, read_only: bool) -> Selected {
        Selected {
            view,
            read_only,
            saved: UidSet::new(),
            behind: false,
        }
    }

    /// While expunges are held, what is told has higher modseqs than they have: HIGHESTMODSEQ says up to where the client knows
    /// everything, again and again, and once more when they have been told (RFC 7162, 3.2 and 6).
    pub(crate) fn tell_known_modseq(&mut self, buffer: &mut Vec<u8>) {
        let held = self.view.holds_expunged();
        if std::mem::replace(&mut self.behind, held) || held {
            Completion::ok("Everything up to here was told")
                .with(Code::HighestModSeq(self.view.told_modseq()))
                .untagged(buffer);
        }
    }

    /// The sequence number of a UID that is in the picture.
    pub(crate) fn sequence(&self, uid: Uid) -> Option<u32> {
        self.view.uids().rank(uid).map(|rank| rank + 1)
    }

    /// The UIDs that a set of a command means.
    ///
    /// # Errors
    /// BAD when a sequence number is not there (RFC 3501, 9: seq-number). UIDs that are not there are no error.
    pub(crate) fn resolve(&self, set: &SequenceSet, numbers: Numbers) -> Outcome<UidSet> {
        match numbers {
            Numbers::Uid => Ok(set.among_uids(self.view.uids(), &self.saved)),
            Numbers::Sequence => set
                .sequence_to_uids(self.view.uids(), &self.saved)
                .ok_or_else(|| {
                    Completion::bad("A sequence number is beyond the last message").into()
                }),
        }
    }

    /// `uids` as the numbers of a command, for MODIFIED and SEARCH.
    pub(crate) fn numbers(&self, uids: &UidSet, numbers: Numbers) -> UidSet {
        match numbers {
            Numbers::Uid => uids.clone(),
            Numbers::Sequence => uids.iter().filter_map(|uid| self.sequence(uid)).collect(),
        }
    }

    /// Adds FLAGS of `entry` to a FETCH answer, with \Recent where it holds in this session.
    pub(crate) fn flags(&self, line: &mut FetchLine, buffer: &mut Vec<u8>, entry: &Entry) {
        let recent = self.view.recent().contains(entry.uid);
        let keywords = self.view.keywords_of(entry);
        line.flags(buffer, entry.system, keywords.into_iter(), recent);
    }

    /// The entries of `uids`; the caller bounds how many it asks for.
    pub(crate) fn entries(&self, uids: &UidSet) -> Outcome<Vec<Entry>> {
        let limit = usize::try_from(uids.len()).unwrap_or(usize::MAX);
        Ok(self.view.entries(uids, limit)?)
    }

    /// Refuses a change of a mailbox that was opened by EXAMINE.
    pub(crate) fn writable(&self) -> Outcome<()> {
        if self.read_only {
            return Err(Completion::no(Code::ReadOnly, "The mailbox was opened by EXAMINE").into());
        }
        Ok(())
    }

    /// Which of `uids` are gone, whether or not the client was told.
    pub(crate) fn gone(&self, uids: &UidSet) -> Outcome<UidSet> {
        Ok(match self.view.changes()? {
            Some(changes) => changes.expunged.intersection(uids),
            None => UidSet::new(),
        })
    }

    /// FLAGS and PERMANENTFLAGS: sent by SELECT, and again when the mailbox learns a keyword.
    pub(crate) fn tell_keywords(&self, buffer: &mut Vec<u8>) {
        let keywords = self.view.keywords();
        let flags = Flags {
            system: ALL_FLAGS,
            keywords: keywords.iter().cloned().collect(),
        };
        reply::flags(buffer, &flags);
        let permanent = if self.read_only {
            Code::PermanentFlags {
                flags: Flags::default(),
                new_keywords: false,
            }
        } else {
            Code::PermanentFlags {
                flags,
                new_keywords: keywords.len() < KEYWORDS_MAX,
            }
        };
        Completion::ok("Flags that can be changed")
            .with(permanent)
            .untagged(buffer);
    }

    /// Tells the client what happened since it was last told, but for the flags of `own`: the command tells them itself, as they
    /// are after this, so that what is told last is true.
    ///
    /// # Errors
    /// `MailboxDeleted`, when it was.
    pub(crate) async fn tell_changes(
        &mut self,
        expunges: Expunges,
        unasked: Unasked,
        own: &UidSet,
        out: &mut Out<'_>,
    ) -> Outcome<()> {
        let Some(mut changes) = self.view.changes()? else {
            return Ok(());
        };
        if changes.deleted {
            return Err(Failure::MailboxDeleted);
        }
        let flagged = std::mem::take(&mut changes.flagged);
        let arrived = !changes.arrived.is_empty();
        let learned = changes.keywords.len() != self.view.keywords().len();
        match expunges {
            Expunges::Told if unasked.vanished => Self::tell_vanished(&changes, out).await?,
            Expunges::Told => self.tell_expunged(&changes, out).await?,
            Expunges::Held => {}
        }
        self.view.advance(changes, expunges == Expunges::Held);
        if learned {
            self.tell_keywords(out.buffer());
        }
        if arrived {
            reply::exists(out.buffer(), self.view.uids().len());
            reply::recent(out.buffer(), self.view.recent().len());
        }
        for entry in flagged.iter().filter(|entry| !own.contains(entry.uid)) {
            self.tell_flags(entry, unasked, out).await?;
        }
        Ok(())
    }

    /// VANISHED (RFC 7162, 3.2.10.2): all of them were in the picture.
    async fn tell_vanished(changes: &Changes, out: &mut Out<'_>) -> io::Result<()> {
        for ranges in changes.expunged.ranges().chunks(IMAP_VANISHED_RANGES) {
            let uids = UidSet::from_ranges(ranges.iter().copied());
            reply::vanished(out.buffer(), &uids, false);
            out.relieve().await?;
        }
        Ok(())
    }

    /// EXPUNGE from the last message down, so that no number moves before it was used.
    async fn tell_expunged(&self, changes: &Changes, out: &mut Out<'_>) -> io::Result<()> {
        for &(first, last) in changes.expunged.ranges().iter().rev() {
            for uid in (first..=last).rev() {
                if let Some(sequence) = self.sequence(uid) {
                    reply::expunge(out.buffer(), sequence);
                    out.relieve().await?;
                }
            }
        }
        Ok(())
    }

    /// An untagged FETCH with the flags of `entry`.
    pub(crate) async fn tell_flags(
        &self,
        entry: &Entry,
        unasked: Unasked,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        if let Some(mut line) = self.begin(entry, unasked, out.buffer()) {
            self.flags(&mut line, out.buffer(), entry);
            line.end(out.buffer());
        }
        out.relieve().await
    }

    /// An untagged FETCH with the modseq of `entry` alone: what a silent STORE under CONDSTORE answers.
    pub(crate) async fn tell_modseq(
        &self,
        entry: &Entry,
        unasked: Unasked,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        if let Some(line) = self.begin(entry, unasked, out.buffer()) {
            line.end(out.buffer());
        }
        out.relieve().await
    }

    fn begin(&self, entry: &Entry, unasked: Unasked, buffer: &mut Vec<u8>) -> Option<FetchLine> {
        let mut line = FetchLine::begin(buffer, self.sequence(entry.uid)?);
        if unasked.uid {
            line.uid(buffer, entry.uid);
        }
        if unasked.modseq {
            line.modseq(buffer, entry.modseq);
        }
        Some(line)
    }
}

/// `set` in pieces of at most `size` members, ascending: work on many messages in bounded memory.
pub(crate) fn pieces(set: &UidSet, size: u32) -> impl Iterator<Item = UidSet> {
    let mut ranges = set.ranges().iter().copied();
    let mut rest: Option<(u32, u32)> = ranges.next();
    std::iter::from_fn(move || {
        let mut piece = UidSet::new();
        while let Some((first, last)) = rest {
            let room = size - piece.len();
            if room == 0 {
                break;
            }
            if last - first < room {
                piece.push_range(first, last);
                rest = ranges.next();
            } else {
                piece.push_range(first, first + (room - 1));
                rest = Some((first + room, last));
            }
        }
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_a_set_are_the_set(members in proptest::collection::btree_set(0u32..200, 0..80), size in 1u32..9) {
            let set: UidSet = members.iter().copied().collect();
            let pieces: Vec<UidSet> = pieces(&set, size).collect();
            prop_assert!(pieces.iter().all(|piece| piece.len() <= size && !piece.is_empty()));
            prop_assert!(pieces.iter().rev().skip(1).all(|piece| piece.len() == size), "only the last is short");
            let all: Vec<u32> = pieces.iter().flat_map(UidSet::iter).collect();
            prop_assert_eq!(all, members.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_piece_ends_at_the_largest_number() {
        let set = UidSet::from_ranges([(u32::MAX - 1, u32::MAX)]);
        assert_eq!(pieces(&set, 1).count(), 2);
        assert_eq!(pieces(&set, 2).count(), 1);
    }
}
