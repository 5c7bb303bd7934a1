//! Looks at every byte of a sealed segment: records, chain, index against records and mail, footer. Goes on past damage.

use std::collections::VecDeque;

use super::{Damage, IndexEntry, Record, Salvage, Salvaged, SealedSegment, size};
use crate::address::Position;
use crate::{Kind, Result, frame};

/// What a look at everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Whole records.
    pub records: u64,
    /// Whole messages that the index names.
    pub messages: u64,
    /// Everything else.
    pub damage: Vec<Damage>,
}

impl SealedSegment {
    /// Checks everything that the file alone can tell.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses. Damage is no error here but what was asked for.
    pub fn verify(&self) -> Result<Verified> {
        let mut found = Verified::default();
        let mut entries: VecDeque<IndexEntry> = match self.index() {
            Ok(entries) => entries.into(),
            Err(e) => {
                let Kind::Corrupt { offset, .. } = e.kind() else {
                    return Err(e);
                };
                let range = *offset..self.length();
                found
                    .damage
                    .push(self.damaged(range, self.footer().last, e.to_string()));
                VecDeque::new()
            }
        };
        let mut salvage = Salvage::new(self.records()?);
        for item in salvage.by_ref() {
            match item? {
                Salvaged::Damage(mut damage) => {
                    let after = Position(self.footer().last.0 + 1);
                    damage.next_whole = damage.next_whole.or(Some(after));
                    found.damage.push(damage);
                }
                // Not asked for.
                Salvaged::Suspect(_) => {}
                Salvaged::Record(record) => {
                    found.records += 1;
                    // Entries of records that are lost are lost with them.
                    while entries
                        .front()
                        .is_some_and(|e| e.position < record.at.position)
                    {
                        entries.pop_front();
                    }
                    while let Some(entry) =
                        entries.pop_front_if(|e| e.position == record.at.position)
                    {
                        match message(&entry, &record) {
                            Ok(()) => found.messages += 1,
                            Err(why) => found.damage.push(self.damaged(
                                entry.offset..entry.end(),
                                entry.position,
                                why,
                            )),
                        }
                    }
                }
            }
        }
        let end = *salvage.mark();
        if found.damage.is_empty()
            && super::Footer::new(self.footer().first, &end) != *self.footer()
        {
            let why = "the footer does not say what the records say".to_owned();
            found.damage.push(self.damaged(
                self.footer().index_offset..self.length(),
                self.footer().last,
                why,
            ));
        }
        Ok(found)
    }

    fn damaged(&self, range: std::ops::Range<u64>, position: Position, why: String) -> Damage {
        Damage {
            range,
            first_lost: position,
            next_whole: Some(Position(position.0.saturating_add(1))),
            why,
        }
    }
}

/// Whether the message stands in the record as the index says. What is in blobs is not looked at.
fn message(entry: &IndexEntry, record: &Record) -> Result<(), String> {
    let outside = || {
        format!(
            "the index places message {} outside its record",
            entry.number
        )
    };
    let from = entry
        .offset
        .checked_sub(record.at.body_offset)
        .ok_or_else(outside)?;
    let to = from
        .checked_add(entry.stored)
        .filter(|to| *to <= size(record.body.len()))
        .ok_or_else(outside)?;
    let bounds = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    let stored = bounds
        .and_then(|(from, to)| record.body.get(from..to))
        .ok_or_else(outside)?;
    let (mut raw, mut crc) = (0, 0);
    frame::decompress_each(stored, "message", entry.offset, |bytes| {
        raw += size(bytes.len());
        crc = crc32c::crc32c_append(crc, bytes);
    })
    .map_err(|e| e.to_string())?;
    if entry.raw_here() != Some(raw) {
        return Err(format!(
            "message {} has {raw} bytes here, the index says otherwise",
            entry.number
        ));
    }
    if entry.gaps.is_empty() && crc != entry.crc {
        return Err(format!(
            "message {} has checksum {crc:08x}, the index says {:08x}",
            entry.number, entry.crc
        ));
    }
    Ok(())
}
