//! What may be deleted: decided here, from rows alone; carried out by the engine, which tells the journal before and after.

mod mark;

pub use mark::{Known, Ongoing, Rules, Verdict, Why, mark};
