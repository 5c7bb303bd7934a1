//! Octets of a message on their way into a literal.
//!
//! Promises: a literal's length is written only after its first piece is in hand and every object that holds some of it answered, so a
//! body that is away costs its item and nothing else. Never: a NIL or an empty literal in place of octets that could not be read.

use std::io;

use bytes::Bytes;
use coldpost_engine::Engine;
use coldpost_engine::mail::Section;
use coldpost_engine::view::{Decoded, DecodedReader, Message, SectionReader};

use crate::imap::ast::{FetchItem, Partial};
use crate::imap::completion::Outcome;
use crate::imap::out::Out;
use crate::imap::reply::FetchLine;

/// A section whose first piece was asked for.
pub(crate) enum Octets {
    /// The part is not there: NIL (RFC 3501, 7.4.2).
    Absent,
    /// Its transfer encoding is not known, so it cannot be decoded (RFC 3516, 4.3): nothing is said of it.
    Unknown,
    /// It cannot be read now: nothing is said of it.
    Away,
    /// It is there, and asked for again when its turn comes: enough is in hand for this message.
    Later,
    /// It can be sent.
    Here {
        /// Gives what follows the first piece.
        reader: Reader,
        /// Octets in all.
        length: u64,
        /// The first piece; empty when the section is.
        first: Bytes,
    },
}

/// What gives the octets.
pub(crate) enum Reader {
    /// A section as it came.
    Raw(Box<SectionReader>),
    /// A part decoded.
    Decoded(Box<DecodedReader>),
}

impl Reader {
    async fn next(&mut self) -> coldpost_engine::Result<Option<Bytes>> {
        match self {
            Reader::Raw(reader) => reader.next().await,
            Reader::Decoded(reader) => reader.next().await,
        }
    }
}

impl Octets {
    /// Asks for what `item` names: `section` of `message`.
    pub(crate) async fn open(
        engine: &Engine,
        message: &Message,
        item: &FetchItem,
        section: &Section,
        partial: Option<Partial>,
    ) -> Octets {
        let range = partial.map(|partial| (partial.origin, partial.count));
        let opened = match item {
            FetchItem::Binary(_) | FetchItem::BinarySize(_) => {
                Octets::decoded(engine, message, section, range).await
            }
            _ => Octets::raw(engine, message, section, range).await,
        };
        match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(
                    message = message.email_id.text(),
                    error = &error as &dyn std::error::Error,
                    "a body is not sent: it cannot be read now"
                );
                Octets::Away
            }
        }
    }

    async fn raw(
        engine: &Engine,
        message: &Message,
        section: &Section,
        range: Option<(u64, u64)>,
    ) -> coldpost_engine::Result<Octets> {
        let Some(mut reader) = engine.section(message, section, range).await? else {
            return Ok(Octets::Absent);
        };
        reader.prove().await?;
        Ok(Octets::Here {
            length: reader.len(),
            first: reader.next().await?.unwrap_or_default(),
            reader: Reader::Raw(Box::new(reader)),
        })
    }

    async fn decoded(
        engine: &Engine,
        message: &Message,
        section: &Section,
        range: Option<(u64, u64)>,
    ) -> coldpost_engine::Result<Octets> {
        let mut reader = match engine.decoded(message, &section.path, range).await? {
            Decoded::Absent => return Ok(Octets::Absent),
            Decoded::UnknownEncoding => return Ok(Octets::Unknown),
            Decoded::Here(reader) => reader,
        };
        Ok(Octets::Here {
            length: reader.len(),
            first: reader.next().await?.unwrap_or_default(),
            reader: Reader::Decoded(reader),
        })
    }

    /// Whether nothing can be said of it.
    pub(crate) fn is_unsaid(&self) -> bool {
        matches!(self, Octets::Away | Octets::Unknown)
    }

    /// Bytes of it that are in memory.
    pub(crate) fn in_hand(&self) -> usize {
        match self {
            Octets::Here { first, .. } => first.len(),
            Octets::Absent | Octets::Unknown | Octets::Away | Octets::Later => 0,
        }
    }

    /// Lets go of what is in hand.
    pub(crate) fn put_off(self) -> Octets {
        match self {
            Octets::Here { .. } => Octets::Later,
            other => other,
        }
    }

    /// Sends it under the name of `item`, as a literal or NIL.
    ///
    /// # Errors
    /// When the rest cannot be read or has another length than was announced, only closing the connection is right.
    pub(crate) async fn send(
        self,
        item: &FetchItem,
        line: &mut FetchLine,
        out: &mut Out<'_>,
    ) -> Outcome<()> {
        let (mut reader, length, first) = match self {
            Octets::Here {
                reader,
                length,
                first,
            } => (reader, length, first),
            Octets::Absent => {
                match item {
                    FetchItem::BinarySize(_) => line.binary_size(out.buffer(), item, 0),
                    _ => line.nil(out.buffer(), item),
                }
                return Ok(());
            }
            Octets::Unknown | Octets::Away | Octets::Later => return Ok(()),
        };
        if matches!(item, FetchItem::BinarySize(_)) {
            line.binary_size(out.buffer(), item, length);
            return Ok(());
        }
        let holds_nul = matches!(&reader, Reader::Decoded(reader) if reader.has_nul());
        if holds_nul {
            line.literal8(out.buffer(), item, length);
        } else {
            line.literal(out.buffer(), item, length);
        }
        let mut sent = u64::try_from(first.len()).unwrap_or(u64::MAX);
        send_octets(&first, holds_nul, out).await?;
        while sent < length {
            let piece = match reader.next().await {
                Ok(Some(piece)) if !piece.is_empty() => piece,
                Ok(_) => return Err(io::Error::other("a section ended before its length").into()),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a body broke off in the middle"
                    );
                    return Err(io::Error::other("a body broke off in the middle").into());
                }
            };
            sent = sent.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            if sent > length {
                return Err(io::Error::other("a section is longer than its length").into());
            }
            send_octets(&piece, holds_nul, out).await?;
        }
        Ok(())
    }
}

/// Octets of a literal, or of a literal8 where there is a NUL.
async fn send_octets(octets: &[u8], holds_nul: bool, out: &mut Out<'_>) -> io::Result<()> {
    if holds_nul {
        out.binary(octets).await
    } else {
        out.body(octets).await
    }
}
