//! What an operator types, and what the daemon says of its requests to the store.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coldpost_testkit::{Daemon, Must, http, wait};

/// Between two looks whether a command is to be ended.
const LOOK: Duration = Duration::from_millis(10);

/// Runs commands in turns until it is told to stop, which breaks off the one that runs.
///
/// # Panics
/// When one fails.
pub(crate) fn again_and_again(daemon: &Daemon, turns: &[&[&str]], stop: &AtomicBool) {
    let is_over = || stop.load(Ordering::Relaxed);
    for words in turns.iter().cycle().take_while(|_| !is_over()) {
        let (first, rest) = words.split_first().must("a command");
        let mut command = daemon.command(first);
        command.args(rest).stdout(Stdio::null());
        let mut running = command.spawn().must("starting a command");
        let status = loop {
            match running.try_wait().must("waiting for a command") {
                Some(status) => break Some(status),
                None if is_over() => {
                    running.kill().must("ending a command");
                    running.wait().must("waiting for a command's end");
                    break None;
                }
                None => wait::pause(LOOK),
            }
        };
        let is_done = status.is_none_or(|status| status.success());
        assert!(is_done, "coldpost {words:?}: {status:?}");
    }
}

/// What took over 50 ms since the daemon's start: where a pause comes from.
pub(crate) fn slow_ones(daemon: &Daemon) -> String {
    let reply = http::get(daemon.http_addr(), "/metrics", None).must("asking for /metrics");
    let text = reply.text();
    let [applied, batches, durable] = [
        "coldpost_apply_seconds",
        "coldpost_journal_batch_seconds",
        "coldpost_hot_durable_seconds",
    ]
    .map(|name| {
        let lines = || text.lines().filter(|line| line.starts_with(name));
        let value = |part: &str| {
            let line = lines().find(|line| line.contains(part));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            value.must(&format!("{name}{part} in /metrics"))
        };
        let all = value("_count");
        format!("{} of {all}", all - value("_bucket{le=\"0.05\"}"))
    });
    format!(
        "over 50 ms so far: {applied} transactions, {batches} batches of the journal, {durable} durable commits"
    )
}

/// What was asked of the store.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Requests {
    /// By kind.
    pub(crate) kinds: BTreeMap<String, f64>,
    /// Bytes of bodies that came.
    pub(crate) received: f64,
    /// Bytes of bodies that went.
    pub(crate) sent: f64,
}

impl Requests {
    /// All since the daemon's start.
    pub(crate) fn of(daemon: &Daemon) -> Requests {
        let reply = http::get(daemon.http_addr(), "/metrics", None).must("asking for /metrics");
        Requests::read(&reply.text())
    }

    fn read(metrics: &str) -> Requests {
        let mut requests = Requests::default();
        for line in metrics.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let value: f64 = value.parse().unwrap_or(0.0);
            if name.starts_with("coldpost_cold_requests_total{") {
                let kind = label(name, "kind").must("the kind of a request");
                *requests.kinds.entry(kind).or_default() += value;
            } else if name.starts_with("coldpost_cold_bytes_total{") {
                match label(name, "direction").as_deref() {
                    Some("in") => requests.received += value,
                    _ => requests.sent += value,
                }
            }
        }
        requests
    }

    /// What was asked since `before`.
    pub(crate) fn since(mut self, before: &Requests) -> Requests {
        for (kind, count) in &mut self.kinds {
            *count -= before.kinds.get(kind).copied().unwrap_or(0.0);
        }
        self.kinds.retain(|_, count| *count > 0.0);
        self.received -= before.received;
        self.sent -= before.sent;
        self
    }

    /// How many.
    pub(crate) fn count(&self) -> f64 {
        self.kinds.values().sum()
    }

    /// Each kind with its number.
    pub(crate) fn words(&self) -> String {
        let kinds = self.kinds.iter();
        let words: Vec<String> = kinds
            .map(|(kind, count)| format!("{count:.0} {kind}"))
            .collect();
        match words.is_empty() {
            true => "none".to_owned(),
            false => words.join(", "),
        }
    }
}

/// The value of a label in a line of metrics.
fn label(line: &str, name: &str) -> Option<String> {
    let (_, rest) = line.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_kind_whoever_asked() {
        let before = "coldpost_cold_requests_total{caller=\"read\",kind=\"get\"} 2\n";
        let now = "# HELP coldpost_cold_requests_total Requests.\n\
            coldpost_cold_requests_total{caller=\"compact\",kind=\"get\"} 1\n\
            coldpost_cold_requests_total{caller=\"read\",kind=\"get\"} 4\n\
            coldpost_cold_requests_total{caller=\"upload\",kind=\"put\"} 5\n\
            coldpost_cold_bytes_total{caller=\"read\",direction=\"in\"} 70\n\
            coldpost_cold_bytes_total{caller=\"upload\",direction=\"out\"} 11\n";
        let since = Requests::read(now).since(&Requests::read(before));
        assert_eq!(
            (since.words().as_str(), since.count()),
            ("3 get, 5 put", 8.0)
        );
        assert_eq!((since.received, since.sent), (70.0, 11.0));
    }
}
