//! ENVELOPE, BODYSTRUCTURE and BODY against Dovecot's, byte for byte, on the whole corpus and mail-parser's torture files.
//!
//! Every difference belongs to a class in `CLASSES`: what it is, the sentence of an RFC that decides for us, the least message that shows it. An unlisted
//! difference fails, and so do more than ten classes or more than 1 % of the corpus.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use coldpost_engine::mail::{Description, describe};
use coldpost_testkit::must::Must;
use coldpost_testkit::sexp::{self, Value};
use coldpost_testkit::tool::{NPM, ROOT, TAR, Tool};
use coldpost_testkit::{corpus, have, place, process};

const DOVEADM: Tool = Tool {
    program: "doveadm",
    package: "apt-get install dovecot-imapd",
};
const CLASSES_MAX: usize = 10;
/// Differing messages of the corpus, in a thousand.
const DIFFERENCES_MAX_PER_MILLE: usize = 10;

/// What the two say about a message, each item without its outer parentheses.
struct Answers {
    ours: [Vec<u8>; 3],
    dovecot: [Vec<u8>; 3],
}

/// A known difference.
struct Class {
    name: &'static str,
    /// The sentence that decides.
    reason: &'static str,
    /// As little as makes the difference.
    message: &'static str,
    /// BODYSTRUCTURE of it.
    ours: &'static str,
    dovecot: &'static str,
    /// Whether two descriptions of one part may differ like this; `None` leaves it to what they are made of.
    may_differ: fn(ours: &Value, dovecot: &Value) -> Option<bool>,
}

impl Class {
    /// Whether all that differs in a message is of this class.
    fn explains(&self, answers: &Answers) -> bool {
        let parse = |item: &Vec<u8>| sexp::parse(item).map(Value::List);
        answers
            .ours
            .iter()
            .zip(&answers.dovecot)
            .all(|(ours, dovecot)| {
                let parsed = parse(ours).zip(parse(dovecot));
                parsed.is_some_and(|(ours, dovecot)| self.alike(&ours, &dovecot))
            })
    }

    fn alike(&self, ours: &Value, dovecot: &Value) -> bool {
        if ours == dovecot {
            return true;
        }
        if let Some(may) = (self.may_differ)(ours, dovecot) {
            return may;
        }
        let (ours, dovecot) = (ours.list(), dovecot.list());
        !ours.is_empty()
            && ours.len() == dovecot.len()
            && ours.iter().zip(dovecot).all(|(o, d)| self.alike(o, d))
    }
}

const CLASSES: [Class; 2] = [
    Class {
        name: "something between the subtype and the first semicolon of a Content-Type",
        reason: "RFC 3501, 7.4.2: body type is \"a string giving the content media type name as defined in [MIME-IMB]\"; \
                 RFC 2045, 5.1 has no empty type. Dovecot sends two empty strings; we send the type that is there.",
        message: "Content-Type: text/html charset=us-ascii; x=y\r\n\r\nHello\r\n",
        ours: r#""text" "html" ("charset" "us-ascii" "x" "y") NIL NIL "7bit" 7 1 NIL NIL NIL NIL"#,
        dovecot: r#""" "" NIL NIL NIL "7bit" 7 NIL NIL NIL NIL"#,
        may_differ: |ours, dovecot| {
            let (ours, dovecot) = (ours.list(), dovecot.list());
            let no_type = [Value::Text(vec![]), Value::Text(vec![]), Value::Nil];
            if !dovecot.starts_with(&no_type) {
                return None;
            }
            let is_multipart = matches!(ours.first(), Some(Value::List(_)));
            let has_type = |part: &[Value]| {
                part.iter()
                    .all(|v| v.bytes().is_some_and(|t| !t.is_empty()))
            };
            let is_same_leaf = ours.get(..2).is_some_and(has_type)
                && ours
                    .get(3..7)
                    .is_some_and(|fields| Some(fields) == dovecot.get(3..7));
            Some(is_multipart || is_same_leaf)
        },
    },
    Class {
        name: "a message/rfc822 part whose message ends within its header",
        reason: "RFC 2046, 5.1.1: \"The CRLF preceding the boundary delimiter line is conceptually attached to the boundary\". \
                 Dovecot counts it as an octet and a line of the part.",
        message: "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nX: y\r\n--b--\r\n",
        ours: r#"("message" "rfc822" NIL NIL NIL "7bit" 4 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL"#,
        dovecot: r#"("message" "rfc822" NIL NIL NIL "7bit" 6 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) 1 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL"#,
        may_differ: |ours, dovecot| {
            let (ours, dovecot) = (ours.list(), dovecot.list());
            let number = |part: &[Value], at: usize| part.get(at).and_then(Value::number);
            // RFC 3501, 7.4.2: the size is the seventh of a body's fields, a message's lines the tenth.
            let differs_by = |at, by| number(ours, at).map(|n| n + by) == number(dovecot, at);
            let is_message = dovecot.get(1).and_then(Value::bytes) == Some(b"rfc822");
            if !is_message || !differs_by(6, 2) {
                return None;
            }
            let others = |part: &[Value]| {
                let mut part = part.to_vec();
                part.remove(9);
                part.remove(6);
                part
            };
            Some(differs_by(9, 1) && others(ours) == others(dovecot))
        },
    },
];

#[test]
fn the_least_message_of_each_class_differs_as_it_says() {
    if !have(&[DOVEADM, ROOT]) {
        return;
    }
    let messages = CLASSES.map(|class| class.message.as_bytes().to_vec());
    for ((class, message), dovecot) in CLASSES.iter().zip(&messages).zip(ask_dovecot(&messages)) {
        let ours = items(&describe(message));
        let text = |item: &[u8]| String::from_utf8_lossy(item).into_owned();
        assert_eq!(text(&ours[1]), class.ours, "{}", class.name);
        assert_eq!(text(&dovecot[1]), class.dovecot, "{}", class.name);
        let answers = Answers { ours, dovecot };
        for other in &CLASSES {
            let is_it = other.name == class.name;
            assert_eq!(other.explains(&answers), is_it, "{}", other.name);
        }
        // Not whatever comes along with it.
        let mut more = answers;
        more.dovecot[1].extend_from_slice(b" \"more\"");
        more.dovecot[0].extend_from_slice(b" NIL");
        assert!(!class.explains(&more), "{}", class.name);
    }
}

#[test]
fn envelopes_and_structures_equal_dovecots_but_for_the_listed_classes() {
    if !have(&[DOVEADM, ROOT, NPM, TAR]) {
        return;
    }
    let names: Vec<&str> = corpus::spam_assassin()
        .iter()
        .chain(corpus::torture())
        .map(|(name, _)| name.as_str())
        .collect();
    let messages: Vec<Vec<u8>> = corpus::spam_assassin()
        .iter()
        .chain(corpus::torture())
        .map(|(_, mail)| corpus::crlf(mail))
        .collect();
    let dovecot = ask_dovecot(&messages);
    let mut counts = [0; CLASSES.len()];
    let mut differing = 0;
    let mut unlisted = String::new();
    for (index, (message, dovecot)) in messages.iter().zip(dovecot).enumerate() {
        let answers = Answers {
            ours: items(&describe(message)),
            dovecot,
        };
        if answers.ours == answers.dovecot {
            continue;
        }
        differing += usize::from(index < corpus::SPAM_ASSASSIN_MESSAGES);
        match CLASSES.iter().position(|class| class.explains(&answers)) {
            Some(class) => counts[class] += 1,
            None => unlisted.push_str(&report(names[index], &answers)),
        }
    }
    for (class, count) in CLASSES.iter().zip(counts) {
        println!("{count} messages: {}. {}", class.name, class.reason);
    }
    assert!(unlisted.is_empty(), "differences of no class:\n{unlisted}");
    assert!(CLASSES.len() <= CLASSES_MAX);
    assert!(
        differing * 1_000 <= corpus::SPAM_ASSASSIN_MESSAGES * DIFFERENCES_MAX_PER_MILLE,
        "{differing} of {} messages of the corpus differ",
        corpus::SPAM_ASSASSIN_MESSAGES
    );
    assert!(
        counts.iter().all(|count| *count > 0),
        "a class without a message: remove it; counts are {counts:?}"
    );
}

fn items(description: &Description) -> [Vec<u8>; 3] {
    [
        &description.envelope,
        &description.bodystructure,
        &description.body,
    ]
    .map(|item| {
        let inner = item
            .strip_prefix(b"(")
            .and_then(|rest| rest.strip_suffix(b")"));
        inner.must("parentheses around an item").to_vec()
    })
}

/// Puts the messages into a Maildir and has doveadm print the items, without daemon, network or index.
fn ask_dovecot(messages: &[Vec<u8>]) -> Vec<[Vec<u8>; 3]> {
    let scratch = place::scratch("structure");
    let base = scratch.path();
    for dir in ["mail/cur", "mail/new", "mail/tmp", "home", "run"] {
        fs::create_dir_all(base.join(dir)).must("making a directory");
    }
    for (index, message) in messages.iter().enumerate() {
        fs::write(
            base.join(format!("mail/cur/{index:06}.M1P1.host:2,")),
            message,
        )
        .must("writing a message");
    }
    give_away(&base.join("mail"));
    give_away(&base.join("home"));
    let config = base.join("dovecot.conf");
    fs::write(&config, configuration(base)).must("writing dovecot.conf");
    // BODY by itself: after BODYSTRUCTURE of the same message Dovecot makes one up for plain 7-bit text.
    let long = fetch(base, &config, &["imap.envelope", "imap.bodystructure"]);
    let short = fetch(base, &config, &["imap.body"]);
    assert_eq!(
        (long.len(), short.len()),
        (messages.len(), messages.len()),
        "messages that doveadm printed"
    );
    long.into_iter()
        .zip(short)
        .map(|(mut long, mut short)| {
            [
                std::mem::take(&mut long[0]),
                std::mem::take(&mut long[1]),
                std::mem::take(&mut short[0]),
            ]
        })
        .collect()
}

/// Dovecot refuses to read mail as root.
fn give_away(dir: &Path) {
    const NOBODY: u32 = 65_534;
    for entry in fs::read_dir(dir).must("reading a directory") {
        let path = entry.must("reading a directory").path();
        if path.is_dir() {
            give_away(&path);
        } else {
            chown(&path, Some(NOBODY), Some(NOBODY)).must("giving a message to nobody");
        }
    }
    chown(dir, Some(NOBODY), Some(NOBODY)).must("giving a directory to nobody");
}

fn configuration(base: &Path) -> String {
    let base = base.display();
    format!(
        "base_dir = {base}/run\nstate_dir = {base}/run\nlog_path = /dev/stderr\nssl = no\nfirst_valid_uid = 1\nmail_uid = nobody\n\
         mail_gid = nogroup\nmail_home = {base}/home\nmail_location = maildir:{base}/mail:INDEX=MEMORY\n\
         default_internal_user = nobody\ndefault_login_user = nobody\n"
    )
}

/// The items of every message, in the order of their files.
fn fetch(base: &Path, config: &Path, wanted: &[&str]) -> Vec<Vec<Vec<u8>>> {
    let mut command = Command::new(DOVEADM.path());
    command
        .arg("-c")
        .arg(config)
        .arg("fetch")
        .arg(wanted.join(" "))
        .arg("all");
    command.env("USER", "corpus").env("HOME", base.join("home"));
    let mut output = process::run(&mut command);
    if !output.ends_with(b"\n\x0c\n") {
        output.extend_from_slice(b"\x0c\n");
    }
    let mut messages = Vec::new();
    let mut rest = output.as_slice();
    while !rest.is_empty() {
        let mut items = Vec::new();
        for (index, name) in wanted.iter().enumerate() {
            let label = format!("{name}: ");
            let value = rest
                .strip_prefix(label.as_bytes())
                .must("an item that was asked for");
            let end = match wanted.get(index + 1) {
                Some(next) => format!("\n{next}: "),
                None => "\n\u{c}\n".to_owned(),
            };
            let length = find(value, end.as_bytes()).must("the end of an item");
            items.push(value[..length].to_vec());
            rest = &value[length
                + if index + 1 < wanted.len() {
                    1
                } else {
                    end.len()
                }..];
        }
        messages.push(items);
    }
    messages
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn report(name: &str, answers: &Answers) -> String {
    let mut text = format!("{name}\n");
    for (ours, dovecot) in answers
        .ours
        .iter()
        .zip(&answers.dovecot)
        .filter(|(ours, dovecot)| ours != dovecot)
    {
        let _ = write!(
            text,
            "  Dovecot: {}\n  ours:    {}\n",
            dovecot.escape_ascii(),
            ours.escape_ascii()
        );
    }
    text
}
