//! Evaluates a query on what is at hand: the entry, then the row, and says when only the text can tell.

use super::ast::{DateField, Query, SizeBound};
use crate::mail::{Stored, main_field};
use crate::search::{FoldedFields, header_in_row};
use crate::view::{Entry, Message};

/// What is known of a message so far.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Its entry.
    pub entry: &'a Entry,
    /// Keywords of its mailbox by bit.
    pub keywords: &'a [String],
    /// Whether it is \Recent in the session.
    pub recent: bool,
    /// Its row, once it was read.
    pub row: Option<&'a Stored>,
    /// Row and place, once both were read.
    pub message: Option<&'a Message>,
    /// Its folded fields, once they were asked for.
    pub(crate) fields: &'a FoldedFields,
}

/// What can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It matches.
    Yes,
    /// It does not.
    No,
    /// The row decides, or says that more is needed.
    NeedsRow,
    /// Its place decides: size, dates and ids that it was given.
    NeedsPlace,
    /// Only header or body can tell.
    NeedsText,
}

use Verdict::{NeedsPlace, NeedsRow, NeedsText, No, Yes};

fn verdict(yes: bool) -> Verdict {
    if yes { Yes } else { No }
}

/// Decides as far as `candidate` allows.
pub fn decide(query: &Query, candidate: &Candidate<'_>) -> Verdict {
    evaluate(query, candidate, &|_| None)
}

/// Decides for good: `hit` answers what only text can tell.
pub fn settle(query: &Query, candidate: &Candidate<'_>, hit: &dyn Fn(&Query) -> bool) -> bool {
    evaluate(query, candidate, &|q| Some(hit(q))) == Yes
}

/// Decides as far as `candidate` allows; `hit` answers what only text can tell, where it knows.
pub fn evaluate(query: &Query, c: &Candidate<'_>, hit: &dyn Fn(&Query) -> Option<bool>) -> Verdict {
    match query {
        Query::All => Yes,
        Query::And(list) => all(list.iter().map(|q| evaluate(q, c, hit))),
        Query::Or(list) => not(all(list.iter().map(|q| not(evaluate(q, c, hit))))),
        Query::Not(inner) => not(evaluate(inner, c, hit)),
        Query::Uids(set) => verdict(set.contains(c.entry.uid)),
        Query::Flags(flags) => verdict(c.entry.system.contains(*flags)),
        Query::Keyword(keyword) => {
            let bit = c
                .keywords
                .iter()
                .position(|k| k.eq_ignore_ascii_case(keyword));
            verdict(bit.is_some_and(|bit| c.entry.keywords & (1_u128 << bit) != 0))
        }
        Query::Recent => verdict(c.recent),
        Query::ModSeq(least) => verdict(c.entry.modseq >= *least),
        Query::SavedAfter(second) => verdict(c.entry.save_date > *second),
        Query::Days {
            field: DateField::Saved,
            from,
            until,
        } => {
            let day = i32::try_from(c.entry.save_date.div_euclid(86_400)).unwrap_or(i32::MAX);
            verdict(within(day, *from, *until))
        }
        Query::Header(name, _) if !main_field::is_main(name) => ask(query, hit),
        Query::Header(..) => match c.row {
            None => hit(query).map_or(NeedsRow, verdict),
            Some(row) => of_row(query, row, c.fields).unwrap_or_else(|| ask(query, hit)),
        },
        Query::Days {
            field: DateField::Sent,
            ..
        } => match c.row {
            None => NeedsRow,
            Some(row) => of_row(query, row, c.fields).unwrap_or_else(|| ask(query, hit)),
        },
        Query::Body(_) | Query::Text(_) | Query::Fuzzy(..) => ask(query, hit),
        _ => match c.message {
            None => NeedsPlace,
            Some(message) => of_place(query, message),
        },
    }
}

fn ask(query: &Query, hit: &dyn Fn(&Query) -> Option<bool>) -> Verdict {
    hit(query).map_or(NeedsText, verdict)
}

/// What the row says; `None` when only the text can tell. Of a damaged row too: whoever reads the text meets the damage and says so.
fn of_row(query: &Query, row: &Stored, fields: &FoldedFields) -> Option<Verdict> {
    match query {
        Query::Header(name, needle) => header_in_row(row, fields, name, needle).map(verdict),
        Query::Days { from, until, .. } => {
            let day = row.sent_day().ok()?;
            Some(verdict(day.is_some_and(|day| within(day, *from, *until))))
        }
        _ => None,
    }
}

fn of_place(query: &Query, message: &Message) -> Verdict {
    match query {
        Query::Days { from, until, .. } => {
            verdict(within(local_day(message.internal_date), *from, *until))
        }
        Query::DatedAfter(second) => verdict(message.internal_date.0 > *second),
        Query::Size(SizeBound::Larger, octets) => verdict(message.size > *octets),
        Query::Size(SizeBound::Smaller, octets) => verdict(message.size < *octets),
        Query::EmailId(id) => verdict(message.email_id.text() == *id),
        Query::ThreadId(id) => verdict(message.thread_id.text() == *id),
        _ => No,
    }
}

/// The day of INTERNALDATE as written, without regard to its zone (RFC 3501, 6.4.4: "disregarding time and timezone").
fn local_day((seconds, zone): (i64, i16)) -> i32 {
    let local = seconds.saturating_add(i64::from(zone) * 60);
    i32::try_from(local.div_euclid(86_400)).unwrap_or(i32::MAX)
}

fn within(day: i32, from: Option<i32>, until: Option<i32>) -> bool {
    from.is_none_or(|from| day >= from) && until.is_none_or(|until| day < until)
}

fn not(verdict: Verdict) -> Verdict {
    match verdict {
        Yes => No,
        No => Yes,
        needs => needs,
    }
}

/// No if one is; else what is needed, the place and the row before the text; else yes.
fn all(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut result = Yes;
    for verdict in verdicts {
        match (verdict, result) {
            (No, _) => return No,
            (NeedsPlace, _) => result = NeedsPlace,
            (NeedsRow, Yes | NeedsText) => result = NeedsRow,
            (NeedsText, Yes) => result = NeedsText,
            _ => {}
        }
    }
    result
}
