//! How a query is answered, in words: which key is decided by what.

use std::fmt;

use super::expression::{Expression, Node, Scope};
use super::plan::source;
use crate::mail::main_field;

/// What decides a key, the cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The name of the mailbox, before any message is looked at.
    Mailbox,
    /// The entry: UID, flags, modseq, SAVEDATE.
    Entries,
    /// The row: main header fields, the day of the Date field.
    Rows,
    /// The place: INTERNALDATE, size, object ids.
    Places,
    /// The text store: bodies and headers.
    Text,
    /// The word index.
    Words,
}

/// A key and what decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What decides it.
    pub source: Source,
    /// The key as it is printed, without a NOT before it.
    pub key: String,
    /// Which part of the key, where two sources share it.
    pub share: Option<&'static str>,
}

/// How an expression is answered: its keys, each once, the cheapest first. `Display` writes a line for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(pub Vec<Step>);

impl Expression {
    /// How it is answered.
    pub fn steps(&self) -> Steps {
        let mut steps = Vec::new();
        collect(&self.0, &mut steps);
        // By text within a source, so that what is said twice lies together.
        steps.sort_by(|a, b| (a.source, &a.key, a.share).cmp(&(b.source, &b.key, b.share)));
        steps.dedup();
        Steps(steps)
    }
}

impl Steps {
    /// Whether some key may need the text store.
    pub fn need_text(&self) -> bool {
        self.0.iter().any(|step| step.source == Source::Text)
    }

    /// The dearest source that some key needs.
    pub fn dearest(&self) -> Option<Source> {
        self.0.last().map(|step| step.source)
    }
}

fn collect(node: &Node, steps: &mut Vec<Step>) {
    let mut step = |source, share| {
        steps.push(Step {
            source,
            key: node.to_string(),
            share,
        });
    };
    match node {
        Node::And(list) | Node::Or(list) => list.iter().for_each(|node| collect(node, steps)),
        Node::Not(inner) => collect(inner, steps),
        Node::Mailbox(_) => step(Source::Mailbox, None),
        Node::Text(_) => step(Source::Text, Some("bodies, headers")),
        Node::Header(name, _) if !main_field::is_main(name) => {
            step(Source::Text, Some("trace fields"));
        }
        // What decides a key does not depend on the moment.
        key => {
            let scope = Scope {
                now: 0,
                mailbox: "",
            };
            step(source(&key.at(&scope)), None);
        }
    }
}

impl Source {
    /// Its name in one word.
    pub fn name(self) -> &'static str {
        match self {
            Source::Mailbox => "mailbox",
            Source::Entries => "entries",
            Source::Rows => "rows",
            Source::Places => "places",
            Source::Text => "text",
            Source::Words => "words",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {}", self.source.name(), self.key)?;
        match self.share {
            Some(share) => write!(f, " ({share})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
