//! What settings of a bucket mean for mail: from the answers in XML to findings.
//!
//! Never: asks anything; an answer that is not understood is a warning, no verdict.

use serde::Deserialize;

use super::check::{Finding, Severity};
use super::question::{Answer, Question};

/// Rules that Coldpost's own documentation tells people to make begin so.
const OURS: &str = "coldpost-";

/// What is said where the store does not say it.
fn unknown(question: Question, why: &str) -> Finding {
    let what = question.name();
    let words = format!(
        "the bucket does not say its {what} setting ({why}): allow {}, or make sure yourself that {}",
        question.action(),
        match question {
            Question::Versioning => "versioning is off, as deleted mail would stay otherwise",
            Question::Lifecycle => "no lifecycle rule deletes or moves what lies below our prefix",
            Question::ObjectLock => "no object lock keeps what is to be deleted",
        }
    );
    Finding::new(what, Severity::Warning, words)
}

/// The findings of all three answers; `prefix` is ours in the bucket, without the slash at its end.
pub(super) fn judge(answers: &[(Question, Answer)], prefix: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut cleared_after = None;
    // Versioning is judged last: a rule may make it harmless.
    for wanted in [
        Question::Lifecycle,
        Question::ObjectLock,
        Question::Versioning,
    ] {
        let answer = answers.iter().find(|(question, _)| *question == wanted);
        let Some((question, answer)) = answer else {
            continue;
        };
        match answer.status {
            200 => {}
            404 if answer.body_says("NoSuchBucket") => continue,
            404 => {
                found.push(Finding::fine(question.name()));
                continue;
            }
            status => {
                found.push(unknown(*question, &format!("status {status}")));
                continue;
            }
        }
        let judged = match question {
            Question::Versioning => versioning(&answer.body, cleared_after),
            Question::ObjectLock => object_lock(&answer.body),
            Question::Lifecycle => lifecycle(&answer.body, prefix).map(|(rules, after)| {
                cleared_after = after;
                rules
            }),
        };
        match judged {
            Ok(findings) if findings.is_empty() => found.push(Finding::fine(question.name())),
            Ok(findings) => found.extend(findings),
            Err(e) => found.push(unknown(*question, &e.to_string())),
        }
    }
    found
}

type Judged<T> = Result<T, quick_xml::DeError>;

/// `cleared_after`: days after which a rule removes noncurrent versions.
fn versioning(body: &[u8], cleared_after: Option<u64>) -> Judged<Vec<Finding>> {
    let setting: Versioning = quick_xml::de::from_reader(body)?;
    if setting.status.as_deref() != Some("Enabled") {
        return Ok(vec![]);
    }
    match cleared_after {
        Some(0 | 1) => return Ok(vec![]),
        Some(days) => {
            let words = format!(
                "the bucket keeps versions of what is deleted for {days} days: erased mail is gone that much later than the dates that are \
                 stated. Set NoncurrentDays of the lifecycle rule to 1"
            );
            return Ok(vec![Finding::new("versioning", Severity::Warning, words)]);
        }
        None => {}
    }
    let words = "the bucket keeps versions of what is deleted: mail that was erased would stay. Suspend versioning \
                 (PutBucketVersioning, Status Suspended), or add a lifecycle rule for our prefix that expires noncurrent versions \
                 (NoncurrentVersionExpiration)";
    Ok(vec![Finding::new("versioning", Severity::Error, words)])
}

fn object_lock(body: &[u8]) -> Judged<Vec<Finding>> {
    let setting: ObjectLock = quick_xml::de::from_reader(body)?;
    if setting.rule.is_none() {
        return Ok(vec![]);
    }
    let words = "the bucket locks every new object for a time (object lock with a default retention): mail could not be erased. \
                 Remove the default retention, or use another bucket";
    Ok(vec![Finding::new("object-lock", Severity::Error, words)])
}

/// The rules that touch what is ours, and after how many days one clears noncurrent versions of all of it.
fn lifecycle(body: &[u8], prefix: &str) -> Judged<(Vec<Finding>, Option<u64>)> {
    let setting: Lifecycle = quick_xml::de::from_reader(body)?;
    let ours = match prefix {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let mut found = Vec::new();
    let mut cleared_after: Option<u64> = None;
    for rule in setting.rules.iter().filter(|r| r.status == "Enabled") {
        let below = rule.prefix();
        if let Some(days) = rule.clears_versions_after()
            && ours.starts_with(below)
            && !rule.wants_some()
        {
            cleared_after = Some(cleared_after.map_or(days, |least| least.min(days)));
        }
        let touches = ours.starts_with(below) || below.starts_with(&ours);
        let Some(action) = rule.action().filter(|_| touches && !rule.wants_tag()) else {
            continue;
        };
        let name = rule.id.as_deref().unwrap_or_default();
        if name.starts_with(OURS) {
            continue;
        }
        let words = format!(
            "the lifecycle rule `{name}` (prefix `{below}`) {action} objects of ours: mail would be lost or out of reach. Remove it, \
             or give it a prefix that does not touch `{ours}`"
        );
        found.push(Finding::new("lifecycle", Severity::Error, words));
    }
    Ok((found, cleared_after))
}

impl Answer {
    fn body_says(&self, code: &str) -> bool {
        let code = code.as_bytes();
        self.body.windows(code.len()).any(|found| found == code)
    }
}

impl Rule {
    /// Names that it applies to begin so.
    fn prefix(&self) -> &str {
        let filter = self.filter.as_ref();
        let and = filter.and_then(|filter| filter.and.as_ref());
        let prefixes = [
            self.prefix.as_deref(),
            filter.and_then(|filter| filter.prefix.as_deref()),
            and.and_then(|and| and.prefix.as_deref()),
        ];
        prefixes.into_iter().flatten().next().unwrap_or_default()
    }

    /// It is for objects with a tag, and ours have none.
    fn wants_tag(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| {
            let and = filter.and.as_ref();
            filter.tag.is_some() || and.is_some_and(|and| !and.tags.is_empty())
        })
    }

    /// What it does to current objects.
    fn action(&self) -> Option<&'static str> {
        let expires = self.expiration.as_ref();
        if expires.is_some_and(|at| at.days.is_some() || at.date.is_some()) {
            return Some("deletes");
        }
        (!self.transitions.is_empty()).then_some("moves to another storage class")
    }

    /// Days after which it removes every noncurrent version.
    fn clears_versions_after(&self) -> Option<u64> {
        let noncurrent = self.noncurrent.as_ref()?;
        if noncurrent.newer.is_some() {
            return None;
        }
        // A rule without days is none that is known.
        noncurrent.days.as_ref()?.trim().parse().ok()
    }

    /// It is for objects with a tag, or of some sizes.
    fn wants_some(&self) -> bool {
        let has_size = self.filter.as_ref().is_some_and(|filter| {
            let and = filter.and.as_ref();
            let of_and = and.is_some_and(|and| and.greater.is_some() || and.less.is_some());
            filter.greater.is_some() || filter.less.is_some() || of_and
        });
        has_size || self.wants_tag()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Versioning {
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectLock {
    rule: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Lifecycle {
    #[serde(rename = "Rule", default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    #[serde(rename = "ID")]
    id: Option<String>,
    status: String,
    prefix: Option<String>,
    filter: Option<Filter>,
    expiration: Option<Expiration>,
    #[serde(rename = "Transition", default)]
    transitions: Vec<serde::de::IgnoredAny>,
    #[serde(rename = "NoncurrentVersionExpiration")]
    noncurrent: Option<Noncurrent>,
}

#[derive(Deserialize)]
struct Noncurrent {
    #[serde(rename = "NoncurrentDays")]
    days: Option<String>,
    #[serde(rename = "NewerNoncurrentVersions")]
    newer: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    prefix: Option<String>,
    tag: Option<serde::de::IgnoredAny>,
    and: Option<And>,
    #[serde(rename = "ObjectSizeGreaterThan")]
    greater: Option<serde::de::IgnoredAny>,
    #[serde(rename = "ObjectSizeLessThan")]
    less: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct And {
    prefix: Option<String>,
    #[serde(rename = "Tag", default)]
    tags: Vec<serde::de::IgnoredAny>,
    #[serde(rename = "ObjectSizeGreaterThan")]
    greater: Option<serde::de::IgnoredAny>,
    #[serde(rename = "ObjectSizeLessThan")]
    less: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Expiration {
    days: Option<String>,
    date: Option<String>,
}

#[cfg(test)]
mod tests;
