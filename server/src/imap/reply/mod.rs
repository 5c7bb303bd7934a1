//! What a server says, as functions that append bytes to a buffer: each writes a whole line, or a piece whose name says so.
//!
//! Promises: what is written is what the grammar of RFC 3501, 9 allows, whatever the texts given are. Never: decides what to say.

mod fetch;
mod mailbox;
mod search;
mod status;
mod string;

pub use fetch::FetchLine;
pub use mailbox::{
    ListName, StatusValue, capability, enabled, exists, expunge, flags, id, list, lsub, namespace,
    recent, status, vanished,
};
pub use search::{
    Esearch, branch_begins, branch_ends, esearch, found, thread_begins, thread_ends, thread_member,
};
pub use status::{Code, Refusal, Status, continuation, tagged, untagged};
pub use string::{astring, literal_mark, mailbox_name, nstring, octets, quoted, string};

#[cfg(test)]
mod tests;
