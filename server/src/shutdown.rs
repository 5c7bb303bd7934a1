//! The end of the daemon: one word to everybody, then a bounded wait.
//!
//! Promises: sessions hear of it between two steps, finish what they acknowledged, and are cut off after [`DRAIN`].
//! Never: closes the engine: who started it does, when all sessions are gone.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Time that sessions have for ending after the word.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Gives the word.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Hears it. Clones hear the same.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A trigger and what hears it.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Says that it is over. Saying it twice changes nothing.
    pub fn pull(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Ends when the word was given (or nobody is left to give it).
    pub async fn begun(&mut self) {
        // An error means that the trigger is gone, which is an end as well.
        let _ = self.0.wait_for(|over| *over).await;
    }

    /// Whether the word was given.
    pub fn is_over(&self) -> bool {
        *self.0.borrow()
    }

    /// The channel itself; true means that it is over.
    pub fn receiver(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }
}

/// Ends with the name of the signal when the process is told to stop (SIGTERM, SIGINT).
///
/// # Errors
/// When the handlers cannot be installed.
pub async fn told_to_stop() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_the_word_also_who_asks_late() {
        let (trigger, shutdown) = channel();
        let mut early = shutdown.clone();
        let waiting = tokio::spawn(async move { early.begun().await });
        trigger.pull();
        waiting.await.expect("it ended");
        shutdown.clone().begun().await;
        assert!(*shutdown.receiver().borrow());
    }
}
