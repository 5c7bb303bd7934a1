//! Starts the daemon and its real peers on free ports and stops all of them again, for tests and benches.
//!
//! Promises: nothing is left running or lying about once a value is dropped; a failure names the tool, the package that has
//! it, and shows the last lines of the log.
//! Never: links a crate of ours. It knows processes, sockets and files only, so that what it sees is what a user sees.

pub mod certificate;
pub mod corpus;
pub mod crowd;
pub mod daemon;
pub mod dice;
pub mod dovecot;
pub mod exact;
pub mod fault_proxy;
pub mod http;
pub mod imap;
pub mod imap_picture;
pub mod line;
pub mod lmtp;
pub mod made_mail;
pub mod mbsync;
pub mod must;
pub mod odd_mail;
pub mod operator;
pub mod place;
pub mod ports;
pub mod postfix;
pub mod process;
pub mod recorder;
pub mod s3_faults;
pub mod seaweedfs;
pub mod sexp;
pub mod sluggards;
pub mod swaks;
pub mod tool;
pub mod usage;
pub mod wait;

pub use daemon::{Daemon, Options};
pub use must::Must;
pub use process::Stderr;
pub use tool::have;
