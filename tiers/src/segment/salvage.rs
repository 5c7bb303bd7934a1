//! Reads on past damage, at the next batch frame, and says what is lost: for `verify` and for rescue by hand.

use std::ops::Range;

use super::walk::{Step, Walker};
use super::{Record, SegmentReader};
use crate::address::Position;
use crate::{Error, Result};

/// Bytes that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which bytes of the file: from the first one that does not fit to the next place that does.
    pub range: Range<u64>,
    /// Position of the first record that is lost, when records are.
    pub first_lost: Position,
    /// Position of the first whole record behind; `None` when nobody knows.
    pub next_whole: Option<Position>,
    /// What does not fit.
    pub why: String,
}

impl Damage {
    /// As an error about `object`.
    pub fn into_error(self, object: &str) -> Error {
        let Damage {
            range,
            first_lost,
            next_whole,
            why,
        } = self;
        let to = match next_whole {
            Some(next) => format!("to before {}", next.0),
            None => "on".to_owned(),
        };
        let what = format!(
            "{object}: bytes {}..{} are damaged ({why}); positions {} {to} are affected",
            range.start, range.end, first_lost.0
        );
        Error::corrupt(object, range.start, what)
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Salvaged {
    /// A whole record in its place.
    Record(Record),
    /// Bytes that do not fit their checksum, where everything around says that this record stands here: something in its meta or its
    /// body is not what was written. Only given to who asks for it.
    Suspect(Record),
    /// A range without.
    Damage(Damage),
}

/// Gives every record that is whole and every range that is not. A range without a batch frame behind it goes to the end.
#[derive(Debug)]
pub struct Salvage {
    walker: Walker,
    ended: bool,
    suspects: bool,
}

impl Salvage {
    /// From where `reader` stands to where its records end. A range that goes on to `end` is reported with it.
    pub fn new(reader: SegmentReader) -> Salvage {
        Salvage {
            walker: reader.into_walker(),
            ended: false,
            suspects: false,
        }
    }

    /// Gives [`Salvaged::Suspect`] records too, and reads on behind them and behind a batch frame that is damaged: for who wants to know
    /// whose mail stands there. Of what is left out then, nothing is told.
    #[must_use]
    pub fn with_suspects(mut self) -> Salvage {
        self.suspects = true;
        self
    }

    pub(super) fn mark(&self) -> &super::Mark {
        &self.walker.mark
    }

    fn damage(&mut self, why: &str) -> Result<Damage> {
        let (bad, first_lost) = (self.walker.mark.offset, self.walker.mark.next);
        // Not the frame that does not fit here, else we would stand still.
        let batch = self.walker.next_batch(bad + 1)?;
        let end = batch.map_or(self.walker.window.end(), |b| b.offset);
        match &batch {
            Some(batch) => self.walker.resume(batch),
            None => self.ended = true,
        }
        Ok(Damage {
            range: bad..end,
            first_lost,
            next_whole: batch.map(|b| b.next),
            why: why.to_owned(),
        })
    }

    fn step(&mut self) -> Result<Option<Salvaged>> {
        while !self.ended {
            match self.walker.step()? {
                Step::Record(record) => return Ok(Some(Salvaged::Record(record))),
                Step::Batch(_) => {}
                Step::End | Step::Index => self.ended = true,
                Step::Misfit(why) => {
                    if self.suspects {
                        if let Some(record) = self.walker.behind_frame()? {
                            return Ok(Some(Salvaged::Record(record)));
                        }
                        if let Some(record) = self.walker.suspect()? {
                            return Ok(Some(Salvaged::Suspect(record)));
                        }
                    }
                    return self.damage(why).map(|d| Some(Salvaged::Damage(d)));
                }
            }
        }
        Ok(None)
    }
}

impl Iterator for Salvage {
    type Item = Result<Salvaged>;

    fn next(&mut self) -> Option<Result<Salvaged>> {
        let item = self.step().transpose();
        self.ended |= matches!(item, Some(Err(_)));
        item
    }
}
