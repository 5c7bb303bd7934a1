//! What the index takes of the text, on text with the frequencies of mail.

use super::*;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A word by its rank: frequent ones are short.
fn word(rank: u64) -> String {
    let mut random = Random(rank);
    let letters = 2 + (rank as f64).log2() as u64 / 2 + random.next() % 4;
    let letter = |random: &mut Random| {
        char::from(b"EEETTAAOOINNSSHRRDLLCUMWFGYPBVK"[(random.next() % 31) as usize])
    };
    (0..letters).map(|_| letter(&mut random)).collect()
}

/// A text of so many bytes; one word in thirty is a number that hardly comes again.
fn text(random: &mut Random, bytes: usize) -> String {
    let mut text = String::new();
    while text.len() < bytes {
        match random.next() % 30 {
            0 => text.push_str(&(random.next() % 1_000_000).to_string()),
            _ => text.push_str(&word((60_000_f64.powf(random.fraction())) as u64)),
        }
        text.push(' ');
    }
    text
}

pub(super) fn kinds(files: &MemoryFiles, bytes: usize) {
    let mut kinds = std::collections::BTreeMap::new();
    for name in files.names() {
        *kinds
            .entry(name.rsplit('.').next().unwrap().to_owned())
            .or_insert(0) += files.bytes(&name).len();
    }
    for (kind, size) in kinds {
        eprintln!("{kind} {size} {:.4}", size as f64 / bytes as f64);
    }
}

/// Bytes of the index for each byte of text, and segments.
fn share(accounts: u64, messages: u64) -> (f64, usize) {
    let (files, _, mut writer) = fresh();
    let mut random = Random(1);
    let mut bytes = 0;
    for message in 0..accounts * messages {
        let length = 500 + (random.next() % 6000) as usize;
        let body = text(&mut random, length);
        let account = (message % accounts).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let subject = text(&mut random, 40);
        bytes += body.len() + subject.len();
        let texts = [
            (Field::Body, body.as_str()),
            (Field::Subject, &subject),
            (Field::From, "ANN EXAMPLE ANN@EXAMPLE.ORG"),
        ];
        writer.add(account, id(message), &texts).unwrap();
        if message % 500 == 499 {
            writer.commit(b"").unwrap();
        }
    }
    writer.commit(b"").unwrap();
    kinds(&files, bytes);
    (
        files.total() as f64 / bytes as f64,
        writer.reader().segments(),
    )
}

#[test]
fn an_account_takes_a_quarter_of_its_text() {
    let (share, segments) = share(1, 3000);
    assert!(share < 0.25, "{share:.3}");
    assert!(segments <= 12, "{segments}");
}

#[test]
fn small_accounts_take_half_of_their_text() {
    let (share, _) = share(60, 100);
    assert!(share < 0.55, "{share:.3}");
}
