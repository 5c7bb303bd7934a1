//! Handshakes over pipes, and files that change.

use std::fs;
use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::Arc;

use coldpost_testkit::certificate::{Certificate, KeyKind};
use coldpost_testkit::line::{Version, client_config};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client;
use tokio_rustls::rustls::pki_types::ServerName;

use super::*;
use crate::limits::TLS_FILE_MAX;

struct Place {
    dir: TempDir,
    files: TlsFiles,
}

impl Place {
    fn with(certificate: &Certificate) -> Place {
        let dir = tempfile::tempdir().expect("a directory");
        let [cert, key] = certificate.write(dir.path());
        let files = TlsFiles { cert, key };
        Place { dir, files }
    }

    fn load(&self) -> Result<Tls, String> {
        Tls::load("test", Some("imap"), self.files.clone())
    }
}

/// A handshake of both ends over a pipe.
async fn shake(
    tls: &Tls,
    trusted: &Certificate,
    version: Version,
    alpn: &[&str],
) -> (
    Option<TlsStream<DuplexStream>>,
    io::Result<client::TlsStream<DuplexStream>>,
) {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let mut config = client_config(trusted, version);
    config.alpn_protocols = alpn.iter().map(|id| id.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, near);
    tokio::join!(tls.accept(far, &"pipe", pending()), connecting)
}

#[tokio::test]
async fn both_versions_are_spoken_and_an_alien_protocol_is_refused() {
    let certificate = Certificate::make(KeyKind::Ec);
    let tls = Place::with(&certificate).load().expect("good files");
    for version in [Version::Tls12, Version::Tls13] {
        let (server, client) = shake(&tls, &certificate, version, &[]).await;
        let (mut server, mut client) = (server.expect("agreed"), client.expect("agreed"));
        client.write_all(b"hello").await.expect("open");
        client.flush().await.expect("open");
        let mut heard = [0; 5];
        server.read_exact(&mut heard).await.expect("open");
        assert_eq!(&heard, b"hello");
    }
    let (server, client) = shake(&tls, &certificate, Version::Tls13, &["imap"]).await;
    assert!(server.is_some() && client.is_ok());
    let (server, client) = shake(&tls, &certificate, Version::Tls13, &["http/1.1"]).await;
    assert!(server.is_none() && client.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_or_half_a_hello_is_cut_at_the_limit() {
    let tls = Place::with(&Certificate::make(KeyKind::Ec))
        .load()
        .expect("good files");
    // A handshake record of 512 bytes that is announced, and of which four come.
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"] {
        let (mut near, far) = tokio::io::duplex(1024);
        near.write_all(sent).await.expect("open");
        let begun = tokio::time::Instant::now();
        assert!(tls.accept(far, &"pipe", pending()).await.is_none());
        assert_eq!(begun.elapsed(), TLS_HANDSHAKE_TIMEOUT);
        assert_eq!(near.read(&mut [0]).await.expect("closed"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_does_not_end_is_cut_at_its_bound_and_what_follows_a_handshake_is_not() {
    let certificate = Certificate::make(KeyKind::Ec);
    let tls = Place::with(&certificate).load().expect("good files");
    // A message of 65,520 bytes, in records of 16,000.
    let mut hello = b"\x01\x00\xff\xf0".to_vec();
    hello.resize(64_000, 0);
    let (mut near, far) = tokio::io::duplex(1024);
    let mut sent = 0;
    let sending = async {
        for record in hello.chunks(16_000) {
            let begin = [0x16, 3, 1, 0x3e, 0x80];
            for piece in begin.chunks(5).chain(record.chunks(500)) {
                near.write_all(piece).await?;
                sent += piece.len();
            }
        }
        io::Result::Ok(())
    };
    let begun = tokio::time::Instant::now();
    let (refused, _) = tokio::join!(tls.accept(far, &"pipe", pending()), sending);
    assert!(refused.is_none() && begun.elapsed().is_zero());
    assert!(sent <= TLS_HANDSHAKE_BYTES_MAX + 4096 + 1024, "{sent}");

    let (server, client) = shake(&tls, &certificate, Version::Tls13, &[]).await;
    let (mut server, mut client) = (server.expect("agreed"), client.expect("agreed"));
    let mail = vec![b'x'; 4 * TLS_HANDSHAKE_BYTES_MAX];
    let mut heard = vec![0; mail.len()];
    let writing = async {
        client.write_all(&mail).await?;
        client.flush().await
    };
    let (written, read) = tokio::join!(writing, server.read_exact(&mut heard));
    assert!(written.is_ok() && read.is_ok() && heard == mail);
}

#[tokio::test(start_paused = true)]
async fn the_shutdown_word_ends_a_handshake_at_once() {
    let tls = Place::with(&Certificate::make(KeyKind::Ec))
        .load()
        .expect("good files");
    let (_near, far) = tokio::io::duplex(1024);
    let begun = tokio::time::Instant::now();
    let stop = tokio::task::yield_now();
    assert!(tls.accept(far, &"pipe", stop).await.is_none());
    assert_eq!(begun.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_costs_no_more_than_the_buffer() {
    let certificate = Certificate::make(KeyKind::Ec);
    let tls = Place::with(&certificate).load().expect("good files");
    let (server, client) = shake(&tls, &certificate, Version::Tls13, &[]).await;
    let (mut server, _client) = (server.expect("agreed"), client.expect("agreed"));
    let mut taken = 0;
    let piece = vec![b'x'; 64 * 1024];
    let writing = async {
        loop {
            taken += server.write(&piece).await.expect("open");
        }
    };
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    timeout(day, writing).await.expect_err("nobody reads");
    // What the pipe holds, what the session holds, and the piece that was on its way.
    assert!(taken <= 16 * 1024 + TLS_BUFFER + piece.len(), "{taken}");
}

#[tokio::test]
async fn new_files_are_served_from_the_next_handshake_on_and_bad_ones_change_nothing() {
    let (old, new) = (
        Certificate::make(KeyKind::Ec),
        Certificate::make(KeyKind::Rsa),
    );
    let place = Place::with(&old);
    let tls = place.load().expect("good files");
    let serves = async |certificate: &Certificate| {
        let (_, client) = shake(&tls, certificate, Version::Tls13, &[]).await;
        client.is_ok()
    };
    assert!(serves(&old).await);
    // The certificate is there and its key not yet.
    fs::write(&place.files.cert, new.pem()).expect("written");
    tls.current.look();
    assert!(serves(&old).await && !serves(&new).await);
    let problems = tls.current.problems();
    assert!(problems[0].contains("it is not the key of"), "{problems:?}");
    fs::remove_file(&place.files.key).expect("removed");
    tls.current.look();
    assert!(serves(&old).await);
    new.write(place.dir.path());
    tls.current.look();
    assert!(serves(&new).await && !serves(&old).await);
    assert_eq!(tls.current.problems(), Vec::<String>::new());
    // 2090-01-01
    assert_eq!(tls.expires(), Some(3_786_912_000));
}

#[test]
fn keys_are_read_in_all_their_forms() {
    for (kind, label, header) in [
        (KeyKind::Rsa, "RSA PRIVATE KEY", 26),
        (KeyKind::Ec, "EC PRIVATE KEY", 29),
    ] {
        let certificate = Certificate::make(kind);
        let place = Place::with(&certificate);
        place.load().expect("PKCS#8");
        // PKCS#8 is a header, of a length that is the same for all keys of a kind, and the key in its older form.
        let older = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            &certificate.key_der()[header..],
        );
        let pem = format!("-----BEGIN {label}-----\n{older}\n-----END {label}-----\n");
        fs::write(&place.files.key, pem).expect("written");
        place.load().expect(label);
    }
}

#[test]
fn what_is_wrong_with_the_files_is_said_with_what_to_do() {
    let certificate = Certificate::make(KeyKind::Ec);
    let said = |change: &dyn Fn(&TlsFiles)| {
        let place = Place::with(&certificate);
        change(&place.files);
        place.load().expect_err("bad files")
    };
    let put = |path: &Path, text: &str| fs::write(path, text).expect("written");
    let other = Certificate::make(KeyKind::Ec).key_pem();
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let long = "x".repeat(usize::try_from(TLS_FILE_MAX).expect("it fits") + 1);
    let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,03\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let half = certificate.pem();
    let half = half.get(..half.len() - 30).expect("longer");
    let cases: [(String, &str); 9] = [
        (
            said(&|f| fs::remove_file(&f.cert).expect("removed")),
            "the daemon's user must be able to read it",
        ),
        (said(&|f| put(&f.cert, "")), "it wants the chain in PEM"),
        (
            said(&|f| put(&f.cert, garbage)),
            "ask its issuer for a new one",
        ),
        (
            said(&|f| put(&f.cert, &long)),
            "is longer than 1048576 bytes",
        ),
        (
            said(&|f| put(&f.key, encrypted)),
            "openssl pkey -in OLD -out NEW",
        ),
        (
            said(&|f| put(&f.key, older)),
            "openssl pkey -in OLD -out NEW",
        ),
        (said(&|f| put(&f.cert, half)), "ends in the middle"),
        (
            said(&|f| put(&f.key, &certificate.pem())),
            "has no private key",
        ),
        (
            said(&|f| put(&f.key, &other)),
            "give the two that were made together",
        ),
    ];
    for (said, expected) in cases {
        assert!(
            said.starts_with("tls_") && said.contains(expected),
            "{said}"
        );
    }
}
