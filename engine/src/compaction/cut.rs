//! What of a message becomes a blob, and what stays in its block.
//!
//! Promises: a part is taken out only when it was read as base64 in one shape to its last byte; a content is written once in a run, and not at all
//! where the shard has it and it could be read.

use std::io::Read;
use std::ops::Range;

use coldpost_tiers::address::{AccountId, BlobId, Extent, Recode};
use coldpost_tiers::hot::row::{BlobRow, ContentRow, Row};
use coldpost_tiers::hot::{TableName, key};

use super::source::{Decoding, Source, Stopped};
use super::step::{Run, Trouble};
use crate::limits::BLOB_ALONE_MIN;
use crate::mail::{Part, PartKind};
use crate::settings::Dedup;
use crate::shard::random_id;
use crate::view::Message;

/// A stretch of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    /// Goes into the block.
    Plain(Range<u64>),
    /// Is a blob.
    Blob {
        /// In the message.
        range: Range<u64>,
        blob: BlobId,
        recode: Recode,
    },
}

/// The stretches of a message, in order and without holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) stretches: Vec<Stretch>,
    /// Octets of the header, its blank line included.
    pub(super) header: u64,
}

impl Cut {
    /// Bytes of the body that stay in the block.
    pub(super) fn body(&self) -> u64 {
        let plain = self.stretches.iter().map(|stretch| match stretch {
            Stretch::Plain(range) => range.end - range.start,
            Stretch::Blob { .. } => 0,
        });
        plain.sum::<u64>().saturating_sub(self.header)
    }
}

impl Run<'_> {
    /// Reads the message's large attachments, writes those that are new, and says how it is cut.
    pub(super) fn cut(&mut self, message: &Message, source: &Source<'_>) -> Result<Cut, Trouble> {
        let parts = message.row.parts().map_err(Trouble::Message)?;
        let header = parts.first().map_or(0, |root| root.body.min(message.size));
        let mut blobs = already_cut(message);
        for part in &parts {
            if !self.is_candidate(part) {
                continue;
            }
            let is_inside = |s: &Stretch| matches!(s, Stretch::Blob { range, .. } if range.start < part.end && part.body < range.end);
            if blobs.iter().any(is_inside) {
                continue;
            }
            if let Some(stretch) = self.take_out(message, part, source)? {
                blobs.push(stretch);
            }
        }
        let start = |stretch: &Stretch| match stretch {
            Stretch::Plain(range) | Stretch::Blob { range, .. } => range.start,
        };
        blobs.sort_by_key(start);
        let mut cut = Cut {
            header,
            ..Cut::default()
        };
        let mut at = 0;
        for blob in blobs {
            let Stretch::Blob { range, .. } = &blob else {
                continue;
            };
            if range.start > at {
                cut.stretches.push(Stretch::Plain(at..range.start));
            }
            at = range.end;
            cut.stretches.push(blob);
        }
        if at < message.size {
            cut.stretches.push(Stretch::Plain(at..message.size));
        }
        Ok(cut)
    }

    fn is_candidate(&self, part: &Part) -> bool {
        let threshold = self.settings.attachment_threshold.max(1);
        part.kind == PartKind::Leaf
            && part.encoded
            && part.end.saturating_sub(part.body) > threshold
    }

    /// The blob that a part becomes; `None` when it stays encoded.
    fn take_out(
        &mut self,
        message: &Message,
        part: &Part,
        source: &Source<'_>,
    ) -> Result<Option<Stretch>, Trouble> {
        let scope = match self.settings.dedup {
            Dedup::Shard => AccountId(0),
            Dedup::Account => message.account.number,
        };
        let mut decoding = Decoding::new(source, part.body..part.end);
        let mut bytes = Vec::new();
        let read = decoding
            .by_ref()
            .take(BLOB_ALONE_MIN)
            .read_to_end(&mut bytes);
        if read.is_err() {
            return not_cut(decoding.stopped.take().unwrap_or(Stopped::OtherShape));
        }
        let is_small = u64::try_from(bytes.len()).is_ok_and(|n| n < BLOB_ALONE_MIN);
        let blob = if is_small {
            if u64::try_from(bytes.len()).is_ok_and(|n| n < self.settings.attachment_threshold) {
                return Ok(None);
            }
            let content = *blake3::hash(&bytes).as_bytes();
            match self.known(content, scope)? {
                Some(blob) => blob,
                None => self.pack_blob(BlobId(random_id()?), &bytes, scope)?,
            }
        } else {
            // All of it again, into a file of its own: it may be larger than memory.
            drop(bytes);
            let mut again = Decoding::new(source, part.body..part.end);
            let written = match self.write_alone(&mut again) {
                Ok(written) => written,
                Err(e) => return again.stopped.take().map_or(Err(e.into()), not_cut),
            };
            decoding = again;
            match self.known(written.content, scope)? {
                Some(blob) => {
                    self.discard_alone(written.blob);
                    blob
                }
                None => self.keep_alone(written, scope),
            }
        };
        let Some(found) = decoding.found else {
            return Ok(None);
        };
        let range = part.body + found.range.start..part.body + found.range.end;
        self.report.blobs += 1;
        Ok(Some(Stretch::Blob {
            range,
            blob,
            recode: found.shape.recode(),
        }))
    }

    /// A blob that has this content already, and lives.
    fn known(&mut self, content: [u8; 32], scope: AccountId) -> Result<Option<BlobId>, Trouble> {
        if let Some(blob) = self.contents.get(&(content, scope)) {
            self.report.merged += 1;
            return Ok(Some(*blob));
        }
        let state = self.shard.hot.read()?;
        let Some(value) = state.get(TableName::Contents, &key::content(&content, scope))? else {
            return Ok(None);
        };
        let blob = ContentRow::decode("contents", &value)?.blob;
        let Some(value) = state.get(TableName::Blobs, &key::blob(blob))? else {
            return Ok(None);
        };
        let row = BlobRow::decode("blobs", &value)?;
        drop(state);
        // One that cannot be read is no reason to lose this copy too.
        if !row.count.is_live() || !self.reads_as(&row, content) {
            return Ok(None);
        }
        self.contents.insert((content, scope), blob);
        self.report.merged += 1;
        Ok(Some(blob))
    }
}

/// What an earlier compaction took out: it stays as it is.
fn already_cut(message: &Message) -> Vec<Stretch> {
    let mut at = 0;
    let mut blobs = Vec::new();
    for extent in &message.address.extents {
        let range = at..at + extent.raw_len();
        at = range.end;
        if let Extent::Blob { blob, recode, .. } = extent
            && *recode != Recode::Same
        {
            let (blob, recode) = (*blob, *recode);
            blobs.push(Stretch::Blob {
                range,
                blob,
                recode,
            });
        }
    }
    blobs
}

/// A part of another shape stays encoded; that it could not be read is trouble with the message.
fn not_cut(stopped: Stopped) -> Result<Option<Stretch>, Trouble> {
    match stopped {
        Stopped::OtherShape => Ok(None),
        Stopped::Unreadable(e) => Err(Trouble::Message(e)),
    }
}
