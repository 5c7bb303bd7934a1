//! IMAP sessions: real sessions over a pipe, with a real engine on a directory of its own.
//!
//! Promises: anna's mail is the same at the beginning of each group of inputs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use coldpost_engine::Engine;
use coldpost_engine::account::AccountName;
use coldpost_server::auth::{AccountPolicy, AuthSettings, Authenticator, Password, Peer, Users};
use coldpost_server::imap::{Context, ImapSettings, Metrics, serve};
use coldpost_server::places::Places;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use crate::place::{self, Place};
use crate::{Target, reached, seeds, talk};

/// Bytes that a client sends.
pub const TARGET: Target = Target {
    name: "imap",
    seeds: dialogues,
    words: WORDS,
    opening: b"o1 LOGIN anna sesame\r\no2 SELECT INBOX\r\n",
    feed,
    group: 50,
};

/// Words of the protocol, right and wrong.
pub(crate) const WORDS: &[&[u8]] = &[
    b"a SEARCH ",
    b"a FETCH 1:* ",
    b"UID ",
    b"a STORE 1:* ",
    b"a APPEND INBOX ",
    b"a LIST \"\" * ",
    b"a SELECT INBOX\r\n",
    b"STATUS INBOX ",
    b"a CREATE ",
    b"a MOVE 1 ",
    b"a COPY * ",
    b"a IDLE\r\nDONE\r\n",
    b"a EXPUNGE\r\n",
    b"a NOOP\r\n",
    b"(",
    b")",
    b"{3}\r\n",
    b"{3+}\r\nabc",
    b"{0}\r\n",
    b"{99999999999999999999}\r\n",
    b"{4294967296+}\r\n",
    b"1:*",
    b"*:4294967295",
    b"4294967296",
    b"%",
    b"$",
    b"NOT ",
    b"OR ",
    b"BODY[",
    b"BODY.PEEK[1.2.HEADER.FIELDS (To)]<0.4294967295>",
    b"<0.1>",
    b"BINARY[1]",
    b"BINARY.PEEK[1.1]<0.5>",
    b"BINARY.SIZE[1]",
    b"~{3+}\r\na\0b",
    b" (\\Seen) {1+}\r\nx",
    b"HEADER.FIELDS ",
    b"+FLAGS.SILENT ",
    b"\\Seen",
    b"\\Deleted",
    b"$Label",
    b"INBOX/",
    b"&AOk-",
    b"&",
    b"1-Jan-2000",
    b"RETURN (MIN MAX COUNT ALL) ",
    b"RETURN (SAVE) ",
    b"RETURN (SAVE MIN PARTIAL -1:-2) ",
    b"(PARTIAL 1:2)",
    b"a SORT (REVERSE DATE SUBJECT) UTF-8 ",
    b"a UID SORT RETURN (PARTIAL 1:2) (DISPLAYFROM) UTF-8 ALL\r\n",
    b"a THREAD REFERENCES UTF-8 ",
    b"REFS",
    b"ORDEREDSUBJECT",
    b"a ESEARCH IN (personal subtree-one \"\" mailboxes (INBOX a)) ",
    b"PREVIEW",
    b"PREVIEW (LAZY)",
    b"MODSEQ ",
    b"(UNCHANGEDSINCE 1) ",
    b"(CHANGEDSINCE 1)",
    b"(CONDSTORE)",
    b"(QRESYNC (1 1))",
    b"(QRESYNC (1 1 1:3 (1:2 1:2)))",
    b"(CHANGEDSINCE 1 VANISHED)",
    b"a ENABLE QRESYNC\r\n",
    b"YOUNGER 5 ",
    b"OLDER 4294967295 ",
    b"18446744073709551616",
    b"\"17-Jul-1996 02:44:25 -0700\" ",
    b"NIL",
    b"CHARSET UTF-8 ",
    b"TEXT \"a\" ",
    b"USE (\\Sent)",
];

/// Every command of the one table of the server.
const COMMANDS: &[&str] = &[
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "ID",
    "STARTTLS",
    "AUTHENTICATE",
    "LOGIN",
    "ENABLE",
    "NAMESPACE",
    "SELECT",
    "EXAMINE",
    "CREATE",
    "DELETE",
    "RENAME",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST",
    "LSUB",
    "STATUS",
    "APPEND",
    "IDLE",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "UID EXPUNGE",
    "SEARCH",
    "UID SEARCH",
    "SORT",
    "UID SORT",
    "THREAD",
    "UID THREAD",
    "ESEARCH",
    "FETCH",
    "UID FETCH",
    "STORE",
    "UID STORE",
    "COPY",
    "UID COPY",
    "MOVE",
    "UID MOVE",
];
/// What has no OK on a connection of this kind: any answer counts.
const NEVER_OK: &[&str] = &["STARTTLS"];

/// Octets of a message that APPEND takes here.
const MAX_MESSAGE: u64 = 100_000;
/// KiB of messages in flight.
const MEMORY_KIB: u32 = 1024;

/// How often each command was carried out, and those that never were. What the server counts and the table here does not know is one of
/// the latter, so that the table stays whole.
pub fn reached() -> (BTreeMap<String, u64>, Vec<String>) {
    let families = SERVER.registry.gather();
    let counted = reached::by_command(&families, "coldpost_imap_commands_total", |labels| {
        let name = labels.get("command").copied().unwrap_or_default();
        labels.get("answer") == Some(&"ok") || NEVER_OK.contains(&name)
    });
    reached::compare(counted, COMMANDS, &["none"])
}

/// One connection from its first byte to its last.
pub fn feed(input: &[u8]) -> usize {
    SERVER.feed(input)
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

/// A server without sockets.
struct Server {
    runtime: Runtime,
    engine: Engine,
    ctx: Arc<Context>,
    /// For what is not counted.
    apart: Arc<Context>,
    registry: prometheus::Registry,
    inputs: Mutex<u64>,
    _place: Place,
}

impl Server {
    fn start() -> Server {
        let place = Place::new("fuzz-imap");
        let runtime = place::runtime();
        let engine = place.engine(&runtime);
        let registry = prometheus::Registry::new();
        let context = |registry| Arc::new(context(&engine, place.path(), registry));
        Server {
            ctx: context(&registry),
            apart: context(&prometheus::Registry::new()),
            engine,
            runtime,
            registry,
            inputs: Mutex::new(0),
            _place: place,
        }
    }

    fn feed(&self, input: &[u8]) -> usize {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        if (*inputs).is_multiple_of(TARGET.group) {
            self.runtime.block_on(self.renew());
        }
        *inputs += 1;
        let (taken, said) = self.runtime.block_on(converse(&self.ctx, input));
        assert!(!said.is_empty(), "a greeting");
        is_in_whole_lines(&said);
        taken
    }

    /// Anna has three messages in INBOX and no other mailbox.
    async fn renew(&self) {
        let name = AccountName::normalise("anna").expect("a name");
        let account = self
            .engine
            .open_account(&name)
            .await
            .expect("accounts can be made");
        let script = b"r LOGIN anna sesame\r\nr SELECT INBOX\r\nr STORE 1:* +FLAGS.SILENT (\\Deleted)\r\nr EXPUNGE\r\nr LOGOUT\r\n";
        converse(&self.apart, script).await;
        let mut infos = self
            .engine
            .mailboxes(account)
            .expect("mailboxes can be read");
        infos.sort_by(|a, b| b.name.cmp(&a.name));
        for info in infos {
            if info.subscribed {
                self.engine
                    .subscribe(account, &info.name, false)
                    .await
                    .expect("unsubscribed");
            }
            if info.id.is_some() && info.name != "INBOX" {
                self.engine
                    .delete(account, &info.name)
                    .await
                    .expect("deleted");
            }
        }
        for message in ["hello", "nested", "small"] {
            let bytes = Bytes::from(seeds::message(message));
            self.engine
                .deliver(bytes, &[(account, None)])
                .await
                .expect("mail is taken");
        }
    }
}

fn context(engine: &Engine, directory: &Path, registry: &prometheus::Registry) -> Context {
    let users = Arc::new(Users::new(engine.clone(), AccountPolicy::Create, "+"));
    let auth = AuthSettings {
        dev_password: Password::new("sesame"),
        backend_password: Password::new("backend"),
        unslowed: Vec::new(),
    };
    // Nobody says that it is over.
    let (_, shutdown) = watch::channel(false);
    Context {
        engine: engine.clone(),
        auth: Arc::new(Authenticator::new(auth, users)),
        settings: ImapSettings {
            hostname: "fuzz".to_owned(),
            max_message: MAX_MESSAGE,
            memory_kib: MEMORY_KIB,
            spool: directory.to_owned(),
        },
        metrics: Metrics::new(registry).expect("a fresh registry"),
        memory: Arc::new(Semaphore::new(1024)),
        append_files: Arc::new(Semaphore::new(100)),
        append_files_of: Places::new(100),
        sessions: Places::new(1_000),
        tls: None,
        shutdown,
    }
}

async fn converse(ctx: &Arc<Context>, input: &[u8]) -> (usize, Vec<u8>) {
    let (client, server) = talk::pipe(input);
    let served = tokio::spawn(serve(server, Arc::clone(ctx), Peer::unix()));
    let heard = talk::talk(client, input).await;
    served.await.expect("a session does not panic");
    heard
}

/// Every line ends, every literal is whole, nothing stands where a line begins but `*`, `+` or a tag (in which `]` is fine: RFC 3501, 9).
fn is_in_whole_lines(said: &[u8]) {
    let mut rest = said;
    while let Some(begin) = rest.first() {
        let is_one = begin.is_ascii_graphic() && !b"(){%\"\\".contains(begin);
        assert!(
            is_one,
            "a line begins with {:?}",
            rest[..rest.len().min(80)].escape_ascii().to_string()
        );
        let has_literals = has_literals(rest);
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n");
            let line = &rest[..end.unwrap_or_else(|| panic!("no end: {}", rest.escape_ascii()))];
            assert!(
                !line.contains(&b'\n') && !line.contains(&0),
                "{}",
                line.escape_ascii()
            );
            rest = &rest[line.len() + 2..];
            match literal(line).filter(|_| has_literals) {
                Some(length) => {
                    let behind = rest.get(length..);
                    rest = behind
                        .unwrap_or_else(|| panic!("{length} octets after {}", line.escape_ascii()));
                }
                None => break,
            }
        }
    }
}

/// Whether the response that begins here may have literals. The text of a status only looks like one.
fn has_literals(response: &[u8]) -> bool {
    let is_status = [&b"* OK"[..], b"* NO", b"* BAD", b"* BYE"]
        .iter()
        .any(|begin| response.starts_with(begin));
    response.starts_with(b"* ") && !is_status
}

/// The length of the literal that a line announces at its end.
fn literal(line: &[u8]) -> Option<usize> {
    let digits = line.strip_suffix(b"}")?.rsplit(|b| *b == b'{').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Examples of the RFCs.
pub(crate) fn examples() -> Vec<Vec<u8>> {
    seeds::written(include_str!("../seeds/imap.txt"))
}

fn dialogues() -> Vec<Vec<u8>> {
    let mut seeds = seeds::imap_dialogues();
    seeds.extend(examples());
    seeds
}
