//! The files of the repository as the checks see them: text, and code with comments and strings blanked out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file.
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Of a Rust file: comments, strings and characters replaced by blanks, lines kept. Of others: empty.
    pub(crate) code: String,
}

impl Source {
    fn new(path: String, text: String) -> Source {
        let code = if path.ends_with(".rs") {
            blank(&text)
        } else {
            String::new()
        };
        Source { path, text, code }
    }

    /// `path:line` of a byte offset.
    pub(crate) fn place(&self, offset: usize) -> String {
        let line = self.text.as_bytes()[..offset.min(self.text.len())]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        format!("{}:{line}", self.path)
    }

    /// Offsets where `word` stands in the code, not as a part of a longer name.
    pub(crate) fn words(&self, word: &str) -> Vec<usize> {
        let part_of_name = |byte: Option<u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let bytes = self.code.as_bytes();
        let found = self.code.match_indices(word).map(|(at, _)| at);
        let whole = found.filter(|at| {
            let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
            let ends_in_name = word.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let after = bytes.get(at + word.len()).copied();
            !(part_of_name(before) || ends_in_name && part_of_name(after))
        });
        whole.collect()
    }
}

/// All files that git knows or would take.
pub(crate) struct Tree {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Every path, also of files that are not text.
    paths: Vec<String>,
    /// The text files in the order of their paths.
    pub(crate) files: Vec<Source>,
}

impl Tree {
    /// Reads the repository; binary files are left out.
    pub(crate) fn load() -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the crate has a parent")
            .to_owned();
        let mut git = Command::new("git");
        git.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(&root);
        let listed = git.output().expect("running git ls-files");
        assert!(
            listed.status.success(),
            "git ls-files failed: {}",
            String::from_utf8_lossy(&listed.stderr)
        );
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let paths = listed.split('\0').filter(|path| root.join(path).is_file());
        let paths: Vec<String> = paths.map(str::to_owned).collect();
        let read = |path: &String| {
            Some(Source::new(
                path.clone(),
                fs::read_to_string(root.join(path)).ok()?,
            ))
        };
        let mut files: Vec<Source> = paths.iter().filter_map(read).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Tree { root, paths, files }
    }

    /// Of given files, to try the checks on.
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let source =
            |(path, text): &(&str, &str)| Source::new((*path).to_owned(), (*text).to_owned());
        let files: Vec<Source> = files.iter().map(source).collect();
        let paths = files.iter().map(|file| file.path.clone()).collect();
        Tree {
            root: PathBuf::from("/nowhere"),
            paths,
            files,
        }
    }

    /// The Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The Rust files of a crate's product code: below `src/`, no test modules.
    pub(crate) fn product(&self) -> impl Iterator<Item = &Source> {
        let tests = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
        self.rust()
            .filter(move |file| file.path.contains("/src/") && !tests(&file.path))
    }

    /// A file by its path.
    pub(crate) fn file(&self, path: &str) -> Option<&Source> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a path is one of the files, or a directory above one.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let below = |known: &String| {
            known == path
                || known
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        path.is_empty() || self.paths.iter().any(below)
    }
}

/// Rust text with comments, strings and character literals blanked; newlines stay.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => find(bytes, at, b"\n"),
            b'/' if bytes[at..].starts_with(b"/*") => find(bytes, at + 2, b"*/") + 2,
            b'r' | b'b' if raw_string(bytes, at).is_some() => {
                raw_string(bytes, at).unwrap_or(at + 1)
            }
            b'"' => quoted(bytes, at + 1, b'"'),
            b'\'' if character(bytes, at) => quoted(bytes, at + 1, b'\''),
            _ => {
                at += 1;
                continue;
            }
        };
        let end = end.min(bytes.len());
        out[at..end]
            .iter_mut()
            .filter(|byte| **byte != b'\n')
            .for_each(|byte| *byte = b' ');
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(what.len())
        .position(|window| window == what)
        .map_or(bytes.len(), |at| from + at)
}

fn quoted(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Where a raw string that begins at `at` ends.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let named = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    let rest = bytes[at..]
        .strip_prefix(b"b")
        .unwrap_or(&bytes[at..])
        .strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    if named || rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let start = bytes.len() - rest.len() + hashes + 1;
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    Some(find(bytes, start, &close) + close.len())
}

/// Whether the quote at `at` opens a character and no lifetime.
fn character(bytes: &[u8], at: usize) -> bool {
    let one = match bytes.get(at + 1) {
        Some(b'\\') => return true,
        Some(0xF0..) => 4,
        Some(0xE0..) => 3,
        Some(0xC0..) => 2,
        _ => 1,
    };
    bytes.get(at + 1 + one) == Some(&b'\'')
}
