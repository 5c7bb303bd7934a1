//! The one place where the engine reads the clock; apply never does.

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now_ms() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    #[cfg(test)]
    let now = now + steps::ahead_ms();
    now
}

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    i64::try_from(now_ms() / 1000).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod steps {
    //! Time that a test lets pass at once, for all of its process.

    use std::process::Command;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    static AHEAD_MS: AtomicU64 = AtomicU64::new(0);

    pub(super) fn ahead_ms() -> u64 {
        AHEAD_MS.load(Ordering::Relaxed)
    }

    /// A process of its own for a test, by its path, which lets time pass for all of its process; whether this is it.
    pub(crate) fn is_alone(test: &str) -> bool {
        if std::env::var_os("NEXTEST").is_some() {
            return true;
        }
        let own = std::env::current_exe().unwrap();
        let mut alone = Command::new(own);
        alone.args(["--exact", test]);
        assert!(alone.env("NEXTEST", "1").status().unwrap().success());
        false
    }

    /// Lets time pass.
    pub(crate) fn pass(span: Duration) {
        let ms = u64::try_from(span.as_millis()).unwrap();
        AHEAD_MS.fetch_add(ms, Ordering::Relaxed);
    }
}
