//! `coldpost`, the one binary: what was typed, the settings, a command, an exit code.
//!
//! Exit codes: 0 done; 1 failed, or `verify` found no damage but could not look at everything; 2 wrong arguments or settings;
//! 3 `verify` found damage.

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

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use output::Output;

fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output::new(args.json);
    match command::run(&args, &output) {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}
