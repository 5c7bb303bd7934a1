//! ENVELOPE of RFC 3501, 7.4.2: the bytes that IMAP sends, made once.
//!
//! Promises: every string as it came, nothing decoded; Sender and Reply-To default to From; at most the bytes that limits.rs names,
//! lists that do not fit are cut between addresses. Never: fails.

use crate::limits::{ENVELOPE_SENDERS_MAX, ENVELOPE_STRING_MAX};
use crate::mail::address::{self, Address};
use crate::mail::header;
use crate::mail::nstring;

/// Bytes of an encoded word (RFC 2047, 2).
const ENCODED_WORD_MAX: usize = 75;

/// The ten fields of an ENVELOPE, raw; of a repeated text the last counts, repeated lists are joined.
#[derive(Clone, Debug, Default)]
pub(crate) struct Envelope<'m> {
    pub(crate) date: Option<&'m [u8]>,
    subject: Option<&'m [u8]>,
    /// From
    pub(crate) from: Vec<Address>,
    sender: Vec<Address>,
    reply_to: Vec<Address>,
    /// To
    pub(crate) to: Vec<Address>,
    /// Cc
    pub(crate) cc: Vec<Address>,
    bcc: Vec<Address>,
    in_reply_to: Option<&'m [u8]>,
    message_id: Option<&'m [u8]>,
}

impl<'m> Envelope<'m> {
    /// Reads the header of a message.
    pub(crate) fn read(raw_header: &'m [u8]) -> Envelope<'m> {
        let mut envelope = Envelope::default();
        for field in header::fields(raw_header) {
            let text = match field.name.to_ascii_lowercase().as_slice() {
                b"date" => &mut envelope.date,
                b"subject" => &mut envelope.subject,
                b"in-reply-to" => &mut envelope.in_reply_to,
                b"message-id" => &mut envelope.message_id,
                name => {
                    if let Some(list) = envelope.list(name) {
                        address::read_list(field.value, list);
                    }
                    continue;
                }
            };
            *text = Some(field.value);
        }
        envelope
    }

    fn list(&mut self, name: &[u8]) -> Option<&mut Vec<Address>> {
        Some(match name {
            b"from" => &mut self.from,
            b"sender" => &mut self.sender,
            b"reply-to" => &mut self.reply_to,
            b"to" => &mut self.to,
            b"cc" => &mut self.cc,
            b"bcc" => &mut self.bcc,
            _ => return None,
        })
    }

    /// Writes it with its parentheses; To, Cc and Bcc together have `recipients_max` bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>, recipients_max: usize) {
        out.push(b'(');
        nstring::write_unfolded(out, self.date.map(cut));
        out.push(b' ');
        match self.subject {
            None => out.extend_from_slice(b"NIL"),
            Some(subject) => nstring::write_text(out, cut(subject)),
        }
        let or_from = |list: &'_ Vec<Address>| {
            if list.is_empty() {
                self.from.clone()
            } else {
                list.clone()
            }
        };
        write_list(out, &self.from, ENVELOPE_SENDERS_MAX);
        write_list(out, &or_from(&self.sender), ENVELOPE_SENDERS_MAX);
        write_list(out, &or_from(&self.reply_to), ENVELOPE_SENDERS_MAX);
        let start = out.len();
        for (list, behind) in [(&self.to, 2), (&self.cc, 1), (&self.bcc, 0)] {
            // Those behind it keep a little for themselves.
            let kept = behind * recipients_max / 8;
            let room = recipients_max.saturating_sub(out.len() - start + kept);
            write_list(out, list, room);
        }
        for text in [self.in_reply_to, self.message_id] {
            out.push(b' ');
            nstring::write_unfolded(out, text.map(cut));
        }
        out.push(b')');
    }
}

/// The first bytes of a string, as many as an ENVELOPE takes, and no piece of an encoded word.
fn cut(value: &[u8]) -> &[u8] {
    if value.len() <= ENVELOPE_STRING_MAX {
        return value;
    }
    let cut = &value[..ENVELOPE_STRING_MAX];
    let blank = cut.iter().rposition(u8::is_ascii_whitespace);
    blank
        .filter(|at| at + ENCODED_WORD_MAX >= ENVELOPE_STRING_MAX)
        .map_or(cut, |at| &cut[..at])
}

/// Writes a space and the list, or NIL for an empty one; never more than `bytes_max` bytes.
fn write_list(out: &mut Vec<u8>, list: &[Address], bytes_max: usize) {
    out.push(b' ');
    let start = out.len();
    // Room for the parentheses and for the end of a group.
    let full = start + bytes_max.saturating_sub(24);
    let mut is_in_group = false;
    for address in list {
        let before = out.len();
        if before == start {
            out.push(b'(');
        }
        let begun = out.len();
        address.write(out);
        if out.len() > full && address.name.is_some() {
            // The name goes before the address does.
            out.truncate(begun);
            Address {
                name: None,
                ..address.clone()
            }
            .write(out);
        }
        if out.len() > full {
            out.truncate(before);
            break;
        }
        is_in_group = if address.host.is_none() {
            address.mailbox.is_some()
        } else {
            is_in_group
        };
    }
    if out.len() == start {
        out.extend_from_slice(b"NIL");
        return;
    }
    if is_in_group {
        Address::default().write(out);
    }
    out.push(b')');
}
