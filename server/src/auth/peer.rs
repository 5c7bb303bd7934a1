//! The other end of a connection: decides which passwords are accepted on it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where a connection comes from and how it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Remote and local address; `None` for a unix socket.
    addresses: Option<(SocketAddr, SocketAddr)>,
    tls: bool,
}

impl Peer {
    /// A TCP connection; `local` is the address that was listened on.
    pub fn tcp(remote: SocketAddr, local: SocketAddr, tls: bool) -> Peer {
        Peer {
            addresses: Some((remote, local)),
            tls,
        }
    }

    /// A unix socket: whoever may open it was let in by the file's mode.
    pub fn unix() -> Peer {
        Peer {
            addresses: None,
            tls: false,
        }
    }

    /// The same after a TLS handshake.
    pub fn over_tls(self) -> Peer {
        Peer { tls: true, ..self }
    }

    /// Whether the connection is TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether nobody but this machine can be at the other end.
    pub fn is_local(&self) -> bool {
        self.addresses
            .is_none_or(|(remote, local)| [remote, local].iter().all(is_loopback))
    }

    /// Whether nobody else can read along.
    pub fn is_private(&self) -> bool {
        self.tls || self.is_local()
    }

    /// The address that it has, of IPv4 always as such; `None` for a unix socket.
    pub fn address(&self) -> Option<IpAddr> {
        Some(self.addresses?.0.ip().to_canonical())
    }

    /// What failed logins are counted by: the address, of IPv6 the first 64 bits; `None` for a unix socket.
    pub fn source(&self) -> Option<IpAddr> {
        match self.address()? {
            IpAddr::V6(v6) => Some(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64))),
            v4 => Some(v4),
        }
    }
}

/// An IPv4 address may come as an IPv6 one.
fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.addresses {
            Some((remote, _)) => write!(f, "{remote}"),
            None => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(remote: &str, local: &str, tls: bool) -> Peer {
        let address = |text: &str| text.parse().expect("an address and a port");
        Peer::tcp(address(remote), address(local), tls)
    }

    #[test]
    fn an_ipv6_client_is_counted_by_its_network() {
        let source = |remote: &str| tcp(remote, "[::1]:143", false).source();
        assert_eq!(source("[2001:db8::1]:5"), source("[2001:db8::2:0:0:1]:6"));
        assert_ne!(source("[2001:db8::1]:5"), source("[2001:db8:0:1::1]:5"));
        assert_eq!(source("[::ffff:192.0.2.1]:5"), source("192.0.2.1:9"));
    }

    #[test]
    fn only_loopback_and_unix_sockets_are_local() {
        assert!(Peer::unix().is_local());
        assert!(tcp("127.0.0.1:5", "127.0.0.1:143", false).is_local());
        assert!(tcp("[::ffff:127.0.0.1]:5", "[::ffff:127.0.0.1]:143", false).is_local());
        assert!(!tcp("[::ffff:192.0.2.1]:5", "[::ffff:127.0.0.1]:143", false).is_local());
        assert!(!tcp("192.0.2.1:5", "192.0.2.2:143", true).is_local());
        assert!(tcp("192.0.2.1:5", "192.0.2.2:143", true).is_private());
        assert!(!tcp("192.0.2.1:5", "192.0.2.2:143", false).is_private());
    }
}
