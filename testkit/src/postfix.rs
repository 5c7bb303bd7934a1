//! A private Postfix: SMTP on a free port in, LMTP out, nothing rewritten on the way.
//!
//! Promises: configuration, queue and data in a scratch directory; the machine's own Postfix is not touched. Needs root.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::must::Must;
use crate::process::{self, Process};
use crate::{lmtp::Lmtp, lmtp::Reply, place, ports, tool};

const START_WITHIN: Duration = Duration::from_secs(60);

/// The services that such an instance needs: name, type, private, wakeup, processes, program.
const SERVICES: &[(&str, &str, &str, &str, &str)] = &[
    ("pickup", "unix", "60", "1", "pickup"),
    ("cleanup", "unix", "-", "0", "cleanup"),
    ("qmgr", "unix", "300", "1", "qmgr"),
    ("rewrite", "unix", "-", "-", "trivial-rewrite"),
    ("bounce", "unix", "-", "0", "bounce"),
    ("defer", "unix", "-", "0", "bounce"),
    ("trace", "unix", "-", "0", "bounce"),
    ("verify", "unix", "-", "1", "verify"),
    ("flush", "unix", "1000", "0", "flush"),
    ("proxymap", "unix", "-", "-", "proxymap"),
    ("error", "unix", "-", "-", "error"),
    ("retry", "unix", "-", "-", "error"),
    ("discard", "unix", "-", "-", "discard"),
    ("lmtp", "unix", "-", "-", "lmtp"),
    ("tlsmgr", "unix", "1000", "1", "tlsmgr"),
    ("anvil", "unix", "-", "1", "anvil"),
    ("scache", "unix", "-", "1", "scache"),
    ("postlog", "unix-dgram", "-", "1", "postlogd"),
];

/// A running Postfix.
#[derive(Debug)]
pub struct Postfix {
    process: Process,
    smtp: u16,
    scratch: TempDir,
}

impl Postfix {
    /// Starts it; mail for each domain goes to the LMTP destination beside it (`unix:/path`, `inet:127.0.0.1:24`).
    pub fn start(transports: &[(&str, &str)]) -> Postfix {
        Postfix::start_with(transports, "")
    }

    /// The same with more lines of main.cf.
    pub fn start_with(transports: &[(&str, &str)], settings: &str) -> Postfix {
        let smtp = ports::one();
        let scratch = place::scratch("postfix");
        let base = scratch.path().to_owned();
        let (config, queue, data) = (base.join("etc"), base.join("queue"), base.join("data"));
        for dir in [&config, &queue, &data] {
            fs::create_dir(dir).must("making Postfix's directories");
        }
        let postfix = user_id("postfix");
        chown(&data, Some(postfix), None).must("giving Postfix its data directory");
        let main = main_cf(&base, transports) + settings;
        fs::write(config.join("main.cf"), main).must("writing main.cf");
        fs::write(config.join("master.cf"), master_cf(smtp)).must("writing master.cf");
        // `check` makes the queue's directories. `postfix start-fg` would leave its master behind a shell, so that is
        // started directly; it ends its children by its process group, which has to be one of its own.
        process::run(
            Command::new(tool::POSTFIX.path())
                .arg("-c")
                .arg(&config)
                .arg("check"),
        );
        let mut command = Command::new("/usr/lib/postfix/sbin/master");
        command.arg("-c").arg(&config).arg("-d").process_group(0);
        let mut process = Process::start("postfix", &mut command, &base.join("out"));
        process.wait_until("its SMTP port", START_WITHIN, || {
            Smtp::try_connect(address(smtp)).is_ok()
        });
        Postfix {
            process,
            smtp,
            scratch,
        }
    }

    /// Where SMTP listens.
    pub fn smtp_addr(&self) -> SocketAddr {
        address(self.smtp)
    }

    /// A session that hands over mail.
    pub fn smtp(&self) -> Smtp {
        Smtp::try_connect(self.smtp_addr()).must("an SMTP session with Postfix")
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }

    /// Tries what is deferred again, now.
    pub fn flush(&self) {
        process::run(
            Command::new(tool::POSTFIX.path())
                .arg("-c")
                .arg(self.scratch.path().join("etc"))
                .arg("flush"),
        );
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- postfix's log\n{}",
                process::log_end(&self.scratch.path().join("log"))
            );
        }
        self.process.stop();
    }
}

/// An SMTP session: LMTP's commands, one reply after DATA.
#[derive(Debug)]
pub struct Smtp {
    session: Lmtp,
}

impl Smtp {
    /// Connects and says EHLO.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn try_connect(addr: SocketAddr) -> std::io::Result<Smtp> {
        Ok(Smtp {
            session: Lmtp::try_connect_as(addr, "EHLO")?,
        })
    }

    /// Hands over one message; the reply after DATA, or the first that refused.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn send(&mut self, from: &str, to: &[&str], message: &[u8]) -> std::io::Result<Reply> {
        let mut commands = vec![format!("MAIL FROM:<{from}> BODY=8BITMIME")];
        commands.extend(to.iter().map(|to| format!("RCPT TO:<{to}>")));
        for command in commands {
            let reply = self.session.command(&command)?;
            if !reply.is_ok() {
                return Ok(reply);
            }
        }
        let reply = self.session.command("DATA")?;
        if reply.code != 354 {
            return Ok(reply);
        }
        self.session.send(&crate::lmtp::stuffed(message))?;
        self.session.reply()
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn user_id(name: &str) -> u32 {
    let out = process::run(Command::new("id").arg("-u").arg(name));
    String::from_utf8_lossy(&out)
        .trim()
        .parse()
        .must(&format!("the user id of {name}"))
}

fn main_cf(base: &Path, transports: &[(&str, &str)]) -> String {
    let domains: Vec<&str> = transports.iter().map(|(domain, _)| *domain).collect();
    let map: Vec<String> = transports
        .iter()
        .map(|(domain, to)| format!("{{ {domain} = lmtp:{to} }}"))
        .collect();
    let base = base.display();
    format!(
        "compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
maillog_file = {base}/log
maillog_file_prefixes = {base}
myhostname = postfix.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
relay_domains = {domains}
transport_maps = inline:{{ {map} }}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_reject_unlisted_recipient = no
smtputf8_enable = yes
message_size_limit = 104857600
mailbox_size_limit = 0
header_size_limit = 104857600
message_drop_headers =
local_header_rewrite_clients =
lmtp_line_length_limit = 0
lmtp_connection_cache_on_demand = yes
minimal_backoff_time = 5s
queue_run_delay = 5s
biff = no
smtpd_peername_lookup = no
",
        domains = domains.join(", "),
        map = map.join(", "),
    )
}

fn master_cf(smtp: u16) -> String {
    let mut text = format!("127.0.0.1:{smtp} inet n - n - - smtpd\n");
    for (name, kind, wakeup, processes, program) in SERVICES {
        let private = if matches!(*name, "pickup" | "cleanup" | "qmgr" | "flush" | "postlog") {
            "n"
        } else {
            "-"
        };
        let _ = writeln!(
            text,
            "{name} {kind} {private} - n {wakeup} {processes} {program}"
        );
    }
    text
}

/// A unix socket path that Postfix can be told: short enough, in a directory open to its user.
pub fn socket_path(dir: &Path, name: &str) -> PathBuf {
    place::open_to_all(dir);
    dir.join(name)
}
