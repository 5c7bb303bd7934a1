//! Runs the script against a server and writes down the answers without what may differ from server to server.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use coldpost_testkit::dovecot::PASSWORD;
use coldpost_testkit::imap::{Imap, Reply};
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::{Must, wait};

use crate::USER;
use crate::messages::message;
use crate::servers::Server;

const SCRIPT: &str = include_str!("script.txt");
/// Until a session must have been told what another one did.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// How many commands the script has.
pub(crate) fn commands() -> usize {
    let not_commands = ["deliver", "away", "back"];
    lines()
        .filter(|line| !not_commands.iter().any(|word| line.starts_with(word)))
        .count()
}

fn lines() -> impl Iterator<Item = &'static str> {
    SCRIPT
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The normalised transcript of one server: an entry a command, with the command as its first line. A session is connected when the
/// script first names it; one that has ended is not named again.
pub(crate) fn run(server: &mut dyn Server) -> Vec<String> {
    let mut sessions: BTreeMap<char, Imap> = BTreeMap::new();
    let mut transcript = Vec::new();
    for line in lines() {
        let (line, compared) = line
            .strip_prefix('?')
            .map_or((line, true), |line| (line, false));
        let answer = done_to(server, line).unwrap_or_else(|| {
            let (session, command) = line.split_once(' ').must("a command in the script");
            let session = session.chars().next().must("a session's letter");
            let session = sessions
                .entry(session)
                .or_insert_with(|| Imap::connect(server.imap_addr()));
            answer(session, command)
        });
        if compared {
            transcript.push(format!("{line}\n{answer}"));
        }
    }
    transcript
}

/// What the script does to the server past its sessions; none for a line that is a session's.
fn done_to(server: &mut dyn Server, line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("deliver @") {
        let mut lmtp = Lmtp::connect(server.lmtp_addr());
        lmtp.deliver("sender@example.org", USER, &message(name));
        return Some(String::from("delivered"));
    }
    match line {
        "away" => server.take_away(),
        "back" => server.give_back(),
        _ => return None,
    }
    Some(String::from("done"))
}

fn answer(session: &mut Imap, command: &str) -> String {
    if let Some(rest) = command.strip_prefix("append ") {
        let (options, name) = rest.rsplit_once(" @").must("a message's name in an append");
        let (mailbox, options) = options.split_once(' ').must("options of an append");
        return normalised(
            &session
                .try_append(mailbox, options, &message(name))
                .must("APPEND"),
        );
    }
    if let Some(expected) = command.strip_prefix("await ") {
        return awaited(session, expected);
    }
    if let Some(command) = command.strip_prefix("fails ") {
        return failure(session, command);
    }
    let command = command
        .replace("PASSWORD", PASSWORD)
        .replace("\\r\\n", "\r\n");
    normalised(&session.command(&command))
}

/// What a command is told that the server cannot carry out now, to its tagged answer or the end of the connection. One that is
/// carried out ends the run: a script in which nothing fails is the same everywhere.
fn failure(session: &mut Imap, command: &str) -> String {
    session
        .send(format!("x {command}\r\n").as_bytes())
        .must("sending a command");
    let mut told = Vec::new();
    loop {
        let line = match session.response() {
            Err(end) if end.kind() == ErrorKind::UnexpectedEof => {
                told.push(String::from("(the connection ended)"));
                return told.join("\n");
            }
            line => line.must(command),
        };
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if let Some(end) = text.strip_prefix("x ") {
            assert!(!end.starts_with("OK"), "{command} did not fail: {told:#?}");
            told.push(end.split(' ').next().unwrap_or_default().to_owned());
            return told.join("\n");
        }
        told.extend(normalised_line(text.trim_start_matches("* ").as_bytes()));
    }
}

/// What another session did is told with the first command that may tell it, and a front end needs a moment more: NOOP until the
/// line comes; it alone is written down.
fn awaited(session: &mut Imap, expected: &str) -> String {
    let what = format!("the server to tell {expected}");
    wait::until_some(&what, TOLD_WITHIN, || {
        let reply = session.command("NOOP").ok();
        let mut lines = reply.untagged.iter().filter_map(|l| normalised_line(l));
        lines.find(|line| line.starts_with(expected))
    })
}

/// Untagged answers and the end, without texts for people, dates of delivery, modseqs and UIDVALIDITY.
fn normalised(reply: &Reply) -> String {
    let mut lines: Vec<String> = reply
        .untagged
        .iter()
        .filter_map(|line| normalised_line(line))
        .collect();
    // Nothing orders LIST answers; Dovecot gives them as the directory has them.
    if lines
        .iter()
        .any(|line| line.starts_with("LIST ") || line.starts_with("LSUB "))
    {
        lines.sort();
    }
    let code = reply
        .text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'));
    let code = code
        .map(|(code, _)| format!(" [{}]", without_validity(code)))
        .unwrap_or_default();
    // imapc does not pass on why something was refused.
    let code = if reply.status != "OK" || code.starts_with(" [CAPABILITY") {
        String::new()
    } else {
        code
    };
    lines.push(format!("{}{code}", reply.status));
    lines.join("\n")
}

fn normalised_line(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line).into_owned();
    if text.ends_with(" RECENT") || text.starts_with("CAPABILITY") || text.starts_with("ID ") {
        return None;
    }
    if let Some(rest) = text.strip_prefix("OK [") {
        let (code, _) = rest.split_once(']')?;
        let name = code.split(' ').next().unwrap_or_default();
        return match name {
            "UIDVALIDITY" | "HIGHESTMODSEQ" | "NOMODSEQ" => Some(format!("OK [{name}]")),
            _ => Some(format!("OK [{}]", without_validity(code))),
        };
    }
    if let Some((_, rest)) = text
        .strip_prefix("ESEARCH (TAG ")
        .and_then(|rest| rest.split_once(')'))
    {
        return Some(format!("ESEARCH{rest}"));
    }
    for status in ["BYE", "OK", "NO", "BAD"] {
        if text.starts_with(&format!("{status} ")) {
            return Some(status.to_owned());
        }
    }
    Some(without_dates(&without_modseq(
        &text.replace(" \\Recent", "").replace("\\Recent", ""),
    )))
}

fn without_validity(code: &str) -> String {
    let words: Vec<&str> = code.split(' ').collect();
    match words.as_slice() {
        [name @ ("APPENDUID" | "COPYUID"), _, rest @ ..] => format!("{name} V {}", rest.join(" ")),
        ["HIGHESTMODSEQ" | "MODIFIED", ..] => words[0].to_owned(),
        _ => code.to_owned(),
    }
}

/// Of FETCH (`MODSEQ (7)`), SEARCH (`(MODSEQ 7)`) and STATUS (`HIGHESTMODSEQ 7`): the word stays, the number goes.
fn without_modseq(text: &str) -> String {
    let Some((before, rest)) = text.split_once("MODSEQ ") else {
        return text.to_owned();
    };
    let rest = match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')').map_or("", |(_, after)| after),
        None => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
    };
    format!("{before}MODSEQ{rest}")
}

/// The date of a delivery or of an APPEND without one is this year's; such dates become `NOW`.
fn without_dates(text: &str) -> String {
    let Some((before, rest)) = text.split_once("INTERNALDATE \"") else {
        return text.to_owned();
    };
    let Some((date, after)) = rest.split_once('"') else {
        return text.to_owned();
    };
    let old = date.contains("-2003 ");
    format!(
        "{before}INTERNALDATE {}{after}",
        if old { date } else { "NOW" }
    )
}
