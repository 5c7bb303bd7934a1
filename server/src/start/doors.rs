//! The doors of the server, for `status` and the log: where they are, how full, under which certificate.

use std::sync::Arc;

use coldpost_engine::Health;

use super::Addresses;
use crate::http::limits::CONNECTIONS_MAX as HTTP_CONNECTIONS_MAX;
use crate::http::wire::{Door, DoorTls};
use crate::listen::{Address, Gate};
use crate::metrics;
use crate::tls::{Tls, expiry_text};

/// What is said about all of them. Clones say the same.
#[derive(Clone, Debug)]
pub(crate) struct Doors {
    addresses: Addresses,
    lmtp: Passage,
    imap: Passage,
    open_files: usize,
}

/// The bounds of a protocol, and its certificate.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    pub(super) gate: Arc<Gate>,
    pub(super) tls: Option<Tls>,
}

impl Doors {
    pub(super) fn new(
        addresses: Addresses,
        lmtp: Passage,
        imap: Passage,
        open_files: usize,
    ) -> Doors {
        Doors {
            addresses,
            lmtp,
            imap,
            open_files,
        }
    }

    /// Files that the process may have open; `None`: as many as it likes.
    pub(crate) fn open_files(&self) -> Option<usize> {
        (self.open_files != usize::MAX).then_some(self.open_files)
    }

    /// Every listener as it is now.
    pub(crate) fn list(&self) -> Vec<Door> {
        let Addresses {
            lmtp,
            lmtp_tls,
            imap,
            imap_tls,
            http,
        } = &self.addresses;
        let http = Door {
            protocol: "http".to_owned(),
            address: http.to_string(),
            connections: metrics::open_connections("http"),
            connections_max: HTTP_CONNECTIONS_MAX,
            tls: DoorTls::No,
            certificate_expires: None,
        };
        [(lmtp, lmtp_tls, &self.lmtp), (imap, imap_tls, &self.imap)]
            .into_iter()
            .flat_map(|(clear, tls, passage)| passage.doors(clear, tls.as_ref()))
            .chain([http])
            .collect()
    }

    /// Adds what is wrong with certificates to how the server is.
    pub(crate) fn report(&self, health: &mut Health) {
        for tls in [&self.lmtp.tls, &self.imap.tls].into_iter().flatten() {
            tls.report(health);
        }
    }
}

impl Passage {
    /// The listener in clear, and that of TLS. Both let in as many as there are for the protocol.
    fn doors(&self, clear: &Address, tls: Option<&Address>) -> Vec<Door> {
        let door = |address: &Address, kind: DoorTls| Door {
            protocol: self.gate.protocol().name.to_owned(),
            address: address.to_string(),
            connections: self.gate.open(),
            connections_max: self.gate.protocol().connections_max,
            tls: kind,
            certificate_expires: self.tls.as_ref().and_then(Tls::expires).map(expiry_text),
        };
        let kind = match self.tls {
            Some(_) => DoorTls::StartTls,
            None => DoorTls::No,
        };
        let tls = tls.map(|address| door(address, DoorTls::Implicit));
        [door(clear, kind)].into_iter().chain(tls).collect()
    }
}

#[cfg(test)]
impl Doors {
    /// Of a server that listens nowhere.
    pub(crate) fn none() -> Doors {
        use crate::listen::Protocol;
        let address: Address = "127.0.0.1:0".parse().expect("an address");
        let protocol = Protocol {
            name: "test",
            connections_max: 1,
            address_max: 1,
            busy: "",
            busy_address: "",
        };
        let passage = Passage {
            gate: Arc::new(Gate::new(protocol, vec![])),
            tls: None,
        };
        let addresses = Addresses {
            lmtp: address.clone(),
            lmtp_tls: None,
            imap: address.clone(),
            imap_tls: None,
            http: address,
        };
        Doors::new(addresses, passage.clone(), passage, usize::MAX)
    }
}
