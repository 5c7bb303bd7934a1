//! The daemon under test: the real binary on a data directory of its own, all listeners on ports of the kernel's choice.
//!
//! Promises: `start` returns when it is ready; the data directory outlives `kill` and `stop` and goes with the value.
//! Never: reads the data directory's formats; it knows `listen.json`, `dev-password` and `http-token`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::http;
use crate::imap::Imap;
use crate::lmtp::Lmtp;
use crate::must::Must;
use crate::place;
use crate::process::{Process, Stderr};

/// How long a start may take before the test gives up (what it should take is a test's business).
const START_WITHIN: Duration = Duration::from_secs(60);

/// How a daemon is started.
#[derive(Clone, Debug)]
pub struct Options {
    binary: PathBuf,
    data: Option<PathBuf>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    settings: BTreeMap<String, BTreeMap<String, String>>,
    stderr: Stderr,
}

impl Options {
    /// `binary` is `env!("CARGO_BIN_EXE_coldpost")` in a test.
    pub fn new(binary: impl Into<PathBuf>) -> Options {
        let mut options = Options {
            binary: binary.into(),
            data: None,
            arguments: vec![],
            environment: vec![],
            settings: BTreeMap::new(),
            stderr: Stderr::Log,
        };
        for section in ["lmtp", "imap", "http"] {
            options = options.text(section, "listen", "127.0.0.1:0");
        }
        options
    }

    /// A setting whose value is a string.
    pub fn text(self, section: &str, key: &str, value: &str) -> Options {
        self.raw(section, key, &format!("{value:?}"))
    }

    /// A setting whose value is written as TOML.
    pub fn raw(mut self, section: &str, key: &str, toml: &str) -> Options {
        self.settings
            .entry(section.to_owned())
            .or_default()
            .insert(key.to_owned(), toml.to_owned());
        self
    }

    /// One more argument of `serve`.
    pub fn argument(mut self, argument: &str) -> Options {
        self.arguments.push(argument.to_owned());
        self
    }

    /// One more variable of its environment.
    pub fn environment(mut self, name: &str, value: &str) -> Options {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where its log goes.
    pub fn stderr(mut self, stderr: Stderr) -> Options {
        self.stderr = stderr;
        self
    }

    /// A data directory of the caller's, which is kept; otherwise it is a scratch one.
    pub fn data(mut self, dir: &Path) -> Options {
        self.data = Some(dir.to_owned());
        self
    }

    fn toml(&self) -> String {
        let mut text = String::new();
        for (section, keys) in &self.settings {
            let _ = writeln!(text, "[{section}]");
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }
}

/// A running (or killed) daemon.
#[derive(Debug)]
pub struct Daemon {
    options: Options,
    process: Option<Process>,
    data: PathBuf,
    scratch: TempDir,
    listen: serde_json::Value,
    started_in: Duration,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// With the end of its log when it dies or is not ready within a minute.
    pub fn start(options: Options) -> Daemon {
        let scratch = place::scratch("daemon");
        let data = options
            .data
            .clone()
            .unwrap_or_else(|| scratch.path().join("data"));
        let mut daemon = Daemon {
            options,
            process: None,
            data,
            scratch,
            listen: serde_json::Value::Null,
            started_in: Duration::ZERO,
        };
        daemon.restart();
        daemon
    }

    /// Starts it again on the same data (stopping it first if it runs).
    pub fn restart(&mut self) {
        self.stop();
        let config = self.config_file();
        fs::write(&config, self.options.toml()).must("writing coldpost.toml");
        let ready = self.data.join("listen.json");
        let _ = fs::remove_file(&ready);
        let mut command = self.command("serve");
        command.args(&self.options.arguments);
        let start = Instant::now();
        let (log, stderr) = (self.log_file(), self.options.stderr);
        let mut process = Process::start_saying("coldpost serve", &mut command, &log, stderr);
        let mut listen = serde_json::Value::Null;
        process.wait_until("listen.json", START_WITHIN, || {
            let parsed = fs::read(&ready)
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let Some(value) = parsed else { return false };
            listen = value;
            true
        });
        self.started_in = start.elapsed();
        self.listen = listen;
        self.process = Some(process);
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM, and waits; none when it did not run or had to be killed.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.process.take().and_then(|mut process| process.stop())
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) {
        if let Some(process) = &mut self.process {
            process.signal(signal);
        }
    }

    /// Whether it runs.
    pub fn alive(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::alive)
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.process
            .as_ref()
            .must("the process id of a daemon that does not run")
            .pid()
    }

    /// From exec to ready, at the last start.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// The config file it was started with.
    pub fn config_file(&self) -> PathBuf {
        self.scratch.path().join("coldpost.toml")
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Changes a setting for the next `restart`.
    pub fn reconfigure(&mut self, change: impl FnOnce(Options) -> Options) {
        self.options = change(self.options.clone());
    }

    /// A command of the binary, with `--config` and `--data` of this daemon.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.options.binary);
        command
            .arg(name)
            .arg("--config")
            .arg(self.config_file())
            .arg("--data")
            .arg(&self.data);
        crate::process::forget_ours(&mut command);
        command
            .env_remove("RUST_LOG")
            .envs(self.options.environment.iter().cloned());
        command
    }

    /// Where LMTP listens (TCP).
    pub fn lmtp_addr(&self) -> SocketAddr {
        self.addr("lmtp")
    }

    /// Where IMAP listens.
    pub fn imap_addr(&self) -> SocketAddr {
        self.addr("imap")
    }

    /// Where IMAP in TLS listens.
    pub fn imap_tls_addr(&self) -> SocketAddr {
        self.addr("imap_tls")
    }

    /// Where LMTP in TLS listens.
    pub fn lmtp_tls_addr(&self) -> SocketAddr {
        self.addr("lmtp_tls")
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.addr("http")
    }

    /// The development password.
    pub fn password(&self) -> String {
        self.secret("dev-password")
    }

    /// The token of the HTTP interface.
    pub fn token(&self) -> String {
        self.secret("http-token")
    }

    /// An IMAP session that is logged in.
    pub fn imap(&self, user: &str) -> Imap {
        Imap::login(self.imap_addr(), user, &self.password())
    }

    /// An LMTP session after LHLO.
    pub fn lmtp(&self) -> Lmtp {
        Lmtp::connect(self.lmtp_addr())
    }

    /// The sum over all label sets of a metric, if it is there.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let reply = http::get(self.http_addr(), "/metrics", None).must("asking for /metrics");
        http::metric(&reply.text(), name)
    }

    fn addr(&self, key: &str) -> SocketAddr {
        let text = self
            .listen
            .get(key)
            .and_then(|value| value.as_str())
            .must(&format!("listen.json has no {key}"));
        text.parse()
            .must(&format!("the address of {key} in listen.json ({text})"))
    }

    fn secret(&self, file: &str) -> String {
        fs::read_to_string(self.data.join(file))
            .must(&format!("reading {file}"))
            .trim()
            .to_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.scratch.path().join("log")
    }
}
