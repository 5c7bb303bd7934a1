//! A private Dovecot: as a mail store to compare with, or as the `imapc` front end of another IMAP server.
//!
//! Promises: its own configuration, sockets and mail in a scratch directory; every account exists, its password is `PASSWORD`.
//! Needs root, as Dovecot's processes change users.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::imap::Imap;
use crate::lmtp::Lmtp;
use crate::must::Must;
use crate::process::Process;
use crate::{place, ports, tool};

/// The password of every account.
pub const PASSWORD: &str = "pw";

const START_WITHIN: Duration = Duration::from_secs(30);

/// What lies behind it.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Maildir, every write synced.
    Maildir,
    /// mdbox with zstd, attachments in files of their own, every write synced.
    Mdbox,
    /// mdbox with zstd and nothing else, every write synced.
    MdboxWhole,
    /// Another IMAP server, asked as the user with `password`; LMTP is relayed to `lmtp`.
    Imapc {
        /// Where its IMAP is.
        imap: SocketAddr,
        /// Where its LMTP is.
        lmtp: SocketAddr,
        /// A password that is right for every user (`backend_password`).
        password: String,
    },
}

/// A running Dovecot.
#[derive(Debug)]
pub struct Dovecot {
    process: Process,
    imap: u16,
    lmtp: u16,
    scratch: TempDir,
}

impl Dovecot {
    /// Starts it and waits until both ports answer.
    pub fn start(kind: &Kind) -> Dovecot {
        Dovecot::start_with(kind, "")
    }

    /// The same with more lines of dovecot.conf, which count more than those before them.
    pub fn start_with(kind: &Kind, settings: &str) -> Dovecot {
        let ports = ports::free(2);
        let (imap, lmtp) = (ports[0], ports[1]);
        let scratch = place::scratch("dovecot");
        let base = scratch.path();
        for dir in ["run", "mail", "home"] {
            let dir = base.join(dir);
            fs::create_dir(&dir).must("making Dovecot's directories");
            if !dir.ends_with("run") {
                place::writable_by_all(&dir);
            }
        }
        let config = base.join("dovecot.conf");
        let text = configuration(kind, base, imap, lmtp) + settings;
        fs::write(&config, text).must("writing dovecot.conf");
        let mut command = Command::new(tool::DOVECOT.path());
        command.arg("-F").arg("-c").arg(&config);
        let mut process = Process::start("dovecot", &mut command, &base.join("log"));
        process.wait_until("its ports", START_WITHIN, || {
            let imap =
                Imap::try_connect(address(imap)).is_ok_and(|imap| imap.greeting.starts_with("OK"));
            imap && Lmtp::try_connect(address(lmtp)).is_ok()
        });
        Dovecot {
            process,
            imap,
            lmtp,
            scratch,
        }
    }

    /// Where IMAP listens.
    pub fn imap_addr(&self) -> SocketAddr {
        address(self.imap)
    }

    /// Where LMTP listens.
    pub fn lmtp_addr(&self) -> SocketAddr {
        address(self.lmtp)
    }

    /// A session that is logged in.
    pub fn imap(&self, user: &str) -> Imap {
        Imap::login(self.imap_addr(), user, PASSWORD)
    }

    /// An LMTP session.
    pub fn lmtp(&self) -> Lmtp {
        Lmtp::connect(self.lmtp_addr())
    }

    /// Its directory: `mail/`, `home/`, `log`.
    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// The master's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        self.process.log_end()
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn configuration(kind: &Kind, base: &Path, imap: u16, lmtp: u16) -> String {
    let base = base.display();
    format!(
        "base_dir = {base}/run
state_dir = {base}/run
log_path = {base}/log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
mail_fsync = always
mail_home = {base}/home/%u
mail_max_userip_connections = 200
postmaster_address = postmaster@localhost
lmtp_save_to_detail_mailbox = no
recipient_delimiter = +
namespace inbox {{
  inbox = yes
  separator = /
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={base}/home/%u allow_all_users=yes
}}
service imap-login {{
  process_min_avail = 1
  service_count = 0
  client_limit = 500
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service imap {{
  process_min_avail = 2
}}
service lmtp {{
  process_min_avail = 8
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service anvil {{
  client_limit = 2000
}}
default_vsz_limit = 0
{}",
        store(kind, &base.to_string())
    )
}

fn store(kind: &Kind, base: &str) -> String {
    let own = format!("passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n");
    match kind {
        Kind::Maildir => format!("{own}mail_location = maildir:{base}/mail/%u\n"),
        Kind::Mdbox => format!(
            "{own}mail_location = mdbox:{base}/mail/%u\nmail_plugins = zlib\nmail_attachment_dir = {base}/mail/attachments\n\
             mail_attachment_min_size = 64k\nplugin {{\n  zlib_save = zstd\n  zlib_save_level = 3\n}}\n"
        ),
        Kind::MdboxWhole => format!(
            "{own}mail_location = mdbox:{base}/mail/%u\nmail_plugins = zlib\nplugin {{\n  zlib_save = zstd\n  zlib_save_level = 3\n}}\n"
        ),
        Kind::Imapc {
            imap,
            lmtp,
            password,
        } => format!(
            "mail_location = imapc:{base}/home/%u
imapc_host = {imap_host}
imapc_port = {imap_port}
imapc_user = %u
imapc_password = {password}
imapc_features = rfc822.size fetch-headers fetch-bodystructure search modseq delay-login
imapc_cmd_timeout = 20 secs
passdb {{
  driver = passwd-file
  args = /dev/null
}}
protocol imap {{
{own}}}
protocol lmtp {{
  lmtp_proxy = yes
  passdb {{
    driver = static
    args = nopassword=y proxy=y host={lmtp_host} port={lmtp_port} protocol=lmtp
  }}
}}
",
            imap_host = imap.ip(),
            imap_port = imap.port(),
            lmtp_host = lmtp.ip(),
            lmtp_port = lmtp.port(),
        ),
    }
}
