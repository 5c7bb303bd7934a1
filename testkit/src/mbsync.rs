//! mbsync with a Maildir on the near side.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::must::Must;
use crate::{place, tool};

/// One account, synchronised both ways by `run`.
#[derive(Debug)]
pub struct Mbsync {
    scratch: TempDir,
}

impl Mbsync {
    /// Of `user` at the server; all mailboxes, both ways, deletions included.
    pub fn new(server: SocketAddr, user: &str, password: &str) -> Mbsync {
        let host = server.ip().to_string();
        Mbsync::told(&host, server.port(), user, password, "SSLType None")
    }

    /// The same in TLS (`how` is `STARTTLS` or `IMAPS`) with a server on this machine whose certificate is the one in that file.
    pub fn in_tls(how: &str, port: u16, user: &str, password: &str, trusted: &Path) -> Mbsync {
        let tls = format!("SSLType {how}\nCertificateFile {}", trusted.display());
        Mbsync::told("localhost", port, user, password, &tls)
    }

    fn told(host: &str, port: u16, user: &str, password: &str, tls: &str) -> Mbsync {
        let scratch = place::scratch("mbsync");
        let base = scratch.path().display().to_string();
        fs::create_dir(scratch.path().join("mail")).must("making the Maildir's directory");
        let text = format!(
            "FSync no\n\nIMAPAccount far\nHost {host}\nPort {port}\nUser {user}\nPass {password}\n{tls}\nAuthMechs LOGIN\n\n\
             IMAPStore far\nAccount far\n\n\
             MaildirStore near\nPath {base}/mail/\nInbox {base}/mail/INBOX\nSubFolders Verbatim\n\n\
             Channel both\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
        );
        fs::write(scratch.path().join("mbsyncrc"), text).must("writing mbsyncrc");
        Mbsync { scratch }
    }

    /// One run over everything; what it said with `-V`.
    ///
    /// # Panics
    /// Unless it ends with success.
    #[track_caller]
    pub fn run(&self) -> String {
        let mut command = Command::new(tool::MBSYNC.path());
        command
            .arg("-V")
            .arg("-c")
            .arg(self.scratch.path().join("mbsyncrc"))
            .arg("-a");
        command.env("HOME", self.scratch.path());
        let output = command.output().must("running mbsync");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(
            output.status.success(),
            "mbsync ended with {}\n{text}",
            output.status
        );
        text
    }

    /// The Maildir of a mailbox.
    pub fn maildir(&self, mailbox: &str) -> PathBuf {
        self.scratch.path().join("mail").join(mailbox)
    }

    /// The message files of a mailbox in the order in which they came: their names begin with second, process and number.
    pub fn messages(&self, mailbox: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for part in ["cur", "new"] {
            let Ok(entries) = fs::read_dir(self.maildir(mailbox).join(part)) else {
                continue;
            };
            files.extend(entries.map(|entry| entry.must("reading the Maildir").path()));
        }
        let came = |path: &PathBuf| -> Vec<u64> {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            let numbers = name.split(|c: char| !c.is_ascii_digit());
            numbers.filter_map(|number| number.parse().ok()).collect()
        };
        files.sort_by_key(came);
        files
    }
}
