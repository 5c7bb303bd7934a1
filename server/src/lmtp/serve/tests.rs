//! The task around the session, over an in-memory connection.

use std::sync::Mutex;

use bytes::Bytes;
use coldpost_engine::account::AccountName;
use coldpost_engine::ids::MailboxId;
use coldpost_engine::write::Delivered;
use coldpost_engine::{Error, Kind};
use tokio::io::DuplexStream;

use super::*;
use crate::budget::Budget;
use crate::lmtp::Room;
use crate::shutdown;

/// A store that keeps what it is given; message bytes beginning with `fail` cannot be stored.
#[derive(Default)]
struct Kept(Mutex<Vec<Bytes>>);

impl Deliver for Kept {
    async fn takes(&self, _: &AccountName) -> coldpost_engine::Result<bool> {
        Ok(true)
    }

    async fn deliver(
        &self,
        message: Bytes,
        to: &[AccountName],
    ) -> coldpost_engine::Result<Vec<Delivered>> {
        if message.windows(6).any(|bytes| bytes == b"\r\nfail") {
            return Err(Error::new(Kind::Unavailable, "away"));
        }
        self.0.lock().expect("no panic before").push(message);
        Ok(vec![
            Delivered::Stored {
                mailbox: MailboxId(1),
                uid_validity: 1,
                uid: 1
            };
            to.len()
        ])
    }
}

struct Served {
    client: DuplexStream,
    lmtp: Arc<Lmtp<Kept>>,
    trigger: shutdown::Trigger,
    _spool: tempfile::TempDir,
}

fn start(budget: u64, peer: Peer) -> Served {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = Settings {
        hostname: "mail.example.org".to_owned(),
        max_message: 4 << 20,
        max_recipients: 10,
        recipient_delimiter: String::new(),
        allow: vec!["127.0.0.0/8".parse().expect("a network")],
    };
    let spool = Spool {
        budget: Budget::new(budget),
        directory: Arc::new(directory.path().to_owned()),
        room: Room::new(|| u64::MAX),
    };
    let lmtp = Arc::new(Lmtp::new(settings, Kept::default(), spool, None));
    let (client, server) = tokio::io::duplex(64 * 1024);
    let (trigger, shutdown) = shutdown::channel();
    let serving = Arc::clone(&lmtp);
    tokio::spawn(async move { serving.serve(server, peer, shutdown).await });
    Served {
        client,
        lmtp,
        trigger,
        _spool: directory,
    }
}

impl Served {
    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.expect("open");
    }

    /// Reads up to and with the line that begins with `last`.
    async fn until(&mut self, last: &str) -> String {
        let mut heard = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&heard).into_owned();
            if text.ends_with('\n') && text.lines().any(|line| line.starts_with(last)) {
                return text;
            }
            let byte = self
                .client
                .read_u8()
                .await
                .unwrap_or_else(|e| panic!("{e} after {text:?}, waiting for {last:?}"));
            heard.push(byte);
        }
    }

    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.client.read_to_string(&mut rest).await.expect("text");
        rest
    }

    async fn begin(&mut self) {
        self.send("LHLO mx\r\nMAIL FROM:<b@example.net>\r\nRCPT TO:<anna@example.org>\r\nDATA\r\n")
            .await;
        self.until("354").await;
    }

    fn kept(&self) -> Vec<Bytes> {
        self.lmtp.store.0.lock().expect("no panic before").clone()
    }
}

#[tokio::test]
async fn a_message_arrives_byte_for_byte_below_its_trace_lines() {
    for size in [10, 900_000, 3_000_000] {
        let mut served = start(16 << 20, Peer::Unix);
        served.begin().await;
        let body =
            "Return-Path: <old@x>\r\n\r\n".to_owned() + &"0123456\0\n\r..\r\n".repeat(size / 14);
        served.send(&(body.clone() + ".\r\nQUIT\r\n")).await;
        let replies = served.rest().await;
        assert_eq!(
            replies,
            "250 2.0.0 <anna@example.org> Saved\r\n221 2.0.0 Bye\r\n"
        );
        let kept = served.kept();
        let message = String::from_utf8_lossy(&kept[0]);
        let (trace, rest) = message.split_at(message.len() - body.len());
        assert!(rest == body, "{size}");
        assert!(
            trace
                .starts_with("Return-Path: <b@example.net>\r\nReceived: from mx (unix socket)\r\n"),
            "{trace}"
        );
        assert!(
            trace.contains("for <anna@example.org>;") && trace.ends_with(" +0000\r\n"),
            "{trace}"
        );
        assert_eq!(served.lmtp.spool.budget.free(), 16 << 20);
    }
}

#[tokio::test]
async fn a_failed_delivery_promises_nothing_and_the_session_goes_on() {
    let mut served = start(1 << 20, Peer::Unix);
    served.begin().await;
    served.send("fail\r\n.\r\nNOOP\r\n").await;
    let replies = served.until("250").await;
    assert!(replies.starts_with("451 4.3.0"), "{replies}");
    assert!(served.kept().is_empty());
}

#[tokio::test]
async fn a_client_outside_allow_is_refused() {
    let local = ([127, 0, 0, 1], 24).into();
    let mut stranger = start(
        1 << 20,
        Peer::Tcp {
            remote: ([192, 0, 2, 7], 9).into(),
            local,
        },
    );
    assert!(stranger.rest().await.starts_with("554 5.7.1"));
    let mapped = "[::ffff:127.0.0.2]:9".parse().expect("an address");
    let mut friend = start(
        1 << 20,
        Peer::Tcp {
            remote: mapped,
            local,
        },
    );
    assert!(
        friend
            .until("220")
            .await
            .starts_with("220 mail.example.org")
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_sent_away() {
    let mut served = start(1 << 20, Peer::Unix);
    let before = Instant::now();
    assert!(
        served
            .rest()
            .await
            .ends_with("421 4.4.2 Silent for too long\r\n")
    );
    assert_eq!(before.elapsed().as_secs(), IDLE.as_secs());
}

/// Each byte bought another five minutes: a thousand such clients took every connection for days.
#[tokio::test(start_paused = true)]
async fn a_line_that_drips_has_no_more_time_than_silence() {
    let mut served = start(1 << 20, Peer::Unix);
    served.until("220").await;
    let before = Instant::now();
    for _ in 0..4 {
        served.send("N").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    served.send("N").await;
    assert_eq!(served.rest().await, "421 4.4.2 Silent for too long\r\n");
    assert_eq!(before.elapsed().as_secs(), IDLE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_drips_ends_in_time_and_nothing_of_it_is_stored() {
    let mut served = start(1 << 20, Peer::Unix);
    served.begin().await;
    let before = Instant::now();
    while before.elapsed() + Duration::from_secs(60) < MESSAGE_TIME {
        served.send("a line\r\n").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let replies = served.rest().await;
    assert_eq!(replies, "421 4.4.2 The message took too long\r\n");
    assert_eq!(before.elapsed().as_secs(), MESSAGE_TIME.as_secs());
    assert!(served.kept().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_holds_no_memory() {
    let mut served = start(1 << 20, Peer::Unix);
    served.begin().await;
    served.send("slow\r\n").await;
    let all = served
        .lmtp
        .spool
        .budget
        .take(1 << 20, IN_MEMORY_TIME * 2)
        .await;
    drop(all.expect("the memory is given back"));
    served.send("but sure\r\n.\r\n").await;
    served.until("250").await;
    assert!(served.kept()[0].ends_with(b"\r\nslow\r\nbut sure\r\n"));
}

#[tokio::test]
async fn a_shutdown_waits_for_the_message_that_is_coming_in() {
    let mut served = start(1 << 20, Peer::Unix);
    served.begin().await;
    served.trigger.pull();
    served.send("last\r\n.\r\n").await;
    let replies = served.rest().await;
    assert!(
        replies.starts_with("250 2.0.0") && replies.contains("\r\n421 4.3.2 "),
        "{replies}"
    );
    assert_eq!(served.kept().len(), 1);
}

/// What the client had pipelined behind the message was begun, and cut off.
#[tokio::test]
async fn a_shutdown_begins_no_transaction_that_was_pipelined() {
    let mut served = start(1 << 20, Peer::Unix);
    served.begin().await;
    served.trigger.pull();
    served
        .send("last\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<anna@example.org>\r\nDATA\r\nnext\r\n.\r\n")
        .await;
    assert_eq!(
        served.rest().await,
        "250 2.0.0 <anna@example.org> Saved\r\n421 4.3.2 Shutting down, try again later\r\n"
    );
    assert_eq!(served.kept().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_a_shutdown_cuts_off_is_told_so() {
    let mut served = start(1 << 20, Peer::Unix);
    served.begin().await;
    served.send("half\r\n").await;
    served.trigger.pull();
    let before = Instant::now();
    assert_eq!(
        served.rest().await,
        "421 4.3.2 Shutting down, try again later\r\n"
    );
    assert!(before.elapsed() < shutdown::DRAIN);
    assert!(served.kept().is_empty());
}

#[tokio::test]
async fn a_shutdown_ends_an_idle_session_at_once() {
    let mut served = start(1 << 20, Peer::Unix);
    served.until("220").await;
    served.trigger.pull();
    assert_eq!(
        served.rest().await,
        "421 4.3.2 Shutting down, try again later\r\n"
    );
}
