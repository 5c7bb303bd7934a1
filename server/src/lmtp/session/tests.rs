//! Dialogues with a session: client lines in, replies and events out, as text.

use coldpost_engine::ids::MailboxId;
use coldpost_engine::{Error, Kind};
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::lmtp::limits::{COMMAND_LINE_MAX, COMMAND_LINE_PASSED_MAX};

fn settings() -> Settings {
    Settings {
        hostname: "mail.example.org".to_owned(),
        max_message: 40,
        max_recipients: 3,
        recipient_delimiter: "+".to_owned(),
        allow: Vec::new(),
    }
}

/// `gone` vanishes before the delivery; `broken` cannot be looked up; nobody else is known but these.
fn takes(name: &AccountName) -> coldpost_engine::Result<bool> {
    match name.as_str() {
        "anna@example.org" | "postmaster" | "jösé@xn--bcher-kva.example" => Ok(true),
        "bob@example.org" | "gone@example.org" => Ok(true),
        "broken@example.org" => Err(Error::new(Kind::Unavailable, "away")),
        _ => Ok(false),
    }
}

fn deliver(message: &[u8], to: &[AccountName]) -> coldpost_engine::Result<Vec<Delivered>> {
    if message.starts_with(b"full") {
        return Err(Error::new(Kind::Limit, "disk"));
    }
    let outcome = |account: &AccountName| match account.as_str() {
        "gone@example.org" => Delivered::AccountGone,
        _ => Delivered::Stored {
            mailbox: MailboxId(1),
            uid_validity: 1,
            uid: 1,
        },
    };
    Ok(to.iter().map(outcome).collect())
}

/// What a client that sends `pieces` hears, with the deliveries in between.
fn talk<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    talk_under(Cover::Clear, pieces)
}

fn talk_under<'a>(cover: Cover, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut session = Session::new(Arc::new(settings()), cover);
    let (mut log, mut message) = (String::new(), Vec::new());
    for piece in pieces {
        session.feed(piece);
        while let Some(event) = session.next() {
            match event {
                Event::Recipient(name) => session.recipient(takes(&name)),
                Event::Begin(envelope) => {
                    let Envelope {
                        lhlo,
                        from,
                        only,
                        utf8,
                    } = envelope;
                    message.clear();
                    note(&mut session, &mut log);
                    log.push_str(&format!(
                        "  begin: {lhlo} <{from}> only {only:?} utf8 {utf8}\n"
                    ));
                }
                Event::Refused(reason) => {
                    note(&mut session, &mut log);
                    log.push_str(&format!("  counted: {reason:?}\n"));
                }
                Event::Chunk(chunk) => message.extend_from_slice(&chunk),
                Event::Discard => message.clear(),
                Event::Deliver { last, to } => {
                    message.extend_from_slice(&last);
                    let names: Vec<&str> = to.iter().map(AccountName::as_str).collect();
                    log.push_str(&format!(
                        "  deliver to {names:?}: {:?}\n",
                        String::from_utf8_lossy(&message)
                    ));
                    session.delivered(deliver(&message, &to));
                }
                Event::StartTls => {
                    note(&mut session, &mut log);
                    log.push_str("  TLS begins\n");
                }
                Event::Close => {
                    note(&mut session, &mut log);
                    log.push_str("  close\n");
                }
            }
            assert!(
                session.input.bytes().len() <= COMMAND_LINE_MAX + piece.len(),
                "the input is bounded"
            );
        }
    }
    note(&mut session, &mut log);
    log
}

fn note(session: &mut Session, log: &mut String) {
    log.push_str(&String::from_utf8_lossy(&session.take_output()).replace("\r\n", "\n"));
}

/// Sends `lines` (each gets its CRLF) after LHLO and checks what comes after its reply.
fn check(lines: &str, expected: Expect) {
    let input = format!("LHLO mx.example.net\n{lines}").replace('\n', "\r\n");
    let log = talk([input.as_bytes()]);
    let after = log
        .split_once("ENHANCEDSTATUSCODES\n")
        .expect("LHLO was answered")
        .1;
    expected.assert_eq(after);
}

#[test]
fn lhlo_names_the_extensions() {
    expect![[r#"
        220 mail.example.org LMTP Coldpost
        250-mail.example.org
        250-PIPELINING
        250-SIZE 40
        250-8BITMIME
        250-SMTPUTF8
        250 ENHANCEDSTATUSCODES
        221 2.0.0 Bye
          close
    "#]]
    .assert_eq(&talk([
        b"LHLO mx.example.net\r\nQUIT\r\nNOOP\r\n".as_slice()
    ]));
}

#[test]
fn after_data_each_accepted_recipient_has_a_reply_in_order() {
    check(
        "MAIL FROM:<b@example.net>\nRCPT TO:<bob@example.org>\nRCPT TO:<nobody@example.org>\nRCPT TO:<anna+x@example.org>\nRCPT TO:<gone@example.org>\nDATA\n..hi\n.\n",
        expect![[r#"
            250 2.1.0 OK
            250 2.1.5 OK
            550 5.1.1 No such account here
            250 2.1.5 OK
            250 2.1.5 OK
            354 End the message with CRLF.CRLF
              begin: mx.example.net <b@example.net> only None utf8 false
              deliver to ["bob@example.org", "anna@example.org", "gone@example.org"]: ".hi\r\n"
            250 2.0.0 <bob@example.org> Saved
            250 2.0.0 <anna+x@example.org> Saved
            550 5.1.1 No such account here
        "#]],
    );
}

#[test]
fn an_account_named_twice_has_a_reply_each() {
    check(
        "MAIL FROM:<>\nRCPT TO:<anna@example.org>\nRCPT TO:<ANNA@Example.Org>\nDATA\n.\n",
        expect![[r#"
            250 2.1.0 OK
            250 2.1.5 OK
            250 2.1.5 OK
            354 End the message with CRLF.CRLF
              begin: mx.example.net <> only None utf8 false
              deliver to ["anna@example.org", "anna@example.org"]: ""
            250 2.0.0 <anna@example.org> Saved
            250 2.0.0 <ANNA@Example.Org> Saved
        "#]],
    );
}

#[test]
fn data_without_an_accepted_recipient_is_503() {
    check(
        "DATA\nMAIL FROM:<b@example.net>\nDATA\nRCPT TO:<nobody@example.org>\nDATA\nRCPT TO:<broken@example.org>\nDATA\n",
        expect![[r#"
            503 5.5.1 Say MAIL first
            250 2.1.0 OK
            503 5.5.1 No recipient was accepted
            550 5.1.1 No such account here
            503 5.5.1 No recipient was accepted
            451 4.3.0 Accounts cannot be read at the moment, try again later
            503 5.5.1 No recipient was accepted
        "#]],
    );
}

#[test]
fn a_message_over_the_limit_is_read_to_its_end_and_refused_for_each() {
    check(
        "MAIL FROM:<b@example.net> SIZE=41\nMAIL FROM:<b@example.net> SIZE=40\nRCPT TO:<anna@example.org>\nRCPT TO:<bob@example.org>\nDATA\n0123456789\n0123456789\n0123456789\nQUIT\n.\nNOOP\n",
        expect![[r#"
            552 5.3.4 The message is too large
              counted: TooLarge
            250 2.1.0 OK
            250 2.1.5 OK
            250 2.1.5 OK
            354 End the message with CRLF.CRLF
              begin: mx.example.net <b@example.net> only None utf8 false
            552 5.3.4 The message is too large
            552 5.3.4 The message is too large
            250 2.0.0 OK
        "#]],
    );
}

#[test]
fn a_full_disk_is_said_to_each_recipient_and_the_session_goes_on() {
    check(
        "MAIL FROM:<>\nRCPT TO:<anna@example.org>\nRCPT TO:<bob@example.org>\nDATA\nfull\n.\nMAIL FROM:<>\n",
        expect![[r#"
            250 2.1.0 OK
            250 2.1.5 OK
            250 2.1.5 OK
            354 End the message with CRLF.CRLF
              begin: mx.example.net <> only None utf8 false
              deliver to ["anna@example.org", "bob@example.org"]: "full\r\n"
            452 4.3.1 Disk or memory is short, try again later
            452 4.3.1 Disk or memory is short, try again later
            250 2.1.0 OK
        "#]],
    );
}

#[test]
fn from_max_recipients_on_it_is_452() {
    check(
        "MAIL FROM:<>\nRCPT TO:<anna@example.org>\nRCPT TO:<bob@example.org>\nRCPT TO:<anna@example.org>\nRCPT TO:<bob@example.org>\nRSET\n",
        expect![[r#"
            250 2.1.0 OK
            250 2.1.5 OK
            250 2.1.5 OK
            250 2.1.5 OK
            452 4.5.3 Too many recipients; send the others in another transaction
            250 2.0.0 OK
        "#]],
    );
}

#[test]
fn addresses_outside_ascii_want_smtputf8() {
    check(
        "MAIL FROM:<b@example.net>\nRCPT TO:<jösé@bücher.example>\nRSET\nMAIL FROM:<> SMTPUTF8 BODY=8BITMIME\nRCPT TO:<jösé@bücher.example>\nDATA\nä\n.\n",
        expect![[r#"
            250 2.1.0 OK
            553 5.6.7 An address outside ASCII needs MAIL with SMTPUTF8
            250 2.0.0 OK
            250 2.1.0 OK
            250 2.1.5 OK
            354 End the message with CRLF.CRLF
              begin: mx.example.net <> only Some("jösé@bücher.example") utf8 true
              deliver to ["jösé@xn--bcher-kva.example"]: "ä\r\n"
            250 2.0.0 <jösé@bücher.example> Saved
        "#]],
    );
}

#[test]
fn postmaster_needs_no_domain_and_impossible_names_are_unknown() {
    check(
        "MAIL FROM:<>\nRCPT TO:<Postmaster>\nRCPT TO:<\"an na\"@example.org>\nRCPT TO:<anna@[192.0.2.1]>\nMAIL FROM:<>\n",
        expect![[r#"
            250 2.1.0 OK
            250 2.1.5 OK
            550 5.1.1 No such account here
              counted: UnknownRecipient
            550 5.1.1 No such account here
            503 5.5.1 MAIL was said already; RSET begins anew
        "#]],
    );
}

#[test]
fn commands_before_lhlo_are_out_of_order() {
    let log = talk([b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nEHLO mx\r\nNOOP\r\n".as_slice()]);
    expect![[r#"
        220 mail.example.org LMTP Coldpost
        503 5.5.1 Say LHLO first
        503 5.5.1 Say MAIL first
        500 5.5.1 This is LMTP: say LHLO
        250 2.0.0 OK
    "#]]
    .assert_eq(&log);
}

#[test]
fn lines_that_are_too_long_or_wrongly_ended_are_refused_whole() {
    let long = format!(
        "NOOP {}\r\nNOOP\nQUIT\r\nQUIT\rNOOP\r\nNOOP\r\n",
        "x".repeat(3 * COMMAND_LINE_MAX)
    );
    expect![[r#"
        220 mail.example.org LMTP Coldpost
        500 5.5.2 The line is too long
        500 5.5.2 A command ends with CRLF and has no other CR or LF
        500 5.5.2 A command ends with CRLF and has no other CR or LF
        250 2.0.0 OK
    "#]]
    .assert_eq(&talk(long.as_bytes().chunks(700)));
}

#[test]
fn a_line_without_an_end_is_refused_and_ends_the_session() {
    let endless = [
        b"LHLO ".to_vec(),
        vec![b'x'; COMMAND_LINE_PASSED_MAX + 1_000],
    ]
    .concat();
    expect![[r#"
        220 mail.example.org LMTP Coldpost
        500 5.5.2 The line is too long; closing
          close
    "#]]
    .assert_eq(&talk(endless.chunks(700)));
}

/// What stood behind a bare LF was carried out: a relay that passes it on smuggled a recipient in.
#[test]
fn nothing_of_a_line_with_a_bare_line_end_is_carried_out() {
    let lines = "LHLO mx\r\nMAIL FROM:<>\r\nRCPT TO:<anna@example.org>\nRCPT TO:<bob@example.org>\r\nDATA\r\n";
    let log = talk([lines.as_bytes()]);
    let after = log.split_once("2.1.0 OK\n").expect("MAIL was taken").1;
    expect![[r#"
        500 5.5.2 A command ends with CRLF and has no other CR or LF
        503 5.5.1 No recipient was accepted
    "#]]
    .assert_eq(after);
}

#[test]
fn too_many_wrong_commands_in_a_row_end_the_session() {
    let bad = "WHAT\r\n".repeat(19) + "NOOP\r\n" + &"WHAT\r\n".repeat(25);
    let log = talk([bad.as_bytes()]);
    assert_eq!(log.matches("500 5.5.2").count(), 39);
    assert!(
        log.ends_with("421 4.7.0 Too many wrong commands\n  close\n"),
        "{log}"
    );
}

/// Lines that make interesting dialogues: right and wrong commands, bodies, ends of bodies, broken line ends.
fn line() -> impl Strategy<Value = String> {
    let fixed = [
        "LHLO mx.example.net\r\n",
        "MAIL FROM:<b@example.net>\r\n",
        "MAIL FROM:<> SMTPUTF8\r\n",
        "RCPT TO:<anna@example.org>\r\n",
        "RCPT TO:<bob@example.org>\r\n",
        "RCPT TO:<nobody@example.org>\r\n",
        "DATA\r\n",
        ".\r\n",
        "..\r\n",
        "full\r\n",
        "RSET\r\n",
        "QUIT\r\n",
        "NOOP\n",
        "a line of a body that is long\r\n",
    ];
    prop_oneof![8 => prop::sample::select(fixed.to_vec()).prop_map(str::to_owned), 1 => "[ A-Z<>:@.\r\n\\x00ä]{0,12}"]
}

proptest! {
    #[test]
    fn a_split_at_any_byte_gives_the_same_replies(lines in prop::collection::vec(line(), 0..25), cuts in prop::collection::vec(0usize..700, 0..6)) {
        let prelude = "LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<anna@example.org>\r\n";
        let input = (prelude.to_owned() + &lines.concat()).into_bytes();
        let whole = talk([input.as_slice()]);
        prop_assert_eq!(talk(input.chunks(1)), whole.clone());
        let mut at: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
        at.extend([0, input.len()]);
        at.sort_unstable();
        prop_assert_eq!(talk(at.windows(2).map(|pair| &input[pair[0]..pair[1]])), whole);
    }

    #[test]
    fn any_bytes_are_survived(input in prop::collection::vec(any::<u8>(), 0..400)) {
        talk(input.chunks(7));
    }
}

#[test]
fn behind_starttls_nothing_is_carried_out_and_without_tls_it_is_refused() {
    let input: &[u8] = b"LHLO mx\r\nSTARTTLS\r\nMAIL FROM:<b@example.net>\r\nNOOP\r\n";
    let talk = |cover| {
        let log = talk_under(cover, [input]);
        let after = log.split_once("PIPELINING\n").expect("LHLO was answered");
        after.1.to_owned()
    };
    expect![[r#"
        250-STARTTLS
        250-SIZE 40
        250-8BITMIME
        250-SMTPUTF8
        250 ENHANCEDSTATUSCODES
        220 2.0.0 Begin TLS now
          TLS begins
    "#]]
    .assert_eq(&talk(Cover::StartTls));
    let refused = |cover, reply: &str| {
        let log = talk(cover);
        assert!(!log.contains("250-STARTTLS"), "{log}");
        assert!(
            log.contains(reply) && log.ends_with("250 2.0.0 OK\n"),
            "{log}"
        );
    };
    refused(Cover::Clear, "502 5.5.1 There is no TLS here\n");
    refused(Cover::Tls, "503 5.5.1 TLS is on already\n");
}

#[test]
fn a_session_behind_starttls_greets_nobody_and_knows_no_lhlo() {
    let mut session = Session::after_starttls(Arc::new(settings()));
    assert!(session.is_tls() && session.take_output().is_empty());
    session.feed(b"MAIL FROM:<b@example.net>\r\n");
    assert!(session.next().is_none());
    let output = session.take_output();
    assert!(
        output.starts_with(b"503 5.5.1 Say LHLO first"),
        "{output:?}"
    );
}
