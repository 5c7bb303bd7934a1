//! The least that a key must be allowed: what the daemon needs, and what deleting needs.
//!
//! Promises: an identity policy in AWS' language, of the bucket and prefix in the settings. Never: asks the store.

use super::key;
use super::place::Place;
use super::question::Question;
use super::store::ColdSettings;
use crate::error::{Error, Kind, Result};

/// Who is to have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `serve`: takes, keeps and gives mail; deletes its own probes only.
    Daemon,
    /// Deletes what nobody needs any more.
    Collector,
}

/// One permission of a policy: allowed is what any of them allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// A name for it.
    pub sid: &'static str,
    /// What is allowed.
    pub actions: Vec<&'static str>,
    /// On what.
    pub resources: Vec<String>,
    /// Under which condition.
    pub only: Only,
}

/// When a permission counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Only {
    /// Always.
    Always,
    /// For listings of names that begin so.
    Below(String),
    /// For what states no `s3:prefix`: a HEAD of nothing, which is answered with 403 without the right to list.
    NoPrefix,
}

/// The statements of a role.
///
/// # Errors
/// `Invalid`: the store is no bucket.
pub fn policy(settings: &ColdSettings, role: Role) -> Result<Vec<Statement>> {
    let Place::Bucket { bucket, prefix } = Place::of(&settings.url)? else {
        let words = format!("`{}` is no bucket: only s3:// has policies", settings.url);
        return Err(Error::new(Kind::Invalid, words));
    };
    let partition = match settings.region.as_deref().unwrap_or_default() {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let bucket = format!("arn:{partition}:s3:::{bucket}");
    let ours = match prefix {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let objects = |folder: &str| match folder {
        "" => format!("{bucket}/{ours}*"),
        folder => format!("{bucket}/{ours}{folder}/*"),
    };
    let allow = |sid, actions: &[&'static str], resources: Vec<String>| Statement {
        sid,
        actions: actions.to_vec(),
        resources,
        only: Only::Always,
    };
    let list = |sid, only| Statement {
        only,
        ..allow(sid, &["s3:ListBucket"], vec![bucket.clone()])
    };
    let mut statements = match ours.as_str() {
        "" => vec![list("List", Only::Always)],
        ours => vec![
            list("List", Only::Below(format!("{ours}*"))),
            list("Missing", Only::NoPrefix),
        ],
    };
    statements.push(allow("Read", &["s3:GetObject"], vec![objects("")]));
    if role == Role::Collector {
        let folders = key::COLLECTED.iter().map(|folder| objects(folder));
        statements.push(allow("Delete", &["s3:DeleteObject"], folders.collect()));
        return Ok(statements);
    }
    let settings = [
        Question::Versioning.action(),
        Question::Lifecycle.action(),
        Question::ObjectLock.action(),
    ];
    let probes = vec![objects(key::PROBES)];
    statements.extend([
        allow("Write", &["s3:PutObject"], vec![objects("")]),
        allow("DeleteProbes", &["s3:DeleteObject"], probes),
        allow("Settings", &settings, vec![bucket.clone()]),
    ]);
    Ok(statements)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> ColdSettings {
        ColdSettings {
            url: url.to_owned(),
            ..ColdSettings::default()
        }
    }

    #[test]
    fn the_daemon_deletes_probes_alone_and_the_collector_no_claim_of_an_epoch() {
        let on = |role| {
            let statements = policy(&settings("s3://b/mail/a"), role).unwrap();
            let deleting = statements.into_iter();
            let deleting = deleting.filter(|s| s.actions.contains(&"s3:DeleteObject"));
            deleting.flat_map(|s| s.resources).collect::<Vec<_>>()
        };
        assert_eq!(on(Role::Daemon), ["arn:aws:s3:::b/mail/a/probes/*"]);
        let collected = on(Role::Collector);
        assert!(collected.contains(&"arn:aws:s3:::b/mail/a/segments/*".to_owned()));
        assert!(!collected.iter().any(|on| on.contains("epochs")));
    }

    #[test]
    fn a_listing_is_for_our_prefix_and_a_directory_has_no_policy() {
        let first = |url| {
            policy(&settings(url), Role::Daemon).unwrap()[0]
                .only
                .clone()
        };
        assert_eq!(first("s3://b/mail"), Only::Below("mail/*".to_owned()));
        assert_eq!(first("s3://b"), Only::Always);
        let refused = policy(&settings("file:///x"), Role::Daemon).unwrap_err();
        assert_eq!(*refused.kind(), Kind::Invalid);
        let china = ColdSettings {
            region: Some("cn-north-1".to_owned()),
            ..settings("s3://b")
        };
        let statements = policy(&china, Role::Daemon).unwrap();
        assert_eq!(statements[1].resources, ["arn:aws-cn:s3:::b/*"]);
    }
}
