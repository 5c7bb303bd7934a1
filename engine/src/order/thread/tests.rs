//! Threads of mail as it is and as it should not be, beside a plain reading of RFC 5256.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::super::column::{Fresh, FreshValues};
use super::*;

/// A message: number of its id (0: none), of those that it refers to, subject, reply mark, day of sending.
#[derive(Clone, Debug)]
struct Mail {
    id: u64,
    references: Vec<u64>,
    subject: String,
    is_reply: bool,
    date: i64,
}

fn mail(id: u64, references: &[u64], subject: &str, date: i64) -> Mail {
    Mail {
        id,
        references: references.to_vec(),
        subject: subject.trim_start_matches("re ").to_owned(),
        is_reply: subject.starts_with("re "),
        date,
    }
}

/// The threads of `mails`, whose UIDs are 1, 2 and so on.
fn threads(algorithm: Algorithm, mails: &[Mail]) -> Threads {
    let uids =
        UidSet::from_ranges((!mails.is_empty()).then(|| (1, u32::try_from(mails.len()).unwrap())));
    let column = |kind: &Kind| {
        let mails = mails.iter();
        let values = match kind {
            Kind::Date => FreshValues::Numbers(mails.map(|m| m.date).collect()),
            Kind::IsReply => FreshValues::Marks(mails.map(|m| m.is_reply).collect()),
            Kind::Ids => FreshValues::Ids(mails.map(|m| (m.id, m.references.clone())).collect()),
            _ => FreshValues::Texts(mails.map(|m| m.subject.clone()).collect()),
        };
        let fresh = Fresh {
            uids: uids.clone(),
            values,
        };
        Arc::new(Column::merged(None, &UidSet::new(), fresh))
    };
    let kinds = kinds(algorithm);
    let columns: Vec<_> = kinds.iter().map(column).collect();
    of(&uids, algorithm, kinds, &columns)
}

fn check(mails: &[Mail], expected: &Expect) {
    let all = [
        Algorithm::OrderedSubject,
        Algorithm::References,
        Algorithm::Refs,
    ];
    let text = all.map(|algorithm| format!("{algorithm:?} {}\n", threads(algorithm, mails).text()));
    expected.assert_eq(&text.concat());
}

#[test]
fn answers_lie_below_what_they_answer() {
    let mails = [
        mail(1, &[], "a", 1),
        mail(2, &[1], "re a", 2),
        mail(3, &[1, 2], "re a", 4),
        mail(4, &[1], "re a", 3),
        mail(5, &[], "b", 0),
    ];
    check(
        &mails,
        &expect![[r#"
        OrderedSubject (5)(1 (2)(4)(3))
        References (5)(1 (2 3)(4))
        Refs (5)(1 (2 3)(4))
    "#]],
    );
}

#[test]
fn an_id_that_no_message_has_holds_its_children_together() {
    let mails = [
        mail(1, &[99], "x", 2),
        mail(2, &[99], "y", 1),
        mail(3, &[98, 97], "z", 3),
    ];
    check(
        &mails,
        &expect![[r#"
        OrderedSubject (2)(1)(3)
        References ((2)(1))(3)
        Refs ((2)(1))(3)
    "#]],
    );
}

#[test]
fn threads_of_one_subject_become_one() {
    let mails = [
        mail(1, &[], "re a", 1),
        mail(2, &[], "a", 2),
        mail(3, &[], "re a", 3),
        mail(4, &[], "b", 4),
        mail(5, &[], "b", 5),
        mail(6, &[], "", 6),
        mail(7, &[], "", 7),
    ];
    check(
        &mails,
        &expect![[r#"
        OrderedSubject (1 (2)(3))(4 5)(6 7)
        References (2 (1)(3))((4)(5))(6)(7)
        Refs (1)(2)(3)(4)(5)(6)(7)
    "#]],
    );
}

#[test]
fn loops_copies_and_messages_that_refer_to_themselves_cost_their_own_link_only() {
    let mails = [
        mail(1, &[2], "a", 1),
        mail(2, &[1], "b", 2),
        mail(3, &[3], "c", 3),
        mail(4, &[1, 4, 2], "d", 4),
        mail(1, &[2], "e", 5),
        mail(0, &[1], "f", 6),
        mail(5, &[6, 7, 6, 7], "g", 7),
    ];
    check(
        &mails,
        &expect![[r#"
        OrderedSubject (1)(2)(3)(4)(5)(6)(7)
        References (2 (1 6)(4)(5))(3)(7)
        Refs (3)(2 (1 6)(4)(5))(7)
    "#]],
    );
}

#[test]
fn messages_in_a_chain_of_200_000_are_one_thread() {
    let count = 200_000_u64;
    let forwards: Vec<Mail> = (1..=count).map(|id| mail(id, &[id - 1], "a", 0)).collect();
    // Each pair is linked before it comes below the others.
    let pairs = (1..=count / 2).map(|pair| mail(2 * pair, &[2 * pair - 1], "a", 0));
    let between = (1..=count / 2).map(|pair| mail(2 * pair - 1, &[2 * pair - 2], "a", 0));
    let backwards: Vec<Mail> = forwards.iter().rev().cloned().collect();
    for mails in [forwards, backwards, pairs.chain(between).collect()] {
        let begun = Instant::now();
        for algorithm in [Algorithm::References, Algorithm::Refs] {
            let threads = threads(algorithm, &mails);
            let steps: Vec<Step> = threads.steps().collect();
            assert_eq!(steps.len(), mails.len() + 2);
            assert_eq!(
                (steps[0], steps[steps.len() - 1]),
                (Step::Open, Step::Close)
            );
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "in linear time");
    }
}

#[test]
fn branches_may_be_as_deep_as_they_are_many() {
    let count = 100_000_u64;
    let chain = (1..=count).map(|id| mail(id, &[id - 1], "a", 0));
    let beside = (1..=count).map(|id| mail(count + id, &[id], "a", 1));
    let mails: Vec<Mail> = chain.chain(beside).collect();
    let threads = threads(Algorithm::Refs, &mails);
    let (mut depth, mut deepest) = (0_u32, 0);
    for step in threads.steps() {
        match step {
            Step::Open => depth += 1,
            Step::Close => depth -= 1,
            Step::Message(_) => deepest = deepest.max(depth),
        }
    }
    assert_eq!(depth, 0);
    assert_eq!(u64::from(deepest), count);
}

/// Links that are cut and made again within one large thread: what could walk up without end.
#[test]
fn links_that_are_made_anew_again_and_again_take_bounded_work() {
    let count = 50_000_u64;
    let chain = (1..=count).rev().map(|id| mail(id, &[id - 1], "a", 0));
    let turned = (1..=count).map(|id| mail(count + id, &[id, (id * 7_919) % count + 1], "a", 1));
    let mails: Vec<Mail> = chain.chain(turned).collect();
    let begun = Instant::now();
    let threads = threads(Algorithm::Refs, &mails);
    let told = threads
        .steps()
        .filter(|step| matches!(step, Step::Message(_)));
    assert_eq!(told.count(), mails.len());
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// A node of the plain reading: which message it is, if it is one.
#[derive(Clone, Debug, Default)]
struct Node {
    message: Option<usize>,
    parent: Option<usize>,
    children: Vec<usize>,
}

/// The RFC's words, one after the other.
struct Plain<'m> {
    mails: &'m [Mail],
    nodes: Vec<Node>,
    root: Vec<usize>,
}

impl<'m> Plain<'m> {
    fn linked(mails: &'m [Mail]) -> Plain<'m> {
        let mut plain = Plain {
            mails,
            nodes: Vec::new(),
            root: Vec::new(),
        };
        let mut by_id: HashMap<u64, usize> = HashMap::new();
        let mut of_message = Vec::new();
        for (at, mail) in mails.iter().enumerate() {
            plain.nodes.push(Node {
                message: Some(at),
                ..Node::default()
            });
            of_message.push(at);
            if mail.id != 0 {
                by_id.entry(mail.id).or_insert(at);
            }
        }
        for (at, mail) in mails.iter().enumerate() {
            let mut last = None;
            for id in &mail.references {
                let node = *by_id.entry(*id).or_insert_with(|| {
                    plain.nodes.push(Node::default());
                    plain.nodes.len() - 1
                });
                if let Some(parent) = last
                    && plain.nodes[node].parent.is_none()
                {
                    plain.link(parent, node);
                }
                last = Some(node);
            }
            if let Some(parent) = plain.nodes[at].parent.take() {
                plain.nodes[parent].children.retain(|child| *child != at);
            }
            if let Some(parent) = last {
                plain.link(parent, at);
            }
        }
        plain.root = (0..plain.nodes.len())
            .filter(|node| plain.nodes[*node].parent.is_none())
            .collect();
        plain.prune();
        plain
    }

    fn link(&mut self, parent: usize, child: usize) {
        let mut above = Some(parent);
        while let Some(at) = above {
            if at == child {
                return;
            }
            above = self.nodes[at].parent;
        }
        self.nodes[child].parent = Some(parent);
        self.nodes[parent].children.push(child);
    }

    fn prune(&mut self) {
        let mut kept = Vec::new();
        for node in std::mem::take(&mut self.root) {
            let below = self.pruned(node);
            match (self.nodes[node].message, &below[..]) {
                (Some(_), _) => kept.push(node),
                (None, []) => {}
                (None, [only]) => kept.push(*only),
                (None, _) => kept.push(node),
            }
        }
        self.root = kept;
    }

    /// Prunes below a node, and gives its children then.
    fn pruned(&mut self, node: usize) -> Vec<usize> {
        let mut kept = Vec::new();
        for child in self.nodes[node].children.clone() {
            let below = self.pruned(child);
            match self.nodes[child].message {
                Some(_) => kept.push(child),
                None => kept.extend(below),
            }
        }
        self.nodes[node].children.clone_from(&kept);
        kept
    }

    fn first(&self, node: usize) -> usize {
        self.nodes[node]
            .message
            .unwrap_or_else(|| self.first(self.nodes[node].children[0]))
    }

    fn sort(&mut self, nodes: &mut [usize]) {
        for &node in nodes.iter() {
            let mut children = std::mem::take(&mut self.nodes[node].children);
            self.sort(&mut children);
            self.nodes[node].children = children;
        }
        nodes.sort_by_key(|node| (self.mails[self.first(*node)].date, self.first(*node)));
    }

    fn sort_all(&mut self) {
        let mut root = std::mem::take(&mut self.root);
        self.sort(&mut root);
        self.root = root;
    }

    fn gather(&mut self) {
        let is_dummy = |plain: &Plain<'_>, node: usize| plain.nodes[node].message.is_none();
        let is_reply = |plain: &Plain<'_>, node: usize| {
            plain.nodes[node]
                .message
                .is_some_and(|at| plain.mails[at].is_reply)
        };
        let mut table: HashMap<String, usize> = HashMap::new();
        for node in self.root.clone() {
            let subject = self.mails[self.first(node)].subject.clone();
            if subject.is_empty() {
                continue;
            }
            match table.get(&subject) {
                None => drop(table.insert(subject, node)),
                Some(&held) => {
                    if !is_dummy(self, held)
                        && (is_dummy(self, node) || is_reply(self, held) && !is_reply(self, node))
                    {
                        table.insert(subject, node);
                    }
                }
            }
        }
        for node in self.root.clone() {
            let subject = self.mails[self.first(node)].subject.clone();
            if subject.is_empty() || table[&subject] == node {
                continue;
            }
            let held = table[&subject];
            self.root.retain(|root| *root != node);
            if is_dummy(self, held) && is_dummy(self, node) {
                let children = std::mem::take(&mut self.nodes[node].children);
                self.nodes[held].children.extend(children);
            } else if is_dummy(self, held) || is_reply(self, node) && !is_reply(self, held) {
                self.nodes[held].children.push(node);
            } else {
                self.root.retain(|root| *root != held);
                self.nodes.push(Node {
                    children: vec![held, node],
                    ..Node::default()
                });
                self.root.push(self.nodes.len() - 1);
                table.insert(subject, self.nodes.len() - 1);
            }
        }
    }

    fn text(&self, nodes: &[usize]) -> String {
        nodes
            .iter()
            .map(|node| format!("({})", self.members(*node)))
            .collect()
    }

    fn members(&self, node: usize) -> String {
        let own = self.nodes[node].message.map(|at| (at + 1).to_string());
        let children = &self.nodes[node].children;
        let below = match &children[..] {
            [] => None,
            [only] => Some(self.members(*only)),
            many => Some(self.text(many)),
        };
        own.into_iter().chain(below).collect::<Vec<_>>().join(" ")
    }

    fn newest(&self, node: usize) -> i64 {
        let own = self.nodes[node].message.map(|at| self.mails[at].date);
        let below = self.nodes[node]
            .children
            .iter()
            .map(|child| self.newest(*child));
        own.into_iter().chain(below).max().unwrap_or(i64::MIN)
    }
}

fn plain(algorithm: Algorithm, mails: &[Mail]) -> String {
    if algorithm == Algorithm::OrderedSubject {
        let mut order: Vec<usize> = (0..mails.len()).collect();
        order.sort_by_key(|at| (mails[*at].subject.clone(), mails[*at].date, *at));
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for at in order {
            match groups.last_mut() {
                Some(group) if mails[group[0]].subject == mails[at].subject => group.push(at),
                _ => groups.push(vec![at]),
            }
        }
        groups.sort_by_key(|group| (mails[group[0]].date, group[0]));
        let number = |at: &usize| (at + 1).to_string();
        let one = |group: Vec<usize>| match &group[..] {
            [first] => format!("({})", number(first)),
            [first, second] => format!("({} {})", number(first), number(second)),
            [first, others @ ..] => {
                let others: String = others
                    .iter()
                    .map(|at| format!("({})", number(at)))
                    .collect();
                format!("({} {others})", number(first))
            }
            [] => String::new(),
        };
        return groups.into_iter().map(one).collect();
    }
    let mut plain = Plain::linked(mails);
    plain.sort_all();
    if algorithm == Algorithm::References {
        plain.gather();
        plain.sort_all();
    } else {
        let mut root = std::mem::take(&mut plain.root);
        root.sort_by_key(|node| (plain.newest(*node), plain.first(*node)));
        plain.root = root;
    }
    plain.text(&plain.root)
}

fn mails() -> impl Strategy<Value = Vec<Mail>> {
    let one = (
        0_u64..12,
        proptest::collection::vec(1_u64..14, 0..5),
        "(re )?[ab]{0,1}",
        0_i64..6,
    );
    let one = one.prop_map(|(id, references, subject, date)| mail(id, &references, &subject, date));
    proptest::collection::vec(one, 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn threads_are_those_of_a_plain_reading_of_the_rfc(mails in mails()) {
        for algorithm in [Algorithm::OrderedSubject, Algorithm::References, Algorithm::Refs] {
            let text = threads(algorithm, &mails).text();
            prop_assert_eq!(text, plain(algorithm, &mails), "{:?}", algorithm);
        }
    }
}
