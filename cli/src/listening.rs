//! `DIR/listen.json`: where the daemon of a data directory listens. Written whole when it is ready, removed when it ends.
//!
//! A crash leaves the file: who reads it asks whether the one who wrote it still answers (see `reach`).

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::path::Path;

use coldpost_server::Addresses;
use serde::{Deserialize, Serialize};

/// Name of the file in the data directory.
const NAME: &str = "listen.json";

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listening {
    /// The process.
    pub(crate) pid: u32,
    /// Which start of it: `/healthz` says the same.
    pub(crate) instance: String,
    /// Address of LMTP.
    pub(crate) lmtp: String,
    /// Address of LMTP in TLS, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lmtp_tls: Option<String>,
    /// Address of IMAP.
    pub(crate) imap: String,
    /// Address of IMAP in TLS, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) imap_tls: Option<String>,
    /// Address of HTTP.
    pub(crate) http: String,
}

impl Listening {
    /// This process at `addresses`.
    pub(crate) fn new(addresses: &Addresses, instance: &str) -> Listening {
        Listening {
            pid: std::process::id(),
            instance: instance.to_owned(),
            lmtp: addresses.lmtp.to_string(),
            lmtp_tls: addresses.lmtp_tls.as_ref().map(ToString::to_string),
            imap: addresses.imap.to_string(),
            imap_tls: addresses.imap_tls.as_ref().map(ToString::to_string),
            http: addresses.http.to_string(),
        }
    }

    /// All addresses, for people.
    pub(crate) fn in_words(&self) -> String {
        let in_tls = |name: &str, address: &Option<String>| match address {
            Some(address) => format!(", {name} in TLS {address}"),
            None => String::new(),
        };
        format!(
            "LMTP {}{}, IMAP {}{}, HTTP {}",
            self.lmtp,
            in_tls("LMTP", &self.lmtp_tls),
            self.imap,
            in_tls("IMAP", &self.imap_tls),
            self.http
        )
    }

    /// The file of `data`; `None` when there is none, or none that can be read.
    pub(crate) fn read(data: &Path) -> Option<Listening> {
        serde_json::from_slice(&fs::read(data.join(NAME)).ok()?).ok()
    }

    /// Writes it into `data`, whole or not at all; on a full disk over the one that a kill left.
    pub(crate) fn write(&self, data: &Path) -> io::Result<()> {
        let (draft, path) = (data.join(format!("{NAME}.new")), data.join(NAME));
        let text = serde_json::to_string_pretty(self)? + "\n";
        let fresh = fs::write(&draft, &text).and_then(|()| fs::rename(&draft, &path));
        let full = match fresh {
            Err(e) if e.kind() == io::ErrorKind::StorageFull => e,
            done => return done,
        };
        // What is left of it only takes room.
        let _ = fs::remove_file(draft);
        let over = || {
            let file = fs::OpenOptions::new().write(true).open(path)?;
            file.write_all_at(text.as_bytes(), 0)?;
            file.set_len(u64::try_from(text.len()).unwrap_or(0))
        };
        over().map_err(|_: io::Error| full)
    }

    /// Removes it from `data`.
    pub(crate) fn remove(data: &Path) {
        // Left behind it does no harm: nobody answers under its instance.
        let _ = fs::remove_file(data.join(NAME));
    }

    /// Where this machine reaches an address that is listened on: `0.0.0.0` is everywhere, here too.
    pub(crate) fn reachable(address: &str) -> String {
        match address.parse::<SocketAddr>() {
            Ok(SocketAddr::V4(a)) if a.ip().is_unspecified() => {
                SocketAddr::from((Ipv4Addr::LOCALHOST, a.port())).to_string()
            }
            Ok(SocketAddr::V6(a)) if a.ip().is_unspecified() => {
                SocketAddr::from((Ipv6Addr::LOCALHOST, a.port())).to_string()
            }
            _ => address.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_gone_when_removed() {
        let data = tempfile::tempdir().expect("a directory");
        let [lmtp, imap, http] =
            ["unix:/run/lmtp", "127.0.0.1:1143", "[::1]:8143"].map(|a| a.parse().expect("right"));
        let addresses = Addresses {
            lmtp,
            lmtp_tls: None,
            imap_tls: Some(imap.clone()),
            imap,
            http,
        };
        let listening = Listening::new(&addresses, "one");
        listening.write(data.path()).expect("written");
        assert_eq!(Listening::read(data.path()), Some(listening));
        Listening::remove(data.path());
        assert_eq!(fs::read_dir(data.path()).expect("readable").count(), 0);
        assert_eq!(Listening::read(data.path()), None);
    }

    #[test]
    fn an_address_for_everybody_is_reached_over_loopback() {
        assert_eq!(Listening::reachable("0.0.0.0:25"), "127.0.0.1:25");
        assert_eq!(Listening::reachable("[::]:25"), "[::1]:25");
        assert_eq!(Listening::reachable("192.0.2.1:25"), "192.0.2.1:25");
    }
}
