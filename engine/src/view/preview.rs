//! PREVIEW (RFC 8970): the first words of a message, out of its first text part that has some.
//!
//! Promises: a bounded number of bytes and parts is looked at; what was found is remembered, so that a listing asked again reads no bodies. Never: anything but text on one line.

use coldpost_tiers::cache::previews::PreviewKey;

use crate::error::Result;
use crate::limits::{PREVIEW_BYTES_MAX, PREVIEW_CHARACTERS_MAX, PREVIEW_PARTS_MAX};
use crate::mail::{Part, PartKind, text_of_leaf};
use crate::open::Engine;
use crate::view::{Message, Reach};

/// Whether a preview may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Whatever it takes.
    Waits,
    /// Only what is known or lies on local disk (LAZY).
    Lazy,
}

impl Engine {
    /// The preview of a message: empty where it has no text. `None`: not now, for who is lazy.
    ///
    /// # Errors
    /// As [`crate::view::BodyReader::read`]; `Corrupt` for a damaged row.
    pub async fn preview(&self, message: &Message, patience: Patience) -> Result<Option<String>> {
        let previews = &self.inner.previews;
        if let Some(known) = previews.get(&key(message)) {
            return Ok(Some(known.to_string()));
        }
        if patience == Patience::Lazy && !self.lies_here(message) {
            return Ok(None);
        }
        let preview = self.make_preview(message).await?;
        previews.keep(key(message), &preview);
        Ok(Some(preview))
    }

    /// Reads ahead for those of `messages` whose previews are not known.
    pub async fn read_ahead_for_previews(&self, messages: Vec<Message>) -> Vec<Message> {
        let previews = &self.inner.previews;
        let is_wanted = |message: &Message| previews.get(&key(message)).is_none();
        let wanted: Vec<Message> = messages.iter().filter(|m| is_wanted(m)).cloned().collect();
        let mut read = self
            .read_ahead(wanted, Reach::Start)
            .await
            .into_iter()
            .peekable();
        let ahead = |message: Message| {
            read.next_if(|ahead| ahead.id == message.id)
                .unwrap_or(message)
        };
        messages.into_iter().map(ahead).collect()
    }

    /// Whether its own object is on local disk.
    fn lies_here(&self, message: &Message) -> bool {
        let object = &message.address.object;
        let local = &self.inner.local;
        local.path_of(message.account.shard, object).is_some()
    }

    async fn make_preview(&self, message: &Message) -> Result<String> {
        let parts = message.row.parts()?;
        let leaves = parts
            .iter()
            .enumerate()
            .filter(|(_, part)| part.kind == PartKind::Leaf);
        for (index, part) in leaves.take(PREVIEW_PARTS_MAX) {
            let holder = usize::try_from(part.parent)
                .ok()
                .and_then(|at| parts.get(at));
            let in_multipart =
                index > 0 && holder.is_some_and(|holder| holder.kind == PartKind::Multipart);
            let text = self
                .leaf_text(message, part, index == 0, in_multipart)
                .await?;
            if !text.is_empty() {
                return Ok(text);
            }
        }
        Ok(String::new())
    }

    async fn leaf_text(
        &self,
        message: &Message,
        part: &Part,
        is_root: bool,
        in_multipart: bool,
    ) -> Result<String> {
        let header = match is_root {
            // The row has what counts of it.
            true => message.row.main_fields().to_vec(),
            false => {
                let end = part.body.min(part.header.saturating_add(PREVIEW_BYTES_MAX));
                self.bytes(message, part.header..end).await?
            }
        };
        if text_of_leaf(&header, b"", in_multipart).is_none() {
            return Ok(String::new());
        }
        let end = part.end.min(part.body.saturating_add(PREVIEW_BYTES_MAX));
        let body = self.bytes(message, part.body..end).await?;
        let text = text_of_leaf(&header, &body, in_multipart);
        Ok(first_words(&text.unwrap_or_default()))
    }
}

fn key(message: &Message) -> PreviewKey {
    PreviewKey {
        shard: message.account.shard,
        account: message.account.number,
        message: message.id,
    }
}

/// The beginning of a text on one line.
fn first_words(text: &str) -> String {
    let mut words = String::new();
    for word in text.split_whitespace() {
        let seen: String = word.chars().filter(|c| !is_unseen(*c)).collect();
        if !seen.is_empty() {
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(&seen);
        }
        // A character has at most four bytes.
        if words.len() > 4 * PREVIEW_CHARACTERS_MAX {
            break;
        }
    }
    let end = words.char_indices().nth(PREVIEW_CHARACTERS_MAX);
    words.truncate(end.map_or(words.len(), |(at, _)| at));
    words.truncate(words.trim_end().len());
    words
}

/// Controls, and what mail puts before its words so that nobody sees others in a preview.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_the_first_words_on_one_line() {
        assert_eq!(
            first_words(" a\r\n\tb\u{200b}  \u{1b}[0m c \u{feff} "),
            "a b [0m c"
        );
        assert_eq!(first_words(""), "");
        let long = "ä ".repeat(500);
        let words = first_words(&long);
        assert_eq!(words.chars().count(), PREVIEW_CHARACTERS_MAX - 1);
        assert!(words.ends_with('ä'));
        assert_eq!(
            first_words(&"x".repeat(10_000)).len(),
            PREVIEW_CHARACTERS_MAX
        );
    }
}
