//! Which listeners are gone though nobody told them to stop.
//!
//! Promises: a listener that ended or panicked before the shutdown word is named by `/readyz` and `status` from that moment on.

use std::sync::{Arc, Mutex, PoisonError};

use coldpost_engine::Health;

use crate::shutdown::Shutdown;

/// Names of the listeners that are gone. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<Vec<&'static str>>>);

impl Watch {
    /// Runs a listener; how it ends, by a panic too, is noted.
    pub(crate) async fn over(
        self,
        name: &'static str,
        shutdown: Shutdown,
        running: impl Future<Output = ()>,
    ) {
        let _noted = Noted {
            watch: self,
            name,
            shutdown,
        };
        running.await;
    }

    /// Adds what is wrong to how the engine is.
    pub(crate) fn report(&self, health: &mut Health) {
        let gone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in gone.iter() {
            health.ready = false;
            health.problems.push(format!(
                "nobody listens for {name} any more, because of a bug (the log has it); restart the daemon"
            ));
        }
    }
}

/// Notes the end when it is dropped: that also happens on the way out of a panic.
struct Noted {
    watch: Watch,
    name: &'static str,
    shutdown: Shutdown,
}

impl Drop for Noted {
    fn drop(&mut self) {
        if self.shutdown.is_over() {
            return;
        }
        let mut gone = self.watch.0.lock().unwrap_or_else(PoisonError::into_inner);
        gone.push(self.name);
        drop(gone);
        tracing::error!(protocol = self.name, "the listener is gone");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown;

    fn problems(watch: &Watch) -> (bool, Vec<String>) {
        let mut health = Health {
            ready: true,
            ..Health::default()
        };
        watch.report(&mut health);
        (health.ready, health.problems)
    }

    #[tokio::test]
    async fn a_listener_that_panics_or_ends_is_named_at_once_and_one_that_was_told_to_is_not() {
        let (trigger, shutdown) = shutdown::channel();
        let watch = Watch::default();
        assert_eq!(problems(&watch), (true, vec![]));
        let told = watch.clone().over("http", shutdown.clone(), async {
            shutdown.clone().begun().await;
        });
        let ended = watch.clone().over("lmtp", shutdown.clone(), async {});
        tokio::spawn(ended).await.expect("it ends");
        let panics = watch.clone().over("imap", shutdown.clone(), async {
            panic!("a bug of the listener");
        });
        tokio::spawn(panics).await.expect_err("it panics");
        let (ready, named) = problems(&watch);
        assert!(!ready && named.len() == 2, "{named:?}");
        assert!(named[0].contains("for lmtp") && named[1].contains("for imap"));
        trigger.pull();
        told.await;
        assert_eq!(problems(&watch).1.len(), 2);
    }
}
