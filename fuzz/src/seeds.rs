//! What is mutated: recorded dialogues, examples of RFCs, real mail, and files as version 1 of the formats wrote them.

use std::fs;
use std::path::PathBuf;

use coldpost_testkit::tool::{NPM, TAR};
use coldpost_testkit::{Must, corpus, place};

/// Messages of the corpus: every so many of them.
const MAIL_STEP: usize = 40;
/// Bytes of the largest message that is a seed.
const MAIL_MAX: usize = 32 * 1024;

/// What the clients of the IMAP dialogues send: one seed for each connection, and for each file one with all that its clients say.
pub(crate) fn imap_dialogues() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (_, text) in files("server/tests/dialogues", "txt") {
        let said = |who: fn(&str) -> bool| -> Vec<u8> {
            let lines = text.lines().filter_map(|line| line.split_once(": "));
            let spoken = lines.filter(|(side, _)| side.starts_with('C') && who(side));
            spoken.flat_map(|(_, what)| client_line(what)).collect()
        };
        let one = said(|side| side == "C");
        let all = said(|_| true);
        if all != one {
            seeds.push(said(|side| side != "C"));
            seeds.push(all);
        }
        seeds.push(one);
    }
    seeds
}

/// Queries in the text form, one a line.
pub(crate) fn queries() -> Vec<Vec<u8>> {
    let lines = include_str!("../seeds/query.txt").lines();
    lines.map(|line| line.as_bytes().to_vec()).collect()
}

/// A client's line as the dialogues write it: `@MESSAGE` for a literal, `${name}` for a number, `\xNN` for an octet.
fn client_line(what: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for word in what.split_inclusive(' ') {
        let name = word
            .strip_prefix('@')
            .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
        match name {
            Some(name) => {
                let plus = if name.trim_end().ends_with('!') {
                    ""
                } else {
                    "+"
                };
                let body = message(name.trim_end_matches(['!', ' ']));
                out.extend_from_slice(format!("{{{}{plus}}}\r\n", body.len()).as_bytes());
                out.extend_from_slice(&body);
            }
            None => out.extend_from_slice(&unescape(&without_names(word))),
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// With 1 for every `${name}`.
fn without_names(word: &str) -> String {
    let mut pieces = word.split("${");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (_, rest) = piece.split_once('}').unwrap_or(("", piece));
        out.push('1');
        out.push_str(rest);
    }
    out
}

fn unescape(word: &str) -> Vec<u8> {
    let mut pieces = word.split("\\x");
    let mut out = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        match piece
            .split_at_checked(2)
            .and_then(|(octet, rest)| Some((u8::from_str_radix(octet, 16).ok()?, rest)))
        {
            Some((octet, rest)) => {
                out.push(octet);
                out.extend_from_slice(rest.as_bytes());
            }
            None => out.extend_from_slice(format!("\\x{piece}").as_bytes()),
        }
    }
    out
}

/// A message of the dialogues.
pub(crate) fn message(name: &str) -> Vec<u8> {
    let path = place::workspace().join(format!("server/tests/dialogues/messages/{name}.eml"));
    let text = fs::read_to_string(&path).must("reading a message of the dialogues");
    text.replace('\n', "\r\n").into_bytes()
}

/// Dialogues of one of our files: they stand between lines that are `%%`.
pub(crate) fn written(text: &str) -> Vec<Vec<u8>> {
    text.split("%%\n")
        .map(|one| one.replace('\n', "\r\n").into_bytes())
        .collect()
}

/// Real mail, where it can be had, and the torture files; the smaller ones.
pub(crate) fn mail() -> Vec<Vec<u8>> {
    let has_corpus = [NPM, TAR].iter().all(|tool| tool.find().is_some());
    let real = if has_corpus {
        corpus::spam_assassin()
    } else {
        &[]
    };
    let mails = real.iter().step_by(MAIL_STEP).chain(corpus::torture());
    let small = mails.filter(|(_, mail)| mail.len() <= MAIL_MAX);
    small.map(|(_, mail)| corpus::crlf(mail)).collect()
}

/// Settings of every section.
pub(crate) fn settings() -> Vec<Vec<u8>> {
    let whole = include_str!("../seeds/coldpost.toml");
    let mut seeds = vec![whole.as_bytes().to_vec()];
    let sections = whole.split("\n[").skip(1);
    seeds.extend(sections.map(|section| format!("[{section}\n").into_bytes()));
    seeds
}

/// Files below `dir` of the workspace whose names end so, in the order of their names: path and text.
fn files(dir: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let dir = place::workspace().join(dir);
    let entries = fs::read_dir(&dir).must(&format!("reading {}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.must("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == ending));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).must("reading a dialogue");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// A file of the kept store of version 1.
pub(crate) fn kept(path: &str) -> Vec<u8> {
    let path = place::workspace().join("cli/tests/fixtures/v1").join(path);
    fs::read(&path).must(&format!("reading {}", path.display()))
}

/// The files below a folder of the kept store of version 1 that is compacted.
pub(crate) fn kept_objects(folder: &str) -> Vec<Vec<u8>> {
    let dir = place::workspace()
        .join("cli/tests/fixtures/v1-cold")
        .join(folder);
    let read = |path: PathBuf| fs::read(&path).must(&format!("reading {}", path.display()));
    place::files(&dir).into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialogues_of_every_extension_are_fed() {
        let all = imap_dialogues().concat();
        for said in [
            "(QRESYNC (",
            "VANISHED",
            "BINARY[",
            "BINARY.SIZE[",
            " ~{",
            "(UNCHANGEDSINCE ",
            "YOUNGER ",
            "RETURN (",
            "IDLE",
            "ENABLE ",
        ] {
            let is_fed = all.windows(said.len()).any(|at| at == said.as_bytes());
            assert!(is_fed, "{said}");
        }
        let one = [&message("hello")[..], b" (\\Seen) "].concat();
        assert!(all.windows(one.len()).any(|at| at == one), "MULTIAPPEND");
    }

    #[test]
    fn a_client_line_is_what_the_dialogue_runner_sends() {
        let line = |text| String::from_utf8_lossy(&client_line(text)).into_owned();
        assert_eq!(
            line("a1 UID FETCH ${uid}:* (FLAGS)"),
            "a1 UID FETCH 1:* (FLAGS)\r\n"
        );
        assert_eq!(
            client_line("a2 CREATE \\xffx\\\\Seen"),
            b"a2 CREATE \xffx\\\\Seen\r\n"
        );
        let hello = message("hello");
        assert!(
            client_line("a3 APPEND INBOX @hello!  @hello")
                .starts_with(format!("a3 APPEND INBOX {{{}}}\r\n", hello.len()).as_bytes())
        );
        assert!(
            client_line("a3 APPEND INBOX @hello!")
                .starts_with(format!("a3 APPEND INBOX {{{}}}\r\n", hello.len()).as_bytes())
        );
        assert!(client_line("a3 APPEND INBOX @hello").ends_with(&[&hello[..], b"\r\n"].concat()));
    }
}
