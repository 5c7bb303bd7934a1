//! Turns for what is costly: few at a time, first come first served.
//!
//! Promises: a bounded number waits a bounded time; an address that sends many fills its own queue, not that of the others.
//! Never: knows what the turn is for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use coldpost_engine::{Error, Kind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::limits::{CHECK_WAIT, CHECKS_ADDRESS_MAX, CHECKS_AT_ONCE, CHECKS_WAITING_MAX};

/// Who is next.
#[derive(Debug)]
pub(super) struct Queue {
    running: Arc<Semaphore>,
    waiting: Semaphore,
    /// Those of which somebody is here.
    addresses: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            running: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
            waiting: Semaphore::new(CHECKS_WAITING_MAX),
            addresses: Mutex::default(),
        }
    }
}

impl Queue {
    /// A turn, until it is dropped; `source` is an address that is one of many.
    ///
    /// # Errors
    /// `Unavailable`: too many wait.
    pub(super) async fn turn(&self, source: Option<IpAddr>) -> Result<OwnedSemaphorePermit> {
        let waited = timeout(CHECK_WAIT, self.wait(source)).await;
        waited.unwrap_or_else(|_| Err(busy()))
    }

    async fn wait(&self, source: Option<IpAddr>) -> Result<OwnedSemaphorePermit> {
        let address = source.map(|source| Address::of(self, source));
        let _place = match &address {
            Some(address) => Some(address.places.acquire().await.map_err(|_| busy())?),
            None => None,
        };
        let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        let running = Arc::clone(&self.running).acquire_owned();
        running.await.map_err(|_| busy())
    }

    /// As if as many waited as may.
    #[cfg(test)]
    pub(super) async fn fill(&self) -> tokio::sync::SemaphorePermit<'_> {
        let all = u32::try_from(CHECKS_WAITING_MAX).expect("small");
        self.waiting.acquire_many(all).await.expect("open")
    }
}

fn busy() -> Error {
    let text = "too many passwords wait for their check; try again in a moment";
    Error::new(Kind::Unavailable, text)
}

/// The queue of an address; the last who is in it takes it away.
struct Address<'q> {
    queue: &'q Queue,
    source: IpAddr,
    places: Arc<Semaphore>,
}

impl Address<'_> {
    fn of(queue: &Queue, source: IpAddr) -> Address<'_> {
        let mut addresses = queue
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(Semaphore::new(CHECKS_ADDRESS_MAX));
        let places = Arc::clone(addresses.entry(source).or_insert_with(made));
        Address {
            queue,
            source,
            places,
        }
    }
}

impl Drop for Address<'_> {
    fn drop(&mut self) {
        let addresses = self.queue.addresses.lock();
        let mut addresses = addresses.unwrap_or_else(PoisonError::into_inner);
        // This one and the table's.
        if Arc::strong_count(&self.places) <= 2 {
            addresses.remove(&self.source);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_that_sends_many_keeps_nobody_else_waiting_behind_all_of_them() {
        let queue = Arc::new(Queue::default());
        let address = |n| Some(IpAddr::V4(Ipv4Addr::from_bits(n)));
        let mut held = Vec::new();
        for _ in 0..CHECKS_AT_ONCE {
            held.push(queue.turn(None).await.expect("free"));
        }
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..CHECKS_WAITING_MAX * 2 {
            // The last one comes from elsewhere.
            let who = u32::from(n == CHECKS_WAITING_MAX * 2 - 1);
            let (queue, told) = (Arc::clone(&queue), told.clone());
            tasks.spawn(async move {
                let turn = queue.turn(address(who)).await.expect("its turn came");
                told.send(who).expect("somebody listens");
                drop(turn);
            });
            tokio::task::yield_now().await;
        }
        assert_eq!(queue.addresses.lock().expect("no panic").len(), 2);
        drop(held);
        let mut before = 0;
        while order.recv().await.expect("all are told") == 0 {
            before += 1;
        }
        assert!(before <= CHECKS_ADDRESS_MAX + CHECKS_AT_ONCE, "{before}");
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic");
        }
        assert!(queue.addresses.lock().expect("no panic").is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_told() {
        let queue = Queue::default();
        let _held = [queue.turn(None).await, queue.turn(None).await];
        let here = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let late = queue.turn(here).await.expect_err("nobody ends");
        assert_eq!(late.kind(), Kind::Unavailable);
        assert!(queue.addresses.lock().expect("no panic").is_empty());
        let _all = queue.fill().await;
        let crowded = queue.turn(here).await.expect_err("nobody may wait");
        assert_eq!(crowded.kind(), Kind::Unavailable);
    }
}
