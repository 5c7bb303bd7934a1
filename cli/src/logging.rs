//! Logs: structured, on standard error. Never mail content, never a password.

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::failure::Failure;

/// Begins to log as `[log]` says.
///
/// # Errors
/// When `log.level` is none, or logging began already.
pub(crate) fn begin(log: &Log) -> Result<(), Failure> {
    let filter = filter(&log.level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let begun = match log.format.0 {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    begun.map_err(|error| Failure::Failed(format!("logging cannot begin: {error}")))
}

/// Reads `log.level`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(level).map_err(|error| {
        Failure::Usage(format!(
            "log.level: {level:?} is no level ({error}); write error, warn, info, debug or trace"
        ))
    })
}
