//! Keys for SORT and THREAD (RFC 5256, RFC 5957) out of a header.
//!
//! Promises: those that are asked for later, out of the main fields of a row, are those that the message had when it came.

use crate::limits::{HEADER_KEYS_MAX, SORT_KEY_MAX};
use crate::mail::address::{self, Address};
use crate::mail::decode;
use crate::mail::describe::SortKeys;
use crate::mail::envelope::Envelope;
use crate::mail::header;
use crate::mail::subject;
use crate::mail::text::floor_char_boundary;
use crate::mail::thread;

/// Which keys, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted(u16);

impl Wanted {
    /// The Date field.
    pub(crate) const DATE: Wanted = Wanted(1);
    /// Base subject, and whether it is of a reply.
    pub(crate) const SUBJECT: Wanted = Wanted(2);
    /// addr-mailbox of From
    pub(crate) const FROM: Wanted = Wanted(4);
    /// addr-mailbox of To
    pub(crate) const TO: Wanted = Wanted(8);
    /// addr-mailbox of Cc
    pub(crate) const CC: Wanted = Wanted(16);
    /// Display name of From
    pub(crate) const DISPLAY_FROM: Wanted = Wanted(32);
    /// Display name of To
    pub(crate) const DISPLAY_TO: Wanted = Wanted(64);
    /// Message-ID and references
    pub(crate) const IDS: Wanted = Wanted(128);
    const OF_FROM: Wanted = Wanted(4 | 32);
    const OF_TO: Wanted = Wanted(8 | 64);

    /// Those of both.
    #[must_use]
    pub(crate) fn and(self, other: Wanted) -> Wanted {
        Wanted(self.0 | other.0)
    }

    /// Whether one of `some` is wanted.
    pub(crate) fn has(self, some: Wanted) -> bool {
        self.0 & some.0 != 0
    }
}

/// Sort and thread keys of a header.
pub(super) fn sort_keys(raw_header: &[u8], envelope: &Envelope<'_>) -> SortKeys {
    let raw_header = &raw_header[..raw_header.len().min(HEADER_KEYS_MAX)];
    let find = |name: &str| {
        header::fields(raw_header)
            .find(|field| field.is(name))
            .map(|field| field.value)
    };
    let date = find("Date").or(envelope.date).and_then(decode::date);
    let (subject, is_reply) = base_subject(find("Subject"));
    SortKeys {
        date: date.map(|(moment, _)| moment),
        sent_day: date.map(|(_, day)| day),
        subject,
        is_reply,
        from: mailbox(envelope.from.first()),
        to: mailbox(envelope.to.first()),
        cc: mailbox(envelope.cc.first()),
        display_from: display(envelope.from.first()),
        display_to: display(envelope.to.first()),
        message_id: find("Message-ID").map(thread::message_id).unwrap_or(0),
        references: thread::references(find("References"), find("In-Reply-To")),
    }
}

/// Of keys that follow from the main fields those that are wanted, in one pass over them.
pub(super) fn wanted_keys(main_fields: &[u8], wanted: Wanted) -> SortKeys {
    let mut keys = SortKeys::default();
    let (mut date, mut subject, mut message_id) = (None, None, None);
    let (mut references, mut in_reply_to) = (None, None);
    let (mut from, mut to, mut cc) = (None, None, None);
    for field in header::fields(main_fields) {
        let text = |into: &mut Option<_>| {
            into.get_or_insert(field.value);
        };
        let address = |into: &mut Option<Address>| {
            if into.is_none() {
                *into = address::first(field.value);
            }
        };
        // Most fields are none of these.
        match field.name.len() {
            4 if wanted.has(Wanted::DATE) && field.is("Date") => text(&mut date),
            4 if wanted.has(Wanted::OF_FROM) && field.is("From") => address(&mut from),
            2 if wanted.has(Wanted::OF_TO) && field.is("To") => address(&mut to),
            2 if wanted.has(Wanted::CC) && field.is("Cc") => address(&mut cc),
            7 if wanted.has(Wanted::SUBJECT) && field.is("Subject") => text(&mut subject),
            10 if wanted.has(Wanted::IDS) && field.is("Message-ID") => text(&mut message_id),
            10 if wanted.has(Wanted::IDS) && field.is("References") => text(&mut references),
            11 if wanted.has(Wanted::IDS) && field.is("In-Reply-To") => text(&mut in_reply_to),
            _ => {}
        }
    }
    if let Some((moment, day)) = date.and_then(decode::date) {
        (keys.date, keys.sent_day) = (Some(moment), Some(day));
    }
    (keys.subject, keys.is_reply) = base_subject(subject);
    if wanted.has(Wanted::FROM) {
        keys.from = mailbox(from.as_ref());
    }
    if wanted.has(Wanted::DISPLAY_FROM) {
        keys.display_from = display(from.as_ref());
    }
    if wanted.has(Wanted::TO) {
        keys.to = mailbox(to.as_ref());
    }
    if wanted.has(Wanted::DISPLAY_TO) {
        keys.display_to = display(to.as_ref());
    }
    keys.cc = mailbox(cc.as_ref());
    if wanted.has(Wanted::IDS) {
        keys.message_id = message_id.map(thread::message_id).unwrap_or(0);
        keys.references = thread::references(references, in_reply_to);
    }
    keys
}

/// The base subject of a raw Subject, and whether it is of a reply or a forwarded message.
fn base_subject(value: Option<&[u8]>) -> (String, bool) {
    let text = value.map(|value| short(decode::value_text(value)));
    subject::base(&text.unwrap_or_default())
}

/// addr-mailbox of the first address.
fn mailbox(first: Option<&Address>) -> String {
    let mailbox = first
        .and_then(|address| address.mailbox.as_deref())
        .unwrap_or_default();
    short(String::from_utf8_lossy(mailbox).into_owned())
}

/// The decoded display name of the first address, else mailbox@host (RFC 5957, 3).
fn display(first: Option<&Address>) -> String {
    let Some(first) = first else {
        return String::new();
    };
    let name = decode::value_text(first.name.as_deref().unwrap_or_default());
    if !name.is_empty() {
        return short(name);
    }
    let text = |part: &Option<Vec<u8>>| {
        String::from_utf8_lossy(part.as_deref().unwrap_or_default()).into_owned()
    };
    match &first.host {
        None => short(text(&first.mailbox)),
        Some(_) => short(format!("{}@{}", text(&first.mailbox), text(&first.host))),
    }
}

/// The first bytes of a sort key.
fn short(mut key: String) -> String {
    key.truncate(floor_char_boundary(&key, SORT_KEY_MAX));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Wanted; 8] = [
        Wanted::DATE,
        Wanted::SUBJECT,
        Wanted::FROM,
        Wanted::TO,
        Wanted::CC,
        Wanted::DISPLAY_FROM,
        Wanted::DISPLAY_TO,
        Wanted::IDS,
    ];

    fn same(main_fields: &[u8]) {
        let all = sort_keys(main_fields, &Envelope::read(main_fields));
        let every = ALL.into_iter().fold(Wanted::default(), Wanted::and);
        assert_eq!(
            wanted_keys(main_fields, every),
            all,
            "{}",
            main_fields.escape_ascii()
        );
        let one = wanted_keys(main_fields, Wanted::DISPLAY_TO);
        let alone = SortKeys {
            display_to: all.display_to.clone(),
            ..SortKeys::default()
        };
        assert_eq!(one, alone, "{}", main_fields.escape_ascii());
    }

    /// What Dovecot reads otherwise (`docs/imap.md`).
    #[test]
    fn of_two_signs_of_a_zone_the_last_counts_and_of_several_dates_the_first() {
        let date = |header: &str| wanted_keys(header.as_bytes(), Wanted::DATE).date;
        let second = date("Date: Mon, 22 Jul 2002 8:52:26 -0500\r\n");
        assert_eq!(date("Date: Mon, 22 Jul 2002 8:52:26 +-0500\r\n"), second);
        assert_eq!(
            date("Date: none\r\nDate: Mon, 22 Jul 2002 8:52:26 -0500\r\n"),
            None
        );
    }

    #[test]
    fn what_is_asked_for_one_by_one_is_what_there_is_of_all() {
        for header in [
            "",
            "From: A <a@x>, b@y\r\nTo: g: ;\r\nCc: \"C, D\" <c@z>\r\nSubject: Re: [l] x\r\nDate: Mon, 1 Jan 2024 10:00:00 +0100\r\n",
            "to: \r\nTO: =?utf-8?q?=C3=A9?= <e@x>\r\nTo: f@x\r\nsubject: a\r\nSubject: b\r\nDate: none\r\nDate: Mon, 1 Jan 2024 10:00:00 +0100\r\n",
            "Message-ID: <a@b>\r\nReferences: <c@d> <e@f>\r\nIn-Reply-To: <g@h>\r\n",
            "Message-ID: junk\r\nReferences: junk\r\nIn-Reply-To: <g@h>\r\nFrom: broken <\r\nFrom: ok@x\r\nCc: (only a comment)\r\n",
            "From: group: a@x, b@y;, c@z\r\nTo: @route:a@x\r\nCc: ,,a@x\r\n",
        ] {
            same(header.as_bytes());
        }
    }
}
