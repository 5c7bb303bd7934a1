//! What a plan may do to a query: nothing that a message could tell.

use coldpost_search::fold::fold_collapsed;
use coldpost_tiers::address::{Address, ObjectId, ObjectKind};
use expect_test::{Expect, expect};
use proptest::collection::vec;
use proptest::prelude::*;

use super::expression;
use crate::flags::SystemFlags;
use crate::ids::{AccountId, AccountRef, EmailId, Epoch, MessageId, Position, ShardNo, ThreadId};
use crate::mail::{Stored, codec, describe};
use crate::query::{Candidate, DateField, Query, SizeBound, Verdict, decide, plan, settle};
use crate::search::FoldedFields;
use crate::uidset::UidSet;
use crate::view::{Entry, Message};

fn check(query: &Query, expected: &Expect) {
    expected.assert_eq(&format!("{:?}", plan(query)));
}

fn not(query: Query) -> Query {
    Query::Not(Box::new(query))
}

#[test]
fn the_cheapest_comes_first() {
    let named = |name: &str| Query::Header(name.to_owned(), "x".to_owned());
    check(
        &Query::And(vec![
            Query::Text("é  b".to_owned()),
            Query::Body("a".to_owned()),
            named("Received"),
            Query::Size(SizeBound::Larger, 5),
            named("Subject"),
            not(Query::Recent),
        ]),
        &expect![[
            r#"And([Not(Recent), Header("Subject", "X"), Size(Larger, 5), Header("Received", "X"), Body("A"), Text("E\u{301} B")])"#
        ]],
    );
}

#[test]
fn what_says_nothing_is_left_out() {
    let recent = || Query::Recent;
    let body = || Query::Body("a".to_owned());
    check(
        &Query::And(vec![
            Query::All,
            Query::And(vec![recent(), body(), Query::And(vec![])]),
            not(not(recent())),
            Query::Body("A".to_owned()),
        ]),
        &expect![[r#"And([Recent, Body("A")])"#]],
    );
    check(
        &Query::And(vec![body(), Query::Or(vec![])]),
        &expect!["Or([])"],
    );
    check(
        &Query::Or(vec![body(), not(Query::NOTHING)]),
        &expect!["All"],
    );
    check(
        &Query::Or(vec![
            Query::Or(vec![body()]),
            Query::Uids(UidSet::new()),
            recent(),
        ]),
        &expect![[r#"Or([Recent, Body("A")])"#]],
    );
    check(
        &Query::And(vec![Query::And(vec![recent()])]),
        &expect!["Recent"],
    );
    check(&not(Query::And(vec![])), &expect!["Or([])"]);
    check(&Query::Size(SizeBound::Smaller, 0), &expect!["Or([])"]);
    check(&Query::ModSeq(0), &expect!["All"]);
}

/// A message, and what is known of it elsewhere.
#[derive(Debug)]
struct Case {
    entry: Entry,
    recent: bool,
    message: Message,
}

const KEYWORDS: [&str; 3] = ["$Forwarded", "a", "Junk"];
const MAILS: [&str; 3] = [
    "From: a@example.org\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nReceived: x\r\n\r\nbody\r\n",
    "Subject: from and all\r\nTo: (a\"b)\r\nMessage-ID: <a@b>\r\nDate: Mon, 5 Jan 1970 03:00:00 +0500\r\n\r\n",
    "\r\n",
];

fn case() -> impl Strategy<Value = Case> {
    let numbers = (1..60_u32, 0..32_u8, 0..8_u128, 0..9_u64, 0..9_u64);
    let times = (0..900_000_i64, 0..900_000_i64, -600..600_i16);
    (numbers, times, any::<bool>(), 0..MAILS.len()).prop_map(
        |((uid, flags, keywords, modseq, size), (saved, dated, zone), recent, mail)| {
            let id = MessageId {
                epoch: Epoch(1),
                position: Position(modseq),
                number: 0,
            };
            let shard = ShardNo(1);
            let email_id = EmailId { shard, message: id };
            let description = describe(MAILS[mail].as_bytes());
            Case {
                recent,
                entry: Entry {
                    uid,
                    message: id,
                    system: SystemFlags(flags),
                    keywords,
                    modseq,
                    save_date: saved,
                },
                message: Message {
                    account: AccountRef {
                        number: AccountId(1),
                        shard,
                    },
                    id,
                    email_id,
                    thread_id: ThreadId(email_id),
                    internal_date: (dated, zone),
                    size: size << 8,
                    crc: 0,
                    row: Stored::read(codec::encode(&description)).expect("a row"),
                    address: Address {
                        object: ObjectId {
                            kind: ObjectKind::Segment,
                            id: [0; 16],
                        },
                        offset: 0,
                        extents: vec![],
                    },
                    ahead: None,
                },
            }
        },
    )
}

/// A query that messages of [`case`] match now and then; needles are folded, as evaluation asks for.
fn query() -> impl Strategy<Value = Query> {
    let field =
        || proptest::sample::select(vec![DateField::Internal, DateField::Sent, DateField::Saved]);
    let day = || proptest::option::of(0..12_i32);
    let needle = || {
        proptest::sample::select(vec!["", "a", "from", "example", "b)", "x"])
            .prop_map(fold_collapsed)
    };
    let name =
        proptest::sample::select(vec!["from", "Subject", "to", "message-id", "received", "x"]);
    let few = prop_oneof![
        Just(Query::All),
        Just(Query::NOTHING),
        Just(Query::And(vec![])),
        Just(Query::Recent),
        vec((0..60_u32, 0..60_u32), 0..3)
            .prop_map(|ranges| Query::Uids(UidSet::from_ranges(ranges))),
        (0..32_u8).prop_map(|bits| Query::Flags(SystemFlags(bits))),
        proptest::sample::select(KEYWORDS.to_vec())
            .prop_map(|name| Query::Keyword(name.to_owned())),
        (0..9_u64).prop_map(Query::ModSeq),
        (0..9_u64).prop_map(|size| Query::Size(SizeBound::Larger, size << 8)),
        (0..9_u64).prop_map(|size| Query::Size(SizeBound::Smaller, size << 8)),
    ];
    let more = prop_oneof![
        (field(), day(), day()).prop_map(|(field, from, until)| Query::Days { field, from, until }),
        (0..900_000_i64).prop_map(Query::DatedAfter),
        (0..900_000_i64).prop_map(Query::SavedAfter),
        (name, needle()).prop_map(|(name, needle)| Query::Header(name.to_owned(), needle)),
        needle().prop_map(Query::Body),
        needle().prop_map(Query::Text),
        Just(Query::EmailId("M0001000000010000000000000005".to_owned())),
    ];
    prop_oneof![few, more].prop_recursive(5, 32, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Query::And),
            vec(inner.clone(), 0..4).prop_map(Query::Or),
            inner.clone().prop_map(not),
        ]
    })
}

/// The answers of one message: as far as entry, row and place say, and for good.
fn answers(query: &Query, case: &Case, texts: u64) -> ([Verdict; 3], bool) {
    let keywords = KEYWORDS.map(str::to_owned);
    let fields = FoldedFields::default();
    let entry = Candidate {
        entry: &case.entry,
        keywords: &keywords,
        recent: case.recent,
        row: None,
        message: None,
        fields: &fields,
    };
    let row = Candidate {
        row: Some(&case.message.row),
        ..entry
    };
    let message = Candidate {
        message: Some(&case.message),
        ..row
    };
    // Any answer will do, if it is the same for the same key.
    let hit = |key: &Query| {
        let bit = format!("{key:?}").bytes().map(u64::from).sum::<u64>() % 64;
        texts >> bit & 1 == 1
    };
    let decided = [entry, row, message].map(|known| decide(query, &known));
    (decided, settle(query, &message, &hit))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_planned_query_matches_the_same_messages(query in query(), cases in vec(case(), 1..6), texts in any::<u64>()) {
        let planned = plan(&query);
        for case in &cases {
            let (_, wanted) = answers(&query, case, texts);
            let (decided, answer) = answers(&planned, case, texts);
            prop_assert_eq!(answer, wanted, "{:?}", planned);
            for verdict in decided {
                let early = match verdict {
                    Verdict::Yes => Some(true),
                    Verdict::No => Some(false),
                    _ => None,
                };
                prop_assert!(early.is_none_or(|early| early == answer), "{:?} of {:?}", verdict, planned);
            }
        }
        prop_assert_eq!(plan(&planned), planned, "a plan is not planned otherwise");
    }

    #[test]
    fn what_an_expression_asks_is_planned_once(expression in expression(), now in any::<i64>()) {
        let planned = plan(&expression.at(now, "INBOX"));
        prop_assert_eq!(plan(&planned), planned);
    }
}
