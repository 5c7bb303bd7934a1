//! LMTP (RFC 2033): mail comes in here.
//!
//! Promises: a 250 after DATA only for what the store calls durable; a slow or hostile client costs only itself.
//! Never: decides where mail is kept; writes addresses or content to a log above `debug`.

mod address;
mod command;
mod data;
mod incoming;
mod input;
pub mod limits;
mod reply;
mod room;
mod serve;
mod session;
mod store;
mod trace;
mod transaction;

use std::future::Future;

use bytes::Bytes;
use coldpost_engine::Result;
use coldpost_engine::account::AccountName;
use coldpost_engine::write::Delivered;
use ipnet::IpNet;

pub use incoming::Spool;
pub use room::Room;
pub use serve::Lmtp;
pub use store::Store;
#[cfg(test)]
pub(crate) use store::tests;

/// What `[lmtp]` says, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name in the greeting and in trace lines.
    pub hostname: String,
    /// Octets of a message, without our trace lines.
    pub max_message: u64,
    /// Recipients of a transaction.
    pub max_recipients: usize,
    /// Characters that begin the detail of an address; empty: none does.
    pub recipient_delimiter: String,
    /// Networks that TCP clients may come from.
    pub allow: Vec<IpNet>,
}

/// The store as LMTP sees it.
pub trait Deliver: Send + Sync + 'static {
    /// Whether mail for `name` is taken. Makes nothing.
    ///
    /// # Errors
    /// When accounts cannot be read now.
    fn takes(&self, name: &AccountName) -> impl Future<Output = Result<bool>> + Send;

    /// Stores `message` for all of `to`, making accounts where that is allowed; one outcome each, in their order.
    ///
    /// # Errors
    /// Nothing was promised to anybody.
    fn deliver(
        &self,
        message: Bytes,
        to: &[AccountName],
    ) -> impl Future<Output = Result<Vec<Delivered>>> + Send;
}
