//! Readers of messages that compaction moves and whose old objects are deleted while they are read.

use bytes::Bytes;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::made_mail::{attachment, base64_lines, drawn, with_parts};
use coldpost_testkit::wait;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::*;
use crate::settings::Settings;
use crate::view::{Message, Reach};

/// Compaction has a processor only where nothing else wants it, and other tests do.
const MOVED: Duration = Duration::from_secs(300);

/// A text of several frames, and an attachment of several that nobody else has.
fn mail(number: u64) -> Bytes {
    let mut dice = Dice::new(number);
    let [text, part] = [480_000, 640_000].map(|bytes| drawn(&mut dice, bytes));
    let text = base64_lines(&text, 76);
    with_parts(&number.to_string(), &text, &[attachment(&part, 76)]).into()
}

/// Compacts until a message is somewhere else than it was, and deletes what nobody needs.
async fn move_away(engine: &Engine, message: &Message) {
    let is_moved = || {
        Handle::current().block_on(async {
            engine.compact_now(&mut |_| {}).await.unwrap();
            let state = engine
                .shard(message.account.shard)
                .unwrap()
                .hot
                .read()
                .unwrap();
            let now = crate::view::message::read(&state, message.account, &[message.id]);
            now.unwrap().remove(0).unwrap().address.object != message.address.object
        })
    };
    block_in_place(|| wait::until("it is moved", MOVED, is_moved));
    engine.snapshot_now(&mut |_| {}).await.unwrap();
    let is_gone = || {
        Handle::current().block_on(async {
            engine.delete_now().await.unwrap();
            let state = engine
                .shard(message.account.shard)
                .unwrap()
                .hot
                .read()
                .unwrap();
            let row = crate::objects::object_row(&state, message.address.object);
            row.unwrap().is_none()
        })
    };
    block_in_place(|| wait::until("its old object is gone", MOVED, is_gone));
}

async fn expunge(engine: &Engine, account: AccountRef, uid: u32) {
    let mailbox = engine.select(account, "INBOX", true).unwrap().mailbox();
    let store = Store {
        mailbox,
        uids: [uid].into_iter().collect(),
        action: FlagAction::Add,
        flags: Flags {
            system: SystemFlags::DELETED,
            ..Flags::default()
        },
        unchanged_since: None,
    };
    engine.store(account, store).await.unwrap();
    engine.expunge(account, mailbox, None).await.unwrap();
}

/// Reads on from the bytes that are there.
async fn read_on(reader: &BodyReader, read: &mut Vec<u8>, until: usize) {
    while read.len() < until {
        let at = u64::try_from(read.len()).unwrap();
        read.extend_from_slice(&reader.read(at, reader.size()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_goes_on_where_its_message_was_moved_to_in_the_middle_of_a_part_too() {
    let scratch = place::scratch("moved");
    let opened = Engine::open(Settings {
        frames_cache: 0,
        words: true,
        grace: Duration::ZERO,
        retention: Duration::ZERO,
        segment_age: Duration::ZERO,
        ..settings(scratch.path())
    });
    let engine = opened.await.unwrap();
    let name = AccountName::normalise("ann@example.org").unwrap();
    let ann = engine.open_account(&name).await.unwrap();
    let mails = [1, 2].map(mail);
    let append = |message: &Bytes| Append {
        message: message.clone(),
        flags: Flags::default(),
        internal_date: None,
        email_id: None,
    };
    let all = mails.iter().map(append).collect();
    engine.append(ann, "INBOX", all).await.unwrap();
    let row = || {
        let view = engine.select(ann, "INBOX", false).unwrap();
        let entries = view.entries(&[1].into_iter().collect(), 1).unwrap();
        engine.messages(ann, &entries).unwrap().remove(0).unwrap()
    };
    // Nothing is held ahead, so that every frame is looked for.
    let reader = |message: &Message| {
        let shard = engine.shard(ann.shard).unwrap();
        let budget = Arc::new(Budget::new(0, Duration::ZERO));
        BodyReader::new(engine.inner.fetcher.clone(), budget, &shard, message).unwrap()
    };
    // In the text, in the attachment, at the beginning.
    for round in 0..2 {
        let before = row();
        let readers = [400_000, 1_000_000, 0].map(|until| (reader(&before), until));
        let mut read: [Vec<u8>; 3] = Default::default();
        for ((reader, until), read) in readers.iter().zip(&mut read) {
            read_on(reader, read, *until).await;
        }
        if round == 1 {
            // Half of the block dies, so that it is rewritten.
            expunge(&engine, ann, 2).await;
        }
        move_away(&engine, &before).await;
        for ((reader, _), read) in readers.iter().zip(&mut read) {
            read_on(reader, read, mails[0].len()).await;
            assert!(*read == mails[0], "round {round}");
        }
        // Whoever has the old row and begins now, and whoever reads ahead by it.
        let late = engine.read_ahead(vec![before.clone()], Reach::Whole).await;
        for message in [before, late[0].clone()] {
            let (reader, mut read) = (reader(&message), Vec::new());
            read_on(&reader, &mut read, mails[0].len()).await;
            assert!(read == mails[0], "round {round}, late");
        }
    }
    engine.close().await;
}
