//! The query language: what is read and printed, what is refused and where, what a plan may do.

mod meaning;
mod planned;
mod printed;
mod refused;

use proptest::collection::vec;
use proptest::prelude::*;

use super::Expression;
use super::ast::{DateField, SizeBound};
use super::expression::{Flag, Moment, Node, Side};
use crate::limits::QUERY_SPAN_MAX;
use crate::uidset::UidSet;

/// Any expression of some depth; texts of any characters.
fn expression() -> impl Strategy<Value = Expression> {
    let tree = key().prop_recursive(5, 24, 4, |inner| {
        let list = || vec(inner.clone(), 1..4);
        prop_oneof![
            list().prop_map(Node::all),
            list().prop_map(Node::any),
            inner.clone().prop_map(Node::not),
        ]
    });
    tree.prop_map(Expression)
}

/// Any characters, and those that mean something.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect()),
        "[a-z\\(\\)\"\\\\ \n\t\u{0}é*%$:]{0,8}",
        "(?i)and|or|not|all|from",
    ]
}

fn key() -> impl Strategy<Value = Node> {
    prop_oneof![plain_key(), key_of_time(), key_of_text()]
}

fn plain_key() -> impl Strategy<Value = Node> {
    let flags = [
        Flag::Answered,
        Flag::Deleted,
        Flag::Draft,
        Flag::Flagged,
        Flag::Seen,
    ];
    let flags = flags.map(Node::Flag).to_vec();
    let uid = || prop_oneof![1..60_u32, Just(u32::MAX), Just(u32::MAX - 1)];
    let bound = prop_oneof![Just(SizeBound::Larger), Just(SizeBound::Smaller)];
    let octets = prop_oneof![any::<u64>(), 0..3_000_u64, (0..9_u64).prop_map(|n| n << 20)];
    prop_oneof![
        proptest::sample::select(flags),
        proptest::sample::select(vec![Node::All, Node::Recent, Node::New]),
        vec((uid(), uid()), 1..4).prop_map(|ranges| Node::Uids(UidSet::from_ranges(ranges))),
        (bound, octets).prop_map(|(bound, octets)| Node::Size(bound, octets)),
        any::<u64>().prop_map(Node::ModSeq),
        "[A-Za-z0-9_-]{1,9}".prop_map(Node::EmailId),
        "[A-Za-z0-9_-]{1,9}".prop_map(Node::ThreadId),
        "[!#$&-'+-Z\\[^-z]{1,9}".prop_map(Node::Keyword),
    ]
}

fn key_of_time() -> impl Strategy<Value = Node> {
    let field =
        proptest::sample::select(vec![DateField::Internal, DateField::Sent, DateField::Saved]);
    // The days of the years 0 to 9999, and those of late.
    let day = || prop_oneof![-719_528..2_932_896_i32, 20_000..20_800_i32];
    let span = || {
        prop_oneof![
            0..=QUERY_SPAN_MAX,
            (0..900_u32).prop_map(|days| days * 86_400),
            (0..90_u32).prop_map(|hours| hours * 3_600),
        ]
    };
    let moment = prop_oneof![day().prop_map(Moment::Day), span().prop_map(Moment::Ago)];
    let side = prop_oneof![
        moment.clone().prop_map(Side::Before),
        moment.prop_map(Side::Since),
        day().prop_map(Side::On),
    ];
    prop_oneof![
        (field, side).prop_map(|(field, side)| Node::Date(field, side)),
        span().prop_map(Node::Older),
        span().prop_map(Node::Younger),
    ]
}

fn key_of_text() -> impl Strategy<Value = Node> {
    let name = "[!-9;-@\\[-~]{1,6}|from|to|subject|message-id|received";
    prop_oneof![
        (name, text()).prop_map(|(name, text)| Node::Header(name, text)),
        text().prop_map(Node::Body),
        text().prop_map(Node::Text),
        text()
            .prop_filter("no name is empty", |name| !name.is_empty())
            .prop_map(Node::Mailbox),
    ]
}
