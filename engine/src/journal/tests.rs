//! The promises of journals.

mod contract;
mod directory;
