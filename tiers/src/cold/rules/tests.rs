//! Answers as stores give them, and what is made of them.

use bytes::Bytes;
use expect_test::{Expect, expect};

use super::*;

fn answer(question: Question, status: u16, body: &str) -> (Question, Answer) {
    let answer = Answer {
        status,
        date_s: None,
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    (question, answer)
}

fn check(answers: &[(Question, Answer)], expected: Expect) {
    let judged = judge(answers, "mail/a");
    let words = judged
        .iter()
        .map(|f| format!("{} {:?} {}", f.what, f.severity, f.words));
    expected.assert_eq(&words.collect::<Vec<_>>().join("\n"));
}

fn rules(rules: &str) -> (Question, Answer) {
    let body = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{rules}</LifecycleConfiguration>"#
    );
    answer(Question::Lifecycle, 200, &body)
}

fn expiring(prefix: &str) -> String {
    format!(
        "<Rule><ID>tidy up</ID><Filter><Prefix>{prefix}</Prefix></Filter><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>"
    )
}

const VERSIONED: &str = r#"<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>"#;

#[test]
fn a_bucket_without_settings_is_fine() {
    let answers = [
        answer(Question::Versioning, 200, "<VersioningConfiguration/>"),
        answer(
            Question::Lifecycle,
            404,
            "<Error><Code>NoSuchLifecycleConfiguration</Code></Error>",
        ),
        answer(Question::ObjectLock, 404, ""),
    ];
    check(
        &answers,
        expect![[r#"
            lifecycle Fine 
            object-lock Fine 
            versioning Fine "#]],
    );
}

#[test]
fn a_store_that_does_not_say_is_warned_of_and_not_refused() {
    let answers = [
        answer(Question::Versioning, 403, ""),
        answer(Question::Lifecycle, 501, ""),
        answer(Question::ObjectLock, 200, "no XML"),
    ];
    let judged = judge(&answers, "mail/a");
    assert_eq!(judged.len(), 3);
    assert!(judged.iter().all(|f| f.severity == Severity::Warning));
    assert!(judged[2].words.contains("s3:GetBucketVersioning"));
}

#[test]
fn versions_and_locks_that_keep_deleted_mail_are_refused() {
    let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    let answers = [
        answer(Question::Versioning, 200, VERSIONED),
        answer(Question::ObjectLock, 200, lock),
    ];
    let judged = judge(&answers, "mail/a");
    assert!(judged.iter().all(|f| f.severity == Severity::Error));
    assert!(judged[1].words.contains("Suspend versioning"), "{judged:?}");
    let unruled = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";
    let answers = [answer(Question::ObjectLock, 200, unruled)];
    check(&answers, expect!["object-lock Fine "]);
}

#[test]
fn a_rule_that_clears_versions_of_our_prefix_makes_versioning_harmless() {
    let clearing = |prefix: &str| {
        rules(&format!(
            "<Rule><ID>v</ID><Prefix>{prefix}</Prefix><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule>"
        ))
    };
    for (prefix, harmless) in [
        ("", true),
        ("mail/", true),
        ("mail/a/", true),
        ("mail/a/blocks/", false),
        ("other", false),
    ] {
        let versioned = answer(Question::Versioning, 200, VERSIONED);
        let judged = judge(&[clearing(prefix), versioned], "mail/a");
        let errors = judged.iter().any(|f| f.severity == Severity::Error);
        assert_eq!(errors, !harmless, "{prefix}: {judged:?}");
    }
}

#[test]
fn a_rule_that_clears_versions_late_is_warned_of_and_one_that_clears_some_is_none() {
    for (rule, filter, severity) in [
        ("<NoncurrentDays>1</NoncurrentDays>", "", Severity::Fine),
        ("<NoncurrentDays>30</NoncurrentDays>", "", Severity::Warning),
        (
            "<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>5</NewerNoncurrentVersions>",
            "",
            Severity::Error,
        ),
        (
            "<NoncurrentDays>1</NoncurrentDays>",
            "<ObjectSizeGreaterThan>1000</ObjectSizeGreaterThan>",
            Severity::Error,
        ),
    ] {
        let clearing = rules(&format!(
            "<Rule><ID>v</ID><Filter>{filter}</Filter><Status>Enabled</Status><NoncurrentVersionExpiration>{rule}</NoncurrentVersionExpiration></Rule>"
        ));
        let versioned = answer(Question::Versioning, 200, VERSIONED);
        let judged = judge(&[clearing, versioned], "mail/a");
        let worst = judged.iter().map(|f| f.severity).max();
        assert_eq!(worst, Some(severity), "{rule} {filter}: {judged:?}");
    }
}

#[test]
fn a_foreign_rule_is_refused_where_it_touches_our_prefix() {
    for (prefix, touches) in [
        ("", true),
        ("mail/", true),
        ("mail/a/segments/", true),
        ("mail/ab", false),
        ("logs/", false),
    ] {
        let judged = judge(&[rules(&expiring(prefix))], "mail/a");
        assert_eq!(
            judged[0].severity == Severity::Error,
            touches,
            "{prefix}: {judged:?}"
        );
    }
    check(
        &[rules(&expiring(""))],
        expect![[
            r#"lifecycle Error the lifecycle rule `tidy up` (prefix ``) deletes objects of ours: mail would be lost or out of reach. Remove it, or give it a prefix that does not touch `mail/a/`"#
        ]],
    );
}

#[test]
fn what_cannot_hurt_is_no_finding() {
    let harmless = [
        expiring("").replace("Enabled", "Disabled"),
        expiring("").replace("tidy up", "coldpost-own"),
        expiring("").replace("<Prefix></Prefix>", "<Tag><Key>k</Key><Value>v</Value></Tag>"),
        expiring("").replace("<Days>30</Days>", "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"),
        "<Rule><ID>m</ID><Filter/><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>".to_owned(),
    ];
    check(&[rules(&harmless.concat())], expect!["lifecycle Fine "]);
    let moving = "<Rule><ID>a</ID><Status>Enabled</Status><Filter><And><Prefix>mail/</Prefix><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></And></Filter><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration><Transition><Days>9</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition></Rule>";
    let judged = judge(&[rules(moving)], "mail/a");
    assert!(judged[0].words.contains("moves to another"), "{judged:?}");
}
