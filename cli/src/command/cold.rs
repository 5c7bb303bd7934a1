//! `coldpost cold`: checks the object store, and prints what its key must be allowed.

use std::process::ExitCode;

use coldpost_engine::cold::{self, Finding, Only, Role, Severity, Statement};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Cold;
use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;

/// Does what was asked.
///
/// # Errors
/// When the store does not answer, is no bucket, or the answer cannot be written.
pub(crate) fn run(checked: &Checked, what: &Cold, output: Output) -> Result<ExitCode, Failure> {
    match what {
        Cold::Check => check(checked, output),
        Cold::Policy { gc, mirror } => {
            let role = if *gc { Role::Collector } else { Role::Daemon };
            let settings = &checked.engine.cold;
            let settings = match (mirror, &settings.mirror) {
                (false, _) => settings,
                (true, Some(mirror)) => mirror,
                (true, None) => {
                    return Err(Failure::Usage("cold.mirror: no mirror is set".to_owned()));
                }
            };
            let statements =
                cold::policy(settings, role).map_err(|e| Failure::Usage(e.to_string()))?;
            let policy = document(&statements);
            let text = serde_json::to_string_pretty(&policy).unwrap_or_default();
            output.say(&policy, text)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What `coldpost cold check --json` says.
#[derive(Serialize)]
struct Report {
    url: String,
    /// Nothing is wrong; what is not known does not count.
    ok: bool,
    findings: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    what: &'static str,
    severity: &'static str,
    words: String,
}

fn check(checked: &Checked, output: Output) -> Result<ExitCode, Failure> {
    let settings = &checked.engine.cold;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|e| Failure::of("a runtime cannot be started", &e))?;
    let findings = runtime
        .block_on(cold::check(settings))
        .map_err(|e| Failure::of("the object store cannot be checked", &e))?;
    let ok = findings.iter().all(|f| f.severity != Severity::Error);
    let report = Report {
        url: settings.url.clone(),
        ok,
        findings: findings.into_iter().map(Found::from).collect(),
    };
    output.say(&report, text(&report))?;
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl From<Finding> for Found {
    fn from(finding: Finding) -> Found {
        Found {
            what: finding.what,
            severity: match finding.severity {
                Severity::Fine => "fine",
                Severity::Warning => "warning",
                Severity::Error => "error",
            },
            words: finding.words,
        }
    }
}

fn text(report: &Report) -> String {
    let mut lines = vec![report.url.clone()];
    for found in &report.findings {
        let line = format!("{:16} {:8} {}", found.what, found.severity, found.words);
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

/// In AWS' language.
fn document(statements: &[Statement]) -> Value {
    let statement = |statement: &Statement| {
        let mut value = json!({
            "Sid": statement.sid,
            "Effect": "Allow",
            "Action": statement.actions,
            "Resource": statement.resources,
        });
        match &statement.only {
            Only::Always => {}
            Only::Below(names) => {
                value["Condition"] = json!({"StringLike": {"s3:prefix": names}});
            }
            Only::NoPrefix => value["Condition"] = json!({"Null": {"s3:prefix": "true"}}),
        }
        value
    };
    let statements: Vec<Value> = statements.iter().map(statement).collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_for_each_thing_that_was_looked_at() {
        let found = |what, severity, words: &str| Found {
            what,
            severity,
            words: words.to_owned(),
        };
        let report = Report {
            url: "s3://mail".to_owned(),
            ok: false,
            findings: vec![
                found("put", "fine", ""),
                found("delete", "error", "refused"),
            ],
        };
        let expected = "s3://mail\nput              fine\ndelete           error    refused";
        assert_eq!(text(&report), expected);
    }
}
