//! Whoever else is in the index, an account sees the same.

use proptest::prelude::*;

use super::*;

/// A step of an account: position, body, subject, whether to commit.
type Step = (u64, String, String, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        0u64..20,
        "([ab]{1,3}|rare[xy]|common) ([ab]{1,3}|common)",
        "[ab]{0,2}",
        any::<bool>(),
    );
    prop::collection::vec(step, 1..25)
}

fn run(writer: &mut Writer, account: u64, step: &Step) {
    let (position, body, subject, _) = step;
    match body.len() % 7 {
        0 => writer.remove(account, id(*position)).unwrap(),
        _ => add(writer, account, *position, body, subject),
    }
}

/// All that an account is told, to the last bit.
fn told(writer: &Writer, account: u64) -> Vec<String> {
    let reader = writer.reader();
    let mut told = Vec::new();
    for text in [
        "common",
        "rarex",
        "a",
        "ab",
        "common a",
        "comon rarey",
        "r",
        "b a",
    ] {
        for fuzziness in [Fuzziness::Exact, Fuzziness::ByLength] {
            let ask = Ask::new(text, Fields::ALL, fuzziness).with_prefix();
            let hits = reader.ask(account, &ask, 5, &mut never()).unwrap();
            let bits = hits
                .hits
                .iter()
                .map(|(id, score)| (id.position, score.to_bits()));
            told.push(format!(
                "{text} {} {:?}",
                hits.total,
                bits.collect::<Vec<_>>()
            ));
        }
        let complete = reader
            .complete(account, text, Fields::ALL, 5, &mut never())
            .unwrap();
        let suggest = reader
            .suggest(account, text, Fields::ALL, 5, &mut never())
            .unwrap();
        told.push(format!("{complete:?} {suggest:?}"));
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_account_is_told_the_same_alone_and_among_others_in_any_order_of_commits_and_merges(
        own in steps(), others in prop::collection::vec((prop_oneof![Just(0u64), 2..5u64, Just(u64::MAX)], steps()), 0..4),
        order in prop::collection::vec(any::<prop::sample::Index>(), 100),
        purge in any::<bool>(),
    ) {
        let (_, _, mut alone) = fresh();
        for step in &own {
            run(&mut alone, 1, step);
        }
        alone.commit(b"").unwrap();

        let (_, _, mut among) = fresh();
        let mut queues: Vec<(u64, std::slice::Iter<'_, Step>)> = vec![(1, own.iter())];
        queues.extend(others.iter().map(|(account, steps)| (*account, steps.iter())));
        for index in order {
            let (account, queue) = index.get(&queues).clone();
            let mut queue = queue;
            if let Some(step) = queue.next() {
                run(&mut among, account, step);
                if step.3 {
                    among.commit(b"").unwrap();
                }
            }
            let number = index.index(queues.len());
            queues[number].1 = queue;
        }
        for (account, queue) in queues {
            queue.for_each(|step| run(&mut among, account, step));
        }
        among.commit(b"").unwrap();
        prop_assert_eq!(told(&alone, 1), told(&among, 1));
        while purge && among.purge_deleted().unwrap() {}
        prop_assert_eq!(told(&alone, 1), told(&among, 1));
    }
}
