//! Which message follows which, by Message-ID and References (RFC 5256, REFERENCES, step 1).
//!
//! Promises: no loops; a message without an id of its own, or with one that another has, stands alone. Whether a link would close a loop
//! is known at once where the two were never connected; elsewhere the walk up is bounded for all links together, and a link that would
//! cost more is not made.

use super::super::column::{Ids, NONE, index, narrow};
use super::forest::TOP;

/// Steps up, for each node, that all walks together may take.
const STEPS_A_NODE: usize = 256;

/// Nodes and their parents: the first are messages, the others ids that no message has.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    /// How many are messages.
    pub(super) messages: u32,
    /// [`TOP`] without one.
    pub(super) parents: Vec<u32>,
    /// Connected nodes have one representative: a forest of its own, in which links that were cut are remembered.
    connected: Vec<u32>,
    steps_left: usize,
}

/// Links the messages at `places` of `ids`.
pub(super) fn link(places: &[u32], ids: &Ids) -> Links {
    let messages = narrow(places.len());
    let mut node_of = vec![NONE; index(ids.len())];
    for (message, place) in (0..messages).zip(places) {
        // Of several messages with one id, the first has it.
        if let Some(node) = node_of.get_mut(index(ids.of(*place).0)) {
            *node = (*node).min(message);
        }
    }
    let mut links = Links::of(messages);
    let mut node = |links: &mut Links, id: u32| match node_of.get_mut(index(id)) {
        Some(node) if *node == NONE => {
            *node = links.dummy();
            *node
        }
        Some(node) => *node,
        None => links.dummy(),
    };
    for (message, place) in (0..messages).zip(places) {
        let (_, references) = ids.of(*place);
        let mut last = TOP;
        for id in references {
            let this = node(&mut links, *id);
            if last != TOP && links.parent(this) == TOP {
                links.connect(last, this);
            }
            last = this;
        }
        // What its own References say of it counts more than what those of others do.
        if links.parent(message) != last {
            links.cut(message);
            if last != TOP {
                links.connect(last, message);
            }
        }
    }
    links
}

impl Links {
    fn of(messages: u32) -> Links {
        let count = index(messages);
        Links {
            messages,
            parents: vec![TOP; count],
            connected: (0..messages).collect(),
            steps_left: count.saturating_mul(STEPS_A_NODE),
        }
    }

    fn dummy(&mut self) -> u32 {
        let node = narrow(self.parents.len());
        self.parents.push(TOP);
        self.connected.push(node);
        self.steps_left = self.steps_left.saturating_add(STEPS_A_NODE);
        node
    }

    pub(super) fn parent(&self, node: u32) -> u32 {
        self.parents.get(index(node)).copied().unwrap_or(TOP)
    }

    fn cut(&mut self, node: u32) {
        if let Some(parent) = self.parents.get_mut(index(node)) {
            *parent = TOP;
        }
    }

    /// Makes `parent` the parent of `child`, which has none, unless `child` is above it.
    fn connect(&mut self, parent: u32, child: u32) {
        let (a, b) = (self.representative(parent), self.representative(child));
        if a == b && self.is_above(child, parent) {
            return;
        }
        if let Some(connected) = self.connected.get_mut(index(b)) {
            *connected = a;
        }
        if let Some(of_child) = self.parents.get_mut(index(child)) {
            *of_child = parent;
        }
    }

    /// Whether `node` is `other` or above it, or that would take too long to find out.
    fn is_above(&mut self, node: u32, other: u32) -> bool {
        let mut at = other;
        while at != TOP {
            if at == node {
                return true;
            }
            let Some(left) = self.steps_left.checked_sub(1) else {
                return true;
            };
            self.steps_left = left;
            at = self.parent(at);
        }
        false
    }

    fn representative(&mut self, node: u32) -> u32 {
        let mut at = node;
        loop {
            let above = self.connected.get(index(at)).copied().unwrap_or(at);
            if above == at {
                return at;
            }
            // Half of the way is left to the next who asks.
            let next = self.connected.get(index(above)).copied().unwrap_or(above);
            if let Some(of_this) = self.connected.get_mut(index(at)) {
                *of_this = next;
            }
            at = next;
        }
    }

    /// For each message the nearest message above it, or [`TOP`]; and for those without one the highest node above them, which is
    /// the message itself or an id that no message has.
    pub(super) fn without_dummies(&self) -> (Vec<u32>, Vec<u32>) {
        let mut above = vec![TOP; self.parents.len()];
        let mut highest = vec![TOP; self.parents.len()];
        let mut way = Vec::new();
        for message in 0..self.messages {
            let mut at = message;
            // `highest` of a node is set once its way is known.
            while at != TOP && highest.get(index(at)) == Some(&TOP) {
                way.push(at);
                at = self.parent(at);
            }
            while let Some(node) = way.pop() {
                let parent = self.parent(node);
                let of_parent = |list: &[u32]| list.get(index(parent)).copied();
                let (nearest, top) = match parent {
                    TOP => (TOP, node),
                    parent if parent < self.messages => {
                        (parent, of_parent(&highest).unwrap_or(node))
                    }
                    _ => (
                        of_parent(&above).unwrap_or(TOP),
                        of_parent(&highest).unwrap_or(node),
                    ),
                };
                if let (Some(a), Some(h)) =
                    (above.get_mut(index(node)), highest.get_mut(index(node)))
                {
                    (*a, *h) = (nearest, top);
                }
            }
        }
        above.truncate(index(self.messages));
        highest.truncate(index(self.messages));
        (above, highest)
    }
}
