//! What a message is: read once by the maker of its op, never again.

mod address;
pub mod base64_text;
mod body_item;
mod border;
pub mod codec;
mod content;
pub mod decode;
pub mod describe;
mod envelope;
mod header;
mod html;
pub mod main_field;
mod nstring;
pub(crate) mod pack;
mod parameter;
pub mod part;
mod plain;
mod sort_key;
mod stored;
mod structure;
mod subject;
pub mod text;
mod thread;
mod token;
pub(crate) mod transfer;
mod tree;

pub use border::frame_borders;
pub use describe::{Description, SearchField, SortKeys, describe};
pub use part::{Part, PartKind, Section, SectionText};
pub(crate) use plain::text_of_leaf;
pub(crate) use sort_key::Wanted;
pub use stored::Stored;
