//! Reading mail: description, sections, text for the search, and cut and rebuilt byte for byte.

use std::ops::ControlFlow;

use coldpost_engine::limits::{DESCRIPTION_MAX, FRAME_MAX, LEVELS_MAX, PARTS_MAX, TEXT_PIECE_MAX};
use coldpost_engine::mail::part::{Located, locate};
use coldpost_engine::mail::text::{Scope, texts};
use coldpost_engine::mail::{
    Description, PartKind, SearchField, Section, SectionText, codec, decode, describe,
    frame_borders,
};
use coldpost_tiers::frame;

use crate::{Target, seeds};

/// Decoded bytes from which a part stands in frames of its own: small, so that many do.
const ATTACHMENT_THRESHOLD: u64 = 1024;

/// Messages as they come.
pub const TARGET: Target = Target {
    name: "mail",
    seeds: seeds::mail,
    words: &[
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Type: text/html; charset=utf-7\r\n\r\n",
        b"=?iso-2022-jp?b?GyRC?=",
        b"=?utf-8?q?=",
        b"charset*0*=utf-8''%e2",
        b"From: \"a\\\" <b@c>, (d (e)) f@g,;\r\n",
        b"group: a@b, c@d;",
        b"Date: 31 Feb 99999 25:61:61 +9999\r\n",
        b"References: <a@b> <c@d>\r\n",
        b"Message-ID: <>\r\n",
        b"Subject: Re: [a] Fwd: (fwd)\r\n",
    ],
    opening: b"",
    feed,
    group: 1,
};

/// Describes a message and looks at everything that is promised of a description.
pub fn feed(input: &[u8]) -> usize {
    let description = describe(input);
    tree_is_whole(input, &description);
    let encoded = codec::encode(&description);
    assert!(
        encoded.len() <= DESCRIPTION_MAX,
        "a description of {} bytes",
        encoded.len()
    );
    let decoded = codec::decode(&encoded).expect("what was encoded is read");
    assert_eq!(decoded, description);
    for field in SearchField::ALL {
        let _ = description.search_texts(field);
    }
    let _ = decode::header_text(input, "subject");
    sections_lie_inside(input, &description);
    text_is_bounded(input, &description);
    is_rebuilt(input, &description);
    // A row that was damaged under its checksum is an error, whatever it says.
    let _ = codec::decode(input);
    input.len()
}

fn tree_is_whole(message: &[u8], description: &Description) {
    let size = u64::try_from(message.len()).expect("64 bits");
    let parts = &description.parts;
    assert!(
        (1..=PARTS_MAX).contains(&parts.len()),
        "{} parts",
        parts.len()
    );
    assert_eq!(
        (parts[0].header, parts[0].end, parts[0].parent),
        (0, size, 0)
    );
    let mut levels = vec![1_usize];
    for (index, part) in parts.iter().enumerate() {
        assert!(
            part.header <= part.body && part.body <= part.end && part.end <= size,
            "part {index}: {part:?}"
        );
        if index > 0 {
            let above = usize::try_from(part.parent).expect("an index");
            let parent = &parts[above];
            assert!(
                above < index && parent.kind != PartKind::Leaf,
                "part {index} has a parent that has parts"
            );
            assert!(
                part.header >= parent.body && part.end <= parent.end,
                "part {index} lies in its parent"
            );
            levels.push(levels[above] + 1);
        }
    }
    assert!(levels.iter().all(|level| *level <= LEVELS_MAX));
    for item in [
        &description.envelope,
        &description.body,
        &description.bodystructure,
    ] {
        assert!(
            !item.contains(&0) && item.starts_with(b"("),
            "an item that IMAP cannot send"
        );
    }
}

fn sections_lie_inside(message: &[u8], description: &Description) {
    let size = u64::try_from(message.len()).expect("64 bits");
    let fields = || vec!["subject".to_owned(), "received".to_owned()];
    for path in [
        vec![],
        vec![1],
        vec![2],
        vec![1, 1],
        vec![1, 2],
        vec![1, 1, 1],
        vec![u32::MAX],
    ] {
        for text in [
            SectionText::All,
            SectionText::Header,
            SectionText::HeaderFields(fields()),
            SectionText::HeaderFieldsNot(fields()),
            SectionText::Text,
            SectionText::Mime,
        ] {
            let section = Section {
                path: path.clone(),
                text,
            };
            match locate(&description.parts, &section) {
                Located::Range(range) | Located::Filtered(range, ..) => {
                    assert!(
                        range.start <= range.end && range.end <= size,
                        "{section:?} at {range:?}"
                    );
                }
                Located::Absent => {}
            }
        }
    }
}

fn text_is_bounded(message: &[u8], description: &Description) {
    for scope in [Scope::Body, Scope::Header] {
        let ended = texts(message, &description.parts, scope, &mut |piece| {
            assert!(
                piece.text.len() <= TEXT_PIECE_MAX,
                "a piece of {} bytes",
                piece.text.len()
            );
            ControlFlow::Continue(())
        });
        assert!(ended.is_continue(), "nobody broke");
    }
}

/// What is stored gives the message again.
fn is_rebuilt(message: &[u8], description: &Description) {
    let borders = frame_borders(&description.parts, ATTACHMENT_THRESHOLD, FRAME_MAX);
    assert!(
        borders.is_sorted_by(|a, b| a < b),
        "borders ascend: {borders:?}"
    );
    let (stored, frames) = frame::compress_message(message, &borders);
    let mut rebuilt = Vec::with_capacity(message.len());
    let mut at = 0;
    for reference in &frames {
        let end = at + usize::try_from(reference.stored).expect("64 bits");
        let raw = frame::decompress(&stored[at..end], reference, "fuzz", 0)
            .expect("what was stored is read");
        rebuilt.extend_from_slice(&raw);
        at = end;
    }
    assert!(
        at == stored.len() && rebuilt == message,
        "rebuilt byte for byte"
    );
    let _ = frame::decompress_each(message, "fuzz", 0, |_| {});
}
