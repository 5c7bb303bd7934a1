//! ORDEREDSUBJECT (RFC 5256, 3): messages of one base subject are a thread, the first of them above all others.

use super::super::column::index;
use super::Messages;
use super::forest::Forest;

pub(super) fn forest(messages: &Messages) -> Forest {
    let mut forest = Forest::new(messages.subjects.len());
    let mut order: Vec<u32> = (0..forest.messages).collect();
    let subject = |at: &u32| messages.subjects.get(index(*at)).copied();
    let date = |at: &u32| messages.dates.get(index(*at)).copied();
    order.sort_by_key(|at| (subject(at), date(at), *at));
    for thread in order.chunk_by(|a, b| subject(a) == subject(b)) {
        if let Some((first, others)) = thread.split_first() {
            forest.roots.push(*first);
            others
                .iter()
                .for_each(|other| forest.add_child(*first, *other));
        }
    }
    forest.roots.sort_by_key(|root| (date(root), *root));
    forest
}
