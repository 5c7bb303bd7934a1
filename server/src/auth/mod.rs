//! Who may log in, and which account a name means.
//!
//! Promises: passwords are compared in constant time, whoever fails is slowed, account names go through the one
//! normalisation; a name that is not there costs the time of a wrong password. Never: logs a password, stores one.

mod attempt;
mod check;
mod own;
mod passwd;
mod passwd_file;
mod password;
mod peer;
mod queue;
mod scheme;
mod users;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use coldpost_engine::account::AccountName;
use coldpost_engine::ids::AccountRef;
use coldpost_engine::{Error, Kind};
use ipnet::IpNet;

use crate::limits::ATTEMPT_DELAY_STEP;

pub use attempt::Attempts;
pub use check::Checks;
pub use own::OwnUsers;
pub use passwd::{Complaint, check_passwd_file};
pub use passwd_file::PasswdFile;
pub use password::Password;
pub use peer::Peer;
pub use users::{AccountPolicy, Files, Purpose, Users};

pub(crate) use own::Change;
pub(crate) use scheme::Hash;

use queue::Asker;

/// What `[auth]` says, checked.
#[derive(Clone, Debug, Default)]
pub struct AuthSettings {
    /// Any user may log in with it, on loopback listeners and unix sockets only.
    pub dev_password: Option<Password>,
    /// Any user may be logged in with it by a front end: over TLS, a unix socket or loopback only.
    pub backend_password: Option<Password>,
    /// Networks whose clients are not slowed by failed logins (proxies that bring everybody's logins).
    pub unslowed: Vec<IpNet>,
}

impl AuthSettings {
    /// What the peer's failed logins are counted by; `None` where they are not.
    fn counted(&self, peer: &Peer) -> Option<IpAddr> {
        let address = peer.address()?;
        let is_front = self.unslowed.iter().any(|net| net.contains(&address));
        peer.source().filter(|_| !is_front)
    }
}

/// What a client showed (RFC 4616): LOGIN leaves `authorization` empty.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// Whose mail it is to be; empty: the one who logs in.
    pub authorization: &'a str,
    /// Who logs in.
    pub authentication: &'a str,
    /// The password.
    pub password: &'a [u8],
}

/// A successful login.
#[derive(Clone, Debug)]
pub struct Login {
    /// The normalised name.
    pub name: AccountName,
    /// The account.
    pub account: AccountRef,
}

/// Why a login was not granted.
#[derive(Debug)]
pub enum Refused {
    /// Wrong name or password, or a name that has no account (RFC 5530 AUTHENTICATIONFAILED; which of them is not told).
    Credentials,
    /// The password is right, but does not allow to act for another (RFC 5530 AUTHORIZATIONFAILED).
    Authorization,
    /// No password is accepted on this connection (RFC 5530 PRIVACYREQUIRED).
    Channel,
    /// The accounts cannot be read now.
    Unavailable(Error),
}

/// Checks logins. Shared by all sessions.
#[derive(Debug)]
pub struct Authenticator {
    settings: AuthSettings,
    users: Arc<Users>,
    attempts: Attempts,
}

impl Authenticator {
    /// From checked settings.
    pub fn new(settings: AuthSettings, users: Arc<Users>) -> Authenticator {
        Authenticator {
            settings,
            users,
            attempts: Attempts::default(),
        }
    }

    /// Who has an account; LMTP asks it too.
    pub fn users(&self) -> &Arc<Users> {
        &self.users
    }

    /// Whether any password can succeed on this connection; otherwise LOGINDISABLED is announced.
    pub fn offered(&self, peer: &Peer) -> bool {
        // `coldpost account` may give somebody a password at any time.
        peer.is_private()
    }

    /// Checks a login. A refusal comes late: 2 s for each earlier failure of the same address or account, up to 16 s.
    ///
    /// # Errors
    /// [`Refused`]; the caller answers and may let the client try again.
    pub async fn login(&self, credentials: Credentials<'_>, peer: &Peer) -> Result<Login, Refused> {
        if !self.offered(peer) {
            return Err(Refused::Channel);
        }
        let begun = Instant::now();
        let source = self.settings.counted(peer);
        let asker = match source {
            None => Asker::Trusted,
            Some(address) if self.attempts.has_failed(address, begun) => {
                Asker::FailedLately(address)
            }
            Some(address) => Asker::Address(address),
        };
        let result = self.check(credentials, peer, asker).await;
        match (&result, source) {
            (Ok(_), Some(source)) => self.attempts.succeeded(source),
            (Err(Refused::Credentials | Refused::Authorization), Some(source)) => {
                let name = AccountName::normalise(credentials.authentication).ok();
                let delay = self.attempts.failed(source, name.as_ref(), Instant::now());
                // Counted from the beginning, so that it does not tell how long the check took.
                tokio::time::sleep_until((begun + delay).into()).await;
            }
            (Err(Refused::Unavailable(_)), Some(_)) => {
                // Whoever was told so at once would be back at once.
                tokio::time::sleep_until((begun + ATTEMPT_DELAY_STEP).into()).await;
            }
            _ => {}
        }
        result
    }

    async fn check(
        &self,
        credentials: Credentials<'_>,
        peer: &Peer,
        asker: Asker,
    ) -> Result<Login, Refused> {
        let Credentials {
            authorization,
            authentication,
            password,
        } = credentials;
        // Both are always compared, so that the time tells nothing about which one is set.
        let matches = |wanted: &Option<Password>| {
            wanted
                .as_ref()
                .is_some_and(|wanted| wanted.matches(password))
        };
        let (dev, backend) = (
            matches(&self.settings.dev_password),
            matches(&self.settings.backend_password),
        );
        let is_same = |a, b| AccountName::normalise(a).ok() == AccountName::normalise(b).ok();
        let for_another = !authorization.is_empty() && !is_same(authorization, authentication);
        if backend && peer.is_private() {
            let user = match authorization {
                "" => authentication,
                authorization => authorization,
            };
            return self.enter(user).await;
        }
        if dev && peer.is_local() {
            return match for_another {
                true => Err(Refused::Authorization),
                false => self.enter(authentication).await,
            };
        }
        let opened = self.users.opened_by(authentication, password, asker).await;
        let opened = opened.map_err(Refused::Unavailable)?;
        match opened {
            None => Err(Refused::Credentials),
            Some(_) if for_another => Err(Refused::Authorization),
            // The very account whose password it was, whatever has its name by now.
            Some((name, Some(account))) => Ok(Login { name, account }),
            Some((name, None)) => self.enter(name.as_str()).await,
        }
    }

    /// The account of somebody whose password was right.
    async fn enter(&self, user: &str) -> Result<Login, Refused> {
        let name = AccountName::normalise(user).map_err(|_| Refused::Credentials)?;
        match self.users.resolve(&name, Purpose::Login).await {
            Ok(Some(account)) => Ok(Login { name, account }),
            Ok(None) => Err(Refused::Credentials),
            Err(e) if e.kind() == Kind::NotFound || e.kind() == Kind::Invalid => {
                Err(Refused::Credentials)
            }
            Err(e) => Err(Refused::Unavailable(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_known_by_its_own_address_and_not_by_what_clients_are_counted_by() {
        let network = |text: &&str| text.parse().expect("a network");
        let settings = AuthSettings {
            unslowed: ["2001:db8::7/128", "192.0.2.0/24"]
                .iter()
                .map(network)
                .collect(),
            ..AuthSettings::default()
        };
        let counted = |remote: &str| {
            let remote = remote.parse().expect("an address and a port");
            let local = "[2001:db8::1]:143".parse().expect("an address and a port");
            settings.counted(&Peer::tcp(remote, local, true))
        };
        for proxy in ["[2001:db8::7]:5", "192.0.2.9:5", "[::ffff:192.0.2.9]:5"] {
            assert_eq!(counted(proxy), None, "{proxy}");
        }
        for client in ["[2001:db8::8]:5", "198.51.100.1:5"] {
            assert!(counted(client).is_some(), "{client}");
        }
        assert_eq!(settings.counted(&Peer::unix()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_told_at_once_that_too_many_wait() {
        let directory = tempfile::tempdir().expect("a directory");
        let passwd = directory.path().join("passwd");
        std::fs::write(&passwd, "anna:{PLAIN}sesame\n").expect("written");
        let engine = coldpost_engine::Engine::open(crate::lmtp::tests::settings(directory.path()));
        let engine = engine.await.expect("a store");
        let budget = crate::budget::Budget::new(1 << 20);
        let files = Files::open(directory.path(), Some(&passwd), "+", budget).expect("files");
        let users = Users::new(engine.clone(), AccountPolicy::Listed, "+");
        let users = Arc::new(users.with_files(files.clone()));
        let auth = Authenticator::new(AuthSettings::default(), users);
        let peer = Peer::tcp(
            "192.0.2.1:5".parse().expect("an address"),
            "192.0.2.2:993".parse().expect("an address"),
            true,
        );
        let wrong = Credentials {
            authorization: "",
            authentication: "anna",
            password: b"guess",
        };
        let _full = files.checks.fill().await;
        let begun = tokio::time::Instant::now();
        let told = auth.login(wrong, &peer).await;
        assert!(matches!(told, Err(Refused::Unavailable(_))), "{told:?}");
        assert!(
            begun.elapsed() >= ATTEMPT_DELAY_STEP / 2,
            "{:?}",
            begun.elapsed()
        );
        engine.close().await;
    }
}
