//! Protocols on sockets. Decides nothing about storage.

pub mod accounts;
pub mod answer;
pub mod auth;
pub mod budget;
pub mod http;
pub mod imap;
pub mod limits;
pub mod listen;
pub mod lmtp;
mod metrics;
pub mod places;
pub mod shutdown;
mod start;
pub mod tls;

pub use metrics::log_line_lost;
pub use start::{Addresses, Server, ServerSettings};
