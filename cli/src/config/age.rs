//! A span of time as settings say it: `14d`, `12h`, `30m`, `5s`, `0`.
//!
//! By hand, as `jiff` also reads fractions, months and years, of which nobody says how long they are, and writes in other words than were read.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Seconds of each unit, the largest first.
const UNITS: [(u64, &str); 5] = [
    (7 * 86_400, "w"),
    (86_400, "d"),
    (3_600, "h"),
    (60, "m"),
    (1, "s"),
];
/// Seconds of the longest one: a hundred years.
const MOST: u64 = 36_525 * 86_400;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) Duration);

impl Age {
    /// So many days.
    pub(crate) const fn days(count: u64) -> Age {
        Age(Duration::from_secs(count * 86_400))
    }
}

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Age, String> {
        let wrong = || {
            format!(
                "{text:?} is no span of time: write a whole number with s, m, h, d or w, as in 14d, or 0"
            )
        };
        let written = text.trim();
        let end = written
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(written.len());
        let (digits, unit) = written.split_at(end);
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        let unit = match unit.trim() {
            "" if count == 0 => 1,
            unit => {
                let known = UNITS.into_iter().find(|(_, name)| *name == unit);
                known.ok_or_else(wrong)?.0
            }
        };
        match count.checked_mul(unit) {
            Some(seconds) if seconds <= MOST => Ok(Age(Duration::from_secs(seconds))),
            _ => Err(format!("{text:?} is too long; at most a hundred years")),
        }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let days_and_less = UNITS.get(1..).unwrap_or_default();
        match days_and_less
            .iter()
            .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit))
        {
            Some((unit, name)) => write!(f, "{}{name}", seconds / unit),
            None => write!(f, "{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_of_time_have_units_and_are_shown_as_they_are_written() {
        for (text, seconds, shown) in [
            ("14d", 14 * 86_400, "14d"),
            ("12h", 12 * 3_600, "12h"),
            ("2w", 14 * 86_400, "14d"),
            ("90 m", 5_400, "90m"),
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
        ] {
            let age: Age = text.parse().expect("right");
            assert_eq!(
                (age.0.as_secs(), age.to_string().as_str()),
                (seconds, shown)
            );
        }
        for wrong in [
            "14",
            "d",
            "",
            "-1d",
            "1.5h",
            "5MiB",
            "1y",
            "99999999w",
            "18446744073709551616s",
        ] {
            assert!(wrong.parse::<Age>().is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_span_of_time_comes_back_from_its_text(seconds in 0..=MOST) {
            let age = Age(Duration::from_secs(seconds));
            prop_assert_eq!(age.to_string().parse(), Ok(age));
        }
    }
}
