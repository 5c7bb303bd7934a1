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

/// What is searched, and how it is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Search {
    /// Whose mail; without it, of all accounts
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// Show at most so many messages of each mailbox, the newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// Look for words, also such as are spelled nearly so, and show the best messages of all mailboxes first
    #[arg(long)]
    pub(crate) ranked: bool,
    /// Do not read mail for the words around hits
    #[arg(long)]
    pub(crate) no_excerpts: bool,
    /// Say how the query is answered, and what each mailbox took
    #[arg(long)]
    pub(crate) explain: bool,
    /// The query: words are put together with a blank between them (docs/search.md has the language)
    #[arg(required = true, value_name = "QUERY")]
    pub(crate) query: Vec<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take and serve mail until SIGTERM or SIGINT
    Serve,
    /// Say how the store is
    Status,
    /// Add, list, rename and delete accounts; give them passwords
    #[command(subcommand)]
    Account(Account),
    /// Read everything and compare it with its checksums; damage gives exit code 3, what could not be read gives 1
    Verify {
        /// Instead, list the object store (each copy of it) and compare that with what is referred to, both ways, by presence and size
        #[arg(long)]
        bucket: bool,
        /// Then read every object of each copy, and put again what is missing or damaged, from the other copy or a local file
        #[arg(long, requires = "bucket")]
        repair: bool,
    },
    /// Say which messages match a query, with the words around the hit: coldpost search 'from "@example.org" or body "Rechnung 17"'
    Search(Search),
    /// Rewrite what was delivered into small objects that are cheap to keep; the daemon does it by itself later
    Compact,
    /// Delete what nobody needs any more; without --apply only say what, how many bytes and why
    Gc {
        /// Do it
        #[arg(long)]
        apply: bool,
    },
    /// Check the object store, and print what its key must be allowed
    #[command(subcommand)]
    Cold(Cold),
    /// Take snapshots of the metadata into the object store, and list them
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Look at the index of text and words, read it through, or make it again
    #[command(subcommand)]
    Index(Index),
    /// Look at the settings
    #[command(subcommand)]
    Config(Config),
}

/// What is done about the index of text and words.
#[derive(Debug, Subcommand)]
pub(crate) enum Index {
    /// Say how it is
    Status,
    /// Make all of it again out of mail; searches go on, and read mail themselves meanwhile
    Rebuild,
    /// Read all of it and compare it with its checksums and with what messages there are; damage gives exit code 3
    Check,
}

/// `coldpost account`
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Make an account (one that is there already is left as it is, with the password that it has)
    Add {
        /// Its name: an address such as anna@example.org
        #[arg(required_unless_present = "stdin", conflicts_with = "stdin")]
        name: Option<String>,
        /// Ask for a password of its own (without a terminal it is read as a line of standard input)
        #[arg(long, conflicts_with = "stdin")]
        password: bool,
        /// Read accounts from standard input, a line each: NAME, NAME:PASSWORD or NAME:{SCHEME}HASH
        #[arg(long)]
        stdin: bool,
    },
    /// List all accounts with their messages and bytes
    List,
    /// Give an account a password, or another one
    Password {
        /// Its name
        name: String,
    },
    /// Give an account another name; mail, password and open sessions stay
    Rename {
        /// Its name
        old: String,
        /// Its name from then on
        new: String,
    },
    /// Delete an account with all its mail; without --apply only say what would go
    Delete {
        /// Its name
        name: String,
        /// Do it
        #[arg(long)]
        apply: bool,
        /// Rewrite what holds its mail as soon as it can be, not when its time comes
        #[arg(long)]
        erase: bool,
    },
}

/// `coldpost cold`
#[derive(Debug, Subcommand)]
pub(crate) enum Cold {
    /// Try what mail needs of the store and look at the bucket's settings; an error gives exit code 1
    Check,
    /// Print the least that the key must be allowed, as an IAM policy: what the daemon needs
    Policy {
        /// What deleting needs, instead
        #[arg(long)]
        gc: bool,
        /// For the bucket of `cold.mirror`
        #[arg(long)]
        mirror: bool,
    },
}

/// `coldpost snapshot`
#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Take one of every shard now
    Now,
    /// List those that there are, by shard, the oldest first
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
