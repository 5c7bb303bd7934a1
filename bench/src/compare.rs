//! Runs the load on every server in turn, as often as asked, so that what disturbs one run disturbs all servers.

use coldpost_testkit::have;
use coldpost_testkit::tool::{DOVECOT, NPM, ROOT, TAR};

use crate::peer::PEERS;
use crate::report::{self, Measured};
use crate::{Compare, binary, load, mails, page};

/// Measures and prints the table.
///
/// # Panics
/// When a tool is missing or a server fails.
pub(crate) fn run(arguments: &Compare) {
    if !have(&[DOVECOT, ROOT, NPM, TAR]) {
        return;
    }
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let mails = mails::first(arguments.messages);
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
    page::give(arguments.everywhere.write.as_deref(), "compare", &table);
}
