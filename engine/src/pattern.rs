//! Patterns of mailbox names, of LIST and of queries: `*` stands for anything, `%` for anything within one level (RFC 3501, 6.3.8).
//!
//! Promises: work is at most octets of the name × [`Pattern::weight`], whatever the pattern; nothing is allocated for a name.
//! Never: looks at which mailboxes there are.

use crate::limits::MAILBOX_NAME_MAX;

/// The hierarchy separator.
pub const SEPARATOR: char = '/';

/// Words of the longest set of places: a reference, a pattern, and the place behind them.
const WORDS_MAX: usize = (2 * MAILBOX_NAME_MAX + 1).div_ceil(64);

/// A set of places in a pattern, a bit each.
type Places = [u64; WORDS_MAX];

/// A pattern with its reference name put before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Characters of the pattern: the place behind the last one is the end.
    length: usize,
    /// Places of `*`, places of `%`.
    stars: Box<Places>,
    percents: Box<Places>,
    /// Where the other characters stand: character, word, bits; sorted.
    letters: Vec<(char, usize, u64)>,
}

impl Pattern {
    /// `pattern` as seen from `reference`: one that begins with the separator is taken from the root. Both are names off the
    /// wire, so of at most [`MAILBOX_NAME_MAX`] bytes; what is longer matches nothing.
    pub fn new(reference: &str, pattern: &str) -> Pattern {
        let text = text(reference, pattern);
        let mut made = Pattern {
            length: text.len(),
            stars: Box::new([0; WORDS_MAX]),
            percents: Box::new([0; WORDS_MAX]),
            letters: Vec::new(),
        };
        for (at, c) in text.into_iter().enumerate().take(64 * WORDS_MAX) {
            let (word, bit) = (at / 64, 1 << (at % 64));
            match c {
                '*' => made.stars[word] |= bit,
                '%' => made.percents[word] |= bit,
                letter => made.letters.push((letter, word, bit)),
            }
        }
        made.letters.sort_unstable();
        made.letters.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            kept.2 |= if same { next.2 } else { 0 };
            same
        });
        made
    }

    /// Wild cards, neighbours counted as one.
    pub fn wildcards(&self) -> u32 {
        let ones = |places: &Places| places.iter().map(|word| word.count_ones()).sum::<u32>();
        ones(&self.stars) + ones(&self.percents)
    }

    /// Steps that one octet of a name costs.
    pub fn weight(&self) -> usize {
        (self.length / 64 + 1).min(WORDS_MAX)
    }

    /// Whether the name matches.
    pub fn matches(&self, name: &str) -> bool {
        let mut matches = false;
        self.matching_levels(name, |end| matches = end == name.len());
        matches
    }

    /// Whether it has a `%`: then LSUB shows parents of deeper subscribed names (RFC 3501, 6.3.9).
    pub fn has_percent(&self) -> bool {
        self.percents.iter().any(|word| *word != 0)
    }

    /// Gives the ends of those parents of `name` that match, from the root down, and of the name itself when it does.
    pub fn matching_levels(&self, name: &str, mut matching: impl FnMut(usize)) {
        // The first level INBOX matches whatever the case of its letters is (RFC 3501, 5.1).
        let any_case = match name.strip_prefix("INBOX") {
            Some(rest) if rest.is_empty() || rest.starts_with(SEPARATOR) => "INBOX".len(),
            _ => 0,
        };
        let mut places: Places = [0; WORDS_MAX];
        places[0] = 1;
        self.pass_wildcards(&mut places);
        for (at, c) in name.char_indices() {
            if c == SEPARATOR && self.ends(&places) {
                matching(at);
            }
            let mut next: Places = [0; WORDS_MAX];
            self.find(c, &mut next);
            if at < any_case {
                self.find(c.to_ascii_lowercase(), &mut next);
            }
            self.step(&mut places, &next, c == SEPARATOR);
            if places.iter().all(|word| *word == 0) {
                return;
            }
            self.pass_wildcards(&mut places);
        }
        if self.ends(&places) {
            matching(name.len());
        }
    }

    /// Adds the places where the letter stands.
    fn find(&self, letter: char, places: &mut Places) {
        let first = self.letters.partition_point(|(c, ..)| *c < letter);
        let there = self.letters.iter().skip(first);
        for (_, word, bits) in there.take_while(|(c, ..)| *c == letter) {
            places[*word] |= bits;
        }
    }

    /// One character of the name: `same` are the places where it stands.
    fn step(&self, places: &mut Places, same: &Places, separator: bool) {
        let mut carry = 0;
        for (word, place) in places.iter_mut().enumerate().take(self.weight()) {
            let moved = *place & same[word];
            let stays = self.stars[word] | if separator { 0 } else { self.percents[word] };
            *place = (*place & stays) | (moved << 1) | carry;
            carry = moved >> 63;
        }
    }

    /// A wild card may stand for nothing; behind one there is never another.
    fn pass_wildcards(&self, places: &mut Places) {
        let mut carry = 0;
        for (word, place) in places.iter_mut().enumerate().take(self.weight()) {
            let passed = *place & (self.stars[word] | self.percents[word]);
            *place |= (passed << 1) | carry;
            carry = passed >> 63;
        }
    }

    /// Whether the end is among the places.
    fn ends(&self, places: &Places) -> bool {
        let end = places.get(self.length / 64);
        end.is_some_and(|word| (word >> (self.length % 64)) & 1 == 1)
    }
}

/// The pattern as it is matched. Neighbouring wild cards say no more than one of them, which is `*` when there is one.
fn text(reference: &str, pattern: &str) -> Vec<char> {
    let (before, after) = match pattern.strip_prefix(SEPARATOR) {
        Some(rooted) => ("", rooted),
        None => (reference, pattern),
    };
    let mut text: Vec<char> = Vec::with_capacity(before.len() + after.len());
    for c in before.chars().chain(after.chars()) {
        match (text.last_mut(), c) {
            (Some('*'), '*' | '%') | (Some('%'), '%') => {}
            (Some(last @ '%'), '*') => *last = '*',
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(reference: &str, pattern: &str, names: &[&str]) {
        const ALL: [&str; 8] = [
            "INBOX",
            "INBOX/a",
            "Work",
            "Work/2024",
            "Work/2024/May",
            "Workers",
            "inboxes",
            "Été",
        ];
        let made = Pattern::new(reference, pattern);
        let got: Vec<&str> = ALL.into_iter().filter(|name| made.matches(name)).collect();
        assert_eq!(got, names, "{reference} {pattern}");
    }

    #[test]
    fn a_percent_stays_in_its_level_and_a_star_does_not() {
        check(
            "",
            "*",
            &[
                "INBOX",
                "INBOX/a",
                "Work",
                "Work/2024",
                "Work/2024/May",
                "Workers",
                "inboxes",
                "Été",
            ],
        );
        check("", "%", &["INBOX", "Work", "Workers", "inboxes", "Été"]);
        check("", "Work/%", &["Work/2024"]);
        check("", "Work/*", &["Work/2024", "Work/2024/May"]);
        check("", "Work%", &["Work", "Workers"]);
        check("", "W*", &["Work", "Work/2024", "Work/2024/May", "Workers"]);
        check("", "%/%", &["INBOX/a", "Work/2024"]);
        check("", "*May", &["Work/2024/May"]);
        check(
            "",
            "%*%",
            &[
                "INBOX",
                "INBOX/a",
                "Work",
                "Work/2024",
                "Work/2024/May",
                "Workers",
                "inboxes",
                "Été",
            ],
        );
        check("", "work", &[]);
    }

    #[test]
    fn inbox_matches_in_any_case_and_other_names_do_not() {
        check("", "inbox", &["INBOX"]);
        check("", "iNbOx/%", &["INBOX/a"]);
        check("", "in%", &["INBOX", "inboxes"]);
        check("", "INBOX*", &["INBOX", "INBOX/a"]);
    }

    #[test]
    fn a_reference_is_put_before_the_pattern() {
        check("Work/", "%", &["Work/2024"]);
        check("Work", "%", &["Work", "Workers"]);
        check("Work/", "/INBOX", &["INBOX"]);
    }

    #[test]
    fn a_first_level_inbox_matches_in_any_case_with_what_is_below_it() {
        check("", "InBoX*", &["INBOX", "INBOX/a"]);
        check("", "inb*", &["INBOX", "INBOX/a", "inboxes"]);
        check("", "inbox%", &["INBOX", "inboxes"]);
        check("", "%box/A", &[]);
        check("InBox/", "%", &["INBOX/a"]);
    }

    #[test]
    fn a_name_tells_which_of_its_parents_match() {
        let parents = |pattern: &str| {
            let mut ends = Vec::new();
            Pattern::new("", pattern).matching_levels("Work/2024/May", |end| ends.push(end));
            ends
        };
        assert_eq!(parents("%"), [4]);
        assert_eq!(parents("*"), [4, 9, 13]);
        assert_eq!(parents("%/%"), [9]);
        assert_eq!(parents("*y"), [13]);
        assert_eq!(parents("x%"), [0; 0]);
    }

    #[test]
    fn the_longest_pattern_matches_the_longest_name() {
        let name = "a".repeat(MAILBOX_NAME_MAX);
        assert!(Pattern::new(&"a".repeat(MAILBOX_NAME_MAX - 1), "a").matches(&name));
        assert!(Pattern::new(&"a*".repeat(512), &"*a".repeat(512)).matches(&name));
        assert!(!Pattern::new(&name, &name).matches(&name));
        let too_long = "*".to_owned() + &"a*".repeat(64 * WORDS_MAX);
        assert!(!Pattern::new("", &too_long).matches(&name));
    }

    /// The plain matcher: for every character of the pattern, where in the name it can end.
    fn plainly(pattern: &[char], name: &[char]) -> bool {
        let inbox = name.starts_with(&['I', 'N', 'B', 'O', 'X']);
        let any_case = if inbox && name.get(5).is_none_or(|c| *c == '/') {
            5
        } else {
            0
        };
        let mut ends = vec![false; name.len() + 1];
        ends[0] = true;
        for wanted in pattern {
            let mut next = vec![false; ends.len()];
            let mut open = false;
            for at in 0..ends.len() {
                let before = at.checked_sub(1).map(|before| (before, name[before]));
                let goes_on = |c| *wanted == '*' || c != '/';
                next[at] = match (wanted, before) {
                    ('*' | '%', None) => ends[at],
                    ('*' | '%', Some((_, c))) => ends[at] || (open && goes_on(c)),
                    (_, None) => false,
                    (wanted, Some((before, c))) if before < any_case => {
                        ends[before] && c.eq_ignore_ascii_case(wanted)
                    }
                    (wanted, Some((before, c))) => ends[before] && c == *wanted,
                };
                open = next[at];
            }
            ends = next;
        }
        ends[name.len()]
    }

    fn agrees(pattern: &str, name: &str) -> Result<(), TestCaseError> {
        let unrooted = pattern.strip_prefix('/').unwrap_or(pattern);
        let wanted = plainly(
            &unrooted.chars().collect::<Vec<_>>(),
            &name.chars().collect::<Vec<_>>(),
        );
        prop_assert_eq!(Pattern::new("", pattern).matches(name), wanted);
        Ok(())
    }

    proptest! {
        #[test]
        fn matching_says_what_the_plain_matcher_says(pattern in "[ab/%*]{1,8}", name in "[ab/]{0,8}") {
            agrees(&pattern, &name)?;
        }

        #[test]
        fn it_does_for_inbox_too(pattern in "[iI%*]?(nbo|NB%|[nN]%b|\\*)?[xX%*]{0,2}[/%*]?[aA%é]{0,2}", name in "INBOX(/?[aAé]{0,2})") {
            agrees(&pattern, &name)?;
        }

        #[test]
        fn it_does_where_places_need_several_words(pattern in "([ab]{1,40}[/%*]){0,9}", name in "([ab]{1,40}/?){0,9}") {
            agrees(&pattern, &name)?;
            // One that is made of the name: most of the others end early.
            let (at, wild) = (name.len() / 2, ["*", "%", ""][pattern.len() % 3]);
            agrees(&format!("{}{wild}{}", &name[..at], &name[(at + 3).min(name.len())..]), &name)?;
            agrees(&format!("*{name}%"), &name)?;
        }
    }
}
