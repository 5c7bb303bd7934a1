//! LIST patterns: `*` stands for anything, `%` for anything within one level (RFC 3501, 6.3.8).
//!
//! Promises: work is at most name × pattern. Never: looks at which mailboxes there are.

/// The hierarchy separator.
pub(crate) const SEPARATOR: char = '/';

/// A pattern with its reference name put before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: Vec<char>,
}

impl Pattern {
    /// `pattern` as seen from `reference`: one that begins with the separator is taken from the root.
    pub(crate) fn new(reference: &str, pattern: &str) -> Pattern {
        let (before, after) = match pattern.strip_prefix(SEPARATOR) {
            Some(rooted) => ("", rooted),
            None => (reference, pattern),
        };
        let mut text: Vec<char> = Vec::with_capacity(before.len() + after.len());
        for c in before.chars().chain(after.chars()) {
            // Neighbouring wild cards say no more than one of them, and would only cost time.
            match (text.last(), c) {
                (Some('*'), '*' | '%') | (Some('%'), '%') => {}
                (Some('%'), '*') => *text.last_mut().expect("just seen") = '*',
                _ => text.push(c),
            }
        }
        if text.len() >= 5 && text.get(5).is_none_or(|c| *c == SEPARATOR) && is_inbox(&text[..5]) {
            text.splice(..5, "INBOX".chars());
        }
        Pattern { text }
    }

    /// Whether the name matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        // INBOX alone matches whatever its letters' case is (RFC 3501, 5.1).
        self.run(name, |a, b| a == b)
            || name == "INBOX" && self.run(name, |a, b| a.eq_ignore_ascii_case(&b))
    }

    /// Whether it has a `%`: then LSUB shows parents of deeper subscribed names (RFC 3501, 6.3.9).
    pub(crate) fn has_percent(&self) -> bool {
        self.text.contains(&'%')
    }

    /// Steps through the name with the set of places in the pattern that are reachable.
    fn run(&self, name: &str, same: impl Fn(char, char) -> bool) -> bool {
        let mut places = vec![false; self.text.len() + 1];
        places[0] = true;
        self.skip_wildcards(&mut places);
        for c in name.chars() {
            let mut next = vec![false; places.len()];
            for (at, wanted) in self.text.iter().enumerate().filter(|(at, _)| places[*at]) {
                match wanted {
                    '*' => next[at] = true,
                    '%' => next[at] |= c != SEPARATOR,
                    wanted => next[at + 1] |= same(*wanted, c),
                }
            }
            self.skip_wildcards(&mut next);
            places = next;
        }
        places[self.text.len()]
    }

    /// A wild card may stand for nothing.
    fn skip_wildcards(&self, places: &mut [bool]) {
        for (at, wanted) in self.text.iter().enumerate() {
            if places[at] && matches!(wanted, '*' | '%') {
                places[at + 1] = true;
            }
        }
    }
}

fn is_inbox(text: &[char]) -> bool {
    text.iter()
        .copied()
        .zip("INBOX".chars())
        .all(|(a, b)| a.eq_ignore_ascii_case(&b))
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
        let pattern = Pattern::new(reference, pattern);
        let got: Vec<&str> = ALL
            .into_iter()
            .filter(|name| pattern.matches(name))
            .collect();
        assert_eq!(got, names, "{pattern:?}");
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

    fn slow(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], name) => name.is_empty(),
            (['*', rest @ ..], name) => (0..=name.len()).any(|n| slow(rest, &name[n..])),
            (['%', rest @ ..], name) => {
                let level = name.iter().position(|c| *c == '/').unwrap_or(name.len());
                (0..=level).any(|n| slow(rest, &name[n..]))
            }
            ([p, rest @ ..], [n, more @ ..]) => p == n && slow(rest, more),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_says_what_trying_everything_says(pattern in "[ab/%*]{1,8}", name in "[ab/]{0,8}") {
            let plain = pattern.strip_prefix('/').unwrap_or(&pattern);
            let wanted = slow(&plain.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>());
            prop_assert_eq!(Pattern::new("", &pattern).matches(&name), wanted);
        }
    }
}
