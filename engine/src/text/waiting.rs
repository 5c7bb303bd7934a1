//! Texts that wait for a file: what the journal's end delivered.
//!
//! Promises: bounded by who puts them here; what is too large is only known to be there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coldpost_search::text::{Ask, Key, TextId};

use super::extract::{Text, kind_of};

/// What a message costs beyond its texts.
const OVERHEAD: usize = 128;

/// The texts of a message.
#[derive(Debug)]
pub(super) struct MessageText(pub(super) [Text; 2]);

impl MessageText {
    /// Whether it has what is asked for.
    pub(super) fn has(&self, ask: &Ask) -> bool {
        let mut texts = (0..).zip(&self.0);
        texts.any(|(number, text)| match text {
            Text::Here(text) => kind_of(number) == ask.kind && ask.is_in(text),
            Text::Spooled(_) => false,
        })
    }

    fn is_here(&self) -> bool {
        self.0.iter().all(|text| matches!(text, Text::Here(_)))
    }

    fn bytes(&self) -> usize {
        let bytes = |text: &Text| match text {
            Text::Here(text) => text.capacity(),
            Text::Spooled(spans) => size_of_val(spans.as_slice()),
        };
        OVERHEAD + self.0.iter().map(bytes).sum::<usize>()
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct WaitingTexts {
    /// Behind this position.
    from: u64,
    /// Up to this one.
    to: u64,
    texts: BTreeMap<Key, Arc<MessageText>>,
    bytes: usize,
    since: Option<Instant>,
}

impl WaitingTexts {
    /// Nothing waits, and everything up to `position` is written.
    pub(super) fn begin_at(&mut self, position: u64) {
        *self = WaitingTexts {
            from: position,
            to: position,
            ..WaitingTexts::default()
        };
    }

    /// The last position of which everything is here or written.
    pub(super) fn to(&self) -> u64 {
        self.to
    }

    /// Whether nothing was seen since something was written.
    pub(super) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// For how long the first of it has been waiting.
    pub(super) fn age(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether all that waits is in memory.
    pub(super) fn is_here(&self) -> bool {
        self.texts.values().all(|text| text.is_here())
    }

    /// All that waits.
    pub(super) fn all(&self) -> BTreeMap<Key, Arc<MessageText>> {
        self.texts.clone()
    }

    /// Adds what an entry delivered.
    pub(super) fn add(&mut self, position: u64, texts: Vec<(Vec<Key>, MessageText)>) {
        for (keys, text) in texts {
            self.bytes += text.bytes() + keys.len() * OVERHEAD;
            let text = Arc::new(text);
            let shared = keys.into_iter().map(|key| (key, Arc::clone(&text)));
            self.texts.extend(shared);
        }
        self.to = position;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Those of an account, and which of its messages are too large to be here.
    pub(super) fn of(&self, account: u64) -> (Vec<(TextId, Arc<MessageText>)>, BTreeSet<TextId>) {
        let first = Key {
            account,
            ..Key::FIRST
        };
        let of = self.texts.range(first..);
        let of = of.take_while(|(key, _)| key.account == account);
        let (here, large): (Vec<_>, Vec<_>) = of.partition(|(_, text)| text.is_here());
        let here = here.into_iter();
        let here = here.map(|(key, text)| (key.id, Arc::clone(text)));
        (
            here.collect(),
            large.into_iter().map(|(key, _)| key.id).collect(),
        )
    }
}
