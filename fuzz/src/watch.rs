//! Looks after a run: a panic of any thread and an input that takes too long are noticed, and the input is kept in a file.
//!
//! Promises: a hang ends the process, so that nothing waits for it forever.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use coldpost_testkit::place;

/// Time that one input may take; the median is a few milliseconds.
const INPUT_TIME: Duration = Duration::from_secs(10);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What panicked first, in whatever thread.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// The input at work.
#[derive(Debug)]
struct Work {
    name: String,
    bytes: Vec<u8>,
    since: Instant,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    work: Arc<Mutex<Option<Work>>>,
    _until: Sender<()>,
}

impl Watch {
    /// Begins to watch.
    pub(crate) fn begin() -> Watch {
        note_panics();
        let work: Arc<Mutex<Option<Work>>> = Arc::default();
        let (until, ended) = mpsc::channel();
        let seen = Arc::clone(&work);
        std::thread::spawn(move || {
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let work = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(work) = work
                    .as_ref()
                    .filter(|work| work.since.elapsed() > INPUT_TIME)
                {
                    let file = keep(&work.name, &work.bytes);
                    eprintln!(
                        "{} hangs: over {INPUT_TIME:?}; its input is in {}",
                        work.name,
                        file.display()
                    );
                    std::process::abort();
                }
            }
        });
        Watch {
            work,
            _until: until,
        }
    }

    /// Runs `feed` on `bytes`.
    ///
    /// # Errors
    /// What panicked, and the file that has the input.
    pub(crate) fn feed(
        &self,
        name: &str,
        bytes: &[u8],
        feed: fn(&[u8]) -> usize,
    ) -> Result<usize, String> {
        let work = Work {
            name: name.to_owned(),
            bytes: bytes.to_vec(),
            since: Instant::now(),
        };
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
        let taken = std::panic::catch_unwind(|| feed(bytes));
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let panic = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (taken, panic) {
            (Ok(taken), None) => Ok(taken),
            (_, panic) => {
                let what = panic.unwrap_or_default();
                Err(format!(
                    "{name}: {what}; its input is in {}",
                    keep(name, bytes).display()
                ))
            }
        }
    }
}

/// From here on a panic of any thread is noted, next to what is done with it anyway.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let mut first = PANIC.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| info.to_string());
            drop(first);
            before(info);
        }));
    });
}

/// Writes an input below cargo's target directory.
fn keep(name: &str, bytes: &[u8]) -> PathBuf {
    let dir = place::target_dir().join("fuzz");
    let file = dir.join(name);
    if let Err(error) = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&file, bytes)) {
        eprintln!("{} cannot be written: {error}", file.display());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_any_thread_is_told_with_a_file_that_has_the_input() {
        let watch = Watch::begin();
        let feeds: [fn(&[u8]) -> usize; 2] = [
            |_| panic!("here"),
            |bytes| {
                let elsewhere = std::thread::spawn(|| panic!("here"));
                elsewhere.join().map_or(bytes.len(), |()| 0)
            },
        ];
        for (number, feed) in feeds.into_iter().enumerate() {
            let name = format!("watch-test-{number}");
            let said = watch.feed(&name, b"input", feed).expect_err("it panicked");
            assert!(said.contains("here") && said.contains("watch.rs"), "{said}");
            let file = place::target_dir().join("fuzz").join(&name);
            assert_eq!(std::fs::read(&file).expect("kept"), b"input");
            std::fs::remove_file(&file).expect("removed");
        }
        assert_eq!(watch.feed("watch-test", b"input", <[u8]>::len), Ok(5));
    }
}
