//! Copies of blocks and packs: what is wrong in them, and whose mail stands in that.

use std::collections::BTreeMap;

use coldpost_tiers::address::{BlobId, Extent, ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{BlobRow, FrameRow, Row};
use coldpost_tiers::hot::{TableName, key};

use super::copy::Copy;
use super::objects::{Messages, ShardCheck};
use super::pieces::{Source, stored_frames};
use crate::error::Result;

/// Frames that lie together, for which a copy is asked at once.
struct Unit {
    offset: u64,
    frames: Vec<coldpost_tiers::address::FrameRef>,
    /// The messages that need them.
    messages: Messages,
}

impl ShardCheck<'_, '_> {
    /// The file of a block or pack, if there is one and it is whole: one that is being written is nobody's yet.
    pub(super) async fn local_compacted(
        &mut self,
        object: ObjectId,
        messages: &Messages,
    ) -> Result<Option<Copy>> {
        let Some(row) = self.stored_row(&object)? else {
            return Ok(None);
        };
        let (path, source) = match self.begin(object, messages) {
            Some(Ok(begun)) => begun,
            Some(Err(copy)) => return Ok(Some(copy)),
            None => return Ok(None),
        };
        let name = self.bench.relative(&path);
        let mut copy = Copy::default();
        let digest = source.digest().await;
        if digest.as_ref().is_ok_and(|digest| *digest == row.digest) {
            return Ok(Some(copy));
        }
        self.compacted_in(&mut copy, &name, &source, messages, object)
            .await?;
        if copy.findings.is_empty() {
            let what = match digest {
                Ok(_) => "the file is not the one that was written".to_owned(),
                Err(e) => e.to_string(),
            };
            copy.find(&name, 0, what, Messages::new());
        }
        Ok(Some(copy))
    }

    /// What is wrong with the frames of a block or pack.
    pub(super) async fn compacted_in(
        &mut self,
        copy: &mut Copy,
        name: &str,
        source: &Source,
        messages: &Messages,
        object: ObjectId,
    ) -> Result<()> {
        let units = match object.kind {
            ObjectKind::Block => self.frames_of(object, messages)?,
            _ => self.blobs_of(object, messages)?,
        };
        for unit in units {
            if let Err(e) = stored_frames(source, unit.offset, &unit.frames, name).await {
                match e.kind() {
                    coldpost_tiers::Kind::Unavailable if !source.is_local() => {
                        copy.ask_later(&e, messages);
                        return Ok(());
                    }
                    _ => copy.find_error(name, &e, unit.messages),
                }
            }
        }
        Ok(())
    }

    fn frames_of(&self, block: ObjectId, messages: &Messages) -> Result<Vec<Unit>> {
        let mut units: BTreeMap<u32, Unit> = BTreeMap::new();
        let Ok(state) = self.subject.hot.read() else {
            return Ok(Vec::new());
        };
        let prefix = key::object(block);
        state.walk(TableName::Frames, &prefix, &prefix, |k, value| {
            let row = FrameRow::decode("frames", value)?;
            let unit = Unit {
                offset: row.offset,
                frames: vec![row.frame],
                messages: Messages::new(),
            };
            units.insert(key::uid_of(k), unit);
            Ok(true)
        })?;
        drop(state);
        for (message, place) in self.places(&messages.iter().copied().collect::<Vec<_>>(), block)? {
            for extent in &place.address.extents {
                if let Extent::Slice { frame, .. } = extent
                    && let Some(unit) = units.get_mut(frame)
                {
                    unit.messages.insert(message);
                }
            }
        }
        Ok(units.into_values().collect())
    }

    fn blobs_of(&self, pack: ObjectId, messages: &Messages) -> Result<Vec<Unit>> {
        let mut units: BTreeMap<BlobId, Unit> = BTreeMap::new();
        let Ok(state) = self.subject.hot.read() else {
            return Ok(Vec::new());
        };
        state.walk(TableName::Blobs, &[], &[], |_, value| {
            let row = BlobRow::decode("blobs", value)?;
            if row.object == pack {
                let unit = Unit {
                    offset: row.offset,
                    frames: row.record.frames,
                    messages: Messages::new(),
                };
                units.insert(row.record.blob, unit);
            }
            Ok(true)
        })?;
        for (message, place) in self.all_places(messages)? {
            for extent in &place.address.extents {
                if let Extent::Blob { blob, .. } = extent
                    && let Some(unit) = units.get_mut(blob)
                {
                    unit.messages.insert(message);
                }
            }
        }
        Ok(units.into_values().collect())
    }
}
