//! `coldpost`, all but its `main`: what was typed, the settings, a command, an exit code.
//!
//! Exit codes: 0 done; 1 failed, or `verify` found no damage but could not look at everything; 2 wrong arguments or settings;
//! 3 `verify` found damage.

mod allocator;
mod args;
mod command;
mod config;
mod failure;
mod listening;
mod logging;
mod output;
mod place;
mod progress;
mod reach;
mod secret;
mod systemd;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use config::Config;
use failure::Failure;
use output::{Output, unless_nobody_reads};

/// Does what was typed.
pub fn run() -> ExitCode {
    allocator::bound();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(said) => return help(&said),
    };
    let output = Output::new(args.json);
    match command::run(&args, &output) {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}

/// Reads `text` as coldpost.toml, nothing else given, and checks it: what every start does first.
///
/// # Errors
/// What is wrong, in the words that the operator reads.
pub fn check_settings(text: &str) -> Result<(), String> {
    let file = Some(("coldpost.toml", text));
    let checked = Config::read(file, [], None).and_then(|config| config.check());
    checked.map(drop).map_err(|failure| failure.to_string())
}

/// What the parser says itself: help, the version, what is wrong with the arguments.
fn help(said: &clap::Error) -> ExitCode {
    let written = unless_nobody_reads(said.print());
    match written {
        _ if said.use_stderr() => ExitCode::from(2),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::of("standard output cannot be written", &error);
            Output::new(false).failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}
