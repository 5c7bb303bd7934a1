//! Listeners over real sockets on free ports and in temporary directories.

use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::*;
use crate::shutdown;

const TWO: Protocol = Protocol {
    name: "test",
    connections_max: 2,
    address_max: 2,
    busy: "busy\r\n",
    busy_address: "busy for you\r\n",
};

fn free_port() -> Address {
    "127.0.0.1:0".parse().expect("an address")
}

async fn connect(address: &Address) -> Stream {
    match address {
        Address::Tcp(address) => Box::new(TcpStream::connect(address).await.expect("it listens")),
        Address::Unix(path) => Box::new(UnixStream::connect(path).await.expect("it listens")),
    }
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("lmtp");
    let address = Address::Unix(path.clone());
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    let live = Listener::bind(&address, "test")
        .await
        .expect("the stale file is replaced");
    let second = Listener::bind(&address, "test")
        .await
        .expect_err("somebody listens");
    assert!(
        second.to_string().contains("listens there already"),
        "{second}"
    );
    drop(live);
    assert!(!path.exists());
    std::fs::write(&path, "mine").expect("written");
    let file = Listener::bind(&address, "test")
        .await
        .expect_err("not a socket: never removed");
    assert!(file.to_string().contains("is no socket"), "{file}");
    assert_eq!(std::fs::read(&path).expect("still there"), b"mine");
}

#[tokio::test]
async fn connections_over_the_limit_are_told_so_and_the_others_drain() {
    let listener = Listener::bind(&free_port(), "test").await.expect("bound");
    let address = listener.address().clone();
    let (trigger, shutdown) = shutdown::channel();
    let release = Arc::new(Notify::new());
    let held = Arc::clone(&release);
    let gate = Arc::new(Gate::new(TWO, vec![]));
    let running = tokio::spawn(listener.run(
        gate,
        Speaks::Clear,
        shutdown,
        move |mut stream: Stream, _| {
            let held = Arc::clone(&held);
            async move {
                stream.write_all(b"hello\r\n").await.expect("open");
                held.notified().await;
                stream.write_all(b"bye\r\n").await.expect("open");
            }
        },
    ));
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = connect(&address).await;
        let mut hello = [0; 7];
        client.read_exact(&mut hello).await.expect("greeted");
        clients.push(client);
    }
    let mut third = String::new();
    connect(&address)
        .await
        .read_to_string(&mut third)
        .await
        .expect("told");
    assert_eq!(third, "busy\r\n");

    trigger.pull();
    release.notify_waiters();
    for mut client in clients {
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.expect("drained");
        assert_eq!(rest, "bye\r\n");
    }
    running.await.expect("it ended");
}
