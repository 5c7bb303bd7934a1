//! Reading at a position: a mailbox as one session sees it.
//!
//! Never: appends to the journal.

pub(crate) mod ahead;
pub(crate) mod body;
mod broken;
pub(crate) mod budget;
mod decoded;
pub(crate) mod frames;
mod kinds;
pub(crate) mod mailbox;
pub(crate) mod message;
mod place;
mod preview;
mod shared;
mod vanished;

pub use ahead::Reach;
pub use body::{BodyReader, SectionReader};
pub(crate) use broken::BrokenBodies;
pub use decoded::{Decoded, DecodedReader};
pub use kinds::{Changes, Entry, MailboxInfo, MailboxStatus, SpecialUse};
pub use mailbox::MailboxView;
pub use message::Message;
pub(crate) use place::blob_offset;
pub use preview::Patience;
pub(crate) use shared::SharedChanges;
pub use vanished::Vanished;

#[cfg(test)]
mod tests;
