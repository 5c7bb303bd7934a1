//! Readable without us: the `zstd` command over sealed segments, cut by the lengths in their index, gives every message.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use coldpost_testkit::dice::Dice;
use coldpost_testkit::process;
use coldpost_testkit::tool::{NPM, TAR, ZSTD};
use coldpost_testkit::{Daemon, Must, Options, corpus, exact, have, wait};
use coldpost_tiers::address::{BlobId, Recode};
use coldpost_tiers::disk::RealDisk;
use coldpost_tiers::segment::SealedSegment;

const USER: &str = "ann@example.org";
/// Until everything sealed is in the bucket.
const UPLOADED_WITHIN: Duration = Duration::from_secs(60);

/// What `zstd -dc` says of a file.
fn unpacked(path: &Path) -> Vec<u8> {
    process::run(Command::new(ZSTD.path()).arg("-dcq").arg(path))
}

fn noise(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|_| dice.draw().to_le_bytes()[0]).collect()
}

/// 3 MB that nothing compresses, in lines of base64.
fn with_attachment(dice: &mut Dice, line: usize, padded: bool) -> Vec<u8> {
    let mut mail = b"Subject: large\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nBefore.\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n".to_vec();
    let bytes = noise(dice, 2_250_001 + usize::from(padded));
    let text = STANDARD.encode(bytes);
    for chunk in text.as_bytes().chunks(line) {
        mail.extend_from_slice(chunk);
        mail.extend_from_slice(b"\r\n");
    }
    mail.extend_from_slice(b"--b\r\n\r\nBehind.\r\n--b--\r\n");
    mail
}

/// 8-bit text of a megabyte without any part that could leave: all of it does.
fn without_parts(dice: &mut Dice) -> Vec<u8> {
    let mut mail = b"Subject: noise\r\n\r\n".to_vec();
    mail.extend(
        noise(dice, 1_000_000)
            .into_iter()
            .filter(|byte| !matches!(byte, 0 | b'\r' | b'\n')),
    );
    mail.extend_from_slice(b"\r\n");
    mail
}

/// The bytes of a blob as the message has them.
fn recoded(blob: &[u8], recode: Recode) -> Vec<u8> {
    let Recode::Base64 { line, crlf, flags } = recode else {
        return blob.to_vec();
    };
    let text = if flags & 1 == 1 {
        STANDARD.encode(blob)
    } else {
        STANDARD_NO_PAD.encode(blob)
    };
    let end: &[u8] = if crlf { b"\r\n" } else { b"\n" };
    let lines: Vec<&[u8]> = text
        .as_bytes()
        .chunks(usize::try_from(line).must("a line"))
        .collect();
    let mut out = lines.join(end);
    if flags & 2 == 2 {
        out.extend_from_slice(end);
    }
    out
}

struct Store {
    blobs: PathBuf,
    blobs_read: usize,
}

impl Store {
    fn blob(&mut self, id: BlobId) -> Vec<u8> {
        self.blobs_read += 1;
        let name: String = id.0.iter().map(|byte| format!("{byte:02x}")).collect();
        unpacked(&self.blobs.join(name))
    }

    /// The messages of a segment, in order.
    fn messages(&mut self, path: &Path) -> Vec<Vec<u8>> {
        let segment = SealedSegment::open(&RealDisk, path).must("a sealed segment");
        let text = unpacked(path);
        let mut rest = text.as_slice();
        let mut messages = Vec::new();
        for entry in segment.index().must("its index") {
            let mut message = Vec::new();
            let size = usize::try_from(entry.raw).must("a size");
            let mut take = |length: usize, message: &mut Vec<u8>| {
                let (here, behind) = rest.split_at(length);
                message.extend_from_slice(here);
                rest = behind;
            };
            for gap in &entry.gaps {
                let before = usize::try_from(gap.offset).must("an offset") - message.len();
                take(before, &mut message);
                let bytes = recoded(&self.blob(gap.blob), gap.recode);
                assert_eq!(bytes.len() as u64, gap.length, "the length of a gap");
                message.extend_from_slice(&bytes);
            }
            take(size - message.len(), &mut message);
            messages.push(message);
        }
        assert!(
            rest.is_empty(),
            "{} bytes that the index does not name",
            rest.len()
        );
        messages
    }
}

/// The files of a directory that end in `.ending`, or all; in the order of their names, which is that of the journal.
fn files(dir: &Path, ending: Option<&str>) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).must(&format!("listing {}", dir.display()));
    let paths = entries.map(|entry| entry.must("an entry").path());
    let mut files: Vec<PathBuf> = paths
        .filter(|path| ending.is_none_or(|ending| path.extension().is_some_and(|e| e == ending)))
        .collect();
    files.sort();
    files
}

/// A message as it was sent, and how.
struct Sent {
    bytes: Vec<u8>,
    by_lmtp: bool,
}

/// Sends the whole corpus, in turns by LMTP and by APPEND, and what does not fit into an entry by both.
fn send(daemon: &Daemon) -> Vec<Sent> {
    let mut dice = Dice::new(1);
    let mut mails = vec![
        with_attachment(&mut dice, 76, true),
        with_attachment(&mut dice, 72, false),
        without_parts(&mut dice),
    ];
    let large = mails.len();
    mails.extend(corpus::selection(1).into_iter().map(|(_, m)| m.clone()));
    let (mut imap, mut lmtp) = (daemon.imap(USER), daemon.lmtp());
    let mut sent = Vec::new();
    for (number, mail) in mails.into_iter().enumerate() {
        let can_append = !mail.is_empty() && !mail.contains(&0);
        let by_append = can_append && (number < large || number % 2 == 0);
        if number < large || !by_append {
            let bytes = corpus::crlf(&mail);
            lmtp.deliver("b@example.org", USER, &bytes);
            sent.push(Sent {
                bytes,
                by_lmtp: true,
            });
        }
        if by_append {
            imap.append("INBOX", "", &mail);
            sent.push(Sent {
                bytes: mail,
                by_lmtp: false,
            });
        }
    }
    sent
}

/// Appends what nobody looks for until the segment that is open now is sealed.
fn seal(daemon: &Daemon, journal: &Path) {
    let open = files(journal, Some("open"));
    let (mut imap, mut dice) = (daemon.imap(USER), Dice::new(2));
    for _ in 0..100 {
        let lines: String = (0..1_000)
            .map(|_| format!("{:016x}{:016x}\r\n", dice.draw(), dice.draw()))
            .collect();
        let filler = format!("Subject: filler\r\n\r\n{lines}");
        imap.append("INBOX", "", filler.as_bytes());
        if open.iter().all(|path| !path.exists()) {
            return;
        }
    }
    panic!("{open:?} stays open");
}

/// Every message that was sent is in the segments, in order; behind them comes filler only.
fn compare(segments: &[PathBuf], blobs: &Path, sent: &[Sent]) {
    let mut store = Store {
        blobs: blobs.to_owned(),
        blobs_read: 0,
    };
    let mut wanted = sent.iter().enumerate();
    for path in segments {
        for message in store.messages(path) {
            let Some((number, sent)) = wanted.next() else {
                assert!(message.starts_with(b"Subject: filler\r\n"));
                continue;
            };
            if let Err(difference) = same(&message, sent) {
                panic!("message {number} in {}: {difference}", path.display());
            }
        }
    }
    assert_eq!(wanted.count(), 0, "messages are in no segment");
    assert!(
        store.blobs_read >= 6,
        "only {} blobs were read",
        store.blobs_read
    );
}

/// As it was sent, below the two lines that LMTP adds.
fn same(message: &[u8], sent: &Sent) -> Result<(), String> {
    let below = message.strip_suffix(sent.bytes.as_slice());
    match below {
        Some(added) if sent.by_lmtp => {
            let text = String::from_utf8_lossy(added);
            let lines = text
                .split_inclusive("\r\n")
                .filter(|line| !line.starts_with(['\t', ' ']));
            let names: Vec<&str> = lines
                .filter_map(|line| Some(line.split_once(':')?.0))
                .collect();
            if names == ["Return-Path", "Received"] {
                Ok(())
            } else {
                Err(format!("{text:?} stands before it"))
            }
        }
        Some(b"") => Ok(()),
        _ => Err(exact::first_difference("message", message, &sent.bytes)),
    }
}

#[test]
fn the_zstd_command_and_the_index_give_every_message_of_the_sealed_segments() {
    if !have(&[ZSTD, NPM, TAR]) {
        return;
    }
    let options =
        Options::new(env!("CARGO_BIN_EXE_coldpost")).text("journal", "segment_size", "1MiB");
    let daemon = Daemon::start(options);
    let sent = send(&daemon);
    let shard = daemon.data_dir().join("shards/0001");
    let journal = shard.join("journal");
    seal(&daemon, &journal);
    let segments = files(&journal, Some("seg"));
    assert!(segments.len() >= 5, "{} segments", segments.len());
    compare(&segments, &shard.join("blobs"), &sent);

    wait::until("uploads", UPLOADED_WITHIN, || {
        daemon.metric("coldpost_uploads_waiting") == Some(0.0)
    });
    let bucket = daemon.data_dir().join("cold");
    let epochs = files(&bucket.join("segments/0001"), None);
    let objects: Vec<PathBuf> = epochs.iter().flat_map(|epoch| files(epoch, None)).collect();
    assert!(objects.len() >= segments.len(), "{objects:?}");
    compare(&objects, &bucket.join("blobs/0001"), &sent);
}
