//! Measures Coldpost through its sockets, beside other mail stores under the same load.
//!
//! `cargo run --release -p coldpost-bench -- compare` prints the table of `docs/benchmarks.md`.
//! Never: links a crate of ours but the test kit.

mod compare;
mod load;
mod measure;
mod peer;
mod report;

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
    /// The daemon; default: the release build of this checkout, made when it is not there.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Writes the table between the markers of this page as well (docs/benchmarks.md).
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() {
    let Arguments {
        command: Command::Compare(arguments),
    } = Arguments::parse();
    compare::run(&arguments);
}
