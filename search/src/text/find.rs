//! Looks for needles in what a file has of an account.
//!
//! Promises: a message is told exactly when one of its texts has the needle; only frames that may have it are unpacked.

use std::sync::Arc;

use memchr::memmem::Finder;
use memchr::memrchr2;
use zstd::bulk::Decompressor;

use crate::error::{Error, Result};
use crate::limits::{TEXT_OVERLAP, TEXT_PIECE_MAX};

use super::frame::{self, Of, Unpacked};
use super::index::Part;
use super::signature::{self, Frames, Signature};
use super::{BEHIND, BETWEEN, Kind, Run, TextId};

/// Bytes of a needle that are looked for at once: a piece repeats as many of the one before.
const PROBE_MAX: usize = TEXT_OVERLAP - 4;

/// A text that is looked for, folded.
pub struct Needle {
    text: String,
    /// Of all of it.
    whole: Finder<'static>,
    /// Of its beginning: of what a piece may have cut.
    finder: Finder<'static>,
    rows: Vec<usize>,
}

impl Needle {
    /// Of a folded and collapsed text; an empty one is in every message.
    pub fn new(folded: &str) -> Needle {
        let end = (0..=PROBE_MAX.min(folded.len())).rev();
        let end = end.into_iter().find(|at| folded.is_char_boundary(*at));
        let probe = &folded[..end.unwrap_or(0)];
        Needle {
            text: folded.to_owned(),
            whole: Finder::new(folded.as_bytes()).into_owned(),
            finder: Finder::new(probe.as_bytes()).into_owned(),
            rows: signature::rows_of(probe),
        }
    }
}

/// What is asked of messages.
pub struct Ask {
    /// Where it is looked for.
    pub kind: Kind,
    /// What.
    pub needle: Needle,
    /// Only in the values of fields of this name, folded, with `: ` behind it: then an empty needle asks for the field.
    pub field: Option<Needle>,
}

impl Ask {
    /// In any text of a kind.
    pub fn any(kind: Kind, folded: &str) -> Ask {
        Ask {
            kind,
            needle: Needle::new(folded),
            field: None,
        }
    }

    /// In the values of fields of the message's header.
    pub fn field(folded_name: &str, folded: &str) -> Ask {
        Ask {
            kind: Kind::Header,
            needle: Needle::new(folded),
            field: Some(Needle::new(&format!("{folded_name}: "))),
        }
    }
}

impl Ask {
    /// Whether texts of a message, all of them in `text` with a line feed between two, have it.
    pub fn is_in(&self, text: &str) -> bool {
        let Some(field) = &self.field else {
            return self.needle.whole.find(text.as_bytes()).is_some();
        };
        let mut lines = text.split(BETWEEN);
        lines.any(|line| {
            let value = line.strip_prefix(field.text.as_str());
            value.is_some_and(|value| self.needle.whole.find(value.as_bytes()).is_some())
        })
    }
}

/// Which messages somebody wants to know about.
#[derive(Clone, Copy)]
pub enum Wanted<'w> {
    /// All.
    All,
    /// These, in order.
    These(&'w [TextId]),
}

impl Wanted<'_> {
    fn has(&self, id: TextId) -> bool {
        match self {
            Wanted::All => true,
            Wanted::These(ids) => ids.binary_search(&id).is_ok(),
        }
    }

    /// Whether one of them is at or behind `first` and, where there is one, at or before `last`.
    fn has_between(&self, first: TextId, last: Option<TextId>) -> bool {
        match self {
            Wanted::All => true,
            Wanted::These(ids) => {
                let at = ids.partition_point(|id| *id < first);
                ids.get(at)
                    .is_some_and(|id| last.is_none_or(|last| *id <= last))
            }
        }
    }
}

/// Who hears of hits, and says when it is enough.
pub struct Hearing<'h> {
    /// An ask by its number, and a message that has what it asks for; perhaps more than once.
    pub hit: &'h mut dyn FnMut(usize, TextId),
    /// Whether to end, with `Late`.
    pub is_late: &'h mut dyn FnMut() -> bool,
}

impl Run {
    /// Tells which messages of an account have what is asked.
    ///
    /// # Errors
    /// `Corrupt`, `Io`; `Late` when who hears wants no more.
    pub fn find(
        &self,
        account: u64,
        asks: &[Ask],
        wanted: Wanted<'_>,
        hearing: &mut Hearing<'_>,
    ) -> Result<()> {
        let Some(of_account) = self.index.of(account) else {
            return Ok(());
        };
        for kind in Kind::ALL {
            let asks: Vec<(usize, &Ask)> = asks
                .iter()
                .enumerate()
                .filter(|(_, ask)| ask.kind == kind)
                .collect();
            let part = &of_account.parts[kind.index()];
            if asks.is_empty() || part.frames.is_empty() {
                continue;
            }
            let mut search = Search {
                run: self,
                of: self.of(account, kind),
                part,
                unpacker: Decompressor::new().map_err(Error::io("zstd"))?,
            };
            search.run(&asks, wanted, hearing)?;
        }
        Ok(())
    }
}

/// The search of one account's frames of a kind.
struct Search<'r> {
    run: &'r Run,
    of: Of,
    part: &'r Part,
    unpacker: Decompressor<'static>,
}

/// A message in an unpacked frame.
#[derive(Clone, Copy)]
struct Place<'t> {
    frame: usize,
    text: &'t str,
    /// Where the message begins and ends in it.
    start: usize,
    end: usize,
    id: TextId,
    /// Of a piece its number.
    piece: Option<u32>,
}

impl Search<'_> {
    fn run(
        &mut self,
        asks: &[(usize, &Ask)],
        wanted: Wanted<'_>,
        hearing: &mut Hearing<'_>,
    ) -> Result<()> {
        let count = self.part.frames.len();
        let mut frames = Vec::with_capacity(asks.len());
        for (_, ask) in asks {
            frames.push(self.named(ask)?);
        }
        for at in 0..count {
            if !frames.iter().any(|frames| frames.has(at)) {
                continue;
            }
            let first = self.part.frames[at].first;
            let next = self.part.frames.get(at + 1).map(|next| next.first);
            if !wanted.has_between(first, next) {
                continue;
            }
            if (hearing.is_late)() {
                return Err(Error::Late);
            }
            let Some(unpacked) = self.unpack(at, |id| wanted.has(id))? else {
                continue;
            };
            for ((number, ask), frames) in asks.iter().zip(&frames) {
                if frames.has(at) {
                    self.look(at, &unpacked, ask, wanted, &mut |id| {
                        (hearing.hit)(*number, id)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// The frames that may have what is asked.
    fn named(&self, ask: &Ask) -> Result<Frames> {
        let count = self.part.frames.len();
        if self.part.signature == 0 {
            return Ok(Frames::all(count));
        }
        // A needle in a value stands in the frame of its field's name, but for a value of more than a piece.
        let rows = match &ask.field {
            Some(field) if ask.needle.text.is_empty() => &field.rows,
            _ => &ask.needle.rows,
        };
        let signature = Signature {
            source: &*self.run.source,
            offset: self.part.signature,
            frames: count,
            seed: self.of.seed(),
        };
        signature::find(signature, rows)
    }

    /// A frame, unless `is_wanted` wants none of its messages.
    fn unpack(
        &mut self,
        at: usize,
        is_wanted: impl Fn(TextId) -> bool,
    ) -> Result<Option<Arc<Unpacked>>> {
        let place = &self.part.frames[at];
        if let Some(frame) = self.run.kept(place) {
            let is_wanted = frame.list.iter().any(|listed| is_wanted(listed.id));
            return Ok(is_wanted.then_some(frame));
        }
        let bytes = self.run.read(place)?;
        let stored = frame::read(&bytes, self.of, place.raw, place.offset)?;
        if !stored.list.iter().any(|listed| is_wanted(listed.id)) {
            return Ok(None);
        }
        let frame = Arc::new(stored.unpack(&mut self.unpacker)?);
        self.run.keep(place, &frame);
        Ok(Some(frame))
    }

    fn look(
        &mut self,
        frame: usize,
        unpacked: &Unpacked,
        ask: &Ask,
        wanted: Wanted<'_>,
        hit: &mut dyn FnMut(TextId),
    ) -> Result<()> {
        let text = unpacked.text.as_str();
        let mut messages = unpacked.list.iter();
        let mut end = 0;
        let mut from = 0;
        let mut place = None;
        let is_piece = unpacked.list.iter().any(|listed| listed.piece.is_some());
        let finder = match &ask.field {
            Some(field) if ask.needle.text.is_empty() => &field.finder,
            _ if is_piece => &ask.needle.finder,
            _ => &ask.needle.whole,
        };
        while let Some(found) = text
            .as_bytes()
            .get(from..)
            .and_then(|left| finder.find(left))
        {
            let found = from + found;
            while end <= found {
                let Some(listed) = messages.next() else {
                    return Ok(());
                };
                place = Some(Place {
                    frame,
                    text,
                    start: end,
                    end: end + listed.bytes,
                    id: listed.id,
                    piece: listed.piece.map(|piece| piece.number),
                });
                end += listed.bytes + 1;
            }
            let Some(place) = place else { return Ok(()) };
            if !wanted.has(place.id) {
                from = end;
            } else if self.is_hit(ask, &place, found)? {
                hit(place.id);
                from = end;
            } else {
                from = found + 1;
            }
        }
        Ok(())
    }

    /// Whether what begins at `found` is all that is asked for.
    fn is_hit(&mut self, ask: &Ask, place: &Place<'_>, found: usize) -> Result<bool> {
        let needle = ask.needle.text.as_str();
        if let Some(field) = &ask.field {
            let line = memrchr2(
                BETWEEN as u8,
                BEHIND as u8,
                &place.text.as_bytes()[place.start..found],
            );
            let line = line.map_or(place.start, |at| place.start + at + 1);
            let name = field.text.as_str();
            if needle.is_empty() {
                // A piece begins in the middle of a line, or with the whole of one that the piece before has too.
                return Ok(found == line && (line > place.start || place.piece.unwrap_or(0) == 0));
            }
            let is_named = if line > place.start || place.piece.unwrap_or(0) == 0 {
                found >= line + name.len() && place.text[line..].starts_with(name)
            } else {
                self.is_line_before(name, place)?
            };
            if !is_named {
                return Ok(false);
            }
        }
        if needle.len() <= PROBE_MAX || place.text[found..place.end].starts_with(needle) {
            return Ok(true);
        }
        match place.piece {
            Some(_) => self.goes_on(needle, place, found),
            None => Ok(false),
        }
    }

    /// Whether a needle that begins in a piece goes on in those behind it.
    fn goes_on(&mut self, needle: &str, place: &Place<'_>, found: usize) -> Result<bool> {
        let here = &place.text[found..place.end];
        let Some(mut left) = needle.strip_prefix(here) else {
            return Ok(false);
        };
        for frame in place.frame + 1..self.part.frames.len() {
            let Some(next) = self.unpack(frame, |id| id == place.id)? else {
                return Ok(false);
            };
            let repeats = next
                .list
                .first()
                .and_then(|l| l.piece)
                .map_or(0, |p| p.repeats);
            let text = next.text.strip_suffix(BEHIND).unwrap_or(&next.text);
            let Some(text) = text.get(repeats..) else {
                return Ok(false);
            };
            if text.starts_with(left) {
                return Ok(true);
            }
            match left.strip_prefix(text) {
                Some(rest) => left = rest,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Whether the line in whose middle a piece begins, begins with `name` in one before it.
    fn is_line_before(&mut self, name: &str, place: &Place<'_>) -> Result<bool> {
        let mut end = String::new();
        for frame in (0..place.frame).rev() {
            let Some(before) = self.unpack(frame, |id| id == place.id)? else {
                return Ok(false);
            };
            let piece = before.list.first().and_then(|listed| listed.piece);
            let is_first = piece.is_none_or(|piece| piece.number == 0);
            let text = before.text.strip_suffix(BEHIND).unwrap_or(&before.text);
            // What this piece repeats of it is not another beginning of a line.
            let line = text.rfind(BETWEEN).map(|at| at + 1);
            match line.or(is_first.then_some(0)) {
                Some(line) => {
                    end.insert_str(0, &text[line..floor(text, line + name.len())]);
                    return Ok(end.starts_with(name));
                }
                None => end = text[..floor(text, name.len())].to_owned(),
            }
        }
        Ok(false)
    }
}

/// Where a text may be cut at or behind `at`, as far as it goes.
fn floor(text: &str, at: usize) -> usize {
    let mut borders = at.min(text.len())..=text.len();
    borders
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len())
}

const _: () = assert!(PROBE_MAX < TEXT_PIECE_MAX);
