//! Ports for programs that cannot be told "any free one".
//!
//! Promises: a port is given to one test process at a time (a locked file), lies below the range from which the kernel takes
//! outgoing ports, and was free a moment ago.

use std::fs::{self, File};
use std::net::TcpListener;
use std::sync::Mutex;

use crate::dice::Dice;
use crate::must::Must;

/// The range: below Linux's ephemeral ports (32768), above what services use.
const FIRST: u16 = 14_000;
const LAST: u16 = 31_999;

/// Locks of the ports given; held until the process ends.
static GIVEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// `count` ports on 127.0.0.1 that nobody listens on.
///
/// # Panics
/// When no port is free.
pub fn free(count: usize) -> Vec<u16> {
    // Of each user: another one cannot lock the files that this one made.
    let user = rustix::process::geteuid().as_raw();
    let dir = std::env::temp_dir().join(format!("coldpost-ports-{user}"));
    fs::create_dir_all(&dir).must("making the directory of port locks");
    let mut given = GIVEN.lock().must("locking the list of ports");
    let mut dice = Dice::from_entropy();
    let mut ports = Vec::with_capacity(count);
    for _ in 0..100_000 {
        if ports.len() == count {
            return ports;
        }
        let port =
            FIRST + u16::try_from(dice.below(u64::from(LAST - FIRST))).must("a port's number");
        let lock = File::create(dir.join(port.to_string())).must("making a port lock");
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            given.push(lock);
            ports.push(port);
        }
    }
    panic!("no {count} free ports between {FIRST} and {LAST}");
}

/// One free port.
pub fn one() -> u16 {
    free(1).remove(0)
}
