//! Measures Coldpost through its sockets: beside other mail stores under the same load, and what it is held to.
//!
//! `cargo run --release -p coldpost-bench -- compare` prints the table of `docs/benchmarks.md`; the other commands print theirs.
//! Never: links a crate of ours but the test kit.

mod binary;
mod bytes;
mod cold;
mod compaction;
mod compare;
mod expunge;
mod idle;
mod large;
mod load;
mod mails;
mod measure;
mod memory;
mod operator;
mod paced;
mod page;
mod peer;
mod report;
mod search;
mod slow;
mod sort;
mod synthetic;
mod writes;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// What was typed.
#[derive(Debug, Parser)]
#[command(about = "Measures Coldpost through its sockets")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The same load on Coldpost and on Dovecot (maildir; mdbox with zstd), interleaved.
    Compare(Compare),
    /// Bytes written to the disk for each byte delivered.
    Writes(Writes),
    /// A mailbox of many messages: SELECT, the last envelopes, all flags, the hot tier's commits, a start after kill -9.
    Large(Large),
    /// The daemon's largest memory, phase by phase, with the largest messages last.
    Memory(Memory),
    /// Bytes kept for the corpus, against Dovecot's mdbox with zstd.
    Bytes(Bytes),
    /// Deliveries and reading beside compaction and deletion, and what compaction costs.
    Compaction(Compaction),
    /// A mailbox of many messages is emptied: every step of it, and what other accounts notice.
    Expunge(Expunge),
    /// Bodies that are in the bucket alone, against one object for each mail (SeaweedFS).
    Cold(Cold),
    /// Sessions in IDLE: memory of each, and how soon all hear of a delivery.
    Idle(Idle),
    /// Honest clients beside many that send one byte a second.
    Slow(Slow),
    /// SORT and THREAD, the first time and again, beside Dovecot.
    Sort(Sort),
    /// SEARCH of bodies, messages and main fields, beside Dovecot that scans and Dovecot with an index.
    Search(Search),
}

/// What every command takes.
#[derive(Debug, clap::Args)]
struct Everywhere {
    /// The daemon; default: the release build of this checkout, made when it is not there.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Writes the table between the command's markers of this page as well (docs/benchmarks.md).
    #[arg(long)]
    write: Option<PathBuf>,
}

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
struct Compare {
    /// Runs of each server; the table has medians.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Messages of the corpus, at most 6,046.
    #[arg(long, default_value_t = 6_046)]
    messages: usize,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Arguments of `writes`.
#[derive(Debug, clap::Args)]
struct Writes {
    /// Runs for each number of connections; the table has medians.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Messages of the corpus, at most 6,046.
    #[arg(long, default_value_t = 6_046)]
    messages: usize,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Arguments of `large`.
#[derive(Debug, clap::Args)]
struct Large {
    /// Messages of the mailbox.
    #[arg(long, default_value_t = 200_000)]
    messages: usize,
    /// Starts and repetitions; the table has medians.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// A data directory that is kept: filled up to `messages` if it has fewer.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Only fills the directory.
    #[arg(long, requires = "data")]
    fill: bool,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Arguments of `memory`.
#[derive(Debug, clap::Args)]
struct Memory {
    /// Runs; the table has the highest.
    #[arg(long, default_value_t = 2)]
    runs: usize,
    /// Messages of the corpus that fill the caches, at most 6,046.
    #[arg(long, default_value_t = 6_046)]
    messages: usize,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Arguments of `bytes`.
#[derive(Debug, clap::Args)]
struct Bytes {
    /// Only the newer half of the corpus, which the dictionary of the hot rows was not trained on.
    #[arg(long)]
    newer: bool,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Arguments of `compaction`.
#[derive(Debug, clap::Args)]
struct Compaction {
    /// Messages of the store, the corpus over and over.
    #[arg(long, default_value_t = 60_000)]
    messages: usize,
    /// Runs; the tables have medians.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// Seconds for which the load is measured each time.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Arguments of `expunge`.
#[derive(Debug, clap::Args)]
struct Expunge {
    /// Messages of the mailbox.
    #[arg(long, default_value_t = 200_000)]
    messages: usize,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Arguments of `cold`.
#[derive(Debug, clap::Args)]
struct Cold {
    /// Messages of the corpus, at most 6,046.
    #[arg(long, default_value_t = 6_046)]
    messages: usize,
    /// Runs; the table has medians.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Milliseconds for which each answer to a reader is held back: a store that is not next door.
    #[arg(long, default_value_t = 0)]
    delay: u64,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Arguments of `idle`.
#[derive(Debug, clap::Args)]
struct Idle {
    /// Sessions that wait.
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// Runs of each variant.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Deliveries of a run.
    #[arg(long, default_value_t = 20)]
    deliveries: usize,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Arguments of `slow`.
#[derive(Debug, clap::Args)]
struct Slow {
    /// Connections that send one byte a second.
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Runs; the table has medians.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Arguments of `sort`.
#[derive(Debug, clap::Args)]
struct Sort {
    /// Messages of the mailbox; the corpus is repeated.
    #[arg(long, default_value_t = 5_000)]
    messages: usize,
    /// Runs of each server; the table has medians.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Arguments of `search`.
#[derive(Debug, clap::Args)]
struct Search {
    /// Messages of the mailbox; the corpus is repeated.
    #[arg(long, default_value_t = 5_000)]
    messages: usize,
    /// Accounts of the shard; the others have as many messages together.
    #[arg(long, default_value_t = 1)]
    accounts: usize,
    /// Random needles.
    #[arg(long, default_value_t = 400)]
    needles: usize,
    /// Runs of each server; the table has medians.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many of the servers, in the order of the columns.
    #[arg(long, default_value_t = 3)]
    servers: usize,
    /// Seconds between the last delivery and the first search, in which files of the index are written and merged.
    #[arg(long, default_value_t = 75)]
    settle: u64,
    #[command(flatten)]
    everywhere: Everywhere,
}

fn main() {
    match Arguments::parse().command {
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Writes(arguments) => writes::run(&arguments),
        Command::Large(arguments) => large::run(&arguments),
        Command::Memory(arguments) => memory::run(&arguments),
        Command::Bytes(arguments) => bytes::run(&arguments),
        Command::Compaction(arguments) => compaction::run(&arguments),
        Command::Expunge(arguments) => expunge::run(&arguments),
        Command::Cold(arguments) => cold::run(&arguments),
        Command::Idle(arguments) => idle::run(&arguments),
        Command::Slow(arguments) => slow::run(&arguments),
        Command::Sort(arguments) => sort::run(&arguments),
        Command::Search(arguments) => search::run(&arguments),
    }
}
