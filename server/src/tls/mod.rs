//! TLS on the sockets of IMAP and LMTP: the handshake, bounded, and the certificate, read again when its files change.
//!
//! Promises: a handshake ends within [`TLS_HANDSHAKE_TIMEOUT`] and [`TLS_HANDSHAKE_BYTES_MAX`], and waits in the task of its own connection; new files that cannot be used
//! change nothing; a session holds at most [`TLS_BUFFER`] of what it sends, and one record of what it receives.
//! Never: asks a client for a certificate; shows a key.

mod bounded;
mod certificate;
mod current;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use coldpost_engine::Health;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::limits::{TLS_BUFFER, TLS_HANDSHAKE_BYTES_MAX, TLS_HANDSHAKE_TIMEOUT};
use crate::metrics::{self, Handshake};

use bounded::Bounded;
pub(crate) use current::expiry_text;
use current::{Current, Served};

/// A connection behind its handshake.
pub(crate) type TlsStream<S> = tokio_rustls::server::TlsStream<Bounded<S>>;

/// Where the certificate and its key lie, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate first, then those that lead to its root.
    pub cert: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// TLS of one protocol. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    /// Of the protocol: in logs and metrics.
    name: &'static str,
    acceptor: TlsAcceptor,
    current: Arc<Current>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({}, {:?})", self.name, self.current.files())
    }
}

impl Tls {
    /// Reads certificate and key for the protocol `name`. `alpn` is the protocol's registered id, if it has one: a client that asks for others
    /// is refused, so that nobody can be led from another protocol's port to this one.
    ///
    /// # Errors
    /// What is wrong with the files and what to do.
    pub fn load(
        name: &'static str,
        alpn: Option<&'static str>,
        files: TlsFiles,
    ) -> Result<Tls, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Arc::new(Current::load(name, files, Arc::clone(&provider))?);
        let mut config =
            config(provider, &current).map_err(|error| format!("TLS cannot be set up: {error}"))?;
        config.alpn_protocols = alpn.iter().map(|id| id.as_bytes().to_vec()).collect();
        Ok(Tls {
            name,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            current,
        })
    }

    /// The handshake on a connection that says nothing in clear any more; `None` when it does not come to its end, or `stop` does.
    pub(crate) async fn accept<S>(
        &self,
        stream: S,
        peer: &impl fmt::Display,
        stop: impl Future<Output = ()>,
    ) -> Option<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = Bounded::new(stream, TLS_HANDSHAKE_BYTES_MAX);
        let handshake = self
            .acceptor
            .accept_with(stream, |session| session.set_buffer_limit(Some(TLS_BUFFER)));
        let shaken = tokio::select! {
            biased;
            () = stop => return None,
            shaken = timeout(TLS_HANDSHAKE_TIMEOUT, handshake) => shaken,
        };
        let (outcome, stream) = match shaken {
            Ok(Ok(mut stream)) => {
                stream.get_mut().0.lift();
                (Handshake::Done, Some(stream))
            }
            Ok(Err(error)) => {
                tracing::debug!(protocol = self.name, %peer, %error, "a TLS handshake failed");
                (Handshake::Failed, None)
            }
            Err(_) => {
                tracing::debug!(protocol = self.name, %peer, limit = ?TLS_HANDSHAKE_TIMEOUT, "a TLS handshake took too long");
                (Handshake::TooSlow, None)
            }
        };
        metrics::handshake(self.name, outcome);
        stream
    }

    /// Looks after the files until `stop` ends.
    pub(crate) async fn keep_current(self, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = self.current.follow() => {}
        }
    }

    /// When the certificate ends, seconds since 1970, if it says so in a form that we read.
    pub fn expires(&self) -> Option<i64> {
        self.current.expires()
    }

    /// Adds what is wrong with the certificate to how the server is: it serves on all the same.
    pub(crate) fn report(&self, health: &mut Health) {
        health.problems.extend(self.current.problems());
    }
}

fn config(
    provider: Arc<CryptoProvider>,
    current: &Arc<Current>,
) -> Result<ServerConfig, rustls::Error> {
    Ok(ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Served(Arc::clone(current)))))
}

#[cfg(test)]
mod tests;
