//! swaks, the SMTP and LMTP client of the manual pages.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::must::Must;
use crate::{place, process, tool};

/// Delivers a message over LMTP as the printed example does; gives the dialogue.
///
/// # Panics
/// Unless swaks ends with success.
#[track_caller]
pub fn lmtp(server: SocketAddr, from: &str, to: &str, message: &[u8]) -> String {
    let scratch = place::scratch("swaks");
    let file = scratch.path().join("message");
    fs::write(&file, message).must("writing the message for swaks");
    let mut command = Command::new(tool::SWAKS.path());
    command.args([
        "--protocol",
        "LMTP",
        "--server",
        &server.ip().to_string(),
        "--port",
        &server.port().to_string(),
    ]);
    command
        .args(["--from", from, "--to", to, "--data"])
        .arg(&file);
    String::from_utf8_lossy(&process::run(&mut command)).into_owned()
}
