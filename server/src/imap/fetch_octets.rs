//! Octets of a message on their way into a literal.
//!
//! Promises: a literal's length is written only after its first piece is in hand and every object that holds some of it answered, so a
//! body that is away costs its item and nothing else. Never: a NIL or an empty literal in place of octets that could not be read.

use std::io;

use bytes::Bytes;
use coldpost_engine::Engine;
use coldpost_engine::mail::Section;
use coldpost_engine::view::{Message, SectionReader};

use crate::imap::ast::{FetchItem, Partial};
use crate::imap::completion::Outcome;
use crate::imap::out::Out;
use crate::imap::reply::FetchLine;

/// A section whose first piece was asked for.
pub(crate) enum Octets {
    /// The part is not there: NIL (RFC 3501, 7.4.2).
    Absent,
    /// It cannot be read now: nothing is said of it.
    Away,
    /// It is there, and asked for again when its turn comes: enough is in hand for this message.
    Later,
    /// It can be sent.
    Here {
        /// Gives what follows the first piece.
        reader: Box<SectionReader>,
        /// Octets in all.
        length: u64,
        /// The first piece; empty when the section is.
        first: Bytes,
    },
}

impl Octets {
    /// Asks for `section` of `message`.
    pub(crate) async fn open(
        engine: &Engine,
        message: &Message,
        section: &Section,
        partial: Option<Partial>,
    ) -> Octets {
        let range = partial.map(|partial| (partial.origin, partial.count));
        let opened = match engine.section(message, section, range).await {
            Ok(None) => return Octets::Absent,
            Ok(Some(mut reader)) => {
                let length = reader.len();
                let first = match reader.prove().await {
                    Ok(()) => reader.next().await,
                    Err(error) => Err(error),
                };
                first.map(|first| (reader, length, first.unwrap_or_default()))
            }
            Err(error) => Err(error),
        };
        match opened {
            Ok((reader, length, first)) => Octets::Here {
                reader: Box::new(reader),
                length,
                first,
            },
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

    /// Bytes of it that are in memory.
    pub(crate) fn in_hand(&self) -> usize {
        match self {
            Octets::Here { first, .. } => first.len(),
            Octets::Absent | Octets::Away | Octets::Later => 0,
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
                line.nil(out.buffer(), item);
                return Ok(());
            }
            Octets::Away | Octets::Later => return Ok(()),
        };
        line.literal(out.buffer(), item, length);
        let mut sent = u64::try_from(first.len()).unwrap_or(u64::MAX);
        out.body(&first).await?;
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
            out.body(&piece).await?;
        }
        Ok(())
    }
}
