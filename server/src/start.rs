//! The server as a whole: all listeners bound or none, served until told to stop, drained, the engine closed last.

use std::fs::DirBuilder;
use std::future::Future;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coldpost_engine::Engine;
use tokio::task::JoinSet;

use crate::accounts::Accounts;
use crate::auth::{self, AccountPolicy, AuthSettings, Authenticator, Files, Users};
use crate::budget::Budget;
use crate::limits::{FILES_LEFT, IMAP_CONNECTIONS_MAX};
use crate::listen::{Address, Listener, Peer, Protocol, Stream, Watch};
use crate::lmtp::{self, Lmtp, Room, Spool};
use crate::shutdown::{self, Shutdown, Trigger};
use crate::{http, imap, metrics};

/// What IMAP's listener should know.
const IMAP: Protocol = Protocol {
    name: "imap",
    connections_max: IMAP_CONNECTIONS_MAX,
    busy: "* BYE [UNAVAILABLE] too many connections, try again later\r\n",
};

/// Everything the server is told; checked already.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// What is listened on.
    pub listen: Addresses,
    /// `[lmtp]`
    pub lmtp: lmtp::Settings,
    /// `[http]`
    pub http: http::Settings,
    /// `[auth]`
    pub auth: AuthSettings,
    /// `[auth] accounts`
    pub accounts: AccountPolicy,
    /// `[auth] passwd_file`
    pub passwd_file: Option<PathBuf>,
    /// Message bytes in flight, all sessions together.
    pub mail_memory: u64,
    /// A directory on the data disk for messages that come in.
    pub spool: PathBuf,
    /// Files that the process may have open, connections included.
    pub open_files: usize,
}

/// An address for each protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// LMTP
    pub lmtp: Address,
    /// IMAP
    pub imap: Address,
    /// HTTP
    pub http: Address,
}

/// A server that serves.
pub struct Server {
    engine: Engine,
    addresses: Addresses,
    trigger: Trigger,
    listeners: JoinSet<()>,
}

impl Server {
    /// Binds all listeners and begins to serve.
    ///
    /// # Errors
    /// An address that cannot be listened on (the text names it); the spool directory cannot be made.
    pub async fn start(engine: Engine, settings: ServerSettings) -> io::Result<Server> {
        let private = &mut DirBuilder::new();
        private
            .recursive(true)
            .mode(0o700)
            .create(&settings.spool)
            .map_err(|error| no_spool(&settings.spool, &error))?;
        let files = Files::open(engine.data(), settings.passwd_file.as_deref())?;
        let lmtp = Listener::bind(&settings.listen.lmtp, "lmtp").await?;
        let imap = Listener::bind(&settings.listen.imap, "imap").await?;
        let http = Listener::bind(&settings.listen.http, "http").await?;
        let addresses = Addresses {
            lmtp: lmtp.address().clone(),
            imap: imap.address().clone(),
            http: http.address().clone(),
        };
        metrics::register();
        let (trigger, shutdown) = shutdown::channel();
        let mut listeners = JoinSet::new();
        let delimiter = &settings.lmtp.recipient_delimiter;
        let users = Users::new(engine.clone(), settings.accounts, delimiter);
        let users = Arc::new(users.with_files(files.clone()));
        let accounts = Accounts::new(engine.clone(), files, delimiter);
        if let Err(error) = accounts.settle().await {
            tracing::warn!("the file of users has names of before: {error}");
        }
        let budget = Budget::new(settings.mail_memory);
        let watch = Watch::default();
        let run_http = http::run(
            http,
            engine.clone(),
            accounts,
            settings.http.clone(),
            budget.clone(),
            watch.clone(),
            shutdown.clone(),
        );
        listeners.spawn(watch.clone().over("http", shutdown.clone(), run_http));
        let run_imap = run_imap(imap, &engine, &settings, &users, &budget, shutdown.clone())?;
        listeners.spawn(watch.clone().over("imap", shutdown.clone(), run_imap));
        let run_lmtp = run_lmtp(lmtp, &engine, settings, users, budget, shutdown.clone());
        listeners.spawn(watch.over("lmtp", shutdown, run_lmtp));
        Ok(Server {
            engine,
            addresses,
            trigger,
            listeners,
        })
    }

    /// What is listened on, with the ports that the system chose.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Serves until `stop` ends; then nothing is accepted, sessions end, and the engine is closed.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        stop.await;
        self.trigger.pull();
        while let Some(ended) = self.listeners.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a listener panicked");
            }
        }
        self.engine.close().await;
    }
}

/// `protocol` with no more connections than its `quarters` of the open files that the store does not need: silent clients of one
/// protocol must not take the descriptors of the journal, or of the other protocol.
fn within(protocol: Protocol, open_files: usize, quarters: usize) -> Protocol {
    // A message in its file is a descriptor more.
    let connections = (open_files - FILES_LEFT.min(open_files / 2)) / 2;
    let share = (connections / 4 * quarters).max(1);
    Protocol {
        connections_max: protocol.connections_max.min(share),
        ..protocol
    }
}

/// The system does not say which path it means.
fn no_spool(spool: &Path, error: &io::Error) -> io::Error {
    let what = match error.kind() {
        io::ErrorKind::AlreadyExists => "is no directory; move it away".to_owned(),
        _ => format!("cannot be made: {error}"),
    };
    io::Error::new(
        error.kind(),
        format!("the spool {} {what}", spool.display()),
    )
}

fn run_lmtp(
    listener: Listener,
    engine: &Engine,
    settings: ServerSettings,
    users: Arc<Users>,
    budget: Budget,
    shutdown: Shutdown,
) -> impl Future<Output = ()> + use<> {
    let store = lmtp::Store {
        engine: engine.clone(),
        users,
    };
    let protocol = within(Lmtp::<lmtp::Store>::PROTOCOL, settings.open_files, 1);
    let disk = engine.clone();
    let spool = Spool {
        budget,
        directory: Arc::new(settings.spool),
        room: Room::new(move || disk.room_left()),
    };
    let lmtp = Arc::new(Lmtp::new(settings.lmtp, store, spool));
    let word = shutdown.clone();
    listener.run(protocol, shutdown, move |stream: Stream, peer: Peer| {
        let (lmtp, word) = (Arc::clone(&lmtp), word.clone());
        async move { lmtp.serve(stream, peer, word).await }
    })
}

fn run_imap(
    listener: Listener,
    engine: &Engine,
    settings: &ServerSettings,
    users: &Arc<Users>,
    budget: &Budget,
    shutdown: Shutdown,
) -> io::Result<impl Future<Output = ()> + use<>> {
    let protocol = within(IMAP, settings.open_files, 3);
    let context = Arc::new(imap::Context {
        engine: engine.clone(),
        auth: Arc::new(Authenticator::new(settings.auth.clone(), Arc::clone(users))),
        settings: imap::ImapSettings {
            hostname: settings.lmtp.hostname.clone(),
            max_message: settings.lmtp.max_message,
            memory_kib: budget.total_kib(),
            spool: settings.spool.clone(),
        },
        metrics: imap::Metrics::new(prometheus::default_registry()).map_err(io::Error::other)?,
        memory: budget.semaphore(),
        shutdown: shutdown.receiver(),
    });
    Ok(
        listener.run(protocol, shutdown, move |stream: Stream, peer: Peer| {
            let context = Arc::clone(&context);
            async move {
                let peer = match peer {
                    Peer::Tcp { remote, local } => auth::Peer::tcp(remote, local, false),
                    Peer::Unix => auth::Peer::unix(),
                };
                imap::serve(stream, context, peer).await;
            }
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_store_its_files() {
        let most = |files| within(IMAP, files, 3).connections_max;
        assert_eq!(most(64), 12);
        assert_eq!(most(1_024), 192);
        assert_eq!(most(4_096), 1_344);
        assert_eq!(most(1 << 20), IMAP_CONNECTIONS_MAX);
        assert_eq!(most(usize::MAX), IMAP_CONNECTIONS_MAX);
        assert_eq!(within(IMAP, 64, 1).connections_max, 4);
        assert_eq!(within(IMAP, 4, 1).connections_max, 1);
    }
}
