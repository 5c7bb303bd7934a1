//! Listeners: TCP and unix sockets that accept, slow down on errors, bound their connections and drain.
//!
//! Promises: an error of accept is logged and counted and never ends the listener; a stale socket file is replaced, a live
//! one is not; after the shutdown word nothing is accepted and sessions have [`DRAIN`] to end.
//! Never: reads a byte of a connection.

mod address;
mod gate;
mod watch;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::metrics::{self, Crowded};
use crate::shutdown::{DRAIN, Shutdown};

pub use address::Address;
pub use gate::Gate;
pub(crate) use watch::Watch;

/// The first pause after an error of accept; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause after an error of accept.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Silence of a TCP connection after which the kernel asks whether the other end is there.
const KEEPALIVE: Duration = Duration::from_secs(120);
/// Time that a refused connection has for taking the refusal.
const REFUSAL: Duration = Duration::from_secs(1);
/// Everybody may connect; who reads mail or hands it in is decided by the directory that the socket lies in.
const SOCKET_MODE: u32 = 0o666;

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection.
    Tcp {
        /// The client.
        remote: SocketAddr,
        /// What it connected to.
        local: SocketAddr,
    },
    /// A unix socket.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp { remote, .. } => write!(f, "{remote}"),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

/// Both directions of a connection.
pub trait Connection: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Connection for T {}
/// A connection of either kind.
pub type Stream = Box<dyn Connection>;

/// What a protocol wants of its listener.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// Connections at a time.
    pub connections_max: usize,
    /// Those of one address.
    pub address_max: usize,
    /// What a connection over the limit is told.
    pub busy: &'static str,
    /// What a connection over the limit of its address is told.
    pub busy_address: &'static str,
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// The protocol's own.
    Clear,
    /// TLS: who is refused before the handshake is told nothing.
    Tls,
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: Address,
    name: &'static str,
    pause: Duration,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Binds `address` for the protocol `name`.
    ///
    /// # Errors
    /// As the system's, in use included; the text names the address.
    pub async fn bind(address: &Address, name: &'static str) -> io::Result<Listener> {
        let named = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("{name} cannot listen on {address}: {error}"),
            )
        };
        let (socket, address) = match address {
            Address::Tcp(wanted) => {
                let socket = TcpListener::bind(wanted).await.map_err(named)?;
                let actual = socket.local_addr().map_err(named)?;
                (Socket::Tcp(socket), Address::Tcp(actual))
            }
            Address::Unix(path) => (
                Socket::Unix(bind_unix(path).await.map_err(named)?),
                Address::Unix(path.clone()),
            ),
        };
        Ok(Listener {
            socket,
            address,
            name,
            pause: PAUSE_MIN,
        })
    }

    /// The address, with the port that the system chose.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The next connection. Errors are logged, counted and waited out.
    pub async fn accept(&mut self) -> (Stream, Peer) {
        loop {
            match self.accept_once().await {
                Ok(accepted) => {
                    self.pause = PAUSE_MIN;
                    return accepted;
                }
                // The client went away before we looked: nothing is short.
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    metrics::accept_failed(self.name);
                    tracing::warn!(protocol = self.name, %error, pause = ?self.pause, "accept failed");
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn accept_once(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, remote) = socket.accept().await?;
                let local = stream.local_addr()?;
                prepare(&stream);
                Ok((Box::new(stream), Peer::Tcp { remote, local }))
            }
            Socket::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok((Box::new(stream), Peer::Unix))
            }
        }
    }

    /// Accepts until the shutdown word, a task for each connection; then waits for them up to [`DRAIN`] and cuts off the rest.
    pub async fn run<S, F>(
        mut self,
        gate: Arc<Gate>,
        speaks: Speaks,
        mut shutdown: Shutdown,
        session: S,
    ) where
        S: Fn(Stream, Peer) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let protocol = *gate.protocol();
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.begun() => break,
                Some(ended) = sessions.join_next() => report(protocol.name, ended),
                (stream, peer) = self.accept() => {
                    match gate.admit(&peer) {
                        Ok(admitted) => {
                            let served = session(stream, peer);
                            sessions.spawn(async move {
                                served.await;
                                drop(admitted);
                            });
                        }
                        Err(crowded) => refuse(stream, &peer, &protocol, crowded, speaks).await,
                    }
                }
            }
        }
        drop(self);
        let drained = async {
            while let Some(ended) = sessions.join_next().await {
                report(protocol.name, ended);
            }
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!(
                protocol = protocol.name,
                sessions = sessions.len(),
                "sessions did not end in time and are cut off"
            );
            sessions.shutdown().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address {
            // It may be gone already; what is left is replaced at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let there = std::fs::symlink_metadata(path);
    if there
        .as_ref()
        .is_ok_and(|file| !file.file_type().is_socket())
    {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "what lies there is no socket; move it away or name another path",
        ));
    }
    if there.is_ok() {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?
            }
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "somebody listens there already",
                ));
            }
        }
    }
    let socket = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(socket)
}

/// Options that every TCP connection gets; a connection that refuses them works all the same.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}

fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, NotConnected,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | NotConnected
    )
}

async fn refuse(
    mut stream: Stream,
    peer: &Peer,
    protocol: &Protocol,
    crowded: Crowded,
    speaks: Speaks,
) {
    let (limit, busy) = match crowded {
        Crowded::Address => (protocol.address_max, protocol.busy_address),
        _ => (protocol.connections_max, protocol.busy),
    };
    metrics::connection_refused(protocol.name, crowded);
    tracing::warn!(protocol = protocol.name, %peer, ?crowded, limit, "too many connections");
    if speaks == Speaks::Tls {
        return;
    }
    let told = async {
        stream.write_all(busy.as_bytes()).await?;
        stream.shutdown().await
    };
    // It is refused whether it hears it or not.
    let _ = tokio::time::timeout(REFUSAL, told).await;
}

fn report(protocol: &str, ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(protocol, %error, "a session panicked; the others go on");
    }
}

#[cfg(test)]
mod tests;
