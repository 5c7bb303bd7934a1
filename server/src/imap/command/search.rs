//! SEARCH and UID SEARCH (RFC 3501, 6.4.4; ESEARCH of RFC 4731; SEARCHRES of RFC 5182; MODSEQ of RFC 7162, 3.1.5; PARTIAL of RFC 9394).

use coldpost_engine::Engine;
use coldpost_engine::ids::ModSeq;
use coldpost_engine::query::Query;
use coldpost_engine::search::Ranked;
use coldpost_engine::uidset::UidSet;
use coldpost_engine::view::MailboxView;

use crate::imap::ast::{Numbers, Search, SearchReturn};
use crate::imap::completion::{Completion, Failure, Outcome};
use crate::imap::out::Out;
use crate::imap::reply::{self, Esearch, Status};
use crate::imap::results::Results;
use crate::imap::search_key;
use crate::imap::selected::pieces;
use crate::imap::session::Session;
use crate::limits::IMAP_ENTRIES_BATCH;

pub(super) async fn run(
    session: &mut Session,
    tag: &str,
    search: Search,
    out: &mut Out<'_>,
) -> Outcome {
    let outcome = find_and_tell(session, tag, &search, out).await;
    after(session, search.returns, outcome)
}

async fn find_and_tell(
    session: &mut Session,
    tag: &str,
    search: &Search,
    out: &mut Out<'_>,
) -> Outcome {
    let found = find(session, search, out).await?;
    let results = Results::Ascending(found.uids.clone());
    tell(session, (tag, "SEARCH"), search, (&results, &found), out).await?;
    Ok(Completion::ok("Search completed"))
}

/// What the keys find in the selected mailbox.
pub(super) async fn find(
    session: &mut Session,
    search: &Search,
    out: &mut Out<'_>,
) -> Outcome<Ranked> {
    check_words(session, search)?;
    if search_key::asks_modseq(&search.keys) {
        session.enable_condstore(out.buffer());
    }
    let engine = &session.ctx.engine;
    let selected = session.selected()?;
    let uids = selected.view.uids();
    let query =
        search_key::query(search, uids, &selected.saved, engine.now()).map_err(Completion::from)?;
    find_by(engine, &selected.view, &query).await
}

/// What a query finds of those that a view shows; what sets of UIDs decide needs no look at messages.
pub(super) async fn find_by(engine: &Engine, view: &MailboxView, query: &Query) -> Outcome<Ranked> {
    if let Some(uids) = of_sets(query, view.uids()) {
        return Ok(Ranked {
            uids,
            ..Ranked::default()
        });
    }
    let found = engine.search_ranked(view, query).await?;
    Ok(Ranked {
        uids: found.uids.intersection(view.uids()),
        ..found
    })
}

/// FUZZY where words are indexed, RELEVANCY where something is fuzzy (RFC 6203, 4).
pub(super) fn check_words(session: &Session, search: &Search) -> Outcome<()> {
    let is_fuzzy = search_key::asks_fuzzy(&search.keys);
    let is_ranked = search.returns.is_some_and(|returns| returns.relevancy);
    match (is_fuzzy, session.ctx.engine.has_words()) {
        (true, false) => Err(Failure::Refused(Completion::bad(
            "words are not indexed here, so there is no FUZZY",
        ))),
        (false, _) if is_ranked => Err(Failure::Refused(Completion::bad(
            "RELEVANCY is of searches with FUZZY",
        ))),
        _ => Ok(()),
    }
}

fn of_sets(query: &Query, uids: &UidSet) -> Option<UidSet> {
    match query {
        Query::All => Some(uids.clone()),
        Query::Uids(set) => Some(set.intersection(uids)),
        Query::Not(inner) => match &**inner {
            Query::Uids(set) => Some(uids.difference(set)),
            _ => None,
        },
        Query::And(list) => list
            .iter()
            .try_fold(uids.clone(), |found, query| of_sets(query, &found)),
        _ => None,
    }
}

/// Tells what was found, and keeps what is to be saved.
pub(super) async fn tell(
    session: &mut Session,
    (tag, name): (&str, &str),
    search: &Search,
    (found, ranked): (&Results, &Ranked),
    out: &mut Out<'_>,
) -> Outcome<()> {
    let selected = session.selected()?;
    let by_modseq = search_key::asks_modseq(&search.keys);
    let Some(returns) = search.returns else {
        let modseq = match by_modseq {
            true => highest_modseq(&selected.view, &found.set())?,
            false => None,
        };
        let buffer = out.buffer();
        match found.numbers(selected, search.numbers) {
            Results::Ascending(set) => reply::found(buffer, name, set.iter(), modseq),
            Results::Sorted(list) => reply::found(buffer, name, list.into_iter(), modseq),
        }
        return Ok(out.relieve().await?);
    };
    let needs_meant = returns.save || by_modseq;
    let meant = match needs_meant {
        true => found.meant_by(returns),
        false => UidSet::new(),
    };
    if !returns.only_saves() {
        let modseq = match by_modseq {
            true => highest_modseq(&selected.view, &meant)?,
            false => None,
        };
        let numbers = found.numbers(selected, search.numbers);
        let answer = Esearch {
            numbers: search.numbers,
            modseq,
            relevancy: relevancy(returns, found, ranked),
            ..answer(tag, returns, &numbers)
        };
        reply::esearch(out.buffer(), answer);
    }
    if returns.save
        && let Some(selected) = &mut session.selected
    {
        selected.saved = meant;
    }
    Ok(out.relieve().await?)
}

/// How well those match that are told, in the order in which they are.
pub(super) fn relevancy(returns: SearchReturn, found: &Results, ranked: &Ranked) -> Vec<u8> {
    let told = match returns.partial {
        Some(page) => found.page(page),
        None => Some(found.clone()),
    };
    match told.filter(|_| returns.relevancy) {
        Some(Results::Ascending(set)) => ranked.relevancy_of(&set.iter().collect::<Vec<_>>()),
        Some(Results::Sorted(list)) => ranked.relevancy_of(&list),
        None => Vec::new(),
    }
}

/// An answer of UIDs to what `returns` asks for, without MODSEQ.
pub(super) fn answer<'a>(tag: &'a str, returns: SearchReturn, found: &Results) -> Esearch<'a> {
    let page = |page| {
        found
            .page(page)
            .map_or_else(String::new, |page| page.text())
    };
    Esearch {
        tag,
        mailbox: None,
        numbers: Numbers::Uid,
        min: found.first().filter(|_| returns.min),
        max: found.last().filter(|_| returns.max),
        all: returns.all.then(|| found.text()),
        partial: returns.partial.map(|asked| (asked, page(asked))),
        count: returns.count.then(|| found.len()),
        modseq: None,
        relevancy: Vec::new(),
    }
}

/// A search that was to save its result and is refused leaves none; one that cannot be understood leaves the last (RFC 5182, 2.1).
pub(super) fn after(
    session: &mut Session,
    returns: Option<SearchReturn>,
    outcome: Outcome,
) -> Outcome {
    let is_no = match &outcome {
        Ok(completion) | Err(Failure::Refused(completion)) => completion.status == Status::No,
        Err(Failure::Engine(_)) => true,
        Err(_) => false,
    };
    if let (true, Some(selected)) = (is_no, &mut session.selected)
        && returns.is_some_and(|returns| returns.save)
    {
        selected.saved = UidSet::new();
    }
    outcome
}

/// Of those of `uids` that are in the view.
pub(super) fn highest_modseq(view: &MailboxView, uids: &UidSet) -> Outcome<Option<ModSeq>> {
    let mut highest = None;
    for piece in pieces(uids, IMAP_ENTRIES_BATCH) {
        let limit = usize::try_from(piece.len()).unwrap_or(usize::MAX);
        let entries = view.entries(&piece, limit)?;
        highest = highest.max(entries.iter().map(|entry| entry.modseq).max());
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_uids_are_found_without_a_look_at_messages() {
        let set = |members: &[u32]| members.iter().copied().collect::<UidSet>();
        let there = set(&[2, 5, 9]);
        let found = |query: &Query| of_sets(query, &there).map(|set| set.text());
        let uids = |members: &[u32]| Query::Uids(set(members));
        let not = |query: Query| Query::Not(Box::new(query));
        assert_eq!(found(&Query::All).as_deref(), Some("2,5,9"));
        assert_eq!(found(&uids(&[1, 5])).as_deref(), Some("5"));
        assert_eq!(found(&not(uids(&[1, 5]))).as_deref(), Some("2,9"));
        let both = Query::And(vec![uids(&[5, 9]), not(uids(&[9])), Query::All]);
        assert_eq!(found(&both).as_deref(), Some("5"));
        assert_eq!(found(&Query::And(Vec::new())).as_deref(), Some("2,5,9"));
        for query in [
            Query::Recent,
            not(Query::All),
            Query::And(vec![Query::Recent]),
        ] {
            assert_eq!(found(&query), None, "{query:?}");
        }
    }
}
