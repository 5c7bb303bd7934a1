//! Ends a test with a sentence when something outside fails.
//!
//! Never: hides the error; the sentence says what was being done, the error says what went wrong.

use std::fmt::Display;

/// Takes the value or panics with what was being done, at the caller's line.
pub trait Must<T> {
    /// The value, or a panic "`doing`: the error".
    fn must(self, doing: &str) -> T;
}

impl<T, E: Display> Must<T> for Result<T, E> {
    #[track_caller]
    fn must(self, doing: &str) -> T {
        match self {
            Ok(value) => value,
            Err(error) => panic!("{doing}: {error}"),
        }
    }
}

impl<T> Must<T> for Option<T> {
    #[track_caller]
    fn must(self, doing: &str) -> T {
        match self {
            Some(value) => value,
            None => panic!("{doing}: nothing there"),
        }
    }
}
