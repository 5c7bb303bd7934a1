//! What local disk has of a journal whose hot tier is missing, and whether a snapshot shows a moment of it.

use coldpost_tiers::segment::{FileState, SealedSegment, SegmentReader};
use coldpost_tiers::snapshot::Manifest;

use crate::error::{Error, Kind, Result};
use crate::ids::Position;
use crate::journal::embedded::{LocalSegment, local_segments};
use crate::shard::OpenShard;

/// What local disk has of the journal.
pub(super) struct Journal {
    pub(super) files: Vec<LocalSegment>,
    /// The last entry that is sealed.
    pub(super) end: Position,
    /// Every entry from the first on is in one of the files.
    pub(super) is_whole: bool,
}

impl Journal {
    pub(super) fn look(settings: &OpenShard) -> Result<Journal> {
        let disk = &*settings.disk;
        let files = local_segments(disk, &settings.dir.join("journal"))?;
        let mut next = Position(1);
        let mut is_whole = !files.is_empty();
        for file in &files {
            is_whole &= file.first == next;
            if file.state == FileState::Open {
                next = file.first;
                continue;
            }
            // One that cannot be read is the journal's own trouble; for us it is not there.
            match SealedSegment::open(disk, &file.path) {
                Ok(sealed) => next = Position(sealed.footer().last.0 + 1),
                Err(_) => is_whole = false,
            }
        }
        Ok(Journal {
            files,
            end: Position(next.0.saturating_sub(1)),
            is_whole,
        })
    }

    pub(super) fn begins_at_one(&self) -> bool {
        self.files.first().is_some_and(|f| f.first == Position(1))
    }

    /// Whether a manifest shows a moment of this journal, as far as local disk has it.
    pub(super) fn has(&self, settings: &OpenShard, manifest: &Manifest) -> Result<()> {
        let moment = &manifest.moment;
        let other = |why: String| Err(Error::new(Kind::Conflict, why));
        if moment.lineage.epoch > settings.lineage.epoch {
            return other(format!("it is of epoch {}", moment.lineage.epoch.0));
        }
        if moment.position > self.end {
            return other(format!(
                "it shows entry {}, and the sealed segments end at {}",
                moment.position.0, self.end.0
            ));
        }
        let behind = Position(moment.position.0 + 1);
        if let Some(file) = self.files.iter().find(|f| f.first == behind)
            && let Ok(reader) = SegmentReader::open(&*settings.disk, &file.path)
            && reader.header().chain != moment.chain
        {
            return other("the entry behind it follows another one".to_owned());
        }
        let holds = |f: &&LocalSegment| f.first <= moment.position && f.state == FileState::Sealed;
        if let Some(file) = self.files.iter().rfind(holds)
            && let Ok(sealed) = SealedSegment::open(&*settings.disk, &file.path)
            && sealed.footer().last >= moment.position
        {
            let footer = sealed.footer();
            if (footer.last, footer.chain) != (moment.position, moment.chain)
                || sealed.header().epoch != moment.lineage.epoch
            {
                return other("its entry is another one in the journal".to_owned());
            }
        }
        Ok(())
    }
}
