//! What a block says of messages that are listed very often.

use bytes::Bytes;
use coldpost_testkit::place;
use coldpost_tiers::address::{Epoch, ObjectId, Position};

use super::*;
use crate::account::AccountName;
use crate::open::Engine;
use crate::tests::settings;
use crate::write::Append;

#[tokio::test]
async fn a_message_that_was_copied_without_end_takes_few_bytes_in_its_block() {
    let dir = place::scratch("places");
    let engine = Engine::open(settings(dir.path())).await.unwrap();
    let ann = AccountName::normalise("ann@example.org").unwrap();
    let ann = engine.open_account(&ann).await.unwrap();
    let append = |text: &'static [u8]| Append {
        message: Bytes::from_static(text),
        flags: crate::flags::Flags::default(),
        internal_date: None,
        email_id: None,
    };
    let two = vec![append(b"A: b\r\n\r\nc\r\n"), append(b"D: e\r\n\r\nf\r\n")];
    engine.append(ann, "INBOX", two).await.unwrap();
    let inbox = engine.select(ann, "INBOX", true).unwrap().mailbox();
    for round in 0..6 {
        let all = (1..=2_u32 << round).collect();
        engine.copy(ann, inbox, &all, "INBOX").await.unwrap();
    }
    let shard = engine.shard(ann.shard).unwrap();
    let mut items = Vec::new();
    let state = shard.hot.read().unwrap();
    let walked = state.walk(TableName::Places, &[], &[], |k, _| {
        let (account, message) = key::read_message(k).unwrap();
        items.push(Item {
            account,
            date: 0,
            message,
            from: (ObjectId::segment(Epoch(1), Position(1)), 0),
            size: 0,
            written: 0,
            stored: 0,
        });
        Ok(true)
    });
    walked.unwrap();
    assert_eq!(items.len(), 2);
    let entries = Entries::of(&shard, ann.number, &items).unwrap();
    for item in &items {
        assert_eq!(entries.of_message(item.message).len(), PLACE_ENTRIES_MAX);
    }
    engine.close().await;
}
