//! What files, environment and arguments give, and what is said about wrong ones.

use std::path::Path;

use coldpost_server::auth::AccountPolicy;
use expect_test::{Expect, expect};

use super::*;
use crate::failure::Failure;

fn load(
    file: &str,
    environment: &[(&str, &str)],
    data: Option<&str>,
) -> Result<(Config, Checked), Failure> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("coldpost.toml");
    std::fs::write(&path, file).expect("written");
    let environment = environment
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    let config = Config::load(Some(&path), environment, data.map(Path::new))?;
    let checked = config.check()?;
    Ok((config, checked))
}

fn refused(file: &str, environment: &[(&str, &str)], expected: Expect) {
    let failure = load(file, environment, None).expect_err("wrong settings");
    assert_eq!(failure.code(), 2);
    // The file lies elsewhere each time.
    let text = failure.to_string();
    let text = match (text.find("(in /"), text.find("coldpost.toml)")) {
        (Some(from), Some(to)) => format!("{}(in {}", &text[..from], &text[to..]),
        _ => text,
    };
    expected.assert_eq(&text);
}

#[test]
fn without_a_file_everything_has_its_default() {
    let config = Config::load(None, [], None).expect("the defaults are right");
    expect![[r#"
        data = "coldpost-data"

        [lmtp]
        listen = "127.0.0.1:2424"
        max_message = "50MiB"
        max_recipients = "2000"
        recipient_delimiter = "+"
        allow = ["127.0.0.0/8", "::1/128"]

        [imap]
        listen = "127.0.0.1:1143"
        proxies = []

        [http]
        listen = "127.0.0.1:8143"

        [auth]

        [journal]
        shards = "1"
        segment_size = "8MiB"

        [cold]
        cache = "10GiB"
        retention = "14d"
        grace = "1d"
        segment_age = "30d"

        [hot]
        cache = "64MiB"
        frames = "24MiB"
        local_bodies = "1GiB"
        min_free = "5%"

        [mail]
        attachment_threshold = "64KiB"
        memory = "64MiB"

        [search]
        words = "true"

        [log]
        level = "info"
        format = "text"
    "#]]
    .assert_eq(&toml::to_string(&config).expect("shown"));
    let checked = config.check().expect("the defaults are right");
    assert!(checked.make_dev_password && checked.accounts == AccountPolicy::Create);
    assert!(checked.engine.data.is_absolute());
    assert_eq!(
        checked.engine.cold.url,
        format!("file://{}/cold", checked.engine.data.display())
    );
}

#[test]
fn what_is_shown_can_be_read_again() {
    let file = "[http]\nlisten = \"[::1]:0\"\n[hot]\nmin_free = \"2GiB\"";
    let (config, _) = load(file, &[], None).expect("right");
    let shown = toml::to_string(&config).expect("shown");
    let (again, _) = load(&shown, &[], None).expect("right");
    assert_eq!(toml::to_string(&again).expect("shown"), shown);
}

#[test]
fn arguments_come_before_the_environment_and_that_before_the_file() {
    let file = "data = \"/a\"\n[lmtp]\nmax_recipients = 7\nlisten = \"unix:/run/lmtp\"";
    let environment = [
        ("COLDPOST_DATA", "/b"),
        ("COLDPOST_LMTP__MAX_RECIPIENTS", "8"),
        ("COLDPOST_LMTP__ALLOW", "192.0.2.0/24, 2001:db8::1"),
        ("COLDPOST_AUTH__BACKEND_PASSWORD", "0123"),
        ("COLDPOST_COLD__ALLOW_HTTP", "true"),
        ("OTHER", "x"),
    ];
    let (config, checked) = load(file, &environment, Some("/c")).expect("right");
    assert_eq!(checked.engine.data, Path::new("/c"));
    assert_eq!(checked.lmtp.max_recipients, 8);
    assert_eq!(checked.listen.lmtp, Address::Unix("/run/lmtp".into()));
    assert_eq!(
        config
            .lmtp
            .allow
            .0
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["192.0.2.0/24", "2001:db8::1/128"]
    );
    assert!(
        checked
            .auth
            .backend_password
            .expect("given")
            .matches(b"0123")
    );
    assert!(
        !checked.make_dev_password
            && checked.accounts == AccountPolicy::Listed
            && checked.engine.cold.allow_http
    );
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    refused(
        "[lmtp]\nmax_mesage = \"1MiB\"",
        &[],
        expect![
            "lmtp.max_mesage (in coldpost.toml) is no setting of this version; the nearest known key is lmtp.max_message"
        ],
    );
    refused(
        "[lmtp]\ndev_password = \"x\"",
        &[],
        expect![
            "lmtp.dev_password (in coldpost.toml) is no setting of this version; the nearest known key is auth.dev_password"
        ],
    );
    refused(
        "",
        &[("COLDPOST_LOG__LEVLE", "info")],
        expect![
            "log.levle (in the environment) is no setting of this version; the nearest known key is log.level"
        ],
    );
}

#[test]
fn a_key_whose_feature_is_not_there_is_an_error() {
    for (section, key) in [
        ("auth", "ldap"),
        ("journal", "durability"),
        ("cold", "retention"),
        ("hot", "headers"),
        ("mail", "undelete"),
        ("search", "local"),
        ("policy", "file"),
    ] {
        let failure =
            load(&format!("[{section}]\n{key} = \"x\""), &[], None).expect_err("not there yet");
        assert!(
            failure
                .to_string()
                .starts_with(&format!("{section}.{key} (in ")),
            "{failure}"
        );
    }
}

#[test]
fn wrong_values_are_named_with_their_key_and_place() {
    refused(
        "[lmtp]\nmax_message = \"50 parrots\"",
        &[],
        expect![[
            r#"lmtp.max_message (in coldpost.toml): "50 parrots" is no size: write a number with KiB, MiB, GiB or TiB"#
        ]],
    );
    refused(
        "[hot]\nmin_free = \"5s\"",
        &[],
        expect![[
            r#"hot.min_free (in coldpost.toml): "5s" is no size: write a number with KiB, MiB, GiB or TiB"#
        ]],
    );
    refused(
        "",
        &[("COLDPOST_LMTP__LISTEN", "localhost")],
        expect![[
            r#"lmtp.listen (in the environment): "localhost" is no address to listen on: write IP:PORT (127.0.0.1:2424) or unix:/path/to/socket"#
        ]],
    );
    refused(
        "[lmtp]\nallow = [\"127.0.0.1\", \"home\"]",
        &[],
        expect![[
            r#"lmtp.allow (in coldpost.toml): "home": no network: write 192.0.2.0/24, 2001:db8::/32 or an address"#
        ]],
    );
    refused(
        "[auth]\naccounts = \"all\"",
        &[],
        expect![[r#"auth.accounts (in coldpost.toml): "all" is none of listed, create"#]],
    );
    refused(
        "[journal]\nshards = -1",
        &[],
        expect![[
            r#"journal.shards (in coldpost.toml): "-1" is no whole number: write digits only, as in 100"#
        ]],
    );
    refused(
        "[http]\ntoken = \"\"",
        &[],
        expect!["http.token (in coldpost.toml): an empty text is no secret; leave the key out"],
    );
}

#[test]
fn values_of_another_kind_are_told_what_is_expected() {
    refused(
        "",
        &[("COLDPOST_LMTP__MAX_RECIPIENTS", "abc")],
        expect![[
            r#"lmtp.max_recipients (in the environment): "abc" is no whole number: write digits only, as in 100"#
        ]],
    );
    refused(
        "[cold]\nallow_http = \"yes\"",
        &[],
        expect![[r#"cold.allow_http (in coldpost.toml): "yes" is none of true, false"#]],
    );
    refused(
        "[lmtp]\nmax_message = 1979-05-27",
        &[],
        expect![
            "lmtp.max_message (in coldpost.toml): a date is no value here; write text in quotes"
        ],
    );
    refused(
        "data = 07:32:00",
        &[],
        expect!["data (in coldpost.toml): a date is no value here; write text in quotes"],
    );
}

#[test]
fn values_that_would_serve_nobody_are_refused() {
    for delimiter in ["+a", "a", "@", "+@"] {
        let file = format!("[lmtp]\nrecipient_delimiter = {delimiter:?}");
        let said = load(&file, &[], None)
            .expect_err("no delimiter")
            .to_string();
        assert!(
            said.starts_with("lmtp.recipient_delimiter: ") && said.contains("cannot begin"),
            "{said}"
        );
    }
    refused(
        "[lmtp]\nallow = []",
        &[],
        expect!["lmtp.allow: no client could hand mail in: name networks, or listen on unix:/path"],
    );
    load("[lmtp]\nallow = []\nlisten = \"unix:/run/lmtp\"", &[], None).expect("right");
    refused(
        "[hot]\ncache = 0",
        &[],
        expect!["hot.cache: 0 is not between 1MiB and 1TiB"],
    );
    refused(
        "[hot]\ncache = \"99999999TiB\"",
        &[],
        expect!["hot.cache: 18446744073709551615 is not between 1MiB and 1TiB"],
    );
    refused(
        &format!("[auth]\ndev_password = {:?}", "x".repeat(2_000)),
        &[],
        expect!["auth.dev_password: it is longer than 1024 bytes; use a shorter one"],
    );
}

#[test]
fn values_are_checked_against_each_other() {
    refused(
        "[lmtp]\nmax_message = \"200MiB\"",
        &[],
        expect![
            "mail.memory: 64MiB does not hold a message of lmtp.max_message; at least 204864KiB"
        ],
    );
    refused(
        "[lmtp]\nmax_recipients = 2001",
        &[],
        expect!["lmtp.max_recipients: 2001 is not between 1 and 2000"],
    );
    refused(
        "[journal]\nsegment_size = \"100KiB\"",
        &[],
        expect!["journal.segment_size: 100KiB is not between 1MiB and 1GiB"],
    );
    refused(
        "[journal]\nsegment_size = \"64MiB\"\n[cold]\nmirror = \"file:///srv/mirror\"",
        &[],
        expect!["journal.segment_size: 64MiB is more than 32MiB: it is sent out of memory"],
    );
    refused(
        "[cold]\nurl = \"/srv/cold\"",
        &[],
        expect![[r#"cold.url: "/srv/cold" is no store: write file:///path or s3://bucket/prefix"#]],
    );
    refused(
        "[imap]\nlisten = \"0.0.0.0:143\"",
        &[],
        expect![
            "imap.listen: 0.0.0.0:143 is reachable from other machines, where no password is accepted without TLS; give imap.tls_cert and imap.tls_key, or listen on 127.0.0.1, [::1] or unix:/path"
        ],
    );
    refused(
        "[http]\nlisten = \"unix:/run/http\"",
        &[],
        expect!["http.listen: HTTP listens on TCP only: write IP:PORT"],
    );
    refused(
        "hostname = \"a b\"",
        &[],
        expect![[r#"hostname: "a b" is no host name; write one such as mx.example.org"#]],
    );
}

#[test]
fn a_certificate_and_its_key_come_together_and_open_listeners_to_other_machines() {
    refused(
        "[imap]\ntls_listen = \"0.0.0.0:993\"",
        &[],
        expect!["imap.tls_listen: TLS wants a certificate; give imap.tls_cert and imap.tls_key"],
    );
    refused(
        "[lmtp]\ntls_cert = \"/c\"",
        &[],
        expect!["lmtp.tls_cert: its private key is missing; give lmtp.tls_key"],
    );
    refused(
        "[imap]\ntls_key = \"/k\"",
        &[],
        expect!["imap.tls_key: its certificate is missing; give imap.tls_cert"],
    );
    let tls = "tls_listen = \"0.0.0.0:993\"\ntls_cert = \"/c\"\ntls_key = \"/k\"";
    let file = format!("[imap]\nlisten = \"0.0.0.0:143\"\nproxies = [\"192.0.2.0/24\"]\n{tls}");
    let (_, checked) = load(&file, &[], None).expect("right");
    let files = checked.imap_tls.expect("given");
    assert_eq!((files.cert, files.key), ("/c".into(), "/k".into()));
    assert_eq!(
        checked.listen.imap_tls,
        Some("0.0.0.0:993".parse().expect("right"))
    );
    assert_eq!(checked.auth.unslowed.len(), 1);
    assert_eq!(checked.lmtp_tls, None);
}

#[test]
fn the_development_password_and_listeners_that_others_reach_exclude_each_other() {
    let tls = "tls_cert = \"/c\"\ntls_key = \"/k\"";
    refused(
        &format!("[auth]\ndev_password = \"x\"\n[imap]\ntls_listen = \"0.0.0.0:993\"\n{tls}"),
        &[],
        expect![
            "auth.dev_password: it opens every account and is for this machine alone, and imap.tls_listen 0.0.0.0:993 is reachable from others; take auth.passwd_file, auth.backend_password or coldpost account add --password, or listen on 127.0.0.1, [::1] or unix:/path"
        ],
    );
    refused(
        &format!("[auth]\ndev_password = \"x\"\n[imap]\nlisten = \"[::]:143\"\n{tls}"),
        &[],
        expect![
            "auth.dev_password: it opens every account and is for this machine alone, and imap.listen [::]:143 is reachable from others; take auth.passwd_file, auth.backend_password or coldpost account add --password, or listen on 127.0.0.1, [::1] or unix:/path"
        ],
    );
    for local in ["127.0.0.1:993", "[::ffff:127.0.0.1]:993", "unix:/run/imap"] {
        let file = format!("[auth]\ndev_password = \"x\"\n[imap]\ntls_listen = \"{local}\"\n{tls}");
        load(&file, &[], None).expect("right");
    }
}

#[test]
fn a_new_account_gets_the_usual_mailboxes_unless_others_are_given_or_a_front_end_is_there() {
    let made = |file: &str, environment: &[(&str, &str)]| {
        let (config, checked) = load(file, environment, None).expect("right");
        let made = checked.engine.autocreate.into_iter();
        let made: Vec<String> = made
            .map(|mailbox| format!("{} {:?}", mailbox.name, mailbox.special_use))
            .collect();
        let shown = toml::to_string(&config).expect("shown");
        let again = load(&shown, &[], None).expect("right").1.engine.autocreate;
        assert_eq!(again.len(), made.len(), "{shown}");
        made.join(", ")
    };
    expect!["Drafts Some(Drafts), Sent Some(Sent), Junk Some(Junk), Trash Some(Trash)"]
        .assert_eq(&made("", &[]));
    let front = "[auth]\nbackend_password = \"x\"\n";
    assert_eq!(
        load(front, &[], None).expect("right").1.engine.autocreate,
        []
    );
    assert_eq!(made("[mail]\nautocreate = []", &[]), "");
    expect!["Sent items Some(Sent), INBOX/Later None"].assert_eq(&made(
        r#"mail.autocreate = ["Sent items \\sent", "inbox/Later"]"#,
        &[],
    ));
    let environment = [(
        "COLDPOST_MAIL__AUTOCREATE",
        r"Spam \Junk, Archive \Archive,Notes",
    )];
    expect!["Spam Some(Junk), Archive Some(Archive), Notes None"]
        .assert_eq(&made("", &environment));
}

#[test]
fn mailboxes_that_cannot_be_made_are_refused() {
    for (list, expected) in [
        (
            r#"["Drafts \\Draft"]"#,
            expect![[
                r#"mail.autocreate (in coldpost.toml): "Drafts \\Draft": \Draft is no use of a mailbox: write one of \All, \Archive, \Drafts, \Flagged, \Junk, \Sent, \Trash, or none"#
            ]],
        ),
        (
            r#"["Drafts \\Drafts \\Sent"]"#,
            expect![[
                r#"mail.autocreate (in coldpost.toml): "Drafts \\Drafts \\Sent": write a name, and behind it one use or none"#
            ]],
        ),
        (
            r#"["a//b"]"#,
            expect![[
                r#"mail.autocreate (in coldpost.toml): "a//b": mailbox name: a level is empty"#
            ]],
        ),
        (
            r#"["\\Drafts"]"#,
            expect![[
                r#"mail.autocreate (in coldpost.toml): "\\Drafts": write a name, and behind it one use or none"#
            ]],
        ),
        (
            r#"["inbox"]"#,
            expect![[
                r#"mail.autocreate (in coldpost.toml): "inbox": INBOX is there anyway; leave it out"#
            ]],
        ),
        (
            r#"["a", "a \\Sent"]"#,
            expect!["mail.autocreate: a stands there twice"],
        ),
        (
            r#"["a \\Sent", "b", "c \\Sent"]"#,
            expect!["mail.autocreate: a and c have the same use; give it to one of them"],
        ),
    ] {
        refused(&format!("[mail]\nautocreate = {list}"), &[], expected);
    }
    let many: Vec<String> = (0..33).map(|number| number.to_string()).collect();
    refused(
        &format!("[mail]\nautocreate = {many:?}"),
        &[],
        expect!["mail.autocreate: 33 mailboxes are too many; at most 32"],
    );
}

#[test]
fn secrets_are_not_shown() {
    let file = "[auth]\ndev_password = \"sesame\"\n[http]\ntoken = \"sesame\"\n[cold]\nsecret_access_key = \"sesame\"";
    let (config, checked) = load(file, &[], None).expect("right");
    assert!(!toml::to_string(&config).expect("shown").contains("sesame"));
    assert!(!format!("{config:?}{:?}", checked.auth).contains("sesame"));
}
