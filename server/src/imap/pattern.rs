//! LIST patterns. The language of queries has them too, so they live in the engine.

pub(crate) use coldpost_engine::pattern::{Pattern, SEPARATOR};
