//! A server without sockets for the dialogues: a real engine in a temporary directory, connections as pipes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coldpost_engine::Engine;
use coldpost_engine::account::AccountName;
use coldpost_engine::settings::{ColdSettings, MinFree, Settings};
use coldpost_server::auth::{AccountPolicy, AuthSettings, Authenticator, Password, Peer, Users};
use coldpost_server::imap::{Context, ImapSettings, Metrics, serve};
use coldpost_server::places::Places;
use tokio::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf,
};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// How long a line is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Octets of a message that APPEND takes here.
const MAX_MESSAGE: u64 = 100_000;
/// KiB of messages in flight.
pub(crate) const MEMORY_KIB: u32 = 1024;

/// How a server is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Bodies stay on local disk when they are in the store.
    pub(crate) keep_local: bool,
    /// Who may log in.
    pub(crate) accounts: AccountPolicy,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            keep_local: true,
            accounts: AccountPolicy::Create,
        }
    }
}

/// Where the dialogues are.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues")
}

/// A message of `dialogues/messages` with its lines ended by CRLF.
pub(crate) fn message(name: &str) -> Vec<u8> {
    let path = directory().join("messages").join(format!("{name}.eml"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace('\n', "\r\n").into_bytes()
}

/// The first position that any segment of the mail shard's journal holds on local disk.
fn first_local_position(data: &Path) -> u64 {
    let journal =
        std::fs::read_dir(data.join("shards/0001/journal")).expect("the journal is there");
    let names = journal
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    // EPOCH-POSITION.open or .seg, in hexadecimal digits.
    let first = |name: String| u64::from_str_radix(name.split(['-', '.']).nth(1)?, 16).ok();
    names
        .filter_map(first)
        .min()
        .expect("one segment is always open")
}

/// A server without sockets.
pub(crate) struct Server {
    /// The store.
    pub(crate) engine: Engine,
    /// What its sessions share.
    pub(crate) ctx: Arc<Context>,
    stop: watch::Sender<bool>,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts on an empty directory.
    pub(crate) async fn start(setup: Setup) -> Server {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let engine = Engine::open(settings(directory.path(), setup.keep_local))
            .await
            .expect("an empty directory can be opened");
        let users = Arc::new(Users::new(engine.clone(), setup.accounts, "+"));
        let auth = AuthSettings {
            dev_password: Password::new("sesame"),
            backend_password: Password::new("backend"),
            unslowed: Vec::new(),
        };
        let (stop, shutdown) = watch::channel(false);
        let spool = directory.path().join("spool");
        std::fs::create_dir_all(&spool).expect("the temporary directory is writable");
        let ctx = Arc::new(Context {
            engine: engine.clone(),
            auth: Arc::new(Authenticator::new(auth, users)),
            settings: ImapSettings {
                hostname: "test".to_owned(),
                max_message: MAX_MESSAGE,
                memory_kib: MEMORY_KIB,
                spool,
            },
            metrics: Metrics::new(&prometheus::Registry::new()).expect("a fresh registry"),
            memory: Arc::new(Semaphore::new(1024)),
            append_files: Arc::new(Semaphore::new(100)),
            append_files_of: Places::new(100),
            sessions: Places::new(1_000),
            tls: None,
            shutdown,
        });
        Server {
            engine,
            ctx,
            stop,
            directory,
        }
    }

    /// A connection over a unix socket, as it were.
    pub(crate) fn connect(&self) -> Connection {
        self.connect_as(Peer::unix(), 4096)
    }

    /// A connection of `peer` through a pipe that holds `pipe` bytes.
    pub(crate) fn connect_as(&self, peer: Peer, pipe: usize) -> Connection {
        let (near, far) = tokio::io::duplex(pipe);
        tokio::spawn(serve(far, Arc::clone(&self.ctx), peer));
        let (reader, writer) = tokio::io::split(near);
        Connection {
            reader: BufReader::new(reader),
            writer,
        }
    }

    /// Says that the daemon stops.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until what was delivered so far is in the store and on no local disk, and takes the store away.
    pub(crate) async fn take_store_away(&self) -> Result<(), String> {
        let (data, cold) = (
            self.directory.path().join("data"),
            self.directory.path().join("cold"),
        );
        let figures = self.engine.health().figures;
        let applied = figures.iter().find(|(name, _)| name == "shard 1 applied");
        let applied: u64 = applied
            .and_then(|(_, value)| value.parse().ok())
            .ok_or("no such figure")?;
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut look = tokio::time::interval(Duration::from_millis(20));
        while first_local_position(&data) <= applied {
            if tokio::time::Instant::now() > until {
                return Err(format!("bodies are still on local disk after {PATIENCE:?}"));
            }
            look.tick().await;
        }
        std::fs::rename(&cold, cold.with_extension("away")).map_err(|error| error.to_string())
    }

    /// Brings it back.
    pub(crate) fn bring_store_back(&self) -> Result<(), String> {
        let cold = self.directory.path().join("cold");
        if cold.exists() {
            std::fs::remove_dir_all(&cold).map_err(|error| error.to_string())?;
        }
        std::fs::rename(cold.with_extension("away"), &cold).map_err(|error| error.to_string())
    }

    /// Delivers a message of `messages` to an account, which is made when it is not there.
    pub(crate) async fn deliver(&self, user: &str, name: &str) {
        let user = AccountName::normalise(user).expect("a good name");
        let account = self
            .engine
            .open_account(&user)
            .await
            .expect("accounts can be made");
        let delivered = self
            .engine
            .deliver(Bytes::from(message(name)), &[(account, None)])
            .await;
        delivered.expect("mail is taken");
    }
}

fn settings(data: &Path, keep_local: bool) -> Settings {
    Settings {
        data: data.join("data"),
        cold: ColdSettings {
            url: format!("file://{}", data.join("cold").display()),
            ..ColdSettings::default()
        },
        segment_size: 8 << 20,
        shards: 1,
        hot_cache: 16 << 20,
        frames_cache: if keep_local { 16 << 20 } else { 0 },
        words: true,
        local_bodies: if keep_local { 1 << 30 } else { 0 },
        min_free: MinFree::Bytes(0),
        mail_memory: 16 << 20,
        attachment_threshold: 64 << 10,
        dedup: Default::default(),
        cut_age: Duration::from_secs(if keep_local { 3600 } else { 0 }),
        retention: Duration::from_secs(14 * 86_400),
        grace: Duration::from_secs(86_400),
        segment_age: Duration::from_secs(30 * 86_400),
        autocreate: Vec::new(),
    }
}

/// The client's end of a connection.
pub(crate) struct Connection {
    reader: BufReader<ReadHalf<DuplexStream>>,
    writer: WriteHalf<DuplexStream>,
}

impl Connection {
    /// The next line without its CRLF, each octet a character.
    pub(crate) async fn line(&mut self) -> Result<String, String> {
        line(&mut self.reader).await
    }

    /// The next octets, as they are.
    pub(crate) async fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        let read = timeout(PATIENCE, self.reader.read_exact(&mut octets)).await;
        read.expect("they come in time").expect("they come");
        octets
    }

    /// Sends what a client says; a server that has closed hears nothing.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.writer.write_all(bytes).await;
    }

    /// Sends and, at the same time, takes lines up to one that begins with `end`.
    pub(crate) async fn exchange(&mut self, bytes: &[u8], end: &str) -> String {
        let (lines, _) = tokio::join!(until(&mut self.reader, end), self.writer.write_all(bytes));
        lines
    }
}

async fn line(reader: &mut BufReader<ReadHalf<DuplexStream>>) -> Result<String, String> {
    let mut line = Vec::new();
    match timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await {
        Err(_) => Err(format!("nothing came for {PATIENCE:?}")),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(0)) => Err("the server closed the connection".to_owned()),
        Ok(Ok(_)) => {
            let line: String = line.iter().map(|octet| char::from(*octet)).collect();
            let whole = line.strip_suffix("\r\n");
            Ok(whole.map_or_else(|| format!("{line:?} without CRLF"), str::to_owned))
        }
    }
}

async fn until(reader: &mut BufReader<ReadHalf<DuplexStream>>, end: &str) -> String {
    let mut lines = String::new();
    loop {
        match line(reader).await {
            Ok(line) => {
                lines.push_str(&line);
                lines.push('\n');
                if line.starts_with(end) {
                    return lines;
                }
            }
            Err(problem) => panic!("{end:?} was expected: {problem}\n{lines}"),
        }
    }
}
