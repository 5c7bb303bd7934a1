//! SEARCH of real mail, here and by Dovecot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::Imap;
use coldpost_testkit::{Must, tool};

use crate::classes::{Alone, Class, bodies, class, decoded};
use crate::ordered;

/// Every so many messages of the corpus are taken.
const STEP: usize = 24;
/// Decides the needles of the suite.
const SEED: u64 = 6;
/// Of a thousand hits in real mail those that one has alone; `docs/search.md` says which, and why.
const ALONE_PER_MILLE_MAX: usize = 40;
/// Needles, each asked with every key.
const NEEDLES: usize = 500;
/// Characters of one.
const NEEDLE_MIN: u64 = 2;
const NEEDLE_MAX: u64 = 30;
/// What a needle is looked for in.
const KEYS: [&str; 4] = ["BODY", "TEXT", "SUBJECT", "FROM"];

/// What two servers found in some of the mail.
#[derive(Default)]
pub(crate) struct Tally {
    /// Messages that at least one found.
    hits: usize,
    /// Those of them that one alone found.
    alone: BTreeMap<Class, usize>,
}

/// What two servers found.
#[derive(Default)]
pub(crate) struct Compared {
    pub(crate) real: Tally,
    /// In messages that are there because they broke parsers.
    pub(crate) torture: Tally,
    /// Hits of one alone that are in no class.
    pub(crate) unexplained: Vec<String>,
}

impl Tally {
    fn alone(&self) -> usize {
        self.alone.values().sum()
    }

    /// Whether no more is found by one alone than may be.
    pub(crate) fn is_within_bounds(&self) -> bool {
        self.alone() * 1_000 <= self.hits * ALONE_PER_MILLE_MAX
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hits, alone) = (self.hits, self.alone());
        write!(f, "{hits} hits, {alone} of one alone: {:?}", self.alone)
    }
}

/// Fills INBOX of both and asks both for the same.
pub(crate) fn compared(ours: &mut Imap, theirs: &mut Imap) -> Compared {
    let mut dice = match std::env::var_os("COLDPOST_SEED").is_some() || tool::long() {
        true => Dice::from_env(),
        false => Dice::new(SEED),
    };
    let mails = ordered::mails(STEP).into_iter().map(|(_, mail)| mail);
    let mails: Vec<Vec<u8>> = mails.collect();
    let real = ordered::real(STEP);
    for imap in [&mut *ours, &mut *theirs] {
        for mail in &mails {
            imap.append("INBOX", "", mail);
        }
        imap.command("SELECT INBOX").ok();
    }
    let mut compared = Compared::default();
    for needle in needles(&mails, &mut dice) {
        for key in KEYS {
            let here = found(ours, key, &needle);
            let there = found(theirs, key, &needle);
            for number in here.union(&there) {
                let at = usize::try_from(*number).must("a number") - 1;
                let tally = match at < real {
                    true => &mut compared.real,
                    false => &mut compared.torture,
                };
                tally.hits += 1;
                let alone = match (here.contains(number), there.contains(number)) {
                    (true, true) => continue,
                    (true, false) => Alone::Here,
                    _ => Alone::There,
                };
                match class(&mails[at], key, &needle, alone) {
                    Some(class) => *tally.alone.entry(class).or_default() += 1,
                    None => {
                        let which = format!("{key} {needle:?}: {number}, {alone:?}");
                        compared.unexplained.push(which);
                    }
                }
            }
        }
    }
    compared
}

/// What is looked for, in the text as a reader has it: stretches and words of bodies, by their length, and of headers, a third of them.
fn needles(mails: &[Vec<u8>], dice: &mut Dice) -> Vec<String> {
    let mut needles = Vec::new();
    while needles.len() < NEEDLES {
        let mail = dice.pick::<Vec<u8>>(mails);
        let texts = match dice.below(3) {
            0 => decoded(mail)[1].clone(),
            _ => bodies(mail)
                .into_iter()
                .flat_map(|body| body.texts)
                .collect(),
        };
        let words: Vec<&str> = texts
            .iter()
            .flat_map(|text| text.split_whitespace())
            .collect();
        if words.is_empty() {
            continue;
        }
        let needle = if dice.below(3) == 0 {
            (*dice.pick(&words)).to_owned()
        } else {
            let length = NEEDLE_MIN + dice.below(NEEDLE_MAX - NEEDLE_MIN + 1);
            let text = dice
                .pick(&texts)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            let from = dice.index(text.chars().count());
            let stretch = text.chars().skip(from);
            stretch
                .take(usize::try_from(length).must("a length"))
                .collect()
        };
        let length = u64::try_from(needle.chars().count()).must("a length");
        if length >= NEEDLE_MIN && needle.trim() == needle && !needle.contains('\0') {
            needles.push(needle);
        }
    }
    needles
}

/// The numbers of the messages that are found.
fn found(imap: &mut Imap, key: &str, needle: &str) -> BTreeSet<u32> {
    let command = format!(
        "SEARCH CHARSET UTF-8 {key} {{{}+}}\r\n{needle}",
        needle.len()
    );
    let reply = imap.command(&command).ok();
    reply.search().into_iter().collect()
}
