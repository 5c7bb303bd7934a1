//! The daemon that is measured: the one that was named, or the release build of this checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use coldpost_testkit::{Must, place};

/// The given binary, or the release build, made now if it is not there or older than its source.
///
/// # Panics
/// When there is none.
pub(crate) fn find(given: Option<&Path>) -> PathBuf {
    let binary = given.map_or_else(built, Path::to_path_buf);
    assert!(
        binary.is_file(),
        "{} is not there: cargo build --release -p coldpost",
        binary.display()
    );
    binary
}

fn built() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = Command::new(cargo)
        .args(["build", "--release", "--locked", "-q", "-p", "coldpost"])
        .current_dir(place::workspace())
        .status()
        .must("running cargo build --release -p coldpost");
    assert!(build.success(), "cargo build --release -p coldpost failed");
    let us = std::env::current_exe().must("asking for the running program's path");
    us.with_file_name("coldpost")
}
