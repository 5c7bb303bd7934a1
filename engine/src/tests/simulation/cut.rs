//! What of a message becomes a blob and what stays in its block, by the real reader of base64; the proof that it comes out as it went in.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use coldpost_tiers::address::{AccountId, Address, BlobId, Extent, ObjectId, Recode};
use coldpost_tiers::hot::row::{ContentRow, FrameRow, Row};
use coldpost_tiers::hot::{TableName, key};
use coldpost_tiers::planted::{Bug, is_planted};

use super::compaction::{Item, Run, Waiting};
use super::mail::{ALONE_MIN, THRESHOLD};
use super::store::Held;
use super::user::{frame, record};
use super::world::{Unread, World, recoded};
use crate::mail::base64_text::{Found, Recogniser};
use crate::op::{MovedMessage, NewBlob, Relocate};

/// The whole shard.
const SCOPE: AccountId = AccountId(0);

/// A stretch of a message: of its frames, or a blob.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    range: Range<u64>,
    blob: Option<(BlobId, Recode)>,
}

/// How a message is cut: stretches without holes.
#[derive(Debug)]
pub(super) struct Cut {
    header: u64,
    stretches: Vec<Stretch>,
}

/// A message that was written.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    pub(super) item: Item,
    pub(super) extents: Vec<Extent>,
}

fn piece(raw: &[u8], range: &Range<u64>) -> Vec<u8> {
    let at = |n: u64| usize::try_from(n).unwrap();
    raw[at(range.start)..at(range.end)].to_vec()
}

/// What a part decodes to, when it can be written again.
fn decode(text: &[u8]) -> Option<(Vec<u8>, Found)> {
    let mut reader = Recogniser::default();
    let mut bytes = reader.push(text)?;
    let found = reader.finish()?;
    bytes.extend_from_slice(&found.rest);
    Some((bytes, found))
}

/// Rows of frames that lie one after the other.
pub(super) fn frame_rows(frames: &[Vec<u8>]) -> Vec<FrameRow> {
    let mut offset = 100;
    let row = |bytes: &Vec<u8>| {
        let row = FrameRow {
            offset,
            frame: frame(bytes),
        };
        offset += bytes.len() as u64;
        row
    };
    frames.iter().map(row).collect()
}

impl World<'_> {
    pub(super) fn cut(
        &mut self,
        run: &mut Run,
        item: &Item,
        address: &Address,
        raw: &[u8],
    ) -> Result<Cut, Unread> {
        let mail = &self.mails[self.messages[&item.message]];
        let (header, part) = (mail.header, mail.part.clone());
        let size = raw.len() as u64;
        let taken = match already_cut(address) {
            Some(stretch) => Some(stretch),
            None if part.end - part.start > THRESHOLD => self.take_out(run, raw, &part)?,
            None => None,
        };
        let mut stretches = Vec::new();
        let mut at = 0;
        if let Some(taken) = taken {
            let plain = Stretch {
                range: 0..taken.range.start,
                blob: None,
            };
            at = taken.range.end;
            stretches.extend([plain, taken]);
        }
        stretches.push(Stretch {
            range: at..size,
            blob: None,
        });
        Ok(Cut { header, stretches })
    }

    /// The blob that a part becomes; `None` when it stays encoded.
    fn take_out(
        &mut self,
        run: &mut Run,
        raw: &[u8],
        part: &Range<u64>,
    ) -> Result<Option<Stretch>, Unread> {
        let Some((bytes, found)) = decode(&piece(raw, part)) else {
            return Ok(None);
        };
        let content = *blake3::hash(&bytes).as_bytes();
        let blob = match self.known(run, content)? {
            Some(blob) => blob,
            None => self.write_blob(run, bytes),
        };
        let recode = found.shape.recode();
        run.cuts.entry(blob).or_insert(recode);
        run.contents.insert(content, blob);
        let range = part.start + found.range.start..part.start + found.range.end;
        Ok(Some(Stretch {
            range,
            blob: Some((blob, recode)),
        }))
    }

    /// A blob that has this content already, lives and can be read.
    fn known(&mut self, run: &Run, content: [u8; 32]) -> Result<Option<BlobId>, Unread> {
        if let Some(blob) = run.contents.get(&content) {
            return Ok(Some(*blob));
        }
        let row = self
            .rows
            .state()
            .get(TableName::Contents, &key::content(&content, SCOPE));
        let Some(value) = row.unwrap() else {
            return Ok(None);
        };
        let blob = ContentRow::decode("contents", &value).unwrap().blob;
        let Some(row) = self.rows.blob(blob).filter(|row| row.count.is_live()) else {
            return Ok(None);
        };
        match self.blob_bytes(row.object, row.offset) {
            Ok(bytes) if *blake3::hash(&bytes).as_bytes() == content => Ok(Some(blob)),
            Ok(_) => Err(Unread::Wrong(format!("{blob:?} has another content"))),
            Err(Unread::Away) => Ok(None),
            Err(wrong) => Err(wrong),
        }
    }

    fn write_blob(&mut self, run: &mut Run, bytes: Vec<u8>) -> BlobId {
        let blob = BlobId(self.new_id());
        let record = record(blob, &bytes);
        let (object, offset) = if bytes.len() < ALONE_MIN {
            self.put_in_pack(run, bytes)
        } else {
            let object = ObjectId::blob(blob);
            let held = Held::Blobs(Rc::new(BTreeMap::from([(0, bytes)])));
            self.disk.insert(object, held);
            run.alone.push(object);
            (object, 0)
        };
        let new = NewBlob {
            record,
            object,
            offset,
            scope: SCOPE,
        };
        run.fresh.insert(blob, new);
        blob
    }

    /// What is to be relocated: messages that come out of the files as they went in, and those that went meanwhile, which apply leaves.
    pub(super) fn prove(&mut self, run: &mut Run, block: ObjectId) -> Result<Vec<Moved>, Unread> {
        let (mut proved, mut is_wanted) = (Vec::new(), false);
        for mut moved in std::mem::take(&mut run.moved) {
            let Some(place) = self.still(&moved.item) else {
                proved.push(moved);
                continue;
            };
            let source = match self.read(&place.address) {
                Ok(source) => source,
                Err(Unread::Away) => {
                    moved.item.from = (block, 0);
                    proved.push(moved);
                    continue;
                }
                Err(wrong) => return Err(wrong),
            };
            if self.rebuild(run, &place.address, (block, &moved), &source)? != source {
                let text = format!("{:?} does not come out as it went in", moved.item);
                return Err(Unread::Wrong(text));
            }
            is_wanted = true;
            proved.push(moved);
        }
        if !is_wanted {
            proved.clear();
        }
        Ok(proved)
    }

    fn rebuild(
        &mut self,
        run: &Run,
        from: &Address,
        (block, moved): (ObjectId, &Moved),
        source: &[u8],
    ) -> Result<Vec<u8>, Unread> {
        let mut raw = Vec::new();
        let Held::Block(frames) = self.get(block)? else {
            return Ok(raw);
        };
        for extent in &moved.extents {
            let at = raw.len() as u64;
            match extent {
                Extent::Slice {
                    frame,
                    skip,
                    length,
                } => {
                    let from = u64::from(*skip);
                    let range = from..from + u64::from(*length);
                    raw.extend(piece(&frames[*frame as usize], &range));
                }
                Extent::Blob {
                    blob,
                    length,
                    recode,
                    ..
                } => match run.fresh.get(blob) {
                    Some(new) => {
                        let bytes = self.blob_bytes(new.object, new.offset)?;
                        raw.extend(recoded(bytes, *length, *recode).unwrap_or_default());
                    }
                    // It was read before; the source says that it has this content, in this shape.
                    None => {
                        let text = piece(source, &(at..at + length));
                        let is_carried = from.extents.contains(extent);
                        let is_same = is_carried
                            || decode(&text).is_some_and(|(bytes, found)| {
                                let content = *blake3::hash(&bytes).as_bytes();
                                let known = run.contents.get(&content);
                                known.is_none_or(|known| known == blob)
                                    && found.shape.recode() == *recode
                            });
                        raw.extend(if is_same { text } else { Vec::new() });
                    }
                },
                Extent::Frame(_) => {}
            }
        }
        Ok(raw)
    }
}

/// What an earlier compaction took out.
fn already_cut(address: &Address) -> Option<Stretch> {
    let mut at = 0;
    for extent in &address.extents {
        let range = at..at + extent.raw_len();
        at = range.end;
        if let Extent::Blob { blob, recode, .. } = extent
            && *recode != Recode::Same
        {
            return Some(Stretch {
                range,
                blob: Some((*blob, *recode)),
            });
        }
    }
    None
}

impl Waiting {
    /// Writes its header and body behind those of others, and says where.
    pub(super) fn lay(
        &self,
        first: u32,
        headers: &mut Vec<u8>,
        bodies: &mut Vec<u8>,
    ) -> Vec<Extent> {
        let mut extents = Vec::new();
        let slice = |range: Range<u64>, frame: u32, into: &mut Vec<u8>| {
            if range.is_empty() {
                return None;
            }
            let bytes = piece(&self.raw, &range);
            let slice = Extent::Slice {
                frame,
                skip: u32::try_from(into.len()).unwrap(),
                length: u32::try_from(bytes.len()).unwrap(),
            };
            into.extend(bytes);
            Some(slice)
        };
        let header = self.cut.header;
        for Stretch { range, blob } in &self.cut.stretches {
            match blob {
                None => {
                    let within = range.start.min(header)..range.end.min(header);
                    extents.extend(slice(within, first, headers));
                    let behind = range.start.max(header)..range.end.max(header);
                    extents.extend(slice(behind, first + 1, bodies));
                }
                Some((blob, recode)) => extents.push(Extent::Blob {
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

impl Run {
    /// The op for some messages, with the frames and new blobs that they are the first to name.
    pub(super) fn relocate(
        &mut self,
        block: ObjectId,
        rows: &[FrameRow],
        moved: &[Moved],
    ) -> Relocate {
        let mut op = Relocate {
            block: Some(block),
            ..Relocate::default()
        };
        for moved in moved {
            let mut extents = moved.extents.clone();
            for extent in &mut extents {
                match extent {
                    Extent::Slice { frame, .. } => {
                        let named = op.frames.iter().any(|(number, _)| number == frame);
                        if !named {
                            op.frames.push((*frame, rows[*frame as usize]));
                        }
                    }
                    Extent::Blob { blob, recode, .. } => {
                        op.blobs.extend(self.fresh.remove(blob));
                        if is_planted(Bug::CutOfAnother) {
                            *recode = *self.cuts.get(blob).unwrap_or(recode);
                        }
                    }
                    Extent::Frame(_) => {}
                }
            }
            op.messages.push(MovedMessage {
                account: moved.item.account,
                message: moved.item.message,
                from: moved.item.from,
                extents,
            });
        }
        op
    }
}
