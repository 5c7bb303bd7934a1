//! A foreign process: its output in a file, stopped when dropped.
//!
//! Promises: after `stop`, `kill` or drop it is gone and waited for. It stays in our process group, so an interrupted test run takes it along.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::must::Must;
use crate::wait;

/// How long a process may take to end after SIGTERM before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// Lines of the log shown when something fails.
const LOG_LINES_SHOWN: usize = 25;

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

/// Where the standard error of a process goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stderr {
    /// Into its log.
    #[default]
    Log,
    /// To a disk that is full.
    Full,
    /// Into a pipe whose reader went away.
    Unread,
}

impl Stderr {
    fn open(self, log: &File) -> Stdio {
        match self {
            Stderr::Log => log.try_clone().must("sharing a log file").into(),
            Stderr::Full => {
                let full = File::options().write(true).open("/dev/full");
                full.must("opening /dev/full").into()
            }
            Stderr::Unread => {
                let (reader, writer) = std::io::pipe().must("a pipe");
                drop(reader);
                writer.into()
            }
        }
    }
}

/// Takes the variables of the tests (COLDPOST_LONG and the like) from a command's environment: the daemon would take them for
/// settings. What the command was given itself stays.
pub fn forget_ours(command: &mut Command) {
    let given: Vec<_> = command
        .get_envs()
        .map(|(name, _)| name.to_owned())
        .collect();
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"COLDPOST_") && !given.contains(&name) {
            command.env_remove(name);
        }
    }
}

impl Process {
    /// Starts `command`; standard output and error are appended to `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Process {
        Process::start_saying(name, command, log, Stderr::Log)
    }

    /// The same, with standard error where `stderr` says.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_saying(name: &str, command: &mut Command, log: &Path, stderr: Stderr) -> Process {
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .must("opening a log file");
        let err = stderr.open(&out);
        forget_ours(command);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().must(&format!("starting {name}"));
        Process {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            ended: None,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs still.
    pub fn alive(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().must("asking for a process's state");
        }
        self.ended.is_none()
    }

    /// Sends a signal, if it is alive.
    pub fn signal(&mut self, signal: Signal) {
        if !self.alive() {
            return;
        }
        let raw = i32::try_from(self.child.id()).must("a process id");
        let pid = Pid::from_raw(raw).must("a process id that is not 0");
        kill_process(pid, signal).must(&format!("signalling {}", self.name));
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(&mut self) {
        if self.alive() {
            self.child.kill().must(&format!("killing {}", self.name));
            self.ended = Some(
                self.child
                    .wait()
                    .must(&format!("waiting for {}", self.name)),
            );
        }
    }

    /// SIGTERM, and waits for its end; gives how it ended, none when it had to be killed.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        if wait::try_until(STOP_WITHIN, || !self.alive()) {
            return self.ended;
        }
        self.kill();
        None
    }

    /// Waits until `ready`; panics with the log's end when the process dies first or the time is over.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, at_most: Duration, mut ready: impl FnMut() -> bool) {
        let mut dead = false;
        let came = wait::try_until(at_most, || {
            if ready() {
                return true;
            }
            dead = !self.alive();
            dead
        });
        if dead {
            panic!(
                "{} ended ({:?}) before: {what}\n{}",
                self.name,
                self.ended,
                self.log_end()
            );
        }
        if !came {
            panic!(
                "{} took over {} s for: {what}\n{}",
                self.name,
                at_most.as_secs(),
                self.log_end()
            );
        }
    }

    /// The last lines of its output.
    pub fn log_end(&self) -> String {
        log_end(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- {}, last lines of its log\n{}",
                self.name,
                self.log_end()
            );
        }
        self.stop();
    }
}

/// The last lines of a log file; what cannot be read is named instead.
pub fn log_end(log: &Path) -> String {
    match fs::read(log) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
        }
        Err(error) => format!("({}: {error})", log.display()),
    }
}

/// Runs a command to its end; panics with its output unless it succeeds. Gives standard output.
#[track_caller]
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().must(&format!("running {command:?}"));
    if !output.status.success() {
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        panic!("{command:?} ended with {}\n{out}\n{err}", output.status);
    }
    output.stdout
}
