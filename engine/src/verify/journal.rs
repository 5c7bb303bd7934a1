//! The files of a journal: whether each is what its name says, and whether only the newest is open.

use coldpost_tiers::address::ObjectId;
use coldpost_tiers::segment::{FileState, SealedSegment, SegmentReader};

use super::{Bench, Event, Subject, Summary, damage, in_full};
use crate::ids::ShardNo;
use crate::journal::embedded::{LocalSegment, local_segments};
use crate::local::shard_dir;

/// What is in a journal's directory.
pub(super) struct Files {
    /// What may be what its name says; whether its records are whole is seen where they are read.
    pub(super) ours: Vec<LocalSegment>,
    /// What is not, and why.
    misfits: Vec<(LocalSegment, String)>,
    /// Why there is nothing.
    failed: Option<String>,
}

/// Looks at every file's header.
pub(super) fn files(bench: &Bench<'_>, shard: ShardNo) -> Files {
    let dir = shard_dir(&bench.settings.data, shard).join("journal");
    let mut files = Files {
        ours: Vec::new(),
        misfits: Vec::new(),
        failed: None,
    };
    let listed = match local_segments(&*bench.disk, &dir) {
        Ok(listed) => listed,
        Err(e) => {
            files.failed = Some(in_full(&e));
            return files;
        }
    };
    for file in listed {
        match misfit(bench, shard, &file) {
            Some(why) => files.misfits.push((file, why)),
            None => files.ours.push(file),
        }
    }
    files
}

fn misfit(bench: &Bench<'_>, shard: ShardNo, file: &LocalSegment) -> Option<String> {
    // One that was sealed or evicted since, or has no header that can be read: this is told where it is read.
    let reader = SegmentReader::open(&*bench.disk, &file.path).ok()?;
    let header = reader.header();
    let id = ObjectId::segment(file.epoch, file.first);
    let name = bench.relative(&file.path);
    let store = bench.store.unwrap_or(header.store);
    header.expect(store, shard, id, &name).err()?;
    Some(format!(
        "it is not the file that its name says: its header says {} of store {}. Move it out of this directory",
        header.key,
        crate::start::hex(header.store)
    ))
}

/// Reports what does not belong there.
pub(super) fn check(
    bench: &Bench<'_>,
    subject: &Subject,
    summary: &mut Summary,
    report: &mut (dyn FnMut(Event) + Send),
) {
    let files = files(bench, subject.shard);
    let mut tell = |object: String, what: String| {
        damage(summary, report, object, 0, what, Vec::new());
    };
    if let Some(why) = &files.failed {
        let name = format!("shards/{:04x}/journal", subject.shard.0);
        tell(name, format!("{why}; put it back from a backup"));
    }
    for (file, why) in &files.misfits {
        tell(bench.relative(&file.path), why.clone());
    }
    // While somebody writes, one may be sealed and the next one made between two names of a listing.
    let older = files.ours.len().saturating_sub(1);
    for file in files.ours.iter().take(older) {
        // One that has its footer only lacks its name: the start gives it that.
        let is_older = !subject.is_running && file.state == FileState::Open;
        if is_older && SealedSegment::open(&*bench.disk, &file.path).is_err() {
            let what = "it was never sealed, and there is a newer segment: its end is damaged, or one of the two does not belong here";
            tell(bench.relative(&file.path), what.to_owned());
        }
    }
}
