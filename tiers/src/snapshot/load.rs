//! Loads the ranges of a snapshot into a new hot tier, and compares what is in it then.

pub use super::range::read_range;

use super::manifest::Manifest;
use super::stream::{self, Item};
use crate::codec::Reader;
use crate::frame::compress_row;
use crate::hot::{CommitKind, HotTier, TableName};
use crate::limits::ROW_MAX;
use crate::{Error, Kind, Result};

/// Fills a new hot tier, range by range.
pub struct Loader<'a> {
    hot: &'a HotTier,
    manifest: &'a Manifest,
    /// Ranges that are in it.
    loaded: usize,
}

impl<'a> Loader<'a> {
    /// Begins with an empty hot tier.
    ///
    /// # Errors
    /// `Invalid`: the snapshot has rows of a table that we do not know.
    pub fn new(hot: &'a HotTier, manifest: &'a Manifest) -> Result<Loader<'a>> {
        if let Some(of) = manifest
            .tables
            .iter()
            .find(|of| TableName::named(&of.table).is_none())
        {
            let text = format!(
                "the snapshot has a table `{}` that is not known; a newer Coldpost wrote it: start that version",
                of.table
            );
            return Err(Error::new(Kind::Invalid, text));
        }
        Ok(Loader {
            hot,
            manifest,
            loaded: 0,
        })
    }

    /// Takes the next range as it lies in the bucket.
    ///
    /// # Errors
    /// As [`read_range`]; `Unavailable` when the disk refuses.
    pub fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let raw = read_range(self.manifest, self.loaded, bytes)?;
        let wrong = |what: String| {
            let name = format!("range {} of the snapshot", self.loaded);
            Error::corrupt(&name, 0, format!("{name}: {what}"))
        };
        self.hot.write(CommitKind::Volatile, |batch| {
            let mut r = Reader::new(&raw);
            let mut table = None;
            while let Some(item) = Item::read(&mut r).map_err(|m| wrong(m.to_string()))? {
                match (item, table) {
                    (Item::Table(name), _) => {
                        let unknown = || wrong(format!("a table `{name}` is not known"));
                        table = Some(TableName::named(name).ok_or_else(unknown)?);
                    }
                    (Item::Row(key, value), Some(table)) => batch.put(table, key, value)?,
                    (Item::Unpacked(key, row), Some(table)) => {
                        if table != TableName::Rows || row.len() > ROW_MAX {
                            return Err(wrong("an unpacked row that none can be".to_owned()));
                        }
                        batch.put(table, key, &compress_row(row))?;
                    }
                    (Item::Row(..) | Item::Unpacked(..), None) => {
                        return Err(wrong("a row stands before its table".to_owned()));
                    }
                }
            }
            Ok(())
        })?;
        self.loaded += 1;
        Ok(())
    }

    /// All ranges were taken: the rows are compared with the manifest and made durable.
    ///
    /// # Errors
    /// `Corrupt` when they are not those that were packed; `Unavailable` when the disk refuses.
    pub fn finish(self) -> Result<()> {
        let (rows, digest) = stream::digest(&self.hot.read()?, self.manifest.form)?;
        if (self.loaded, rows, digest)
            != (
                self.manifest.ranges.len(),
                self.manifest.rows,
                self.manifest.digest,
            )
        {
            let text = format!(
                "the snapshot gives {rows} rows that are not those which were packed ({} rows)",
                self.manifest.rows
            );
            return Err(Error::corrupt("snapshot", 0, text));
        }
        self.hot.write(CommitKind::Durable, |_| Ok(()))
    }
}
