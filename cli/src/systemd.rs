//! What the service manager is told (sd_notify): that a start takes its time, readiness, signs of life, the end.
//!
//! Promises: a manager that does not listen holds nothing up. Without `NOTIFY_SOCKET` nothing is done at all.

use std::convert::Infallible;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// Time that the manager is asked for, again and again, while the store is being opened.
const EXTENSION: Duration = Duration::from_secs(30);
/// Time between two such requests.
const EXTENSION_EVERY: Duration = Duration::from_secs(10);
/// Requests after which a start is left to the manager's own limit: a day.
const EXTENSIONS_MAX: u32 = 24 * 60 * 6;
/// Time that the manager has for taking what it is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is told.
#[derive(Debug)]
pub(crate) enum Word {
    /// The store is being opened, which may mean a replay of its journal.
    Starting,
    /// Every listener answers; with a line for people.
    Ready(String),
    /// The runtime still runs tasks.
    Alive,
    /// Told to stop.
    Stopping,
}

/// Tells it, and waits for that only a moment.
pub(crate) async fn tell(word: Word) {
    let told = tokio::task::spawn_blocking(move || send(&word));
    // Whether it is heard is the manager's business.
    let _ = timeout(PATIENCE, told).await;
}

/// Asks for more time for as long as it is waited for.
pub(crate) async fn starting() -> Infallible {
    for _ in 0..EXTENSIONS_MAX {
        tell(Word::Starting).await;
        sleep(EXTENSION_EVERY).await;
    }
    std::future::pending().await
}

/// Gives signs of life, twice in the time after which the manager misses them; for ever.
pub(crate) async fn alive() {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
        return;
    };
    let mut signs = interval((limit / 2).max(Duration::from_millis(1)));
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        signs.tick().await;
        tell(Word::Alive).await;
    }
}

fn send(word: &Word) {
    let extension = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
    let sent = match word {
        Word::Starting => sd_notify::notify(&[
            NotifyState::ExtendTimeoutUsec(extension),
            NotifyState::Status("Opening the store"),
        ]),
        Word::Ready(status) => {
            sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)])
        }
        Word::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
        Word::Stopping => {
            sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status("Stopping")])
        }
    };
    if let Err(error) = sent {
        tracing::warn!(%error, ?word, "the service manager (NOTIFY_SOCKET) is not told");
    }
}
