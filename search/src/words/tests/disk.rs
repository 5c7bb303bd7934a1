//! Files in a directory, and an index that lives through several openings of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::super::files::{Files, NewFile, OpenFile};
use super::*;

#[derive(Debug)]
pub(super) struct DirFiles(pub(super) PathBuf);

#[derive(Debug)]
struct Plain(File);

impl Files for DirFiles {
    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .open(self.0.join(name))?;
        Ok(Box::new(Plain(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(Plain(File::open(self.0.join(name))?)))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = self.0.join(format!("{name}.new"));
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&beside, self.0.join(name))?;
        self.sync_dir()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.0)?;
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl NewFile for Plain {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl OpenFile for Plain {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[test]
fn an_index_in_a_directory_goes_on_where_it_was_and_leaves_no_file_behind() {
    let dir = tempfile::tempdir().unwrap();
    let files: Arc<dyn Files> = Arc::new(DirFiles(dir.path().to_owned()));
    assert!(!WordIndex::is_there(&*files).unwrap());
    assert!(WordIndex::open(files.clone(), RULES).is_err_and(|error| error.is_corrupt()));
    let index = WordIndex::create(files.clone(), RULES).unwrap();
    assert_eq!(index.payload().unwrap(), None);
    let mut writer = index.writer().unwrap();
    assert!(index.writer().is_err_and(|error| !error.is_corrupt()));
    let old = index.reader().unwrap();
    add(&mut writer, 5, 1, "one two three", "Hello");
    writer.commit(b"first").unwrap();
    let ask = Ask::new("two", Fields::ALL, Fuzziness::Exact);
    assert_eq!(found(&old, 5, &ask), [0_u64; 0]);
    assert_eq!(found(&writer.reader(), 5, &ask), [1]);
    old.refresh().unwrap();
    assert_eq!(found(&old, 5, &ask), [1]);
    add(&mut writer, 5, 9, "never committed", "");
    drop((writer, index));

    fs::write(dir.path().join("0123.term"), b"left by a kill").unwrap();
    assert!(WordIndex::open(files.clone(), RULES + 1).is_err_and(|error| error.is_corrupt()));
    let index = WordIndex::open(files.clone(), RULES).unwrap();
    assert_eq!(index.payload().unwrap().as_deref(), Some(&b"first"[..]));
    let mut writer = index.writer().unwrap();
    assert!(!files.list().unwrap().contains(&"0123.term".to_owned()));
    for position in 2..10 {
        add(&mut writer, 5, position, "two", "");
        writer.commit(&[0xff; 3]).unwrap();
    }
    assert_eq!(writer.reader().messages(), 9);
    assert_eq!(found(&writer.reader(), 5, &ask).len(), 9);
    // What was open before the merges is read on.
    assert_eq!(found(&old, 5, &ask), [1]);
    let segments = writer.reader().segments();
    assert!(segments <= 4, "{segments}");
    let left = files.list().unwrap();
    assert!(left.len() <= 1 + segments * 6, "{left:?}");
}
