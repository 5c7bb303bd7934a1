//! ESEARCH over mailboxes (RFC 7377).
//!
//! Promises: an answer for each mailbox in which something was found; others run between two mailboxes; what would take too long is refused
//! in words. A mailbox that goes meanwhile is passed over; the selected one is searched as this session was told of it.

use std::time::Instant;

use coldpost_engine::Kind;
use coldpost_engine::ids::{AccountRef, MailboxId};
use coldpost_engine::search::Ranked;
use coldpost_engine::view::{MailboxInfo, MailboxView};

use super::search::{after, answer, check_words, find_by, highest_modseq, relevancy};
use crate::imap::ast::{Multisearch, Search, SearchReturn, Source};
use crate::imap::completion::{Completion, Outcome};
use crate::imap::listing::Pace;
use crate::imap::out::Out;
use crate::imap::pattern::SEPARATOR;
use crate::imap::reply::{self, Code, Esearch};
use crate::imap::results::Results;
use crate::imap::search_key;
use crate::imap::session::Session;
use crate::limits::{IMAP_LIST_TIME, IMAP_MULTISEARCH_MAILBOXES_MAX, IMAP_MULTISEARCH_TIME};

pub(super) async fn run(
    session: &mut Session,
    tag: &str,
    multi: Multisearch,
    out: &mut Out<'_>,
) -> Outcome {
    let returns = multi.search.returns;
    let outcome = search_all(session, tag, &multi, out).await;
    after(session, returns, outcome)
}

async fn search_all(
    session: &mut Session,
    tag: &str,
    multi: &Multisearch,
    out: &mut Out<'_>,
) -> Outcome {
    let search = &multi.search;
    let selected = [Source::Selected];
    let sources = multi.sources.as_deref().unwrap_or(&selected);
    if sources.contains(&Source::Selected) {
        session.selected()?;
    }
    let returns = search.returns.unwrap_or(SearchReturn {
        all: true,
        ..SearchReturn::default()
    });
    let is_of_selected = sources.iter().all(|source| *source == Source::Selected);
    if !is_of_selected && (returns.save || search_key::asks_numbers_or_saved(&search.keys)) {
        let text = "SAVE, $ and sequence numbers are of the selected mailbox: search it alone";
        return Ok(Completion::bad(text));
    }
    check_words(session, search)?;
    if search_key::asks_modseq(&search.keys) {
        session.enable_condstore(out.buffer());
    }
    let account = session.account()?;
    let open = session.selected.as_ref().map(|s| s.view.mailbox());
    let infos = session.ctx.engine.mailboxes(account)?;
    let infos = chosen(&infos, sources, open).await?;
    let until = Instant::now() + IMAP_MULTISEARCH_TIME;
    for info in infos {
        let found = search_one(session, account, &info, search, returns).await?;
        if let Some((uid_validity, found, modseq)) = found
            && !returns.only_saves()
        {
            let results = Results::Ascending(found.uids.clone());
            let answer = Esearch {
                mailbox: Some((&info.name, uid_validity)),
                modseq,
                relevancy: relevancy(returns, &results, &found),
                ..answer(tag, returns, &results)
            };
            reply::esearch(out.buffer(), answer);
            out.relieve().await?;
        }
        if Instant::now() > until {
            let seconds = IMAP_MULTISEARCH_TIME.as_secs();
            let text = format!("a search of many mailboxes takes {seconds} s at most: name fewer");
            return Ok(Completion::no(Code::Limit, text));
        }
        tokio::task::yield_now().await;
    }
    Ok(Completion::ok("Search completed"))
}

/// UIDVALIDITY, what was found, and its highest modseq where that is asked for; `None`: nothing.
async fn search_one(
    session: &mut Session,
    account: AccountRef,
    info: &MailboxInfo,
    search: &Search,
    returns: SearchReturn,
) -> Outcome<Option<(u32, Ranked, Option<u64>)>> {
    let engine = session.ctx.engine.clone();
    let own = session.selected.as_mut();
    let own = own.filter(|selected| Some(selected.view.mailbox()) == info.id);
    let saved = own.as_ref().map(|selected| selected.saved.clone());
    let opened;
    let view: &MailboxView = match &own {
        Some(selected) => &selected.view,
        None => {
            opened = match engine.select(account, &info.name, false) {
                Ok(view) => view,
                Err(error) if error.kind() == Kind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            &opened
        }
    };
    let saved = saved.unwrap_or_default();
    let query = search_key::query(search, view.uids(), &saved, engine.now());
    let found = find_by(&engine, view, &query.map_err(Completion::from)?).await?;
    let meant = Results::Ascending(found.uids.clone()).meant_by(returns);
    let modseq = match search_key::asks_modseq(&search.keys) {
        true => highest_modseq(view, &meant)?,
        false => None,
    };
    let uid_validity = view.status().uid_validity;
    if let (true, Some(selected)) = (returns.save, own) {
        selected.saved = meant;
    }
    Ok((!found.uids.is_empty()).then_some((uid_validity, found, modseq)))
}

/// The mailboxes that `sources` name, each once, in the order of their names. Names of none are passed over (RFC 5465, 6).
async fn chosen(
    infos: &[MailboxInfo],
    sources: &[Source],
    selected: Option<MailboxId>,
) -> Outcome<Vec<MailboxInfo>> {
    let mut pace = Pace::new(IMAP_LIST_TIME);
    let mut chosen = Vec::new();
    for info in infos.iter().filter(|info| info.id.is_some()) {
        for source in sources {
            let names = match source {
                Source::Subtree(names) | Source::SubtreeOne(names) | Source::Mailboxes(names) => {
                    names.len()
                }
                _ => 1,
            };
            pace.spend(names * info.name.len()).await?;
            if is_in(info, source, selected) {
                chosen.push(info.clone());
                break;
            }
        }
    }
    if chosen.len() > IMAP_MULTISEARCH_MAILBOXES_MAX {
        let text = format!("a search is of at most {IMAP_MULTISEARCH_MAILBOXES_MAX} mailboxes");
        return Err(Completion::no(Code::Limit, text).into());
    }
    Ok(chosen)
}

fn is_in(info: &MailboxInfo, source: &Source, selected: Option<MailboxId>) -> bool {
    // What stands between the name and one above it.
    let below = |above: &String| {
        let rest = info.name.strip_prefix(above.as_str())?;
        rest.is_empty()
            .then_some(rest)
            .or_else(|| rest.strip_prefix(SEPARATOR))
    };
    match source {
        Source::Selected => info.id == selected,
        // Mail is delivered nowhere else.
        Source::Inboxes => info.name == "INBOX",
        Source::Personal => true,
        Source::Subscribed => info.subscribed,
        Source::Subtree(names) => names.iter().any(|name| below(name).is_some()),
        Source::SubtreeOne(names) => {
            let is_one = |name: &String| below(name).is_some_and(|rest| !rest.contains(SEPARATOR));
            names.iter().any(is_one)
        }
        Source::Mailboxes(names) => names.contains(&info.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_chosen_by_place_and_name() {
        let info = |name: &str, id| MailboxInfo {
            name: name.to_owned(),
            id: Some(MailboxId(id)),
            has_children: false,
            subscribed: id == 3,
            special_use: None,
        };
        let infos = [
            info("INBOX", 1),
            info("a", 2),
            info("a/b", 3),
            info("a/b/c", 4),
            info("ab", 5),
        ];
        let of = |source: Source| {
            let chosen = infos
                .iter()
                .filter(|info| is_in(info, &source, Some(MailboxId(2))));
            chosen
                .map(|info| info.name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let a = || vec!["a".to_owned(), "none".to_owned()];
        assert_eq!(of(Source::Selected), "a");
        assert_eq!(of(Source::Inboxes), "INBOX");
        assert_eq!(of(Source::Personal), "INBOX a a/b a/b/c ab");
        assert_eq!(of(Source::Subscribed), "a/b");
        assert_eq!(of(Source::Subtree(a())), "a a/b a/b/c");
        assert_eq!(of(Source::SubtreeOne(a())), "a a/b");
        assert_eq!(of(Source::Mailboxes(a())), "a");
    }
}
