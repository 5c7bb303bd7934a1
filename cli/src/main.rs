//! `coldpost`, the one binary: the library beside it does all.

use std::process::ExitCode;

fn main() -> ExitCode {
    coldpost_cli::run()
}
