//! BODY and BODYSTRUCTURE of RFC 3501, 7.4.2: the bytes that IMAP sends, made once.
//!
//! Promises: defaults as the RFC names them (text/plain, us-ascii, 7bit); octets and lines as on the wire; at most `STRUCTURE_MAX`
//! bytes: of what would be longer the last parts are written with types, encodings and sizes only. Never: decodes anything.

use crate::limits::{NESTED_RECIPIENTS_MAX, STRUCTURE_MAX};
use crate::mail::content::{Content, MediaType};
use crate::mail::envelope::Envelope;
use crate::mail::nstring;
use crate::mail::parameter::Parameter;
use crate::mail::part::PartKind;
use crate::mail::tree::Node;

/// A multipart without parts, which the grammar does not know, is sent with one empty text.
const EMPTY_PART: &[u8] = b"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0";
/// Extension data of a part that has none.
const NO_EXTENSIONS: &[u8] = b" NIL NIL NIL NIL";
/// Bytes of a type or encoding that is kept when a structure has to be short.
const SHORT_TOKEN_MAX: usize = 24;

/// Which of the two items is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// BODY: without extension data.
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
}

/// BODY and BODYSTRUCTURE of the message, parentheses included.
pub(crate) fn write(message: &[u8], nodes: &[Node], contents: Vec<Content>) -> (Vec<u8>, Vec<u8>) {
    let mut children = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate().skip(1) {
        children[node.parent].push(index);
    }
    let mut writer = Writer {
        message,
        nodes,
        contents,
        children,
        short_from: nodes.len(),
        is_alone: false,
    };
    let mut long = writer.item(Form::BodyStructure);
    if long.len() > STRUCTURE_MAX {
        writer.shorten();
        long = writer.item(Form::BodyStructure);
    }
    (writer.item(Form::Body), long)
}

struct Writer<'m> {
    message: &'m [u8],
    nodes: &'m [Node],
    contents: Vec<Content>,
    children: Vec<Vec<usize>>,
    /// The first node of which only the necessary is written.
    short_from: usize,
    /// Whether a part is written without the parts in it.
    is_alone: bool,
}

impl Writer<'_> {
    fn item(&self, form: Form) -> Vec<u8> {
        let mut out = Vec::new();
        self.part(&mut out, 0, form);
        out
    }

    /// Leaves of the contents only what the grammar needs, and only short tokens of it: of the last ones, as many as must be.
    fn shorten(&mut self) {
        let whole = self.own_bytes();
        let contents: Vec<Content> = self.contents.iter().map(shortened).collect();
        let contents = std::mem::replace(&mut self.contents, contents);
        self.short_from = 0;
        let short = self.own_bytes();
        let mut bytes: usize = short.iter().sum();
        for (index, content) in contents.into_iter().enumerate() {
            bytes = bytes - short[index] + whole[index];
            if bytes > STRUCTURE_MAX {
                return;
            }
            self.contents[index] = content;
            self.short_from = index + 1;
        }
    }

    /// Bytes of each part without the parts in it.
    fn own_bytes(&mut self) -> Vec<usize> {
        self.is_alone = true;
        let bytes = (0..self.nodes.len()).map(|index| {
            let mut out = Vec::new();
            self.part(&mut out, index, Form::BodyStructure);
            out.len()
        });
        let bytes = bytes.collect();
        self.is_alone = false;
        bytes
    }

    /// body = "(" (body-type-1part / body-type-mpart) ")"
    fn part(&self, out: &mut Vec<u8>, index: usize, form: Form) {
        out.push(b'(');
        if self.nodes[index].kind == PartKind::Multipart {
            self.multipart(out, index, form);
        } else {
            self.single(out, index, form);
        }
        out.push(b')');
    }

    fn multipart(&self, out: &mut Vec<u8>, index: usize, form: Form) {
        for &child in self.children[index].iter().filter(|_| !self.is_alone) {
            self.part(out, child, form);
        }
        if self.children[index].is_empty() {
            out.extend_from_slice(EMPTY_PART);
            if form == Form::BodyStructure {
                out.extend_from_slice(NO_EXTENSIONS);
            }
            out.push(b')');
        }
        let content = &self.contents[index];
        let media = content.media.clone().unwrap_or_default();
        out.push(b' ');
        nstring::write(out, &media.subtype);
        if form == Form::BodyStructure {
            out.push(b' ');
            write_parameters(out, &media.parameters, false);
            write_extensions(out, content);
        }
    }

    fn single(&self, out: &mut Vec<u8>, index: usize, form: Form) {
        let (node, content) = (&self.nodes[index], &self.contents[index]);
        let is_text = self.media(out, node, content);
        out.push(b' ');
        nstring::write_unfolded(out, content.id.as_deref());
        out.push(b' ');
        nstring::write_unfolded(out, content.description.as_deref());
        out.push(b' ');
        nstring::write(out, content.encoding.as_deref().unwrap_or(b"7bit"));
        out.push(b' ');
        nstring::write_number(out, octets(node));
        if node.kind == PartKind::Message {
            self.nested(out, index, form);
        }
        if is_text || node.kind == PartKind::Message {
            out.push(b' ');
            nstring::write_number(out, node.lines);
        }
        if form == Form::BodyStructure {
            out.push(b' ');
            nstring::write_unfolded(out, content.md5.as_deref());
            write_extensions(out, content);
        }
    }

    /// Type, subtype and parameters; whether lines follow because it is text.
    fn media(&self, out: &mut Vec<u8>, node: &Node, content: &Content) -> bool {
        let plain = MediaType {
            kind: b"text".to_vec(),
            subtype: b"plain".to_vec(),
            parameters: Vec::new(),
        };
        let mut media = content.media.clone().unwrap_or(plain);
        if node.is_cut || media.is("multipart", "*") {
            media = octet_stream();
        }
        if node.kind == PartKind::Message {
            (media.kind, media.subtype) = (b"message".to_vec(), b"rfc822".to_vec());
        }
        let is_text = media.is("text", "*");
        nstring::write(out, &media.kind);
        out.push(b' ');
        nstring::write(out, &media.subtype);
        out.push(b' ');
        write_parameters(out, &media.parameters, is_text);
        is_text
    }

    /// The envelope and structure of the message in a message/rfc822 part.
    fn nested(&self, out: &mut Vec<u8>, index: usize, form: Form) {
        out.push(b' ');
        let Some(&child) = self.children[index].first() else {
            return;
        };
        let node = &self.nodes[child];
        let header = if index >= self.short_from {
            &[]
        } else {
            &self.message[node.header..node.body]
        };
        Envelope::read(header).write(out, NESTED_RECIPIENTS_MAX);
        out.push(b' ');
        if !self.is_alone {
            self.part(out, child, form);
        }
    }
}

/// What the grammar needs of a part, and only short tokens of it.
fn shortened(content: &Content) -> Content {
    let fits = |token: &Vec<u8>| token.len() <= SHORT_TOKEN_MAX;
    let media = content.media.as_ref().map(|media| {
        if fits(&media.kind) && fits(&media.subtype) {
            MediaType {
                kind: media.kind.clone(),
                subtype: media.subtype.clone(),
                parameters: Vec::new(),
            }
        } else {
            octet_stream()
        }
    });
    Content {
        is_mime: content.is_mime,
        media,
        encoding: content.encoding.clone().filter(fits),
        ..Content::default()
    }
}

fn octet_stream() -> MediaType {
    MediaType {
        kind: b"application".to_vec(),
        subtype: b"octet-stream".to_vec(),
        parameters: Vec::new(),
    }
}

fn octets(node: &Node) -> u64 {
    u64::try_from(node.end - node.body).unwrap_or(u64::MAX)
}

/// body-fld-param; text without a charset gets the default one.
fn write_parameters(out: &mut Vec<u8>, parameters: &[Parameter], is_text: bool) {
    let needs_charset = is_text
        && !parameters
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(b"charset"));
    if parameters.is_empty() && !needs_charset {
        out.extend_from_slice(b"NIL");
        return;
    }
    let mut separator = b'(';
    for (name, value) in parameters {
        out.push(separator);
        nstring::write(out, name);
        out.push(b' ');
        nstring::write(out, value);
        separator = b' ';
    }
    if needs_charset {
        out.push(separator);
        out.extend_from_slice(b"\"charset\" \"us-ascii\"");
    }
    out.push(b')');
}

/// Disposition, language and location.
fn write_extensions(out: &mut Vec<u8>, content: &Content) {
    out.push(b' ');
    match &content.disposition {
        None => out.extend_from_slice(b"NIL"),
        Some((kind, parameters)) => {
            out.push(b'(');
            nstring::write(out, kind);
            out.push(b' ');
            write_parameters(out, parameters, false);
            out.push(b')');
        }
    }
    out.push(b' ');
    if content.languages.is_empty() {
        out.extend_from_slice(b"NIL");
    } else {
        let mut separator = b'(';
        for language in &content.languages {
            out.push(separator);
            nstring::write(out, language);
            separator = b' ';
        }
        out.push(b')');
    }
    out.push(b' ');
    nstring::write_unfolded(out, content.location.as_deref());
}
