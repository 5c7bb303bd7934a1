//! Makes files of texts, and has them count.
//!
//! Promises: a file counts only when it is whole and synced. A crash leaves: files that nobody names.

use std::collections::BTreeMap;
use std::sync::Arc;

use coldpost_search::text::{Key, Made, NewFile, Rect, RunWriter, Written};
use coldpost_tiers::disk::failed;

use super::extract::{Extractor, kind_of};
use super::file::{self, TextFile};
use super::manifest::Named;
use super::waiting::MessageText;
use super::{RULES, TextStore};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::metrics;

impl TextStore {
    /// Writes what waits into a file, if there is anything; then it counts.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses: it goes on waiting.
    pub(crate) fn write_waiting(&self, extractor: &mut Extractor) -> Result<()> {
        let (waiting, from, to) = {
            let state = self.state();
            if state.waiting.is_empty() {
                return Ok(());
            }
            (state.waiting.all(), state.followed, state.waiting.to())
        };
        let files = match waiting.is_empty() {
            true => Vec::new(),
            false => self.write(Rect::all(from, to), to, &mut |writer| {
                put_all(&waiting, extractor, writer)
            })?,
        };
        let mut state = self.change();
        state.files.extend(files);
        state.followed = to;
        state.waiting.begin_at(to);
        self.save(&state)?;
        drop(state);
        extractor.clear()
    }

    /// Writes what waits before a stop, so that the next start need not take it out of mail again. Nobody follows any more.
    pub(crate) fn close(&self) {
        if !self.state().waiting.is_here() {
            return;
        }
        if let Err(e) = self.write_waiting(&mut Extractor::new(&self.dir)) {
            tracing::warn!("text is taken out of mail again at the next start: {e}");
        }
    }

    /// Writes files about `rect` with what `put` puts, of a state at `position`.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses, and what `put` gives; nothing is left then.
    pub(super) fn write(
        &self,
        rect: Rect,
        position: u64,
        put: &mut dyn FnMut(&mut RunWriter<'_>) -> Result<()>,
    ) -> Result<Vec<Arc<TextFile>>> {
        let mut made = Vec::new();
        let written = self.write_files(rect, position, put, &mut made);
        let opened = written.and_then(|written| {
            let dir = &self.dir;
            self.disk
                .sync_dir(dir)
                .map_err(|e| failed("sync", dir, e))?;
            let opened = written.iter().map(|file| self.opened(file));
            opened.collect::<Result<Vec<_>>>()
        });
        if opened.is_err() {
            for id in made {
                let path = self.dir.join(format!("{:032x}", u128::from_be_bytes(id)));
                // The next start removes it.
                let _ = self.disk.remove(&path);
            }
        }
        opened
    }

    fn write_files(
        &self,
        rect: Rect,
        position: u64,
        put: &mut dyn FnMut(&mut RunWriter<'_>) -> Result<()>,
        made: &mut Vec<[u8; 16]>,
    ) -> Result<Vec<Written>> {
        let mut open = || -> std::io::Result<NewFile> {
            let new = file::make(&*self.disk, &self.dir, self.lineage)?;
            made.push(new.id);
            Ok(new)
        };
        let how = Made {
            rules: RULES,
            epoch: self.lineage.epoch.0,
            position,
            time: clock::now_s(),
        };
        let mut writer = RunWriter::new(rect, how, &mut open).map_err(of_search)?;
        put(&mut writer)?;
        let written = writer.end().map_err(of_search)?;
        metrics::text_written(written.iter().map(|file| file.bytes).sum());
        Ok(written)
    }

    fn opened(&self, written: &Written) -> Result<Arc<TextFile>> {
        let named = Named {
            id: written.id,
            bytes: written.bytes,
            rect: written.rect,
        };
        let opened = TextFile::open(&*self.disk, &self.dir, self.lineage, named, &self.kept)?;
        Ok(Arc::new(opened))
    }
}

/// Puts texts in their order.
pub(super) fn put_all(
    texts: &BTreeMap<Key, Arc<MessageText>>,
    extractor: &Extractor,
    writer: &mut RunWriter<'_>,
) -> Result<()> {
    for (key, text) in texts {
        for (number, text) in (0..).zip(&text.0) {
            extractor.give(text, &mut |piece| {
                let added = writer.add(key.account, key.id, kind_of(number), piece);
                added.map_err(of_search)
            })?;
        }
    }
    Ok(())
}

/// An error of the text store as one of ours.
pub(super) fn of_search(error: coldpost_search::Error) -> Error {
    let kind = match error {
        coldpost_search::Error::Corrupt { .. } => Kind::Corrupt,
        coldpost_search::Error::Late => Kind::Limit,
        coldpost_search::Error::Io { .. } => Kind::Unavailable,
    };
    Error::with_source(kind, format!("the text store: {error}"), error)
}
