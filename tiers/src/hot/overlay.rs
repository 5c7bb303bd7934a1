//! redb on a file that is only looked at: what it writes while it opens and checks stays in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::{HotTier, OBJECT};
use crate::disk::failed;
use crate::error::{Error, Result};
use crate::limits::HOT_OVERLAY_MAX;

const PAGE: u64 = 4096;

#[derive(Debug)]
struct Overlay {
    file: File,
    /// How many pages may be written.
    pages_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    length: u64,
    /// How much of the file still shows: what was cut off once does not come back.
    shown: u64,
    /// Pages that were written, by number.
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    fn open(path: &Path) -> io::Result<Overlay> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let state = Mutex::new(State {
            length,
            shown: length,
            pages: BTreeMap::new(),
        });
        let pages_max = usize::try_from(HOT_OVERLAY_MAX / PAGE).expect("it fits into memory");
        Ok(Overlay {
            file,
            pages_max,
            state,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page as the file has it.
    fn below(&self, state: &State, number: u64) -> io::Result<Vec<u8>> {
        let mut page = vec![0; usize::try_from(PAGE).expect("small")];
        let at = number * PAGE;
        let there = state.shown.saturating_sub(at).min(PAGE);
        let there = usize::try_from(there).expect("at most a page");
        self.file.read_exact_at(&mut page[..there], at)?;
        Ok(page)
    }
}

/// The pages that `length` bytes from `offset` on touch: number, where in the page, where in the bytes, how many.
fn touched(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let page = usize::try_from(PAGE).expect("small");
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + u64::try_from(done).expect("64 bits");
        let inside = usize::try_from(at % PAGE).expect("small");
        let count = (page - inside).min(length - done);
        let piece = (at / PAGE, inside, done, count);
        done += count;
        (count > 0).then_some(piece)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        for (number, inside, from, count) in touched(offset, out.len()) {
            let piece = &mut out[from..from + count];
            match state.pages.get(&number) {
                Some(page) => piece.copy_from_slice(&page[inside..inside + count]),
                None => piece.copy_from_slice(&self.below(&state, number)?[inside..inside + count]),
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        state.length = length;
        state.shown = state.shown.min(length);
        state.pages.retain(|number, _| number * PAGE < length);
        if let Some(last) = state.pages.get_mut(&(length / PAGE)) {
            last[usize::try_from(length % PAGE).expect("small")..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        for (number, inside, from, count) in touched(offset, data.len()) {
            if !state.pages.contains_key(&number) {
                if state.pages.len() >= self.pages_max {
                    let text = format!("more than {HOT_OVERLAY_MAX} bytes of it change");
                    return Err(io::Error::new(io::ErrorKind::StorageFull, text));
                }
                let page = self.below(&state, number)?;
                state.pages.insert(number, page);
            }
            if let Some(page) = state.pages.get_mut(&number) {
                page[inside..inside + count].copy_from_slice(&data[from..from + count]);
            }
        }
        Ok(())
    }
}

impl HotTier {
    /// Opens the file to look at it and changes nothing on disk. It may be written to, as far as [`HOT_OVERLAY_MAX`] goes.
    ///
    /// # Errors
    /// `NotFound` when there is no file, `Corrupt` when nothing can be made of it, `Unavailable` when the disk refuses.
    pub fn inspect(path: &Path, cache: usize) -> Result<HotTier> {
        let overlay = Overlay::open(path).map_err(|e| failed("open", path, e))?;
        if overlay.state().length == 0 {
            // redb would begin a new one.
            let text = format!("hot tier {} is empty", path.display());
            return Err(Error::corrupt(OBJECT, 0, text));
        }
        HotTier::open_backend(overlay, path, cache)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_overlay_reads_like_a_file_that_was_written(
            start in prop::collection::vec(any::<u8>(), 0..20_000),
            steps in prop::collection::vec((any::<bool>(), 0u64..24_000, prop::collection::vec(any::<u8>(), 0..9_000)), 0..12),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file");
            std::fs::write(&path, &start).unwrap();
            let overlay = Overlay::open(&path).unwrap();
            let mut model = start.clone();
            for (is_cut, at, bytes) in steps {
                let index = usize::try_from(at).unwrap();
                if is_cut {
                    overlay.set_len(at).unwrap();
                    model.resize(index, 0);
                } else {
                    let end = index + bytes.len();
                    if end > model.len() {
                        overlay.set_len(end as u64).unwrap();
                        model.resize(end, 0);
                    }
                    overlay.write(at, &bytes).unwrap();
                    model[index..end].copy_from_slice(&bytes);
                }
                let mut read = vec![0; model.len()];
                overlay.read(0, &mut read).unwrap();
                prop_assert!(read == model);
                prop_assert_eq!(overlay.len().unwrap(), model.len() as u64);
            }
            prop_assert!(std::fs::read(&path).unwrap() == start);
        }
    }

    #[test]
    fn an_overlay_that_is_full_takes_no_more_and_reads_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [1; 3 * 4096]).unwrap();
        let mut overlay = Overlay::open(&path).unwrap();
        overlay.pages_max = 2;
        overlay.write(4000, &[2; 200]).unwrap();
        let refused = overlay.write(2 * 4096, &[3]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        overlay.write(0, &[4]).unwrap();
        let mut read = [0; 3];
        overlay.read(4199, &mut read).unwrap();
        assert_eq!(read, [2, 1, 1]);
    }
}
