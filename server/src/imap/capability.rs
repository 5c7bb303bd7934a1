//! The one table of what this server can do, and when it says so.
//!
//! An extension stands here when all of it works. Never: anything that depends on what a client asked.

use std::borrow::Cow;

use crate::auth::Peer;
use crate::imap::context::Context;

/// When a capability is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// In every state.
    Always,
    /// Before login, when TLS can be begun.
    TlsOffered,
    /// Before login, when a password can succeed on this connection.
    LoginOffered,
    /// Before login, when none can.
    LoginRefused,
    /// After login.
    Authenticated,
}

/// Names in the order in which they are announced.
const TABLE: &[(&str, When)] = &[
    ("IMAP4rev1", When::Always),
    ("LITERAL+", When::Always),
    ("SASL-IR", When::Always),
    ("ID", When::Always),
    ("ENABLE", When::Always),
    ("STARTTLS", When::TlsOffered),
    ("AUTH=PLAIN", When::LoginOffered),
    ("LOGINDISABLED", When::LoginRefused),
    ("NAMESPACE", When::Authenticated),
    ("CHILDREN", When::Authenticated),
    ("UNSELECT", When::Authenticated),
    ("UIDPLUS", When::Authenticated),
    ("MOVE", When::Authenticated),
    ("IDLE", When::Authenticated),
    ("ESEARCH", When::Authenticated),
    ("CONDSTORE", When::Authenticated),
    ("QRESYNC", When::Authenticated),
    ("LIST-EXTENDED", When::Authenticated),
    ("LIST-STATUS", When::Authenticated),
    ("SPECIAL-USE", When::Authenticated),
    ("CREATE-SPECIAL-USE", When::Authenticated),
    ("STATUS=SIZE", When::Authenticated),
    ("OBJECTID", When::Authenticated),
    ("SAVEDATE", When::Authenticated),
    ("BINARY", When::Authenticated),
    ("MULTIAPPEND", When::Authenticated),
    ("WITHIN", When::Authenticated),
    ("SEARCHRES", When::Authenticated),
    ("PARTIAL", When::Authenticated),
    ("SORT", When::Authenticated),
    ("SORT=DISPLAY", When::Authenticated),
    ("ESORT", When::Authenticated),
    ("THREAD=ORDEREDSUBJECT", When::Authenticated),
    ("THREAD=REFERENCES", When::Authenticated),
    ("THREAD=REFS", When::Authenticated),
    ("PREVIEW", When::Authenticated),
    ("MULTISEARCH", When::Authenticated),
    ("SEARCH=FUZZY", When::Authenticated),
    ("APPENDLIMIT=", When::Authenticated),
];

/// What ENABLE turns on (RFC 5161).
pub(crate) const ENABLED_BY_NAME: &[&str] = &["CONDSTORE", "QRESYNC"];

/// The capabilities for a client in this state, as CAPABILITY lists them; APPENDLIMIT (RFC 7889, 2) still without its number.
fn capabilities(authenticated: bool, login_offered: bool, tls_offered: bool) -> Vec<&'static str> {
    let announced = |when: When| match when {
        When::Always => true,
        When::TlsOffered => !authenticated && tls_offered,
        When::LoginOffered => !authenticated && login_offered,
        When::LoginRefused => !authenticated && !login_offered,
        When::Authenticated => authenticated,
    };
    TABLE
        .iter()
        .filter(|(_, when)| announced(*when))
        .map(|(name, _)| *name)
        .collect()
}

/// The capabilities of a session.
pub(crate) fn of_session(
    ctx: &Context,
    peer: &Peer,
    authenticated: bool,
) -> Vec<Cow<'static, str>> {
    let tls_offered = ctx.tls.is_some() && !peer.is_tls();
    let names = capabilities(authenticated, ctx.auth.offered(peer), tls_offered).into_iter();
    let has_words = ctx.engine.has_words();
    let names = names.filter(|name| has_words || *name != "SEARCH=FUZZY");
    let numbered = |name: &'static str| match name {
        "APPENDLIMIT=" => Cow::Owned(format!("{name}{}", ctx.settings.max_message)),
        _ => Cow::Borrowed(name),
    };
    names.map(numbered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_login_only_what_helps_to_log_in_is_announced() {
        expect_test::expect!["IMAP4rev1 LITERAL+ SASL-IR ID ENABLE AUTH=PLAIN"]
            .assert_eq(&capabilities(false, true, false).join(" "));
        expect_test::expect!["IMAP4rev1 LITERAL+ SASL-IR ID ENABLE LOGINDISABLED"]
            .assert_eq(&capabilities(false, false, false).join(" "));
        expect_test::expect!["IMAP4rev1 LITERAL+ SASL-IR ID ENABLE STARTTLS LOGINDISABLED"]
            .assert_eq(&capabilities(false, false, true).join(" "));
    }

    #[test]
    fn after_login_everything_is_announced_once() {
        let mut names = capabilities(true, true, true);
        assert!(names.contains(&"CONDSTORE"));
        assert!(
            !names
                .iter()
                .any(|name| name.starts_with("AUTH=")
                    || ["LOGINDISABLED", "STARTTLS"].contains(name))
        );
        let announced = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), announced);
    }
}
