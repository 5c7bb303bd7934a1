//! Decisions of the disk cache, compared with what must always hold.

use proptest::prelude::*;

use super::super::file::weight;
use super::*;
use crate::address::{Epoch, ObjectKind};

const SHARD: ShardNo = ShardNo(1);

fn object(number: u64) -> ObjectId {
    ObjectId::numbered(ObjectKind::Block, Epoch(1), number)
}

fn file(number: u64, class: Class, offset: u64, length: u32) -> StretchFile {
    StretchFile {
        shard: SHARD,
        object: object(number),
        class,
        offset,
        length,
    }
}

/// Writes a file as the cache does it.
fn write(index: &mut Index, file: StretchFile) -> Option<Vec<StretchFile>> {
    let (fits, mut gone) = index.reserve(file.class, file.weight());
    if !fits {
        return None;
    }
    index.release(file.class, file.weight());
    gone.extend(index.add(file));
    Some(gone)
}

/// A step: which object, whether in passing, where, how long.
fn steps() -> impl Strategy<Value = Vec<(u64, bool, u64, u32)>> {
    prop::collection::vec(
        (0..4_u64, any::<bool>(), 0..100_000_u64, 1..60_000_u32),
        0..80,
    )
}

proptest! {
    #[test]
    fn the_budget_holds_and_what_is_found_is_what_was_written_and_has_not_gone(steps in steps()) {
        let budget = 400_000;
        let mut index = Index::new(budget);
        let mut there: Vec<StretchFile> = Vec::new();
        for (number, passing, offset, length) in steps {
            let class = if passing { Class::Passing } else { Class::Wanted };
            let new = file(number, class, offset, length);
            let Some(gone) = write(&mut index, new) else {
                prop_assert!(new.weight() > index.share(class));
                continue;
            };
            prop_assert!(gone.iter().all(|file| file.class == class), "of its own class");
            there.push(new);
            there.sort_unstable();
            there.dedup();
            there.retain(|file| !gone.contains(file));
            prop_assert!(index.bytes() <= budget);
            prop_assert_eq!(index.bytes(), there.iter().map(StretchFile::weight).sum::<u64>());
            prop_assert!(index.passing.bytes <= budget / 4);
            let span = offset..offset + u64::from(length) / 2 + 1;
            let found = index.find(SHARD, &object(number), &span);
            let is_there = |f: &StretchFile| f.object == object(number) && f.span().start <= span.start && f.span().end >= span.end;
            prop_assert!(found.is_some_and(|f| there.contains(&f) && is_there(&f)), "what was just written");
            let behind = 160_000..160_001;
            prop_assert_eq!(index.find(SHARD, &object(number), &behind), None);
        }
        let objects = index.objects();
        for (shard, object) in objects {
            let gone = index.forget(shard, &object);
            prop_assert!(!gone.is_empty() && gone.iter().all(|f| f.object == object));
        }
        prop_assert_eq!((index.bytes(), index.files.len()), (0, 0));
    }
}

#[test]
fn the_longest_unused_goes_first_and_a_use_counts() {
    let mut index = Index::new(16 * 4096);
    let files: Vec<_> = (0..12).map(|n| file(n, Class::Wanted, 0, 4096)).collect();
    for file in &files {
        assert_eq!(write(&mut index, *file), Some(vec![]));
    }
    index.find(SHARD, &object(0), &(0..10));
    let next = file(99, Class::Wanted, 0, 4096);
    let gone = write(&mut index, next).unwrap();
    assert_eq!(gone.first(), Some(&files[1]), "the first one was used");
    assert!(index.find(SHARD, &object(0), &(0..10)).is_some());
}

#[test]
fn what_is_read_in_passing_displaces_nothing_that_was_wanted() {
    let mut index = Index::new(4_000_000);
    let wanted: Vec<_> = (0..20)
        .map(|n| file(n, Class::Wanted, 0, 100_000))
        .collect();
    for file in &wanted {
        assert_eq!(write(&mut index, *file), Some(vec![]));
    }
    for number in 100..500 {
        write(&mut index, file(number, Class::Passing, 0, 300_000)).unwrap();
    }
    for number in 0..20 {
        assert!(index.find(SHARD, &object(number), &(0..100_000)).is_some());
    }
    let (fits, gone) = index.reserve(Class::Passing, weight(1_000_001));
    assert!(
        !fits && gone.is_empty(),
        "it is over the share of its class"
    );
}

#[test]
fn what_was_found_at_the_start_goes_before_what_was_used_since() {
    let mut index = Index::new(40 * 4096);
    let used = file(1, Class::Wanted, 0, 4096);
    write(&mut index, used).unwrap();
    let mut gone = Vec::new();
    for nth in 0..40 {
        gone.extend(index.found(file(u64::from(nth) + 2, Class::Wanted, 0, 4096), nth));
    }
    assert!(gone.contains(&file(2, Class::Wanted, 0, 4096)));
    assert!(index.find(SHARD, &used.object, &used.span()).is_some());
    assert!(index.bytes() <= 30 * 4096);
}

#[test]
fn a_stretch_within_another_of_its_class_is_superfluous() {
    let mut index = Index::new(4_000_000);
    let small = file(1, Class::Wanted, 5_000, 1_000);
    let large = file(1, Class::Wanted, 0, 50_000);
    assert_eq!(write(&mut index, small), Some(vec![]));
    assert_eq!(write(&mut index, large), Some(vec![small]));
    assert_eq!(write(&mut index, small), Some(vec![small]));
    assert_eq!(index.find(SHARD, &object(1), &small.span()), Some(large));
}

#[test]
fn a_long_read_begins_and_ends_where_bytes_are_missing() {
    let mut index = Index::new(400_000_000);
    let large = CACHE_LARGE_MIN;
    let at = u64::from(large);
    write(&mut index, file(1, Class::Passing, 0, large)).unwrap();
    write(&mut index, file(1, Class::Wanted, 3 * at, 500)).unwrap();
    write(&mut index, file(1, Class::Passing, 5 * at, large)).unwrap();
    let gap = |span: Range<u64>, around| index.gap(SHARD, &object(1), &span, around);
    assert_eq!(gap(2 * at..2 * at + 10, 0..8 * at), at..5 * at);
    assert_eq!(gap(6 * at..6 * at + 10, 6 * at..8 * at), 6 * at..8 * at);
    // It ends within what is there: no more than itself.
    let into = 5 * at - 10..5 * at + 10;
    assert_eq!(gap(into.clone(), 4 * at..8 * at), 4 * at..into.end);
    let partly = at - 10..at + 10;
    assert_eq!(
        gap(partly.clone(), partly.start..2 * at),
        partly.start..2 * at
    );
}

#[test]
fn files_are_bounded_in_number_too() {
    let mut index = Index::new(u64::MAX / 2);
    let most = files_max(Class::Passing);
    for number in 0..u64::try_from(most).unwrap() + 1 {
        write(&mut index, file(number, Class::Passing, 0, 1)).unwrap();
    }
    assert!(index.files.len() <= most);
    assert!(index.find(SHARD, &object(0), &(0..1)).is_none());
}
