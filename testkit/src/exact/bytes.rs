//! Bytes of messages: header fields, the border of the header, and how two byte strings differ.

use crate::imap::Fetch;

/// The bytes of an item of a FETCH.
pub(super) fn item(fetch: &Fetch, name: &str) -> Result<Vec<u8>, String> {
    let value = fetch.get(name).ok_or_else(|| format!("no {name}"))?;
    value
        .bytes()
        .map(<[u8]>::to_vec)
        .ok_or_else(|| format!("{name} is {value:?}"))
}

pub(super) fn same_number(what: &str, found: Option<u64>, wanted: usize) -> Result<(), String> {
    if found == Some(wanted as u64) {
        Ok(())
    } else {
        Err(format!("{what} is {found:?}, not {wanted}"))
    }
}

pub(super) fn same(what: &str, found: &[u8], wanted: &[u8]) -> Result<(), String> {
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
pub(super) fn header_length(message: &[u8]) -> usize {
    let mut at = 0;
    while at < message.len() {
        let end = line_end(message, at);
        if matches!(&message[at..end], b"\n" | b"\r\n") {
            return end;
        }
        at = end;
    }
    message.len()
}

/// The fields of a header: name in lower case, and the lines as they are.
pub(super) fn fields(header: &[u8]) -> Vec<(String, &[u8])> {
    let mut found: Vec<(String, usize, usize)> = Vec::new();
    let mut at = 0;
    while at < header.len() {
        let end = line_end(header, at);
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

fn line_end(bytes: &[u8], at: usize) -> usize {
    let newline = bytes[at..].iter().position(|byte| *byte == b'\n');
    newline.map_or(bytes.len(), |newline| at + newline + 1)
}

/// Where `what` begins.
pub(super) fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    let Some(first) = what.first() else {
        return Some(0);
    };
    let mut at = 0;
    loop {
        let last = within.len().checked_sub(what.len())?;
        at += within
            .get(at..=last)?
            .iter()
            .position(|byte| byte == first)?;
        if within[at..].starts_with(what) {
            return Some(at);
        }
        at += 1;
    }
}
