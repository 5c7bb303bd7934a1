//! Compares what IMAP gives back with what was sent, byte for byte: whole, header, fields, parts, ranges.
//!
//! Promises: knows the sent bytes and IMAP's rules only; a part is compared with the slice of the whole that it must be.
//! Never: parses MIME. Where a part lies is taken from BODYSTRUCTURE and proved by the bytes around it.

use crate::dice::Dice;
use crate::imap::{Fetch, Imap};
use crate::sexp::Value;

/// Parts of one message that are asked for.
const PARTS_ASKED_MAX: usize = 40;
/// Differences that are told before the rest is only counted.
const TOLD_MAX: usize = 20;
/// The fields asked for; they stand in nearly every message, or in none.
const FIELDS: &[&str] = &["subject", "from", "message-id", "x-not-there"];

/// A message that must be there.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What it is called in the corpus.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Return-Path and Received lines may stand before it.
    pub trace_lines: bool,
}

/// Compares the messages of a mailbox with `expected`, in order of their UIDs; gives the number of FETCH commands.
///
/// # Panics
/// With the differences.
#[track_caller]
pub fn check(imap: &mut Imap, mailbox: &str, expected: &[Expected]) -> usize {
    let selected = imap.command(&format!("EXAMINE {mailbox}")).ok();
    let count = expected.len() as u64;
    assert_eq!(
        selected.number("EXISTS"),
        Some(count),
        "messages in {mailbox}"
    );
    let mut differences = Vec::new();
    for (number, message) in expected.iter().enumerate() {
        if let Err(difference) = check_one(imap, number + 1, message) {
            differences.push(format!(
                "{mailbox} {} ({}): {difference}",
                number + 1,
                message.name
            ));
        }
    }
    let told = &differences[..differences.len().min(TOLD_MAX)];
    assert!(
        differences.is_empty(),
        "{} of {count} messages differ:\n{}",
        differences.len(),
        told.join("\n")
    );
    expected.len() * 2
}

fn check_one(imap: &mut Imap, seq: usize, expected: &Expected) -> Result<(), String> {
    let first = fetch(imap, seq, "RFC822.SIZE BODYSTRUCTURE BODY.PEEK[]")?;
    let whole = bytes(&first, "BODY[]")?;
    let sent: Vec<u8> = expected
        .bytes
        .iter()
        .map(|byte| if *byte == 0 { 0x80 } else { *byte })
        .collect();
    check_whole(&whole, &sent, expected.trace_lines)?;
    let size = first.get("RFC822.SIZE").and_then(Value::number);
    same_number("RFC822.SIZE", size, whole.len())?;
    let structure = first.get("BODYSTRUCTURE").ok_or("no BODYSTRUCTURE")?;
    let mut parts = Vec::new();
    parts_of(structure, "", &mut parts);
    parts.truncate(PARTS_ASKED_MAX);
    let mut dice = Dice::new(seq as u64);
    let ranges: Vec<(usize, usize)> = (0..3)
        .map(|_| (dice.index(whole.len() + 1), dice.index(5_000) + 1))
        .collect();
    let mut asked = String::from("BODY.PEEK[HEADER] BODY.PEEK[TEXT]");
    asked.push_str(&format!(" BODY.PEEK[HEADER.FIELDS ({})]", FIELDS.join(" ")));
    asked.push_str(&format!(" BODY.PEEK[]<{}.10>", whole.len() + 7));
    for (start, length) in &ranges {
        asked.push_str(&format!(
            " BODY.PEEK[]<{start}.{length}> BODY.PEEK[TEXT]<{start}.{length}>"
        ));
    }
    for part in &parts {
        asked.push_str(&format!(" BODY.PEEK[{}]", part.number));
        if part.has_mime {
            asked.push_str(&format!(" BODY.PEEK[{}.MIME]", part.number));
        }
        if part.message {
            asked.push_str(&format!(
                " BODY.PEEK[{0}.HEADER] BODY.PEEK[{0}.TEXT]",
                part.number
            ));
        }
    }
    let second = fetch(imap, seq, &asked)?;
    check_sections(&second, &whole)?;
    check_ranges(&second, &whole, &ranges)?;
    check_parts(&second, &whole, &parts)
}

fn check_whole(whole: &[u8], sent: &[u8], trace_lines: bool) -> Result<(), String> {
    let added = match whole.strip_suffix(sent) {
        Some(added) => added,
        None => {
            return Err(first_difference(
                "the message",
                &whole[whole.len().saturating_sub(sent.len())..],
                sent,
            ));
        }
    };
    if !trace_lines && !added.is_empty() {
        return Err(format!("{} bytes stand before it", added.len()));
    }
    let fields = fields(added);
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    let expected = if trace_lines {
        names == ["return-path", "received"]
    } else {
        names.is_empty()
    };
    if expected {
        Ok(())
    } else {
        Err(format!(
            "added lines are {:?}",
            String::from_utf8_lossy(added)
        ))
    }
}

fn check_sections(fetch: &Fetch, whole: &[u8]) -> Result<(), String> {
    let header = bytes(fetch, "BODY[HEADER]")?;
    let text = bytes(fetch, "BODY[TEXT]")?;
    let border = header_length(whole);
    same("BODY[HEADER]", &header, &whole[..border])?;
    same("BODY[TEXT]", &text, &whole[border..])?;
    let name = fetch
        .items
        .iter()
        .map(|(name, _)| name)
        .find(|name| name.starts_with("BODY[HEADER.FIELDS"));
    let chosen = bytes(fetch, name.ok_or("no BODY[HEADER.FIELDS]")?)?;
    let all = fields(&header);
    let wanted: Vec<&[u8]> = all
        .iter()
        .filter(|(name, _)| FIELDS.contains(&name.as_str()))
        .map(|(_, line)| *line)
        .collect();
    let wanted = wanted.concat();
    let rest = chosen.strip_prefix(wanted.as_slice());
    if !rest.is_some_and(|rest| matches!(rest, b"\r\n" | b"\n" | b"")) {
        return Err(first_difference(
            "BODY[HEADER.FIELDS]",
            &chosen,
            &[&wanted, b"\r\n".as_slice()].concat(),
        ));
    }
    Ok(())
}

fn check_ranges(fetch: &Fetch, whole: &[u8], ranges: &[(usize, usize)]) -> Result<(), String> {
    let text = &whole[header_length(whole)..];
    same(
        "a range behind the end",
        &bytes(fetch, &format!("BODY[]<{}>", whole.len() + 7))?,
        b"",
    )?;
    let cut = |of: &[u8], start: usize, length: usize| -> Vec<u8> {
        let start = start.min(of.len());
        of[start..(start + length).min(of.len())].to_vec()
    };
    // Answers with the same start are told apart by their order.
    let answers = |name: &str| -> Vec<Vec<u8>> {
        let items = fetch.items.iter().filter(|(item, _)| item == name);
        items
            .filter_map(|(_, value)| value.bytes().map(<[u8]>::to_vec))
            .collect()
    };
    for (start, length) in ranges {
        for (section, of) in [("", whole), ("TEXT", text)] {
            let name = format!("BODY[{section}]<{start}>");
            let wanted = cut(of, *start, *length);
            if !answers(&name).contains(&wanted) {
                return Err(format!("{name} of {length} is not that slice"));
            }
        }
    }
    Ok(())
}

fn check_parts(fetch: &Fetch, whole: &[u8], parts: &[Part]) -> Result<(), String> {
    let mut from = 0;
    for part in parts {
        let number = &part.number;
        // A multipart without parts is shown with one empty part, which has no place in the message.
        if part.octets == Some(0) && fetch.get(&format!("BODY[{number}]")) == Some(&Value::Nil) {
            continue;
        }
        let body = bytes(fetch, &format!("BODY[{number}]"))?;
        if let Some(octets) = part.octets {
            same_number(&format!("octets of {number}"), Some(octets), body.len())?;
        }
        if part.has_mime {
            let mime = bytes(fetch, &format!("BODY[{number}.MIME]"))?;
            let slice = [mime, body.clone()].concat();
            from += find(&whole[from..], &slice)
                .ok_or_else(|| format!("part {number} with its header is no slice of the whole"))?;
        } else {
            find(whole, &body).ok_or_else(|| format!("part {number} is no slice of the whole"))?;
        }
        if part.message {
            let header = bytes(fetch, &format!("BODY[{number}.HEADER]"))?;
            let text = bytes(fetch, &format!("BODY[{number}.TEXT]"))?;
            same(
                &format!("{number}.HEADER and {number}.TEXT"),
                &[header, text].concat(),
                &body,
            )?;
        }
    }
    let whole_text = &whole[header_length(whole)..];
    match parts {
        [only] if !only.has_mime => same("BODY[1]", &bytes(fetch, "BODY[1]")?, whole_text),
        _ => Ok(()),
    }
}

/// A part as BODYSTRUCTURE has it.
struct Part {
    number: String,
    octets: Option<u64>,
    /// A child of a multipart: MIME lines stand before it.
    has_mime: bool,
    message: bool,
}

fn parts_of(structure: &Value, number: &str, into: &mut Vec<Part>) {
    let list = structure.list();
    let child = |index: usize| {
        if number.is_empty() {
            index.to_string()
        } else {
            format!("{number}.{index}")
        }
    };
    if matches!(list.first(), Some(Value::List(_))) {
        for (index, body) in list
            .iter()
            .take_while(|value| matches!(value, Value::List(_)))
            .enumerate()
        {
            add_part(body, child(index + 1), true, into);
        }
    } else {
        add_part(structure, child(1), false, into);
    }
}

fn add_part(body: &Value, number: String, has_mime: bool, into: &mut Vec<Part>) {
    let list = body.list();
    let multipart = matches!(list.first(), Some(Value::List(_)));
    let kind = |at: usize| {
        list.get(at)
            .map(Value::text)
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    let message = !multipart && kind(0) == "message" && kind(1) == "rfc822" && list.len() > 8;
    let octets = if multipart {
        None
    } else {
        list.get(6).and_then(Value::number)
    };
    into.push(Part {
        number: number.clone(),
        octets,
        has_mime,
        message,
    });
    if multipart {
        parts_of(body, &number, into);
    } else if message {
        parts_of(&list[8], &number, into);
    }
}

fn fetch(imap: &mut Imap, seq: usize, items: &str) -> Result<Fetch, String> {
    let reply = imap.command(&format!("FETCH {seq} ({items})"));
    let found = reply
        .fetches()
        .into_iter()
        .find(|fetch| fetch.seq as usize == seq);
    match found {
        Some(fetch) if reply.is_ok() => Ok(fetch),
        _ => Err(format!("FETCH gave {} {}", reply.status, reply.text)),
    }
}

fn bytes(fetch: &Fetch, name: &str) -> Result<Vec<u8>, String> {
    let value = fetch.get(name).ok_or_else(|| format!("no {name}"))?;
    value
        .bytes()
        .map(<[u8]>::to_vec)
        .ok_or_else(|| format!("{name} is {value:?}"))
}

fn same_number(what: &str, found: Option<u64>, wanted: usize) -> Result<(), String> {
    if found == Some(wanted as u64) {
        Ok(())
    } else {
        Err(format!("{what} is {found:?}, not {wanted}"))
    }
}

fn same(what: &str, found: &[u8], wanted: &[u8]) -> Result<(), String> {
    if found == wanted {
        Ok(())
    } else {
        Err(first_difference(what, found, wanted))
    }
}

/// Where two byte strings part, with some bytes of both.
pub fn first_difference(what: &str, found: &[u8], wanted: &[u8]) -> String {
    let at = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let show = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[at.min(bytes.len())..(at + 40).min(bytes.len())])
            .into_owned()
    };
    let (found_shown, wanted_shown) = (show(found), show(wanted));
    format!(
        "{what}: {} bytes for {}, from byte {at} on {found_shown:?} for {wanted_shown:?}",
        found.len(),
        wanted.len()
    )
}

/// The bytes up to and with the first empty line.
fn header_length(message: &[u8]) -> usize {
    let mut at = 0;
    while at < message.len() {
        let end = message[at..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(message.len(), |newline| at + newline + 1);
        if matches!(&message[at..end], b"\n" | b"\r\n") {
            return end;
        }
        at = end;
    }
    message.len()
}

/// The fields of a header: name in lower case, and the lines as they are.
fn fields(header: &[u8]) -> Vec<(String, &[u8])> {
    let mut found: Vec<(String, usize, usize)> = Vec::new();
    let mut at = 0;
    while at < header.len() {
        let end = header[at..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(header.len(), |newline| at + newline + 1);
        let line = &header[at..end];
        if matches!(line, b"\n" | b"\r\n") {
            break;
        }
        match found.last_mut() {
            Some(last) if matches!(line.first(), Some(b' ' | b'\t')) => last.2 = end,
            _ => {
                let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
                let name = String::from_utf8_lossy(&line[..colon])
                    .trim_end()
                    .to_ascii_lowercase();
                found.push((name, at, end));
            }
        }
        at = end;
    }
    found
        .into_iter()
        .map(|(name, start, end)| (name, &header[start..end]))
        .collect()
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    if what.is_empty() {
        return Some(0);
    }
    within.windows(what.len()).position(|window| window == what)
}
