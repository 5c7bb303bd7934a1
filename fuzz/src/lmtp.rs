//! LMTP sessions: real sessions over a pipe, delivering into a real engine on a directory of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use coldpost_engine::Engine;
use coldpost_engine::account::AccountName;
use coldpost_server::auth::{AccountPolicy, Users};
use coldpost_server::budget::Budget;
use coldpost_server::listen::Peer;
use coldpost_server::lmtp::{Lmtp, Room, Settings, Spool, Store};
use coldpost_server::shutdown;
use tokio::runtime::Runtime;

use crate::place::{self, Place};
use crate::{Target, reached, seeds, talk};

/// Bytes that a client sends.
pub const TARGET: Target = Target {
    name: "lmtp",
    seeds: dialogues,
    words: &[
        b"LHLO mx\r\n",
        b"MAIL FROM:<a@b.example> SIZE=10 BODY=8BITMIME SMTPUTF8\r\n",
        b"MAIL FROM:<>\r\n",
        b"RCPT TO:<anna>\r\n",
        b"RCPT TO:<\"a b\\\"\"@[IPv6:::1]>\r\n",
        b"RCPT TO:<@a,@b:anna@example.org>\r\n",
        b"RCPT TO:<Postmaster>\r\n",
        b"DATA\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b"\n.\n",
        b"\r.\r",
        b"..",
        b"RSET\r\n",
        b"NOOP x\r\n",
        b"VRFY anna\r\n",
        b"HELP\r\n",
        b"QUIT\r\n",
        b"BDAT 5 LAST\r\nabcde",
        b"EHLO mx\r\n",
        b"STARTTLS\r\n",
        b"SIZE=18446744073709551616",
        b"NOTIFY=NEVER",
        b"+detail",
        b"\xc3\xa9@example.org",
        b"@xn--bcher-kva.example",
    ],
    opening: b"LHLO mx.example.net\r\nMAIL FROM:<b@example.net>\r\nRCPT TO:<anna@example.org>\r\n",
    feed,
    group: 1,
};

const COMMANDS: &[&str] = &[
    "LHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "VRFY", "HELP", "QUIT",
];
/// What the table says of messages that were stored.
const STORED: &str = "(stored)";

/// Octets of a message.
const MAX_MESSAGE: u64 = 16 * 1024;
/// Bytes of messages in flight.
const BUDGET: u64 = 1 << 20;

/// How often each command was carried out, and how many recipients got a message; and what never was.
pub fn reached() -> (BTreeMap<String, u64>, Vec<String>) {
    let families = prometheus::gather();
    let mut counted = reached::by_command(&families, "coldpost_lmtp_commands_total", |_| true);
    let stored = reached::by_command(&families, "coldpost_deliveries_total", |labels| {
        labels.get("outcome") == Some(&"stored")
    });
    counted.insert(STORED.to_owned(), stored.values().sum());
    let table: Vec<&str> = COMMANDS.iter().copied().chain([STORED]).collect();
    reached::compare(counted, &table, &[])
}

/// One connection from its first byte to its last.
pub fn feed(input: &[u8]) -> usize {
    let server = &*SERVER;
    let (taken, said) = server.runtime.block_on(async {
        let (client, stream) = talk::pipe(input);
        let (_trigger, over) = shutdown::channel();
        let lmtp = Arc::clone(&server.lmtp);
        let served = tokio::spawn(async move { lmtp.serve(stream, Peer::Unix, over).await });
        let heard = talk::talk(client, input).await;
        served.await.expect("a session does not panic");
        heard
    });
    are_replies(&said);
    taken
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

struct Server {
    runtime: Runtime,
    lmtp: Arc<Lmtp<Store>>,
    _place: Place,
}

impl Server {
    fn start() -> Server {
        let place = Place::new("fuzz-lmtp");
        let runtime = place::runtime();
        let engine = place.engine(&runtime);
        runtime.block_on(known(&engine));
        let settings = Settings {
            hostname: "fuzz.example.org".to_owned(),
            max_message: MAX_MESSAGE,
            max_recipients: 10,
            recipient_delimiter: "+".to_owned(),
            allow: Vec::new(),
        };
        let spool = Spool {
            budget: Budget::new(BUDGET),
            directory: Arc::new(place.path().to_owned()),
            room: Room::new(|| u64::MAX),
        };
        let users = Arc::new(Users::new(engine.clone(), AccountPolicy::Listed, "+"));
        Server {
            runtime,
            lmtp: Arc::new(Lmtp::new(settings, Store { engine, users }, spool, None)),
            _place: place,
        }
    }
}

/// Who has an account; nobody else gets one.
async fn known(engine: &Engine) {
    for name in [
        "anna",
        "anna@example.org",
        "bob@example.org",
        "postmaster",
        "jösé@bücher.example",
    ] {
        let name = AccountName::normalise(name).expect("a name");
        engine
            .open_account(&name)
            .await
            .expect("accounts can be made");
    }
}

/// Every line is three digits, a blank or a hyphen, and text.
fn are_replies(said: &[u8]) {
    assert!(
        said.starts_with(b"220 ") && said.ends_with(b"\r\n"),
        "{}",
        said.escape_ascii()
    );
    let lines = said[..said.len() - 2].split(|byte| *byte == b'\n');
    for line in lines {
        let shape = line.get(..4).is_some_and(|code| {
            code[..3].iter().all(u8::is_ascii_digit) && matches!(code[3], b' ' | b'-')
        });
        assert!(shape && !line.contains(&0), "{}", line.escape_ascii());
    }
}

fn dialogues() -> Vec<Vec<u8>> {
    seeds::written(include_str!("../seeds/lmtp.txt"))
}
