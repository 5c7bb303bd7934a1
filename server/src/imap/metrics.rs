//! Counters of the IMAP sessions.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// Seconds that bound the classes of the latency histogram.
const BUCKETS: [f64; 12] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

/// The counters; cheap to clone, all clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) sessions: IntGauge,
    pub(super) sessions_total: IntCounter,
    pub(super) logins_failed: IntCounter,
    commands: IntCounterVec,
    latency: HistogramVec,
}

impl Metrics {
    /// Makes the counters and hands them to `registry`.
    ///
    /// # Errors
    /// When the registry has counters of these names already.
    pub fn new(registry: &Registry) -> prometheus::Result<Metrics> {
        let metrics = Metrics {
            sessions: IntGauge::new("coldpost_imap_sessions", "IMAP sessions that are open")?,
            sessions_total: IntCounter::new(
                "coldpost_imap_sessions_total",
                "IMAP sessions since the start",
            )?,
            logins_failed: IntCounter::new(
                "coldpost_imap_logins_failed_total",
                "IMAP logins that were refused",
            )?,
            commands: IntCounterVec::new(
                Opts::new(
                    "coldpost_imap_commands_total",
                    "IMAP commands by name and answer",
                ),
                &["command", "answer"],
            )?,
            latency: HistogramVec::new(
                HistogramOpts::new(
                    "coldpost_imap_command_seconds",
                    "Time from an IMAP command to its tagged answer",
                )
                .buckets(BUCKETS.to_vec()),
                &["command"],
            )?,
        };
        registry.register(Box::new(metrics.sessions.clone()))?;
        registry.register(Box::new(metrics.sessions_total.clone()))?;
        registry.register(Box::new(metrics.logins_failed.clone()))?;
        registry.register(Box::new(metrics.commands.clone()))?;
        registry.register(Box::new(metrics.latency.clone()))?;
        Ok(metrics)
    }

    /// Counts a command that was answered. Both names come from tables of ours, so their number is bounded.
    pub(super) fn command(&self, name: &'static str, answer: &'static str, took: Duration) {
        self.commands.with_label_values(&[name, answer]).inc();
        self.latency
            .with_label_values(&[name])
            .observe(took.as_secs_f64());
    }
}
