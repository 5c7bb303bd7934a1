//! Dialogues: client and server lines as text files (`dialogues/run.rs` says how they are written), run against a real
//! engine in a temporary directory; and what text files cannot say.

#[path = "dialogues/resync.rs"]
mod resync;
#[path = "dialogues/run.rs"]
mod run;
#[path = "dialogues/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::sync::Arc;

use coldpost_engine::account::AccountName;
use coldpost_server::auth::{AccountPolicy, Peer};
use server::{Connection, MEMORY_KIB, Server, Setup, message};

macro_rules! dialogues {
    ($($name:ident),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            run::run(stringify!($name)).await;
        })*

        #[test]
        fn every_dialogue_is_run() {
            let listed = [$(stringify!($name).trim_start_matches("r#")),*];
            for file in std::fs::read_dir(server::directory()).expect("the dialogues are there") {
                let path = file.expect("readable").path();
                if path.extension().is_some_and(|extension| extension == "txt") {
                    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
                    assert!(listed.contains(&name.as_str()), "add {name} to the list in {}", file!());
                }
            }
        }
    };
}

dialogues! {
    append,
    authenticate,
    bad_commands,
    binary,
    close,
    condstore,
    copy,
    create_delete_rename,
    esearch,
    examine,
    expunge,
    fetch_away,
    fetch_items,
    fetch_partial,
    fetch_sections,
    fetch_seen,
    greeting,
    id_enable_namespace,
    idle,
    list,
    list_extended,
    literals,
    login,
    lsub,
    r#move,
    multiappend,
    objectid,
    pipelining,
    preview,
    preview_away,
    qresync,
    rename_inbox,
    rfc3502_6_3_11,
    rfc5032_4,
    rfc5258_5,
    rfc5819_3,
    rfc6154_5_1,
    rfc6154_5_3,
    rfc7162_3_1,
    rfc7162_3_2,
    rfc7162_6,
    rfc6203_4,
    rfc7377_2,
    rfc7889_3,
    rfc8438_3,
    rfc8474_4,
    rfc8474_5,
    rfc8514_4,
    rfc9394_3,
    search,
    searchres,
    select,
    sort,
    status,
    store,
    thread,
    two_sessions,
    utf7,
}

/// A connection that is logged in as anna.
async fn anna(server: &Server) -> Connection {
    let mut connection = server.connect();
    connection
        .exchange(b"a0 LOGIN anna sesame\r\n", "a0 OK")
        .await;
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_bytes_get_the_same_answers_however_they_are_split() {
    let mut script =
        b"a1 LOGIN {4+}\r\nanna {6}\r\nsesame\r\na2 SELECT INBOX\r\na3 APPEND INBOX () {176}\r\n"
            .to_vec();
    script.extend_from_slice(&message("hello"));
    script.extend_from_slice(
        b"\r\na4 FETCH 1 (UID FLAGS BODY[])\r\na5 NONSENSE\r\na6 IDLE\r\nDONE\r\na7 LOGOUT\r\n",
    );
    let mut answers = Vec::new();
    for pipe in [1, 3, 65_536] {
        let server = Server::start(Setup::default()).await;
        let heard = server
            .connect_as(Peer::unix(), pipe)
            .exchange(&script, "a7 OK")
            .await;
        // What each store has of its own.
        let own = |before: &str| {
            let behind = heard.split(before).nth(1).expect("SELECT tells it");
            behind.split(']').next().expect("it ends").to_owned()
        };
        let dated = heard.replace(&own("UIDVALIDITY "), "DATED");
        answers.push(dated.replace(&own("MAILBOXID "), "NUMBERED"));
        server.engine.close().await;
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_of_the_daemon_says_bye_also_in_idle() {
    let server = Server::start(Setup::default()).await;
    let mut between = anna(&server).await;
    let mut idle = anna(&server).await;
    idle.exchange(b"a1 IDLE\r\n", "+ ").await;
    server.stop();
    for connection in [&mut between, &mut idle] {
        assert!(
            connection
                .line()
                .await
                .expect("a last line")
                .starts_with("* BYE [UNAVAILABLE]")
        );
        connection
            .line()
            .await
            .expect_err("the connection is closed");
    }
    server.engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_others_can_read_offers_no_login() {
    let server = Server::start(Setup::default()).await;
    let address = |text: &str| text.parse().expect("an address and a port");
    let peer = Peer::tcp(address("192.0.2.1:999"), address("192.0.2.2:143"), false);
    let mut connection = server.connect_as(peer, 4096);
    assert!(
        connection
            .line()
            .await
            .expect("a greeting")
            .contains(" LOGINDISABLED]")
    );
    connection
        .exchange(b"a1 LOGIN anna backend\r\n", "a1 NO [PRIVACYREQUIRED]")
        .await;
    connection
        .exchange(
            b"a2 AUTHENTICATE PLAIN AGFubmEAYmFja2VuZA==\r\n",
            "a2 NO [PRIVACYREQUIRED]",
        )
        .await;
    // Over TLS the backend password is taken, the development password is not.
    let peer = Peer::tcp(address("192.0.2.1:999"), address("192.0.2.2:993"), true);
    let mut connection = server.connect_as(peer, 4096);
    connection
        .exchange(b"b1 LOGIN anna backend\r\n", "b1 OK")
        .await;
    server.engine.close().await;
}

/// Rows of 60 KB are read a few at a time, and those that do not fit come with the next batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_with_long_headers_are_fetched_each_once_and_in_order() {
    let server = Server::start(Setup::default()).await;
    server.deliver("anna", "hello").await;
    let name = AccountName::normalise("anna").expect("a good name");
    let account = server
        .engine
        .open_account(&name)
        .await
        .expect("she is there");
    let to = "somebody@example.org,\r\n ".repeat(2_500);
    for number in 2..=70 {
        let long = format!("Subject: {number}\r\nTo: {to}\r\n\r\nbody\r\n");
        let delivered = server.engine.deliver(long.into(), &[(account, None)]).await;
        delivered.expect("mail is taken");
    }
    let mut connection = anna(&server).await;
    connection.exchange(b"a1 SELECT INBOX\r\n", "a1 OK").await;
    for (tag, items) in [
        ("b1", "UID BODY.PEEK[HEADER.FIELDS (Subject)]"),
        ("b2", "UID BODY.PEEK[TEXT]"),
    ] {
        let command = format!("{tag} FETCH 1:* ({items})\r\n");
        let end = format!("{tag} OK");
        let heard = connection.exchange(command.as_bytes(), &end).await;
        let answers = heard.lines().filter(|line| line.contains(" FETCH (UID "));
        let told: Vec<_> = answers.filter_map(|line| line.split(' ').nth(1)).collect();
        let wanted: Vec<_> = (1..=70).map(|number| number.to_string()).collect();
        assert_eq!(told, wanted, "{items}");
    }
    server.engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_listed_accounts_may_log_in_where_accounts_are_listed() {
    let server = Server::start(Setup {
        accounts: AccountPolicy::Listed,
        ..Setup::default()
    })
    .await;
    server.deliver("anna", "hello").await;
    let mut connection = server.connect();
    connection
        .exchange(b"a1 LOGIN bert sesame\r\n", "a1 NO [AUTHENTICATIONFAILED]")
        .await;
    connection
        .exchange(b"a2 LOGIN ANNA sesame\r\n", "a2 OK")
        .await;
    server.engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_waits_for_its_share_of_the_memory() {
    let server = Server::start(Setup::default()).await;
    let others = Arc::clone(&server.ctx.memory)
        .acquire_many_owned(MEMORY_KIB)
        .await;
    let mut connection = anna(&server).await;
    let mut append = b"a1 APPEND INBOX {90000+}\r\n".to_vec();
    append.extend_from_slice(&[b'x'; 90_000]);
    append.extend_from_slice(b"\r\n");
    connection.send(&append).await;
    // Another session is not held up by it.
    let mut reader = anna(&server).await;
    let status = reader
        .exchange(b"b1 STATUS INBOX (MESSAGES)\r\n", "b1 OK")
        .await;
    assert!(status.contains("(MESSAGES 0)"), "{status}");
    drop(others);
    connection.exchange(b"", "a1 OK [APPENDUID").await;
    assert_eq!(
        server.ctx.memory.available_permits(),
        usize::try_from(MEMORY_KIB).expect("small")
    );
    server.engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_fetch_reaches_a_slow_client_whole() {
    let server = Server::start(Setup::default()).await;
    let body = vec![b'x'; 20_000];
    let mut connection = anna(&server).await;
    for number in 0..40 {
        let mut append = format!("b{number} APPEND INBOX {{{}+}}\r\n", body.len()).into_bytes();
        append.extend_from_slice(&body);
        append.extend_from_slice(b"\r\n");
        connection.exchange(&append, &format!("b{number} OK")).await;
    }
    let mut slow = server.connect_as(Peer::unix(), 64);
    let script = b"c1 LOGIN anna sesame\r\nc2 SELECT INBOX\r\nc3 FETCH 1:* (FLAGS BODY[])\r\n";
    let heard = slow.exchange(script, "c3 OK").await;
    assert_eq!(heard.matches("BODY[] {20000}").count(), 40);
    assert_eq!(
        heard.matches("FLAGS (\\Seen").count(),
        40,
        "each tells that it was read"
    );
    server.engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_gives_every_octet_as_it_is() {
    let server = Server::start(Setup::default()).await;
    server.deliver("anna", "binary").await;
    let mut connection = anna(&server).await;
    connection.exchange(b"a1 SELECT INBOX\r\n", "a1 OK").await;
    let heard = connection
        .exchange(b"a2 FETCH 1 BINARY.PEEK[2]\r\n", "a2 OK")
        .await;
    assert!(
        heard.starts_with("* 1 FETCH (BINARY[2] ~{4}\n\0\u{1}\u{2}\u{ff})\n"),
        "{heard:?}"
    );
    let mut append = b"a3 APPEND INBOX ~{90000+}\r\n\r\n".to_vec();
    let body: Vec<u8> = (0..=255).cycle().take(89_998).collect();
    append.extend_from_slice(&body);
    append.extend_from_slice(b"\r\n");
    connection.exchange(&append, "a3 OK").await;
    connection.send(b"a4 FETCH 2 BINARY.PEEK[1]\r\n").await;
    let announced = connection.line().await.expect("an answer");
    assert_eq!(announced, "* 2 FETCH (BINARY[1] ~{89998}");
    let octets = connection.octets(body.len()).await;
    let differs = octets.iter().zip(&body).position(|(got, sent)| got != sent);
    assert_eq!(differs, None, "the first octet that is another one");
    assert_eq!(connection.line().await.as_deref(), Ok(")"));
    connection.exchange(b"", "a4 OK").await;
    server.engine.close().await;
}

/// The story: the INBOX of an account that was deleted and made again had the id of the old one, with other mail in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mailbox_has_the_id_of_one_before_it() {
    let server = Server::start(Setup::default()).await;
    let name = AccountName::normalise("anna").expect("a good name");
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        let mut connection = anna(&server).await;
        let status = connection.exchange(b"a1 STATUS INBOX (MAILBOXID)\r\n", "a1 OK");
        let status = status.await;
        let id = status.split(['(', ')']).nth(2).expect("STATUS tells it");
        assert!(seen.insert(id.to_owned()), "{id} again");
        let deleted = server.engine.delete_account(&name, false).await;
        deleted.expect("it is there");
    }
    server.engine.close().await;
}

/// What the answers say of the flags of message 1, last word last, without \Recent.
fn told_flags(heard: &str) -> Option<BTreeSet<String>> {
    let last = heard
        .lines()
        .rfind(|line| line.starts_with("* 1 FETCH (") && line.contains("FLAGS ("))?;
    let flags = last.split("FLAGS (").nth(1)?.split(')').next()?;
    let flags = flags.split(' ').filter(|flag| !flag.is_empty());
    Some(
        flags
            .filter(|flag| *flag != "\\Recent")
            .map(str::to_owned)
            .collect(),
    )
}

/// The story: two sessions stored flags of one message at once; each was told the other's modseq at most, never its flag.
/// `store` is what stands between STORE and its flag, `select` behind the mailbox.
async fn sessions_learn_what_others_store(store: &str, select: &str) {
    let server = Server::start(Setup::default()).await;
    server.deliver("anna", "hello").await;
    let mut sessions = [anna(&server).await, anna(&server).await];
    let mut beliefs = [BTreeSet::new(), BTreeSet::new()];
    for session in &mut sessions {
        let select = format!("a1 SELECT INBOX{select}\r\n");
        session.exchange(select.as_bytes(), "a1 OK").await;
    }
    for round in 0..200 {
        let sign = if round % 2 == 0 { '+' } else { '-' };
        let stores = ["\\Flagged", "\\Answered"].map(|flag| {
            let store = store.replace('±', &sign.to_string());
            format!("b STORE 1 {store} ({flag})\r\n").into_bytes()
        });
        let [one, other] = &mut sessions;
        let heard = tokio::join!(
            one.exchange(&stores[0], "b OK"),
            other.exchange(&stores[1], "b OK")
        );
        let heard = [heard.0, heard.1];
        for (at, heard) in heard.iter().enumerate() {
            let own = ["\\Flagged", "\\Answered"][at].to_owned();
            match (sign, told_flags(heard)) {
                (_, Some(told)) => beliefs[at] = told,
                ('+', None) => drop(beliefs[at].insert(own)),
                (_, None) => drop(beliefs[at].remove(&own)),
            }
            let later = sessions[at].exchange(b"c NOOP\r\n", "c OK").await;
            if let Some(told) = told_flags(&later) {
                beliefs[at] = told;
            }
            let truth = sessions[at].exchange(b"d FETCH 1 FLAGS\r\n", "d OK").await;
            let truth = told_flags(&truth).expect("it was asked");
            assert_eq!(beliefs[at], truth, "round {round}: {heard}{later}");
        }
    }
    server.engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_store_tells_what_another_session_stored_at_once() {
    sessions_learn_what_others_store("±FLAGS.SILENT", "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_store_under_condstore_tells_what_another_session_stored_at_once() {
    sessions_learn_what_others_store("±FLAGS.SILENT", " (CONDSTORE)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_tells_last_what_is_true_last() {
    sessions_learn_what_others_store("±FLAGS", "").await;
}

/// The story: what another session stored while \Seen was set was told first, and then the older flags with the body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_sets_seen_tells_last_what_is_true_last() {
    let server = Server::start(Setup::default()).await;
    server.deliver("anna", "hello").await;
    let (mut reader, mut other) = (anna(&server).await, anna(&server).await);
    for session in [&mut reader, &mut other] {
        session.exchange(b"a1 SELECT INBOX\r\n", "a1 OK").await;
    }
    for round in 0..200 {
        let store = format!("b STORE 1 {}FLAGS (\\Flagged)\r\n", ["+", "-"][round % 2]);
        reader
            .exchange(b"a STORE 1 -FLAGS (\\Seen)\r\n", "a OK")
            .await;
        let (heard, _) = tokio::join!(
            reader.exchange(b"b FETCH 1 (FLAGS BODY[])\r\n", "b OK"),
            other.exchange(store.as_bytes(), "b OK")
        );
        let later = reader.exchange(b"c NOOP\r\n", "c OK").await;
        let told = told_flags(&later).or_else(|| told_flags(&heard));
        let truth = reader.exchange(b"d FETCH 1 FLAGS\r\n", "d OK").await;
        assert_eq!(told, told_flags(&truth), "round {round}: {heard}{later}");
    }
    server.engine.close().await;
}
