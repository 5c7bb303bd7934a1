//! Frames of one object that are read at once: which, from where to where, and what must be true of the bytes.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;

use super::Loaded;
use crate::address::{FrameRef, ObjectId, ShardNo};
use crate::cache::frames::FrameKey;
use crate::cold::Key;
use crate::error::{Error, Kind, Result};
use crate::frame;
use crate::limits::{FETCH_FRAMES_MAX, FETCH_GAP_MAX, FRAME_RAW_MAX, FRAME_STORED_MAX};

/// A frame that is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) key: FrameKey,
    pub(super) frame: FrameRef,
}

/// Frames of one object that are read at once, in the order of their offsets.
pub(super) struct Run {
    pub(super) wanted: Vec<Wanted>,
    pub(super) span: Range<u64>,
}

impl Wanted {
    /// From which byte to which.
    pub(super) fn span(&self) -> Range<u64> {
        self.key.offset..self.key.offset + u64::from(self.frame.stored)
    }
}

impl Run {
    /// Of those that it is made of, the first.
    pub(super) fn first(&self) -> &Wanted {
        self.wanted
            .first()
            .expect("a run is made of at least one frame")
    }

    /// Checks and unpacks the frames out of the stored bytes of the whole span.
    pub(super) fn decode(&self, stored: &[u8], name: &str) -> Result<Vec<Loaded>> {
        let decode = |wanted: &Wanted| {
            let at = usize::try_from(wanted.key.offset - self.span.start).ok();
            let length = usize::try_from(wanted.frame.stored).ok();
            let bytes = at
                .zip(length)
                .and_then(|(at, length)| stored.get(at..)?.get(..length));
            let bytes = bytes.ok_or_else(|| {
                Error::corrupt(
                    name,
                    wanted.key.offset,
                    format!("{name} ends inside a frame"),
                )
            })?;
            let raw = frame::decompress(bytes, &wanted.frame, name, wanted.key.offset)?;
            Ok((wanted.key, Bytes::from(raw)))
        };
        self.wanted.iter().map(decode).collect()
    }
}

/// # Errors
/// `NotFound`: no such file. `Corrupt`: unreadable, short or wrong bytes; names the file.
pub(super) fn read_local(path: &Path, run: &Run) -> Result<Vec<Loaded>> {
    let name = path.display().to_string();
    let start = run.span.start;
    let file = match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::with_source(Kind::NotFound, name, e));
        }
        opened => opened,
    };
    let length = usize::try_from(run.span.end - start).expect("a span is bounded");
    let mut stored = vec![0; length];
    file.and_then(|file| file.read_exact_at(&mut stored, start))
        .map_err(|e| {
            let words =
                format!("{name} cannot be read from byte {start} on ({length} bytes wanted)");
            Error::with_source(
                Kind::Corrupt {
                    object: name.clone(),
                    offset: start,
                },
                words,
                e,
            )
        })?;
    run.decode(&stored, &name)
}

/// The frames asked for with their places, checked against the bounds of the format.
pub(super) fn wanted(
    shard: ShardNo,
    object: ObjectId,
    offset: u64,
    frames: &[FrameRef],
    want: Range<usize>,
) -> Result<Vec<Wanted>> {
    if want.len() > FETCH_FRAMES_MAX {
        return Err(Error::new(
            Kind::Limit,
            format!("{} frames at once: at most {FETCH_FRAMES_MAX}", want.len()),
        ));
    }
    let invalid = || {
        let words = format!(
            "`{}`: an address from byte {offset} on that no object can have",
            Key::of(shard, &object)
        );
        Error::new(Kind::Invalid, words)
    };
    if want.end > frames.len() || want.start > want.end {
        return Err(invalid());
    }
    let bounded = |n: u32, max: usize| usize::try_from(n).is_ok_and(|n| n <= max);
    let mut at = offset;
    let mut wanted = Vec::with_capacity(want.len());
    for (number, frame) in frames.iter().enumerate().take(want.end) {
        if frame.stored == 0
            || !bounded(frame.stored, FRAME_STORED_MAX)
            || !bounded(frame.raw, FRAME_RAW_MAX)
        {
            return Err(invalid());
        }
        if want.contains(&number) {
            wanted.push(Wanted {
                key: FrameKey {
                    shard,
                    object,
                    offset: at,
                    crc: frame.crc,
                },
                frame: *frame,
            });
        }
        at = at
            .checked_add(u64::from(frame.stored))
            .ok_or_else(invalid)?;
    }
    Ok(wanted)
}

/// From where to where the frames `want` lie.
pub(super) fn span(offset: u64, frames: &[FrameRef], want: Range<usize>) -> Option<Range<u64>> {
    let bytes = |frames: &[FrameRef]| frames.iter().map(|f| u64::from(f.stored)).sum::<u64>();
    let start = offset.checked_add(bytes(frames.get(..want.start)?))?;
    let length = bytes(frames.get(want)?);
    Some(start..start.checked_add(length).filter(|end| *end > start)?)
}

/// Which frames are read together: those with at most [`FETCH_GAP_MAX`] bytes between them, as long as the read is no longer than what it
/// gives unpacked and one gap: what lies between is memory that nobody counted.
pub(super) fn runs(wanted: &[Wanted]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut most = 0;
    for next in wanted {
        let end = next.span().end;
        most += u64::from(next.frame.raw);
        match runs.last_mut() {
            Some(run) if joins(&run.span, next.key.offset..end, most) => {
                run.wanted.push(*next);
                run.span.end = end;
            }
            _ => {
                most = FETCH_GAP_MAX + u64::from(next.frame.raw);
                runs.push(Run {
                    wanted: vec![*next],
                    span: next.key.offset..end,
                });
            }
        }
    }
    runs
}

/// Frames of two addresses may overlap where one of them is damaged: they are read apart.
fn joins(run: &Range<u64>, next: Range<u64>, most: u64) -> bool {
    match next.start.checked_sub(run.end) {
        Some(0) => true,
        Some(gap) => gap <= FETCH_GAP_MAX && next.end - run.start <= most,
        None => false,
    }
}
