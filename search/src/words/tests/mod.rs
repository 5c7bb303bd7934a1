//! What the word index promises, over directories and over files that fail.

mod answers;
mod damage;
mod disk;
mod isolation;
mod kill;
mod memory;
mod removal;
mod size;

use std::sync::Arc;

use super::*;
use crate::fold::fold_collapsed;
use crate::text::TextId;

use memory::MemoryFiles;

const RULES: u32 = 7;

fn id(position: u64) -> TextId {
    TextId {
        epoch: 1,
        position,
        number: 3,
    }
}

fn never() -> impl FnMut() -> bool {
    || false
}

/// An index in memory and who writes it.
fn fresh() -> (MemoryFiles, WordIndex, Writer) {
    let files = MemoryFiles::default();
    let index = WordIndex::create(Arc::new(files.clone()), RULES).unwrap();
    let writer = index.writer().unwrap();
    (files, index, writer)
}

/// Adds a message with a body and a subject.
fn add(writer: &mut Writer, account: u64, position: u64, body: &str, subject: &str) {
    let (body, subject) = (fold_collapsed(body), fold_collapsed(subject));
    let texts = [
        (Field::Body, body.as_str()),
        (Field::Subject, subject.as_str()),
    ];
    writer.add(account, id(position), &texts).unwrap();
}

/// Positions of the messages that match, best first.
fn found(reader: &Reader, account: u64, ask: &Ask) -> Vec<u64> {
    let hits = reader.ask(account, ask, 100, &mut never()).unwrap();
    hits.hits.iter().map(|(id, _)| id.position).collect()
}
