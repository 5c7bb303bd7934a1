//! What all IMAP sessions share: handed in once, never changed.

use std::path::PathBuf;
use std::sync::Arc;

use coldpost_engine::Engine;
use coldpost_engine::ids::AccountId;
use tokio::sync::{Semaphore, watch};

use crate::auth::Authenticator;
use crate::imap::metrics::Metrics;
use crate::places::Places;
use crate::tls::Tls;

/// What `[imap]` and `[mail]` say, checked.
#[derive(Clone, Debug)]
pub struct ImapSettings {
    /// Stands in the greeting.
    pub hostname: String,
    /// Octets of an appended message.
    pub max_message: u64,
    /// KiB that `Context::memory` began with: no message waits for more.
    pub memory_kib: u32,
    /// A directory on the data disk: appended messages pass through nameless files there.
    pub spool: PathBuf,
}

/// The parts that sessions work with.
pub struct Context {
    /// The store.
    pub engine: Engine,
    /// Who may log in.
    pub auth: Arc<Authenticator>,
    /// Plain values.
    pub settings: ImapSettings,
    /// Counters.
    pub metrics: Metrics,
    /// KiB of message bytes in flight, all protocols together: a session waits for its share.
    pub memory: Arc<Semaphore>,
    /// One for each file in which messages of an APPEND may lie at a time: nobody waits for one.
    pub append_files: Arc<Semaphore>,
    /// The same for each account.
    pub append_files_of: Places<AccountId>,
    /// Sessions of each account.
    pub sessions: Places<AccountId>,
    /// What STARTTLS begins; `None`: it is not offered.
    pub tls: Option<Tls>,
    /// Turns true when the daemon stops: every session says BYE between two commands.
    pub shutdown: watch::Receiver<bool>,
}
