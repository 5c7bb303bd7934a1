//! Readable without us: the `zstd` command over sealed segments, cut by the lengths in their index, gives every message.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use coldpost_testkit::dice::Dice;
use coldpost_testkit::process;
use coldpost_testkit::tool::{NPM, TAR, ZSTD};
use coldpost_testkit::{Daemon, Must, Options, corpus, exact, have};
use coldpost_tiers::address::{BlobId, Recode};
use coldpost_tiers::disk::RealDisk;
use coldpost_tiers::segment::SealedSegment;

const USER: &str = "ann@example.org";
/// Every twelfth message of the corpus is enough to fill some segments.
const STEP: usize = 12;

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

fn sealed(journal: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(journal).must("listing the journal");
    let paths = entries.map(|entry| entry.must("an entry").path());
    let mut sealed: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    sealed.sort();
    sealed
}

#[test]
fn the_zstd_command_and_the_index_give_every_message_of_the_sealed_segments() {
    if !have(&[ZSTD, NPM, TAR]) {
        return;
    }
    let options =
        Options::new(env!("CARGO_BIN_EXE_coldpost")).text("journal", "segment_size", "1MiB");
    let mut daemon = Daemon::start(options);
    let mut dice = Dice::new(1);
    let mut sent = vec![
        with_attachment(&mut dice, 76, true),
        with_attachment(&mut dice, 72, false),
        without_parts(&mut dice),
    ];
    let selection = corpus::selection(STEP);
    let plain = selection.into_iter().map(|(_, mail)| mail);
    sent.extend(
        plain
            .filter(|mail| !mail.is_empty() && !mail.contains(&0))
            .cloned(),
    );
    let mut imap = daemon.imap(USER);
    for mail in &sent {
        imap.append("INBOX", "", mail);
    }
    drop(imap);
    daemon.stop();
    let shard = daemon.data_dir().join("shards/0001");
    let mut store = Store {
        blobs: shard.join("blobs"),
        blobs_read: 0,
    };
    let mut found = 0;
    for path in sealed(&shard.join("journal")) {
        for message in store.messages(&path) {
            let wanted = &sent[found];
            assert!(
                message == *wanted,
                "message {found} in {}: {}",
                path.display(),
                exact::first_difference("message", &message, wanted)
            );
            found += 1;
        }
    }
    println!(
        "{found} of {} messages are in sealed segments, {} blobs were read",
        sent.len(),
        store.blobs_read
    );
    assert!(
        store.blobs_read >= 3 && found > 50 && found + 400 > sent.len(),
        "{found} of {}",
        sent.len()
    );
}
