//! The task around a session: greeting, events, farewell.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::auth::Peer;
use crate::imap::capability;
use crate::imap::completion::{Completion, Failure, Outcome};
use crate::imap::context::Context;
use crate::imap::input::Input;
use crate::imap::out::Out;
use crate::imap::reply::Code;
use crate::imap::session::Session;
use crate::limits::IMAP_FAREWELL_TIMEOUT;

/// Serves one connection to its end. Gives back nothing: whatever ends a session ends it alone.
pub async fn serve<S>(stream: S, ctx: Arc<Context>, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let metrics = ctx.metrics.clone();
    metrics.sessions_total.inc();
    let _open = Open::new(metrics.sessions.clone());
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut input = Input::new(&mut reader, ctx.shutdown.clone());
    let mut out = Out::new(&mut writer);
    let mut session = Session::new(ctx, peer);
    let end = converse(&mut session, &mut input, &mut out).await;
    // The mailbox goes before the farewell: nothing of the engine is held for a client that does not listen.
    session.selected = None;
    farewell(&session, end, &mut out).await;
    let _ = timeout(IMAP_FAREWELL_TIMEOUT, writer.shutdown()).await;
}

/// From the greeting to LOGOUT.
async fn converse(session: &mut Session, input: &mut Input<'_>, out: &mut Out<'_>) -> Outcome<()> {
    let capabilities = capability::of_session(&session.ctx, &session.peer, false);
    let hostname = &session.ctx.settings.hostname;
    Completion::ok(format!("{hostname} Coldpost ready"))
        .with(Code::Capability(capabilities))
        .untagged(out.buffer());
    while !session.ended {
        let event = input.event(out).await?;
        let strange = session.login.is_none();
        session.take(event, input, out).await?;
        if strange && session.login.is_some() {
            input.logged_in(session.ctx.settings.max_message);
        }
    }
    Ok(())
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
