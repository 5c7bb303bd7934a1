//! What went wrong below tantivy, in our words; a panic there ends here.
//!
//! Promises: damage is told as `Corrupt` whichever way the error took, also out of another thread or through a panic.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::TantivyError;
use tantivy::directory::error::{OpenReadError, OpenWriteError};

use crate::error::{Error, Result};

use super::block::Damage;

/// What errors are about.
const WHAT: &str = "the word index";

/// What the files said last: tantivy tells some errors as a text or not at all.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    /// Stays: what is damaged does not heal.
    damage: Option<Damage>,
    refused: Option<(io::ErrorKind, String)>,
}

impl Trouble {
    /// Keeps an error of a file on its way up; the end of a file that is not its end is damage.
    pub(super) fn hear(&self, name: &str, error: io::Error) -> io::Error {
        let error = match error.kind() {
            io::ErrorKind::UnexpectedEof => Damage::error(name, 0, "it is shorter than it was"),
            _ => error,
        };
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match damage_in(&error) {
            Some(damage) => heard.damage = Some(damage.clone()),
            None => heard.refused = Some((error.kind(), format!("{name}: {error}"))),
        }
        error
    }

    /// What was heard, if anything.
    fn told(&self) -> Option<Error> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(damage) = &heard.damage {
            return Some(corrupt(damage));
        }
        let (kind, text) = heard.refused.take()?;
        Some(refused(kind, text))
    }

    /// An error of tantivy as ours.
    pub(super) fn error(&self, error: TantivyError) -> Error {
        match &error {
            TantivyError::IoError(source) => self.io(source),
            TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) => {
                self.io(io_error)
            }
            TantivyError::OpenWriteError(OpenWriteError::IoError { io_error, .. }) => {
                self.io(io_error)
            }
            TantivyError::LockFailure(..) => refused(
                io::ErrorKind::WouldBlock,
                "it has a writer already".to_owned(),
            ),
            TantivyError::ErrorInThread(text) | TantivyError::SystemError(text) => {
                let told = self.told();
                told.unwrap_or_else(|| refused(io::ErrorKind::Other, text.clone()))
            }
            _ => {
                let told = self.told();
                told.unwrap_or_else(|| Error::corrupt(WHAT, 0, error.to_string()))
            }
        }
    }

    /// An `io::Error` of tantivy as ours.
    pub(super) fn io(&self, error: &io::Error) -> Error {
        if let Some(damage) = damage_in(error) {
            return corrupt(damage);
        }
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Error::corrupt(WHAT, 0, error.to_string())
            }
            kind => refused(kind, error.to_string()),
        }
    }

    /// Runs what calls tantivy; a panic of it is an error.
    pub(super) fn guard<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let caught = catch_unwind(AssertUnwindSafe(work));
        caught.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            let text = text.unwrap_or_default();
            let told = self.told();
            Err(told
                .unwrap_or_else(|| Error::corrupt(WHAT, 0, format!("reading it failed: {text}"))))
        })
    }
}

fn damage_in(error: &io::Error) -> Option<&Damage> {
    let mut source = error.get_ref().map(|error| error as &dyn std::error::Error);
    while let Some(error) = source {
        if let Some(damage) = error.downcast_ref::<Damage>() {
            return Some(damage);
        }
        source = match error.downcast_ref::<Arc<io::Error>>() {
            Some(inner) => inner.get_ref().map(|error| error as &dyn std::error::Error),
            None => error.source(),
        };
    }
    None
}

fn corrupt(damage: &Damage) -> Error {
    Error::corrupt(
        WHAT,
        damage.offset,
        format!("{}: {}", damage.name, damage.found),
    )
}

fn refused(kind: io::ErrorKind, text: String) -> Error {
    Error::io(WHAT)(io::Error::new(kind, text))
}
