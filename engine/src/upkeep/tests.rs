//! What upkeep asks of the object store while nothing happens, in stepped time.

use std::time::Duration;

use bytes::Bytes;
use coldpost_testkit::place;

use crate::account::AccountName;
use crate::flags::{Flags, SystemFlags};
use crate::open::Engine;
use crate::tests::settings;
use crate::write::Append;

const HOUR: Duration = Duration::from_secs(3_600);
const MESSAGES: usize = 30;

/// Requests by kind and caller, as far as they are known.
fn requests(engine: &Engine) -> Vec<(&'static str, &'static str, u64)> {
    let usage = engine.inner.cold.usage();
    let all = usage.requests.iter();
    all.map(|r| (r.kind, r.caller, r.count)).collect()
}

#[tokio::test]
async fn an_idle_hour_asks_the_object_store_nothing() {
    let dir = place::scratch("idle");
    let mut settings = settings(dir.path());
    settings.cut_age = Duration::from_secs(60);
    settings.segment_age = HOUR * 24;
    let engine = Engine::open(settings).await.unwrap();
    let name = AccountName::normalise("ann@example.org").unwrap();
    let ann = engine.open_account(&name).await.unwrap();
    for number in 0..MESSAGES {
        let text = format!("Subject: {number}\r\n\r\n{}\r\n", "Body. ".repeat(number));
        let flags = Flags {
            system: SystemFlags::DELETED,
            ..Flags::default()
        };
        let message = Append {
            message: Bytes::from(text),
            flags: if number % 2 == 0 {
                Flags::default()
            } else {
                flags
            },
            internal_date: None,
            email_id: None,
        };
        engine.append(ann, "INBOX", vec![message]).await.unwrap();
    }
    let mailbox = engine.select(ann, "INBOX", true).unwrap().mailbox();
    engine.expunge(ann, mailbox, None).await.unwrap();
    tokio::time::pause();
    // The cut, and what follows from it.
    tokio::time::sleep(HOUR).await;
    let after_the_cut = requests(&engine);
    let is_sent = |r: &(&str, &str, u64)| (r.0, r.1) == ("put", "upload") && r.2 > 0;
    assert!(after_the_cut.iter().any(is_sent), "{after_the_cut:?}");
    for hour in 1..=3 {
        tokio::time::sleep(HOUR).await;
        assert_eq!(requests(&engine), after_the_cut, "hour {hour}");
    }
    tokio::time::resume();
    engine.close().await;
}
