//! Files of text that were damaged: the same answers as before, or that they are damaged.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use coldpost_search::Error;
use coldpost_search::limits::{SIGNATURE_FRAMES_MIN, TEXT_PIECE_MAX};
use coldpost_search::text::{
    Ask, Hearing, Key, Kind, Rect, Run, RunWriter, Source, TextId, Wanted, merge,
};
use coldpost_testkit::dice::Dice;

use crate::Target;
use crate::text::{Folded, MADE, Written, id, written};

/// Files of text: a small one, one with signatures, one with a text in pieces.
pub const TARGET: Target = Target {
    name: "text-run",
    seeds: || files().iter().map(|file| file.bytes.clone()).collect(),
    words: &[
        b"COLDTXT1",
        b"\x28\xb5\x2f\xfd",
        b"\x55\x2a\x4d\x18",
        b"\x56\x2a\x4d\x18",
        b"\x5d\x2a\x4d\x18",
        b"\x5e\x2a\x4d\x18",
        b"\xff\xff\xff\xff",
        b"\x80\x80\x80\x80\x10",
        b"\0\0\0\0\0\0\0\0",
    ],
    opening: b"",
    feed,
    group: 1,
};

const ACCOUNTS: [u64; 2] = [7, 8];
/// Bytes of a footer, and of those of it that its checksum is of.
const FOOTER: usize = 48;
const FOOTER_SUMMED: usize = 44;
/// Where it says where the index begins.
const INDEX_AT: usize = 16;
/// Bytes of the index before what its checksum is of; the checksum is the last four of them.
const INDEX_HEAD: usize = 12;

/// Damaged files that could be opened, answers that were given by them, and those that were damage.
static OPENED: AtomicU64 = AtomicU64::new(0);
static ANSWERED: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Damaged files that could be opened, answers of theirs, and answers that were that they are damaged.
pub fn reached() -> (u64, u64, u64) {
    (
        OPENED.load(Ordering::Relaxed),
        ANSWERED.load(Ordering::Relaxed),
        REFUSED.load(Ordering::Relaxed),
    )
}

/// A file that is whole, and what it answers.
struct Whole {
    id: [u8; 16],
    bytes: Vec<u8>,
    answers: Answers,
}

/// All that a file says.
#[derive(Debug, PartialEq)]
struct Answers {
    rect: Rect,
    raw_bytes: u64,
    /// Whose texts it has, and of which messages.
    messages: Vec<(u64, Said<Vec<TextId>>)>,
    /// Hits by account and what was asked.
    hits: Vec<Said<Vec<TextId>>>,
    /// What becomes of it in a merge.
    merged: Said<Vec<u8>>,
}

/// None: that it is damaged.
type Said<T> = Option<T>;

/// The bytes of a file; nobody asks for more than it has.
struct Bounded(Vec<u8>);

impl Source for Bounded {
    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        assert!(
            bytes <= self.0.len(),
            "{bytes} bytes are asked of {}",
            self.0.len()
        );
        self.0.read_at(offset, bytes)
    }
}

fn asks() -> Vec<Ask> {
    let long = pieces_text();
    vec![
        Ask::any(Kind::Body, "NEEDLE 1"),
        Ask::any(Kind::Body, "E"),
        Ask::any(Kind::Body, "NOWHERE AT ALL"),
        Ask::any(Kind::Body, "ÜSSE NEE"),
        Ask::any(
            Kind::Body,
            &long[TEXT_PIECE_MAX - 90_000..TEXT_PIECE_MAX + 90_000],
        ),
        Ask::any(Kind::Header, "NEEDLE 2"),
        Ask::field("X-TRACE", ""),
        Ask::field("X-TRACE", "NEEDLE 3"),
        Ask::field("SUBJECT", "TRACE"),
    ]
}

/// A text of more than a piece, that packs well.
fn pieces_text() -> String {
    let lines =
        (0..TEXT_PIECE_MAX / 20).map(|line| format!("LINE {} OF THE LONG TEXT ", line % 9_973));
    lines.collect()
}

/// A small message of a number.
fn small(number: u64) -> Folded {
    let body = vec![
        format!("GRÜSSE NEEDLE {number} IN THE BODY"),
        "THE END".to_owned(),
    ];
    let header = vec![
        format!("SUBJECT: NEEDLE {number}"),
        format!("X-TRACE: BY NEEDLE {}", number + 1),
    ];
    [body, header]
}

/// A message whose texts fill a frame and pack well.
fn large(number: u64) -> Folded {
    let mut dice = Dice::new(number);
    let line = format!("{:X} AND NEEDLE {number}, ", dice.draw());
    [
        vec![line.repeat(2_000)],
        vec![format!("X-TRACE: {}", line.repeat(1_500))],
    ]
}

fn files() -> &'static [Whole] {
    static FILES: OnceLock<Vec<Whole>> = OnceLock::new();
    FILES.get_or_init(|| {
        let signed = u64::try_from(SIGNATURE_FRAMES_MIN).expect("64 bits") + 2;
        let smalls: Vec<Folded> = (1..9).map(small).collect();
        let larges: Vec<Folded> = (1..=signed).map(large).collect();
        let pieces = [
            vec!["BEFORE".to_owned(), pieces_text()],
            vec!["X-TRACE: LONG".to_owned()],
        ];
        let sets: [Vec<&Folded>; 3] = [
            smalls.iter().collect(),
            larges.iter().chain(&smalls).collect(),
            smalls
                .iter()
                .take(2)
                .chain([&pieces])
                .chain(&smalls)
                .collect(),
        ];
        (1_u8..)
            .zip(sets)
            .map(|(number, mails)| {
                let id = [number; 16];
                let of = |account: u64, from: usize| {
                    (1..)
                        .zip(&mails)
                        .skip(from)
                        .map(move |(at, mail)| (account, at, *mail))
                };
                // The other one has the small ones alone.
                let other = mails.len() - 3;
                let all: Vec<_> = of(ACCOUNTS[0], 0).chain(of(ACCOUNTS[1], other)).collect();
                let bytes = written(id, &all);
                let run = open(&bytes, id).expect("what was written is read");
                let answers = answers(&run);
                assert!(answers.merged.is_some() && answers.hits.iter().all(Option::is_some));
                Whole { id, bytes, answers }
            })
            .collect()
    })
}

fn open(bytes: &[u8], id: [u8; 16]) -> Result<Run, Error> {
    let size = u64::try_from(bytes.len()).expect("64 bits");
    Run::open(Arc::new(Bounded(bytes.to_vec())), size, id, Arc::new(()))
}

/// What was said; none when it is damage.
fn said<T>(answer: Result<T, Error>) -> Said<T> {
    match answer {
        Ok(answer) => Some(answer),
        // A file that ends too early.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(error) => {
            assert!(error.is_corrupt(), "{error}");
            None
        }
    }
}

fn answers(run: &Run) -> Answers {
    let accounts: Vec<u64> = run.accounts().collect();
    let mut hits = Vec::new();
    for account in ACCOUNTS {
        for ask in asks() {
            let mut ids = Vec::new();
            let mut hearing = Hearing {
                hit: &mut |_, id| ids.push(id),
                is_late: &mut || false,
            };
            let asked = run.find(account, &[ask], Wanted::All, &mut hearing);
            ids.dedup();
            hits.push(said(asked.map(|()| ids)));
        }
    }
    Answers {
        rect: run.rect(),
        raw_bytes: run.raw_bytes(),
        messages: accounts
            .into_iter()
            .map(|account| (account, said(run.messages(account))))
            .collect(),
        hits,
        merged: merged(run),
    }
}

/// The file that a merge makes of it, in which one message is dead.
fn merged(run: &Run) -> Said<Vec<u8>> {
    let out = Written::default();
    let mut open = || Ok(out.file([9; 16]));
    let mut writer = RunWriter::new(run.rect(), MADE, &mut open).expect("zstd works");
    let mut is_alive = |key: Key| Ok(key.id != id(2));
    let done = merge(
        std::slice::from_ref(run),
        &mut writer,
        &mut is_alive,
        &mut || true,
    );
    said(done.map_err(|(_, error)| error))?;
    writer.end().expect("memory takes everything");
    Some(out.bytes())
}

/// Reads a file in every way in which files of text are read: as it is, with the whole index and end of each file behind it, so that frames and
/// signatures are the damage, and with checksums of its end and index that fit.
pub fn feed(input: &[u8]) -> usize {
    for whole in files() {
        compare(input, whole);
        compare(&ended(input, whole), whole);
    }
    // What is read then may be anything.
    if let Some(fitting) = fitted(input, files()[0].id)
        && let Some(run) = said(open(&fitting, files()[0].id))
    {
        answers(&run);
    }
    input.len()
}

/// Whatever a file that can be opened says is what the whole one says.
fn compare(bytes: &[u8], whole: &Whole) {
    let Some(run) = said(open(bytes, whole.id)) else {
        return;
    };
    let (now, was) = (answers(&run), &whole.answers);
    assert_eq!((now.rect, now.raw_bytes), (was.rect, was.raw_bytes));
    for (now, was) in now.messages.iter().zip(&was.messages) {
        let is_same = now.1.is_none() || now.1 == was.1;
        assert!(now.0 == was.0 && is_same, "{now:?}, not {was:?}");
    }
    for (now, was) in now.hits.iter().zip(&was.hits) {
        assert!(now.is_none() || now == was, "{now:?}, not {was:?}");
    }
    let is_same = now.merged.is_none() || now.merged == was.merged;
    assert!(is_same, "a merge made it worse");
    if bytes != whole.bytes {
        let refused = now.hits.iter().filter(|answer| answer.is_none()).count();
        let answered = now.hits.len() - refused;
        OPENED.fetch_add(1, Ordering::Relaxed);
        for (counter, count) in [(&ANSWERED, answered), (&REFUSED, refused)] {
            counter.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

/// The input as long as a file is, with the index and end of it.
fn ended(input: &[u8], whole: &Whole) -> Vec<u8> {
    let index = index_of(&whole.bytes).expect("it is whole");
    let mut bytes = whole.bytes.clone();
    let damaged = input.len().min(index);
    bytes[..damaged].copy_from_slice(&input[..damaged]);
    bytes
}

/// Where the footer says that the index begins.
fn index_of(bytes: &[u8]) -> Option<usize> {
    let footer = bytes.len().checked_sub(FOOTER)?;
    let at = bytes.get(footer + INDEX_AT..)?.first_chunk()?;
    usize::try_from(u64::from_le_bytes(*at)).ok()
}

/// With checksums of the footer and of the index that it names, for the file of this name.
fn fitted(input: &[u8], id: [u8; 16]) -> Option<Vec<u8>> {
    let seed = crc32c::crc32c(&id);
    let mut bytes = input.to_vec();
    let footer = bytes.len().checked_sub(FOOTER)?;
    let index = index_of(&bytes)?;
    let body = bytes.get(index.checked_add(INDEX_HEAD)?..footer)?;
    let crc = crc32c::crc32c_append(seed, body);
    bytes
        .get_mut(index + INDEX_HEAD - 4..index + INDEX_HEAD)?
        .copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c_append(seed, bytes.get(footer..footer + FOOTER_SUMMED)?);
    bytes
        .get_mut(footer + FOOTER_SUMMED..)?
        .copy_from_slice(&crc.to_le_bytes());
    Some(bytes)
}
