//! Puts a query in the order in which it is cheapest to answer, and works out what can be known beforehand.
//!
//! Promises: a planned query matches the same messages, and is not planned otherwise. Never: looks at a message.

use coldpost_search::fold::fold_collapsed;

use super::ast::{DateField, Query, SizeBound};
use super::steps::Source;
use crate::flags::SystemFlags;
use crate::mail::main_field;

/// The query with the cheapest members of each list first (entries, rows, places, text), its needles folded, and without what says
/// nothing: lists in lists, ALL in an AND, what is said twice, NOT of a NOT. One that no message matches is [`Query::NOTHING`].
pub fn plan(query: &Query) -> Query {
    match query {
        Query::And(list) => {
            let inner = |query| match query {
                Query::And(inner) => Ok(inner),
                other => Err(other),
            };
            match flat(list, inner, &Query::All, &Query::NOTHING) {
                Some(list) => alone(list, Query::All, Query::And),
                None => Query::NOTHING,
            }
        }
        Query::Or(list) => {
            let inner = |query| match query {
                Query::Or(inner) if !inner.is_empty() => Ok(inner),
                other => Err(other),
            };
            match flat(list, inner, &Query::NOTHING, &Query::All) {
                Some(list) => alone(list, Query::NOTHING, Query::Or),
                None => Query::All,
            }
        }
        Query::Not(inner) => match plan(inner) {
            Query::All => Query::NOTHING,
            Query::Not(inner) => *inner,
            nothing if nothing == Query::NOTHING => Query::All,
            inner => Query::Not(Box::new(inner)),
        },
        Query::Header(name, needle) => Query::Header(name.clone(), fold_collapsed(needle)),
        Query::Body(needle) => Query::Body(fold_collapsed(needle)),
        Query::Text(needle) => Query::Text(fold_collapsed(needle)),
        other => constant(other).unwrap_or_else(|| other.clone()),
    }
}

/// The planned members, each once and the cheapest first; `neutral` ones left out, `None` when one decides the whole list.
fn flat(
    list: &[Query],
    inner: impl Fn(Query) -> Result<Vec<Query>, Query>,
    neutral: &Query,
    deciding: &Query,
) -> Option<Vec<Query>> {
    let mut members: Vec<Query> = Vec::with_capacity(list.len());
    for query in list.iter().map(plan) {
        if query == *deciding {
            return None;
        }
        match inner(query) {
            Ok(inner) => members.extend(inner),
            Err(query) if query != *neutral => members.push(query),
            Err(_) => {}
        }
    }
    members.sort_by_key(cost);
    // Lists are bounded by those who read queries, and equal members are of equal cost.
    let mut once: Vec<Query> = Vec::with_capacity(members.len());
    for query in members {
        if !once.contains(&query) {
            once.push(query);
        }
    }
    Some(once)
}

/// A list; none is `empty`, one alone stands for itself.
fn alone(mut list: Vec<Query>, empty: Query, join: fn(Vec<Query>) -> Query) -> Query {
    match (list.pop(), list.is_empty()) {
        (None, _) => empty,
        (Some(only), true) => only,
        (Some(last), false) => {
            list.push(last);
            join(list)
        }
    }
}

/// A key that says the same of every message.
fn constant(query: &Query) -> Option<Query> {
    let (all, nothing) = match query {
        Query::Uids(set) => (false, set.is_empty()),
        Query::Flags(flags) => (*flags == SystemFlags::default(), false),
        Query::ModSeq(least) => (*least == 0, false),
        Query::Days {
            from: Some(from),
            until: Some(until),
            ..
        } => (false, from >= until),
        Query::Size(SizeBound::Smaller, octets) => (false, *octets == 0),
        Query::Size(SizeBound::Larger, octets) => (false, *octets == u64::MAX),
        _ => (false, false),
    };
    match (all, nothing) {
        (true, _) => Some(Query::All),
        (_, true) => Some(Query::NOTHING),
        _ => None,
    }
}

/// What decides a query at the dearest, and within the text what is dearer.
fn cost(query: &Query) -> (Source, u8) {
    match query {
        Query::And(list) | Query::Or(list) => {
            let dearest = list.iter().map(cost).max();
            dearest.unwrap_or((Source::Entries, 0))
        }
        Query::Not(inner) => cost(inner),
        Query::Body(_) => (Source::Text, 1),
        Query::Text(_) => (Source::Text, 2),
        Query::Fuzzy(..) => (Source::Words, 0),
        key => (source(key), 0),
    }
}

/// What decides a key; of a list or NOT, the dearest.
pub(super) fn source(query: &Query) -> Source {
    match query {
        Query::Text(_) | Query::Body(_) => Source::Text,
        Query::Fuzzy(..) => Source::Words,
        Query::Header(name, _) if main_field::is_main(name) => Source::Rows,
        Query::Header(..) => Source::Text,
        Query::Days { field, .. } => match field {
            DateField::Internal => Source::Places,
            DateField::Sent => Source::Rows,
            DateField::Saved => Source::Entries,
        },
        Query::Size(..) | Query::DatedAfter(_) | Query::EmailId(_) | Query::ThreadId(_) => {
            Source::Places
        }
        Query::And(_) | Query::Or(_) | Query::Not(_) => cost(query).0,
        Query::All
        | Query::Uids(_)
        | Query::Flags(_)
        | Query::Keyword(_)
        | Query::Recent
        | Query::SavedAfter(_)
        | Query::ModSeq(_) => Source::Entries,
    }
}
