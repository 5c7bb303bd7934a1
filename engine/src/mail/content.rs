//! What the Content-* fields of a part say (RFC 2045, 2183, 3282, 2557), raw, as BODYSTRUCTURE wants it.
//!
//! Promises: the first field of a name counts; a broken value is kept as far as it can be read, as Dovecot keeps it.
//! Never: decodes anything.

use crate::mail::header;
use crate::mail::parameter::{self, Parameter};
use crate::mail::token::Cursor;

/// The media type: type, subtype and parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// `text`, `multipart`, …
    pub(crate) kind: Vec<u8>,
    /// `plain`, `mixed`, … Empty when the field is broken.
    pub(crate) subtype: Vec<u8>,
    /// `charset`, `boundary`, …
    pub(crate) parameters: Vec<Parameter>,
}

impl MediaType {
    /// Reads the raw value of a Content-Type field.
    pub(crate) fn read(value: &[u8]) -> MediaType {
        let mut cursor = Cursor::new(value);
        let mut media = MediaType::default();
        if cursor.skip_cfws() != Ok(true) || cursor.mime_token(&mut media.kind) != Ok(true) {
            return media;
        }
        if !cursor.pass_if(b'/')
            || cursor.skip_cfws() != Ok(true)
            || cursor.mime_token(&mut media.subtype).is_err()
        {
            return media;
        }
        if cursor.peek() != Some(b';') {
            media.parameters.extend(parameter::read_bare(&mut cursor));
        }
        media.parameters.extend(parameter::read_all(&mut cursor));
        media
    }

    /// Whether it is `kind/subtype` (`*` for any subtype), without regard to case.
    pub(crate) fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
            && (subtype == "*" || self.subtype.eq_ignore_ascii_case(subtype.as_bytes()))
    }

    /// The value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&[u8]> {
        let found = self
            .parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }
}

/// What a header says about the body below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Whether MIME-Version or Content-Type is there; else the other fields do not count at the top of a message.
    pub(crate) is_mime: bool,
    /// Content-Type; `None` when there is none.
    pub(crate) media: Option<MediaType>,
    /// Content-Transfer-Encoding, when it is one token.
    pub(crate) encoding: Option<Vec<u8>>,
    /// Content-ID
    pub(crate) id: Option<Vec<u8>>,
    /// Content-Description
    pub(crate) description: Option<Vec<u8>>,
    /// Content-MD5
    pub(crate) md5: Option<Vec<u8>>,
    /// Content-Disposition: its kind and parameters.
    pub(crate) disposition: Option<(Vec<u8>, Vec<Parameter>)>,
    /// Content-Language
    pub(crate) languages: Vec<Vec<u8>>,
    /// Content-Location
    pub(crate) location: Option<Vec<u8>>,
}

impl Content {
    /// Reads the header of a part. `is_part` is true for a part of a multipart, where Content-* fields count without MIME-Version.
    pub(crate) fn read(raw_header: &[u8], is_part: bool) -> Content {
        let mut content = Content {
            is_mime: is_part,
            ..Content::default()
        };
        for field in header::fields(raw_header) {
            if field.is("MIME-Version") {
                content.is_mime = true;
            }
            if field.name.len() > 8 && field.name[..8].eq_ignore_ascii_case(b"Content-") {
                content.take(&field.name[8..].to_ascii_lowercase(), field.value);
            }
        }
        if content.is_mime {
            content
        } else {
            Content::default()
        }
    }

    fn take(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"type" if self.media.is_none() => {
                self.is_mime = true;
                self.media = Some(MediaType::read(value));
            }
            b"transfer-encoding" if self.encoding.is_none() => self.encoding = encoding(value),
            b"id" => keep_first(&mut self.id, value),
            b"description" => keep_first(&mut self.description, value),
            b"md5" => keep_first(&mut self.md5, value),
            b"location" => keep_first(&mut self.location, value),
            b"language" if self.languages.is_empty() => self.languages = languages(value),
            b"disposition"
                if self
                    .disposition
                    .as_ref()
                    .is_none_or(|(_, parameters)| parameters.is_empty()) =>
            {
                self.take_disposition(value);
            }
            _ => {}
        }
    }

    fn take_disposition(&mut self, value: &[u8]) {
        let mut cursor = Cursor::new(value);
        let mut kind = Vec::new();
        let _ = cursor.skip_cfws();
        if cursor.mime_token(&mut kind).is_ok() {
            self.disposition = Some((kind, parameter::read_all(&mut cursor)));
        }
    }

    /// Whether the body is base64.
    pub(crate) fn is_base64(&self) -> bool {
        self.encoding
            .as_deref()
            .is_some_and(|e| e.eq_ignore_ascii_case(b"base64"))
    }

    /// Whether the body is quoted-printable.
    pub(crate) fn is_quoted_printable(&self) -> bool {
        self.encoding
            .as_deref()
            .is_some_and(|e| e.eq_ignore_ascii_case(b"quoted-printable"))
    }

    /// Whether the body is text: by its type, or because nothing else is said.
    pub(crate) fn is_text(&self) -> bool {
        self.media
            .as_ref()
            .is_none_or(|media| media.is("text", "*"))
    }
}

fn keep_first(place: &mut Option<Vec<u8>>, value: &[u8]) {
    if place.is_none() {
        *place = Some(value.to_vec());
    }
}

/// The one token of Content-Transfer-Encoding; anything behind it makes the field invalid.
fn encoding(value: &[u8]) -> Option<Vec<u8>> {
    let mut cursor = Cursor::new(value);
    let mut token = Vec::new();
    let _ = cursor.skip_cfws();
    let result = cursor.mime_token(&mut token);
    (result.is_ok() && cursor.skip_cfws() == Ok(false) && !token.is_empty()).then_some(token)
}

fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let mut cursor = Cursor::new(value);
    let mut tags = Vec::new();
    let _ = cursor.skip_cfws();
    loop {
        let mut tag = Vec::new();
        if cursor.atom(&mut tag).is_err() {
            return tags;
        }
        tags.push(tag);
        if !cursor.pass_if(b',') {
            return tags;
        }
        let _ = cursor.skip_cfws();
    }
}
