//! Runs the load on every server in turn, as often as asked, so that what disturbs one run disturbs all servers.

use std::path::PathBuf;
use std::process::Command;

use coldpost_testkit::tool::{DOVECOT, NPM, ROOT, TAR};
use coldpost_testkit::{Must, corpus, have, place};

use crate::peer::PEERS;
use crate::report::{self, Measured};
use crate::{Compare, load};

/// Measures and prints the table.
///
/// # Panics
/// When a tool is missing or a server fails.
pub(crate) fn run(arguments: &Compare) {
    if !have(&[DOVECOT, ROOT, NPM, TAR]) {
        return;
    }
    let binary = arguments.binary.clone().unwrap_or_else(built);
    assert!(
        binary.is_file(),
        "{} is not there: cargo build --release -p coldpost",
        binary.display()
    );
    let mails: Vec<Vec<u8>> = corpus::spam_assassin()
        .iter()
        .take(arguments.messages)
        .map(|(_, mail)| corpus::crlf(mail))
        .collect();
    let mut rows: Vec<Measured> = Vec::new();
    for run in 0..arguments.runs {
        let mut order = PEERS;
        order.rotate_left(run % PEERS.len());
        for peer in order {
            eprintln!("run {} of {}: {}", run + 1, arguments.runs, peer.title());
            let server = peer.start(&binary);
            for (name, sample) in load::run(&server, &mails) {
                match rows.iter_mut().find(|row| row.name == name) {
                    Some(row) => row.samples.push((peer, sample)),
                    None => rows.push(Measured {
                        name,
                        samples: vec![(peer, sample)],
                    }),
                }
            }
        }
    }
    let table = report::table(&rows, arguments.runs, mails.len());
    println!("{table}");
    if let Some(page) = &arguments.write {
        report::write(page, &table);
    }
}

/// The release build of this checkout, made now if it is not there or older than its source.
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
