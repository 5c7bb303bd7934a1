//! Every bound of HTTP: one name, one unit, one home.

use std::time::Duration;

/// Connections of the listener at a time, of few open files an eighth; more wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 256;
/// Time without a byte in either direction after which a connection is ended.
pub const IDLE: Duration = Duration::from_secs(60);
/// Time from the first byte of a request to the end of its head.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// Time from the end of a request's head to the end of its body: all of it within a minute.
pub const BODY_TIME: Duration = Duration::from_secs(50);
/// Octets of a request's body.
pub const BODY_MAX: usize = 16 * 1024;
/// Accounts in one answer.
pub const ACCOUNTS_MAX: usize = 1_000;
/// The shortest time between two progress lines of a verification.
pub const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// Time without a line of a verification after which an empty one is sent, so that the connection stays open.
pub const ALIVE_EVERY: Duration = Duration::from_secs(15);

const _: () = assert!(HEAD_TIME.as_secs() + BODY_TIME.as_secs() <= IDLE.as_secs());
const _: () = assert!(ALIVE_EVERY.as_secs() * 2 < IDLE.as_secs());
