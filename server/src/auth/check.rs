//! Runs hashes: few at a time, off the async threads, and a password that was right a moment ago not again.
//!
//! Promises: each hash has its turn in the queue and its memory, of its own or of what messages in flight leave free; it never stands in their
//! line, where it would hold up all behind it. A kept success counts for the same account, password and hash only, so that a changed file counts at once. Never: keeps a password; what is kept says nothing without
//! a key that is gone with the process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use coldpost_engine::account::AccountName;
use coldpost_engine::{Error, Kind, Result};

use super::queue::{Asker, Queue, Turn};
use super::scheme::Hash;
use crate::budget::{Budget, Share};
use crate::limits::{
    ARGON2_MADE_MEMORY_KIB, CHECK_KEPT, CHECK_MEMORY_TICK, CHECK_WAIT, CHECKS_KEPT_MAX,
    CHECKS_MEMORY,
};

/// Where hashes are run; shared by all who do.
#[derive(Debug)]
pub struct Checks {
    queue: Queue,
    /// Of hashes alone.
    own: Budget,
    /// Of messages in flight.
    mail: Budget,
    key: [u8; 32],
    kept: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Checks {
    /// With a key of its own; `mail` is what hashes share with messages in flight.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(mail: Budget) -> std::io::Result<Checks> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(std::io::Error::other)?;
        Ok(Checks {
            queue: Queue::default(),
            own: Budget::new(CHECKS_MEMORY),
            mail,
            key,
            kept: Mutex::default(),
        })
    }

    /// Whether `shown` is the password of `name`; `asker` is who shows it.
    ///
    /// # Errors
    /// `Unavailable`: too many logins wait.
    pub(crate) async fn matches(
        &self,
        name: &AccountName,
        hash: Hash,
        shown: &[u8],
        asker: Asker,
    ) -> Result<bool> {
        let key = self.key_of(name, &hash, shown);
        if self.is_kept(&key, Instant::now()) {
            return Ok(true);
        }
        let turn = self.queue.turn(asker).await?;
        // Clients log in several times at once: the first of them was right meanwhile.
        if self.is_kept(&key, Instant::now()) {
            return Ok(true);
        }
        let is_right = self.run_in(turn, hash, shown).await?;
        if is_right {
            self.keep(key, Instant::now());
        }
        Ok(is_right)
    }

    /// Whether `shown` matches, run in any case.
    ///
    /// # Errors
    /// `Unavailable`: too many logins wait.
    pub(crate) async fn run(&self, hash: Hash, shown: &[u8], asker: Asker) -> Result<bool> {
        let turn = self.queue.turn(asker).await?;
        self.run_in(turn, hash, shown).await
    }

    async fn run_in(&self, turn: Turn, hash: Hash, shown: &[u8]) -> Result<bool> {
        let (shown, memory) = (shown.to_owned(), hash.memory());
        self.blocking(turn, memory, move || hash.matches(&shown))
            .await
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// `Invalid`: it cannot be one. `Unavailable`: too many logins wait.
    pub(crate) async fn make(&self, password: String) -> Result<Hash> {
        let turn = self.queue.turn(Asker::Trusted).await?;
        let memory = usize::try_from(ARGON2_MADE_MEMORY_KIB).unwrap_or(usize::MAX);
        let made = self
            .blocking(turn, memory.saturating_mul(1024), move || {
                Hash::make(password.as_bytes())
            })
            .await?;
        made.map_err(|why| Error::new(Kind::Invalid, why))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        turn: Turn,
        memory: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let share = self.share(memory).await?;
        let work = tokio::task::spawn_blocking(move || {
            // Held to the end, also when nobody waits for it any more.
            let _held = (turn, share);
            work()
        });
        let died = |e| Error::with_source(Kind::Internal, "checking a password failed", e);
        work.await.map_err(died)
    }

    /// Memory for a hash, at most half of that for mail.
    async fn share(&self, memory: usize) -> Result<[Option<Share>; 2]> {
        let taken = async {
            loop {
                if let Some(shares) = self.try_share(memory) {
                    return shares;
                }
                tokio::time::sleep(CHECK_MEMORY_TICK).await;
            }
        };
        tokio::time::timeout(CHECK_WAIT, taken).await.map_err(|_| {
            let text = "too much mail is in flight for the memory of a password check; try again in a moment";
            Error::new(Kind::Unavailable, text)
        })
    }

    /// The memory, if it is free now.
    fn try_share(&self, memory: usize) -> Option<[Option<Share>; 2]> {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let of_own = memory.min(bytes(self.own.free()));
        let own = self.own.try_take(of_own)?;
        let of_mail = (memory - of_own).min(bytes(self.mail.total() / 2));
        let mail = match of_mail {
            0 => None,
            of_mail => Some(self.mail.try_take(of_mail)?),
        };
        Some([Some(own), mail])
    }

    /// As if as many logins of each kind waited as may.
    #[cfg(test)]
    pub(super) async fn fill(&self) -> [tokio::sync::SemaphorePermit<'_>; 2] {
        self.queue.fill().await
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

    fn checks() -> Checks {
        Checks::new(Budget::new(64 << 20)).expect("random bytes")
    }

    fn hash(password: &str) -> Hash {
        Hash::read(&format!("{{PLAIN}}{password}")).expect("a hash")
    }

    #[tokio::test]
    async fn a_success_is_kept_for_a_minute_and_for_the_same_hash_only() {
        let checks = checks();
        let anna = name("anna");
        assert!(
            !checks
                .matches(&anna, hash("one"), b"two", Asker::Trusted)
                .await
                .expect("run")
        );
        assert!(checks.kept.lock().expect("no panic").is_empty());
        assert!(
            checks
                .matches(&anna, hash("one"), b"one", Asker::Trusted)
                .await
                .expect("run")
        );
        let (now, key) = (Instant::now(), checks.key_of(&anna, &hash("one"), b"one"));
        assert!(checks.is_kept(&key, now) && !checks.is_kept(&key, now + CHECK_KEPT));
        for other in [
            checks.key_of(&name("ben"), &hash("one"), b"one"),
            checks.key_of(&anna, &hash("new"), b"one"),
            checks.key_of(&anna, &hash("one"), b"two"),
            self::tests::checks().key_of(&anna, &hash("one"), b"one"),
        ] {
            assert!(!checks.is_kept(&other, now));
        }
        assert!(
            !checks
                .matches(&anna, hash("new"), b"one", Asker::Trusted)
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
        let checks = Arc::new(checks());
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
                let turn = checks.queue.turn(Asker::Trusted).await?;
                checks.blocking(turn, 0, work).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic").expect("its turn came");
        }
        assert!((1..=CHECKS_AT_ONCE).contains(&most.load(Ordering::SeqCst)));
        let _all = checks.queue.fill().await;
        let busy = checks
            .run(hash("x"), b"x", Asker::Trusted)
            .await
            .expect_err("nobody may wait");
        assert_eq!(busy.kind(), Kind::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_logins_with_one_password_at_once_the_first_is_run() {
        let checks = Arc::new(checks());
        let (anna, hash) = (name("anna"), Hash::make(b"sesame").expect("made"));
        let held = [Asker::Trusted; CHECKS_AT_ONCE].map(|asker| checks.queue.turn(asker));
        let held = futures::future::join_all(held).await;
        let login = {
            let (checks, anna, hash) = (Arc::clone(&checks), anna.clone(), hash.clone());
            async move { checks.matches(&anna, hash, b"sesame", Asker::Trusted).await }
        };
        let login = tokio::spawn(login);
        tokio::task::yield_now().await;
        // As if another one had been found right while it waits; run it would find no memory.
        checks.keep(checks.key_of(&anna, &hash, b"sesame"), Instant::now());
        let _own = checks.own.try_take(32 << 20).expect("free");
        let _mail = checks.mail.try_take(64 << 20).expect("free");
        drop(held);
        assert!(login.await.expect("no panic").expect("its turn came"));
    }

    #[tokio::test(start_paused = true)]
    async fn hashes_take_what_they_lack_from_the_budget_of_mail_and_give_it_back() {
        const MADE: u64 = ARGON2_MADE_MEMORY_KIB as u64 * 1024;
        let budget = Budget::new(64 << 20);
        let checks = Checks::new(budget.clone()).expect("random bytes");
        let made = checks.make("sesame".to_owned()).await.expect("made");
        assert_eq!(made.memory() as u64, MADE);
        // As if another one had most of theirs, and a large message were in flight, longer than a login waits.
        let other = checks.own.try_take(20 << 20).expect("free");
        let mail = budget.take(60 << 20, CHECK_WAIT).await.expect("free");
        let run = || checks.run(made.clone(), b"sesame", Asker::Trusted);
        let told = run().await.expect_err("no memory");
        assert_eq!(told.kind(), Kind::Unavailable);
        drop(mail);
        assert!(run().await.expect("its turn came"));
        assert_eq!(budget.used(), 0);
        drop(other);
        assert_eq!(checks.own.used(), 0);
        // Of a smaller budget it takes half.
        let small = Budget::new(1 << 20);
        let checks = Checks::new(small.clone()).expect("random bytes");
        let shares = checks.try_share(64 << 20).expect("free");
        assert_eq!((checks.own.free(), small.free()), (0, 512 << 10));
        drop(shares);
        assert_eq!((checks.own.used(), small.used()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hash_that_waits_for_memory_keeps_no_message_waiting() {
        let budget = Budget::new(64 << 20);
        let checks = Checks::new(budget.clone()).expect("random bytes");
        let _large = budget.try_take(40 << 20).expect("free");
        let share = checks.share(64 << 20);
        tokio::pin!(share);
        tokio::select! {
            _ = &mut share => unreachable!("there is too little"),
            () = tokio::time::sleep(CHECK_WAIT / 2) => {}
        }
        assert!(
            budget.try_take(24 << 20).is_some(),
            "all of the rest is free"
        );
        assert_eq!(checks.own.used(), 0, "and it holds nothing of theirs");
    }
}
