//! What can be listened on, as it is written in the settings.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// What is listened on: `127.0.0.1:2424`, `[::1]:0` or `unix:/run/coldpost/lmtp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Port 0: the system chooses one.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl Address {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Address::Unix(PathBuf::from(path))),
            Some(_) => Err(format!("{text:?} wants an absolute path: unix:/run/coldpost/lmtp")),
            None => text.parse().map(Address::Tcp).map_err(|_| {
                format!("{text:?} is no address to listen on: write IP:PORT (127.0.0.1:2424) or unix:/path/to/socket")
            }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_wrong_ones_explained() {
        for good in ["127.0.0.1:2424", "[::1]:0", "unix:/run/coldpost/lmtp"] {
            assert_eq!(good.parse::<Address>().expect("good").to_string(), good);
        }
        for bad in ["localhost:25", "127.0.0.1", "unix:lmtp", "2424", ""] {
            let error = bad.parse::<Address>().expect_err("bad");
            assert!(error.contains("unix:/"), "{error}");
        }
    }
}
