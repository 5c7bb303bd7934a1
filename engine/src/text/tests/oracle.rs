//! Random needles against a plain look through the decoded, folded texts of the same mail: none missed, none invented, and no mail read for it.

use std::ops::ControlFlow;

use coldpost_search::fold::fold_collapsed;
use coldpost_testkit::corpus;

use super::*;
use crate::mail::describe;
use crate::mail::text::{Scope, texts};
use crate::op::Op;

/// Needles in the suite; `COLDPOST_LONG` asks for ten times as many.
const NEEDLES: u32 = 1_000;
const GENERATED: usize = 400;
const CORPUS_STEP: usize = 12;

/// Words that mails are made of, of as many kinds as there are scripts.
const WORDS: [&[&str]; 7] = [
    &[
        "Rechnung",
        "straße",
        "naïve",
        "ﬁnal",
        "Zwölf",
        "co-operate",
        "a.b@c.example",
        "x=1&y=2",
    ],
    &["Привет", "ЗАВТРА", "ёлка", "счёт-фактура", "№17"],
    &["Καλημέρα", "ΣΊΣΥΦΟΣ", "λόγος", "ᾳᾼ"],
    &[
        "日本語の文章",
        "請求書",
        "東京都",
        "한국어",
        "각가나",
        "ハロー",
    ],
    &["مرحبا", "فاتورة", "العربية", "שלום"],
    &["🍎", "👩‍👩‍👧", "🇩🇪", "☃️", "e\u{301}"],
    &[
        "the", "of", "and", "(no)", "--", "\u{a0}", "!?", "100%", "[x]",
    ],
];

/// The folded texts of a message, by who is asked for them: BODY, and what TEXT has beside.
struct Scanned {
    body: Vec<String>,
    header: Vec<String>,
}

fn scan(raw: &[u8]) -> Scanned {
    let parts = describe(raw).parts;
    let of = |scope| {
        let mut whole: Vec<String> = Vec::new();
        let _ = texts(raw, &parts, scope, &mut |piece| {
            match whole.last_mut() {
                Some(last) if piece.goes_on => last.push_str(piece.text),
                _ => whole.push(piece.text.to_owned()),
            }
            ControlFlow::Continue(())
        });
        whole.iter().map(|text| fold_collapsed(text)).collect()
    };
    Scanned {
        body: of(Scope::Body),
        header: of(Scope::Header),
    }
}

fn line(dice: &mut Dice) -> String {
    let script = *dice.pick(&WORDS);
    let words = (0..1 + dice.below(9)).map(|_| {
        let of = match dice.below(4) {
            0 => *dice.pick(&WORDS),
            _ => script,
        };
        *dice.pick(of)
    });
    let words: Vec<&str> = words.collect();
    match dice.below(3) {
        0 => words.concat(),
        _ => words.join(" "),
    }
}

/// A mail in many languages, plain or as HTML, with a subject in encoded words.
fn generated(dice: &mut Dice) -> Vec<u8> {
    use base64::Engine as _;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let subject = base64(&line(dice));
    let lines: Vec<String> = (0..1 + dice.below(40)).map(|_| line(dice)).collect();
    let (kind, text) = match dice.below(3) {
        0 => (
            "html",
            format!(
                "<p>{}</p><a href='https://example.org/{}'>x</a>",
                lines.join("<br>"),
                dice.below(999)
            ),
        ),
        _ => ("plain", lines.join("\r\n")),
    };
    let body = base64(&text);
    let body: Vec<&str> = body
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "Subject: =?utf-8?B?{subject}?=\r\nX-Trace: {}\r\nMIME-Version: 1.0\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        dice.below(1_000_000),
        body.join("\r\n")
    )
    .into_bytes()
}

/// A piece of a text, from 1 to 40 characters, in some case; now and then of what is nowhere.
fn needle(dice: &mut Dice, scanned: &[Scanned]) -> String {
    let of = dice.pick(scanned);
    let all = match dice.below(4) {
        0 => &of.header,
        _ => &of.body,
    };
    let text: Vec<char> = match all.is_empty() {
        true => vec!['x'],
        false => dice.pick(all).chars().collect(),
    };
    let length = 1 + dice.index(40);
    let start = dice.index(text.len().max(1));
    let end = (start + length).min(text.len());
    let piece: String = text.get(start..end).unwrap_or_default().iter().collect();
    match dice.below(4) {
        0 => piece.to_lowercase(),
        1 => format!("{piece}{}", dice.pick(&['q', 'Ж', '語'])),
        _ => piece,
    }
}

/// Requests for bytes of mail so far.
fn reads(engine: &Engine) -> u64 {
    let usage = engine.inner.cold.usage();
    let gets = usage.requests.iter().filter(|r| r.kind == "get");
    gets.map(|r| r.count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_needles_are_found_where_a_scan_finds_them_and_no_mail_is_read() {
    let dir = place::scratch("text-oracle");
    let mut dice = Dice::from_env();
    let mut mails: Vec<Vec<u8>> = corpus::selection(CORPUS_STEP)
        .into_iter()
        .map(|(_, mail)| {
            corpus::crlf(mail)
                .into_iter()
                .filter(|byte| *byte != 0)
                .collect()
        })
        .collect();
    mails.extend((0..GENERATED).map(|_| generated(&mut dice)));
    let store = open(dir.path()).await;
    for (number, mail) in mails.iter().enumerate() {
        let message = append_of(mail.clone(), Flags::default());
        store
            .engine
            .append(store.ann, "INBOX", vec![message])
            .await
            .unwrap();
        if number % 400 == 399 {
            store.written().await;
        }
    }
    store.written().await;
    // All mail is in the object store, and nowhere else: reading any of it would be a request.
    store.shard().change(Op::Cut).await.unwrap();
    let scanned: Vec<Scanned> = mails.iter().map(|mail| scan(mail)).collect();
    let before = reads(&store.engine);
    let view = store.engine.select(store.ann, "INBOX", false).unwrap();
    let long = if std::env::var_os("COLDPOST_LONG").is_some() {
        10
    } else {
        1
    };
    let mut hits = 0;
    for _ in 0..NEEDLES * long {
        let needle = needle(&mut dice, &scanned);
        let folded = fold_collapsed(&needle);
        let has = |texts: &[String]| texts.iter().any(|text| text.contains(&folded));
        for (query, is_text) in [
            (Query::Body(needle.clone()), false),
            (Query::Text(needle.clone()), true),
        ] {
            let matches =
                |of: &Scanned| folded.is_empty() || has(&of.body) || is_text && has(&of.header);
            let expected: UidSet = (1_u32..)
                .zip(&scanned)
                .filter(|(_, of)| matches(of))
                .map(|(uid, _)| uid)
                .collect();
            let found = store.engine.search(&view, &query).await.unwrap();
            assert_eq!(found, expected, "{needle:?} {is_text}");
            hits += found.len();
        }
    }
    assert!(hits > NEEDLES, "most are somewhere");
    assert_eq!(reads(&store.engine), before, "no mail was read");
    store.close().await;
}
