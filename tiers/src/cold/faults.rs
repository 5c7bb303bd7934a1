//! A store that fails on order, the way buckets do; for tests.
//!
//! Promises: an order is used up by the requests that it meets, oldest order first; every attempt that reaches the store is noted.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio::sync::Notify;

use super::backend::{Backend, Body, Failure, Linked, Page};
use super::question::{Answer, Question};
use crate::address::StoreId;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens, and an error says so.
    Fail,
    /// The answer comes late.
    Delay(Duration),
    /// The answer breaks off after so many bytes (reads).
    Truncate(usize),
    /// The answer goes on after so many bytes when it is allowed to ([`Faults::go_on`]; reads).
    Hold(usize),
    /// One bit of this byte of the answer is wrong (reads).
    Flip(usize),
    /// It happens, and an error says that it did not.
    LoseAnswer,
    /// It does not happen, and the answer says that it did (puts).
    Discard,
    /// 404.
    NotFound,
    /// Permission denied.
    Refuse,
}

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A put, by bytes or by link.
    Put,
    /// A read.
    Get,
    /// A size.
    Head,
    /// A page of a listing.
    List,
    /// A delete.
    Delete,
}

/// An attempt that reached the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What.
    pub operation: Operation,
    /// Of which object or folder.
    pub name: String,
    /// Of which bytes.
    pub range: Option<Range<u64>>,
}

/// Orders and notes; clones are one.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    /// Answers that are held.
    held: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    away: bool,
    orders: VecDeque<(Operation, Fault)>,
    calls: Vec<Call>,
}

impl Faults {
    /// None.
    pub fn new() -> Faults {
        Faults::default()
    }

    /// The next `times` operations of this kind meet this fault.
    pub fn order(&self, operation: Operation, fault: Fault, times: usize) {
        self.state()
            .orders
            .extend(std::iter::repeat_n((operation, fault), times));
    }

    /// One answer that is held, or the next one to be, goes on.
    pub fn go_on(&self) {
        self.held.notify_one();
    }

    /// From now on everything fails, or nothing that is not ordered.
    pub fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    /// What was asked since the last time, and forgets it.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    pub(crate) fn over(&self, backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
        Arc::new(Faulty {
            backend,
            faults: self.clone(),
        })
    }

    fn meet(&self, operation: Operation, name: &str, range: Option<&Range<u64>>) -> Option<Fault> {
        let mut state = self.state();
        state.calls.push(Call {
            operation,
            name: name.to_owned(),
            range: range.cloned(),
        });
        if state.away {
            return Some(Fault::Fail);
        }
        let at = state.orders.iter().position(|(of, _)| *of == operation)?;
        state.orders.remove(at).map(|(_, fault)| fault)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Faulty {
    backend: Arc<dyn Backend>,
    faults: Faults,
}

/// Runs `work` under a fault that does not touch bytes.
async fn under<T>(
    fault: Option<Fault>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match fault {
        Some(Fault::Fail) => Err(ordered("failure")),
        Some(Fault::NotFound) => Err(Failure::Missing),
        Some(Fault::Refuse) => Err(Failure::Refused("permission denied, as ordered".into())),
        Some(Fault::LoseAnswer) => {
            work.await?;
            Err(ordered("loss of the answer"))
        }
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            work.await
        }
        Some(Fault::Truncate(_) | Fault::Hold(_) | Fault::Flip(_) | Fault::Discard) | None => {
            work.await
        }
    }
}

fn ordered(what: &str) -> Failure {
    Failure::Away(format!("{what}, as ordered").into())
}

/// The bytes of an answer under a fault.
async fn spoil(body: Body, fault: Option<Fault>, held: Arc<Notify>) -> Result<Body, Failure> {
    let Some(Fault::Truncate(_) | Fault::Hold(_) | Fault::Flip(_)) = fault else {
        return Ok(body);
    };
    let (object_bytes, answer_bytes) = (body.object_bytes, body.answer_bytes);
    let mut bytes: Vec<u8> = body
        .pieces
        .map_ok(|piece| piece.to_vec())
        .try_concat()
        .await?;
    match fault {
        Some(Fault::Hold(first)) => {
            let rest = Bytes::from(bytes.split_off(first.min(bytes.len())));
            let rest = async move {
                held.notified().await;
                Ok(rest)
            };
            let pieces = [std::future::ready(Ok(bytes.into())).boxed(), rest.boxed()];
            return Ok(Body {
                object_bytes,
                answer_bytes,
                pieces: futures::stream::iter(pieces).then(|piece| piece).boxed(),
            });
        }
        Some(Fault::Truncate(keep)) => bytes.truncate(keep),
        Some(Fault::Flip(at)) => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1),
        _ => {}
    }
    Ok(Body {
        object_bytes,
        answer_bytes,
        pieces: futures::stream::once(std::future::ready(Ok(bytes.into()))).boxed(),
    })
}

impl Backend for Faulty {
    fn prepare(&self) -> BoxFuture<'_, Result<(), Failure>> {
        self.backend.prepare()
    }

    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        let fault = self.faults.meet(Operation::Put, name, None);
        if fault == Some(Fault::Discard) {
            return std::future::ready(Ok(())).boxed();
        }
        under(fault, self.backend.put_new(name, bytes)).boxed()
    }

    fn belongs_to(&self, store: StoreId) {
        self.backend.belongs_to(store);
    }

    fn links(&self) -> bool {
        self.backend.links()
    }

    fn link_new<'a>(
        &'a self,
        name: &'a str,
        file: &'a Path,
        digest: [u8; 32],
    ) -> BoxFuture<'a, Result<Linked, Failure>> {
        let fault = self.faults.meet(Operation::Put, name, None);
        under(fault, self.backend.link_new(name, file, digest)).boxed()
    }

    fn put_over<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        let fault = self.faults.meet(Operation::Put, name, None);
        under(fault, self.backend.put_over(name, bytes)).boxed()
    }

    fn read<'a>(
        &'a self,
        name: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        let fault = self.faults.meet(Operation::Get, name, range.as_ref());
        let held = Arc::clone(&self.faults.held);
        async move {
            spoil(
                under(fault, self.backend.read(name, range)).await?,
                fault,
                held,
            )
            .await
        }
        .boxed()
    }

    fn stream<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        let fault = self.faults.meet(Operation::Get, name, Some(&range));
        let held = Arc::clone(&self.faults.held);
        let read = self.backend.stream(name, range);
        async move { spoil(under(fault, read).await?, fault, held).await }.boxed()
    }

    fn size<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        let fault = self.faults.meet(Operation::Head, name, None);
        under(fault, self.backend.size(name)).boxed()
    }

    fn confirm<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        let fault = self.faults.meet(Operation::Head, name, None);
        under(fault, self.backend.confirm(name)).boxed()
    }

    fn list_page<'a>(
        &'a self,
        folder: &'a str,
        after: Option<&'a str>,
        token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        let fault = self.faults.meet(Operation::List, folder, None);
        under(fault, self.backend.list_page(folder, after, token)).boxed()
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Option<Answer>, Failure>> {
        let fault = self.faults.meet(Operation::Get, question.name(), None);
        under(fault, self.backend.ask(question)).boxed()
    }

    fn prefix(&self) -> String {
        self.backend.prefix()
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        let fault = self.faults.meet(Operation::Delete, name, None);
        under(fault, self.backend.delete(name)).boxed()
    }
}
