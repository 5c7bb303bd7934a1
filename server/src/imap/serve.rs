//! The task around a session: greeting, events, farewell; and the handshake of STARTTLS between two sessions.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::auth::Peer;
use crate::imap::capability;
use crate::imap::completion::{Completion, Failure, Outcome};
use crate::imap::context::Context;
use crate::imap::framing::Event;
use crate::imap::input::{Input, stopped};
use crate::imap::out::Out;
use crate::imap::reply::Code;
use crate::imap::session::Session;
use crate::limits::{IMAP_ACCOUNT_LOOK, IMAP_FAREWELL_TIMEOUT};

/// Whether a session begins with a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeting {
    Said,
    /// Behind STARTTLS there is none (RFC 3501, 6.2.1).
    Omitted,
}

/// Serves one connection to its end. Gives back nothing: whatever ends a session ends it alone.
pub async fn serve<S>(stream: S, ctx: Arc<Context>, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let metrics = ctx.metrics.clone();
    metrics.sessions_total.inc();
    let _open = Open::new(metrics.sessions.clone());
    let Some(stream) = hold(stream, Arc::clone(&ctx), peer.clone(), Greeting::Said).await else {
        return;
    };
    let tls = ctx
        .tls
        .as_ref()
        .expect("STARTTLS is answered with OK only where there is TLS");
    let mut shutdown = ctx.shutdown.clone();
    if let Some(stream) = tls.accept(stream, &peer, stopped(&mut shutdown)).await {
        hold(stream, Arc::clone(&ctx), peer.over_tls(), Greeting::Omitted).await;
    }
}

/// Serves one connection that begins with TLS.
pub async fn serve_tls<S>(stream: S, ctx: Arc<Context>, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Some(tls) = ctx.tls.clone() else { return };
    let mut shutdown = ctx.shutdown.clone();
    if let Some(stream) = tls.accept(stream, &peer, stopped(&mut shutdown)).await {
        serve(stream, ctx, peer.over_tls()).await;
    }
}

/// A session from its greeting to its farewell. Gives the connection back where STARTTLS was answered; what the client had sent behind it
/// in clear went with the input.
async fn hold<S>(stream: S, ctx: Arc<Context>, peer: Peer, greeting: Greeting) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut input = Input::new(&mut reader, ctx.shutdown.clone());
    let mut out = Out::new(&mut writer);
    let mut session = Session::new(ctx, peer);
    let end = converse(&mut session, &mut input, &mut out, greeting).await;
    let starts_tls = end.is_ok() && session.starts_tls;
    // The mailbox goes before the farewell: nothing of the engine is held for a client that does not listen.
    session.selected = None;
    farewell(&session, end, &mut out).await;
    if starts_tls {
        return Some(reader.unsplit(writer));
    }
    let _ = timeout(IMAP_FAREWELL_TIMEOUT, writer.shutdown()).await;
    None
}

/// From the greeting to LOGOUT, or to STARTTLS.
async fn converse(
    session: &mut Session,
    input: &mut Input<'_>,
    out: &mut Out<'_>,
    greeting: Greeting,
) -> Outcome<()> {
    if greeting == Greeting::Said {
        let capabilities = capability::of_session(&session.ctx, &session.peer, false);
        let hostname = &session.ctx.settings.hostname;
        Completion::ok(format!("{hostname} Coldpost ready"))
            .with(Code::Capability(capabilities))
            .untagged(out.buffer());
    }
    while !session.ended && !session.starts_tls {
        let event = next(session, input, out).await?;
        let strange = session.login.is_none();
        session.take(event, input, out).await?;
        if strange && session.login.is_some() {
            input.logged_in(session.ctx.settings.max_message);
        }
    }
    Ok(())
}

/// What the client sends next; meanwhile whether its account is there still: what it has selected keeps mail from being purged.
async fn next(session: &mut Session, input: &mut Input<'_>, out: &mut Out<'_>) -> Outcome<Event> {
    let mut event = pin!(input.event(out));
    loop {
        tokio::select! {
            event = &mut event => return event,
            () = sleep(IMAP_ACCOUNT_LOOK) => session.is_still_there()?,
        }
    }
}

async fn farewell(session: &Session, end: Outcome<()>, out: &mut Out<'_>) {
    let account = session
        .login
        .as_ref()
        .map_or("", |login| login.name.as_str());
    match end {
        Ok(()) => {}
        Err(Failure::Bye(bye)) => {
            tracing::info!(account, peer = %session.peer, ?bye, "session ended by the server");
            bye.untagged(out.buffer());
        }
        Err(Failure::Connection(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(Failure::Connection(error)) => {
            // What is in the buffer may end in the middle of a literal: nothing may follow it.
            tracing::info!(account, peer = %session.peer, %error, "connection lost");
            return;
        }
        Err(failure) => unreachable!("{failure:?} is answered, it does not end a session"),
    }
    let _ = timeout(IMAP_FAREWELL_TIMEOUT, out.flush()).await;
}

/// Counts a session while it lives, however it ends.
struct Open(prometheus::IntGauge);

impl Open {
    fn new(gauge: prometheus::IntGauge) -> Open {
        gauge.inc();
        Open(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
