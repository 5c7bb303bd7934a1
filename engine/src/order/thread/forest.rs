//! Trees of messages, and their walk from first to last in the order in which THREAD writes them.
//!
//! Promises: as deep as they come, nothing recurses.

use super::super::column::{NONE, index, narrow};
use crate::ids::Uid;
use crate::uidset::UidSet;

/// Trees: nodes below `messages` are messages, those from there on are dummies, which stand only at the top.
#[derive(Clone, Debug, Default)]
pub(super) struct Forest {
    pub(super) messages: u32,
    pub(super) children: Vec<Vec<u32>>,
    pub(super) roots: Vec<u32>,
}

impl Forest {
    /// So many messages without a thread.
    pub(super) fn new(messages: usize) -> Forest {
        Forest {
            messages: narrow(messages),
            children: vec![Vec::new(); messages],
            roots: Vec::new(),
        }
    }

    /// A new dummy with these children.
    pub(super) fn dummy(&mut self, children: Vec<u32>) -> u32 {
        self.children.push(children);
        narrow(self.children.len() - 1)
    }

    pub(super) fn is_dummy(&self, node: u32) -> bool {
        node >= self.messages
    }

    pub(super) fn children(&self, node: u32) -> &[u32] {
        self.children.get(index(node)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn add_child(&mut self, node: u32, child: u32) {
        if let Some(children) = self.children.get_mut(index(node)) {
            children.push(child);
        }
    }

    pub(super) fn take_children(&mut self, node: u32) -> Vec<u32> {
        self.children
            .get_mut(index(node))
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// The message that a node at the top stands for: itself, or the first child of a dummy.
    pub(super) fn message(&self, node: u32) -> u32 {
        match self.children(node).first() {
            Some(first) if self.is_dummy(node) => *first,
            _ => node,
        }
    }

    /// Sorts all siblings by `key`, those below before those above; equal ones as the mailbox has them.
    pub(super) fn sort(&mut self, key: impl Fn(u32) -> u32) {
        for children in &mut self.children {
            children.sort_by_key(|child| (key(*child), *child));
        }
        let mut roots = std::mem::take(&mut self.roots);
        roots.sort_by_key(|root| {
            let message = self.message(*root);
            (key(message), message)
        });
        self.roots = roots;
    }

    /// As threads of `uids`, whose places the messages are.
    pub(super) fn threads(self, uids: &UidSet) -> Threads {
        Threads {
            uids: uids.iter().collect(),
            forest: self,
        }
    }
}

/// The threads of some messages, in the order in which they are told.
#[derive(Clone, Debug)]
pub struct Threads {
    uids: Vec<Uid>,
    forest: Forest,
}

/// A step of a walk over threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A thread, or a branch of one, begins.
    Open,
    /// A message: the child of the one before it in this branch.
    Message(Uid),
    /// It ends.
    Close,
}

/// What is still to be told.
#[derive(Clone, Copy)]
enum Task {
    Branch(u32),
    Members(u32),
    Close,
}

impl Threads {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.forest.roots.is_empty()
    }

    /// Their steps, first to last.
    pub fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        let roots = self.forest.roots.iter().rev();
        let mut tasks: Vec<Task> = roots.map(|root| Task::Branch(*root)).collect();
        std::iter::from_fn(move || {
            loop {
                match tasks.pop()? {
                    Task::Branch(node) => {
                        tasks.extend([Task::Close, Task::Members(node)]);
                        return Some(Step::Open);
                    }
                    Task::Close => return Some(Step::Close),
                    Task::Members(node) => {
                        match self.forest.children(node) {
                            [only] => tasks.push(Task::Members(*only)),
                            many => {
                                tasks.extend(many.iter().rev().map(|child| Task::Branch(*child)))
                            }
                        }
                        if let Some(uid) = self.uids.get(index(node)) {
                            return Some(Step::Message(*uid));
                        }
                    }
                }
            }
        })
    }

    /// As THREAD writes them, by UID: for tests and logs.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for step in self.steps() {
            match step {
                Step::Open if text.ends_with(|last: char| last.is_ascii_digit()) => {
                    text.push_str(" (");
                }
                Step::Open => text.push('('),
                Step::Close => text.push(')'),
                Step::Message(uid) => {
                    if !text.is_empty() && !text.ends_with('(') {
                        text.push(' ');
                    }
                    text.push_str(&uid.to_string());
                }
            }
        }
        text
    }
}

/// Marks a node without a parent.
pub(super) const TOP: u32 = NONE;
