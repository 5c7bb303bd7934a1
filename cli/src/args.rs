//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A tiered mail store: metadata hot on local disk, bodies cold in object storage.
#[derive(Debug, Parser)]
#[command(
    name = "coldpost",
    version,
    after_help = "Exit codes: 0 done, 1 failed (or not everything could be verified), 2 wrong arguments or settings, 3 damage found."
)]
pub(crate) struct Args {
    /// Settings file (TOML); every key can also be set as COLDPOST_<SECTION>__<KEY>
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data directory, before what the settings say [default: ./coldpost-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take and serve mail until SIGTERM or SIGINT
    Serve,
    /// Say how the store is
    Status,
    /// Add and list accounts
    #[command(subcommand)]
    Account(Account),
    /// Read everything and compare it with its checksums; damage gives exit code 3, what could not be read gives 1
    Verify,
    /// Look at the settings
    #[command(subcommand)]
    Config(Config),
}

/// `coldpost account`
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Make an account (one that is there already is left as it is)
    Add {
        /// Its name: an address such as anna@example.org
        name: String,
    },
    /// List all accounts
    List,
}

/// `coldpost config`
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show every setting as file, environment and arguments give it; secrets are hidden
    Show,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_options_may_stand_before_and_after_the_command() {
        for line in [
            "coldpost --json --data d account list",
            "coldpost account list --data d --json",
        ] {
            let args = Args::try_parse_from(line.split(' ')).expect("right");
            assert!(args.json && args.data == Some(PathBuf::from("d")), "{line}");
        }
    }
}
