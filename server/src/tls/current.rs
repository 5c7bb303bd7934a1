//! The certificate that is served now, and the files that it came from.
//!
//! Promises: files are looked at every [`TLS_LOOK_EVERY`] and read when they are others than last time, on threads that may wait; a pair that
//! cannot be used is said once, and the one before stays. The two files need not change at the same moment.
//! Never: ends a session because of a certificate.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::TlsFiles;
use super::certificate::{Loaded, Stamp, load, stamp};
use crate::limits::{TLS_EXPIRY_NOTICE, TLS_LOOK_EVERY};
use crate::metrics;

/// What is served, and where from.
pub(super) struct Current {
    name: &'static str,
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    state: RwLock<State>,
}

struct State {
    loaded: Loaded,
    /// The files when they were read last, whatever came of it.
    stamp: Stamp,
    /// Why the files that lie there now are not served.
    trouble: Option<String>,
}

impl Current {
    pub(super) fn load(
        name: &'static str,
        files: TlsFiles,
        provider: Arc<CryptoProvider>,
    ) -> Result<Current, String> {
        // Before they are read: a change in between is seen at the next look.
        let stamp = stamp(&files);
        let loaded = load(&files, &provider)?;
        metrics::certificate_expires(name, expires(&loaded));
        let current = Current {
            name,
            files,
            provider,
            state: RwLock::new(State {
                loaded,
                stamp,
                trouble: None,
            }),
        };
        for problem in current.problems() {
            tracing::warn!(protocol = name, "{problem}");
        }
        Ok(current)
    }

    pub(super) fn files(&self) -> &TlsFiles {
        &self.files
    }

    pub(super) fn expires(&self) -> Option<i64> {
        self.with(|state| expires(&state.loaded))
    }

    /// Looks at the files from time to time, for ever.
    pub(super) async fn follow(self: &Arc<Self>) {
        let mut look = tokio::time::interval(TLS_LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let current = Arc::clone(self);
            // It ends with an error only by a panic, which is logged; the next look is another try.
            let _ = tokio::task::spawn_blocking(move || current.look()).await;
        }
    }

    /// Takes the files up when they are others than last time.
    pub(super) fn look(&self) {
        let stamp = stamp(&self.files);
        if self.with(|state| state.stamp == stamp) {
            return;
        }
        let read = load(&self.files, &self.provider);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.stamp = stamp;
        let is_good = read.is_ok();
        match read {
            Ok(loaded) => {
                metrics::certificate_expires(self.name, expires(&loaded));
                state.loaded = loaded;
                state.trouble = None;
            }
            Err(trouble) => state.trouble = Some(trouble),
        }
        drop(state);
        metrics::certificate_read(self.name, is_good);
        let problems = self.problems();
        if is_good {
            let expires = self.expires().map(expiry_text);
            tracing::info!(protocol = self.name, expires, "a new certificate is served");
        }
        for problem in problems {
            tracing::warn!(protocol = self.name, "{problem}");
        }
    }

    /// What somebody should do something about.
    pub(super) fn problems(&self) -> Vec<String> {
        let now = Timestamp::now().as_second();
        self.with(|state| {
            let kept = state.trouble.as_ref().map(|trouble| {
                format!(
                    "{}.{trouble}. The certificate before is served on",
                    self.name
                )
            });
            let ends = state.loaded.validity.and_then(|validity| {
                let what = aging(validity, now)?;
                Some(format!(
                    "{}.tls_cert {} {what}",
                    self.name,
                    self.files.cert.display()
                ))
            });
            kept.into_iter().chain(ends).collect()
        })
    }

    fn with<T>(&self, ask: impl FnOnce(&State) -> T) -> T {
        ask(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn expires(loaded: &Loaded) -> Option<i64> {
    loaded.validity.map(|(_, until)| until)
}

/// What is wrong with a certificate that counts from and until these times.
fn aging((from, until): (i64, i64), now: i64) -> Option<String> {
    let notice = i64::try_from(TLS_EXPIRY_NOTICE.as_secs()).unwrap_or(i64::MAX);
    if now > until {
        Some(format!(
            "expired at {}; clients refuse it: replace the files",
            expiry_text(until)
        ))
    } else if now < from {
        Some(format!(
            "counts only from {} on; set the clock, or give another",
            expiry_text(from)
        ))
    } else if until.saturating_sub(now) < notice {
        Some(format!(
            "expires at {}; replace the files soon",
            expiry_text(until)
        ))
    } else {
        None
    }
}

/// A time as it is shown (RFC 3339).
pub(crate) fn expiry_text(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{seconds} s after 1970"),
    }
}

/// What rustls asks for the certificate of a handshake.
pub(super) struct Served(pub(super) Arc<Current>);

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Served({:?})", self.0.files)
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.with(|state| Arc::clone(&state.loaded.certified)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_complained_of_before_it_counts_shortly_before_its_end_and_behind_it() {
        let day = 24 * 60 * 60;
        let validity = (1_000 * day, 1_090 * day);
        let said = |now: i64| aging(validity, now).unwrap_or_default();
        assert!(said(999 * day).contains("counts only from 1972-09-27T00:00:00Z"));
        assert_eq!(said(1_000 * day), "");
        assert_eq!(said(1_083 * day), "");
        assert!(said(1_083 * day + 1).contains("expires at 1972-12-26T00:00:00Z; replace"));
        assert!(said(1_090 * day + 1).contains("expired at 1972-12-26"));
    }
}
