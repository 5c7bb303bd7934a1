//! The journal as text. Knows text and ids; neither IMAP nor rows.

pub mod fold;
