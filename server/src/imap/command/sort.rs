//! SORT and THREAD, and their UID forms (RFC 5256; SORT=DISPLAY of RFC 5957; ESORT of RFC 5267).

use coldpost_engine::order::{SortKey, Step, Threads};

use super::search;
use crate::imap::ast::{Numbers, Sort, Thread};
use crate::imap::completion::{Completion, Outcome};
use crate::imap::out::Out;
use crate::imap::reply;
use crate::imap::results::Results;
use crate::imap::search_key;
use crate::imap::selected::Selected;
use crate::imap::session::Session;

/// Steps of threads that are written between two looks whether the client takes them.
const STEPS: usize = 4_096;

pub(super) async fn sort(
    session: &mut Session,
    tag: &str,
    sort: Sort,
    out: &mut Out<'_>,
) -> Outcome {
    let outcome = sort_and_tell(session, tag, &sort, out).await;
    search::after(session, sort.search.returns, outcome)
}

async fn sort_and_tell(
    session: &mut Session,
    tag: &str,
    sort: &Sort,
    out: &mut Out<'_>,
) -> Outcome {
    let is_by_relevancy = sort.by.iter().any(|by| by.key == SortKey::Relevancy);
    if is_by_relevancy && !search_key::asks_fuzzy(&sort.search.keys) {
        return Ok(Completion::bad("RELEVANCY is of searches with FUZZY"));
    }
    let found = search::find(session, &sort.search, out).await?;
    let view = &session.selected()?.view;
    let sorted = session.ctx.engine.sort(view, &found, &sort.by).await?;
    let sorted = Results::Sorted(sorted);
    search::tell(session, (tag, "SORT"), &sort.search, (&sorted, &found), out).await?;
    Ok(Completion::ok("Sort completed"))
}

pub(super) async fn thread(session: &mut Session, thread: Thread, out: &mut Out<'_>) -> Outcome {
    let found = search::find(session, &thread.search, out).await?;
    let selected = session.selected()?;
    let engine = &session.ctx.engine;
    let threads = engine.thread(&selected.view, &found.uids, thread.algorithm);
    tell(selected, thread.search.numbers, &threads.await?, out).await?;
    Ok(Completion::ok("Thread completed"))
}

/// `* THREAD (2)(3 6 (4 23)(44 7 96))`
async fn tell(
    selected: &Selected,
    numbers: Numbers,
    threads: &Threads,
    out: &mut Out<'_>,
) -> Outcome<()> {
    let buffer = out.buffer();
    reply::thread_begins(buffer, threads.is_empty());
    let mut follows_message = false;
    for (count, step) in threads.steps().enumerate() {
        let buffer = out.buffer();
        match step {
            Step::Open => reply::branch_begins(buffer, follows_message),
            Step::Close => reply::branch_ends(buffer),
            Step::Message(uid) => {
                let number = match numbers {
                    Numbers::Uid => Some(uid),
                    Numbers::Sequence => selected.sequence(uid),
                };
                if let Some(number) = number {
                    reply::thread_member(buffer, number, follows_message);
                }
            }
        }
        follows_message = matches!(step, Step::Message(_));
        if count % STEPS == STEPS - 1 {
            out.relieve().await?;
        }
    }
    reply::thread_ends(out.buffer());
    Ok(out.relieve().await?)
}
