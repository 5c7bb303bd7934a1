//! `coldpost account add --stdin`: accounts by the thousand.
//!
//! Promises: every line is answered in its order, a bad one with its number and why; the others are done all the same.

use std::io::{self, BufRead};

use coldpost_server::http::wire::{AddAccount, Answer, Answers, Batch};
use coldpost_server::limits::PASSWD_LINE_MAX;
use serde::Serialize;

use super::account::{on_stopped, told};
use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::reach::{Daemon, Reach, runtime};

/// Accounts that are sent together: with their passwords hashed within the time that an answer has.
const BATCH_MAX: usize = 50;
/// Octets of their names and passwords: what a request may have, with room for its punctuation.
const BATCH_BYTES: usize = coldpost_server::http::limits::BODY_MAX / 4;

const _: () = assert!(PASSWD_LINE_MAX <= BATCH_BYTES);

/// Reads lines from standard input to its end and adds what they name.
///
/// # Errors
/// Some lines were not done; the store cannot be reached any more.
pub(super) fn add(checked: &Checked, output: Output) -> Result<(), Failure> {
    match Reach::find(checked)? {
        Reach::Running(daemon) => {
            let send = async |batch: Vec<AddAccount>| send(&daemon, batch);
            let work = Work::new(output).run(io::stdin().lock(), send);
            runtime()?.block_on(work)
        }
        Reach::Stopped => on_stopped(checked, async |accounts| {
            let send = async |batch| {
                let answers = accounts.add(batch).await;
                Ok(answers.into_iter().map(Answer::from).collect())
            };
            Work::new(output).run(io::stdin().lock(), send).await
        }),
    }
}

fn send(daemon: &Daemon, accounts: Vec<AddAccount>) -> Result<Vec<Answer>, Failure> {
    let answers: Answers = daemon.post("/admin/account/batch", &Batch { accounts })?;
    Ok(answers.answers)
}

/// A line and what it asks for.
struct Line {
    number: u64,
    wanted: Result<AddAccount, String>,
}

struct Work {
    output: Output,
    progress: Progress,
    lines: Vec<Line>,
    bytes: usize,
    done: u64,
    failed: u64,
}

/// What is said of a line, as JSON.
#[derive(Serialize)]
struct Said<'a> {
    line: u64,
    #[serde(flatten)]
    answer: &'a Answer,
}

impl Work {
    fn new(output: Output) -> Work {
        Work {
            output,
            progress: Progress::of_lines(),
            lines: Vec::new(),
            bytes: 0,
            done: 0,
            failed: 0,
        }
    }

    async fn run(
        mut self,
        mut input: impl BufRead,
        send: impl AsyncFn(Vec<AddAccount>) -> Result<Vec<Answer>, Failure>,
    ) -> Result<(), Failure> {
        let mut number = 0;
        loop {
            let read = next(&mut input)
                .map_err(|error| Failure::of("standard input cannot be read", &error))?;
            let Some(text) = read else { break };
            number += 1;
            if text
                .as_ref()
                .is_ok_and(|text| text.trim().is_empty() || text.starts_with('#'))
            {
                continue;
            }
            self.bytes += text.as_ref().map_or(0, String::len);
            let wanted = text.map(|text| asked(&text));
            self.lines.push(Line { number, wanted });
            if self.lines.len() >= BATCH_MAX || self.bytes + PASSWD_LINE_MAX > BATCH_BYTES {
                self.flush(&send).await?;
            }
        }
        self.flush(&send).await?;
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::Failed(format!(
                "{failed} of {} lines were not done; they are named above",
                self.done
            ))),
        }
    }

    async fn flush(
        &mut self,
        send: impl AsyncFn(Vec<AddAccount>) -> Result<Vec<Answer>, Failure>,
    ) -> Result<(), Failure> {
        let lines = std::mem::take(&mut self.lines);
        self.bytes = 0;
        let batch: Vec<_> = lines
            .iter()
            .filter_map(|line| line.wanted.as_ref().ok().cloned())
            .collect();
        let answers = match batch.is_empty() {
            true => Vec::new(),
            false => send(batch).await?,
        };
        let mut answers = answers.into_iter();
        for line in lines {
            let (answer, with_password) = match line.wanted {
                Ok(wanted) => {
                    let missing = || Answer::Error("it was not answered".to_owned());
                    let with_password = wanted.password.is_some() || wanted.hash.is_some();
                    (answers.next().unwrap_or_else(missing), with_password)
                }
                Err(why) => (Answer::Error(why), false),
            };
            self.say(line.number, &answer, with_password)?;
        }
        self.progress.at_line(self.done);
        Ok(())
    }

    fn say(&mut self, line: u64, answer: &Answer, with_password: bool) -> Result<(), Failure> {
        self.done += 1;
        let text = match answer {
            Answer::Added(added) => told(added, with_password),
            Answer::Error(why) => {
                self.failed += 1;
                format!("line {line}: {why}")
            }
        };
        let mut said = Ok(());
        let output = self.output;
        self.progress
            .aside(|| said = output.say(&Said { line, answer }, text));
        said
    }
}

/// What a line asks for.
fn asked(line: &str) -> AddAccount {
    let line = line.strip_suffix('\r').unwrap_or(line);
    let (name, secret) = match line.split_once(':') {
        Some((name, secret)) if !secret.is_empty() => (name, Some(secret.to_owned())),
        Some((name, _)) => (name, None),
        None => (line, None),
    };
    let is_hash = |secret: &String| secret.starts_with('{') && secret.contains('}');
    let (hash, password) = match secret {
        Some(secret) if is_hash(&secret) => (Some(secret), None),
        secret => (None, secret),
    };
    AddAccount {
        name: name.to_owned(),
        password,
        hash,
    }
}

/// The next line without its end, or why it is none; `None` at the end. A line that is too long is passed over without being held.
fn next(input: &mut impl BufRead) -> io::Result<Option<Result<String, String>>> {
    let mut line = Vec::new();
    let mut is_too_long = false;
    let mut any = false;
    loop {
        let here = input.fill_buf()?;
        if here.is_empty() {
            break;
        }
        any = true;
        let end = here.iter().position(|byte| *byte == b'\n');
        let piece = here.get(..end.unwrap_or(here.len())).unwrap_or_default();
        match line.len() + piece.len() > PASSWD_LINE_MAX {
            true => is_too_long = true,
            false => line.extend_from_slice(piece),
        }
        let taken = end.map_or(here.len(), |end| end + 1);
        input.consume(taken);
        if end.is_some() {
            break;
        }
    }
    if !any {
        return Ok(None);
    }
    if is_too_long {
        return Ok(Some(Err(format!(
            "it is longer than {PASSWD_LINE_MAX} bytes"
        ))));
    }
    let text = String::from_utf8(line).map_err(|_| "it is no UTF-8".to_owned());
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_with_or_without_a_password_or_a_hash() {
        let parts = |line: &str| {
            let AddAccount {
                name,
                password,
                hash,
            } = asked(line);
            (name, password.unwrap_or_default(), hash.unwrap_or_default())
        };
        let is = |line: &str, name: &str, password: &str, hash: &str| {
            let expected = (name.to_owned(), password.to_owned(), hash.to_owned());
            assert_eq!(parts(line), expected, "{line}");
        };
        is("anna", "anna", "", "");
        is("anna:\r", "anna", "", "");
        is("anna:pa:ss\r", "anna", "pa:ss", "");
        is("anna:{PLAIN}x", "anna", "", "{PLAIN}x");
        is("anna:{x", "anna", "{x", "");
    }

    #[test]
    fn a_line_that_is_too_long_or_no_text_costs_itself_alone() {
        let long = "x".repeat(PASSWD_LINE_MAX + 1);
        let bytes = [long.as_bytes(), b"\n\xff\nanna\n\nben"].concat();
        let mut input = io::BufReader::with_capacity(7, &bytes[..]);
        let mut lines = Vec::new();
        while let Some(line) = next(&mut input).expect("memory") {
            lines.push(line);
        }
        assert!(lines[0].is_err() && lines[1].is_err());
        let good: Vec<_> = lines[2..].iter().flatten().collect();
        assert_eq!(good, ["anna", "", "ben"]);
    }
}
