//! Every bound of LMTP: one name, one unit, one home.

use std::time::Duration;

/// Octets of a command line with its CRLF (RFC 5321, 4.5.3.1.4 and what the extensions add to it).
pub const COMMAND_LINE_MAX: usize = 2_048;
/// Bytes of a longer one that are passed over for its end; then the connection is closed.
pub const COMMAND_LINE_PASSED_MAX: usize = 64 * 1024;
/// Octets of an address as typed: local part, `@` and domain (RFC 5321, 4.5.3.1) with room for quoting.
pub const ADDRESS_MAX: usize = 512;
/// Octets of the name that a client gives in LHLO (RFC 5321, 4.5.3.1.2).
pub const LHLO_MAX: usize = 255;
/// Wrong commands in a row after which the connection is ended.
pub const BAD_COMMANDS_MAX: u32 = 20;
/// Octets that one read takes from the socket.
pub const READ_MAX: usize = 32 * 1024;
/// Octets of replies that wait before they are written, while commands are still coming in.
pub const REPLIES_MAX: usize = 32 * 1024;
/// Octets of a message kept in memory while it comes in; what is over goes to the spool file.
pub const IN_MEMORY_MAX: usize = 1024 * 1024;
/// Octets by which a message in memory asks the budget for more.
pub const SHARE_STEP: usize = 64 * 1024;
/// Octets by which a message in the spool asks for more of the disk.
pub const SPOOL_STEP: u64 = 64 * 1024;
/// Octets of the disk that the spool leaves to mail that is delivered meanwhile; of a small disk a quarter.
pub const SPOOL_LEAVES: u64 = 64 * 1024 * 1024;
/// Time in which a message has to come in before it leaves memory for the spool: a slow client holds no memory.
pub const IN_MEMORY_TIME: Duration = Duration::from_secs(10);
/// Time that a complete message waits for its share of the budget before 452.
pub const SHARE_WAIT: Duration = Duration::from_secs(60);
/// Time from our last reply to the end of the next command's line, and in a message without a byte, after which the connection is
/// ended (RFC 5321, 4.5.3.2.7).
pub const IDLE: Duration = Duration::from_secs(5 * 60);
/// Time from 354 to the end of the message, however steadily it comes in; then 421, and nothing is stored.
pub const MESSAGE_TIME: Duration = Duration::from_secs(15 * 60);
/// Time that a message which is coming in has after the shutdown word; then 421, and nothing is stored.
pub const FAREWELL: Duration = Duration::from_secs(8);
/// Time that the client has for taking our replies.
pub const WRITE: Duration = Duration::from_secs(60);
/// Connections of the listener at a time.
pub const CONNECTIONS_MAX: usize = 1_000;
/// Connections of one address at a time; of loopback and unix sockets only all together are bounded.
pub const ADDRESS_CONNECTIONS_MAX: usize = 500;

const _: () = assert!(ADDRESS_CONNECTIONS_MAX < CONNECTIONS_MAX);
const _: () = assert!(ADDRESS_MAX < COMMAND_LINE_MAX);
const _: () = assert!(SHARE_STEP <= IN_MEMORY_MAX);
const _: () = assert!(IDLE.as_secs() < MESSAGE_TIME.as_secs());
const _: () = assert!(FAREWELL.as_secs() < crate::shutdown::DRAIN.as_secs());
