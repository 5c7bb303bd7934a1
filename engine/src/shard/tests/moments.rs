//! The rows of a moment, while others write.

use std::sync::atomic::{AtomicBool, Ordering};

use coldpost_testkit::dice::Dice;
use coldpost_tiers::disk::FaultyDisk;
use coldpost_tiers::hot::digest::{Columns, of_rows};
use coldpost_tiers::segment::{FileState, SealedSegment};

use super::kit::{Change, Running, Setup, dir, replayed, submit};
use crate::journal::embedded::local_segments;

#[test]
fn the_rows_of_a_moment_are_those_up_to_the_end_of_a_sealed_segment_whatever_is_written_meanwhile()
{
    let mut dice = Dice::from_env();
    let disk = FaultyDisk::new();
    let running = Running::open(Setup::on(&disk)).unwrap();
    running.submit(&Change::open_account(&mut dice)).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (mut dice, over, shard) = (dice.fork(), &over, &running.shard);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    submit(shard, &Change::random(&mut dice)).unwrap();
                }
            });
        }
        let mut moments = Vec::new();
        for _ in 0..8 {
            moments.push(futures::executor::block_on(running.shard.cut_here()));
        }
        over.store(true, Ordering::Relaxed);
        for moment in moments {
            let moment = moment.unwrap();
            let (hot, fold) = replayed(&disk, moment.applied.position);
            assert_eq!(fold.applied, moment.applied);
            let digest = |state| of_rows(state, Columns::All).unwrap();
            assert_eq!(digest(&moment.state), digest(&hot.read().unwrap()));
            let files = local_segments(&disk, &dir().join("journal")).unwrap();
            let sealed = files.iter().filter(|f| f.state == FileState::Sealed);
            let mut ends =
                sealed.map(|f| SealedSegment::open(&disk, &f.path).unwrap().footer().last);
            assert!(ends.any(|end| end == moment.applied.position));
        }
    });
}
