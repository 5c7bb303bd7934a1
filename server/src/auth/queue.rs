//! Turns for what is costly: few at a time, first come first served, but for those who stand behind: of an address that failed lately
//! all, of another one all but the first.
//!
//! Promises: a bounded number waits a bounded time; an address that sends many fills its own queue, not that of the others; of all
//! who stand behind, of whatever addresses, [`CHECKS_BEHIND_AT_ONCE`] at a time are among the others, so that many of them together keep nobody else waiting.
//! Never: knows what the turn is for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use coldpost_engine::{Error, Kind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::limits::{
    CHECK_WAIT, CHECKS_ADDRESS_MAX, CHECKS_AT_ONCE, CHECKS_BEHIND_AT_ONCE, CHECKS_WAITING_MAX,
};

/// Who asks for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// An address that is one of many.
    Address(IpAddr),
    /// One whose last login failed, not long ago.
    FailedLately(IpAddr),
    /// A front end, a unix socket, the administration.
    Trusted,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _running: OwnedSemaphorePermit,
    _behind: Option<OwnedSemaphorePermit>,
}

/// Who is next.
#[derive(Debug)]
pub(super) struct Queue {
    running: Arc<Semaphore>,
    waiting: Semaphore,
    /// Those who stood behind and are run or next.
    behind: Arc<Semaphore>,
    behind_waiting: Semaphore,
    /// Those of which somebody is here.
    addresses: Mutex<HashMap<IpAddr, Arc<Places>>>,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            running: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
            waiting: Semaphore::new(CHECKS_WAITING_MAX),
            behind: Arc::new(Semaphore::new(CHECKS_BEHIND_AT_ONCE)),
            behind_waiting: Semaphore::new(CHECKS_WAITING_MAX),
            addresses: Mutex::default(),
        }
    }
}

impl Queue {
    /// A turn.
    ///
    /// # Errors
    /// `Unavailable`: too many wait.
    pub(super) async fn turn(&self, asker: Asker) -> Result<Turn> {
        let waited = timeout(CHECK_WAIT, self.wait(asker)).await;
        waited.unwrap_or_else(|_| Err(busy()))
    }

    async fn wait(&self, asker: Asker) -> Result<Turn> {
        let address = match asker {
            Asker::Address(source) | Asker::FailedLately(source) => Some(Address::of(self, source)),
            Asker::Trusted => None,
        };
        let _place = match &address {
            Some(address) => Some(address.places.all.acquire().await.map_err(|_| busy())?),
            None => None,
        };
        let first = match (&asker, &address) {
            (Asker::Address(_), Some(address)) => address.places.first.try_acquire().ok(),
            _ => None,
        };
        let is_behind = asker != Asker::Trusted && first.is_none();
        let waiting = match is_behind {
            true => &self.behind_waiting,
            false => &self.waiting,
        };
        let _waiting = waiting.try_acquire().map_err(|_| busy())?;
        let behind = match is_behind {
            true => {
                let among_others = Arc::clone(&self.behind).acquire_owned();
                Some(among_others.await.map_err(|_| busy())?)
            }
            false => None,
        };
        let running = Arc::clone(&self.running).acquire_owned();
        Ok(Turn {
            _running: running.await.map_err(|_| busy())?,
            _behind: behind,
        })
    }

    /// As if as many waited as may.
    #[cfg(test)]
    pub(super) async fn fill(&self) -> [tokio::sync::SemaphorePermit<'_>; 2] {
        let all = u32::try_from(CHECKS_WAITING_MAX).expect("small");
        let waiting = self.waiting.acquire_many(all).await;
        let behind = self.behind_waiting.acquire_many(all).await;
        [waiting, behind].map(|full| full.expect("open"))
    }
}

fn busy() -> Error {
    let text = "too many passwords wait for their check; try again in a moment";
    Error::new(Kind::Unavailable, text)
}

/// Where the logins of an address stand.
#[derive(Debug)]
struct Places {
    all: Semaphore,
    /// The one that does not stand behind.
    first: Semaphore,
}

/// The queue of an address; the last who is in it takes it away.
struct Address<'q> {
    queue: &'q Queue,
    source: IpAddr,
    places: Arc<Places>,
}

impl Address<'_> {
    fn of(queue: &Queue, source: IpAddr) -> Address<'_> {
        let mut addresses = queue
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let made = || {
            Arc::new(Places {
                all: Semaphore::new(CHECKS_ADDRESS_MAX),
                first: Semaphore::new(1),
            })
        };
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
        let address = |n| Asker::Address(IpAddr::V4(Ipv4Addr::from_bits(n)));
        let mut held = Vec::new();
        for _ in 0..CHECKS_AT_ONCE {
            held.push(queue.turn(Asker::Trusted).await.expect("free"));
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
    async fn new_addresses_that_send_many_at_once_are_one_each_before_somebody_else() {
        let queue = Arc::new(Queue::default());
        let address = |n| Asker::Address(IpAddr::V4(Ipv4Addr::from_bits(n)));
        let held = [
            queue.turn(Asker::Trusted).await,
            queue.turn(Asker::Trusted).await,
        ];
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = tokio::task::JoinSet::new();
        const ADDRESSES: u32 = 50;
        for n in 0..=ADDRESSES * 8 {
            let (queue, told) = (Arc::clone(&queue), told.clone());
            tasks.spawn(async move {
                // The last one is alone at its address.
                let turn = queue.turn(address(n / 8)).await;
                if turn.is_ok() {
                    told.send(n).expect("somebody listens");
                }
                drop(turn);
            });
            tokio::task::yield_now().await;
        }
        drop(held);
        let mut before = 0;
        while order.recv().await.expect("all are told") != ADDRESSES * 8 {
            before += 1;
        }
        // Of those behind one stands among the others at a time.
        assert!(before <= 2 * ADDRESSES, "{before}");
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_failed_lately_keep_nobody_else_waiting_however_many_they_are() {
        let queue = Arc::new(Queue::default());
        let address = |n| IpAddr::V4(Ipv4Addr::from_bits(n));
        let mut held = Vec::new();
        for _ in 0..CHECKS_AT_ONCE {
            held.push(queue.turn(Asker::Trusted).await.expect("free"));
        }
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = tokio::task::JoinSet::new();
        let many = u32::try_from(CHECKS_WAITING_MAX).expect("small") * 2;
        // More than may wait, each from an address of its own; the last ones come from elsewhere.
        for n in 0..many + 3 {
            let is_guess = n < many;
            let asker = match is_guess {
                true => Asker::FailedLately(address(n)),
                false => Asker::Address(address(n)),
            };
            let (queue, told) = (Arc::clone(&queue), told.clone());
            tasks.spawn(async move {
                let turn = queue.turn(asker).await;
                assert!(is_guess || turn.is_ok(), "{turn:?}");
                if turn.is_ok() {
                    told.send(is_guess).expect("somebody listens");
                }
                drop(turn);
            });
            tokio::task::yield_now().await;
        }
        drop(held);
        let (mut guesses, mut others) = (0, 0);
        while others < 3 {
            match order.recv().await.expect("all are told") {
                true => guesses += 1,
                false => others += 1,
            }
        }
        assert!(guesses <= 1 + 3, "{guesses}");
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic");
        }
        drop(told);
        while order.recv().await.is_some() {
            guesses += 1;
        }
        assert_eq!(guesses, CHECKS_WAITING_MAX, "each of them had its turn");
        assert!(queue.addresses.lock().expect("no panic").is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_told() {
        let queue = Queue::default();
        let _held = [
            queue.turn(Asker::Trusted).await,
            queue.turn(Asker::Trusted).await,
        ];
        let here = Asker::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let late = queue.turn(here).await.expect_err("nobody ends");
        assert_eq!(late.kind(), Kind::Unavailable);
        assert!(queue.addresses.lock().expect("no panic").is_empty());
        let _all = queue.fill().await;
        let crowded = queue.turn(here).await.expect_err("nobody may wait");
        assert_eq!(crowded.kind(), Kind::Unavailable);
    }
}
