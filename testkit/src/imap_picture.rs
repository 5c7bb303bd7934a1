//! What one IMAP client knows of a mailbox from the untagged answers alone: its messages in order, their UIDs, flags and modseqs.
//!
//! Promises: follows EXISTS, EXPUNGE, VANISHED and FETCH as RFC 3501, 7162 say, and panics with the answer where a server contradicts itself
//! (a number that is not there, a UID that does not ascend, a modseq that goes back).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::imap::{Fetch, Reply};
use crate::must::Must;
use crate::sexp::Value;

/// What is known of one message; what was not told yet is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    uid: Option<u32>,
    flags: Option<Vec<String>>,
    modseq: u64,
}

/// The picture.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// In the order of sequence numbers.
    messages: Vec<Known>,
    /// The mailbox's UIDVALIDITY, when it was selected.
    pub uid_validity: u64,
    /// The highest modseq that was told.
    pub highest_modseq: u64,
}

impl Picture {
    /// Takes the answer to SELECT. What was known before is kept for QRESYNC if `keep` is set and the UIDVALIDITY is the same.
    ///
    /// # Panics
    /// When the answer lacks what RFC 3501 wants.
    pub fn select(&mut self, reply: &Reply, keep: bool) {
        let number = |name: &str| {
            reply
                .ok_code(name)
                .and_then(|text| text.parse::<u64>().ok())
        };
        let validity = number("UIDVALIDITY").must(&format!("UIDVALIDITY in {reply:?}"));
        if !keep || validity != self.uid_validity {
            self.messages.clear();
        }
        self.uid_validity = validity;
        self.forget_behind_untold();
        // What went before is told behind EXISTS (RFC 7162, 3.2.5.1), which counts without it; what goes now is told in its turn.
        let vanished = |line: &&Vec<u8>| line.starts_with(b"VANISHED (EARLIER)");
        reply
            .untagged
            .iter()
            .filter(vanished)
            .for_each(|line| self.line(line));
        let others = reply.untagged.iter().filter(|line| !vanished(line));
        others.for_each(|line| self.line(line));
        self.highest_modseq = number("HIGHESTMODSEQ").unwrap_or(0);
    }

    /// Forgets all from the first message on whose UID was not told: nobody could say where the others stand after a reconnect.
    pub fn forget_behind_untold(&mut self) {
        let untold = |known: &Known| known.uid.is_none();
        let whole = self.messages.iter().position(untold);
        self.messages.truncate(whole.unwrap_or(self.messages.len()));
    }

    /// Takes all untagged answers of a command, in order.
    ///
    /// # Panics
    /// When one contradicts the picture.
    pub fn told(&mut self, reply: &Reply) {
        for line in &reply.untagged {
            self.line(line);
        }
    }

    /// Takes one untagged answer, without `* `.
    ///
    /// # Panics
    /// When it contradicts the picture.
    pub fn line(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        if let Some(fetch) = Fetch::parse(line) {
            return self.fetch(&fetch, &text);
        }
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            [count, "EXISTS"] => self.exists(count, &text),
            [number, "EXPUNGE"] => {
                let at = self.index(number.parse().ok(), &text);
                self.messages.remove(at);
            }
            ["VANISHED", "(EARLIER)", set] => self.vanished(set, true, &text),
            ["VANISHED", set] => self.vanished(set, false, &text),
            _ => {}
        }
    }

    fn exists(&mut self, count: &str, text: &str) {
        let count: usize = count.parse().must(text);
        assert!(
            count >= self.messages.len(),
            "{text}: {} were there, and EXISTS never takes messages away",
            self.messages.len()
        );
        self.messages.resize(count, Known::default());
    }

    /// EARLIER may name what was never known (RFC 7162, 3.2.10.1); otherwise what is there goes: of messages whose UID was not told one
    /// that stands where it can only be.
    fn vanished(&mut self, set: &str, earlier: bool, text: &str) {
        for gone in uids(set).must(text) {
            let is_it = |known: &Known| known.uid == Some(gone);
            match self.messages.iter().position(is_it) {
                Some(at) => drop(self.messages.remove(at)),
                None if earlier => {}
                None => {
                    let above = |known: &Known| known.uid.is_some_and(|uid| uid > gone);
                    let end = self.messages.iter().position(above);
                    let at = end.unwrap_or(self.messages.len()).checked_sub(1);
                    let at = at.filter(|at| self.messages[*at].uid.is_none());
                    self.messages
                        .remove(at.must(&format!("{text}: {gone} was not there")));
                }
            }
        }
    }

    fn fetch(&mut self, fetch: &Fetch, text: &str) {
        let at = self.index(usize::try_from(fetch.seq).ok(), text);
        let uid = fetch.get("UID").and_then(Value::number);
        if let Some(uid) = uid.map(|uid| u32::try_from(uid).must(text)) {
            let before = self.messages[..at].iter().rev().find_map(|known| known.uid);
            let after = self.messages[at + 1..].iter().find_map(|known| known.uid);
            assert!(
                before.is_none_or(|before| before < uid),
                "{text}: UIDs do not ascend"
            );
            assert!(
                after.is_none_or(|after| after > uid),
                "{text}: UIDs do not ascend"
            );
            let known = self.messages[at].uid.replace(uid);
            assert!(
                known.is_none_or(|known| known == uid),
                "{text}: it was UID {known:?}"
            );
        }
        if fetch.get("FLAGS").is_some() {
            self.messages[at].flags = Some(fetch.flags());
        }
        let modseq = fetch.get("MODSEQ").map(Value::list).unwrap_or_default();
        if let Some(modseq) = modseq.first().and_then(Value::number) {
            let known = self.messages[at].modseq;
            assert!(modseq >= known, "{text}: its modseq was {known}");
            self.messages[at].modseq = modseq;
            self.highest_modseq = self.highest_modseq.max(modseq);
        }
    }

    /// Changes the flags of messages by a STORE with `.SILENT`, of which nothing is told: `+FLAGS`, `-FLAGS` or `FLAGS`. Those of which
    /// the answer tells the flags itself, or that it names in MODIFIED, are as told.
    ///
    /// # Panics
    /// When MODIFIED is no set.
    pub fn stored(
        &mut self,
        uids_stored: &BTreeSet<u32>,
        item: &str,
        flags: &[&str],
        reply: &Reply,
    ) {
        let told = |known: &Known| {
            let fetches = reply.fetches().into_iter();
            let mut with_flags = fetches.filter(|fetch| fetch.get("FLAGS").is_some());
            with_flags.any(|fetch| {
                let at = usize::try_from(fetch.seq).unwrap_or(0);
                let uid = fetch.get("UID").and_then(Value::number);
                let here = at.checked_sub(1).and_then(|at| self.messages.get(at));
                uid.map_or_else(
                    || here.is_some_and(|here| here.uid == known.uid),
                    |uid| known.uid.map(u64::from) == Some(uid),
                )
            })
        };
        let modified = reply.code("MODIFIED").map(|words| words.join(","));
        let modified = modified.map_or_else(BTreeSet::new, |set| uids(&set).must("MODIFIED"));
        let changes = |known: &Known| {
            known
                .uid
                .is_some_and(|uid| uids_stored.contains(&uid) && !modified.contains(&uid))
                && !told(known)
        };
        let changed: Vec<bool> = self.messages.iter().map(changes).collect();
        for (known, _) in self
            .messages
            .iter_mut()
            .zip(changed)
            .filter(|(_, changed)| *changed)
        {
            let mut now: BTreeSet<String> =
                known.flags.take().unwrap_or_default().into_iter().collect();
            match item {
                "+FLAGS" => now.extend(flags.iter().map(|flag| (*flag).to_owned())),
                "-FLAGS" => now.retain(|flag| !flags.contains(&flag.as_str())),
                _ => now = flags.iter().map(|flag| (*flag).to_owned()).collect(),
            }
            known.flags = Some(now.into_iter().collect());
        }
    }

    fn index(&self, number: Option<usize>, text: &str) -> usize {
        let at = number.and_then(|number| number.checked_sub(1)).must(text);
        assert!(
            at < self.messages.len(),
            "{text}: only {} are there",
            self.messages.len()
        );
        at
    }

    /// Messages that are there.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// UIDs that are known.
    pub fn uids(&self) -> BTreeSet<u32> {
        self.messages.iter().filter_map(|known| known.uid).collect()
    }

    /// The first sequence number of which UID, flags or modseq are not known: what a client asks for next.
    pub fn first_untold(&self) -> Option<usize> {
        let untold =
            |known: &Known| known.uid.is_none() || known.flags.is_none() || known.modseq == 0;
        self.messages.iter().position(untold).map(|at| at + 1)
    }

    /// How it differs from `other`, message by message; empty when it does not.
    pub fn differences(&self, other: &Picture) -> String {
        let mut text = String::new();
        if self.uid_validity != other.uid_validity {
            let _ = writeln!(
                text,
                "UIDVALIDITY {} or {}",
                self.uid_validity, other.uid_validity
            );
        }
        let by_uid = |picture: &Picture| -> BTreeMap<Option<u32>, (usize, Known)> {
            let numbered = picture.messages.iter().cloned().enumerate();
            numbered
                .map(|(at, known)| (known.uid, (at + 1, known)))
                .collect()
        };
        let (ours, theirs) = (by_uid(self), by_uid(other));
        let all: BTreeSet<Option<u32>> = ours.keys().chain(theirs.keys()).copied().collect();
        for uid in all {
            let (our, their) = (ours.get(&uid), theirs.get(&uid));
            if our != their {
                let _ = writeln!(text, "UID {uid:?}: {our:?} or {their:?}");
            }
        }
        text
    }
}

/// A set of UIDs without `*`.
fn uids(set: &str) -> Option<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for range in set.split(',') {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        found.extend(first.min(last)..=first.max(last));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(lines: &[&str]) -> Picture {
        let mut picture = Picture::default();
        for line in lines {
            picture.line(line.as_bytes());
        }
        picture
    }

    const THREE: [&str; 4] = [
        "3 EXISTS",
        "1 FETCH (UID 4 FLAGS (\\Seen) MODSEQ (7))",
        "2 FETCH (UID 6 FLAGS () MODSEQ (8))",
        "3 FETCH (UID 9 FLAGS () MODSEQ (9))",
    ];

    #[test]
    fn numbers_behind_an_expunged_message_move_up() {
        let mut picture = picture(&THREE);
        picture.line(b"2 EXPUNGE");
        picture.line(b"2 FETCH (FLAGS (\\Deleted) MODSEQ (11))");
        assert_eq!(picture.uids(), BTreeSet::from([4, 9]));
        assert_eq!(
            picture.messages[1].flags,
            Some(vec!["\\Deleted".to_owned()])
        );
        assert_eq!(picture.highest_modseq, 11);
    }

    #[test]
    fn vanished_takes_by_uid_and_earlier_may_name_strangers() {
        let mut picture = picture(&THREE);
        picture.line(b"VANISHED (EARLIER) 1:5,7");
        picture.line(b"VANISHED 9");
        assert_eq!(picture.uids(), BTreeSet::from([6]));
    }

    #[test]
    fn what_went_before_a_select_is_taken_away_first_and_what_goes_during_it_last() {
        let mut picture = picture(&THREE);
        let lines = [
            "2 EXISTS",
            "OK [UIDVALIDITY 1] x",
            "OK [HIGHESTMODSEQ 12] x",
            "VANISHED (EARLIER) 4",
            "2 FETCH (UID 9 MODSEQ (11) FLAGS (\\Seen))",
            "VANISHED 6",
        ];
        picture.uid_validity = 1;
        let reply = Reply {
            status: "OK".to_owned(),
            text: "done".to_owned(),
            untagged: lines.map(|line| line.as_bytes().to_vec()).to_vec(),
        };
        picture.select(&reply, true);
        assert_eq!((picture.uids(), picture.len()), (BTreeSet::from([9]), 1));
    }

    #[test]
    fn vanished_takes_one_that_was_not_told_where_it_can_only_be() {
        let mut picture = picture(&THREE);
        picture.line(b"6 EXISTS");
        picture.line(b"5 FETCH (UID 20 FLAGS () MODSEQ (12))");
        picture.line(b"VANISHED 15,31");
        let left = picture.messages.iter().map(|known| known.uid);
        let left: Vec<_> = left.map(Option::unwrap_or_default).collect();
        assert_eq!(left, [4, 6, 9, 20]);
    }

    #[test]
    #[should_panic(expected = "7 was not there")]
    fn what_was_never_there_does_not_vanish() {
        let mut picture = picture(&THREE);
        picture.line(b"4 EXISTS");
        picture.line(b"VANISHED 7");
    }

    #[test]
    fn what_is_new_is_not_known_until_it_is_told() {
        let mut picture = picture(&THREE);
        assert_eq!(picture.first_untold(), None);
        picture.line(b"5 EXISTS");
        assert_eq!((picture.len(), picture.first_untold()), (5, Some(4)));
    }

    #[test]
    fn two_pictures_differ_by_number_flags_or_modseq() {
        let (one, mut other) = (picture(&THREE), picture(&THREE));
        assert_eq!(one.differences(&other), "");
        other.line(b"3 FETCH (FLAGS (\\Seen) MODSEQ (10))");
        let said = one.differences(&other);
        assert!(
            said.contains("UID Some(9)") && !said.contains("UID Some(6)"),
            "{said}"
        );
        other.line(b"1 EXPUNGE");
        assert!(one.differences(&other).contains("UID Some(6)"));
    }

    #[test]
    fn a_silent_store_changes_what_was_not_told() {
        let mut picture = picture(&THREE);
        let reply = Reply {
            status: "OK".to_owned(),
            text: "[MODIFIED 9] done".to_owned(),
            untagged: vec![b"1 FETCH (UID 4 FLAGS (\\Draft) MODSEQ (12))".to_vec()],
        };
        picture.told(&reply);
        picture.stored(&BTreeSet::from([4, 6, 9]), "+FLAGS", &["\\Flagged"], &reply);
        let flags = picture
            .messages
            .iter()
            .map(|known| known.flags.clone().unwrap_or_default().join(" "));
        assert_eq!(flags.collect::<Vec<_>>(), ["\\Draft", "\\Flagged", ""]);
    }

    #[test]
    #[should_panic(expected = "only 3 are there")]
    fn a_number_that_is_not_there_is_a_contradiction() {
        picture(&THREE).line(b"4 EXPUNGE");
    }

    #[test]
    #[should_panic(expected = "UIDs do not ascend")]
    fn uids_ascend() {
        picture(&THREE).line(b"2 FETCH (UID 3)");
    }

    #[test]
    #[should_panic(expected = "its modseq was 9")]
    fn a_modseq_never_goes_back() {
        picture(&THREE).line(b"3 FETCH (MODSEQ (8))");
    }
}
