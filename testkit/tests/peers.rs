//! The kit's own promises, against the real programs: each starts, does its work, and is gone afterwards.

use std::time::Duration;

use coldpost_testkit::dovecot::{Dovecot, Kind};
use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::mbsync::Mbsync;
use coldpost_testkit::postfix::{self, Postfix};
use coldpost_testkit::recorder::Recorder;
use coldpost_testkit::seaweedfs::SeaweedFs;
use coldpost_testkit::tool::{DOVECOT, MBSYNC, NPM, POSTFIX, ROOT, TAR, WEED};
use coldpost_testkit::{Must, corpus, have, http, place, sexp};

const MAIL: &[u8] = b"From: a@example.org\r\nSubject: one\r\n\r\n.dot\r\nbody {3}\r\nabc\r\n";

#[test]
fn seaweedfs_is_reached_through_a_proxy_that_fails_on_order() {
    if !have(&[WEED]) {
        return;
    }
    let mut weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let ask = || http::get(proxy.addr(), "/", None).map(|reply| reply.status);
    let answered = ask().must("the store through the proxy");
    assert_ne!(answered, 503);
    proxy.set(Mode::Status(503));
    assert_eq!(ask().must("the proxy's own answer"), 503);
    proxy.set_for("/elsewhere", Mode::Status(500));
    assert_eq!(ask().must("a request that is not meant"), answered);
    proxy.set(Mode::Refuse);
    assert!(ask().is_err());
    proxy.set(Mode::Pass);
    weed.pause();
    weed.resume();
    weed.restart();
    assert_eq!(ask().must("the store after its restart"), answered);
    assert_eq!(proxy.requests().len(), 5);
}

#[test]
fn dovecot_takes_mail_by_lmtp_and_append_and_gives_the_same_bytes_back() {
    if !have(&[DOVECOT, ROOT]) {
        return;
    }
    for kind in [Kind::Maildir, Kind::Mdbox] {
        let dovecot = Dovecot::start(&kind);
        dovecot
            .lmtp()
            .deliver("a@example.org", "u@example.org", MAIL);
        let mut imap = dovecot.imap("u@example.org");
        let (_, uid) = imap.append("INBOX", "(\\Seen)", MAIL);
        assert_eq!(imap.command("SELECT INBOX").ok().number("EXISTS"), Some(2));
        let fetched = imap.fetch("UID FETCH 1:* (UID FLAGS BODY.PEEK[])");
        assert_eq!(fetched[1].uid(), uid);
        assert_eq!(fetched[1].flags(), ["\\Seen"]);
        assert_eq!(fetched[1].bytes("BODY[]"), MAIL);
        assert!(fetched[0].bytes("BODY[]").ends_with(MAIL));
    }
}

#[test]
fn dovecot_stands_in_front_of_another_server() {
    if !have(&[DOVECOT, ROOT]) {
        return;
    }
    let back = Dovecot::start(&Kind::Maildir);
    let behind = Kind::Imapc {
        imap: back.imap_addr(),
        lmtp: back.lmtp_addr(),
        password: "pw".to_owned(),
    };
    let front = Dovecot::start(&behind);
    front.lmtp().deliver("a@example.org", "u@example.org", MAIL);
    let mut imap = front.imap("u@example.org");
    assert_eq!(imap.command("SELECT INBOX").ok().number("EXISTS"), Some(1));
    assert!(
        imap.fetch("FETCH 1 BODY[]")[0]
            .bytes("BODY[]")
            .ends_with(MAIL)
    );
}

#[test]
fn postfix_hands_the_same_data_to_two_sockets() {
    if !have(&[POSTFIX, ROOT]) {
        return;
    }
    let dir = place::scratch("sockets");
    let paths = ["one", "two"].map(|name| postfix::socket_path(dir.path(), name));
    let recorders = [Recorder::start(&paths[0]), Recorder::start(&paths[1])];
    let [one, two] = paths.map(|path| format!("unix:{}", path.display()));
    let postfix = Postfix::start(&[("one.example", &one), ("two.example", &two)]);
    let reply = postfix.smtp().send(
        "m1@sender.example",
        &["u@one.example", "u@two.example"],
        MAIL,
    );
    assert!(reply.must("sending").is_ok());
    let [one, two] =
        recorders.map(|recorder| recorder.wait_for(1, Duration::from_secs(30)).remove(0));
    assert_eq!(one.data, two.data);
    assert!(one.data.ends_with(MAIL));
    assert_eq!(
        (one.from.as_str(), one.to),
        ("m1@sender.example", vec!["u@one.example".to_owned()])
    );
}

#[test]
fn mbsync_fetches_and_then_has_nothing_to_do() {
    if !have(&[DOVECOT, MBSYNC, ROOT]) {
        return;
    }
    let dovecot = Dovecot::start(&Kind::Maildir);
    dovecot.imap("u").append("INBOX", "", MAIL);
    let mbsync = Mbsync::new(dovecot.imap_addr(), "u", "pw");
    mbsync.run();
    assert_eq!(mbsync.messages("INBOX").len(), 1);
}

#[test]
fn the_corpus_is_complete() {
    if !have(&[NPM, TAR]) {
        return;
    }
    assert_eq!(
        corpus::spam_assassin().len(),
        corpus::SPAM_ASSASSIN_MESSAGES
    );
    assert!(
        corpus::spam_assassin()
            .iter()
            .all(|(_, mail)| !mail.starts_with(b"From "))
    );
    assert!(corpus::torture().len() >= 100);
}

#[test]
fn imap_values_are_read_as_a_tree() {
    let parsed = sexp::parse(b"(UID 7 BODY[HEADER.FIELDS (TO CC)] {3}\r\na)b X NIL \"q\\\"\")")
        .must("a FETCH list");
    assert_eq!(
        format!("{parsed:?}"),
        r#"[[UID, 7, BODY[HEADER.FIELDS (TO CC)], "a)b", X, NIL, "q\""]]"#
    );
    assert_eq!(sexp::parse(b"(a"), None);
}
