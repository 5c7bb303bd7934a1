//! Search from outside: the command, and what SEARCH promises while mail comes and goes, others get mail, and the daemon dies.

#[path = "search/apart.rs"]
mod apart;
#[path = "search/at_once.rs"]
mod at_once;
#[path = "search/command.rs"]
mod command;
#[path = "search/killed.rs"]
mod killed;
#[path = "search/ranked.rs"]
mod ranked;

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const ANN: &str = "ann@example.org";
const BEN: &str = "ben@example.org";
