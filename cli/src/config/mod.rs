//! The settings: file, then environment, then arguments; checked once, and plain values from there on.
//!
//! Promises: a key that is not here is an error that names the nearest one; a wrong value is named with its key and where it came from.

mod age;
mod autocreate;
mod check;
mod cold;
mod load;
mod tls;
mod value;
mod word;

use std::path::PathBuf;

use coldpost_engine::settings::MinFree;
use coldpost_server::listen::Address;
use serde::{Deserialize, Serialize};

use age::Age;
use autocreate::FirstMailbox;
pub(crate) use check::Checked;
use value::{Free, List, Secret, Size, Value, Whole};
pub(crate) use word::LogFormat;
use word::{Accounts, Dedup, Network, Truth};

/// Of redb, where nothing else is said.
const HOT_CACHE: Size = Size::mib(64);
/// Of decoded frames, where nothing else is said.
const FRAMES: Size = Size::mib(24);
/// Of local disk for what was read from the store, where nothing else is said.
const COLD_CACHE: Size = Size::mib(10 * 1024);
/// Of message bytes in flight, where nothing else is said.
const MAIL_MEMORY: Size = Size::mib(64);
/// What the defaults and all bounds may add up to; the rest of what a process takes is its own: code, stacks, buffers of sockets.
const MEMORY_MAX: Size = Size::mib(456);

const _: () = assert!(
    MEMORY_MAX.0
        > HOT_CACHE.0
            + FRAMES.0
            + MAIL_MEMORY.0
            + coldpost_engine::limits::MEMORY_BOUNDS as u64
            + coldpost_server::limits::CHECKS_MEMORY
            + coldpost_server::limits::IMAP_APPENDS_IN_MEMORY as u64,
    "the default caches and all bounds of memory together are under 456 MiB"
);
// The largest hash has all of its memory.
const _: () = assert!(
    coldpost_server::limits::CHECKS_MEMORY + MAIL_MEMORY.0 / 2
        >= coldpost_server::limits::ARGON2_MEMORY_KIB_MAX as u64 * 1024
);

/// All of coldpost.toml.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The data directory.
    pub(crate) data: PathBuf,
    /// In greetings and Received lines; the machine's name when absent.
    hostname: Option<String>,
    lmtp: Lmtp,
    imap: Imap,
    http: Http,
    auth: Auth,
    journal: Journal,
    cold: Cold,
    hot: Hot,
    mail: Mail,
    search: Search,
    /// `[log]`
    pub(crate) log: Log,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data: PathBuf::from("coldpost-data"),
            hostname: None,
            lmtp: Lmtp::default(),
            imap: Imap::default(),
            http: Http::default(),
            auth: Auth::default(),
            journal: Journal::default(),
            cold: Cold::default(),
            hot: Hot::default(),
            mail: Mail::default(),
            search: Search::default(),
            log: Log::default(),
        }
    }
}

/// `[lmtp]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Lmtp {
    /// Where LMTP listens.
    listen: Value<Address>,
    /// Octets of a message.
    max_message: Value<Size>,
    /// Recipients of a transaction.
    max_recipients: Value<Whole<usize>>,
    /// Characters that begin the detail of an address; none when empty.
    recipient_delimiter: String,
    /// Networks that TCP clients may come from.
    allow: List<Network>,
    /// Where LMTP in TLS listens; needs the two below.
    tls_listen: Option<Value<Address>>,
    /// The certificate chain, PEM; with the key, STARTTLS is offered.
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    tls_key: Option<PathBuf>,
}

impl Default for Lmtp {
    fn default() -> Lmtp {
        Lmtp {
            listen: loopback(2424),
            max_message: Value(Size::mib(50)),
            max_recipients: Value(Whole(coldpost_engine::limits::RECIPIENTS_MAX)),
            recipient_delimiter: "+".to_owned(),
            allow: List(
                ["127.0.0.0/8", "::1/128"]
                    .map(|text| text.parse().expect("a network"))
                    .to_vec(),
            ),
            tls_listen: None,
            tls_cert: None,
            tls_key: None,
        }
    }
}

/// `[imap]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Imap {
    /// Where IMAP listens.
    listen: Value<Address>,
    /// Where IMAP in TLS listens; needs the two below.
    tls_listen: Option<Value<Address>>,
    /// The certificate chain, PEM; with the key, STARTTLS is offered.
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    tls_key: Option<PathBuf>,
    /// Networks of front ends, whose clients are neither slowed nor counted one by one.
    proxies: List<Network>,
}

impl Default for Imap {
    fn default() -> Imap {
        Imap {
            listen: loopback(1143),
            tls_listen: None,
            tls_cert: None,
            tls_key: None,
            proxies: List(Vec::new()),
        }
    }
}

/// `[http]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Http {
    /// Where HTTP listens.
    listen: Value<Address>,
    /// Opens the administration; made at the first start when absent.
    token: Option<Value<Secret>>,
}

impl Default for Http {
    fn default() -> Http {
        Http {
            listen: loopback(8143),
            token: None,
        }
    }
}

/// `[auth]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Auth {
    /// Users with their passwords, in Dovecot's format.
    passwd_file: Option<PathBuf>,
    /// Any user, for front ends; over TLS, loopback and unix sockets only.
    backend_password: Option<Value<Secret>>,
    /// Any user; loopback listeners only.
    dev_password: Option<Value<Secret>>,
    /// Who may have an account.
    accounts: Option<Value<Accounts>>,
}

/// `[journal]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Journal {
    /// Mail shards; fixed when the store is made.
    shards: Value<Whole<u16>>,
    /// Record bytes after which a segment is cut.
    segment_size: Value<Size>,
}

impl Default for Journal {
    fn default() -> Journal {
        Journal {
            shards: Value(Whole(1)),
            segment_size: Value(Size::mib(8)),
        }
    }
}

/// `[cold]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Cold {
    /// `file:///path` or `s3://bucket/prefix`; `cold` in the data directory when absent.
    url: Option<String>,
    /// Of S3, for stores that are not AWS.
    endpoint: Option<String>,
    /// Of S3.
    region: Option<String>,
    /// Of S3.
    access_key_id: Option<String>,
    /// Of S3.
    secret_access_key: Option<Value<Secret>>,
    /// Plain http to the endpoint.
    allow_http: Option<Value<Truth>>,
    /// For whom attachments of the same content are stored once.
    dedup: Option<Value<Dedup>>,
    /// Local disk for what was read from the store.
    cache: Value<Size>,
    /// A second store that has everything too, as `url`.
    mirror: Option<String>,
    /// Of the mirror.
    mirror_endpoint: Option<String>,
    /// Of the mirror.
    mirror_region: Option<String>,
    /// Of the mirror.
    mirror_access_key_id: Option<String>,
    /// Of the mirror.
    mirror_secret_access_key: Option<Value<Secret>>,
    /// Plain http to the mirror's endpoint.
    mirror_allow_http: Option<Value<Truth>>,
    /// How long a snapshot is kept.
    retention: Value<Age>,
    /// How long what nothing needs stays before it is deleted.
    grace: Value<Age>,
    /// The age at which a segment is written anew.
    segment_age: Value<Age>,
}

impl Default for Cold {
    fn default() -> Cold {
        Cold {
            url: None,
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: None,
            allow_http: None,
            dedup: None,
            cache: Value(COLD_CACHE),
            mirror: None,
            mirror_endpoint: None,
            mirror_region: None,
            mirror_access_key_id: None,
            mirror_secret_access_key: None,
            mirror_allow_http: None,
            retention: Value(Age::days(14)),
            grace: Value(Age::days(1)),
            segment_age: Value(Age::days(30)),
        }
    }
}

/// `[hot]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Hot {
    /// redb's cache, all shards together.
    cache: Value<Size>,
    /// Decoded frames in memory.
    frames: Value<Size>,
    /// Sealed segments and blobs on local disk that are confirmed in the store.
    local_bodies: Value<Size>,
    /// Free disk below which mail is refused.
    min_free: Value<Free>,
}

impl Default for Hot {
    fn default() -> Hot {
        Hot {
            cache: Value(HOT_CACHE),
            frames: Value(FRAMES),
            local_bodies: Value(Size::mib(1024)),
            min_free: Value(Free(MinFree::Percent(5.0))),
        }
    }
}

/// `[mail]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Mail {
    /// Decoded size from which an encoded part stands in frames of its own.
    attachment_threshold: Value<Size>,
    /// Message bytes in flight, all sessions together.
    memory: Value<Size>,
    /// What a new account has beside INBOX; the usual ones when absent.
    autocreate: Option<List<FirstMailbox>>,
}

impl Default for Mail {
    fn default() -> Mail {
        Mail {
            attachment_threshold: Value(Size::kib(64)),
            memory: Value(MAIL_MEMORY),
            autocreate: None,
        }
    }
}

/// `[search]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Search {
    /// Whether words are indexed, for ranked and fuzzy search.
    words: Value<Truth>,
}

impl Default for Search {
    fn default() -> Search {
        Search {
            words: Value(Truth::True),
        }
    }
}

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// A level, or levels by module.
    pub(crate) level: String,
    /// How a line looks.
    pub(crate) format: Value<LogFormat>,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            level: "info".to_owned(),
            format: Value(LogFormat::Text),
        }
    }
}

fn loopback(port: u16) -> Value<Address> {
    Value(Address::Tcp(([127, 0, 0, 1], port).into()))
}

#[cfg(test)]
mod tests;
