//! What is listened on: all of it bound, or nothing.

use std::io;

use crate::listen::{Address, Listener};

/// An address for each protocol, and for those that have it a second one that begins with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// LMTP
    pub lmtp: Address,
    /// LMTP in TLS
    pub lmtp_tls: Option<Address>,
    /// IMAP
    pub imap: Address,
    /// IMAP in TLS
    pub imap_tls: Option<Address>,
    /// HTTP
    pub http: Address,
}

/// The listeners at these addresses.
pub(super) struct Sockets {
    pub(super) lmtp: Listener,
    pub(super) lmtp_tls: Option<Listener>,
    pub(super) imap: Listener,
    pub(super) imap_tls: Option<Listener>,
    pub(super) http: Listener,
}

impl Sockets {
    /// Binds them.
    ///
    /// # Errors
    /// The first address that cannot be listened on; the text names it.
    pub(super) async fn bind(addresses: &Addresses) -> io::Result<Sockets> {
        Ok(Sockets {
            lmtp: Listener::bind(&addresses.lmtp, "lmtp").await?,
            lmtp_tls: bind(addresses.lmtp_tls.as_ref(), "lmtp").await?,
            imap: Listener::bind(&addresses.imap, "imap").await?,
            imap_tls: bind(addresses.imap_tls.as_ref(), "imap").await?,
            http: Listener::bind(&addresses.http, "http").await?,
        })
    }

    /// Where they listen, with the ports that the system chose.
    pub(super) fn addresses(&self) -> Addresses {
        let of = |listener: &Option<Listener>| listener.as_ref().map(|l| l.address().clone());
        Addresses {
            lmtp: self.lmtp.address().clone(),
            lmtp_tls: of(&self.lmtp_tls),
            imap: self.imap.address().clone(),
            imap_tls: of(&self.imap_tls),
            http: self.http.address().clone(),
        }
    }
}

async fn bind(address: Option<&Address>, name: &'static str) -> io::Result<Option<Listener>> {
    match address {
        Some(address) => Ok(Some(Listener::bind(address, name).await?)),
        None => Ok(None),
    }
}
