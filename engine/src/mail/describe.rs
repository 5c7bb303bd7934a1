//! Reads a message once: all that listings, sorting, threading and header searches will ever ask.

use crate::limits::{
    DESCRIPTION_MAX, ENVELOPE_RECIPIENTS_MAX, HEADER_KEYS_MAX, MAIN_FIELDS_MAX, SEARCH_TEXT_MAX,
};
use crate::mail::codec;
use crate::mail::content::Content;
use crate::mail::decode;
use crate::mail::envelope::Envelope;
use crate::mail::header::{self, Field};
use crate::mail::main_field;
use crate::mail::part::{Part, PartKind};
use crate::mail::sort_key::sort_keys;
use crate::mail::structure;
use crate::mail::tree::{self, Node};

/// Version of the rules below; from the first release on it goes up when the same bytes would be described otherwise.
pub const PARSER_VERSION: u8 = 2;

/// The eight fields whose decoded text is kept for searching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum SearchField {
    /// From
    From = 1,
    /// To
    To = 2,
    /// Cc
    Cc = 3,
    /// Bcc
    Bcc = 4,
    /// Reply-To
    ReplyTo = 5,
    /// Subject
    Subject = 6,
    /// Message-ID
    MessageId = 7,
    /// List-Id
    ListId = 8,
}

/// Keys for SORT (RFC 5256) and THREAD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SortKeys {
    /// Date field as seconds since 1970 in UTC; `None` when absent or unreadable (INTERNALDATE serves then).
    pub date: Option<i64>,
    /// The day of the Date field as written, as days since 1970-01-01, whatever its zone (SENTON and friends).
    pub sent_day: Option<i32>,
    /// Base subject (RFC 5256, 2.1), decoded, not folded.
    pub subject: String,
    /// Whether base-subject extraction removed a reply or forward mark.
    pub is_reply: bool,
    /// addr-mailbox of the first From, To, Cc address, as they came.
    pub from: String,
    /// To
    pub to: String,
    /// Cc
    pub cc: String,
    /// Display name (RFC 5957) of the first From and To address: decoded name, else mailbox@host.
    pub display_from: String,
    /// To
    pub display_to: String,
    /// First 8 bytes of BLAKE3 of the message's own Message-ID (without <>); 0 when it has none.
    pub message_id: u64,
    /// The same of References in order, else of In-Reply-To; at most [`crate::limits::REFERENCES_MAX`], the last ones.
    pub references: Vec<u64>,
}

/// What a message says about itself; goes into its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Version of the rules by which it was made.
    pub parser: u8,
    /// The main fields as they came, in order, folded lines included, each ended as it came. Not the blank line.
    pub main_fields: Vec<u8>,
    /// False when main fields over the bound were left out: then a HEADER.FIELDS goes to the whole header.
    pub main_fields_complete: bool,
    /// ENVELOPE as IMAP sends it (RFC 3501, 7.4.2), parentheses included.
    pub envelope: Vec<u8>,
    /// BODY as IMAP sends it (no extension data).
    pub body: Vec<u8>,
    /// BODYSTRUCTURE as IMAP sends it.
    pub bodystructure: Vec<u8>,
    /// All parts, depth first, the message first.
    pub parts: Vec<Part>,
    /// Sort and thread keys.
    pub sort: SortKeys,
    /// Decoded text of the search fields, only where it differs from the raw field value (unfolded, outer white space cut).
    pub search: Vec<(SearchField, String)>,
}

/// Reads `message` within the bounds of [`crate::limits`]. Never fails, never takes unbounded work: what cannot be
/// understood is one leaf.
pub fn describe(message: &[u8]) -> Description {
    let nodes = tree::walk(message);
    let contents: Vec<Content> = nodes.iter().map(|node| node.content(message)).collect();
    let parts = nodes
        .iter()
        .zip(&contents)
        .map(|(node, content)| part(node, content))
        .collect();
    let raw_header = &message[..nodes[0].body];
    let envelope = Envelope::read(raw_header);
    let (body, bodystructure) = structure::write(message, &nodes, contents);
    let mut envelope_item = Vec::new();
    envelope.write(
        &mut envelope_item,
        ENVELOPE_RECIPIENTS_MAX.saturating_sub(bodystructure.len()),
    );
    let mut description = Description {
        parser: PARSER_VERSION,
        main_fields: Vec::new(),
        main_fields_complete: true,
        envelope: envelope_item,
        body,
        bodystructure,
        parts,
        sort: sort_keys(raw_header, &envelope),
        search: search_texts(raw_header),
    };
    let room = DESCRIPTION_MAX.saturating_sub(codec::encode(&description).len());
    keep_main_fields(&mut description, raw_header, room.min(MAIN_FIELDS_MAX));
    description
}

impl Description {
    /// The decoded texts of a search field, one for each time that it is there: as stored, else decoded from the main fields.
    /// Only for a message whose main fields are complete; else ask [`decode::header_text`] with the whole header.
    pub fn search_texts(&self, field: SearchField) -> Vec<String> {
        let stored: Vec<String> = self
            .search
            .iter()
            .filter(|(which, _)| *which == field)
            .map(|(_, text)| text.clone())
            .collect();
        if stored.is_empty() {
            decode::header_text(&self.main_fields, field.name())
        } else {
            stored
        }
    }
}

impl SearchField {
    /// All, in the order of their numbers.
    pub const ALL: [SearchField; 8] = [
        SearchField::From,
        SearchField::To,
        SearchField::Cc,
        SearchField::Bcc,
        SearchField::ReplyTo,
        SearchField::Subject,
        SearchField::MessageId,
        SearchField::ListId,
    ];

    /// The name of the field in a header.
    pub fn name(self) -> &'static str {
        match self {
            SearchField::From => "From",
            SearchField::To => "To",
            SearchField::Cc => "Cc",
            SearchField::Bcc => "Bcc",
            SearchField::ReplyTo => "Reply-To",
            SearchField::Subject => "Subject",
            SearchField::MessageId => "Message-ID",
            SearchField::ListId => "List-Id",
        }
    }

    /// The field of this name, without regard to ASCII case.
    pub fn named(name: &str) -> Option<SearchField> {
        SearchField::ALL
            .into_iter()
            .find(|field| field.name().eq_ignore_ascii_case(name))
    }
}

fn part(node: &Node, content: &Content) -> Part {
    let position = |at: usize| u64::try_from(at).unwrap_or(u64::MAX);
    Part {
        parent: u32::try_from(node.parent).unwrap_or(0),
        kind: node.kind,
        header: position(node.header),
        body: position(node.body),
        end: position(node.end),
        encoded: node.kind == PartKind::Leaf
            && content.is_base64()
            && !content.is_text()
            && !node.is_cut,
    }
}

/// Copies the main fields that fit into `room` bytes.
fn keep_main_fields(description: &mut Description, raw_header: &[u8], room: usize) {
    for field in header::fields(raw_header).filter(|field| main_field::is_main_bytes(field.name)) {
        if description.main_fields.len() + field.range.len() <= room {
            description
                .main_fields
                .extend_from_slice(&raw_header[field.range]);
        } else {
            description.main_fields_complete = false;
        }
    }
}

/// Decoded texts of the search fields that are not the text of the raw field; all of a field that is there several times, or none.
fn search_texts(raw_header: &[u8]) -> Vec<(SearchField, String)> {
    let mut kept = Vec::new();
    if raw_header.len() > HEADER_KEYS_MAX {
        return kept;
    }
    let mut room = SEARCH_TEXT_MAX;
    for which in SearchField::ALL {
        let fields: Vec<Field<'_>> = header::fields(raw_header)
            .filter(|field| field.is(which.name()))
            .collect();
        let texts: Vec<String> = fields
            .iter()
            .map(|field| decode::value_text(field.value))
            .collect();
        let is_raw = fields
            .iter()
            .zip(&texts)
            .all(|(field, text)| decode::unfolded(field.value) == *text);
        let length: usize = texts.iter().map(|text| text.len() + 8).sum();
        if !is_raw && length <= room {
            room -= length;
            kept.extend(texts.into_iter().map(|text| (which, text)));
        }
    }
    kept
}
