//! The task around an LMTP session: socket, clock, spool and store.
//!
//! Promises: at most [`READ_MAX`](super::limits::READ_MAX) of input and one message at a time; every wait for the client has an end.
//! Never: looks into what it carries.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coldpost_engine::account::AccountName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::incoming::Incoming;
use super::limits::{
    ADDRESS_CONNECTIONS_MAX, CONNECTIONS_MAX, FAREWELL, IDLE, IN_MEMORY_TIME, MESSAGE_TIME,
    READ_MAX, REPLIES_MAX, WRITE,
};
use super::reply::Reply;
use super::session::{Cover, Event, Session};
use super::trace::Stamp;
use super::{Deliver, Settings, Spool};
use crate::listen::{Connection, Peer, Protocol};
use crate::metrics::{self, Refusal};
use crate::shutdown::Shutdown;
use crate::tls::{Tls, TlsStream};

/// What all LMTP sessions share.
pub struct Lmtp<D> {
    settings: Arc<Settings>,
    store: D,
    spool: Spool,
    /// What STARTTLS and a listener of TLS begin; `None`: there is none.
    tls: Option<Tls>,
    /// Makes the ids of deliveries: the time of the start and a number.
    started: i64,
    deliveries: AtomicU64,
}

/// One connection.
struct Link<'a, D, S> {
    lmtp: &'a Lmtp<D>,
    stream: S,
    peer: &'a Peer,
    /// The stream is TLS.
    is_tls: bool,
    session: Session,
    message: Option<Message>,
    shutdown: Shutdown,
    /// The message that is coming in was given its last time.
    is_last: bool,
    /// When the line of the next command has to be whole.
    line_until: Instant,
    /// When the message that is coming in has to be whole, and what is said when it is not.
    message_until: (Instant, Reply),
}

const SILENT: Reply = Reply::new(421, "4.4.2", "Silent for too long");
const TOO_SLOW: Reply = Reply::new(421, "4.4.2", "The message took too long");
const SHUTTING_DOWN: Reply = Reply::new(421, "4.3.2", "Shutting down, try again later");

/// The message that is coming in.
struct Message {
    id: String,
    incoming: Incoming,
    begun: Instant,
}

/// How a session ended.
enum Ended {
    Closed,
    /// TLS begins on the connection; what was read of it and not used is forgotten.
    StartTls,
}

/// Why waiting for the client ended.
enum Heard {
    Bytes(usize),
    /// The time for what was waited for is over.
    Late(Reply),
    Shutdown,
    /// The message takes long: its memory is wanted by others.
    Slow,
}

impl<D: Deliver> Lmtp<D> {
    /// What its listener should know.
    pub const PROTOCOL: Protocol = Protocol {
        name: "lmtp",
        connections_max: CONNECTIONS_MAX,
        address_max: ADDRESS_CONNECTIONS_MAX,
        busy: "421 4.3.2 Too many connections, try again later\r\n",
        busy_address: "421 4.7.0 Too many connections from your address, try again later\r\n",
    };

    /// From checked settings.
    pub fn new(settings: Settings, store: D, spool: Spool, tls: Option<Tls>) -> Lmtp<D> {
        let started = jiff::Timestamp::now().as_microsecond();
        Lmtp {
            settings: Arc::new(settings),
            store,
            spool,
            tls,
            started,
            deliveries: AtomicU64::new(0),
        }
    }

    /// Serves one connection to its end, STARTTLS included.
    pub async fn serve(&self, mut stream: impl Connection, peer: Peer, shutdown: Shutdown) {
        if !self.admits(&peer) {
            let _ = timeout(
                WRITE,
                stream.write_all(b"554 5.7.1 Your address is not in lmtp.allow\r\n"),
            )
            .await;
            return;
        }
        let cover = match &self.tls {
            Some(_) => Cover::StartTls,
            None => Cover::Clear,
        };
        let settings = Arc::clone(&self.settings);
        let session = Session::new(settings, cover);
        let Some(stream) = self.hold(stream, &peer, session, shutdown.clone()).await else {
            return;
        };
        if let Some(stream) = self.shake(stream, &peer, shutdown.clone()).await {
            let session = Session::after_starttls(Arc::clone(&self.settings));
            self.hold(stream, &peer, session, shutdown).await;
        }
    }

    /// The same for a connection that begins with TLS. Who may not come is told nothing: it would not be understood.
    pub async fn serve_tls(&self, stream: impl Connection, peer: Peer, shutdown: Shutdown) {
        if !self.admits(&peer) {
            return;
        }
        if let Some(stream) = self.shake(stream, &peer, shutdown.clone()).await {
            let session = Session::new(Arc::clone(&self.settings), Cover::Tls);
            self.hold(stream, &peer, session, shutdown).await;
        }
    }

    async fn shake<S: Connection>(
        &self,
        stream: S,
        peer: &Peer,
        mut shutdown: Shutdown,
    ) -> Option<TlsStream<S>> {
        let tls = self.tls.as_ref()?;
        tls.accept(stream, peer, shutdown.begun()).await
    }

    /// A session to its end. Gives the connection back where STARTTLS was answered.
    async fn hold<S: Connection>(
        &self,
        stream: S,
        peer: &Peer,
        session: Session,
        shutdown: Shutdown,
    ) -> Option<S> {
        let mut link = Link {
            lmtp: self,
            stream,
            peer,
            is_tls: session.is_tls(),
            session,
            message: None,
            shutdown,
            is_last: false,
            line_until: Instant::now() + IDLE,
            message_until: (Instant::now(), TOO_SLOW),
        };
        match link.run().await {
            Ok(Ended::Closed) => None,
            Ok(Ended::StartTls) => Some(link.stream),
            Err(error) => {
                tracing::debug!(%peer, %error, "LMTP connection lost");
                None
            }
        }
    }

    /// Whether a client may hand mail in; the refusal is counted and logged.
    fn admits(&self, peer: &Peer) -> bool {
        let Peer::Tcp { remote, .. } = peer else {
            return true;
        };
        let allowed = self.allows(remote.ip());
        if !allowed {
            metrics::refused(Refusal::NotAllowed);
            tracing::warn!(%peer, "LMTP client outside lmtp.allow refused");
        }
        allowed
    }

    fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.settings
            .allow
            .iter()
            .any(|network| network.contains(&ip))
    }

    fn next_id(&self) -> String {
        format!(
            "{:x}-{:x}",
            self.started,
            self.deliveries.fetch_add(1, Ordering::Relaxed)
        )
    }
}

impl<D: Deliver, S: Connection> Link<'_, D, S> {
    async fn run(&mut self) -> io::Result<Ended> {
        let mut input = vec![0; READ_MAX];
        loop {
            while let Some(event) = self.next() {
                match event {
                    Event::StartTls => {
                        self.write().await?;
                        return Ok(Ended::StartTls);
                    }
                    Event::Close => {
                        self.write().await?;
                        timeout(WRITE, self.stream.shutdown()).await??;
                        return Ok(Ended::Closed);
                    }
                    _ => {}
                }
                self.handle(event).await;
                if self.session.output_len() > REPLIES_MAX {
                    self.write().await?;
                }
            }
            self.write().await?;
            match self.hear(&mut input).await? {
                Heard::Bytes(0) => return Ok(Ended::Closed),
                Heard::Bytes(count) => self.session.feed(input.get(..count).unwrap_or_default()),
                Heard::Late(reply) => self.session.end(&reply),
                Heard::Shutdown if self.session.in_data() => {
                    self.is_last = true;
                    let last = Instant::now() + FAREWELL;
                    if last < self.message_until.0 {
                        self.message_until = (last, SHUTTING_DOWN);
                    }
                }
                Heard::Shutdown => self.session.end(&SHUTTING_DOWN),
                Heard::Slow => {
                    if let Some(message) = &mut self.message {
                        message.incoming.spill().await;
                    }
                }
            }
        }
    }

    /// The next event; after the shutdown word only those of the message that is coming in.
    fn next(&mut self) -> Option<Event> {
        if self.shutdown.is_over() && self.session.takes_commands() {
            self.session.end(&SHUTTING_DOWN);
        }
        self.session.next()
    }

    async fn write(&mut self) -> io::Result<()> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        let written = async {
            self.stream.write_all(&output).await?;
            self.stream.flush().await
        };
        timeout(WRITE, written)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.line_until = Instant::now() + IDLE;
        Ok(())
    }

    /// Waits for the client. A byte does not buy it more time: a line has its end, and so has a message.
    async fn hear(&mut self, input: &mut [u8]) -> io::Result<Heard> {
        let silent_at = (Instant::now() + IDLE, SILENT);
        let (until, late) = match &self.message_until {
            _ if !self.session.in_data() => (self.line_until, SILENT),
            whole if whole.0 < silent_at.0 => whole.clone(),
            _ => silent_at,
        };
        let in_memory = self
            .message
            .as_ref()
            .filter(|message| message.incoming.in_memory());
        let slow_at = in_memory.map(|message| message.begun + IN_MEMORY_TIME);
        let slow = async {
            match slow_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.shutdown.begun(), if !self.is_last => Ok(Heard::Shutdown),
            () = slow => Ok(Heard::Slow),
            () = tokio::time::sleep_until(until) => Ok(Heard::Late(late)),
            read = self.stream.read(input) => read.map(Heard::Bytes),
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Recipient(name) => {
                let taken = self.lmtp.store.takes(&name).await;
                match &taken {
                    Ok(true) => {}
                    Ok(false) => metrics::refused(Refusal::UnknownRecipient),
                    Err(error) => {
                        metrics::refused(Refusal::LookupFailed);
                        tracing::warn!(kind = ?error.kind(), %error, "a recipient cannot be looked up");
                    }
                }
                self.session.recipient(taken);
            }
            Event::Begin(envelope) => {
                let id = self.lmtp.next_id();
                let (hostname, time) = (&self.lmtp.settings.hostname, jiff::Timestamp::now());
                let lines = envelope.lines(&Stamp {
                    hostname,
                    peer: self.peer,
                    id: &id,
                    tls: self.is_tls,
                    time,
                });
                let mut incoming = Incoming::new(self.lmtp.spool.clone());
                incoming.push(&lines).await;
                self.message_until = (Instant::now() + MESSAGE_TIME, TOO_SLOW);
                self.message = Some(Message {
                    id,
                    incoming,
                    begun: Instant::now(),
                });
            }
            Event::Chunk(bytes) => {
                if let Some(message) = &mut self.message {
                    message.incoming.push(&bytes).await;
                }
            }
            Event::Refused(reason) => metrics::refused(reason),
            Event::Discard => {
                metrics::refused(Refusal::TooLarge);
                self.message = None;
            }
            Event::Deliver { last, to } => {
                let message = self.message.take().expect("Begin came before");
                let result = self.deliver(message, &last, &to).await;
                self.session.delivered(result);
            }
            Event::StartTls | Event::Close => unreachable!("the caller takes it"),
        }
    }

    async fn deliver(
        &self,
        message: Message,
        last: &[u8],
        to: &[AccountName],
    ) -> coldpost_engine::Result<Vec<coldpost_engine::write::Delivered>> {
        let Message {
            id, mut incoming, ..
        } = message;
        let started = Instant::now();
        incoming.push(last).await;
        let mut size = 0;
        let result = match incoming.finish().await {
            Ok((bytes, _share)) => {
                size = bytes.len();
                self.lmtp.store.deliver(bytes, to).await
            }
            Err(error) => Err(error),
        };
        let took = started.elapsed();
        match &result {
            Ok(outcomes) => {
                metrics::delivered(outcomes, size, took);
                tracing::info!(id, peer = %self.peer, recipients = to.len(), size, took = %millis(took), "delivered");
            }
            Err(error) => {
                metrics::delivery_failed(to.len(), took);
                let source = std::error::Error::source(error).map(ToString::to_string);
                tracing::warn!(id, recipients = to.len(), kind = ?error.kind(), %error, source, "a delivery failed");
            }
        }
        result
    }
}

fn millis(took: Duration) -> String {
    format!("{:.1}ms", took.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests;
