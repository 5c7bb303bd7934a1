//! Takes the texts out of a message, folded.
//!
//! Promises: the texts are those that a search of the message itself looks through; memory for two pieces, what is larger is spooled.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use coldpost_search::text::{Kind as TextKind, Piece, Pieces};

use super::spool::{Span, Spool};
use crate::error::{Error, Kind, Result};
use crate::mail::part::Part;
use crate::mail::text::{Scope, texts};

/// The texts of one kind of a message.
#[derive(Debug)]
pub(super) enum Text {
    /// In memory.
    Here(String),
    /// In pieces in a spool.
    Spooled(Vec<Span>),
}

/// Where short texts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Into memory.
    InMemory,
    /// Into the spool, like long ones.
    InSpool,
}

/// Takes texts out of one message after the other.
pub(crate) struct Extractor {
    pieces: Pieces,
    dir: PathBuf,
    spool: Option<Spool>,
}

impl Extractor {
    /// With a spool in `dir` once it needs one.
    pub(crate) fn new(dir: &Path) -> Extractor {
        Extractor {
            pieces: Pieces::default(),
            dir: dir.to_owned(),
            spool: None,
        }
    }

    /// The texts of `message`: of its body, and of its header.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses the spool.
    pub(super) fn take(&mut self, message: &[u8], parts: &[Part], keep: Keep) -> Result<[Text; 2]> {
        Ok([
            self.take_scope(message, parts, Scope::Body, keep)?,
            self.take_scope(message, parts, Scope::Header, keep)?,
        ])
    }

    fn take_scope(
        &mut self,
        message: &[u8],
        parts: &[Part],
        scope: Scope,
        keep: Keep,
    ) -> Result<Text> {
        let Extractor { pieces, dir, spool } = self;
        let mut put = |piece: Piece<'_>| match spool {
            Some(spool) => spool.put(piece),
            None => spool.insert(Spool::new(dir)?).put(piece),
        };
        let (mut spans, mut failed, mut here) = (Vec::new(), None, None);
        let mut give = |piece: Piece<'_>| {
            if piece.number.is_none() && keep == Keep::InMemory {
                here = Some(piece.text.to_owned());
            } else if failed.is_none() {
                match put(piece) {
                    Ok(span) => spans.push(span),
                    Err(e) => failed = Some(e),
                }
            }
        };
        // It goes on to its end.
        let _ = texts(message, parts, scope, &mut |piece| {
            pieces.add(piece.text, piece.goes_on, &mut give);
            ControlFlow::Continue(())
        });
        pieces.end(&mut give);
        match (failed, here) {
            (Some(e), _) => Err(e),
            (None, Some(text)) => Ok(Text::Here(text)),
            (None, None) => Ok(Text::Spooled(spans)),
        }
    }

    /// Gives the pieces of a text.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses the spool; those of `each`.
    pub(super) fn give(
        &self,
        text: &Text,
        each: &mut dyn FnMut(Piece<'_>) -> Result<()>,
    ) -> Result<()> {
        match (text, &self.spool) {
            (Text::Here(text), _) => each(Piece {
                text,
                repeats: 0,
                number: None,
            }),
            (Text::Spooled(spans), Some(spool)) => spans
                .iter()
                .try_for_each(|span| spool.get(span, &mut *each)),
            (Text::Spooled(_), None) => {
                let text = "a text that was spooled is asked of who has no spool";
                Err(Error::new(Kind::Internal, text))
            }
        }
    }

    /// Bytes that are spooled.
    pub(super) fn spooled(&self) -> u64 {
        self.spool.as_ref().map_or(0, Spool::bytes)
    }

    /// What was spooled is not needed any more.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.spool.as_mut().map_or(Ok(()), Spool::clear)
    }
}

/// By its kind.
pub(super) fn kind_of(number: usize) -> TextKind {
    TextKind::ALL[number.min(1)]
}
