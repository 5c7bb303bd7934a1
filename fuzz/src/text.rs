//! The texts of mail on their way into a file of text: what stands in them is found there, and nothing else is.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use coldpost_engine::mail::describe;
use coldpost_engine::mail::part::Part;
use coldpost_engine::mail::text::{Scope, texts};
use coldpost_search::fold::fold_collapsed;
use coldpost_search::limits::{SIGNATURE_FRAMES_MIN, TEXT_FRAME_MAX, TEXT_PIECE_MAX};
use coldpost_search::text::{
    Ask, Hearing, Kind, Made, NewFile, Piece, Pieces, Rect, Run, RunWriter, TextId, Wanted,
};
use coldpost_testkit::dice::Dice;

use crate::{Target, mail, seeds};

/// Messages as they come.
pub const TARGET: Target = Target {
    name: "text",
    seeds: seeds::mail,
    words: mail::TARGET.words,
    opening: b"",
    feed,
    group: 1,
};

/// Whose the message is.
const ACCOUNT: u64 = 7;
/// Needles of each kind that are drawn from a message.
const NEEDLES: usize = 6;
/// Characters of most of them at most; of one in eight more.
const NEEDLE: u64 = 40;
const NEEDLE_LONG: u64 = 6_000;
/// One input of so many stands among so much other text that the file has signatures.
const SIGNED_EVERY: u64 = 16;

/// Folded texts of one message: of its body, and of its header.
pub(crate) type Folded = [Vec<String>; 2];

/// How the files came to be.
pub(crate) const MADE: Made = Made {
    rules: 1,
    epoch: 1,
    position: 9,
    time: 1_000,
};

/// The message at a position.
pub(crate) fn id(position: u64) -> TextId {
    TextId {
        epoch: 1,
        position,
        number: 0,
    }
}

/// Bytes that others see while they are written.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    /// All of them.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A file that is empty.
    pub(crate) fn file(&self, id: [u8; 16]) -> NewFile {
        NewFile {
            id,
            out: Box::new(self.clone()),
            at: 0,
        }
    }
}

/// A file with the texts of messages, in the order of accounts and positions.
pub(crate) fn written(file_id: [u8; 16], mails: &[(u64, u64, &Folded)]) -> Vec<u8> {
    let out = Written::default();
    let mut open = || Ok(out.file(file_id));
    let mut writer = RunWriter::new(Rect::all(0, u64::MAX), MADE, &mut open).expect("zstd works");
    for (account, position, kinds) in mails {
        for (kind, texts) in Kind::ALL.into_iter().zip(kinds.iter()) {
            let mut pieces = Pieces::default();
            let mut give = |piece: Piece<'_>| {
                assert!(piece.text.len() <= TEXT_PIECE_MAX, "a piece is too long");
                let added = writer.add(*account, id(*position), kind, piece);
                added.expect("memory takes everything");
            };
            for text in texts {
                pieces.add(text, false, &mut give);
            }
            pieces.end(&mut give);
        }
    }
    let files = writer.end().expect("memory takes everything");
    assert_eq!(files.len(), 1, "it is bounded by the input");
    out.bytes()
}

/// The texts of a message, folded each as a whole; and that they are the same in steps.
fn folded(message: &[u8], parts: &[Part]) -> Folded {
    [Scope::Body, Scope::Header].map(|scope| {
        let mut wholes: Vec<String> = Vec::new();
        let (mut pieces, mut joined) = (Pieces::default(), String::new());
        let mut join = |piece: Piece<'_>| {
            assert!(joined.ends_with(&piece.text[..piece.repeats]), "it repeats");
            joined.push_str(&piece.text[piece.repeats..]);
        };
        let ended = texts(message, parts, scope, &mut |piece| {
            match wholes.last_mut() {
                Some(last) if piece.goes_on => last.push_str(piece.text),
                _ => wholes.push(piece.text.to_owned()),
            }
            pieces.add(piece.text, piece.goes_on, &mut join);
            ControlFlow::Continue(())
        });
        assert!(ended.is_continue(), "nobody broke");
        pieces.end(&mut join);
        let folded = wholes.iter().map(|text| fold_collapsed(text));
        let folded: Vec<String> = folded.filter(|text| !text.is_empty()).collect();
        assert_eq!(joined.trim_end_matches('\n'), folded.join("\n"));
        folded
    })
}

/// Other messages, so that there is something to tell apart, and enough of them for a signature.
fn others() -> &'static Vec<Folded> {
    static OTHERS: OnceLock<Vec<Folded>> = OnceLock::new();
    OTHERS.get_or_init(|| {
        let count = u64::try_from(SIGNATURE_FRAMES_MIN).expect("64 bits") + 1;
        let filled = |seed: u64| {
            let mut dice = Dice::new(seed);
            let mut text = String::new();
            while text.len() < TEXT_FRAME_MAX - 100 {
                text += &format!("{:x} ", dice.below(1 << 20)).to_uppercase();
            }
            text
        };
        (0..count)
            .map(|seed| [vec![filled(seed)], vec![filled(seed + count)]])
            .collect()
    })
}

/// Takes the texts of a message, writes them among others, and looks for pieces of them.
pub fn feed(input: &[u8]) -> usize {
    let description = describe(input);
    let message = folded(input, &description.parts);
    let seed = u64::from_le_bytes(
        *blake3::hash(input)
            .as_bytes()
            .first_chunk()
            .expect("32 bytes"),
    );
    let mut dice = Dice::new(seed);
    let near = [
        [
            vec!["BEFORE IT".to_owned()],
            vec!["SUBJECT: BEFORE".to_owned()],
        ],
        [
            vec!["BEHIND IT".to_owned()],
            vec!["SUBJECT: BEHIND".to_owned()],
        ],
    ];
    let mut mails = vec![
        (ACCOUNT, 1, &near[0]),
        (ACCOUNT, 2, &message),
        (ACCOUNT, 3, &near[1]),
    ];
    if dice.below(SIGNED_EVERY) == 0 {
        mails.extend((4..).zip(others()).map(|(at, other)| (ACCOUNT, at, other)));
    }
    // Of somebody else, with the same texts: never told.
    mails.push((ACCOUNT + 1, 2, &message));
    let bytes = written([3; 16], &mails);
    let size = u64::try_from(bytes.len()).expect("64 bits");
    let run =
        Run::open(Arc::new(bytes), size, [3; 16], Arc::new(())).expect("what was written is read");
    let asks = drawn(&message, &mut dice);
    let mut found = vec![Vec::new(); asks.len()];
    let mut hearing = Hearing {
        hit: &mut |ask, id| found[ask].push(id.position),
        is_late: &mut || false,
    };
    run.find(ACCOUNT, &asks, Wanted::All, &mut hearing)
        .expect("what was written is read");
    for (ask, mut found) in asks.iter().zip(found) {
        found.sort_unstable();
        found.dedup();
        let of_account = mails.iter().filter(|(account, ..)| *account == ACCOUNT);
        let hits = of_account.filter(|(_, _, kinds)| {
            let texts = &kinds[if ask.kind == Kind::Body { 0 } else { 1 }];
            ask.is_in(&texts.join("\n"))
        });
        let scanned: Vec<u64> = hits.map(|(_, position, _)| *position).collect();
        assert_eq!(found, scanned, "found in the file, found in the texts");
    }
    input.len()
}

/// Stretches of the texts, each of which is found; among them values of fields.
fn drawn(message: &Folded, dice: &mut Dice) -> Vec<Ask> {
    let mut asks = Vec::new();
    for (kind, texts) in Kind::ALL.into_iter().zip(message) {
        for _ in 0..NEEDLES.min(texts.len() * NEEDLES) {
            let text = dice.pick(texts);
            let needle = stretch(text, dice);
            assert!(text.contains(needle), "a stretch of it");
            asks.push(Ask::any(kind, needle));
            match text.split_once(": ") {
                Some((name, value)) if kind == Kind::Header => {
                    asks.push(Ask::field(name, stretch(value, dice)));
                    asks.push(Ask::field(name, ""));
                }
                _ => asks.push(Ask::any(kind, &format!("{needle}\u{1}"))),
            }
        }
    }
    asks
}

fn stretch<'t>(text: &'t str, dice: &mut Dice) -> &'t str {
    let longest = if dice.below(8) == 0 {
        NEEDLE_LONG
    } else {
        NEEDLE
    };
    let start = dice.index(text.len());
    let start = (0..=start).rev().find(|at| text.is_char_boundary(*at));
    let text = &text[start.unwrap_or(0)..];
    let length = usize::try_from(1 + dice.below(longest)).expect("64 bits");
    let end = text
        .char_indices()
        .nth(length)
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}
