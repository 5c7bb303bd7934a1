//! REFERENCES and REFS: trees of messages that refer to each other (RFC 5256, 3; draft-ietf-morg-inthread).

use super::super::column::{NONE, index, narrow};
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
    // What stands below each id at the top that no message has, in the order of the first of them.
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let mut group_of = vec![NONE; links.parents.len()];
    for (message, (above, highest)) in (0..links.messages).zip(above.into_iter().zip(highest)) {
        if above != TOP {
            forest.add_child(above, message);
        } else if highest == message {
            forest.roots.push(message);
        } else if let Some(group) = group_of.get_mut(index(highest)) {
            if *group == NONE {
                *group = narrow(groups.len());
                groups.push(Vec::new());
            }
            if let Some(group) = groups.get_mut(index(*group)) {
                group.push(message);
            }
        }
    }
    for children in groups {
        match *children {
            [only] => forest.roots.push(only),
            _ => {
                let dummy = forest.dummy(children);
                forest.roots.push(dummy);
            }
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
    // The thread that each subject has.
    let highest = messages
        .subjects
        .iter()
        .max()
        .map_or(0, |rank| index(*rank) + 1);
    let mut table = vec![NONE; highest];
    for &root in &roots {
        let held = subject(forest, root).and_then(|subject| table.get_mut(index(subject)));
        let Some(held) = held else { continue };
        let is_better = || {
            !forest.is_dummy(*held)
                && (forest.is_dummy(root) || is_reply(forest, *held) && !is_reply(forest, root))
        };
        if *held == NONE || is_better() {
            *held = root;
        }
    }
    // Which root stands at each place; those that went below another one are gone.
    let mut places = roots.clone();
    let mut place_of = vec![NONE; forest.children.len()];
    for (place, root) in (0..).zip(&roots) {
        set(&mut place_of, *root, place);
    }
    for (place, &root) in (0..).zip(&roots) {
        let subject = subject(forest, root).unwrap_or(NONE);
        let held = table.get(index(subject)).copied().unwrap_or(root);
        if held == root {
            continue;
        }
        if forest.is_dummy(held) && forest.is_dummy(root) {
            for child in forest.take_children(root) {
                forest.add_child(held, child);
            }
        } else if forest.is_dummy(held) || is_reply(forest, root) && !is_reply(forest, held) {
            forest.add_child(held, root);
        } else {
            let dummy = forest.dummy(vec![held, root]);
            set(&mut table, subject, dummy);
            let of_held = place_of.get(index(held)).copied().unwrap_or(NONE);
            set(&mut places, of_held, dummy);
            place_of.push(of_held);
        }
        set(&mut places, place, NONE);
    }
    forest.roots = places.into_iter().filter(|root| *root != NONE).collect();
}

fn set(list: &mut [u32], at: u32, value: u32) {
    if let Some(of_it) = list.get_mut(index(at)) {
        *of_it = value;
    }
}
