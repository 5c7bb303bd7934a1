//! Runs a dialogue.
//!
//! A line is `C: ` what the client sends or `S: ` the line that the server must send next; `C2:` and `S2:` are a second
//! connection. `+ deliver USER MESSAGE [TIMES]` delivers one of `dialogues/messages`; in a dialogue whose name ends in `_away`
//! nothing of a body stays on local disk once it is stored, `+ away` waits for that and takes the store away, `+ back`
//! brings it back. In a client's line `@MESSAGE` stands for a
//! literal (LITERAL+) of that message, `@MESSAGE!` for one that waits for the continuation. In a server's line `${*}`
//! stands for any text, `${name}` for the same text wherever the name stands. In a client's line `${name}` is what was
//! seen. `#` begins a comment. At the end every connection must have nothing more to say than BYE.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::server::{Connection, Server, Setup, directory, message};

/// A dialogue under way.
struct Run {
    server: Server,
    connections: HashMap<String, Connection>,
    seen: HashMap<String, String>,
    transcript: String,
}

/// Runs the dialogue of this name on a server of its own.
pub(crate) async fn run(name: &str) {
    let name = name.trim_start_matches("r#");
    let path = directory().join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let server = Server::start(Setup {
        keep_local: !name.ends_with("_away"),
        ..Setup::default()
    })
    .await;
    let mut run = Run {
        server,
        connections: HashMap::new(),
        seen: HashMap::new(),
        transcript: String::new(),
    };
    for (number, line) in text.lines().enumerate() {
        if let Err(problem) = run.step(line).await {
            let transcript = &run.transcript;
            panic!("{}:{}: {problem}\n{transcript}", path.display(), number + 1);
        }
    }
    run.end().await;
}

impl Run {
    async fn step(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(order) = line.strip_prefix("+ deliver ") {
            let (user, message) = order.split_once(' ').ok_or("deliver USER MESSAGE")?;
            let (message, times) = message.split_once(' ').unwrap_or((message, "1"));
            for _ in 0..times.parse().map_err(|_| "TIMES is a number")? {
                self.server.deliver(user, message).await;
            }
            return Ok(());
        }
        match line {
            "+ away" => return self.server.take_store_away().await,
            "+ back" => return self.server.bring_store_back(),
            _ => {}
        }
        let (who, what) = line.split_once(':').ok_or("a line is C: or S:")?;
        let what = what.strip_prefix(' ').unwrap_or(what);
        let (side, connection) = who.split_at_checked(1).ok_or("a line is C: or S:")?;
        if !self.connections.contains_key(connection) {
            let new = self.server.connect();
            self.connections.insert(connection.to_owned(), new);
        }
        match side {
            "C" => self.client(connection, what).await,
            "S" => self.server_line(connection, what).await,
            _ => Err(format!("{who} is neither client nor server")),
        }
    }

    async fn client(&mut self, connection: &str, what: &str) -> Result<(), String> {
        let mut what = what.to_owned();
        for (name, value) in &self.seen {
            what = what.replace(&format!("${{{name}}}"), value);
        }
        let _ = writeln!(self.transcript, "C{connection}: {what}");
        let conn = self
            .connections
            .get_mut(connection)
            .ok_or("no such connection")?;
        let mut bytes = Vec::new();
        for word in what.split_inclusive(' ') {
            match word
                .strip_prefix('@')
                .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
            {
                Some(name) => {
                    let name = name.trim_end();
                    let waits = name.ends_with('!');
                    let body = message(name.trim_end_matches('!'));
                    let plus = if waits { "" } else { "+" };
                    bytes.extend_from_slice(format!("{{{}{plus}}}\r\n", body.len()).as_bytes());
                    if waits {
                        conn.send(&std::mem::take(&mut bytes)).await;
                        let line = conn.line().await?;
                        let _ = writeln!(self.transcript, "S{connection}: {line}");
                        if !line.starts_with("+ ") {
                            return Err(format!("a continuation was expected, {line:?} came"));
                        }
                    }
                    bytes.extend_from_slice(&body);
                }
                None => bytes.extend_from_slice(&unescape(word)),
            }
        }
        bytes.extend_from_slice(b"\r\n");
        conn.send(&bytes).await;
        Ok(())
    }

    async fn server_line(&mut self, connection: &str, wanted: &str) -> Result<(), String> {
        let conn = self
            .connections
            .get_mut(connection)
            .ok_or("no such connection")?;
        let line = conn
            .line()
            .await
            .map_err(|problem| format!("{wanted:?} was expected: {problem}"))?;
        let _ = writeln!(self.transcript, "S{connection}: {line}");
        if fits(wanted, &line, &mut self.seen) {
            Ok(())
        } else {
            Err(format!("{wanted:?} was expected, {line:?} came"))
        }
    }

    /// Nothing is left unsaid on any connection.
    async fn end(mut self) {
        for (name, conn) in &mut self.connections {
            conn.send(b"zz LOGOUT\r\n").await;
            if let Ok(line) = conn.line().await {
                let transcript = &self.transcript;
                assert!(
                    line.starts_with("* BYE"),
                    "S{name} had more to say: {line:?}\n{transcript}"
                );
            }
        }
        self.connections.clear();
        self.server.engine.close().await;
    }
}

/// `\xNN` and `\\` in a client's line.
fn unescape(word: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = word.as_bytes();
    while let [first, after @ ..] = rest {
        match after {
            [b'x', a, b, more @ ..] if *first == b'\\' => {
                let digit = |octet: u8| {
                    char::from(octet)
                        .to_digit(16)
                        .expect("a hexadecimal digit after \\x")
                };
                out.push(u8::try_from(digit(*a) * 16 + digit(*b)).expect("two digits"));
                rest = more;
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// Whether `line` is what `wanted` describes; learns the names in it.
fn fits(wanted: &str, line: &str, seen: &mut HashMap<String, String>) -> bool {
    let Some((before, after)) = wanted.split_once("${") else {
        return wanted == line;
    };
    let Some((name, after)) = after.split_once('}') else {
        return wanted == line;
    };
    let Some(rest) = line.strip_prefix(before) else {
        return false;
    };
    if let Some(value) = seen.get(name) {
        return rest
            .strip_prefix(value.clone().as_str())
            .is_some_and(|rest| fits(after, rest, seen));
    }
    for end in (0..=rest.len()).filter(|end| rest.is_char_boundary(*end)) {
        let (value, rest) = rest.split_at(end);
        // Names are numbers and ids; only `*` stands for spaces too.
        if name != "*" && (value.is_empty() || !value.chars().all(|c| c.is_ascii_alphanumeric())) {
            continue;
        }
        let mut learned = seen.clone();
        if name != "*" {
            learned.insert(name.to_owned(), value.to_owned());
        }
        if fits(after, rest, &mut learned) {
            *seen = learned;
            return true;
        }
    }
    false
}

#[test]
fn a_name_stands_for_the_same_text_wherever_it_stands() {
    let mut seen = HashMap::new();
    assert!(fits(
        "* OK [UIDNEXT ${next}] ${*}",
        "* OK [UIDNEXT 17] The next",
        &mut seen
    ));
    assert_eq!(seen["next"], "17");
    assert!(fits("a ${next}", "a 17", &mut seen));
    assert!(!fits("a ${next}", "a 18", &mut seen));
    assert!(fits("${a}/${a}", "1/1", &mut HashMap::new()));
    assert!(!fits("${a}/${a}", "1/2", &mut HashMap::new()));
}
