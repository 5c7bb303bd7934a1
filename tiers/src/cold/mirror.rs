//! Two stores as one: what is put is in both, what is read comes from the one that has it.
//!
//! Promises: a put, its confirmation and a delete are done when both stores have done them; an object is missing when both say so.
//! A listing is of one of them. Never: takes one copy's word against the other's: wrong bytes are found above, which may ask for each.
//! A crash leaves: an object in one store only, which the same put, tried again, completes.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, join};
use futures::{FutureExt, StreamExt};
use thiserror::Error;
use tokio::time::timeout;

use super::backend::{Backend, Body, Cause, Failure, Page};
use super::breaker::{Breaker, Weight};
use super::ledger::Ledger;
use super::patience::ATTEMPT_MAX;
use super::request::{Caller, Verb, collect, slow};
use crate::address::StoreId;

/// How long one store is waited for when the other may have it too.
pub(super) const FAILOVER: Duration = Duration::from_secs(3);

/// The two.
#[derive(Debug)]
pub(super) struct Mirror {
    sides: [Side; 2],
    ledger: Arc<Ledger>,
}

/// One of the two.
#[derive(Debug)]
pub(super) struct Side {
    backend: Arc<dyn Backend>,
    breaker: Breaker,
}

impl Side {
    pub(super) fn new(backend: Arc<dyn Backend>, label: &'static str, url: String) -> Side {
        let breaker = Breaker::new(label, url);
        Side { backend, breaker }
    }

    /// Asks, and notes whether there was an answer. `limit`: how long is waited, where it is not the caller who decides that.
    async fn ask<T>(
        &self,
        name: &str,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let limit = limit.unwrap_or(ATTEMPT_MAX);
        let waiting = Waiting {
            breaker: &self.breaker,
            name,
        };
        // Here, or by whoever waits for this: either way the guard notes it.
        let Ok(done) = timeout(limit, work).await else {
            return Err(self.said(slow(limit)));
        };
        std::mem::forget(waiting);
        match &done {
            Err(Failure::Away(cause)) => self.breaker.failed(Weight::Failed, name, cause),
            _ => self.breaker.answered(name),
        }
        done.map_err(|failure| self.said(failure))
    }

    /// With the words whose it is: outside, both have the name of the first.
    fn said(&self, failure: Failure) -> Failure {
        let of = |source| {
            let store = self.breaker.url().to_owned();
            Box::new(Of { store, source })
        };
        match failure {
            Failure::Refused(cause) => Failure::Refused(of(cause)),
            Failure::Short(cause) => Failure::Short(of(cause)),
            Failure::Away(cause) => Failure::Away(of(cause)),
            answer @ (Failure::Missing | Failure::Exists) => answer,
        }
    }

    /// The same when it is known to be away: at once.
    fn is_away(&self) -> Option<Failure> {
        let away = || format!("{} is away", self.breaker.url());
        (!self.breaker.admits()).then(|| Failure::Away(away().into()))
    }

    /// Puts, and tells whether it was made now; an equal object is as good.
    async fn put(&self, name: &str, bytes: &Bytes) -> Result<Done, Failure> {
        if let Some(away) = self.is_away() {
            return Err(away);
        }
        let put = self.backend.put_new(name, bytes.clone());
        match self.ask(name, None, put).await {
            Ok(()) => return Ok(Done::Made),
            Err(Failure::Exists) => {}
            Err(failure) => return Err(failure),
        }
        let read = async {
            let body = self.backend.read(name, None).await?;
            if body.object_bytes != length(bytes) {
                return Ok(None);
            }
            collect(body, length(bytes)).await.map(Some)
        };
        match self.ask(name, None, read).await? {
            Some(found) if found == *bytes => Ok(Done::WasThere),
            _ => Err(Failure::Exists),
        }
    }
}

/// Which of the two it was.
#[derive(Debug, Error)]
#[error("{store}: {source}")]
struct Of {
    store: String,
    source: Cause,
}

/// Notes that nobody answered, when the wait is given up.
struct Waiting<'s> {
    breaker: &'s Breaker,
    name: &'s str,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.breaker
            .failed(Weight::TimedOut, self.name, &"no answer in time");
    }
}

/// How a put of one side ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Made,
    WasThere,
}

impl Mirror {
    /// The first is asked first.
    pub(super) fn new(sides: [Side; 2], ledger: Arc<Ledger>) -> Mirror {
        Mirror { sides, ledger }
    }

    /// The answer of the first that has it; what both said when none has. One that is away is asked once a second.
    async fn either<'a, T, F>(
        &'a self,
        verb: Verb,
        name: &str,
        work: impl Fn(&'a Side) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut there = self.sides.iter().filter(|side| side.breaker.admits());
        let Some(first) = there.next() else {
            return Err(Failure::Away("both stores are away".into()));
        };
        let Some(second) = there.next() else {
            return match first.ask(name, None, work(first)).await {
                // The other one may have it.
                Err(Failure::Missing) => {
                    let words = format!(
                        "{} does not have it, and the other is away",
                        first.breaker.url()
                    );
                    Err(Failure::Away(words.into()))
                }
                done => done,
            };
        };
        let said = match first.ask(name, Some(FAILOVER), work(first)).await {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        self.ledger.request(verb, Caller::Mirror);
        match (said, second.ask(name, None, work(second)).await) {
            (_, Ok(done)) => Ok(done),
            (said @ Failure::Refused(_), Err(Failure::Missing)) => Err(said),
            (said @ (Failure::Away(_) | Failure::Short(_)), Err(_)) => Err(said),
            (_, Err(failure)) => Err(failure),
        }
    }

    /// Both, at the same time; the second is counted here.
    async fn both<'a, T, F>(
        &'a self,
        verb: Verb,
        work: impl Fn(&'a Side) -> F,
    ) -> (Result<T, Failure>, Result<T, Failure>)
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.ledger.request(verb, Caller::Mirror);
        let [first, second] = &self.sides;
        join(work(first), work(second)).await
    }
}

impl Backend for Mirror {
    fn prepare(&self) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            for side in &self.sides {
                side.backend.prepare().await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let bytes = &bytes;
            let put = |side: &'a Side| side.put(name, bytes);
            let done = self.both(Verb::Put, put).await;
            if matches!(done.1, Ok(Done::Made)) {
                self.ledger.bytes_out(Caller::Mirror, length(bytes));
            }
            match done {
                // Found by comparing, as in one store.
                (Ok(Done::WasThere), Ok(Done::WasThere)) => Err(Failure::Exists),
                (Ok(_), Ok(_)) => Ok(()),
                (Err(failure), _) => Err(failure),
                (_, Err(Failure::Exists)) => {
                    let url = self.sides[1].breaker.url();
                    let words = format!("{url} has other bytes under this name");
                    Err(Failure::Refused(words.into()))
                }
                (_, Err(failure)) => Err(failure),
            }
        }
        .boxed()
    }

    fn put_over<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let put = |side: &'a Side| side.backend.put_over(name, bytes.clone());
            let (first, second) = self.both(Verb::Put, put).await;
            first.and(second)
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        name: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        let read = move |side: &'a Side| whole(&*side.backend, name, range.clone());
        async move { self.either(Verb::Get, name, read).await }.boxed()
    }

    fn stream<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        let read = move |side: &'a Side| side.backend.stream(name, range.clone());
        async move { self.either(Verb::Get, name, read).await }.boxed()
    }

    fn copies(&self) -> usize {
        self.sides.len()
    }

    fn read_copy<'a>(
        &'a self,
        copy: usize,
        name: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        async move {
            let side = self.sides.get(copy).ok_or(Failure::Missing)?;
            let read = whole(&*side.backend, name, Some(range));
            side.ask(name, Some(FAILOVER), read).await
        }
        .boxed()
    }

    fn size<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        let size = move |side: &'a Side| side.backend.size(name);
        async move { self.either(Verb::Head, name, size).await }.boxed()
    }

    fn confirm<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        let size = move |side: &'a Side| side.ask(name, None, side.backend.size(name));
        async move {
            match self.both(Verb::Head, size).await {
                (Ok(first), Ok(second)) if first == second => Ok(first),
                (Ok(first), Ok(second)) => {
                    let words = format!("one copy has {first} bytes, the other {second}");
                    Err(Failure::Refused(words.into()))
                }
                (Err(failure), _) | (_, Err(failure)) => Err(failure),
            }
        }
        .boxed()
    }

    fn list_page<'a>(
        &'a self,
        folder: &'a str,
        after: Option<&'a str>,
        token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        async move {
            // A token says which of the two gave it.
            let (number, token) = match token.and_then(|token| token.split_once(':')) {
                Some((number, token)) => (number.parse().ok(), Some(token)),
                None => (None, None),
            };
            let list = |side: &'a Side| side.backend.list_page(folder, after, token);
            let number: Option<usize> = number;
            let side = number.and_then(|number| self.sides.get(number));
            let numbered = |(number, page): (usize, Page)| Page {
                next: page.next.map(|token| format!("{number}:{token}")),
                ..page
            };
            match (number, side) {
                (Some(number), Some(side)) => {
                    let page = side.ask(folder, None, list(side)).await?;
                    Ok(numbered((number, page)))
                }
                _ => {
                    let begin = |side: &'a Side| {
                        let number = usize::from(!std::ptr::eq(side, &self.sides[0]));
                        list(side).map(move |page| page.map(|page| (number, page)))
                    };
                    let begun = self.either(Verb::List, folder, begin).await;
                    begun.map(numbered)
                }
            }
        }
        .boxed()
    }

    fn belongs_to(&self, store: StoreId) {
        for side in &self.sides {
            side.backend.belongs_to(store);
        }
    }

    fn sides(&self) -> Vec<(String, Arc<dyn Backend>)> {
        let side = |side: &Side| (side.breaker.url().to_owned(), Arc::clone(&side.backend));
        self.sides.iter().map(side).collect()
    }

    fn away(&self) -> Option<Vec<String>> {
        let away = self.sides.iter().filter(|side| side.breaker.is_open());
        Some(away.map(|side| side.breaker.url().to_owned()).collect())
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        let delete = move |side: &'a Side| async move {
            match side.is_away() {
                Some(away) => Err(away),
                None => side.ask(name, None, side.backend.delete(name)).await,
            }
        };
        async move {
            let (first, second) = self.both(Verb::Delete, delete).await;
            for done in [first, second] {
                match done {
                    Ok(()) | Err(Failure::Missing) => {}
                    Err(failure) => return Err(failure),
                }
            }
            Ok(())
        }
        .boxed()
    }
}

/// A range is small and read to its end, so that one that breaks off is had from the other store.
async fn whole(
    backend: &dyn Backend,
    name: &str,
    range: Option<Range<u64>>,
) -> Result<Body, Failure> {
    let body = backend.read(name, range.clone()).await?;
    let Some(range) = range else { return Ok(body) };
    let object_bytes = body.object_bytes;
    let answer_bytes = range.end.saturating_sub(range.start);
    let bytes = collect(body, answer_bytes).await?;
    Ok(Body {
        object_bytes,
        answer_bytes,
        pieces: futures::stream::iter([Ok(bytes)]).boxed(),
    })
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).expect("a length fits 64 bits")
}

#[cfg(test)]
mod tests;
