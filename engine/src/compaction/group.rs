//! Messages of one account that go into the same frames.

use std::ops::Range;

use coldpost_tiers::address::Extent;
use coldpost_tiers::block::BlockWriter;
use coldpost_tiers::limits::FRAME_RAW_MAX;

use super::cut::{Cut, Stretch};
use super::gather::Item;
use super::place_frame::{Entries, PlaceFrame, bytes_of};
use super::source::{Source, length};
use crate::error::{Error, Kind, Result};
use crate::limits::{GROUP_HEADERS_MAX, PLACE_BYTES_MAX};
use crate::view::Message;

/// A message that was written.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    pub(super) item: Item,
    pub(super) crc: u32,
    pub(super) extents: Vec<Extent>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Group {
    headers: Vec<u8>,
    bodies: Vec<u8>,
    messages: Vec<Waiting>,
    /// Of what the place frame says of them, at most.
    places: usize,
}

struct Waiting {
    item: Item,
    message: Message,
    cut: Cut,
    /// Where its header and its body begin among those of the group.
    at: (u64, u64),
}

fn frame_raw_max() -> u64 {
    u64::try_from(FRAME_RAW_MAX).expect("a length fits 64 bits")
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether a message may share frames with others at all.
    pub(super) fn may_hold(cut: &Cut) -> bool {
        cut.header <= frame_raw_max() && cut.body() <= frame_raw_max()
    }

    pub(super) fn has_room(&self, cut: &Cut) -> bool {
        length(&self.headers) + cut.header <= GROUP_HEADERS_MAX
            && length(&self.bodies) + cut.body() <= frame_raw_max()
            && self.places + bytes_of(cut.stretches.len()) <= PLACE_BYTES_MAX
    }

    /// Takes a message; nothing of it where it cannot be read.
    pub(super) fn add(
        &mut self,
        item: Item,
        message: Message,
        cut: Cut,
        source: &Source<'_>,
    ) -> Result<()> {
        let at = (length(&self.headers), length(&self.bodies));
        let read = plain(&cut).try_for_each(|range| {
            let within = range.start.min(cut.header)..range.end.min(cut.header);
            let behind = range.start.max(cut.header)..range.end.max(cut.header);
            let (headers, bodies) = (&mut self.headers, &mut self.bodies);
            source.each(within, |piece| {
                headers.extend_from_slice(piece);
                Ok(())
            })?;
            source.each(behind, |piece| {
                bodies.extend_from_slice(piece);
                Ok(())
            })
        });
        if let Err(e) = read {
            self.headers.truncate(usize::try_from(at.0).unwrap_or(0));
            self.bodies.truncate(usize::try_from(at.1).unwrap_or(0));
            return Err(e);
        }
        self.places += bytes_of(cut.stretches.len());
        self.messages.push(Waiting {
            item,
            message,
            cut,
            at,
        });
        Ok(())
    }

    /// Writes the group and begins a new one.
    pub(super) fn write(
        &mut self,
        entries: &Entries<'_>,
        block: &mut BlockWriter,
    ) -> Result<Vec<Moved>> {
        let group = std::mem::take(self);
        let layout = Layout {
            first: block.next_frame(),
            headers: length(&group.headers),
        };
        let mut places = PlaceFrame::new(entries);
        let mut moved = Vec::with_capacity(group.messages.len());
        for waiting in group.messages {
            let extents = layout.extents(&waiting.cut, waiting.at);
            places.add(&waiting.message, &extents);
            moved.push(Moved {
                item: waiting.item,
                crc: waiting.message.crc,
                extents,
            });
        }
        block.begin_group(entries.account, &places.into_bytes())?;
        for all in [&group.headers, &group.bodies] {
            for raw in all.chunks(FRAME_RAW_MAX) {
                block.frame(raw)?;
            }
        }
        Ok(moved)
    }

    /// Writes a message that shares its frames with none. That it can be read was seen before: it is in the block, or the run is over.
    pub(super) fn alone(
        item: Item,
        message: &Message,
        cut: Cut,
        source: &Source<'_>,
        entries: &Entries<'_>,
        block: &mut BlockWriter,
    ) -> Result<Moved> {
        let layout = Layout {
            first: block.next_frame(),
            headers: cut.header,
        };
        let extents = layout.extents(&cut, (0, 0));
        let mut places = PlaceFrame::new(entries);
        places.add(message, &extents);
        block.begin_group(entries.account, &places.into_bytes())?;
        let mut waiting = Vec::with_capacity(FRAME_RAW_MAX);
        let end = [cut.header, u64::MAX];
        let mut written = 0;
        for (n, end) in end.into_iter().enumerate() {
            let from = if n == 0 { 0 } else { cut.header };
            for range in plain(&cut) {
                let range = range.start.clamp(from, end)..range.end.clamp(from, end);
                written += range.end - range.start;
                source.each(range, |piece| fill(&mut waiting, piece, block))?;
            }
            if !waiting.is_empty() {
                block.frame(&waiting)?;
                waiting.clear();
            }
        }
        if written != cut.header + cut.body() {
            let text = "a message has another length than its row says";
            return Err(Error::new(Kind::Internal, text));
        }
        Ok(Moved {
            item,
            crc: message.crc,
            extents,
        })
    }
}

/// Fills a frame, and writes it when it is full.
fn fill(waiting: &mut Vec<u8>, mut piece: &[u8], block: &mut BlockWriter) -> Result<()> {
    while !piece.is_empty() {
        let room = FRAME_RAW_MAX - waiting.len();
        let (now, later) = piece.split_at(piece.len().min(room));
        waiting.extend_from_slice(now);
        piece = later;
        if waiting.len() == FRAME_RAW_MAX {
            block.frame(waiting)?;
            waiting.clear();
        }
    }
    Ok(())
}

fn plain(cut: &Cut) -> impl Iterator<Item = Range<u64>> + '_ {
    cut.stretches.iter().filter_map(|stretch| match stretch {
        Stretch::Plain(range) => Some(range.clone()),
        Stretch::Blob { .. } => None,
    })
}

/// Where the frames of a group are: those of headers first, then those of bodies, each full but the last.
struct Layout {
    first: u32,
    /// Bytes of headers.
    headers: u64,
}

impl Layout {
    /// A message whose header and body begin at `at`.
    fn extents(&self, cut: &Cut, at: (u64, u64)) -> Vec<Extent> {
        let mut extents = Vec::new();
        let (mut header, mut body) = at;
        let header_frames = number(self.headers.div_ceil(frame_raw_max()));
        for stretch in &cut.stretches {
            match stretch {
                Stretch::Plain(range) => {
                    let in_header = range.start.min(cut.header)..range.end.min(cut.header);
                    let behind = range.start.max(cut.header)..range.end.max(cut.header);
                    let many = in_header.end - in_header.start;
                    slices(&mut extents, self.first, header, many);
                    header += many;
                    let many = behind.end - behind.start;
                    slices(&mut extents, self.first + header_frames, body, many);
                    body += many;
                }
                Stretch::Blob {
                    range,
                    blob,
                    recode,
                } => extents.push(Extent::Blob {
                    blob: *blob,
                    offset: 0,
                    length: range.end - range.start,
                    recode: *recode,
                }),
            }
        }
        extents
    }
}

/// `many` bytes from `at` on, in frames from `first` on.
fn slices(extents: &mut Vec<Extent>, first: u32, mut at: u64, many: u64) {
    let end = at + many;
    while at < end {
        let skip = at % frame_raw_max();
        let length = (frame_raw_max() - skip).min(end - at);
        extents.push(Extent::Slice {
            frame: first + number(at / frame_raw_max()),
            skip: number(skip),
            length: number(length),
        });
        at += length;
    }
}

fn number(n: u64) -> u32 {
    u32::try_from(n).expect("within a block, which is bounded")
}
