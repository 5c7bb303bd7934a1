//! STARTTLS, the farewell in TLS and the places of an account, over pipes and a real store.

use coldpost_engine::Engine;
use coldpost_engine::account::AccountName;
use coldpost_testkit::certificate::{Certificate, KeyKind};
use coldpost_testkit::line::{Version, client_config};
use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::*;
use crate::auth::{AccountPolicy, AuthSettings, Authenticator, Password, Users};
use crate::imap::{ImapSettings, Metrics};
use crate::places::Places;
use crate::tls::{Tls, TlsFiles};

/// Sessions that an account has here.
const SESSIONS: usize = 2;

struct Server {
    ctx: Arc<Context>,
    certificate: Certificate,
    stop: watch::Sender<bool>,
    _directory: tempfile::TempDir,
}

impl Server {
    async fn start() -> Server {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = crate::lmtp::tests::settings(directory.path());
        let engine = Engine::open(settings).await.expect("a store");
        let certificate = Certificate::make(KeyKind::Ec);
        let [cert, key] = certificate.write(directory.path());
        let auth = AuthSettings {
            backend_password: Password::new("backend"),
            ..AuthSettings::default()
        };
        let users = Users::new(engine.clone(), AccountPolicy::Create, "");
        let (stop, shutdown) = watch::channel(false);
        let ctx = Context {
            engine,
            auth: Arc::new(Authenticator::new(auth, Arc::new(users))),
            settings: ImapSettings {
                hostname: "test".to_owned(),
                max_message: 1_000,
                memory_kib: 1_024,
                spool: directory.path().to_owned(),
            },
            metrics: Metrics::new(&prometheus::Registry::new()).expect("a fresh registry"),
            memory: Arc::new(Semaphore::new(1_024)),
            append_files: Arc::new(Semaphore::new(1)),
            append_files_of: Places::new(1),
            sessions: Places::new(SESSIONS),
            tls: Some(Tls::load("imap", None, TlsFiles { cert, key }).expect("good files")),
            shutdown,
        };
        Server {
            ctx: Arc::new(ctx),
            certificate,
            stop,
            _directory: directory,
        }
    }

    /// A client of another machine.
    fn connect(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let [remote, local] =
            ["192.0.2.1:1", "192.0.2.2:143"].map(|text| text.parse().expect("an address"));
        let peer = Peer::tcp(remote, local, false);
        tokio::spawn(serve(far, Arc::clone(&self.ctx), peer));
        near
    }

    async fn shake(&self, stream: DuplexStream) -> impl AsyncRead + AsyncWrite + Unpin + use<> {
        let config = client_config(&self.certificate, Version::Tls13);
        let name = ServerName::try_from("localhost").expect("a name");
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        connecting.await.expect("a handshake")
    }

    /// A session in TLS, by STARTTLS.
    async fn secure(&self) -> Client<impl AsyncRead + AsyncWrite + Unpin + use<>> {
        let mut clear = Client::new(self.connect());
        clear.line().await;
        let said = clear.ask("a STARTTLS").await;
        assert_eq!(said, "a OK Begin TLS negotiation now\n");
        Client::new(self.shake(clear.0.into_inner()).await)
    }
}

struct Client<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(stream: S) -> Client<S> {
        Client(BufReader::new(stream))
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("open");
        self.0.flush().await.expect("open");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0
            .read_line(&mut line)
            .await
            .expect("open, or closed in order");
        line.replace('\r', "")
    }

    /// Sends a command and reads to its tagged answer.
    async fn ask(&mut self, command: &str) -> String {
        self.send(&format!("{command}\r\n")).await;
        let tag = command.split_inclusive(' ').next().expect("a tag");
        let mut said = String::new();
        loop {
            let line = self.line().await;
            assert!(!line.is_empty(), "closed after {said:?}");
            said.push_str(&line);
            if line.starts_with(tag) {
                return said;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_starttls_nothing_counts_that_was_said_in_clear() {
    let server = Server::start().await;
    let mut clear = Client::new(server.connect());
    let greeting = clear.line().await;
    assert!(greeting.contains("STARTTLS LOGINDISABLED]"), "{greeting}");
    let refused = clear.ask("a LOGIN anna backend").await;
    assert!(refused.contains("NO [PRIVACYREQUIRED]"), "{refused}");
    // What was injected behind STARTTLS on the way is in the same piece.
    clear
        .send("b STARTTLS\r\nc LOGIN anna backend\r\nd NOOP\r\n")
        .await;
    assert_eq!(clear.line().await, "b OK Begin TLS negotiation now\n");
    assert_eq!(clear.0.buffer(), b"", "nothing follows in clear");
    let mut tls = Client::new(server.shake(clear.0.into_inner()).await);
    // The first line is the answer to the first command in TLS: no greeting, no answer to c and d.
    let capabilities = tls.ask("e CAPABILITY").await;
    assert!(
        capabilities.starts_with("* CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE AUTH=PLAIN\n"),
        "{capabilities}"
    );
    assert_eq!(tls.ask("f SELECT INBOX").await, "f BAD Log in first\n");
    assert_eq!(tls.ask("g STARTTLS").await, "g BAD TLS is on already\n");
    let logged_in = tls.ask("h LOGIN anna backend").await;
    assert!(
        logged_in.starts_with("h OK") && !logged_in.contains("STARTTLS"),
        "{logged_in}"
    );
    server.ctx.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_farewell_reaches_an_idle_client_in_tls_and_tls_is_closed_in_order() {
    let server = Server::start().await;
    let mut client = server.secure().await;
    client.ask("a LOGIN anna backend").await;
    client.ask("b SELECT INBOX").await;
    client.send("c IDLE\r\n").await;
    assert!(client.line().await.starts_with('+'));
    server.stop.send_replace(true);
    assert_eq!(
        client.line().await,
        "* BYE [UNAVAILABLE] The server stops\n"
    );
    // An end without close_notify would be an error here.
    assert_eq!(client.line().await, "");
    server.ctx.engine.close().await;
}

#[tokio::test]
async fn a_silent_session_hears_within_a_minute_that_its_account_was_deleted() {
    let server = Server::start().await;
    let mut client = server.secure().await;
    client.ask("a LOGIN anna backend").await;
    client.ask("b SELECT INBOX").await;
    let anna = AccountName::normalise("anna").expect("a name");
    let deleting = server.ctx.engine.delete_account(&anna, false);
    deleting.await.expect("it is deleted");
    tokio::time::pause();
    let asked = tokio::time::Instant::now();
    assert_eq!(client.line().await, "* BYE The account was deleted\n");
    assert!(asked.elapsed().as_secs() < 60);
    tokio::time::resume();
    server.ctx.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_so_many_sessions_and_one_that_ends_makes_room() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        let mut client = server.secure().await;
        assert!(client.ask("a LOGIN anna backend").await.starts_with("a OK"));
        clients.push(client);
    }
    let mut late = server.secure().await;
    let refused = late.ask("a LOGIN anna backend").await;
    assert!(
        refused.starts_with("a NO [LIMIT] Too many sessions"),
        "{refused}"
    );
    assert!(late.ask("b LOGIN bert backend").await.starts_with("b OK"));
    let mut gone = clients.pop().expect("it is there");
    gone.ask("b LOGOUT").await;
    assert_eq!(gone.line().await, "", "its end");
    // The place is given back when the task has ended, shortly after the client heard of it.
    let freed = async {
        let mut next = server.secure().await;
        while !next.ask("a LOGIN anna backend").await.starts_with("a OK") {
            tokio::task::yield_now().await;
        }
    };
    timeout(IMAP_FAREWELL_TIMEOUT, freed)
        .await
        .expect("a place");
    server.ctx.engine.close().await;
}
