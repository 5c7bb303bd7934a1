//! SEARCH and UID SEARCH (RFC 3501, 6.4.4; ESEARCH of RFC 4731; MODSEQ of RFC 7162, 3.1.5).

use coldpost_engine::ids::ModSeq;
use coldpost_engine::uidset::UidSet;

use crate::imap::ast::{Search, SearchReturn};
use crate::imap::completion::{Completion, Outcome};
use crate::imap::out::Out;
use crate::imap::reply::{self, Esearch};
use crate::imap::search_key;
use crate::imap::selected::{Selected, pieces};
use crate::imap::session::Session;
use crate::limits::IMAP_ENTRIES_BATCH;

pub(super) async fn run(
    session: &mut Session,
    tag: &str,
    search: Search,
    out: &mut Out<'_>,
) -> Outcome {
    let by_modseq = search_key::asks_modseq(&search.keys);
    if by_modseq {
        session.enable_condstore(out.buffer());
    }
    let selected = session.selected()?;
    let query = search_key::query(&search, selected.view.uids(), session.ctx.engine.now())
        .map_err(Completion::from)?;
    let found = session
        .ctx
        .engine
        .search(&selected.view, &query)
        .await?
        .intersection(selected.view.uids());
    let numbers = selected.numbers(&found, search.numbers);
    match search.returns {
        None => {
            let modseq = if by_modseq {
                highest_modseq(selected, &found)?
            } else {
                None
            };
            reply::search(out.buffer(), &numbers, modseq);
        }
        Some(returns) => {
            let told = told_of(returns, &found);
            let modseq = if by_modseq {
                highest_modseq(selected, &told)?
            } else {
                None
            };
            let answer = Esearch {
                tag,
                numbers: search.numbers,
                min: numbers.first().filter(|_| returns.min),
                max: numbers.last().filter(|_| returns.max),
                all: returns.all.then_some(&numbers),
                count: returns.count.then_some(numbers.len()),
                modseq,
            };
            reply::esearch(out.buffer(), &answer);
        }
    }
    out.relieve().await?;
    Ok(Completion::ok("Search completed"))
}

/// The messages that MODSEQ of an ESEARCH is about: with MIN and MAX alone those, else all (RFC 4731, 3.2).
fn told_of(returns: SearchReturn, found: &UidSet) -> UidSet {
    if returns.all || returns.count {
        return found.clone();
    }
    let (min, max) = (
        found.first().filter(|_| returns.min),
        found.last().filter(|_| returns.max),
    );
    min.into_iter().chain(max).collect()
}

fn highest_modseq(selected: &Selected, uids: &UidSet) -> Outcome<Option<ModSeq>> {
    let mut highest = None;
    for piece in pieces(uids, IMAP_ENTRIES_BATCH) {
        let entries = selected.entries(&piece)?;
        highest = highest.max(entries.iter().map(|entry| entry.modseq).max());
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modseq_of_an_esearch_is_about_what_it_tells() {
        let found: UidSet = [2, 5, 9].into_iter().collect();
        let told = |returns: SearchReturn| told_of(returns, &found).text();
        assert_eq!(
            told(SearchReturn {
                min: true,
                ..SearchReturn::default()
            }),
            "2"
        );
        assert_eq!(
            told(SearchReturn {
                max: true,
                ..SearchReturn::default()
            }),
            "9"
        );
        assert_eq!(
            told(SearchReturn {
                min: true,
                max: true,
                ..SearchReturn::default()
            }),
            "2,9"
        );
        assert_eq!(
            told(SearchReturn {
                min: true,
                count: true,
                ..SearchReturn::default()
            }),
            "2,5,9"
        );
    }
}
