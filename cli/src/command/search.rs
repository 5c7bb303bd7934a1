//! `coldpost search`: which messages match a query, with the words around the hit; over one mailbox or all, of one account or of all.
//!
//! Exit codes: 0 when some match, 1 when none does or it failed.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;

use coldpost_engine::query::Expression;
use coldpost_server::http::search;
use coldpost_server::http::wire::{PlanStep, SearchFound, SearchLine, SearchWanted, plan_steps};

use crate::args::Search;
use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach::{Reach, must_exist, with_engine};

/// Bold, where it is shown on a terminal.
const MARK: (&str, &str) = ("\u{1b}[1m", "\u{1b}[0m");
/// Where it is not.
const PLAIN_MARK: (&str, &str) = ("[", "]");

/// Searches through the daemon or on the stopped data.
///
/// # Errors
/// When the query is none, or it could not be answered whole.
pub(crate) fn run(checked: &Checked, asked: &Search, output: Output) -> Result<ExitCode, Failure> {
    let query = asked.query.join(" ");
    // What is wrong with it is said here, where it was typed.
    let expression: Expression = match query.parse() {
        Ok(expression) => expression,
        Err(wrong) => return Err(Failure::Failed(format!("{wrong}"))),
    };
    if asked.explain {
        let asked_for = match asked.ranked {
            true => expression.ranked(),
            false => expression,
        };
        explain(&asked_for, output)?;
    }
    let wanted = SearchWanted {
        account: asked.account.clone(),
        query,
        limit: asked.limit,
        excerpts: !asked.no_excerpts,
        ranked: asked.ranked,
    };
    let mut seen = Seen {
        output,
        with_costs: asked.explain,
        found: None,
        unsaid: Ok(()),
    };
    match Reach::find(checked)? {
        Reach::Running(daemon) => {
            daemon.lines_of("/admin/search", &wanted, |line| seen.take(line))?;
        }
        Reach::Stopped => {
            must_exist(&checked.engine.data)?;
            let end = with_engine(&checked.engine, async |engine| {
                Ok(search(engine, &wanted, &mut |line| seen.take(line)).await)
            })?;
            seen.take(end);
        }
    }
    seen.unsaid?;
    match seen.found {
        Some(Ok(0)) => Ok(ExitCode::FAILURE),
        Some(Ok(_)) => Ok(ExitCode::SUCCESS),
        Some(Err(error)) => Err(Failure::Failed(error)),
        None => Err(Failure::Failed(
            "the search broke off before its end".to_owned(),
        )),
    }
}

fn explain(expression: &Expression, output: Output) -> Result<(), Failure> {
    let steps: Vec<PlanStep> = plan_steps(&expression.steps());
    let plan =
        serde_json::json!({ "kind": "plan", "query": expression.to_string(), "steps": steps });
    output.say(&plan, format_args!("{expression}\n{}", expression.steps()))
}

struct Seen {
    output: Output,
    with_costs: bool,
    /// Messages that match, or why it failed.
    found: Option<Result<u64, String>>,
    unsaid: Result<(), Failure>,
}

impl Seen {
    fn take(&mut self, line: SearchLine) {
        let text = match &line {
            SearchLine::Hit(found) => message(found),
            SearchLine::Mailbox {
                account,
                mailbox,
                found,
                of,
                microseconds,
            } => {
                if !self.with_costs {
                    return self.json_only(&line);
                }
                format!(
                    "{account} {mailbox}: {found} of {of} messages in {}",
                    milliseconds(*microseconds)
                )
            }
            SearchLine::Suggestion { word, instead } => {
                format!(
                    "{word} is in no message; did you mean {}?",
                    instead.join(", ")
                )
            }
            SearchLine::Summary {
                found,
                mailboxes,
                microseconds,
            } => {
                self.found = Some(Ok(*found));
                format!(
                    "{found} messages in {mailboxes} mailboxes, found in {}",
                    milliseconds(*microseconds)
                )
            }
            SearchLine::Failed { error } => {
                self.found = Some(Err(error.clone()));
                return;
            }
        };
        self.unsaid =
            std::mem::replace(&mut self.unsaid, Ok(())).and_then(|()| self.output.say(&line, text));
    }

    /// People are told at the end.
    fn json_only(&mut self, line: &SearchLine) {
        self.unsaid =
            std::mem::replace(&mut self.unsaid, Ok(())).and_then(|()| self.output.say_json(line));
    }
}

fn milliseconds(microseconds: u64) -> String {
    format!(
        "{}.{:02} ms",
        microseconds / 1_000,
        microseconds % 1_000 / 10
    )
}

fn message(found: &SearchFound) -> String {
    let mut text = format!(
        "{} {} {}  {}  {}\n    {}",
        found.account,
        found.mailbox,
        found.uid,
        found.date,
        one_line(&found.from),
        one_line(&found.subject)
    );
    if let Some(relevancy) = found.relevancy {
        // A String takes everything.
        let _ = write!(text, "\n    relevancy {relevancy}");
    }
    if let Some(words) = &found.excerpt {
        let (begin, end) = match std::io::stdout().is_terminal() {
            true => MARK,
            false => PLAIN_MARK,
        };
        let mut marked = String::new();
        let mut at = 0;
        for (from, to) in &words.marks {
            let (before, hit) = (words.text.get(at..*from), words.text.get(*from..*to));
            // A String takes everything.
            let _ = write!(
                marked,
                "{}{begin}{}{end}",
                one_line(before.unwrap_or_default()),
                one_line(hit.unwrap_or_default())
            );
            at = *to;
        }
        marked.push_str(&one_line(words.text.get(at..).unwrap_or_default()));
        let dots = |is_cut| if is_cut { "…" } else { "" };
        let _ = write!(
            text,
            "\n    {}{marked}{}",
            dots(words.is_cut.0),
            dots(words.is_cut.1)
        );
    }
    text
}

/// Without what a terminal would obey.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
