//! The server as a whole: all listeners bound or none, served until told to stop, drained, the engine closed last.

mod doors;
mod sockets;

use std::fs::DirBuilder;
use std::future::Future;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coldpost_engine::Engine;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::accounts::Accounts;
use crate::auth::{self, AccountPolicy, AuthSettings, Authenticator, Files, Users};
use crate::budget::Budget;
use crate::http::wire::Door;
use crate::limits::{
    FILES_LEFT, IMAP_ACCOUNT_SESSIONS_MAX, IMAP_ADDRESS_CONNECTIONS_MAX, IMAP_APPEND_FILES_MAX,
    IMAP_APPEND_FILES_SHARE, IMAP_CONNECTIONS_MAX,
};
use crate::listen::{Gate, Listener, Peer, Protocol, Speaks, Stream, Watch};
use crate::lmtp::{self, Lmtp, Room, Spool};
use crate::places::Places;
use crate::shutdown::{self, Shutdown, Trigger};
use crate::tls::Tls;
use crate::{http, imap, metrics};

pub(crate) use doors::Doors;
use doors::Passage;
pub use sockets::Addresses;
use sockets::Sockets;

/// What LMTP's listener should know.
const LMTP: Protocol = Lmtp::<lmtp::Store>::PROTOCOL;
/// What IMAP's listener should know.
const IMAP: Protocol = Protocol {
    name: "imap",
    connections_max: IMAP_CONNECTIONS_MAX,
    address_max: IMAP_ADDRESS_CONNECTIONS_MAX,
    busy: "* BYE [UNAVAILABLE] too many connections, try again later\r\n",
    busy_address: "* BYE [LIMIT] too many connections from your address, try again later\r\n",
};

/// Everything the server is told; checked already.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// What is listened on.
    pub listen: Addresses,
    /// What LMTP's STARTTLS and TLS listener work with.
    pub lmtp_tls: Option<Tls>,
    /// The same of IMAP.
    pub imap_tls: Option<Tls>,
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

/// A server that serves.
pub struct Server {
    engine: Engine,
    addresses: Addresses,
    doors: Doors,
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
        let budget = Budget::new(settings.mail_memory);
        let files = Files::open(
            engine.data(),
            settings.passwd_file.as_deref(),
            &settings.lmtp.recipient_delimiter,
            budget.clone(),
        )?;
        let sockets = Sockets::bind(&settings.listen).await?;
        let addresses = sockets.addresses();
        metrics::register();
        let (trigger, shutdown) = shutdown::channel();
        let [lmtp, imap] = passages(&settings);
        let doors = Doors::new(
            addresses.clone(),
            lmtp.clone(),
            imap.clone(),
            settings.open_files,
        );
        let mut serving = Serving::new(engine.clone(), &settings, files, budget, shutdown);
        if let Err(error) = serving.accounts.settle().await {
            tracing::warn!("the file of users has names of before: {error}");
        }
        let most = FileShares::of(settings.open_files).http;
        let bounded = http::Bounded::new(sockets.http, serving.shutdown.clone(), most);
        serving.http(bounded, settings.http.clone(), doors.clone());
        serving.imap(sockets.imap, sockets.imap_tls, imap, &settings)?;
        serving.lmtp(sockets.lmtp, sockets.lmtp_tls, lmtp, settings);
        let listeners = serving.tasks;
        Ok(Server {
            engine,
            addresses,
            doors,
            trigger,
            listeners,
        })
    }

    /// What is listened on, with the ports that the system chose.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Every listener as it is now: where it is, how full, under which certificate.
    pub fn doors(&self) -> Vec<Door> {
        self.doors.list()
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

const _: () = assert!(http::CONNECTIONS_MAX <= FILES_LEFT / 2);

/// How the open files that the store does not need are shared out: silent clients of one protocol must not take the descriptors of
/// the journal, or of the other protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileShares {
    lmtp: usize,
    imap: usize,
    append: usize,
    /// Out of what the store leaves to it.
    http: usize,
}

impl FileShares {
    fn of(open_files: usize) -> FileShares {
        let rest = open_files - FILES_LEFT.min(open_files / 2);
        let append = (rest / 8).clamp(1, IMAP_APPEND_FILES_MAX);
        let lmtp = (rest / 8).clamp(1, LMTP.connections_max);
        // A delivery's message in its file is a descriptor more.
        let imap = rest.saturating_sub(append + 2 * lmtp);
        FileShares {
            lmtp,
            imap: imap.clamp(1, IMAP_CONNECTIONS_MAX),
            append,
            http: (open_files / 8).clamp(1, http::CONNECTIONS_MAX),
        }
    }
}

/// `protocol` with at most so many connections.
fn within(protocol: Protocol, connections_max: usize) -> Protocol {
    Protocol {
        connections_max,
        // However few there are, one client does not take them all.
        address_max: protocol.address_max.min(connections_max.div_ceil(2)),
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

/// The bounds and the certificates of LMTP and IMAP.
fn passages(settings: &ServerSettings) -> [Passage; 2] {
    let shares = FileShares::of(settings.open_files);
    let lmtp = within(LMTP, shares.lmtp);
    let imap = within(IMAP, shares.imap);
    let passage = |protocol, fronts, tls: &Option<Tls>| Passage {
        gate: Arc::new(Gate::new(protocol, fronts)),
        tls: tls.clone(),
    };
    [
        passage(lmtp, vec![], &settings.lmtp_tls),
        passage(imap, settings.auth.unslowed.clone(), &settings.imap_tls),
    ]
}

/// The listeners as they begin to serve, and what they share.
struct Serving {
    engine: Engine,
    users: Arc<Users>,
    accounts: Accounts,
    budget: Budget,
    watch: Watch,
    shutdown: Shutdown,
    tasks: JoinSet<()>,
}

impl Serving {
    fn new(
        engine: Engine,
        settings: &ServerSettings,
        files: Files,
        budget: Budget,
        shutdown: Shutdown,
    ) -> Serving {
        let delimiter = &settings.lmtp.recipient_delimiter;
        let users = Users::new(engine.clone(), settings.accounts, delimiter);
        Serving {
            users: Arc::new(users.with_files(files.clone())),
            accounts: Accounts::new(engine.clone(), files, delimiter),
            engine,
            budget,
            watch: Watch::default(),
            shutdown,
            tasks: JoinSet::new(),
        }
    }

    fn listener(&mut self, name: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tasks
            .spawn(self.watch.clone().over(name, shutdown, run));
    }

    fn certificate(&mut self, tls: Option<&Tls>) {
        if let Some(tls) = tls.cloned() {
            let mut shutdown = self.shutdown.clone();
            self.tasks
                .spawn(async move { tls.keep_current(shutdown.begun()).await });
        }
    }

    fn http(&mut self, socket: http::Bounded, settings: http::Settings, doors: Doors) {
        let reports = http::Reports {
            budget: self.budget.clone(),
            watch: self.watch.clone(),
            doors,
        };
        let (engine, shutdown) = (self.engine.clone(), self.shutdown.clone());
        let accounts = self.accounts.clone();
        self.listener(
            "http",
            http::run(socket, engine, accounts, settings, reports, shutdown),
        );
    }

    fn imap(
        &mut self,
        clear: Listener,
        tls: Option<Listener>,
        passage: Passage,
        settings: &ServerSettings,
    ) -> io::Result<()> {
        let users = Arc::clone(&self.users);
        let files = FileShares::of(settings.open_files).append;
        let context = Arc::new(imap::Context {
            engine: self.engine.clone(),
            auth: Arc::new(Authenticator::new(settings.auth.clone(), users)),
            settings: imap::ImapSettings {
                hostname: settings.lmtp.hostname.clone(),
                max_message: settings.lmtp.max_message,
                memory_kib: self.budget.total_kib(),
                spool: settings.spool.clone(),
            },
            metrics: imap::Metrics::new(prometheus::default_registry())
                .map_err(io::Error::other)?,
            memory: self.budget.semaphore(),
            append_files: Arc::new(Semaphore::new(files)),
            // However few there are, one account does not take them all.
            append_files_of: Places::new(files.div_ceil(IMAP_APPEND_FILES_SHARE)),
            sessions: Places::new(IMAP_ACCOUNT_SESSIONS_MAX),
            tls: passage.tls.clone(),
            shutdown: self.shutdown.receiver(),
        });
        self.certificate(passage.tls.as_ref());
        let (gate, word) = (passage.gate, self.shutdown.clone());
        if let Some(listener) = tls {
            let context = Arc::clone(&context);
            let session = move |stream: Stream, peer: Peer| {
                imap::serve_tls(stream, Arc::clone(&context), as_client(&peer))
            };
            let run = listener.run(Arc::clone(&gate), Speaks::Tls, word.clone(), session);
            self.listener("imap in TLS", run);
        }
        let session = move |stream: Stream, peer: Peer| {
            imap::serve(stream, Arc::clone(&context), as_client(&peer))
        };
        self.listener("imap", clear.run(gate, Speaks::Clear, word, session));
        Ok(())
    }

    fn lmtp(
        &mut self,
        clear: Listener,
        tls: Option<Listener>,
        passage: Passage,
        settings: ServerSettings,
    ) {
        let store = lmtp::Store {
            engine: self.engine.clone(),
            users: Arc::clone(&self.users),
        };
        let disk = self.engine.clone();
        let spool = Spool {
            budget: self.budget.clone(),
            directory: Arc::new(settings.spool),
            room: Room::new(move || disk.room_left()),
        };
        self.certificate(passage.tls.as_ref());
        let (gate, word) = (passage.gate, self.shutdown.clone());
        let lmtp = Arc::new(Lmtp::new(settings.lmtp, store, spool, passage.tls));
        if let Some(listener) = tls {
            let (lmtp, heard) = (Arc::clone(&lmtp), word.clone());
            let session = move |stream: Stream, peer: Peer| {
                let (lmtp, heard) = (Arc::clone(&lmtp), heard.clone());
                async move { lmtp.serve_tls(stream, peer, heard).await }
            };
            let run = listener.run(Arc::clone(&gate), Speaks::Tls, word.clone(), session);
            self.listener("lmtp in TLS", run);
        }
        let heard = word.clone();
        let session = move |stream: Stream, peer: Peer| {
            let (lmtp, heard) = (Arc::clone(&lmtp), heard.clone());
            async move { lmtp.serve(stream, peer, heard).await }
        };
        self.listener("lmtp", clear.run(gate, Speaks::Clear, word, session));
    }
}

/// The other end of an IMAP connection before any handshake.
fn as_client(peer: &Peer) -> auth::Peer {
    match peer {
        Peer::Tcp { remote, local } => auth::Peer::tcp(*remote, *local, false),
        Peer::Unix => auth::Peer::unix(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_store_its_files() {
        let shares = |files| {
            let shares = FileShares::of(files);
            (shares.imap, shares.lmtp, shares.append)
        };
        assert_eq!(shares(64), (20, 4, 4));
        assert_eq!(shares(1_024), (320, 64, 64));
        assert_eq!(shares(4_096), (2_240, 448, 448));
        assert_eq!(shares(20_000), (15_052, 1_000, 2_436));
        let most = (
            IMAP_CONNECTIONS_MAX,
            LMTP.connections_max,
            IMAP_APPEND_FILES_MAX,
        );
        assert_eq!(shares(1 << 20), most);
        assert_eq!(shares(usize::MAX), most);
        for files in 64..100_000 {
            let (imap, lmtp, append) = shares(files);
            let left = files - (imap + 2 * lmtp + append);
            assert!(left >= FILES_LEFT.min(files / 2), "{files}: {left} left");
        }
    }

    #[test]
    fn http_leaves_the_store_three_quarters_of_what_connections_leave() {
        let of_http = |files| FileShares::of(files).http;
        assert_eq!([8, 200, 1_024].map(of_http), [1, 25, 128]);
        assert_eq!(of_http(usize::MAX), http::CONNECTIONS_MAX);
    }

    #[test]
    fn one_address_does_not_take_all_connections() {
        assert_eq!(within(IMAP, 320).address_max, 160);
        assert_eq!(within(IMAP, 1).address_max, 1);
        let all = within(IMAP, IMAP_CONNECTIONS_MAX).address_max;
        assert_eq!(all, IMAP_ADDRESS_CONNECTIONS_MAX);
    }
}
