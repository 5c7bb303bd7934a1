//! `coldpost cold`: checks the object store, and prints what its key must be allowed.

use std::process::ExitCode;

use coldpost_engine::cold::{self, Finding, Only, Place, Role, Severity, Statement};
use coldpost_engine::error::in_full;
use coldpost_engine::settings::ColdSettings;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

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
    /// The same of the mirror, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<Box<Report>>,
}

#[derive(Serialize)]
struct Found {
    what: &'static str,
    severity: &'static str,
    words: String,
}

fn check(checked: &Checked, output: Output) -> Result<ExitCode, Failure> {
    let settings = &checked.engine.cold;
    let runtime = Runtime::new().map_err(|e| Failure::of("a runtime cannot be started", &e))?;
    let alone = ColdSettings {
        mirror: None,
        ..settings.clone()
    };
    let mut report = look(&runtime, &alone);
    let mirror = settings.mirror.as_deref();
    report.mirror = mirror.map(|mirror| Box::new(look(&runtime, mirror)));
    output.say(&report, text(&report))?;
    let is_ok = report.ok && report.mirror.is_none_or(|mirror| mirror.ok);
    Ok(if is_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Of one store; that it does not answer is a finding, and no reason not to look at the other one.
fn look(runtime: &Runtime, settings: &ColdSettings) -> Report {
    let found = runtime.block_on(cold::check(settings));
    let findings = found.unwrap_or_else(|e| {
        vec![Finding {
            what: "answer",
            severity: Severity::Error,
            words: format!("{}{}", in_full(&e), advice(&settings.url)),
        }]
    });
    Report {
        url: settings.url.clone(),
        ok: findings.iter().all(|f| f.severity != Severity::Error),
        findings: findings.into_iter().map(Found::from).collect(),
        mirror: None,
    }
}

/// What to do about a directory that is not there.
fn advice(url: &str) -> String {
    match Place::of(url) {
        Ok(Place::Directory(path)) if !path.is_dir() => format!(
            ". There is no directory {}: the first start of coldpost serve makes it; where it is a mount, or the store was there before, mount it",
            path.display()
        ),
        _ => String::new(),
    }
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
    lines.extend(report.mirror.iter().map(|mirror| text(mirror)));
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
        let of = |url: &str, findings| Report {
            url: url.to_owned(),
            ok: false,
            findings,
            mirror: None,
        };
        let refused = found("delete", "error", "refused");
        let mut report = of("s3://mail", vec![found("put", "fine", ""), refused]);
        let away = found("answer", "error", "away");
        report.mirror = Some(Box::new(of("s3://other", vec![away])));
        let expected = "s3://mail\nput              fine\ndelete           error    refused\ns3://other\nanswer           error    away";
        assert_eq!(text(&report), expected);
    }
}
