//! Parts as BODYSTRUCTURE has them, each a slice of the whole message.

use crate::dice::Dice;
use crate::imap::Fetch;
use crate::sexp::Value;

use super::bytes::{find, header_length, item, same, same_number};
use super::sections::{self, Range};

/// Parts of one message that are asked for.
const ASKED_MAX: usize = 40;
/// Parts of one message that are asked for in slices as well.
const CUT_MAX: usize = 3;

/// A part as BODYSTRUCTURE has it.
pub(super) struct Part {
    number: String,
    octets: Option<u64>,
    /// A child of a multipart: MIME lines stand before it.
    has_mime: bool,
    message: bool,
}

impl Part {
    /// The first parts of a structure, in order.
    pub(super) fn all(structure: &Value) -> Vec<Part> {
        let mut parts = Vec::new();
        parts_of(structure, "", &mut parts);
        parts.truncate(ASKED_MAX);
        parts
    }
}

/// Slices of some parts that have octets.
pub(super) fn cuts(parts: &[Part], dice: &mut Dice) -> Vec<Range> {
    let with_octets: Vec<&Part> = parts.iter().filter(|p| p.octets.unwrap_or(0) > 0).collect();
    let some = (0..CUT_MAX.min(with_octets.len())).map(|_| *dice.pick(&with_octets));
    let some: Vec<&Part> = some.collect();
    some.into_iter()
        .map(|part| Range {
            part: part.number.clone(),
            ..Range::draw(dice, usize::try_from(part.octets.unwrap_or(0)).unwrap_or(0))
        })
        .collect()
}

/// The items to ask for.
pub(super) fn question(parts: &[Part], cuts: &[Range]) -> String {
    let mut asked = String::new();
    for part in parts {
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
    for cut in cuts {
        asked.push_str(&format!(
            " BODY.PEEK[{}]<{}.{}>",
            cut.part, cut.start, cut.length
        ));
    }
    asked
}

/// Every part is a slice of the whole, behind its MIME header, one after the other.
pub(super) fn check(fetch: &Fetch, whole: &[u8], parts: &[Part]) -> Result<(), String> {
    let mut from = 0;
    for part in parts {
        let number = &part.number;
        // A multipart without parts is shown with one empty part, which has no place in the message.
        if part.octets == Some(0) && fetch.get(&format!("BODY[{number}]")) == Some(&Value::Nil) {
            continue;
        }
        let body = item(fetch, &format!("BODY[{number}]"))?;
        if let Some(octets) = part.octets {
            same_number(&format!("octets of {number}"), Some(octets), body.len())?;
        }
        if part.has_mime {
            let mime = item(fetch, &format!("BODY[{number}.MIME]"))?;
            let slice = [mime, body.clone()].concat();
            from += find(&whole[from..], &slice)
                .ok_or_else(|| format!("part {number} with its header is no slice of the whole"))?;
        } else {
            find(whole, &body).ok_or_else(|| format!("part {number} is no slice of the whole"))?;
        }
        if part.message {
            let header = item(fetch, &format!("BODY[{number}.HEADER]"))?;
            let text = item(fetch, &format!("BODY[{number}.TEXT]"))?;
            same(
                &format!("{number}.HEADER and {number}.TEXT"),
                &[header, text].concat(),
                &body,
            )?;
        }
    }
    let whole_text = &whole[header_length(whole)..];
    match parts {
        [only] if !only.has_mime => same("BODY[1]", &item(fetch, "BODY[1]")?, whole_text),
        _ => Ok(()),
    }
}

/// A slice of a part is that slice of the part as it came whole.
pub(super) fn check_cuts(fetch: &Fetch, cuts: &[Range]) -> Result<(), String> {
    for cut in cuts {
        let body = item(fetch, &format!("BODY[{}]", cut.part))?;
        sections::is_slice(fetch, &cut.part, cut, &body)?;
    }
    Ok(())
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
