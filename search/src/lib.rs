//! The journal as text and words. Knows text and ids; neither IMAP nor rows.

mod error;
pub mod excerpt;
pub mod fold;
pub mod limits;
pub mod text;
pub mod words;

pub use error::{Error, Result};
