//! Clients that send and do not read: they cost a bounded piece of memory, and nobody else anything.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use coldpost_testkit::{Daemon, Must, Options};

const USER: &str = "anna@example.org";
/// Commands of each client: their answers are 20 MB and more.
const COMMANDS: usize = 100_000;
const CLIENTS: usize = 6;
/// What all of these clients together may cost: buffers of 150 KiB each, and what the allocator keeps.
const COST_MAX: u64 = 24 * 1024 * 1024;

/// Bytes that the daemon has in memory.
fn resident(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid()));
    let status = status.must("reading the daemon's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok()).must("VmRSS") * 1024
}

/// Sends `prelude` and as many of `commands` as are taken within a second of silence; how many bytes those were.
fn flood(
    server: SocketAddr,
    prelude: &str,
    command: impl Fn(usize) -> String,
) -> (TcpStream, usize) {
    let mut stream = TcpStream::connect(server).must("connecting");
    let patience = Some(Duration::from_secs(1));
    stream.set_write_timeout(patience).must("a time limit");
    let mut wire = prelude.to_owned();
    (0..COMMANDS).for_each(|number| wire.push_str(&command(number)));
    let mut sent = 0;
    while let Some(rest) = wire.as_bytes().get(sent..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return (stream, sent);
            }
            Err(error) => panic!("the server closed: {error}"),
        }
    }
    (stream, sent)
}

#[test]
fn imap_clients_that_pipeline_without_reading_are_held_back_and_others_are_served() {
    let daemon = Daemon::start(Options::new(env!("CARGO_BIN_EXE_coldpost")));
    let login = format!("l LOGIN {USER} {}\r\n", daemon.password());
    daemon.imap(USER).command("NOOP").ok();
    let before = resident(&daemon);
    let floods: Vec<_> = (0..CLIENTS)
        .map(|_| {
            flood(daemon.imap_addr(), &login, |number| {
                format!("t{number} CAPABILITY\r\n")
            })
        })
        .collect();
    let grown = resident(&daemon).saturating_sub(before);
    assert!(grown < COST_MAX, "{grown} bytes for {CLIENTS} clients");
    let mut other = daemon.imap(USER);
    other.command("SELECT INBOX").ok();
    drop(floods);
}

#[test]
fn lmtp_clients_that_pipeline_without_reading_are_held_back_and_others_are_served() {
    let daemon = Daemon::start(Options::new(env!("CARGO_BIN_EXE_coldpost")));
    daemon
        .lmtp()
        .deliver("b@example.net", USER, b"Subject: x\r\n\r\nx\r\n");
    let before = resident(&daemon);
    let floods: Vec<_> = (0..CLIENTS)
        .map(|_| {
            flood(daemon.lmtp_addr(), "", |_| {
                "LHLO mx.example.net\r\n".to_owned()
            })
        })
        .collect();
    let grown = resident(&daemon).saturating_sub(before);
    assert!(grown < COST_MAX, "{grown} bytes for {CLIENTS} clients");
    daemon
        .lmtp()
        .deliver("b@example.net", USER, b"Subject: y\r\n\r\ny\r\n");
    drop(floods);
}
