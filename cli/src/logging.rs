//! Logs: structured, on standard error. Never mail content, never a password.
//!
//! Promises: a line that cannot be written is counted and lost; who logs never hears of it. (The subscriber's own answer is `eprintln!`,
//! which panics when standard error is what is broken: in a session, in an accept loop, on the journal's thread.)

use std::io::{self, Write};

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
        .log_internal_errors(false)
        .with_writer(|| Lossy(io::stderr()));
    let begun = match log.format.0 {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    begun.map_err(|error| Failure::Failed(format!("logging cannot begin: {error}")))
}

/// Takes every line, also those that its sink refuses: a full disk, a reader that went away.
struct Lossy<W>(W);

impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.write_all(line).is_err() {
            coldpost_server::log_line_lost();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What is lost was counted when it was written.
        let _ = self.0.flush();
        Ok(())
    }
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

    #[test]
    fn a_line_that_cannot_be_written_is_no_error() {
        let full = &mut [0; 4][..];
        let mut lossy = Lossy(full);
        assert!(lossy.write_all(b"more than there is room for").is_ok());
        assert!(lossy.flush().is_ok());
    }

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
