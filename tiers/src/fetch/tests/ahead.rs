//! Reading ahead: how much is read at once, and that nobody pays for a neighbour.

use super::*;

/// Small frames that lie far apart, as the beginnings of large messages do: 64 of them would be a read of 16 MiB.
#[test]
fn many_small_frames_far_apart_are_no_read_of_all_that_lies_between() {
    let frame = FrameRef {
        stored: 5_000,
        raw: 10_000,
        crc: 0,
    };
    let object = ObjectId::segment(Epoch(1), Position(1));
    for gap in [0, 1_000, 100_000, FETCH_GAP_MAX] {
        let at = (0..64).map(|n| n * (gap + 5_000));
        let all: Vec<Wanted> = at
            .flat_map(|offset| wanted(SHARD, object, offset, &[frame], 0..1).unwrap())
            .collect();
        let runs = runs(&all);
        assert_eq!(runs.iter().map(|run| run.wanted.len()).sum::<usize>(), 64);
        for run in &runs {
            let raw: u64 = run.wanted.iter().map(|w| u64::from(w.frame.raw)).sum();
            assert!(run.span.end - run.span.start <= raw + FETCH_GAP_MAX);
        }
        assert_eq!(runs.len() == 1, gap <= 1_000, "{gap}: {} reads", runs.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_neighbour_costs_what_is_read_ahead_nothing_though_the_store_is_away() {
    let bench = Bench::new();
    let object = Object::new(1, "ahead");
    let mut flipped = object.bytes.clone();
    flipped[usize::try_from(object.offset(3)).unwrap()] ^= 1;
    bench.place(&object, &flipped);
    bench.faults.set_away(true);
    let stretch = |number: usize| Stretch {
        object: object.id,
        offset: object.offset(number),
        frames: vec![object.frames[number]],
    };
    let stretches: Vec<Stretch> = (0..FRAMES).map(stretch).collect();
    let held = bench.fetcher.ahead(SHARD, &stretches).await;
    for (number, Stretch { offset, frames, .. }) in stretches.iter().enumerate() {
        let got = match held.get(SHARD, object.id, *offset, frames, 0).unwrap() {
            Some(frame) => Ok(vec![frame]),
            None => {
                let fetcher = &bench.fetcher;
                fetcher
                    .frames(SHARD, object.id, *offset, frames, 0..1)
                    .await
            }
        };
        match got {
            Ok(frame) => assert_eq!(frame, [&object.raw[number][..]]),
            Err(error) => assert_eq!(number, 3, "{error}"),
        }
        assert!(
            number != 3
                || held
                    .get(SHARD, object.id, *offset, frames, 0)
                    .unwrap()
                    .is_none()
        );
    }
}

#[tokio::test]
async fn addresses_that_overlap_are_read_apart() {
    let bench = Bench::new();
    let object = Object::new(1, "overlap");
    bench.place(&object, &object.bytes);
    let stretch = |offset| Stretch {
        object: object.id,
        offset,
        frames: object.frames[2..4].to_vec(),
    };
    let (right, wrong) = (object.offset(2), object.offset(2) + 1);
    let held = bench
        .fetcher
        .ahead(SHARD, &[stretch(right), stretch(wrong)])
        .await;
    let frames = &object.frames[2..4];
    let got = |offset| held.get(SHARD, object.id, offset, frames, 0).unwrap();
    assert_eq!(got(right), Some(Bytes::from(object.raw[2].clone())));
    assert_eq!(got(wrong), None);
}
