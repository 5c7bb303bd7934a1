//! The journal as text. Knows text and ids; neither IMAP nor rows.

mod error;
pub mod excerpt;
pub mod fold;
pub mod limits;
pub mod text;

pub use error::{Error, Result};
