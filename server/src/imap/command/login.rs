//! STARTTLS, LOGIN and AUTHENTICATE PLAIN (RFC 3501, 6.2.1 to 6.2.3; RFC 4616, RFC 4959).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::auth::{Credentials, Refused};
use crate::imap::ast::{Authenticate, Login};
use crate::imap::capability;
use crate::imap::completion::{Completion, Outcome, refusal};
use crate::imap::input::{Input, stopped};
use crate::imap::out::Out;
use crate::imap::reply::{self, Code};
use crate::imap::session::Session;
use crate::limits::IMAP_ACCOUNT_SESSIONS_MAX;
use crate::metrics::{self, Crowded};

/// The handshake itself is the task's: what the client sent behind the command in clear is thrown away there.
pub(super) fn start_tls(session: &mut Session) -> Outcome {
    if session.peer.is_tls() {
        return Ok(Completion::bad("TLS is on already"));
    }
    if session.ctx.tls.is_none() {
        return Ok(Completion::bad("TLS is not offered on this connection"));
    }
    session.starts_tls = true;
    Ok(Completion::ok("Begin TLS negotiation now"))
}

pub(super) async fn login(session: &mut Session, login: Login) -> Outcome {
    let Ok(user) = std::str::from_utf8(&login.user) else {
        return Ok(Completion::no(
            Code::AuthenticationFailed,
            "Authentication failed",
        ));
    };
    let credentials = Credentials {
        authorization: "",
        authentication: user,
        password: &login.password.0,
    };
    check(session, credentials).await
}

pub(super) async fn authenticate(
    session: &mut Session,
    authenticate: Authenticate,
    input: &mut Input<'_>,
    out: &mut Out<'_>,
) -> Outcome {
    if authenticate.mechanism != "PLAIN" {
        return Ok(Completion::no(Code::Cannot, "Only PLAIN is known here"));
    }
    if !session.ctx.auth.offered(&session.peer) {
        return Ok(disabled());
    }
    let response = match authenticate.initial_response {
        Some(response) => response.0,
        None => {
            reply::continuation(out.buffer(), "");
            let line = input.line(out).await?;
            if line == b"*" {
                return Ok(Completion::bad("Authentication cancelled"));
            }
            match STANDARD.decode(&line) {
                Ok(response) => response,
                Err(_) => return Ok(Completion::bad("The response is not base64")),
            }
        }
    };
    match plain(&response) {
        Some(credentials) => check(session, credentials).await,
        None => Ok(Completion::bad(
            "The response is not authzid NUL authcid NUL password",
        )),
    }
}

/// Takes a PLAIN message apart (RFC 4616, 2).
fn plain(message: &[u8]) -> Option<Credentials<'_>> {
    let mut parts = message.splitn(3, |octet| *octet == 0);
    let authorization = std::str::from_utf8(parts.next()?).ok()?;
    let authentication = std::str::from_utf8(parts.next()?).ok()?;
    let password = parts.next()?;
    (!authentication.is_empty() && !password.contains(&0)).then_some(Credentials {
        authorization,
        authentication,
        password,
    })
}

fn disabled() -> Completion {
    Completion::no(
        Code::PrivacyRequired,
        "No login on this connection: it needs TLS, loopback or a unix socket",
    )
}

async fn check(session: &mut Session, credentials: Credentials<'_>) -> Outcome {
    let mut shutdown = session.ctx.shutdown.clone();
    let result = tokio::select! {
        result = session.ctx.auth.login(credentials, &session.peer) => result,
        // A refusal that comes late must not keep the daemon.
        () = stopped(&mut shutdown) => {
            return Ok(Completion::no(Code::Unavailable, "The server stops"));
        }
    };
    if result.is_err() {
        session.ctx.metrics.logins_failed.inc();
    }
    Ok(match result {
        Ok(login) => {
            let Some(place) = session.ctx.sessions.take(login.account.number) else {
                metrics::connection_refused("imap", Crowded::Account);
                tracing::warn!(account = login.name.as_str(), peer = %session.peer, limit = IMAP_ACCOUNT_SESSIONS_MAX, "too many sessions of an account");
                return Ok(Completion::no(
                    Code::Limit,
                    "Too many sessions of this account, end some of them first",
                ));
            };
            session.place = Some(place);
            tracing::info!(account = login.name.as_str(), peer = %session.peer, "logged in");
            session.login = Some(login);
            let capabilities = capability::of_session(&session.ctx, &session.peer, true);
            Completion::ok("Logged in").with(Code::Capability(capabilities))
        }
        Err(Refused::Credentials) => {
            tracing::info!(peer = %session.peer, "login refused");
            Completion::no(Code::AuthenticationFailed, "Authentication failed")
        }
        Err(Refused::Authorization) => Completion::no(
            Code::AuthorizationFailed,
            "This password does not open other accounts",
        ),
        Err(Refused::Channel) => disabled(),
        Err(Refused::Unavailable(error)) => refusal(&error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_whose_mail_who_and_the_password() {
        let credentials = plain(b"anna\0proxy\0pa ss").expect("well formed");
        assert_eq!(
            (credentials.authorization, credentials.authentication),
            ("anna", "proxy")
        );
        assert_eq!(credentials.password, b"pa ss");
        assert_eq!(plain(b"\0anna\0x").expect("well formed").authorization, "");
        for bad in [
            &b""[..],
            b"anna",
            b"\0anna",
            b"\0\0x",
            b"\0anna\0a\0b",
            b"\xff\0anna\0x",
        ] {
            assert!(plain(bad).is_none(), "{bad:?}");
        }
    }
}
