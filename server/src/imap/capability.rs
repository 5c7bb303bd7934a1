//! The one table of what this server can do, and when it says so.
//!
//! An extension stands here when all of it works. Never: anything that depends on what a client asked.

use crate::auth::Peer;
use crate::imap::context::Context;

/// When a capability is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// In every state.
    Always,
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
    // RFC 7889: without a number, STATUS tells it.
    ("APPENDLIMIT", When::Authenticated),
];

/// What ENABLE turns on (RFC 5161).
pub(crate) const ENABLED_BY_NAME: &[&str] = &["CONDSTORE", "QRESYNC"];

/// The capabilities for a client in this state, as CAPABILITY lists them.
pub(crate) fn capabilities(authenticated: bool, login_offered: bool) -> Vec<&'static str> {
    let announced = |when: When| match when {
        When::Always => true,
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
pub(crate) fn of_session(ctx: &Context, peer: &Peer, authenticated: bool) -> Vec<&'static str> {
    capabilities(authenticated, ctx.auth.offered(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_login_only_what_helps_to_log_in_is_announced() {
        expect_test::expect!["IMAP4rev1 LITERAL+ SASL-IR ID ENABLE AUTH=PLAIN"]
            .assert_eq(&capabilities(false, true).join(" "));
        expect_test::expect!["IMAP4rev1 LITERAL+ SASL-IR ID ENABLE LOGINDISABLED"]
            .assert_eq(&capabilities(false, false).join(" "));
    }

    #[test]
    fn after_login_everything_is_announced_once() {
        let mut names = capabilities(true, true);
        assert!(names.contains(&"CONDSTORE"));
        assert!(
            !names
                .iter()
                .any(|name| name.starts_with("AUTH=") || *name == "LOGINDISABLED")
        );
        let announced = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), announced);
    }
}
