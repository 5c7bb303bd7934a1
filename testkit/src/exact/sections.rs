//! Sections of the whole message: header, text, header fields, ranges.

use crate::dice::Dice;
use crate::imap::Fetch;

use super::bytes::{fields, header_length, item, same};

/// Questions for header fields: which of a header's fields are wanted. They stand in nearly every message, in many, or in none.
const FIELDS: &[(&str, Wanted)] = &[
    (
        "HEADER.FIELDS (SUBJECT FROM MESSAGE-ID X-NOT-THERE)",
        Wanted::These(&["subject", "from", "message-id", "x-not-there"]),
    ),
    ("HEADER.FIELDS (RECEIVED)", Wanted::These(&["received"])),
    ("HEADER.FIELDS.NOT (SUBJECT)", Wanted::Not(&["subject"])),
];

enum Wanted {
    These(&'static [&'static str]),
    Not(&'static [&'static str]),
}

impl Wanted {
    fn has(&self, name: &str) -> bool {
        match self {
            Wanted::These(names) => names.contains(&name),
            Wanted::Not(names) => !names.contains(&name),
        }
    }
}

/// Some octets of a section.
#[derive(Clone, Debug)]
pub(super) struct Range {
    /// Of which part, where it is not of the whole.
    pub(super) part: String,
    /// The first octet.
    pub(super) start: usize,
    /// At most so many.
    pub(super) length: usize,
}

impl Range {
    /// Of something of `octets`.
    pub(super) fn draw(dice: &mut Dice, octets: usize) -> Range {
        Range {
            part: String::new(),
            start: dice.index(octets + 1),
            length: dice.index(5_000) + 1,
        }
    }

    /// These octets of the section's.
    pub(super) fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.start.min(bytes.len());
        &bytes[start..(start + self.length).min(bytes.len())]
    }
}

/// The items to ask for.
pub(super) fn question(whole: &[u8], ranges: &[Range]) -> String {
    let mut asked = String::from("BODY.PEEK[HEADER] BODY.PEEK[TEXT]");
    for (section, _) in FIELDS {
        asked.push_str(&format!(" BODY.PEEK[{section}]"));
    }
    asked.push_str(&format!(" BODY.PEEK[]<{}.10>", whole.len() + 7));
    for Range { start, length, .. } in ranges {
        asked.push_str(&format!(
            " BODY.PEEK[]<{start}.{length}> BODY.PEEK[TEXT]<{start}.{length}>"
        ));
    }
    asked
}

/// Header, text and header fields.
pub(super) fn check(fetch: &Fetch, whole: &[u8]) -> Result<(), String> {
    let header = item(fetch, "BODY[HEADER]")?;
    let text = item(fetch, "BODY[TEXT]")?;
    let border = header_length(whole);
    same("BODY[HEADER]", &header, &whole[..border])?;
    same("BODY[TEXT]", &text, &whole[border..])?;
    let all = fields(&header);
    for (section, wanted) in FIELDS {
        let name = format!("BODY[{section}]");
        let chosen: Vec<&[u8]> = all
            .iter()
            .filter(|(name, _)| wanted.has(name))
            .map(|(_, lines)| *lines)
            .collect();
        let mut chosen = chosen.concat();
        if !chosen.is_empty() && !chosen.ends_with(b"\n") {
            chosen.extend_from_slice(b"\r\n");
        }
        // RFC 3501, 6.4.5: a blank line ends the subset, except where the message has none. Dovecot makes one up there for the named
        // fields, as we do, and none for all others. It ends as the lines before it.
        let bare = chosen.ends_with(b"\n") && !chosen.ends_with(b"\r\n");
        if has_blank_line(&header) || matches!(wanted, Wanted::These(_)) {
            chosen.extend_from_slice(if bare { b"\n" } else { b"\r\n" });
        }
        same(&name, &item(fetch, &name)?, &chosen)?;
    }
    Ok(())
}

fn has_blank_line(header: &[u8]) -> bool {
    let fields: usize = fields(header).iter().map(|(_, lines)| lines.len()).sum();
    fields < header.len()
}

/// Ranges of the whole and of its text.
pub(super) fn check_ranges(fetch: &Fetch, whole: &[u8], ranges: &[Range]) -> Result<(), String> {
    let behind = format!("BODY[]<{}>", whole.len() + 7);
    same("a range behind the end", &item(fetch, &behind)?, b"")?;
    let text = &whole[header_length(whole)..];
    for range in ranges {
        for (section, of) in [("", whole), ("TEXT", text)] {
            is_slice(fetch, section, range, of)?;
        }
    }
    Ok(())
}

/// One of the answers (several may begin at the same octet) is that slice of the section.
pub(super) fn is_slice(
    fetch: &Fetch,
    section: &str,
    range: &Range,
    of: &[u8],
) -> Result<(), String> {
    let name = format!("BODY[{section}]<{}>", range.start);
    let wanted = range.of(of);
    let mut answers = fetch.items.iter().filter(|(item, _)| *item == name);
    if answers.any(|(_, value)| value.bytes() == Some(wanted)) {
        Ok(())
    } else {
        Err(format!("{name} of {} is not that slice", range.length))
    }
}
