//! Files with damage: what was right before, or `Corrupt`, never anything else.

use super::*;

/// All that is asked, or the first error.
fn answers(files: &MemoryFiles) -> crate::Result<Vec<String>> {
    let index = WordIndex::open(Arc::new(files.clone()), RULES)?;
    let mut answers = vec![format!("{:?}", index.payload()?)];
    let reader = index.reader()?;
    for text in ["word1", "shared", "wrd17 shared", "w"] {
        let ask = Ask::new(text, Fields::ALL, Fuzziness::ByLength).with_prefix();
        let scores = reader.scores(1, &ask, &mut never())?;
        answers.push(format!("{scores:?}"));
        answers.push(format!(
            "{:?}",
            reader.complete(1, text, Fields::ALL, 9, &mut never())?
        ));
    }
    Ok(answers)
}

/// And what changes the index.
fn goes_on(files: &MemoryFiles) -> crate::Result<()> {
    let index = WordIndex::open(Arc::new(files.clone()), RULES)?;
    let mut writer = index.writer()?;
    for position in 1000..1004 {
        writer.add(1, id(position), &[(Field::Body, "MORE")])?;
        writer.remove(1, id(position - 1000))?;
        writer.commit(b"x")?;
    }
    while writer.purge_deleted()? {}
    Ok(())
}

fn sample() -> MemoryFiles {
    let (files, _, mut writer) = fresh();
    for position in 0..70 {
        let body = format!(
            "word{position} shared {}",
            &"wwwwwwwww"[..1 + usize::from(position % 9 > 3)]
        );
        add(&mut writer, 1 + position % 2, position, &body, "subject");
        if position % 20 == 19 {
            writer.remove(1, id(position - 3)).unwrap();
            writer.commit(b"payload").unwrap();
        }
    }
    writer.commit(b"last").unwrap();
    files
}

fn expect(files: &MemoryFiles, right: &[String], what: &str) {
    match answers(files) {
        Ok(answers) => assert_eq!(answers, right, "{what}"),
        Err(error) => assert!(error.is_corrupt(), "{what}: {error}"),
    }
}

#[test]
fn a_flipped_bit_or_a_cut_anywhere_is_told_as_damage() {
    let sample = sample();
    let right = answers(&sample).unwrap();
    for name in sample.names() {
        let whole = sample.bytes(&name);
        let step = (whole.len() / 40).max(1);
        for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
            let files = sample.after_kill();
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            files.put(&name, &bytes);
            expect(&files, &right, &format!("{name} flipped at {at}"));
            files.put(&name, &whole[..at]);
            let cut = answers(&files);
            assert!(
                cut.is_err_and(|error| error.is_corrupt()),
                "{name} cut at {at}"
            );
            let mut bytes = whole.clone();
            bytes.extend_from_slice(&whole[at..]);
            files.put(&name, &bytes);
            let longer = answers(&files);
            assert!(
                longer.is_err_and(|error| error.is_corrupt()),
                "{name} longer by {at}"
            );
        }
    }
}

#[test]
fn a_file_in_the_place_of_another_or_none_is_told_as_damage() {
    let sample = sample();
    let right = answers(&sample).unwrap();
    for name in sample.names() {
        for other in sample.names() {
            let files = sample.after_kill();
            if name != other {
                files.put(&name, &sample.bytes(&other));
                expect(&files, &right, &format!("{other} for {name}"));
            }
        }
        let files = sample.after_kill();
        Files::remove(&files, &name).unwrap();
        expect(&files, &right, &format!("{name} gone"));
    }
}

#[test]
fn who_writes_meets_damage_as_an_error_too() {
    let sample = sample();
    for name in sample.names() {
        let whole = sample.bytes(&name);
        for at in (0..whole.len()).step_by((whole.len() / 6).max(1)) {
            let files = sample.after_kill();
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            files.put(&name, &bytes);
            if let Err(error) = goes_on(&files) {
                assert!(error.is_corrupt(), "{name} flipped at {at}: {error}");
            }
        }
    }
}
