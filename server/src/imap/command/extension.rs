//! Commands that tell about the server: CAPABILITY, ID (RFC 2971), ENABLE (RFC 5161), NAMESPACE (RFC 2342).

use crate::imap::capability::{self, ENABLED_BY_NAME};
use crate::imap::completion::{Completion, Outcome};
use crate::imap::out::Out;
use crate::imap::reply;
use crate::imap::session::Session;
use crate::limits::IMAP_ID_LOGGED_MAX;

pub(super) fn capability(session: &Session, out: &mut Out<'_>) -> Outcome {
    let capabilities = capability::of_session(&session.ctx, &session.peer, session.login.is_some());
    reply::capability(out.buffer(), &capabilities);
    Ok(Completion::ok("Capability completed"))
}

/// ID. What the client says of itself is logged; nothing ever depends on it.
pub(super) fn id(
    session: &Session,
    pairs: &[(String, Option<String>)],
    out: &mut Out<'_>,
) -> Outcome {
    let said: Vec<String> = pairs
        .iter()
        .take(IMAP_ID_LOGGED_MAX)
        .map(|(name, value)| format!("{name:?}={:?}", value.as_deref().unwrap_or("NIL")))
        .collect();
    tracing::debug!(peer = %session.peer, client = said.join(" "), "ID");
    reply::id(
        out.buffer(),
        &[("name", "Coldpost"), ("version", env!("CARGO_PKG_VERSION"))],
    );
    Ok(Completion::ok("ID completed"))
}

/// ENABLE. Names that are not known are passed over (RFC 5161, 3.1).
pub(super) fn enable(session: &mut Session, names: &[String], out: &mut Out<'_>) -> Outcome {
    let asked = |name: &&str| names.iter().any(|asked| asked == name);
    let enabled: Vec<&str> = ENABLED_BY_NAME.iter().copied().filter(asked).collect();
    session.qresync |= enabled.contains(&"QRESYNC");
    // QRESYNC enables CONDSTORE too (RFC 7162, 3.2.3).
    if !enabled.is_empty() {
        session.enable_condstore(out.buffer());
    }
    reply::enabled(out.buffer(), &enabled);
    Ok(Completion::ok("Enable completed"))
}

/// NAMESPACE: one, personal, at the root.
pub(super) fn namespace(out: &mut Out<'_>) -> Outcome {
    reply::namespace(out.buffer());
    Ok(Completion::ok("Namespace completed"))
}
