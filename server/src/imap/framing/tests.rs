//! The framing as text: bytes in, events out.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

const LIMITS: FramerLimits = FramerLimits {
    line: 160,
    literal: 16,
    message: Some(1000),
};

/// The events of a connection whose bytes came in these pieces, a line each; pieces of a message are joined. IDLE asks for a line, an
/// APPEND to a mailbox `full` is refused.
fn events<'a>(limits: FramerLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut framer = Framer::new(limits);
    let (mut out, mut message) = (String::new(), Vec::new());
    for piece in pieces {
        framer.push(piece);
        loop {
            let event = match framer.next() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(refusal) => return out + &answer("closed", &refusal),
            };
            if let Event::AppendData(data) = event {
                assert!(!data.is_empty(), "no empty pieces");
                message.extend_from_slice(&data);
                continue;
            }
            if !message.is_empty() {
                out += &format!("message of {} octets\n", message.len());
                message.clear();
            }
            out += &line(&mut framer, event);
        }
    }
    assert!(framer.command.len() <= limits.line + limits.literal * 40);
    out
}

fn line(framer: &mut Framer, event: Event) -> String {
    match event {
        Event::Command(bytes) => {
            if bytes.ends_with(b" IDLE") {
                framer.expect_line();
            }
            format!("command {:?}\n", String::from_utf8_lossy(&bytes))
        }
        Event::NeedContinuation => "continue\n".to_owned(),
        Event::AppendLiteral {
            command,
            size,
            synchronising,
            first,
        } => {
            let text = String::from_utf8_lossy(&command).into_owned();
            match text.contains(" full ") {
                true => framer.refuse(Refusal::no(Code::OverQuota, "full")),
                false => framer.accept(),
            }
            let waits = if synchronising { ", waits" } else { "" };
            let more = if first { "" } else { "one more " };
            format!("{more}append {text:?} of {size}{waits}\n")
        }
        Event::AppendData(_) => unreachable!("joined above"),
        Event::AppendEnd(rest) => format!("append ends {:?}\n", String::from_utf8_lossy(&rest)),
        Event::Line(bytes) => format!("line {:?}\n", String::from_utf8_lossy(&bytes)),
        Event::Refused(refusal) => answer("refused", &refusal),
    }
}

fn answer(what: &str, refusal: &Refusal) -> String {
    let mut out = Vec::new();
    refusal.write(&mut out);
    format!("{what} {}", String::from_utf8_lossy(&out).replace('\r', ""))
}

/// The events of `input`, which are the same when it is cut anywhere and when it comes byte by byte.
fn check(input: &str, expected: &Expect) {
    let input = input.as_bytes();
    let whole = events(LIMITS, [input]);
    for at in 0..input.len() {
        let (a, b) = input.split_at(at);
        assert_eq!(events(LIMITS, [a, b]), whole, "cut at {at}");
    }
    assert_eq!(events(LIMITS, input.chunks(1)), whole, "byte by byte");
    expected.assert_eq(&whole);
}

#[test]
fn lines_are_commands_and_a_bare_lf_ends_them_too() {
    check(
        "a NOOP\r\nb CHECK\n\r\nc LOGOUT\r\nd half",
        &expect![[r#"
            command "a NOOP"
            command "b CHECK"
            command ""
            command "c LOGOUT"
        "#]],
    );
}

#[test]
fn literals_stand_inline_and_only_synchronising_ones_are_waited_for() {
    check(
        "a LOGIN {4}\r\nfred {3+}\nabc\r\nb SEARCH TEXT {6}\r\n{9}\r\n\n\r\nc SELECT {0+}\r\n\r\nd x{a}\r\ne y{}\r\n",
        &expect![[r#"
            continue
            command "a LOGIN {4}\r\nfred {3+}\r\nabc"
            continue
            command "b SEARCH TEXT {6}\r\n{9}\r\n\n"
            command "c SELECT {0+}\r\n"
            command "d x{a}"
            command "e y{}"
        "#]],
    );
}

#[test]
fn a_literal_over_the_bound_is_refused_before_it_is_sent() {
    check(
        "a LOGIN {17}\r\nb LOGIN fred {99999999999999999999999}\r\nc NOOP\r\n",
        &expect![[r#"
            refused a NO [TOOBIG] a literal here has at most 16 bytes
            refused b NO [TOOBIG] a literal here has at most 16 bytes
            command "c NOOP"
        "#]],
    );
}

#[test]
fn a_literal_that_does_not_wait_is_swallowed_with_the_rest_of_its_command() {
    check(
        "a LOGIN {17+}\r\n1 NOOP\r\n2 NOOP\r\n+ {3+}\r\n\r\nx\r\nb LOGIN {20+}\r\n12345678901234567890 {4}\r\nc NOOP\r\n",
        &expect![[r#"
            refused a NO [TOOBIG] a literal here has at most 16 bytes
            refused b NO [TOOBIG] a literal here has at most 16 bytes
            command "c NOOP"
        "#]],
    );
}

#[test]
fn a_line_over_the_bound_is_refused_at_its_end() {
    let long = "x".repeat(170);
    check(
        &format!(
            "a {long}\r\nb {long}{{5+}}\r\n\r\n\r\n!\r\nc LOGIN {{1+}}\r\n{long}\r\nd ID {{1+}}\r\n. {long}\r\n{long}\r\ne NOOP\r\n"
        ),
        &expect![[r#"
            refused a BAD the command line is longer than 160 bytes
            refused b BAD the command line is longer than 160 bytes
            refused c BAD the command line is longer than 160 bytes
            refused d BAD the command line is longer than 160 bytes
            refused * BAD the command line is longer than 160 bytes
            command "e NOOP"
        "#]],
    );
}

#[test]
fn a_line_of_exactly_the_bound_is_taken() {
    let fits = "x".repeat(158);
    check(
        &format!("a {fits}\r\nb {fits}\nc {fits}y\r\n"),
        &expect![[r#"
            command "a xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            command "b xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            refused c BAD the command line is longer than 160 bytes
        "#]],
    );
}

#[test]
fn the_message_of_an_append_is_handed_on_as_it_comes() {
    check(
        "a APPEND INBOX (\\Seen) {11}\r\nFrom: x\r\n\r\n\r\nb append {5+}\r\nINBOX {4+}\r\n\r\n\r\n\r\nc APPEND INBOX {0}\r\n\r\nd NOOP\r\n",
        &expect![[r#"
            append "a APPEND INBOX (\\Seen) {11}" of 11, waits
            message of 11 octets
            append ends ""
            append "b append {5+}\r\nINBOX {4+}" of 4
            message of 4 octets
            append ends ""
            append "c APPEND INBOX {0}" of 0, waits
            append ends ""
            command "d NOOP"
        "#]],
    );
}

#[test]
fn an_append_can_have_several_messages() {
    check(
        "a APPEND INBOX {2}\r\nxy (\\Seen) {3+}\r\nabc {1001}\r\nb APPEND INBOX {2+}\r\nxy junk\r\n",
        &expect![[r#"
            append "a APPEND INBOX {2}" of 2, waits
            message of 2 octets
            one more append " (\\Seen) {3+}" of 3
            message of 3 octets
            refused a NO [TOOBIG] a message has at most 1000 bytes
            append "b APPEND INBOX {2+}" of 2
            message of 2 octets
            append ends " junk"
        "#]],
    );
}

#[test]
fn an_append_that_is_not_wanted_is_answered_where_the_client_stands() {
    let big = "m".repeat(1001);
    check(
        &format!(
            "a APPEND full {{9}}\r\nb APPEND full {{7+}}\r\nc NOOP\n\r\nd APPEND INBOX {{1001}}\r\ne APPEND INBOX {{1001+}}\r\n{big}\r\nf APPEND full ~{{3}}\r\ng APPEND full ~{{3+}}\r\nabc\r\nh SEARCH TEXT ~{{1+}}\r\nx\r\n"
        ),
        &expect![[r#"
            append "a APPEND full {9}" of 9, waits
            refused a NO [OVERQUOTA] full
            append "b APPEND full {7+}" of 7
            refused b NO [OVERQUOTA] full
            refused d NO [TOOBIG] a message has at most 1000 bytes
            refused e NO [TOOBIG] a message has at most 1000 bytes
            append "f APPEND full ~{3}" of 3, waits
            refused f NO [OVERQUOTA] full
            append "g APPEND full ~{3+}" of 3
            refused g NO [OVERQUOTA] full
            refused h BAD binary literals (~{n}) are not supported here
        "#]],
    );
}

#[test]
fn a_line_that_was_asked_for_is_no_command() {
    let long = "x".repeat(170);
    check(
        &format!("a IDLE\r\nDONE\r\nb IDLE\r\nDONE {{3}}\r\nc IDLE\r\n{long}{{5+}}\r\nd NOOP\r\n"),
        &expect![[r#"
            command "a IDLE"
            line "DONE"
            command "b IDLE"
            line "DONE {3}"
            command "c IDLE"
            refused * BAD the command line is longer than 160 bytes
            command "d NOOP"
        "#]],
    );
}

#[test]
fn who_goes_on_sending_far_beyond_a_bound_is_cut_off() {
    let bye = "closed * BYE [TOOBIG] more than 1049576 bytes after a command was refused\n";
    let announced: &[u8] = b"a APPEND INBOX {1049577+}\r\nxyz";
    assert_eq!(events(LIMITS, [announced]), bye);
    let endless = vec![b'x'; 1_050_000];
    assert_eq!(events(LIMITS, [endless.as_slice()]), bye);
    assert_eq!(events(LIMITS, endless.chunks(4096)), bye);
}

#[test]
fn a_command_has_no_more_literals_than_the_bound() {
    let literals = "{0+}\r\n".repeat(limits::IMAP_LITERALS_MAX);
    let input = format!("a LOGIN {literals}\r\nb LOGIN {literals}{{0+}}\r\n\r\nc NOOP\r\n");
    let limits = FramerLimits {
        line: 4096,
        ..LIMITS
    };
    let got = events(limits, [input.as_bytes()]);
    assert!(
        got.ends_with("refused b BAD the command has more than 32 literals\ncommand \"c NOOP\"\n"),
        "{got}"
    );
}

#[test]
fn a_literal_is_asked_for_only_where_a_command_takes_one() {
    check(
        "{3}\r\nNOOP {3}\r\na NOOP {3}\r\na FOO {3+}\r\nabc\r\na LOGIN{3}\r\na login {3}\r\nabc x\r\na UID SEARCH BODY {1+}\r\nx\r\n",
        &expect![[r#"
            refused * BAD no literal can stand here: expected a tag and a command that takes one
            refused NOOP BAD no literal can stand here: expected a tag and a command that takes one
            refused a BAD no literal can stand here: expected a tag and a command that takes one
            refused a BAD no literal can stand here: expected a tag and a command that takes one
            refused a BAD no literal can stand here: expected a tag and a command that takes one
            continue
            command "a login {3}\r\nabc x"
            command "a UID SEARCH BODY {1+}\r\nx"
        "#]],
    );
}

#[test]
fn before_login_an_append_is_a_command_like_any_other() {
    let got = events(
        FramerLimits::before_login(),
        [b"a APPEND INBOX {3+}\r\nabc\r\nb APPEND INBOX {5000}\r\n".as_slice()],
    );
    expect![[r#"
        command "a APPEND INBOX {3+}\r\nabc"
        refused b NO [TOOBIG] a literal here has at most 1024 bytes
    "#]]
    .assert_eq(&got);
}

/// Pieces of which dialogues are made that come near every rule of the framing.
fn dialogue() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("a "),
        Just("APPEND "),
        Just("append INBOX "),
        Just("full "),
        Just(" IDLE"),
        Just("\r\n"),
        Just("\n"),
        Just("\r"),
        Just("{3}"),
        Just("{3+}"),
        Just("{17}"),
        Just("{17+}"),
        Just("~{2+}"),
        Just("{1001+}"),
        Just("{0}"),
        Just("{"),
        Just("}"),
        Just("xyz"),
        Just("{3+}\r\nabc"),
        Just("01234567890123456789012345678901234567890123456789012345678901234567890123456789"),
        Just("\0"),
        Just("+"),
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #[test]
    fn the_events_do_not_depend_on_how_the_bytes_are_cut(input in dialogue(), cuts in proptest::collection::vec(1usize..40, 1..50)) {
        let whole = events(LIMITS, [input.as_slice()]);
        let (mut pieces, mut rest) = (Vec::new(), input.as_slice());
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(events(LIMITS, pieces), whole.clone());
        prop_assert_eq!(events(LIMITS, input.chunks(1)), whole);
    }

    #[test]
    fn any_bytes_give_events_within_the_bounds(input in proptest::collection::vec(any::<u8>(), 0..500)) {
        let whole = events(LIMITS, [input.as_slice()]);
        prop_assert_eq!(events(LIMITS, input.chunks(1)), whole);
    }
}
