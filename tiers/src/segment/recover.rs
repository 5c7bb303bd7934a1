//! After a crash: which bytes of an open segment were promised, and where the rest is cut.
//!
//! Promises: nothing below the durable offset is ever cut. What is kept beyond it is written anew and synced before anybody sees it: an
//! earlier sync may have failed and left those bytes clean in the page cache, where another sync does not find them.
//! A crash in here leaves the same file, one that is cut already, or a copy beside it: recovering again gives the same.

use std::path::Path;
use std::sync::Arc;

use super::copy::{self, directory};
use super::walk::{Step, Walker, Window};
use super::{
    Damage, FileState, Footer, Lineage, Mark, OpenSegment, SealedSegment, Seeds, file_path, footer,
    size,
};
use crate::address::{ObjectId, Position};
use crate::disk::{self, Disk, DiskFile};
use crate::{Error, Kind, Result};

/// An open segment after a crash.
#[derive(Debug)]
pub struct Recovered {
    /// Ready for the next batch; everything in it is durable.
    pub open: OpenSegment,
    /// Bytes that were cut off: never promised.
    pub torn: u64,
    /// Bytes by which the hint lies beyond the end: promised bytes are gone. The caller keeps the shard down until a new epoch is opened, else
    /// positions would be given twice.
    pub missing: u64,
}

/// Recovers the open segment at `path`, which `whose` journal has at position `first`. `hint` is the highest offset in this file
/// that the hot tier's last durable commit or the bucket's last tail names, 0 when neither does.
///
/// `None`: the file was being made, holds nothing promised and no whole header; remove it and make it anew. An index without a whole
/// footer is cut, to be written again; ask [`finish_seal`] before.
///
/// # Errors
/// `Corrupt` with the exact range, nothing cut, when bytes below the durable offset are bad (put the right bytes there and recover again); `Conflict`
/// when it is another segment; `Invalid` for another version; `Unavailable`, for good, when the disk refuses.
pub fn recover(
    disk: Arc<dyn Disk>,
    path: &Path,
    whose: Lineage,
    first: Position,
    hint: u64,
) -> Result<Option<Recovered>> {
    copy::remove_stale(&*disk, path)?;
    let file = disk.open(path).map_err(|e| disk::failed("open", path, e))?;
    let mut window = Window::new(Arc::clone(&file), path)?;
    let length = window.end();
    let (header, header_length) = match window.header() {
        Ok(found) => found,
        Err(e) if matches!(e.kind(), Kind::Corrupt { .. }) => {
            return unborn(window, whose, first, hint, e);
        }
        Err(e) => return Err(e),
    };
    let id = ObjectId::segment(whose.epoch, first);
    header.expect(whose.store, whose.shard, id, window.name())?;
    let sealed_to =
        footer_at_end(&*file, length, &Seeds::of(&header)).map_or(0, |f| f.index_offset);
    let walker = Walker::new(window, &header, header_length);
    let (mark, durable) = promised(walker, hint.min(length).max(sealed_to))?;
    let torn = length - mark.offset;
    let file = if mark.offset > durable {
        copy::renew(&*disk, path, &file, mark.offset, &mark)?
    } else {
        if torn > 0 {
            let cut = file.set_len(mark.offset).and_then(|()| file.sync_data());
            cut.map_err(|e| disk::failed("cut", path, e))?;
        }
        file
    };
    let missing = hint.saturating_sub(mark.offset);
    let open = OpenSegment::at(disk, path.to_owned(), file, header, mark);
    Ok(Some(Recovered {
        open,
        torn,
        missing,
    }))
}

/// Gives an `.open` file that ends in a whole footer, and is whole, its final name; `None` when it is not: recover it then.
///
/// # Errors
/// `Conflict`, `Invalid`, `Unavailable` as [`recover`].
pub fn finish_seal(
    disk: &dyn Disk,
    path: &Path,
    whose: Lineage,
    first: Position,
) -> Result<Option<SealedSegment>> {
    let file = disk.open(path).map_err(|e| disk::failed("open", path, e))?;
    let whole = || {
        let sealed = SealedSegment::of(Arc::clone(&file), path)?;
        sealed.header().expect(
            whose.store,
            whose.shard,
            ObjectId::segment(whose.epoch, first),
            &path.display().to_string(),
        )?;
        sealed.index()?;
        let mut records = sealed.records()?;
        while records.next_record()?.is_some() {}
        Ok((*records.mark(), sealed))
    };
    let (mark, sealed) = match whole() {
        Ok(found) => found,
        Err(e) if matches!(Error::kind(&e), Kind::Corrupt { .. }) => return Ok(None),
        Err(e) => return Err(e),
    };
    if Footer::new(first, &mark) != *sealed.footer() {
        return Ok(None);
    }
    let copy = copy::renew(disk, path, &file, sealed.length(), &mark)?;
    let dir = directory(path);
    let name = file_path(dir, whose.epoch, first, FileState::Sealed);
    let named = disk.rename(path, &name).and_then(|()| disk.sync_dir(dir));
    named.map_err(|e| disk::failed("rename", path, e))?;
    SealedSegment::of(copy, &name).map(Some)
}

/// The footer with which the file ends, when it is whole: everything before its index was synced before it was written.
fn footer_at_end(file: &dyn DiskFile, length: u64, seeds: &Seeds) -> Option<Footer> {
    let mut bytes = [0; footer::LENGTH];
    file.read_at(length.checked_sub(size(footer::LENGTH))?, &mut bytes)
        .ok()?;
    Footer::decode(&bytes, seeds.segment, length).ok()
}

/// The end of what is kept, every whole record in chain; and the durable offset, at least `durable`.
fn promised(mut walker: Walker, mut durable: u64) -> Result<(Mark, u64)> {
    let why = loop {
        match walker.step()? {
            Step::Record(_) => {}
            Step::Batch(batch) => durable = durable.max(batch.durable),
            Step::End => return Ok((walker.mark, durable)),
            Step::Index => break "an index stands among the records",
            Step::Misfit(why) => break why,
        }
    };
    let bad = walker.mark.offset;
    let mut resumes = None;
    let mut from = bad;
    while let Some(batch) = walker.next_batch(from)? {
        durable = durable.max(batch.durable);
        resumes = resumes.or((batch.offset > bad).then_some(batch));
        from = batch.offset + 1;
    }
    if bad >= durable {
        return Ok((walker.mark, durable));
    }
    let range = bad..resumes.map_or(durable, |b| b.offset);
    let next_whole = resumes.map(|b| b.next);
    let damage = Damage {
        range,
        first_lost: walker.mark.next,
        next_whole,
        why: why.to_owned(),
    };
    Err(damage.into_error(walker.window.name()))
}

/// A file without a whole header: either it was never finished, or the header of a used one is damaged.
fn unborn(
    mut window: Window,
    whose: Lineage,
    first: Position,
    hint: u64,
    error: Error,
) -> Result<Option<Recovered>> {
    let seeds = Seeds::new(whose.store, whose.shard, whose.epoch, first);
    match window.next_batch(seeds.segment, 0)? {
        None if hint == 0 => Ok(None),
        batch => {
            let end = batch.map_or(window.end().min(hint), |b| b.offset);
            let next_whole = batch.map(|b| b.next);
            let damage = Damage {
                range: 0..end,
                first_lost: first,
                next_whole,
                why: error.to_string(),
            };
            Err(damage.into_error(window.name()))
        }
    }
}
