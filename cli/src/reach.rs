//! How a command reaches a store: through its running daemon, or on the stopped data.
//!
//! Never: shows the token to anybody but the process that wrote `listen.json`.

use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use coldpost_engine::Engine;
use coldpost_engine::settings::Settings;
use coldpost_server::http::INSTANCE;
use coldpost_server::http::wire::Failure as Told;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use crate::config::Checked;
use crate::failure::Failure;
use crate::listening::Listening;
use crate::place;
use crate::secret;

/// Time in which a daemon has to answer that it lives.
const ALIVE: Duration = Duration::from_secs(2);
/// Time in which it has to answer anything else but a verification.
const ANSWER: Duration = Duration::from_secs(60);
/// Octets of a line of a verification.
const LINE_MAX: u64 = 1 << 30;

/// A store that a command works on.
pub(crate) enum Reach {
    /// Its daemon.
    Running(Daemon),
    /// Its data directory, which nobody serves.
    Stopped,
}

impl Reach {
    /// Looks for the daemon of `checked`'s data directory.
    ///
    /// # Errors
    /// When a daemon has the directory and does not answer; when it answers but its token cannot be read.
    pub(crate) fn find(checked: &Checked) -> Result<Reach, Failure> {
        let data = &checked.engine.data;
        let Some(listening) = Listening::read(data) else {
            return Ok(Reach::Stopped);
        };
        let base = format!("http://{}", Listening::reachable(&listening.http));
        let answer = agent(Some(ALIVE)).get(format!("{base}/healthz")).call();
        let instance = |answer: &ureq::http::Response<ureq::Body>| {
            let value = answer.headers().get(INSTANCE)?;
            Some(value.as_bytes() == listening.instance.as_bytes())
        };
        match answer {
            Ok(answer) if instance(&answer) == Some(true) => {}
            Err(ureq::Error::Timeout(_)) if is_locked(data) => {
                return Err(silent(data, &listening));
            }
            _ => return Ok(Reach::Stopped),
        }
        let token = match &checked.http_token {
            Some(token) => token.clone(),
            None => secret::read(data, secret::HTTP_TOKEN)?.ok_or_else(|| {
                Failure::Failed(format!(
                    "{} has no {}; give http.token",
                    data.display(),
                    secret::HTTP_TOKEN
                ))
            })?,
        };
        Ok(Reach::Running(Daemon { base, token }))
    }
}

/// Whether a process has the data directory.
fn is_locked(data: &Path) -> bool {
    let lock = File::open(data.join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// A daemon that lives but does not answer.
fn silent(data: &Path, listening: &Listening) -> Failure {
    Failure::Failed(format!(
        "the daemon of {} (process {}) does not answer at {} within {} s: try again; when it stays so, look at its log and restart it",
        data.display(),
        listening.pid,
        listening.http,
        ALIVE.as_secs()
    ))
}

/// Opens the stopped store for one command, and closes it again.
///
/// # Errors
/// When there is no store; when another process has it; those of the engine and of `work`.
pub(crate) fn with_engine<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&Engine) -> Result<T, Failure>,
) -> Result<T, Failure> {
    runtime()?.block_on(async {
        place::make(settings)?;
        let engine = Engine::open_for_command(settings.clone()).await?;
        let result = work(&engine).await;
        engine.close().await;
        result
    })
}

/// Refuses a directory in which there is no store: only `serve` makes one. What is left of one is the engine's to judge.
///
/// # Errors
/// When there is no directory, or no store in it.
pub(crate) fn must_exist(data: &Path) -> Result<(), Failure> {
    let parts = ["store", "shards"];
    if parts.iter().any(|part| data.join(part).exists()) {
        return Ok(());
    }
    let data = data.display();
    Err(Failure::Failed(format!(
        "no store in {data}: name its directory with --data, or begin one with coldpost serve --data {data}"
    )))
}

/// The runtime that the engine needs.
///
/// # Errors
/// When the system gives no threads.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().map_err(|error| Failure::of("no threads", &error))
}

/// A running daemon.
pub(crate) struct Daemon {
    base: String,
    token: String,
}

impl Daemon {
    /// GET of `path`.
    ///
    /// # Errors
    /// What the daemon says, or that it does not answer.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let request = agent(Some(ANSWER))
            .get(format!("{}{path}", self.base))
            .query_pairs(query.iter().copied());
        let answer = request
            .header("authorization", format!("Bearer {}", self.token))
            .call();
        self.read(answer?)
    }

    /// POST of `body` to `path`.
    ///
    /// # Errors
    /// What the daemon says, or that it does not answer.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = agent(Some(ANSWER)).post(format!("{}{path}", self.base));
        let answer = request
            .header("authorization", format!("Bearer {}", self.token))
            .send_json(body);
        self.read(answer?)
    }

    /// POST to `path`, answered when it is done, however long that takes; what says how far it came is an answer, failed or not.
    ///
    /// # Errors
    /// What else the daemon says, or that it does not answer.
    pub(crate) fn post_patiently<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = agent(None).post(format!("{}{path}", self.base));
        let mut answer = request
            .header("authorization", format!("Bearer {}", self.token))
            .send_empty()?;
        let (status, text) = (answer.status(), answer.body_mut().read_to_string()?);
        match serde_json::from_str(&text) {
            Ok(told) => Ok(told),
            Err(_) if !status.is_success() => Err(self.refused(status, &text)),
            Err(error) => Err(not_understood(&error)),
        }
    }

    /// POST to `path`, answered line by line for as long as it takes; empty lines are left out.
    ///
    /// # Errors
    /// What the daemon says, that it does not answer or breaks off.
    pub(crate) fn lines<T: DeserializeOwned>(
        &self,
        path: &str,
        each: impl FnMut(T),
    ) -> Result<(), Failure> {
        let request = agent(None).post(format!("{}{path}", self.base));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        self.each_line(request.send_empty()?, each)
    }

    /// POST of `body` to `path`, answered line by line for as long as it takes; empty lines are left out.
    ///
    /// # Errors
    /// As [`Daemon::lines`].
    pub(crate) fn lines_of<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        each: impl FnMut(T),
    ) -> Result<(), Failure> {
        let request = agent(None).post(format!("{}{path}", self.base));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        self.each_line(request.send_json(body)?, each)
    }

    fn each_line<T: DeserializeOwned>(
        &self,
        mut answer: ureq::http::Response<ureq::Body>,
        mut each: impl FnMut(T),
    ) -> Result<(), Failure> {
        if !answer.status().is_success() {
            return self.read(answer);
        }
        let reader = BufReader::new(answer.body_mut().with_config().limit(LINE_MAX).reader());
        for line in reader.lines() {
            let line = line.map_err(|error| Failure::of("the daemon broke off", &error))?;
            if !line.is_empty() {
                each(serde_json::from_str(&line).map_err(|error| not_understood(&error))?);
            }
        }
        Ok(())
    }

    fn read<T: DeserializeOwned>(
        &self,
        mut answer: ureq::http::Response<ureq::Body>,
    ) -> Result<T, Failure> {
        let status = answer.status();
        let text = answer.body_mut().read_to_string()?;
        if status.is_success() {
            return serde_json::from_str(&text).map_err(|error| not_understood(&error));
        }
        Err(self.refused(status, &text))
    }

    /// Why it did not do it.
    fn refused(&self, status: ureq::http::StatusCode, text: &str) -> Failure {
        let told = serde_json::from_str::<Told>(text).map(|told| told.error);
        let silent = |_| format!("the daemon at {} answers {status}", self.base);
        Failure::Failed(told.unwrap_or_else(silent))
    }
}

fn not_understood(error: &serde_json::Error) -> Failure {
    Failure::of("the daemon's answer is not understood", error)
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Failure {
        Failure::of(
            "the daemon does not answer (try again; when it stays so, look at its log and restart it)",
            &error,
        )
    }
}

/// Asks our own daemon, whatever proxy the environment names: it would see the token.
fn agent(timeout: Option<Duration>) -> ureq::Agent {
    ureq::Agent::config_builder()
        .proxy(None)
        .timeout_global(timeout)
        .http_status_as_error(false)
        .build()
        .new_agent()
}
