//! The real disk, and what the faulty one forgets.

use std::path::Path;

use super::*;

#[test]
fn a_real_file_is_written_read_cut_renamed_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk;
    let inner = dir.path().join("a/b");
    disk.create_dir(&inner).unwrap();
    let file = disk.create(&inner.join("one")).unwrap();
    file.write_at(2, b"hello").unwrap();
    file.set_len(5).unwrap();
    file.sync_data().unwrap();
    assert_eq!(
        disk.create(&inner.join("one")).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
    disk.rename(&inner.join("one"), &inner.join("two")).unwrap();
    disk.sync_dir(&inner).unwrap();
    assert_eq!(disk.list(&inner).unwrap(), ["two"]);
    let mut bytes = [1; 5];
    disk.open(&inner.join("two"))
        .unwrap()
        .read_at(0, &mut bytes)
        .unwrap();
    assert_eq!(&bytes, b"\0\0hel");
    assert_eq!(
        file.read_at(1, &mut bytes).unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
    assert!(disk.free_bytes(&inner).unwrap() > 0);
    disk.remove(&inner.join("two")).unwrap();
    let error = failed(
        "open",
        Path::new("x"),
        disk.open(&inner.join("two")).unwrap_err(),
    );
    assert_eq!(error.kind(), &Kind::NotFound);
}

#[cfg(feature = "faults")]
mod faults {
    use std::collections::BTreeSet;

    use super::*;

    fn read(disk: &FaultyDisk, path: &str) -> Option<Vec<u8>> {
        let file = disk.open(Path::new(path)).ok()?;
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        Some(bytes)
    }

    #[test]
    fn what_was_synced_survives_and_the_rest_in_every_possible_way() {
        let disk = FaultyDisk::new();
        let file = disk.create(Path::new("d/f")).unwrap();
        file.write_at(0, b"safe").unwrap();
        file.sync_data().unwrap();
        let named: BTreeSet<bool> = (0..50)
            .map(|seed| read(&disk.crash(seed), "d/f").is_some())
            .collect();
        assert_eq!(named.len(), 2, "a name that was not synced may be lost");

        disk.sync_dir(Path::new("d")).unwrap();
        file.write_at(4, &[b'x'; 9000]).unwrap();
        disk.rename(Path::new("d/f"), Path::new("d/g")).unwrap();
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let after = disk.crash(seed);
            let (old, new) = (read(&after, "d/f"), read(&after, "d/g"));
            assert!(
                old.is_some() != new.is_some(),
                "seed {seed}: a rename is one step"
            );
            let bytes = old.or(new).unwrap();
            assert!(bytes.starts_with(b"safe"), "seed {seed}");
            seen.insert((bytes.len() == 9004, bytes[4..].contains(&0)));
        }
        assert!(
            seen.contains(&(true, true))
                && seen.contains(&(true, false))
                && seen.contains(&(false, false))
        );
    }

    #[test]
    fn a_failing_sync_fails_for_ever_and_makes_nothing_durable() {
        let disk = FaultyDisk::new();
        let file = disk.create(Path::new("f")).unwrap();
        disk.fail_sync(1);
        disk.sync_dir(Path::new("")).unwrap();
        file.write_at(0, b"a").unwrap();
        assert!(file.sync_data().is_err() && file.sync_data().is_err());
        disk.mend();
        file.sync_data().unwrap();
        assert_eq!(read(&disk, "f").unwrap(), b"a");
        assert_eq!(read(&disk.crash(1), "f").unwrap(), b"");
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_heals() {
        let disk = FaultyDisk::new();
        let file = disk.create(Path::new("f")).unwrap();
        disk.set_room(Some(3));
        assert!(is_full(&file.write_at(0, b"hello").unwrap_err()));
        assert_eq!(read(&disk, "f").unwrap(), b"hel");
        disk.set_room(None);
        file.write_at(0, b"hello").unwrap();
    }
}
