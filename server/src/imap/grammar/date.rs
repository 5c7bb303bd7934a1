//! Dates (RFC 3501, 9: date, date-time).

use jiff::civil::{Date, DateTime, Time};
use winnow::Parser;
use winnow::combinator::{alt, delimited, opt};
use winnow::token::{one_of, take_while};

use super::error::{Parsed, bad, unfit};

const MONTHS: [&[u8]; 12] = [
    b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC",
];

/// `date = date-text / DQUOTE date-text DQUOTE`, as days since 1970-01-01.
pub(super) fn date(input: &mut &[u8]) -> Parsed<i32> {
    let date = alt((date_text, delimited(b'"', date_text, b'"'))).parse_next(input)?;
    let days = date
        .duration_since(Date::constant(1970, 1, 1))
        .as_hours()
        .div_euclid(24);
    i32::try_from(days).map_err(|_| unfit())
}

/// `date-text = date-day "-" date-month "-" date-year`
fn date_text(input: &mut &[u8]) -> Parsed<Date> {
    let (day, _, month, _, year) =
        (number(1, 2), b'-', date_month, b'-', number(4, 4)).parse_next(input)?;
    let day = i8::try_from(day).map_err(|_| unfit())?;
    Date::new(year, month, day).map_err(|_| bad("there is no such day"))
}

/// `date-month = "Jan" / "Feb" / …`
fn date_month(input: &mut &[u8]) -> Parsed<i8> {
    let name: &[u8] = take_while(3..=3, |b: u8| b.is_ascii_alphabetic()).parse_next(input)?;
    let index = MONTHS
        .iter()
        .position(|month| month.eq_ignore_ascii_case(name))
        .ok_or_else(unfit)?;
    i8::try_from(index + 1).map_err(|_| unfit())
}

/// `date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE`: seconds since 1970 and the zone in minutes
/// east. A day of one digit is taken with and without its space.
pub(super) fn date_time(input: &mut &[u8]) -> Parsed<(i64, i16)> {
    (b'"', opt(b' ')).parse_next(input)?;
    let (date, _, time, _, zone) = (date_text, b' ', time, b' ', zone).parse_next(input)?;
    b'"'.parse_next(input)?;
    let local =
        DateTime::from_parts(date, time).duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    Ok((local.as_secs() - i64::from(zone) * 60, zone))
}

/// `time = 2DIGIT ":" 2DIGIT ":" 2DIGIT`; a leap second counts as the one before.
fn time(input: &mut &[u8]) -> Parsed<Time> {
    let (hour, _, minute, _, second) =
        (number(2, 2), b':', number(2, 2), b':', number(2, 2)).parse_next(input)?;
    let part = |value: i16| i8::try_from(value).map_err(|_| unfit());
    let second = if second == 60 { 59 } else { second };
    Time::new(part(hour)?, part(minute)?, part(second)?, 0)
        .map_err(|_| bad("there is no such time"))
}

/// `zone = ("+" / "-") 4DIGIT`, in minutes east.
fn zone(input: &mut &[u8]) -> Parsed<i16> {
    let (sign, hours, minutes) =
        (one_of([b'+', b'-']), number(2, 2), number(2, 2)).parse_next(input)?;
    if hours > 23 || minutes > 59 {
        return Err(bad("there is no such zone"));
    }
    let zone = hours * 60 + minutes;
    Ok(if sign == b'-' { -zone } else { zone })
}

/// From `least` to `most` digits; at most four, so that every value fits.
fn number<'i>(least: usize, most: usize) -> impl FnMut(&mut &'i [u8]) -> Parsed<i16> {
    move |input| {
        let digits: &[u8] =
            take_while(least..=most, |b: u8| b.is_ascii_digit()).parse_next(input)?;
        Ok(digits
            .iter()
            .fold(0, |value, &digit| value * 10 + i16::from(digit - b'0')))
    }
}
