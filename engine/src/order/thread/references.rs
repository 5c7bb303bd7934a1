//! REFERENCES and REFS: trees of messages that refer to each other (RFC 5256, 3; draft-ietf-morg-inthread).

use std::collections::HashMap;

use super::super::column::index;
use super::Messages;
use super::forest::{Forest, TOP};
use super::links::Links;

/// REFERENCES: steps 2 to 6.
pub(super) fn forest(messages: &Messages, links: Links) -> Forest {
    let mut forest = pruned(&links);
    let date = |message: u32| messages.dates.get(index(message)).copied().unwrap_or(0);
    forest.sort(date);
    gather(&mut forest, messages);
    forest.sort(date);
    forest
}

/// REFS: threads as the references make them, in the order of the last date in each, as with Dovecot.
pub(super) fn refs(messages: &Messages, links: Links) -> Forest {
    let mut forest = pruned(&links);
    let date = |message: u32| messages.dates.get(index(message)).copied().unwrap_or(0);
    forest.sort(date);
    let roots = std::mem::take(&mut forest.roots);
    let mut dated: Vec<(u32, u32, u32)> = Vec::with_capacity(roots.len());
    let mut below = Vec::new();
    for root in roots {
        let mut last = 0;
        below.push(root);
        while let Some(node) = below.pop() {
            if !forest.is_dummy(node) {
                last = last.max(date(node));
            }
            below.extend(forest.children(node));
        }
        dated.push((last, forest.message(root), root));
    }
    dated.sort_unstable();
    forest.roots = dated.into_iter().map(|(_, _, root)| root).collect();
    forest
}

/// Steps 2 and 3: ids that no message has are left out; at the top one stays where it has several children.
fn pruned(links: &Links) -> Forest {
    let mut forest = Forest::new(index(links.messages));
    let (above, highest) = links.without_dummies();
    let mut tops: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut order = Vec::new();
    for (message, (above, highest)) in (0..links.messages).zip(above.into_iter().zip(highest)) {
        if above != TOP {
            forest.add_child(above, message);
        } else if highest == message {
            forest.roots.push(message);
        } else {
            let children = tops.entry(highest).or_default();
            if children.is_empty() {
                order.push(highest);
            }
            children.push(message);
        }
    }
    for top in order {
        match tops.remove(&top) {
            Some(children) if children.len() > 1 => {
                let dummy = forest.dummy(children);
                forest.roots.push(dummy);
            }
            only => forest.roots.extend(only.into_iter().flatten()),
        }
    }
    forest
}

/// Step 5: threads of one base subject become one.
fn gather(forest: &mut Forest, messages: &Messages) {
    let subject = |forest: &Forest, node: u32| {
        let rank = messages.subjects.get(index(forest.message(node))).copied();
        rank.filter(|rank| messages.empty != Some(*rank))
    };
    let is_reply = |forest: &Forest, node: u32| {
        !forest.is_dummy(node) && messages.replies.get(index(node)) == Some(&true)
    };
    let roots = std::mem::take(&mut forest.roots);
    let mut table: HashMap<u32, u32> = HashMap::new();
    for &root in &roots {
        let Some(subject) = subject(forest, root) else {
            continue;
        };
        let held = table.entry(subject).or_insert(root);
        if !forest.is_dummy(*held)
            && (forest.is_dummy(root) || is_reply(forest, *held) && !is_reply(forest, root))
        {
            *held = root;
        }
    }
    // Which root stands at each place; those that went below another one are gone.
    let mut places: Vec<Option<u32>> = roots.iter().map(|root| Some(*root)).collect();
    let mut place_of: HashMap<u32, usize> =
        (0..).zip(&roots).map(|(at, root)| (*root, at)).collect();
    for (at, &root) in roots.iter().enumerate() {
        let held = subject(forest, root).and_then(|subject| Some((subject, *table.get(&subject)?)));
        let Some((subject, held)) = held.filter(|(_, held)| *held != root) else {
            continue;
        };
        if forest.is_dummy(held) && forest.is_dummy(root) {
            for child in forest.take_children(root) {
                forest.add_child(held, child);
            }
        } else if forest.is_dummy(held) || is_reply(forest, root) && !is_reply(forest, held) {
            forest.add_child(held, root);
        } else {
            let dummy = forest.dummy(vec![held, root]);
            table.insert(subject, dummy);
            if let Some(place) = place_of.remove(&held) {
                place_of.insert(dummy, place);
                if let Some(of_held) = places.get_mut(place) {
                    *of_held = Some(dummy);
                }
            }
        }
        if let Some(of_root) = places.get_mut(at) {
            *of_root = None;
        }
    }
    forest.roots = places.into_iter().flatten().collect();
}
