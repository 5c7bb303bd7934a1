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
    let wrong = |what: String| {
        Failure::Usage(format!(
            "log.level: {what}; write off, error, warn, info, debug or trace, for a module as in info,coldpost_tiers=debug"
        ))
    };
    // To the filter a word of its own that is no level is a module, and everything else is silent.
    let words: Vec<&str> = level.split(',').map(str::trim).collect();
    let is_unknown = |word: &&&str| !word.contains(['=', '[']) && !is_level(word);
    if let Some(word) = words.iter().find(is_unknown) {
        return Err(wrong(format!("{word:?} is no level")));
    }
    EnvFilter::try_new(words.join(","))
        .map_err(|error| wrong(format!("{level:?} is no level ({error})")))
}

fn is_level(word: &str) -> bool {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    levels.iter().any(|level| word.eq_ignore_ascii_case(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "loud" was taken for a module, and the log was silent.
    #[test]
    fn only_levels_are_levels() {
        for right in [
            "info",
            "WARN",
            "off",
            "info,coldpost_tiers=debug",
            "info, coldpost=trace",
        ] {
            assert!(filter(right).is_ok(), "{right:?}");
        }
        for wrong in [
            "loud",
            "",
            "info,loud",
            "info,",
            "coldpost_tiers",
            "info,coldpost=loud",
            "3",
        ] {
            let failure = filter(wrong).expect_err(wrong);
            assert_eq!(failure.code(), 2);
            let said = failure.to_string();
            assert!(
                said.starts_with("log.level: ") && said.contains("is no level"),
                "{said}"
            );
        }
    }
}
