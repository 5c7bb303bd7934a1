//! IMAP framing: the same events however the bytes are cut.

use coldpost_server::imap::framing::{Event, Framer, FramerLimits};
use coldpost_server::imap::reply::{Code, Refusal};

use crate::{Target, imap, seeds};

/// Bytes of a client, cut.
pub const TARGET: Target = Target {
    name: "framing",
    seeds: seeds::imap_dialogues,
    words: imap::WORDS,
    opening: b"a APPEND x {5}\r\nab\r\nc\r\n",
    feed,
    group: 1,
};

/// Small bounds that inputs reach, and those of a session.
const SMALL: FramerLimits = FramerLimits {
    line: 160,
    literal: 16,
    message: Some(1000),
};

/// Whole, byte by byte, and in pieces that grow: all the same.
pub fn feed(input: &[u8]) -> usize {
    for limits in [SMALL, FramerLimits::after_login(100_000)] {
        let whole = events(limits, [input]);
        assert_eq!(events(limits, input.chunks(1)), whole, "byte by byte");
        let (mut pieces, mut rest) = (Vec::new(), input);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + pieces.len() * 7 % 97));
            pieces.push(piece);
            rest = behind;
        }
        assert_eq!(events(limits, pieces), whole, "in pieces");
    }
    input.len()
}

/// What a session would hear; the pieces of a message joined.
fn events<'a>(limits: FramerLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut framer = Framer::new(limits);
    let (mut heard, mut message) = (Vec::new(), Vec::new());
    for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next() {
                Ok(None) => break,
                Ok(Some(Event::AppendData(data))) => {
                    assert!(!data.is_empty(), "no empty pieces");
                    message.extend_from_slice(&data);
                }
                Ok(Some(event)) => {
                    answer(&mut framer, &event);
                    heard.extend(
                        (!message.is_empty())
                            .then(|| Event::AppendData(std::mem::take(&mut message).into())),
                    );
                    heard.push(event);
                }
                Err(closed) => {
                    heard.push(Event::Refused(closed));
                    return heard;
                }
            }
        }
    }
    heard.extend((!message.is_empty()).then(|| Event::AppendData(message.into())));
    heard
}

/// IDLE asks for a line, an APPEND that names `full` is refused.
fn answer(framer: &mut Framer, event: &Event) {
    match event {
        Event::Command(bytes) if bytes.ends_with(b" IDLE") => framer.expect_line(),
        Event::AppendLiteral { command, .. } if command.windows(4).any(|seen| seen == b"full") => {
            framer.refuse(Refusal::no(Code::OverQuota, "full"));
        }
        Event::AppendLiteral { .. } => framer.accept(),
        _ => {}
    }
}
