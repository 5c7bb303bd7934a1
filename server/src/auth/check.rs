//! Runs hashes: few at a time, off the async threads, and a password that was right a moment ago not again.
//!
//! Promises: each hash has its turn in the queue, a kept success counts for the same
//! account, password and hash only, so that a changed file counts at once. Never: keeps a password; what is kept says nothing without
//! a key that is gone with the process.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use coldpost_engine::account::AccountName;
use coldpost_engine::{Error, Kind, Result};

use super::queue::Queue;
use super::scheme::Hash;
use crate::limits::{CHECK_KEPT, CHECKS_KEPT_MAX};

/// Where hashes are run; shared by all who do.
#[derive(Debug)]
pub struct Checks {
    queue: Queue,
    key: [u8; 32],
    kept: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Checks {
    /// With a key of its own.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new() -> std::io::Result<Checks> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(std::io::Error::other)?;
        Ok(Checks {
            queue: Queue::default(),
            key,
            kept: Mutex::default(),
        })
    }

    /// Whether `shown` is the password of `name`; `source` is the address that it comes from, where that is one of many.
    ///
    /// # Errors
    /// `Unavailable`: too many logins wait.
    pub(crate) async fn matches(
        &self,
        name: &AccountName,
        hash: Hash,
        shown: &[u8],
        source: Option<IpAddr>,
    ) -> Result<bool> {
        let key = self.key_of(name, &hash, shown);
        if self.is_kept(&key, Instant::now()) {
            return Ok(true);
        }
        let is_right = self.run(hash, shown, source).await?;
        if is_right {
            self.keep(key, Instant::now());
        }
        Ok(is_right)
    }

    /// Whether `shown` matches, run in any case.
    ///
    /// # Errors
    /// `Unavailable`: too many logins wait.
    pub(crate) async fn run(
        &self,
        hash: Hash,
        shown: &[u8],
        source: Option<IpAddr>,
    ) -> Result<bool> {
        let shown = shown.to_owned();
        self.blocking(source, move || hash.matches(&shown)).await
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// `Invalid`: it cannot be one. `Unavailable`: too many logins wait.
    pub(crate) async fn make(&self, password: String) -> Result<Hash> {
        let made = self
            .blocking(None, move || Hash::make(password.as_bytes()))
            .await?;
        made.map_err(|why| Error::new(Kind::Invalid, why))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        source: Option<IpAddr>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let permit = self.queue.turn(source).await?;
        let work = tokio::task::spawn_blocking(move || {
            // Held to the end, also when nobody waits for it any more.
            let _permit = permit;
            work()
        });
        let died = |e| Error::with_source(Kind::Internal, "checking a password failed", e);
        work.await.map_err(died)
    }

    fn key_of(&self, name: &AccountName, hash: &Hash, shown: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [name.as_str().as_bytes(), hash.text().as_bytes(), shown] {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hasher.update(&length.to_le_bytes()).update(part);
        }
        *hasher.finalize().as_bytes()
    }

    fn is_kept(&self, key: &[u8; 32], now: Instant) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key)
            .is_some_and(|since| now.duration_since(*since) < CHECK_KEPT)
    }

    fn keep(&self, key: [u8; 32], now: Instant) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CHECKS_KEPT_MAX {
            kept.retain(|_, since| now.duration_since(*since) < CHECK_KEPT);
        }
        if kept.len() >= CHECKS_KEPT_MAX
            && let Some(oldest) = kept
                .iter()
                .min_by_key(|(_, since)| **since)
                .map(|(key, _)| *key)
        {
            kept.remove(&oldest);
        }
        kept.insert(key, now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::limits::CHECKS_AT_ONCE;

    fn name(text: &str) -> AccountName {
        AccountName::normalise(text).expect("a name")
    }

    fn hash(password: &str) -> Hash {
        Hash::read(&format!("{{PLAIN}}{password}")).expect("a hash")
    }

    #[tokio::test]
    async fn a_success_is_kept_for_a_minute_and_for_the_same_hash_only() {
        let checks = Checks::new().expect("random bytes");
        let anna = name("anna");
        assert!(
            !checks
                .matches(&anna, hash("one"), b"two", None)
                .await
                .expect("run")
        );
        assert!(checks.kept.lock().expect("no panic").is_empty());
        assert!(
            checks
                .matches(&anna, hash("one"), b"one", None)
                .await
                .expect("run")
        );
        let (now, key) = (Instant::now(), checks.key_of(&anna, &hash("one"), b"one"));
        assert!(checks.is_kept(&key, now) && !checks.is_kept(&key, now + CHECK_KEPT));
        for other in [
            checks.key_of(&name("ben"), &hash("one"), b"one"),
            checks.key_of(&anna, &hash("new"), b"one"),
            checks.key_of(&anna, &hash("one"), b"two"),
            Checks::new()
                .expect("random bytes")
                .key_of(&anna, &hash("one"), b"one"),
        ] {
            assert!(!checks.is_kept(&other, now));
        }
        assert!(
            !checks
                .matches(&anna, hash("new"), b"one", None)
                .await
                .expect("run")
        );
        for n in 0..u32::try_from(CHECKS_KEPT_MAX).expect("a small number") + 5 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_le_bytes());
            checks.keep(key, now + Duration::from_millis(1));
        }
        assert_eq!(checks.kept.lock().expect("no panic").len(), CHECKS_KEPT_MAX);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_than_two_run_at_a_time_and_who_would_wait_too_long_is_told() {
        let checks = Arc::new(Checks::new().expect("random bytes"));
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (checks, running, most) =
                (Arc::clone(&checks), Arc::clone(&running), Arc::clone(&most));
            tasks.spawn(async move {
                let work = move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    Hash::make(b"sesame").expect("a hash");
                    running.fetch_sub(1, Ordering::SeqCst);
                };
                checks.blocking(None, work).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic").expect("its turn came");
        }
        assert!((1..=CHECKS_AT_ONCE).contains(&most.load(Ordering::SeqCst)));
        let _all = checks.queue.fill().await;
        let busy = checks
            .run(hash("x"), b"x", None)
            .await
            .expect_err("nobody may wait");
        assert_eq!(busy.kind(), Kind::Unavailable);
    }
}
