//! HTTP's connections: bounded in number, and none stays that is silent or drips.
//!
//! Promises: a request's head comes within [`HEAD_TIME`] of its first byte; after the shutdown word no head is waited for. Its body is
//! bounded by who reads it (see `whole` in `http`).
//! Never: reads more of a request than where its head ends. By hand, as `axum::serve` does not hand on hyper's time-out for heads.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use super::limits::{HEAD_TIME, IDLE};
use crate::listen::{Listener, Peer, Stream};
use crate::metrics::OpenConnection;
use crate::shutdown::Shutdown;

/// How the answer begins that asks for a body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 ";

/// A listener with a bounded number of connections; what is over waits.
pub(crate) struct Bounded {
    listener: Listener,
    free: Arc<Semaphore>,
    shutdown: Shutdown,
}

impl Bounded {
    /// Bounds `listener` to so many connections.
    pub(crate) fn new(listener: Listener, shutdown: Shutdown, connections: usize) -> Bounded {
        Bounded {
            listener,
            free: Arc::new(Semaphore::new(connections)),
            shutdown,
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
        (Guarded::new(stream, self.shutdown.clone(), permit), peer)
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer::Unix)
    }
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Between requests.
    Rest,
    /// In the head of a request.
    Head(HeadEnd),
    /// Behind a head: a body comes in, the request is worked on or answered.
    Request,
}

/// How a head's end goes on: an empty line (RFC 9112, 2.1; a bare LF ends a line too, 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadEnd {
    /// In a line that has something in it.
    Line,
    /// At the start of a line.
    LineStart,
    /// After a CR at the start of a line.
    Cr,
}

impl At {
    /// After `bytes` of the client.
    fn after(self, bytes: &[u8]) -> At {
        bytes.iter().fold(self, |at, byte| match (at, byte) {
            (At::Request, _) => At::Request,
            // Empty lines before a request belong to none.
            (At::Rest, b'\r' | b'\n') => At::Head(HeadEnd::Line),
            (At::Head(HeadEnd::LineStart | HeadEnd::Cr), b'\n') => At::Request,
            (At::Head(HeadEnd::LineStart), b'\r') => At::Head(HeadEnd::Cr),
            (At::Head(HeadEnd::Line), b'\n') => At::Head(HeadEnd::LineStart),
            _ => At::Head(HeadEnd::Line),
        })
    }
}

/// A connection that ends when it is silent for [`IDLE`], or in a head for [`HEAD_TIME`].
pub(crate) struct Guarded {
    stream: Stream,
    at: At,
    deadline: Pin<Box<Sleep>>,
    /// Ends with the shutdown word; gone when that was heard.
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _open: OpenConnection,
    _permit: OwnedSemaphorePermit,
}

impl Guarded {
    fn new(stream: Stream, mut shutdown: Shutdown, permit: OwnedSemaphorePermit) -> Guarded {
        Guarded {
            stream,
            at: At::Rest,
            deadline: Box::pin(tokio::time::sleep(IDLE)),
            stop: Some(Box::pin(async move { shutdown.begun().await })),
            _open: OpenConnection::new("http"),
            _permit: permit,
        }
    }

    /// Notes what the client sent; a request that has begun gets no more time with each byte.
    fn heard(&mut self, bytes: &[u8]) {
        let before = self.at;
        self.at = before.after(bytes);
        let time = match (before, self.at) {
            (At::Head(_), At::Head(_)) | (At::Request, _) => return,
            (_, At::Head(_)) => HEAD_TIME,
            _ => IDLE,
        };
        self.deadline.as_mut().reset(Instant::now() + time);
    }

    /// Nothing came, or nothing could be sent: is it over?
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether the shutdown word was given.
    fn stops(&mut self, cx: &mut Context<'_>) -> bool {
        if self
            .stop
            .as_mut()
            .is_some_and(|stop| stop.as_mut().poll(cx).is_ready())
        {
            self.stop = None;
        }
        self.stop.is_none()
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            self.heard(buf.filled().get(before..).unwrap_or_default());
            return Poll::Ready(read);
        }
        // To its reader the client went away: nobody waits for the rest of the head.
        if matches!(self.at, At::Head(_)) && self.stops(cx) {
            return Poll::Ready(Ok(()));
        }
        self.wait(cx)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_pending() {
            return self.wait(cx);
        }
        self.deadline.as_mut().reset(Instant::now() + IDLE);
        // An answer: what comes next is another request. Not the one that asks for the body of this one (RFC 9110, 10.1.1).
        if !bytes.starts_with(CONTINUE) {
            self.at = At::Rest;
        }
        written
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
    use crate::shutdown;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    fn connect() -> (DuplexStream, Guarded, shutdown::Trigger) {
        let (client, stream) = tokio::io::duplex(1024);
        let (trigger, shutdown) = shutdown::channel();
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned();
        let served = Guarded::new(Box::new(stream), shutdown, permit.expect("free"));
        (client, served, trigger)
    }

    /// Reads until an error or the end.
    async fn end(served: &mut Guarded) -> io::Result<usize> {
        let mut heard = [0; 64];
        loop {
            match served.read(&mut heard).await {
                Ok(1..) => {}
                end => return end,
            }
        }
    }

    /// Sends `bytes`, then one more every second.
    fn drip(mut client: DuplexStream, bytes: &'static [u8]) {
        tokio::spawn(async move {
            client.write_all(bytes).await.expect("open");
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_and_a_busy_one_does_not() {
        let (mut client, mut served, _trigger) = connect();
        let before = Instant::now();
        tokio::time::sleep(IDLE / 2).await;
        served.write_all(b"answer").await.expect("open");
        let mut heard = [0; 6];
        client.read_exact(&mut heard).await.expect("heard");
        let silent = end(&mut served).await.expect_err("nothing came");
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed(), IDLE / 2 + IDLE);
    }

    /// Each byte bought another minute.
    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_ends_in_time_and_so_does_what_follows_it() {
        for (begun, time) in [
            (&b"GET / HTTP/1.1\r\nx: "[..], HEAD_TIME),
            (b"GET / HTTP/1.1\r\n\r\n", IDLE),
            (b"GET / HTTP/1.1\n\n", IDLE),
            (b"\r\n\r\n\r\nGET", IDLE),
        ] {
            let (client, mut served, _trigger) = connect();
            drip(client, begun);
            let before = Instant::now();
            let late = end(&mut served).await.expect_err("it took too long");
            assert_eq!(late.kind(), io::ErrorKind::TimedOut);
            assert_eq!(before.elapsed(), time, "{begun:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_was_asked_for_has_its_own_time() {
        let (client, mut served, _trigger) = connect();
        let before = Instant::now();
        drip(client, b"POST / HTTP/1.1\r\nexpect: 100-continue\r\n\r\n");
        served.read_u8().await.expect("open");
        served
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .expect("open");
        end(&mut served).await.expect_err("it took too long");
        assert_eq!(before.elapsed(), IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_shutdown_word_no_head_is_waited_for() {
        let (mut client, mut served, trigger) = connect();
        client.write_all(b"GET / HT").await.expect("open");
        let before = Instant::now();
        trigger.pull();
        assert_eq!(end(&mut served).await.expect("an end"), 0);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
