//! Sets of numbers (RFC 3501, 9: sequence-set; RFC 4315: uid-set; RFC 5182: `$`).

use winnow::Parser;
use winnow::combinator::{alt, opt, preceded};

use coldpost_engine::uidset::UidSet;

use super::error::{Parsed, bad};
use super::token::nz_number;
use crate::imap::ast::{SeqNo, SequenceSet};
use crate::limits::IMAP_SET_RANGES_MAX;

/// `sequence-set = (seq-number / seq-range) *("," sequence-set)`, `sequence-set =/ "$"`: so `$` is the last of a set.
pub(super) fn sequence_set(input: &mut &[u8]) -> Parsed<SequenceSet> {
    let mut ranges = vec![range_or_saved(input)?];
    while ranges.last().is_some_and(|range| range.0 != SeqNo::Saved)
        && opt(b',').parse_next(input)?.is_some()
    {
        if ranges.len() == IMAP_SET_RANGES_MAX {
            let most = IMAP_SET_RANGES_MAX;
            return Err(bad(format!("a set has at most {most} ranges")));
        }
        ranges.push(range_or_saved(input)?);
    }
    Ok(SequenceSet(ranges))
}

/// `seq-number / seq-range / "$"`
fn range_or_saved(input: &mut &[u8]) -> Parsed<(SeqNo, SeqNo)> {
    let saved = b'$'.value((SeqNo::Saved, SeqNo::Saved));
    alt((saved, seq_range)).parse_next(input)
}

/// `seq-number / seq-range`; one number is a range of it.
fn seq_range(input: &mut &[u8]) -> Parsed<(SeqNo, SeqNo)> {
    let first = seq_number(input)?;
    let last = opt(preceded(b':', seq_number)).parse_next(input)?;
    Ok((first, last.unwrap_or(first)))
}

/// `seq-number = nz-number / "*"`
fn seq_number(input: &mut &[u8]) -> Parsed<SeqNo> {
    alt((nz_number.map(SeqNo::Number), b'*'.value(SeqNo::Star))).parse_next(input)
}

/// `known-uids`, `known-sequence-set`, `known-uid-set` (RFC 7162): a set without `*`.
pub(super) fn known_set(input: &mut &[u8]) -> Parsed<UidSet> {
    let SequenceSet(ranges) = sequence_set(input)?;
    let known: Option<Vec<(u32, u32)>> = ranges
        .into_iter()
        .map(|range| match range {
            (SeqNo::Number(first), SeqNo::Number(last)) => Some((first, last)),
            _ => None,
        })
        .collect();
    let known = known.ok_or_else(|| bad("* and $ are not allowed in this set"))?;
    Ok(UidSet::from_ranges(known))
}
