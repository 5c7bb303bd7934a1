//! Values in the text form of a query: days, spans of time, sizes, sets of UIDs. Each is read from a word and printed in one form.
//!
//! By hand, as `jiff` also reads fractions, months and years, of which nobody says how long they are. Errors say what was expected.

use std::fmt::{self, Write};

use jiff::civil::Date;

use crate::limits::QUERY_SPAN_MAX;
use crate::uidset::UidSet;

/// What a word should have been.
pub(super) type Value<T> = Result<T, String>;

/// Seconds of each unit of time, the largest first.
const SPANS: [(u32, &str); 6] = [
    (365 * 86_400, "y"),
    (7 * 86_400, "w"),
    (86_400, "d"),
    (3_600, "h"),
    (60, "m"),
    (1, "s"),
];
/// Units in which spans are printed: whoever reads of 730 days need not ask how long a year is.
const PRINTED_SPANS: std::ops::RangeFrom<usize> = 2..;

/// Octets of each unit of size, with its other spelling.
const SIZES: [(u64, &str, &str); 8] = [
    (1 << 40, "TiB", "Ti"),
    (1 << 30, "GiB", "Gi"),
    (1 << 20, "MiB", "Mi"),
    (1 << 10, "KiB", "Ki"),
    (1_000_000_000_000, "TB", "T"),
    (1_000_000_000, "GB", "G"),
    (1_000_000, "MB", "M"),
    (1_000, "KB", "K"),
];

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

const EPOCH: Date = Date::constant(1970, 1, 1);

/// Digits in front, and what follows them.
fn digits(word: &str) -> (&str, &str) {
    let end = word.find(|c: char| !c.is_ascii_digit());
    word.split_at(end.unwrap_or(word.len()))
}

/// `2026-11-27` or `27-Nov-2026`, as days since 1970-01-01. `None`: it does not look like a day.
pub(super) fn day(word: &str) -> Option<Value<i32>> {
    let mut parts = word.split('-');
    let (Some(first), Some(month), Some(last), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let number = |text: &str, least: usize, most: usize| -> Option<i16> {
        let fits = (least..=most).contains(&text.len()) && digits(text).1.is_empty();
        text.parse().ok().filter(|_| fits)
    };
    let (year, month, day) = if first.len() == 4 {
        (
            number(first, 4, 4)?,
            number(month, 2, 2)?,
            number(last, 2, 2)?,
        )
    } else {
        let at = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(month))?;
        let month = i16::try_from(at + 1).ok()?;
        (number(last, 4, 4)?, month, number(first, 1, 2)?)
    };
    let date = i8::try_from(month)
        .ok()
        .zip(i8::try_from(day).ok())
        .and_then(|(month, day)| Date::new(year, month, day).ok());
    let days = |date: Date| date.duration_since(EPOCH).as_hours().div_euclid(24);
    let days = date.and_then(|date| i32::try_from(days(date)).ok());
    Some(days.ok_or_else(|| "there is no such day".to_owned()))
}

pub(super) fn print_day(out: &mut impl Write, days: i32) -> fmt::Result {
    let date = jiff::Span::new().try_days(days).ok();
    match date.and_then(|span| EPOCH.checked_add(span).ok()) {
        Some(date) => write!(out, "{date}"),
        None => Err(fmt::Error),
    }
}

/// `7d`, in seconds. `None`: it does not look like a span.
pub(super) fn span(word: &str) -> Option<Value<u32>> {
    let (count, unit) = digits(word);
    if count.is_empty() || unit.is_empty() {
        return None;
    }
    let Some((seconds, _)) = SPANS.iter().find(|(_, name)| *name == unit) else {
        return match unit.chars().all(char::is_alphabetic) {
            true => Some(Err(
                "units of time are s, m (minutes), h, d, w and y (365 days), in small letters"
                    .to_owned(),
            )),
            false => None,
        };
    };
    let all = count
        .parse()
        .ok()
        .and_then(|n: u32| n.checked_mul(*seconds));
    let within = all.filter(|all| *all <= QUERY_SPAN_MAX);
    Some(within.ok_or_else(too_long))
}

/// The same, or seconds as IMAP has them.
pub(super) fn age(word: &str) -> Option<Value<u32>> {
    let (count, unit) = digits(word);
    if count.is_empty() || !unit.is_empty() {
        return span(word);
    }
    let all = count.parse().ok().filter(|all| *all <= QUERY_SPAN_MAX);
    Some(all.ok_or_else(too_long))
}

fn too_long() -> String {
    format!("a span is at most {} days", QUERY_SPAN_MAX / 86_400)
}

pub(super) fn print_span(out: &mut impl Write, seconds: u32) -> fmt::Result {
    let units = SPANS.get(PRINTED_SPANS).unwrap_or_default();
    let fits = |(unit, _): &&(u32, &str)| seconds > 0 && seconds.is_multiple_of(*unit);
    match units.iter().find(fits) {
        Some((unit, name)) => write!(out, "{}{name}", seconds / unit),
        None => write!(out, "{seconds}s"),
    }
}

/// `1M`, `64KiB`, `4096`, in octets.
pub(super) fn size(word: &str) -> Value<u64> {
    let (count, unit) = digits(word);
    if count.is_empty() {
        return Err("expected a size, such as 4096, 100KB or 1MiB".to_owned());
    }
    let known = SIZES.iter().find(|(_, name, other)| {
        name.eq_ignore_ascii_case(unit) || other.eq_ignore_ascii_case(unit)
    });
    let octets = match (known, unit) {
        (Some((octets, ..)), _) => *octets,
        (None, "" | "b" | "B") => 1,
        _ => {
            let units = "a size is a whole number with K, M, G, T (powers of 1000), KiB, MiB, GiB, TiB (of 1024) or nothing behind it";
            return Err(units.to_owned());
        }
    };
    let all = count.parse().ok().and_then(|n: u64| n.checked_mul(octets));
    all.ok_or_else(|| "a size is less than 2^64".to_owned())
}

/// In the unit of which there are the fewest.
pub(super) fn print_size(out: &mut impl Write, octets: u64) -> fmt::Result {
    let fits = |(unit, ..): &&(u64, &str, &str)| octets > 0 && octets.is_multiple_of(*unit);
    let whole = SIZES.iter().filter(fits);
    match whole.max_by_key(|(unit, ..)| *unit) {
        Some((unit, name, _)) => write!(out, "{}{name}", octets / unit),
        None => write!(out, "{octets}"),
    }
}

/// `1:5,9,12:*`
pub(super) fn uids(word: &str) -> Value<UidSet> {
    let wrong = || {
        "expected a set of UIDs without blanks, such as 1:5,9 or 100:* (1 to 4294967295)".to_owned()
    };
    let uid = |text: &str| {
        let all_digits = !text.is_empty() && digits(text).1.is_empty();
        let uid = text.parse().ok().filter(|uid| all_digits && *uid > 0);
        uid.ok_or_else(wrong)
    };
    let range = |text: &str| match text.split_once(':') {
        None => uid(text).map(|uid| (uid, uid)),
        Some((from, "*")) => Ok((uid(from)?, u32::MAX)),
        Some((from, to)) => Ok((uid(from)?, uid(to)?)),
    };
    let ranges: Vec<(u32, u32)> = word.split(',').map(range).collect::<Result<_, _>>()?;
    Ok(UidSet::from_ranges(ranges))
}

/// As `UidSet::text`, but that what goes to the end says so.
pub(super) fn print_uids(out: &mut impl Write, set: &UidSet) -> fmt::Result {
    for (at, (from, to)) in set.ranges().iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        match (from, to) {
            (from, to) if from == to => write!(out, "{comma}{from}")?,
            (from, &u32::MAX) => write!(out, "{comma}{from}:*")?,
            (from, to) => write!(out, "{comma}{from}:{to}")?,
        }
    }
    Ok(())
}

/// Digits alone.
pub(super) fn number(word: &str) -> Value<u64> {
    let (_, rest) = digits(word);
    let number = word.parse().ok().filter(|_| rest.is_empty());
    number.ok_or_else(|| "expected a whole number below 2^64".to_owned())
}
