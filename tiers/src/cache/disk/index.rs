//! Which stretches lie in the disk cache, and which go: decisions without a disk.
//!
//! Promises: bytes and files are within their bounds after every call, what is being written included; what was read in passing takes a
//! quarter of the bytes at most, and displaces nothing but its like; the longest unused goes first.
//! By hand, as caches on crates.io find a value by its key alone; here a stretch is found by any span within it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::file::{Class, StretchFile};
use crate::address::{ObjectId, ShardNo};
use crate::limits::{CACHE_FILES_MAX, CACHE_LARGE_MIN, CACHE_PASSING_SHARE};

/// Stamps of what was found at the start lie below it.
const FIRST_USE: u64 = 1 << 32;
/// Of a class so many parts are kept when one has to go, so that it is not looked through for every file.
const KEPT_PARTS: u64 = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    budget: u64,
    /// When each was used last, as a count of uses. No stretch of a class lies within another one of it.
    files: BTreeMap<StretchFile, u64>,
    wanted: Sum,
    passing: Sum,
    next: u64,
}

/// What a class has.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    bytes: u64,
    files: usize,
}

impl Index {
    pub(super) fn new(budget: u64) -> Index {
        Index {
            budget,
            files: BTreeMap::new(),
            wanted: Sum::default(),
            passing: Sum::default(),
            next: FIRST_USE,
        }
    }

    /// Bytes of disk, with those that are promised to files being written.
    pub(super) fn bytes(&self) -> u64 {
        self.wanted.bytes + self.passing.bytes
    }

    /// Bytes that one class may take.
    pub(super) fn share(&self, class: Class) -> u64 {
        let passing = self.budget / CACHE_PASSING_SHARE;
        match class {
            Class::Passing => passing,
            Class::Wanted => self.budget - passing,
        }
    }

    /// Promises `weight` bytes to a file that is about to be written, if there is room for it; with that goes what must go, either way.
    pub(super) fn reserve(&mut self, class: Class, weight: u64) -> (bool, Vec<StretchFile>) {
        if weight > self.share(class) {
            return (false, vec![]);
        }
        let sum = self.sum(class);
        sum.bytes += weight;
        sum.files += 1;
        let gone = self.make_fit(class);
        let (sum, share) = (*self.sum(class), self.share(class));
        let fits = sum.bytes <= share && sum.files <= files_max(class);
        if !fits {
            // All that is left is being written.
            self.release(class, weight);
        }
        (fits, gone)
    }

    /// Takes a promise back.
    pub(super) fn release(&mut self, class: Class, weight: u64) {
        let sum = self.sum(class);
        sum.bytes -= weight;
        sum.files -= 1;
    }

    /// A file is there whole; gives what it makes superfluous, itself when it is that.
    pub(super) fn add(&mut self, file: StretchFile) -> Vec<StretchFile> {
        let stamp = self.stamp();
        self.add_stamped(file, stamp)
    }

    /// A file was found, the `nth` by age: those in use go before it.
    pub(super) fn found(&mut self, file: StretchFile, nth: u32) -> Vec<StretchFile> {
        if self.files.contains_key(&file) {
            return vec![];
        }
        let mut gone = self.add_stamped(file, u64::from(nth));
        gone.extend(self.make_fit(file.class));
        gone
    }

    fn add_stamped(&mut self, file: StretchFile, stamp: u64) -> Vec<StretchFile> {
        if let Some(used) = self.files.get_mut(&file) {
            // It was written over.
            *used = stamp;
            return vec![];
        }
        if self
            .covering(file.class, file.shard, &file.object, &file.span())
            .is_some()
        {
            return vec![file];
        }
        let from = StretchFile { length: 0, ..file };
        let until = StretchFile {
            offset: file.span().end,
            length: 0,
            ..file
        };
        let within = self.files.range(from..until).map(|(other, _)| *other);
        let within: Vec<_> = within
            .filter(|other| other.span().end <= file.span().end)
            .collect();
        for other in &within {
            self.remove(other);
        }
        self.files.insert(file, stamp);
        let sum = self.sum(file.class);
        sum.bytes += file.weight();
        sum.files += 1;
        within
    }

    /// A file that has all of `span`; that counts as a use.
    pub(super) fn find(
        &mut self,
        shard: ShardNo,
        object: &ObjectId,
        span: &Range<u64>,
    ) -> Option<StretchFile> {
        let classes = [Class::Wanted, Class::Passing].into_iter();
        let mut found = classes.filter_map(|class| self.covering(class, shard, object, span));
        let file = found.next()?;
        let stamp = self.stamp();
        self.files.insert(file, stamp);
        Some(file)
    }

    /// The part of `around` that holds `span` and of which nothing is there.
    pub(super) fn gap(
        &self,
        shard: ShardNo,
        object: &ObjectId,
        span: &Range<u64>,
        around: Range<u64>,
    ) -> Range<u64> {
        let mut gap = around;
        for class in [Class::Wanted, Class::Passing] {
            let of = |offset| first_of(class, shard, object, offset);
            let mut before = self.files.range(of(0)..of(span.start.saturating_add(1)));
            if let Some((file, _)) = before.next_back() {
                gap.start = gap.start.max(file.span().end.min(span.start));
            }
            // Small ones in between are no reason to stop.
            let from = of(span.start.saturating_add(1));
            let behind = self.files.range(from..of(gap.end.max(span.end)));
            let large = |(file, _): &(&StretchFile, &u64)| file.length >= CACHE_LARGE_MIN;
            if let Some((file, _)) = behind.into_iter().find(large) {
                gap.end = file.offset.max(span.end);
            }
        }
        gap
    }

    /// The last one to begin at or before a span: no other one of its class reaches further.
    fn covering(
        &self,
        class: Class,
        shard: ShardNo,
        object: &ObjectId,
        span: &Range<u64>,
    ) -> Option<StretchFile> {
        let from = first_of(class, shard, object, 0);
        let until = first_of(class, shard, object, span.start.saturating_add(1));
        let (file, _) = self.files.range(from..until).next_back()?;
        (file.span().end >= span.end).then_some(*file)
    }

    /// Takes a file off; whether it was there.
    pub(super) fn remove(&mut self, file: &StretchFile) -> bool {
        let was_there = self.files.remove(file).is_some();
        if was_there {
            self.release(file.class, file.weight());
        }
        was_there
    }

    /// Takes all of an object off.
    pub(super) fn forget(&mut self, shard: ShardNo, object: &ObjectId) -> Vec<StretchFile> {
        let mut gone = Vec::new();
        for class in [Class::Wanted, Class::Passing] {
            let from = first_of(class, shard, object, 0);
            let of_object = self.files.range(from..).map(|(file, _)| *file);
            gone.extend(of_object.take_while(|file| {
                (file.shard, file.object, file.class) == (shard, *object, class)
            }));
        }
        for file in &gone {
            self.remove(file);
        }
        gone
    }

    /// The objects of which something is there.
    pub(super) fn objects(&self) -> Vec<(ShardNo, ObjectId)> {
        let mut all: Vec<_> = self.files.keys().map(|f| (f.shard, f.object)).collect();
        all.dedup();
        all
    }

    /// Takes so many bytes off, those read in passing first.
    pub(super) fn shrink(&mut self, bytes: u64) -> Vec<StretchFile> {
        let mut gone = self.evict(Class::Passing, bytes, 0);
        let freed = gone.iter().map(StretchFile::weight).sum();
        gone.extend(self.evict(Class::Wanted, bytes.saturating_sub(freed), 0));
        gone
    }

    /// Lets go what is over the bounds of a class, and a little more.
    fn make_fit(&mut self, class: Class) -> Vec<StretchFile> {
        let (sum, share) = (*self.sum(class), self.share(class));
        let over = |has: u64, most: u64| match has.checked_sub(most) {
            None | Some(0) => 0,
            Some(over) => over + most / KEPT_PARTS,
        };
        let (files, most) = (sum.files as u64, files_max(class) as u64);
        self.evict(class, over(sum.bytes, share), over(files, most))
    }

    fn evict(&mut self, class: Class, bytes: u64, files: u64) -> Vec<StretchFile> {
        if (bytes, files) == (0, 0) {
            return vec![];
        }
        let of_class = self.files.iter().filter(|(file, _)| file.class == class);
        let mut by_use: Vec<(u64, StretchFile)> =
            of_class.map(|(file, used)| (*used, *file)).collect();
        by_use.sort_unstable();
        let (mut freed, mut gone) = (0, Vec::new());
        for (_, file) in by_use {
            if freed >= bytes && gone.len() as u64 >= files {
                break;
            }
            freed += file.weight();
            self.remove(&file);
            gone.push(file);
        }
        gone
    }

    fn sum(&mut self, class: Class) -> &mut Sum {
        match class {
            Class::Wanted => &mut self.wanted,
            Class::Passing => &mut self.passing,
        }
    }

    fn stamp(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Files of a class.
fn files_max(class: Class) -> usize {
    match class {
        Class::Wanted => CACHE_FILES_MAX - CACHE_FILES_MAX / 4,
        Class::Passing => CACHE_FILES_MAX / 4,
    }
}

/// The least stretch of an object that begins at an offset.
fn first_of(class: Class, shard: ShardNo, object: &ObjectId, offset: u64) -> StretchFile {
    StretchFile {
        shard,
        object: *object,
        class,
        offset,
        length: 0,
    }
}

#[cfg(test)]
mod tests;
