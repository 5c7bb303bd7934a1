//! Runs the script against a server and writes down the answers without what may differ from server to server.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use coldpost_testkit::imap::{Imap, Reply};
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::{Must, wait};

use crate::messages::message;

const SCRIPT: &str = include_str!("script.txt");
const USER: &str = "u@example.org";

/// How many commands the script has.
pub(crate) fn commands() -> usize {
    lines().filter(|line| !line.starts_with("deliver")).count()
}

fn lines() -> impl Iterator<Item = &'static str> {
    SCRIPT
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The normalised transcript of one server: an entry a command, with the command as its first line.
pub(crate) fn run(imap: SocketAddr, lmtp: SocketAddr, password: &str) -> Vec<String> {
    let mut sessions: BTreeMap<char, Imap> = BTreeMap::new();
    let mut transcript = Vec::new();
    for line in lines() {
        let (line, compared) = line
            .strip_prefix('?')
            .map_or((line, true), |line| (line, false));
        let answer = if let Some(name) = line.strip_prefix("deliver @") {
            Lmtp::connect(lmtp).deliver("sender@example.org", USER, &message(name));
            String::from("delivered")
        } else {
            let (session, command) = line.split_once(' ').must("a command in the script");
            let session = session.chars().next().must("a session's letter");
            let session = sessions
                .entry(session)
                .or_insert_with(|| Imap::connect(imap));
            answer(session, command, password)
        };
        if compared {
            transcript.push(format!("{line}\n{answer}"));
        }
    }
    transcript
}

fn answer(session: &mut Imap, command: &str, password: &str) -> String {
    if let Some(rest) = command.strip_prefix("append ") {
        let (options, name) = rest.rsplit_once(" @").must("a message's name in an append");
        let (mailbox, options) = options.split_once(' ').must("options of an append");
        return normalised(
            &session
                .try_append(mailbox, options, &message(name))
                .must("APPEND"),
            true,
        );
    }
    let command = command
        .replace("PASSWORD", password)
        .replace("\\r\\n", "\r\n");
    // What another session did is told with the first command that may tell it; a front end needs a moment more.
    let patient = command == "NOOP";
    let mut reply = session.command(&command);
    if patient {
        wait::try_until(std::time::Duration::from_millis(400), || {
            let more = session.command("NOOP");
            reply.untagged.extend(more.untagged);
            false
        });
        reply.untagged = last_of_each(reply.untagged);
    }
    normalised(&reply, !patient)
}

/// Of several announcements of the same thing the last.
fn last_of_each(untagged: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let kind = |line: &[u8]| -> Vec<u8> {
        let text = String::from_utf8_lossy(line);
        let words: Vec<&str> = text.splitn(3, ' ').collect();
        match words.as_slice() {
            [_, "EXISTS" | "RECENT", ..] => words[1].as_bytes().to_vec(),
            [number, "FETCH", ..] => format!("{number} FETCH").into_bytes(),
            _ => line.to_vec(),
        }
    };
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for line in untagged {
        if let Some(same) = kept.iter_mut().find(|earlier| kind(earlier) == kind(&line)) {
            *same = line;
        } else {
            kept.push(line);
        }
    }
    kept
}

/// Untagged answers and the end, without texts for people, dates of delivery, modseqs and UIDVALIDITY.
fn normalised(reply: &Reply, in_order: bool) -> String {
    let mut lines: Vec<String> = reply
        .untagged
        .iter()
        .filter_map(|line| normalised_line(line))
        .collect();
    // Nothing orders LIST answers; Dovecot gives them as the directory has them.
    if !in_order
        || lines
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

fn without_modseq(text: &str) -> String {
    let Some((before, rest)) = text.split_once("MODSEQ (") else {
        return text.to_owned();
    };
    let after = rest
        .split_once(')')
        .map(|(_, after)| after)
        .unwrap_or_default();
    format!("{}{}", before.trim_end(), after)
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
