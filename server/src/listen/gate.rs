//! Who comes in: how many connections a protocol has, in all and from one address, whatever listener they came to.
//!
//! Promises: a connection counts until its task ends. Loopback, unix sockets and the networks of front ends, which bring everybody's
//! connections, are bounded in all only.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Peer, Protocol};
use crate::auth;
use crate::metrics::{Crowded, OpenConnection};
use crate::places::{Place, Places};

/// The bounds of a protocol's connections, shared by its listeners.
#[derive(Debug)]
pub struct Gate {
    protocol: Protocol,
    free: Arc<Semaphore>,
    addresses: Places<IpAddr>,
    /// Networks whose addresses are not counted.
    fronts: Vec<IpNet>,
}

/// A connection that was let in; it counts until this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    _open: OpenConnection,
    _free: OwnedSemaphorePermit,
    _address: Option<Place<IpAddr>>,
}

impl Gate {
    /// For `protocol`; addresses in `fronts` are not counted one by one.
    pub fn new(protocol: Protocol, fronts: Vec<IpNet>) -> Gate {
        Gate {
            protocol,
            free: Arc::new(Semaphore::new(protocol.connections_max)),
            addresses: Places::new(protocol.address_max),
            fronts,
        }
    }

    /// Whose bounds these are.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// Connections at the moment.
    pub fn open(&self) -> usize {
        self.protocol
            .connections_max
            .saturating_sub(self.free.available_permits())
    }

    /// Lets a connection in, or says which bound it met.
    pub(super) fn admit(&self, peer: &Peer) -> Result<Admitted, Crowded> {
        let free = Arc::clone(&self.free)
            .try_acquire_owned()
            .map_err(|_| Crowded::All)?;
        let address = match self.counted(peer) {
            Some(address) => Some(self.addresses.take(address).ok_or(Crowded::Address)?),
            None => None,
        };
        Ok(Admitted {
            _open: OpenConnection::new(self.protocol.name),
            _free: free,
            _address: address,
        })
    }

    /// What the peer is counted by: its address, of IPv6 the network.
    fn counted(&self, peer: &Peer) -> Option<IpAddr> {
        let Peer::Tcp { remote, local } = peer else {
            return None;
        };
        let ip = remote.ip().to_canonical();
        if ip.is_loopback() || self.fronts.iter().any(|network| network.contains(&ip)) {
            return None;
        }
        auth::Peer::tcp(*remote, *local, false).source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: Protocol = Protocol {
        name: "test",
        connections_max: 5,
        address_max: 2,
        busy: "busy\r\n",
        busy_address: "busy for you\r\n",
    };

    fn from(remote: &str) -> Peer {
        Peer::Tcp {
            remote: remote.parse().expect("an address and a port"),
            local: "192.0.2.2:143".parse().expect("an address and a port"),
        }
    }

    #[test]
    fn an_address_has_its_share_and_front_ends_are_bounded_in_all_only() {
        let gate = Gate::new(
            PROTOCOL,
            vec!["198.51.100.0/24".parse().expect("a network")],
        );
        let mut inside: Vec<Admitted> = Vec::new();
        for port in 1..=2 {
            let peer = from(&format!("192.0.2.1:{port}"));
            inside.push(gate.admit(&peer).expect("free"));
        }
        let third = from("[::ffff:192.0.2.1]:3");
        assert_eq!(gate.admit(&third).expect_err("its share"), Crowded::Address);
        assert_eq!(gate.open(), 2);
        for port in 1..=3 {
            let peer = match port {
                1 => Peer::Unix,
                _ => from(&format!("198.51.100.7:{port}")),
            };
            inside.push(gate.admit(&peer).expect("a front end"));
        }
        let crowded = gate.admit(&Peer::Unix).expect_err("all are taken");
        assert_eq!((crowded, gate.open()), (Crowded::All, 5));
        inside.clear();
        assert_eq!(gate.open(), 0);
        gate.admit(&third).expect("all went");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let gate = Gate::new(PROTOCOL, vec![]);
        let inside = ["[2001:db8::1]:1", "[2001:db8::2]:1"]
            .map(|remote| gate.admit(&from(remote)).expect("free"));
        let crowded = gate.admit(&from("[2001:db8::3]:1")).expect_err("its share");
        assert_eq!(crowded, Crowded::Address);
        gate.admit(&from("[2001:db8:0:1::1]:1"))
            .expect("another network");
        drop(inside);
    }
}
