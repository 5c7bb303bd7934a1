//! From what was written to what the engine and the server are told: every rule between settings is here.

use std::path::PathBuf;
use std::time::Duration;

use coldpost_engine::limits::{ENTRY_MAX, RECIPIENTS_MAX};
use coldpost_engine::settings::{self, Settings};
use coldpost_server::auth::{AccountPolicy, AuthSettings, Password};
use coldpost_server::limits::PASSWORD_MAX;
use coldpost_server::listen::Address;
use coldpost_server::tls::TlsFiles;
use coldpost_server::{Addresses, lmtp};

use super::value::{Secret, Size, Value};
use super::word::{Accounts, Dedup, Truth};
use super::{Auth, Config};
use crate::failure::Failure;
use crate::logging;

/// An open segment that holds mail is cut at this age.
const CUT_AGE: Duration = Duration::from_secs(60 * 60);
/// The smallest segment: two entries of the largest size.
const SEGMENT_MIN: Size = Size(2 * ENTRY_MAX as u64);
/// The largest segment: what a compaction holds in memory.
const SEGMENT_MAX: Size = Size::mib(1024);
/// The largest one that is read into memory to be sent.
const SEGMENT_SENT_MAX: Size = Size::mib(32);
/// The smallest limit of a message that mail can live with (RFC 5321, 4.5.3.1.7).
const MESSAGE_MIN: Size = Size::kib(64);
/// Room for our trace lines, next to the largest message.
const TRACE_ROOM: u64 = 64 * 1024;
/// The smallest cache of the hot tier that is one.
const CACHE_MIN: Size = Size::mib(1);
/// More than any machine has.
const CACHE_MAX: Size = Size::mib(1024 * 1024);
/// The smallest part that may stand in frames of its own.
const ATTACHMENT_MIN: Size = Size::kib(1);

/// Settings that were checked, as plain values.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    /// For the engine.
    pub(crate) engine: Settings,
    /// What is listened on.
    pub(crate) listen: Addresses,
    /// The certificate of LMTP.
    pub(crate) lmtp_tls: Option<TlsFiles>,
    /// The certificate of IMAP.
    pub(crate) imap_tls: Option<TlsFiles>,
    /// For LMTP.
    pub(crate) lmtp: lmtp::Settings,
    /// Passwords that were given.
    pub(crate) auth: AuthSettings,
    /// None was given: the development password of the data directory is used.
    pub(crate) make_dev_password: bool,
    /// Who may have an account.
    pub(crate) accounts: AccountPolicy,
    /// Users with passwords of their own.
    pub(crate) passwd_file: Option<PathBuf>,
    /// The token that was given.
    pub(crate) http_token: Option<String>,
}

impl Config {
    /// Checks the values against each other.
    ///
    /// # Errors
    /// The first rule that is broken, and what to do.
    pub(crate) fn check(&self) -> Result<Checked, Failure> {
        self.check_bounds()?;
        self.check_lmtp()?;
        self.check_hot()?;
        logging::filter(&self.log.level)?;
        let data = std::path::absolute(&self.data).map_err(|error| {
            Failure::Usage(format!(
                "data: {} is no directory name: {error}",
                self.data.display()
            ))
        })?;
        let (lmtp_tls, imap_tls) = (self.lmtp.tls()?, self.imap.tls()?);
        let (mut auth, make_dev_password) = self.auth.check()?;
        let proxies = self.imap.proxies.0.iter();
        auth.unslowed = proxies.map(|network| network.0).collect();
        let accounts = match &self.auth.accounts {
            Some(Value(Accounts::Listed)) => AccountPolicy::Listed,
            Some(Value(Accounts::Create)) => AccountPolicy::Create,
            None if make_dev_password || auth.dev_password.is_some() => AccountPolicy::Create,
            None => AccountPolicy::Listed,
        };
        self.check_dev_password()?;
        let hostname = self.hostname()?;
        let listen = Addresses {
            lmtp: self.lmtp.listen.0.clone(),
            lmtp_tls: self.lmtp.tls_listen.clone().map(|Value(address)| address),
            imap: self.imap.listen.0.clone(),
            imap_tls: self.imap.tls_listen.clone().map(|Value(address)| address),
            http: self.http.listen.0.clone(),
        };
        if let Address::Unix(_) = listen.http {
            return wrong("http.listen", "HTTP listens on TCP only: write IP:PORT");
        }
        let lmtp = lmtp::Settings {
            hostname,
            max_message: self.lmtp.max_message.0.0,
            max_recipients: self.lmtp.max_recipients.0.0,
            recipient_delimiter: self.lmtp.recipient_delimiter.clone(),
            allow: self.lmtp.allow.0.iter().map(|network| network.0).collect(),
        };
        let token = self.http.token.as_ref();
        let http_token = token.map(|Value(Secret(token))| token.clone());
        if http_token
            .as_ref()
            .is_some_and(|token| Password::new(token).is_none())
        {
            return wrong("http.token", too_long());
        }
        Ok(Checked {
            engine: self.engine(data)?,
            listen,
            lmtp_tls,
            imap_tls,
            lmtp,
            auth,
            make_dev_password,
            accounts,
            passwd_file: self.auth.passwd_file.clone(),
            http_token,
        })
    }

    fn check_bounds(&self) -> Result<(), Failure> {
        let (message, memory) = (self.lmtp.max_message.0, self.mail.memory.0);
        if message < MESSAGE_MIN {
            return wrong(
                "lmtp.max_message",
                format_args!("{message} is too little; at least {MESSAGE_MIN}"),
            );
        }
        if memory.0 < message.0.saturating_add(TRACE_ROOM) {
            let least = Size(message.0.saturating_add(TRACE_ROOM));
            return wrong(
                "mail.memory",
                format_args!(
                    "{memory} does not hold a message of lmtp.max_message; at least {least}"
                ),
            );
        }
        if u32::try_from(memory.0 / 1024).is_err() {
            return wrong(
                "mail.memory",
                format_args!("{memory} is too much; less than 4TiB"),
            );
        }
        let segment = self.journal.segment_size.0;
        if !(SEGMENT_MIN..=SEGMENT_MAX).contains(&segment) {
            return wrong(
                "journal.segment_size",
                format_args!("{segment} is not between {SEGMENT_MIN} and {SEGMENT_MAX}"),
            );
        }
        let is_linked = self.cold.is_one_directory();
        if !is_linked && segment > SEGMENT_SENT_MAX {
            return wrong(
                "journal.segment_size",
                format_args!("{segment} is more than {SEGMENT_SENT_MAX}: it is sent out of memory"),
            );
        }
        if self.journal.shards.0.0 == 0 {
            return wrong("journal.shards", "0 shards hold no mail; at least 1");
        }
        if self.mail.attachment_threshold.0 < ATTACHMENT_MIN {
            let threshold = self.mail.attachment_threshold.0;
            return wrong(
                "mail.attachment_threshold",
                format_args!("{threshold} is too little; at least {ATTACHMENT_MIN}"),
            );
        }
        Ok(())
    }

    /// Who may hand mail in, and to whom.
    fn check_lmtp(&self) -> Result<(), Failure> {
        let recipients = self.lmtp.max_recipients.0.0;
        if !(1..=RECIPIENTS_MAX).contains(&recipients) {
            return wrong(
                "lmtp.max_recipients",
                format_args!("{recipients} is not between 1 and {RECIPIENTS_MAX}"),
            );
        }
        let delimiter = &self.lmtp.recipient_delimiter;
        let can_delimit = |c: char| c.is_ascii_punctuation() && !"@\"\\<>()[],:;".contains(c);
        if !delimiter.chars().all(can_delimit) {
            return wrong(
                "lmtp.recipient_delimiter",
                format_args!(
                    "{delimiter:?} cannot begin a detail: write signs such as \"+\" or \"+-\", or \"\" for none"
                ),
            );
        }
        if self.lmtp.allow.0.is_empty() && matches!(self.lmtp.listen.0, Address::Tcp(_)) {
            return wrong(
                "lmtp.allow",
                "no client could hand mail in: name networks, or listen on unix:/path",
            );
        }
        Ok(())
    }

    fn check_hot(&self) -> Result<(), Failure> {
        for (key, size, least) in [
            ("hot.cache", self.hot.cache.0, CACHE_MIN),
            ("hot.frames", self.hot.frames.0, Size(0)),
        ] {
            if !(least..=CACHE_MAX).contains(&size) {
                return wrong(
                    key,
                    format_args!("{size} is not between {least} and {CACHE_MAX}"),
                );
            }
        }
        Ok(())
    }

    fn hostname(&self) -> Result<String, Failure> {
        let name = match &self.hostname {
            Some(name) => name.clone(),
            None => rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
        };
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
        if name.is_empty() || name.len() > 253 || !plain {
            return wrong(
                "hostname",
                format_args!("{name:?} is no host name; write one such as mx.example.org"),
            );
        }
        Ok(name)
    }

    fn engine(&self, data: PathBuf) -> Result<Settings, Failure> {
        let cold = self.cold.check(&data)?;
        Ok(Settings {
            data,
            cold,
            segment_size: self.journal.segment_size.0.0,
            shards: self.journal.shards.0.0,
            hot_cache: self.hot.cache.0.0,
            frames_cache: self.hot.frames.0.0,
            words: self.search.words.0 == Truth::True,
            local_bodies: self.hot.local_bodies.0.0,
            min_free: self.hot.min_free.0.0,
            mail_memory: self.mail.memory.0.0,
            attachment_threshold: self.mail.attachment_threshold.0.0,
            dedup: match self.cold.dedup {
                None | Some(Value(Dedup::Shard)) => settings::Dedup::Shard,
                Some(Value(Dedup::Account)) => settings::Dedup::Account,
            },
            cut_age: CUT_AGE,
            retention: self.cold.retention.0.0,
            grace: self.cold.grace.0.0,
            segment_age: self.cold.segment_age.0.0,
            autocreate: self.first_mailboxes()?,
        })
    }
}

impl Auth {
    /// The passwords, and whether one has to be made because there is none.
    fn check(&self) -> Result<(AuthSettings, bool), Failure> {
        let password = |key: &str, given: &Option<Value<Secret>>| match given {
            None => Ok(None),
            Some(Value(Secret(text))) => match Password::new(text) {
                Some(password) => Ok(Some(password)),
                None => wrong(key, too_long()),
            },
        };
        let dev_password = password("auth.dev_password", &self.dev_password)?;
        let backend_password = password("auth.backend_password", &self.backend_password)?;
        if self
            .passwd_file
            .as_ref()
            .is_some_and(|file| file.as_os_str().is_empty())
        {
            return wrong(
                "auth.passwd_file",
                "an empty name names no file; leave the key out",
            );
        }
        let make_dev_password =
            dev_password.is_none() && backend_password.is_none() && self.passwd_file.is_none();
        Ok((
            AuthSettings {
                dev_password,
                backend_password,
                ..AuthSettings::default()
            },
            make_dev_password,
        ))
    }
}

fn too_long() -> String {
    format!("it is longer than {PASSWORD_MAX} bytes; use a shorter one")
}

pub(super) fn wrong<T>(key: &str, what: impl std::fmt::Display) -> Result<T, Failure> {
    Err(Failure::Usage(format!("{key}: {what}")))
}
