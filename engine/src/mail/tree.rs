//! Walks the MIME tree of a message (RFC 2046, 5.1 and 5.2.1) and finds the byte range of every part.
//!
//! By hand and not by mail-parser: its parser keeps no exact ends of parts, knows no bound on parts or levels, and decodes every
//! body on the way. Where the RFC leaves room (delimiters that are only prefixes, parts without header, missing ends), parts begin
//! and end where Dovecot lets them.
//!
//! Promises: one pass, work linear in the bytes; at most `PARTS_MAX` parts on `LEVELS_MAX` levels, the rest is one leaf; ranges are
//! of raw bytes and nested. Never: recurses, decodes, fails.

use crate::limits::{BOUNDARY_MAX, LEVELS_MAX, PARTS_MAX};
use crate::mail::content::{Content, MediaType};
use crate::mail::header;
use crate::mail::part::PartKind;

/// A part of the message with its ranges and what its header says of its kind.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Index of the part that holds it; 0 for the root.
    pub(crate) parent: usize,
    /// What it is.
    pub(crate) kind: PartKind,
    /// First byte of its header.
    pub(crate) header: usize,
    /// First byte of its body.
    pub(crate) body: usize,
    /// One past its last byte.
    pub(crate) end: usize,
    /// Line feeds in its body.
    pub(crate) lines: u64,
    /// Whether it stands in a multipart, where Content-* fields count without MIME-Version.
    pub(crate) is_in_multipart: bool,
    /// Whether the bounds made a leaf of what has parts.
    pub(crate) is_cut: bool,
    depth: usize,
    /// Whether parts without Content-Type below it are messages (multipart/digest).
    is_digest: bool,
}

/// A delimiter to look for.
struct Boundary {
    text: Vec<u8>,
    part: usize,
}

/// Walks the whole message; the first node is the message itself.
pub(crate) fn walk(message: &[u8]) -> Vec<Node> {
    let mut walker = Walker {
        message,
        at: 0,
        lines: 0,
        block: 0,
        nodes: Vec::new(),
        current: 0,
        boundaries: Vec::new(),
    };
    walker.open(0);
    let mut next = walker.header();
    loop {
        next = match next {
            Next::Body => walker.body(),
            Next::Part => {
                walker.open(walker.current);
                walker.header()
            }
            Next::Delimiter(which, length) => walker.close_to(which, length),
            Next::End => break,
        };
    }
    walker.finish()
}

/// What comes after a step.
enum Next {
    /// The body of the current part, or the text around its parts.
    Body,
    /// A new part of the current part.
    Part,
    /// A delimiter line of this boundary; where the parts before it end.
    Delimiter(usize, usize),
    /// The end of the message.
    End,
}

struct Walker<'m> {
    message: &'m [u8],
    /// Where the walk stands: always the start of a line.
    at: usize,
    /// Line feeds before `at`.
    lines: u64,
    /// Where the present header or text began: the line end before it is not its own.
    block: usize,
    nodes: Vec<Node>,
    current: usize,
    boundaries: Vec<Boundary>,
}

impl Walker<'_> {
    /// Opens a part at the present place.
    fn open(&mut self, parent: usize) {
        let (depth, is_in_multipart) = match self.nodes.get(parent) {
            None => (1, false),
            Some(holder) => (holder.depth + 1, holder.kind == PartKind::Multipart),
        };
        self.current = self.nodes.len();
        self.nodes.push(Node {
            parent,
            kind: PartKind::Leaf,
            header: self.at,
            body: self.at,
            end: self.message.len(),
            lines: 0,
            is_in_multipart,
            is_cut: false,
            depth,
            is_digest: false,
        });
    }

    /// Reads the header of the current part.
    fn header(&mut self) -> Next {
        let start = self.at;
        self.block = start;
        let mut delimiter = None;
        let mut has_ended = false;
        while self.at < self.message.len() && !has_ended {
            has_ended = header::is_empty_line(&self.message[self.at..]);
            if !has_ended {
                delimiter = self.delimiter();
                if delimiter.is_some() {
                    break;
                }
            }
            self.pass_line();
        }
        let cut = if delimiter.is_some() {
            self.cut()
        } else {
            self.at
        };
        let boundary = self.understand(start, cut);
        // A line end that the delimiter takes away is not in the body either.
        let lines = self.lines - u64::from(cut < self.at);
        let node = &mut self.nodes[self.current];
        node.body = cut;
        node.lines = lines;
        self.block = self.at;
        if let (true, Some(text)) = (has_ended, boundary) {
            self.boundaries.push(Boundary {
                text,
                part: self.current,
            });
        }
        if self.nodes[self.current].kind == PartKind::Message {
            return self.nested(delimiter, cut);
        }
        match delimiter {
            Some(which) => Next::Delimiter(which, cut),
            None => Next::Body,
        }
    }

    /// A message in a message: it begins where the header of its part ends, even when nothing of it is there.
    fn nested(&mut self, delimiter: Option<usize>, cut: usize) -> Next {
        let Some(which) = delimiter else {
            return Next::Part;
        };
        let lines = self.nodes[self.current].lines;
        self.open(self.current);
        let node = &mut self.nodes[self.current];
        (node.header, node.body, node.lines) = (cut, cut, lines);
        Next::Delimiter(which, cut)
    }

    /// Learns from the header what the current part is; gives its boundary.
    fn understand(&mut self, start: usize, end: usize) -> Option<Vec<u8>> {
        let raw_header = &self.message[start..end];
        let is_in_digest = self.nodes[self.current].parent != self.current
            && self.nodes[self.nodes[self.current].parent].is_digest;
        let media = header::fields(raw_header)
            .find(|f| f.is("Content-Type"))
            .map(|f| MediaType::read(f.value));
        let has_room = self.nodes.len() < PARTS_MAX;
        let node = &mut self.nodes[self.current];
        let kind = match &media {
            None if is_in_digest => PartKind::Message,
            Some(media) if media.is("message", "rfc822") => PartKind::Message,
            Some(media) if media.is("multipart", "*") && !media.subtype.is_empty() => {
                PartKind::Multipart
            }
            _ => PartKind::Leaf,
        };
        if kind != PartKind::Leaf && (node.depth >= LEVELS_MAX || !has_room) {
            node.is_cut = true;
            return None;
        }
        node.kind = kind;
        let media = media.filter(|_| kind == PartKind::Multipart)?;
        node.is_digest = media.is("multipart", "digest");
        let boundary = media.parameter("boundary")?;
        Some(boundary[..boundary.len().min(BOUNDARY_MAX)].to_vec())
    }

    /// Passes text up to a delimiter or the end.
    fn body(&mut self) -> Next {
        if self.boundaries.is_empty() || self.nodes.len() >= PARTS_MAX {
            let rest = &self.message[self.at..];
            self.lines +=
                u64::try_from(rest.iter().filter(|&&b| b == b'\n').count()).unwrap_or(u64::MAX);
            self.at = self.message.len();
            return Next::End;
        }
        while self.at < self.message.len() {
            if let Some(which) = self.delimiter() {
                return Next::Delimiter(which, self.cut());
            }
            self.pass_line();
        }
        Next::End
    }

    /// Ends the parts below the part of this boundary at `end`, passes the delimiter line and says what follows it.
    fn close_to(&mut self, which: usize, end: usize) -> Next {
        let lines = self.lines - u64::from(end < self.at);
        let holder = self.boundaries[which].part;
        while self.current != holder {
            self.close(end, lines);
        }
        let line = &self.message[self.at..];
        let length = self.boundaries[which].text.len();
        let is_last = line
            .get(2 + length..)
            .is_some_and(|rest| rest.starts_with(b"--"));
        self.boundaries
            .truncate(if is_last { which } else { which + 1 });
        let has_line_end = self.pass_line();
        self.block = self.at;
        match (has_line_end, is_last) {
            (false, _) => Next::End,
            (true, true) => Next::Body,
            (true, false) => Next::Part,
        }
    }

    /// Ends the current part and goes back to its parent.
    fn close(&mut self, end: usize, lines: u64) {
        let node = &mut self.nodes[self.current];
        node.end = end.max(node.body);
        node.lines = lines.saturating_sub(node.lines);
        self.current = node.parent;
    }

    fn finish(mut self) -> Vec<Node> {
        let end = self.message.len();
        loop {
            let is_root = self.current == 0;
            self.close(end, self.lines);
            if is_root {
                return self.nodes;
            }
        }
    }

    /// The boundary whose delimiter this line is: the longest that the line begins with, the innermost of equal ones.
    fn delimiter(&self) -> Option<usize> {
        let after = self.message[self.at..].strip_prefix(b"--")?;
        if self.boundaries.is_empty() || self.nodes.len() >= PARTS_MAX {
            return None;
        }
        let after = &after[..after.len().min(BOUNDARY_MAX + 4)];
        let line = header::trim_line_end(&after[..header::line_length(after)]);
        let bare = line.strip_suffix(b"--").unwrap_or(line);
        let mut best: Option<usize> = None;
        for (which, boundary) in self.boundaries.iter().enumerate().rev() {
            if line.starts_with(&boundary.text)
                && best.is_none_or(|b| self.boundaries[b].text.len() < boundary.text.len())
            {
                best = Some(which);
                if boundary.text.len() == line.len() || boundary.text.len() == bare.len() {
                    break;
                }
            }
        }
        best
    }

    /// Where the text before the present line ends: its line end belongs to the delimiter (RFC 2046, 5.1.1).
    fn cut(&self) -> usize {
        let before = &self.message[self.block..self.at];
        self.block + header::trim_line_end(before).len()
    }

    /// Goes to the next line; false when there is none.
    fn pass_line(&mut self) -> bool {
        let rest = &self.message[self.at..];
        let length = header::line_length(rest);
        let has_line_end = rest[..length].ends_with(b"\n");
        self.at += length;
        self.lines += u64::from(has_line_end);
        has_line_end
    }
}

impl Node {
    /// What its header says.
    pub(crate) fn content(&self, message: &[u8]) -> Content {
        Content::read(&message[self.header..self.body], self.is_in_multipart)
    }
}
