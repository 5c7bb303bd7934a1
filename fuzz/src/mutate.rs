//! Makes inputs of seeds: cut, swap, repeat, splice, wrong lengths, huge numbers, deep nesting, flipped bits.
//!
//! Promises: an input is a function of seeds and dice; at most [`INPUT_MAX`] bytes.

use coldpost_testkit::dice::Dice;

/// Bytes of the largest input.
pub const INPUT_MAX: usize = 192 * 1024;
/// What most inputs may grow by, over their seed four times: many small ones find more than few large ones.
const GROWTH_USUAL: usize = 256;
/// One input of so many may grow to [`INPUT_MAX`].
const LARGE_EVERY: u64 = 512;
/// One input of so many is a seed as it is, so that every command is reached whatever the dice do.
const UNCHANGED_EVERY: u64 = 10;
/// Changes of an input, at most.
const CHANGES_MAX: u64 = 8;

/// Numbers at which counters turn over, and what no number holds.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "127",
    "255",
    "4096",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "00000000000000000001",
];

/// What nests, opening only.
const NESTING: &[&[u8]] = &[
    b"(", b"((", b"[", b"{", b"<", b"\"", b"NOT ", b"OR ", b"[[", b"a.", b"a/", b"\\",
];

/// Bytes that readers trip over.
const BYTES: &[&[u8]] = &[
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\xff",
    b"\xfe",
    b"\x80",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"\x1f",
    b"\t",
    b" ",
    b"\"",
    b"\\",
    b"%",
    b"*",
    b".\r\n",
    b"\r\n.\r\n",
    b"&-",
    b"=?utf-8?q?",
    b"?=",
];

/// The seeds of a target and its words.
#[derive(Clone, Debug)]
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    words: &'static [&'static [u8]],
    opening: &'static [u8],
}

impl Mutator {
    /// From what a target names.
    ///
    /// # Panics
    /// Without seeds.
    pub fn new(target: &super::Target) -> Mutator {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        Mutator {
            seeds,
            words: target.words,
            opening: target.opening,
        }
    }

    /// Input `number` of the run with this seed.
    pub fn input(&self, seed: u64, number: u64) -> Vec<u8> {
        let mut dice =
            Dice::new(Dice::new(seed).draw() ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut bytes = dice.pick(&self.seeds).clone();
        if dice.below(UNCHANGED_EVERY) == 0 {
            return bytes;
        }
        let max = match dice.below(LARGE_EVERY) {
            0 => INPUT_MAX,
            _ => (bytes.len() * 4 + GROWTH_USUAL).min(INPUT_MAX),
        };
        for _ in 0..=dice.below(CHANGES_MAX) {
            self.change(&mut bytes, max, &mut dice);
            bytes.truncate(max);
        }
        if dice.below(4) > 0 {
            bytes.splice(0..0, self.opening.iter().copied());
        }
        bytes
    }

    fn change(&self, bytes: &mut Vec<u8>, max: usize, dice: &mut Dice) {
        match dice.below(12) {
            0 => cut(bytes, dice),
            1 => swap_lines(bytes, dice),
            2 => repeat(bytes, max, dice),
            3 => self.splice(bytes, dice),
            4 => replace_number(bytes, true, dice),
            5 => replace_number(bytes, false, dice),
            6 => flip(bytes, dice),
            7 => nest(bytes, max, dice),
            8 => swap_words(bytes, dice),
            9 => insert(bytes, pick(BYTES, dice), dice),
            10 if !self.words.is_empty() => insert(bytes, pick(self.words, dice), dice),
            10 => overwrite(bytes, dice),
            _ => overwrite(bytes, dice),
        }
    }

    /// A stretch of another seed, put in at a line's beginning or anywhere.
    fn splice(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        let other = dice.pick(&self.seeds);
        let (from, to) = if dice.below(2) == 0 {
            lines(other, dice)
        } else {
            range(other, dice)
        };
        let at = if dice.below(2) == 0 {
            lines(bytes, dice).0
        } else {
            dice.index(bytes.len() + 1)
        };
        bytes.splice(at..at, other[from..to].iter().copied());
    }
}

/// One of `words`.
fn pick(words: &'static [&'static [u8]], dice: &mut Dice) -> &'static [u8] {
    words
        .get(dice.index(words.len()))
        .copied()
        .unwrap_or_default()
}

/// A range, short more often than long.
fn range(bytes: &[u8], dice: &mut Dice) -> (usize, usize) {
    let from = dice.index(bytes.len() + 1);
    let left = bytes.len() - from;
    let reach = match dice.below(3) {
        0 => left.min(8),
        1 => left.min(128),
        _ => left,
    };
    (from, from + dice.index(reach + 1))
}

/// Whole lines, one to four.
fn lines(bytes: &[u8], dice: &mut Dice) -> (usize, usize) {
    let at = dice.index(bytes.len() + 1);
    let from = bytes[..at]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |newline| newline + 1);
    let mut to = from;
    for _ in 0..=dice.below(4) {
        let newline = bytes[to..].iter().position(|b| *b == b'\n');
        to = newline.map_or(bytes.len(), |newline| to + newline + 1);
    }
    (from, to)
}

fn cut(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let (from, to) = if dice.below(2) == 0 {
        lines(bytes, dice)
    } else {
        range(bytes, dice)
    };
    bytes.drain(from..to);
}

fn swap_lines(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let (from, to) = lines(bytes, dice);
    let taken: Vec<u8> = bytes.drain(from..to).collect();
    let at = lines(bytes, dice).0;
    bytes.splice(at..at, taken);
}

fn swap_words(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let mut word = |bytes: &[u8]| {
        let at = dice.index(bytes.len() + 1);
        let from = bytes[..at]
            .iter()
            .rposition(|b| *b == b' ')
            .map_or(0, |blank| blank + 1);
        let end = bytes[from..]
            .iter()
            .position(|b| matches!(b, b' ' | b'\r' | b'\n'));
        (from, end.map_or(bytes.len(), |end| from + end))
    };
    let (from, to) = word(bytes);
    let taken: Vec<u8> = bytes.drain(from..to).collect();
    let at = word(bytes).0;
    bytes.splice(at..at, taken);
}

fn repeat(bytes: &mut Vec<u8>, max: usize, dice: &mut Dice) {
    let (from, to) = if dice.below(2) == 0 {
        lines(bytes, dice)
    } else {
        range(bytes, dice)
    };
    let often = [1, 2, 16, 128, 4096][dice.index(5)];
    let room = max.saturating_sub(bytes.len()) / (to - from).max(1);
    let more = bytes[from..to].repeat(often.min(room));
    bytes.splice(to..to, more);
}

/// Another number where one stands: behind `{` (the length of a literal) or anywhere.
fn replace_number(bytes: &mut Vec<u8>, is_length: bool, dice: &mut Dice) {
    let start = dice.index(bytes.len() + 1);
    let begins = |at: &usize| {
        let before = at.checked_sub(1).map(|before| bytes[before]);
        bytes[*at].is_ascii_digit()
            && (before == Some(b'{') || !is_length && !before.is_some_and(|b| b.is_ascii_digit()))
    };
    let Some(at) = (start..bytes.len()).chain(0..start).find(begins) else {
        return;
    };
    let digits = bytes[at..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let old = std::str::from_utf8(&bytes[at..at + digits])
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    let new = match (old, dice.below(3)) {
        (Some(old), 0) => (old ^ (1 << dice.below(6))).to_string(),
        (Some(old), 1) => old.wrapping_add(dice.below(5)).wrapping_sub(2).to_string(),
        _ => (*dice.pick(NUMBERS)).to_owned(),
    };
    bytes.splice(at..at + digits, new.into_bytes());
}

fn flip(bytes: &mut [u8], dice: &mut Dice) {
    for _ in 0..=dice.below(8) {
        let at = dice.index(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << dice.below(8);
        }
    }
}

fn nest(bytes: &mut Vec<u8>, max: usize, dice: &mut Dice) {
    let what = pick(NESTING, dice);
    let room = max.saturating_sub(bytes.len()) / what.len();
    let deep = [3, 60, 1_000, 100_000][dice.index(4)].min(room);
    insert(bytes, &what.repeat(deep), dice);
}

fn insert(bytes: &mut Vec<u8>, what: &[u8], dice: &mut Dice) {
    let at = dice.index(bytes.len() + 1);
    bytes.splice(at..at, what.iter().copied());
}

fn overwrite(bytes: &mut [u8], dice: &mut Dice) {
    let (from, to) = range(bytes, dice);
    let with = if dice.below(2) == 0 {
        None
    } else {
        Some(*dice.pick(&[0, 0x7f, 0x80, 0xff, b'a', b'9']))
    };
    for byte in bytes[from..to].iter_mut().take(16) {
        *byte = with.unwrap_or_else(|| dice.draw().to_le_bytes()[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutator() -> Mutator {
        Mutator {
            seeds: vec![
                b"a {3}\r\nabc d\r\ne 12 f\r\n".to_vec(),
                b"x\r\n".to_vec(),
                Vec::new(),
            ],
            words: &[b"WORD"],
            opening: b"open\r\n",
        }
    }

    #[test]
    fn seed_and_number_give_the_same_input_and_others_give_others() {
        let mutator = mutator();
        let inputs =
            |seed| -> Vec<Vec<u8>> { (0..500).map(|number| mutator.input(seed, number)).collect() };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
    }

    #[test]
    fn inputs_are_bounded_and_differ_in_every_way_that_is_named() {
        let mutator = mutator();
        let inputs: Vec<Vec<u8>> = (0..20_000).map(|number| mutator.input(1, number)).collect();
        let bound = INPUT_MAX + mutator.opening.len();
        assert!(inputs.iter().all(|input| input.len() <= bound));
        let some = |what: &[u8]| {
            inputs
                .iter()
                .any(|input| input.windows(what.len()).any(|seen| seen == what))
        };
        for what in [
            &b"{4294967296}"[..],
            b"WORD",
            b"open\r\na {3}",
            b"e 12 f\r\na {3}",
            b"((((((((",
            b"\0",
            b"18446744073709551616",
        ] {
            assert!(some(what), "{}", what.escape_ascii());
        }
        assert!(inputs.iter().any(|input| input.len() > 64 * 1024));
        assert!(inputs.contains(&mutator.seeds[0]), "some are as they were");
    }
}
