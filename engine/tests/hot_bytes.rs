//! What a message takes in the hot tier, counted in the bytes of its rows, on real mail delivered one by one.
#![expect(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

use std::collections::BTreeMap;

use coldpost_engine::apply::{At, Fold, apply, invariants};
use coldpost_engine::flags::Flags;
use coldpost_engine::ids::{AccountId, Epoch, Position, ShardNo};
use coldpost_engine::mail::{Description, codec, describe};
use coldpost_engine::op::{self, Add, Carried, Entry, How, NewMessage, Op, OpId, Placed, Target};
use coldpost_testkit::tool::{NPM, TAR};
use coldpost_testkit::{corpus, have};
use coldpost_tiers::address::{Extent, FrameRef};
use coldpost_tiers::frame::compress_row;
use coldpost_tiers::hot::row::{Origin, Place, Row, ThreadRow};
use coldpost_tiers::hot::{CommitKind, HotTier, TableName, key};

const ACCOUNT: AccountId = AccountId(0x0123_4567_89ab_cdef);
/// Bytes that redb keeps of a row beside its key and its value: where each ends.
const ROW_OVERHEAD: usize = 8;
/// Bytes of rows a message, at most. With the room that pages leave unused it is 450 of the file.
const MESSAGE_BYTES_MAX: usize = 380;

/// What is delivered, oldest first.
fn mails() -> Vec<(Vec<u8>, Description)> {
    let trace = b"Return-Path: <someone@example.com>\r\nDelivered-To: u@example.org\r\n";
    let mails = corpus::spam_assassin().iter().map(|(_, mail)| {
        let raw = [&trace[..], &corpus::crlf(mail)].concat();
        let description = describe(&raw);
        (raw, description)
    });
    let mut mails: Vec<_> = mails.collect();
    mails.sort_by_key(|(_, description)| description.sort.date);
    mails
}

fn thread_keys(description: &Description) -> Vec<u64> {
    let mut keys = vec![description.sort.message_id];
    keys.extend_from_slice(&description.sort.references);
    keys
}

fn delivery(raw: &[u8], description: &Description) -> Op {
    let size = u32::try_from(raw.len()).unwrap();
    let frame = FrameRef {
        stored: size / 2,
        raw: size,
        crc: crc32c::crc32c(&raw[raw.len() / 2..]),
    };
    let message = NewMessage {
        size: u64::from(size),
        crc: crc32c::crc32c(raw),
        extents: vec![Extent::Frame(frame)],
        blobs: Vec::new(),
        row: compress_row(&codec::encode(description)).into(),
        thread_keys: thread_keys(description),
    };
    let placed = Placed {
        flags: Flags::default(),
        date: (description.sort.date.unwrap_or(0), 0),
        save_date: 0,
        carried: Carried::default(),
    };
    Op::Add(Add {
        group: None,
        messages: vec![message],
        targets: vec![Target {
            account: ACCOUNT,
            how: How::Name("INBOX".to_owned()),
            placed: vec![placed],
        }],
    })
}

/// A hot tier with the mails in it, one an op.
fn delivered(dir: &std::path::Path, mails: &[(Vec<u8>, Description)]) -> HotTier {
    let hot = HotTier::open(&dir.join("hot.redb"), 1 << 24).unwrap();
    let mut fold = Fold::load(&hot.read().unwrap()).unwrap();
    let account = Op::OpenAccount {
        account: ACCOUNT,
        name: "u@example.org".to_owned(),
    };
    let ops = mails
        .iter()
        .map(|(raw, description)| delivery(raw, description));
    let ops: Vec<Op> = std::iter::once(account).chain(ops).collect();
    let written = hot.write(CommitKind::Volatile, |batch| {
        for (position, op) in (1_u64..).zip(ops) {
            let at = At {
                shard: ShardNo(1),
                epoch: Epoch(1),
                position: Position(position),
                segment_first: Position(position / 2000 * 2000 + 1),
                body_offset: position % 2000 * 4000,
                end_offset: position % 2000 * 4000 + 3000,
                chain: 1,
            };
            let id = blake3::hash(&position.to_le_bytes());
            let entry = Entry {
                time_ms: 1_700_000_000_000 + position * 300,
                id: OpId(*id.as_bytes().first_chunk().unwrap()),
                known: (at.epoch, Position(position - 1)),
                op,
            };
            apply(batch, &mut fold, at, &entry, [&op::encode(&entry), &[]])?;
        }
        fold.save(batch)
    });
    written.unwrap();
    hot
}

/// Bytes of all rows, by table.
fn bytes(hot: &HotTier) -> BTreeMap<&'static str, usize> {
    let state = hot.read().unwrap();
    let mut bytes = BTreeMap::new();
    for table in TableName::ALL {
        let walked = state.walk(table, &[], &[], |key, value| {
            *bytes.entry(table.name()).or_default() += key.len() + value.len() + ROW_OVERHEAD;
            Ok(true)
        });
        walked.unwrap();
    }
    bytes
}

#[test]
fn a_message_takes_few_bytes_of_rows_whether_the_dictionary_was_trained_on_it_or_not() {
    if !have(&[NPM, TAR]) {
        return;
    }
    let mails = mails();
    let (older, newer) = mails.split_at(mails.len() / 2);
    for (name, half) in [("older", older), ("newer", newer)] {
        let dir = tempfile::tempdir().unwrap();
        let tables = bytes(&delivered(dir.path(), half));
        let message = tables.values().sum::<usize>() / half.len();
        assert!(
            message <= MESSAGE_BYTES_MAX,
            "{message} bytes a message of the {name} half, at most {MESSAGE_BYTES_MAX}: {tables:?}"
        );
    }
}

/// As it was with a row for each key.
#[test]
fn threads_of_real_mail_are_those_of_a_plain_table_of_keys() {
    if !have(&[NPM, TAR]) {
        return;
    }
    let mails = mails();
    let dir = tempfile::tempdir().unwrap();
    let hot = delivered(dir.path(), &mails);
    let state = hot.read().unwrap();
    let mut threads: BTreeMap<u64, u64> = BTreeMap::new();
    let mut expected = Vec::new();
    for (position, (_, description)) in (2_u64..).zip(&mails) {
        let mut keys = thread_keys(description);
        keys.retain(|key| *key != 0);
        let known = keys.iter().find_map(|key| threads.get(key).copied());
        let thread = known.unwrap_or(position);
        for key in keys {
            threads.entry(key).or_insert(thread);
        }
        expected.push(thread);
    }
    let mut of_places = Vec::new();
    let walked = state.walk(TableName::Places, &[], &[], |key, value| {
        of_places.push(Place::decode(key, value)?.thread_id.message.position.0);
        Ok(true)
    });
    walked.unwrap();
    assert!(of_places == expected, "THREADIDs of the messages in order");
    let (mut kept, mut rows, mut end) = (BTreeMap::new(), 0, None);
    let walked = state.walk(TableName::Threads, &[], &[], |row_key, value| {
        let first = u64::from_be_bytes(*row_key.last_chunk().unwrap());
        assert!(end.is_none_or(|end| end < first), "rows cover no key twice");
        for (key, thread) in ThreadRow::decode("threads", value)?.entries {
            assert!(key >= first);
            let Origin { shard, message } = thread;
            assert_eq!(
                (shard, message.epoch, message.number),
                (ShardNo(1), Epoch(1), 0)
            );
            kept.insert(key, message.position.0);
            end = Some(key);
        }
        rows += 1;
        Ok(true)
    });
    walked.unwrap();
    assert!(
        kept == threads,
        "{} keys, {} expected",
        kept.len(),
        threads.len()
    );
    assert!(rows > 100 && rows * 32 <= threads.len(), "{rows} rows");
    let first = key::thread(ACCOUNT, 0);
    assert!(state.get(TableName::Threads, &first).unwrap().is_some());
    assert_eq!(
        invariants::violations(&state).unwrap(),
        Vec::<String>::new()
    );
}
