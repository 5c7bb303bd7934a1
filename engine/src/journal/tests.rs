//! The promises of journals.

mod contract;
