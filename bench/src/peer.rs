//! The servers that are compared, started for one run each.

use std::net::SocketAddr;
use std::path::Path;

use coldpost_testkit::dovecot::{Dovecot, Kind, PASSWORD};
use coldpost_testkit::{Daemon, Options};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// Ours, with its defaults.
    Coldpost,
    /// Dovecot on a Maildir, `mail_fsync = always`.
    Maildir,
    /// Dovecot on mdbox with zstd, `mail_fsync = always`.
    Mdbox,
}

/// In the order of the table's columns.
pub(crate) const PEERS: [Peer; 3] = [Peer::Coldpost, Peer::Maildir, Peer::Mdbox];

impl Peer {
    /// The column's head.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Peer::Coldpost => "Coldpost",
            Peer::Maildir => "Dovecot maildir",
            Peer::Mdbox => "Dovecot mdbox, zstd",
        }
    }

    /// Starts it on an empty directory.
    pub(crate) fn start(self, binary: &Path) -> Running {
        match self {
            Peer::Coldpost => {
                let daemon = Daemon::start(Options::new(binary));
                let (imap, lmtp) = (daemon.imap_addr(), daemon.lmtp_addr());
                Running {
                    imap,
                    lmtp,
                    password: daemon.password(),
                    _server: Server::Ours(Box::new(daemon)),
                }
            }
            Peer::Maildir | Peer::Mdbox => {
                let dovecot = Dovecot::start(if self == Peer::Maildir {
                    &Kind::Maildir
                } else {
                    &Kind::Mdbox
                });
                let (imap, lmtp) = (dovecot.imap_addr(), dovecot.lmtp_addr());
                Running {
                    imap,
                    lmtp,
                    password: PASSWORD.to_owned(),
                    _server: Server::Theirs(Box::new(dovecot)),
                }
            }
        }
    }
}

/// A running server; ends when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where IMAP listens.
    pub(crate) imap: SocketAddr,
    /// Where LMTP listens.
    pub(crate) lmtp: SocketAddr,
    /// Of every user.
    pub(crate) password: String,
    _server: Server,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held so that the server runs until it is dropped")]
enum Server {
    Ours(Box<Daemon>),
    Theirs(Box<Dovecot>),
}
