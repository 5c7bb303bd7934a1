//! HTTP's connections: bounded in number, and none that is silent stays.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use super::limits::{CONNECTIONS_MAX, IDLE};
use crate::listen::{Listener, Peer, Stream};
use crate::metrics::OpenConnection;

/// A listener with a bounded number of connections; what is over waits.
pub(crate) struct Bounded {
    listener: Listener,
    free: Arc<Semaphore>,
}

impl Bounded {
    /// Bounds `listener`.
    pub(crate) fn new(listener: Listener) -> Bounded {
        Bounded {
            listener,
            free: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Guarded;
    type Addr = Peer;

    async fn accept(&mut self) -> (Guarded, Peer) {
        let permit = Arc::clone(&self.free)
            .acquire_owned()
            .await
            .expect("it is never closed");
        let (stream, peer) = self.listener.accept().await;
        let deadline = Box::pin(tokio::time::sleep(IDLE));
        (
            Guarded {
                stream,
                deadline,
                _open: OpenConnection::new("http"),
                _permit: permit,
            },
            peer,
        )
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer::Unix)
    }
}

/// A connection that ends when it is silent for [`IDLE`].
pub(crate) struct Guarded {
    stream: Stream,
    deadline: Pin<Box<Sleep>>,
    _open: OpenConnection,
    _permit: OwnedSemaphorePermit,
}

impl Guarded {
    fn guard<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.deadline.as_mut().reset(Instant::now() + IDLE);
            return result;
        }
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.guard(cx, read)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.guard(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::Listener;
    use axum::serve::Listener as _;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_silent_connection_ends_and_a_busy_one_does_not() {
        let address = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(&address, "http").await.expect("bound");
        let target = listener.address().to_string();
        let mut bounded = Bounded::new(listener);
        let mut client = tokio::net::TcpStream::connect(target)
            .await
            .expect("it listens");
        let (mut served, _) = bounded.accept().await;
        tokio::time::pause();
        client.write_all(b"hello").await.expect("open");
        let mut heard = [0; 5];
        served.read_exact(&mut heard).await.expect("heard");
        let before = Instant::now();
        let silent = served.read_u8().await.expect_err("nothing came");
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed().as_secs(), IDLE.as_secs());
    }
}
