//! The servers that the script is run against, each with a way to take the bodies of a mailbox away for a while.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::dovecot::{Dovecot, Kind, PASSWORD};
use coldpost_testkit::imap::Imap;
use coldpost_testkit::{Daemon, Must, Options, place, ports, wait};
use tempfile::TempDir;

use crate::USER;

/// The password with which a front end may be any user.
const BACKEND_PASSWORD: &str = "behind-the-front";
/// Whose mail fills the journal: the script's own mailboxes must not change by it.
const FILLER: &str = "filler@example.org";
/// As much mail as seals the segment with the script's messages, whatever else is in it.
const FILLER_BYTES: usize = 2 << 20;
const FILLER_MAIL_BYTES: usize = 32 << 10;
const EVICTED_WITHIN: Duration = Duration::from_secs(120);

/// What the script needs of a server; every account's password is that of the testkit's Dovecot.
pub(crate) trait Server {
    /// Where its IMAP is.
    fn imap_addr(&self) -> SocketAddr;
    /// Where its LMTP is.
    fn lmtp_addr(&self) -> SocketAddr;
    /// Makes the bodies of INBOX unreadable for a while; open sessions may end.
    fn take_away(&mut self);
    /// Makes them readable again.
    fn give_back(&mut self);
}

/// A daemon for a front end, and Dovecot as that front end.
pub(crate) fn with_a_front(options: Options) -> (Daemon, Dovecot) {
    let daemon = Daemon::start(
        options
            .text("auth", "backend_password", BACKEND_PASSWORD)
            .text("auth", "accounts", "create"),
    );
    let front = front_of(&daemon);
    (daemon, front)
}

fn front_of(daemon: &Daemon) -> Dovecot {
    let (imap, lmtp) = (daemon.imap_addr(), daemon.lmtp_addr());
    Dovecot::start(&Kind::Imapc {
        imap,
        lmtp,
        password: BACKEND_PASSWORD.to_owned(),
    })
}

/// Dovecot in front of our daemon, whose bodies are in the store alone once there is enough other mail.
pub(crate) struct Ours {
    daemon: Daemon,
    front: Dovecot,
    store: TempDir,
}

impl Ours {
    pub(crate) fn start(binary: &str) -> Ours {
        let store = place::scratch("store");
        let cold = store.path().join("cold");
        // The front stays when the daemon is started anew.
        let [imap, lmtp] = [ports::one(), ports::one()].map(|port| format!("127.0.0.1:{port}"));
        let options = Options::new(binary)
            .text("imap", "listen", &imap)
            .text("lmtp", "listen", &lmtp)
            .text("hot", "local_bodies", "0")
            .text("journal", "segment_size", "1MiB")
            .text("cold", "url", &format!("file://{}", cold.display()));
        let (daemon, front) = with_a_front(options);
        Ours {
            daemon,
            front,
            store,
        }
    }

    /// Where the store is, and where it is while it is away.
    fn places(&self) -> [PathBuf; 2] {
        ["cold", "aside"].map(|name| self.store.path().join(name))
    }

    /// A body that is sealed is in the store alone when no sealed segment is left here.
    fn wait_for_eviction(&self) {
        let journal = self.daemon.data_dir().join("shards/0001/journal");
        wait::until("no sealed segment to be local", EVICTED_WITHIN, || {
            let entries = fs::read_dir(&journal).must("listing the journal");
            let mut paths = entries.map(|entry| entry.must("an entry of the journal").path());
            !paths.any(|path| path.extension().is_some_and(|kind| kind == "seg"))
        });
    }

    /// Whether our own port gives no body of INBOX. It must say that with its code, and mark nothing as seen.
    fn says_away(&self) -> bool {
        let mut imap = Imap::login(self.daemon.imap_addr(), USER, BACKEND_PASSWORD);
        imap.command("SELECT INBOX").ok();
        // Peeked at first: a body that is still there must not be marked by the question.
        let peeked = imap.command("FETCH 1:* BODY.PEEK[]");
        if !peeked.fetches().is_empty() {
            return false;
        }
        let flags = "FETCH 1:* FLAGS";
        let before = imap.command(flags).ok().untagged;
        for reply in [peeked, imap.command("FETCH 1:* BODY[]")] {
            assert_eq!(reply.code("UNAVAILABLE"), Some(vec![]), "{reply:?}");
            assert!(reply.fetches().is_empty(), "a body that is away: {reply:?}");
        }
        assert_eq!(imap.command(flags).ok().untagged, before);
        true
    }
}

impl Server for Ours {
    fn imap_addr(&self) -> SocketAddr {
        self.front.imap_addr()
    }

    fn lmtp_addr(&self) -> SocketAddr {
        self.front.lmtp_addr()
    }

    fn take_away(&mut self) {
        let mut lmtp = self.daemon.lmtp();
        for number in 0..FILLER_BYTES / FILLER_MAIL_BYTES {
            lmtp.deliver("a@example.org", FILLER, &filler(number));
        }
        let [cold, aside] = self.places();
        wait::until("the bodies to be in the store only", EVICTED_WITHIN, || {
            // A start begins with empty caches.
            self.daemon.restart();
            self.wait_for_eviction();
            rename(&cold, &aside);
            let away = self.says_away();
            if !away {
                rename(&aside, &cold);
            }
            away
        });
    }

    fn give_back(&mut self) {
        let [cold, aside] = self.places();
        rename(&aside, &cold);
    }
}

/// A message that does not compress to nothing.
fn filler(number: usize) -> Vec<u8> {
    let mut dice = Dice::new(number as u64);
    let mut text = format!("Subject: {number}\r\n\r\n");
    while text.len() < FILLER_MAIL_BYTES {
        let words = [0; 4].map(|_| format!("{:016x}", dice.draw()));
        text.push_str(&words.join(" "));
        text.push_str("\r\n");
    }
    text.into_bytes()
}

fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).must("moving the store");
}

/// Dovecot on a Maildir, asked directly or by Dovecot in front of it.
pub(crate) struct OnMaildir {
    back: Dovecot,
    front: Option<Dovecot>,
}

impl OnMaildir {
    pub(crate) fn start() -> OnMaildir {
        OnMaildir {
            back: Dovecot::start(&Kind::Maildir),
            front: None,
        }
    }

    pub(crate) fn behind_dovecot() -> OnMaildir {
        let back = Dovecot::start(&Kind::Maildir);
        let front = Kind::Imapc {
            imap: back.imap_addr(),
            lmtp: back.lmtp_addr(),
            password: PASSWORD.to_owned(),
        };
        OnMaildir {
            back,
            front: Some(Dovecot::start(&front)),
        }
    }

    fn asked(&self) -> &Dovecot {
        self.front.as_ref().unwrap_or(&self.back)
    }

    /// Sets the mode of INBOX's files. Dovecot's mail processes are not root: without rights they cannot read what they own.
    fn set_mode(&self, mode: u32) {
        let maildir = self.back.dir().join("mail").join(USER);
        let mut mails = 0;
        for part in ["cur", "new"] {
            for entry in fs::read_dir(maildir.join(part)).must("listing the Maildir") {
                let path = entry.must("an entry of the Maildir").path();
                fs::set_permissions(path, Permissions::from_mode(mode)).must("chmod of a mail");
                mails += 1;
            }
        }
        assert!(mails > 0, "no mail in {}", maildir.display());
    }
}

impl Server for OnMaildir {
    fn imap_addr(&self) -> SocketAddr {
        self.asked().imap_addr()
    }

    fn lmtp_addr(&self) -> SocketAddr {
        self.asked().lmtp_addr()
    }

    fn take_away(&mut self) {
        self.set_mode(0o000);
    }

    fn give_back(&mut self) {
        self.set_mode(0o600);
    }
}
