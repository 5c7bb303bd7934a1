//! The commands, a file each.

mod account;
mod bulk;
mod cold;
mod compact;
mod config;
mod gc;
mod index;
mod search;
mod serve;
mod snapshot;
mod status;
mod verify;

use std::process::ExitCode;

use crate::args::{self, Args, Command};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::Output;

/// Reads the settings and does what was asked.
///
/// # Errors
/// Why it failed; the exit code is the failure's.
pub(crate) fn run(args: &Args, output: &Output) -> Result<ExitCode, Failure> {
    let config = Config::load(
        args.config.as_deref(),
        std::env::vars_os(),
        args.data.as_deref(),
    )?;
    let checked = config.check()?;
    match &args.command {
        Command::Serve => serve::run(&config, checked, *output)?,
        Command::Status => status::run(&checked, *output)?,
        Command::Account(what) => account::run(&checked, what, *output)?,
        Command::Verify { bucket, repair } => {
            let what = match (bucket, repair) {
                (false, _) => verify::What::Contents,
                (true, false) => verify::What::Bucket,
                (true, true) => verify::What::Repair,
            };
            return verify::run(&checked, what, *output);
        }
        Command::Gc { apply } => return gc::run(&checked, *apply, *output),
        Command::Search(asked) => return search::run(&checked, asked, *output),
        Command::Index(what) => return index::run(&checked, what, *output),
        Command::Compact => compact::run(&checked, *output)?,
        Command::Cold(what) => return cold::run(&checked, what, *output),
        Command::Snapshot(what) => snapshot::run(&checked, what, *output)?,
        Command::Config(args::Config::Show) => config::show(&config, *output)?,
    }
    Ok(ExitCode::SUCCESS)
}
