//! A kill or a power cut between any two file operations.

use super::*;

/// Some commits; the payload of each is its number. `told` is the last that was told to be done.
fn work(writer: &mut Writer, told: &mut u8) -> crate::Result<()> {
    for commit in 1..=5_u8 {
        for number in 0..3 {
            let position = u64::from(commit) * 10 + number;
            writer.add(
                1,
                id(position),
                &[(Field::Body, "WORD OTHER"), (Field::Subject, "S")],
            )?;
        }
        writer.remove(1, id(u64::from(commit) * 10 + 1))?;
        writer.remove(1, id(u64::from(commit - 1) * 10))?;
        writer.commit(&[commit])?;
        *told = commit;
        if commit % 2 == 0 {
            writer.purge_deleted()?;
        }
    }
    Ok(())
}

/// The messages that are there after a commit.
fn expected(commit: u8) -> Vec<u64> {
    let added = (1..=commit).flat_map(|commit| {
        let base = u64::from(commit) * 10;
        [base, base + 2]
    });
    added
        .filter(|position| position % 10 != 0 || *position == u64::from(commit) * 10)
        .collect()
}

fn check(files: MemoryFiles, told: u8, n: usize) -> bool {
    let index = WordIndex::open(Arc::new(files.clone()), RULES).unwrap();
    let payload = index.payload().unwrap().map_or(0, |payload| payload[0]);
    assert!(
        payload == told || payload == told + 1,
        "{payload} after {told} at {n}"
    );
    let ask = Ask::new("word", Fields::ALL, Fuzziness::Exact);
    let scores = index
        .reader()
        .unwrap()
        .scores(1, &ask, &mut never())
        .unwrap();
    let positions: Vec<u64> = scores.iter().map(|(id, _)| id.position).collect();
    assert_eq!(positions, expected(payload), "at {n}");
    // It goes on, and what was left behind is gone.
    let mut writer = index.writer().unwrap();
    writer.add(1, id(1000), &[(Field::Body, "WORD")]).unwrap();
    writer.commit(b"more").unwrap();
    assert_eq!(
        writer.reader().scores(1, &ask, &mut never()).unwrap().len(),
        positions.len() + 1
    );
    assert!(files.names().len() <= 1 + writer.reader().segments() * 7);
    payload != told
}

#[test]
fn a_kill_between_any_two_operations_leaves_the_commit_before_or_after() {
    let operations = {
        let (files, _, mut writer) = fresh();
        let before = files.operations();
        work(&mut writer, &mut 0).unwrap();
        files.operations() - before
    };
    assert!(operations > 100, "{operations}");
    for n in 0..operations {
        let (files, _, mut writer) = fresh();
        files.stop_after(n);
        let mut told = 0;
        let result = work(&mut writer, &mut told);
        assert!(result.is_err() || n > 0);
        if result.is_err() {
            let again = writer.commit(b"x");
            assert!(again.is_err(), "a writer went on at {n}");
        }
        drop(writer);
        check(files.after_kill(), told, n);
        check(files.after_power_cut(), told, n);
    }
}

#[test]
fn an_index_that_was_being_made_is_made_again() {
    for n in 0..20 {
        let files = MemoryFiles::default();
        files.put("meta.json", b"damaged");
        files.put("other.term", b"damaged");
        files.stop_after(n);
        let made = WordIndex::create(Arc::new(files.clone()), RULES);
        for left in [files.after_kill(), files.after_power_cut()] {
            let opened = WordIndex::open(Arc::new(left.clone()), RULES);
            match (&made, opened) {
                (Ok(_), opened) => assert_eq!(opened.unwrap().reader().unwrap().messages(), 0),
                (Err(_), Ok(opened)) => assert_eq!(opened.payload().unwrap(), None),
                (Err(_), Err(error)) => assert!(error.is_corrupt(), "{error}"),
            }
            WordIndex::create(Arc::new(left), RULES).unwrap();
        }
    }
}
