//! HTML as a reader sees it, and where its links lead; by the tokenizer of the HTML standard.
//!
//! Promises: linear time; memory for what was read since text was taken, one tag, and `HTML_VALUES_MAX` bytes of values. Never: builds a tree, loads anything.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use crate::limits::HTML_VALUES_MAX;

/// Elements that stand within words; where any other begins or ends there is white space.
const INLINE: [&str; 33] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font",
    "i", "ins", "kbd", "label", "mark", "nobr", "q", "s", "samp", "small", "span", "strike",
    "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
];
/// Attributes whose values are searched.
const VALUES: [&str; 4] = ["href", "src", "alt", "title"];

/// What is taken of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Text, and the values while there are few.
    Text,
    /// Text without the title of the page.
    Shown,
    /// All values.
    Values,
}

/// Reads HTML that comes in pieces.
pub(super) struct Html {
    tokenizer: Tokenizer<Sink>,
    input: BufferQueue,
}

struct Sink(RefCell<Taken>);

struct Taken {
    wanted: Wanted,
    text: String,
    values: Vec<String>,
    /// Bytes of all values so far.
    value_bytes: usize,
    /// The element whose contents are not text.
    skipped: Option<&'static str>,
}

impl Html {
    pub(super) fn new(wanted: Wanted) -> Html {
        let sink = Sink(RefCell::new(Taken {
            wanted,
            text: String::new(),
            values: Vec::new(),
            value_bytes: 0,
            skipped: None,
        }));
        Html {
            tokenizer: Tokenizer::new(sink, TokenizerOpts::default()),
            input: BufferQueue::default(),
        }
    }

    pub(super) fn read(&mut self, source: &str) {
        self.input.push_back(StrTendril::from(source));
        // It ends with the input: no script is run.
        let _ = self.tokenizer.feed(&self.input);
    }

    pub(super) fn end(&mut self) {
        self.tokenizer.end();
    }

    /// Gives the text since it was given last.
    pub(super) fn text(&mut self, give: impl FnOnce(&str)) {
        let mut taken = self.tokenizer.sink.0.borrow_mut();
        give(&taken.text);
        taken.text.clear();
    }

    /// Moves the values since the last time behind `values`; whether all are there so far.
    pub(super) fn values(&mut self, values: &mut Vec<String>) -> bool {
        let mut taken = self.tokenizer.sink.0.borrow_mut();
        values.append(&mut taken.values);
        taken.value_bytes <= HTML_VALUES_MAX
    }
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut taken = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => taken.text(&text),
            Token::NullCharacterToken => taken.text(" "),
            Token::TagToken(tag) => return taken.tag(&tag),
            Token::DoctypeToken(_)
            | Token::CommentToken(_)
            | Token::EOFToken
            | Token::ParseError(_) => {}
        }
        TokenSinkResult::Continue
    }
}

impl Taken {
    fn text(&mut self, text: &str) {
        if self.skipped.is_none() && self.wanted != Wanted::Values {
            self.text.push_str(text);
        }
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        if tag.kind == TagKind::EndTag && self.skipped == Some(name) {
            self.skipped = None;
        }
        if INLINE.binary_search(&name).is_err() {
            self.text(" ");
        }
        if tag.kind == TagKind::EndTag {
            return TokenSinkResult::Continue;
        }
        for attribute in &tag.attrs {
            self.value(&attribute.name.local, &attribute.value);
        }
        let (skipped, raw) = match name {
            "script" => (Some("script"), RawKind::ScriptData),
            "style" => (Some("style"), RawKind::Rawtext),
            "title" if self.wanted == Wanted::Shown => (Some("title"), RawKind::Rcdata),
            "title" | "textarea" => (None, RawKind::Rcdata),
            _ => return TokenSinkResult::Continue,
        };
        self.skipped = skipped;
        TokenSinkResult::RawData(raw)
    }

    fn value(&mut self, name: &str, value: &str) {
        let is_data = value
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
        let is_wanted = self.wanted != Wanted::Shown && VALUES.contains(&name);
        if !is_wanted || value.is_empty() || is_data {
            return;
        }
        self.value_bytes = self
            .value_bytes
            .saturating_add(value.len() + size_of::<String>());
        if self.wanted == Wanted::Values || self.value_bytes <= HTML_VALUES_MAX {
            self.values.push(value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(source: &str, expected: &Expect) {
        let mut texts = Vec::new();
        for step in [source.len().max(1), 1] {
            let (mut html, mut text, mut values) =
                (Html::new(Wanted::Text), String::new(), Vec::new());
            let characters: Vec<char> = source.chars().collect();
            for piece in characters.chunks(step) {
                html.read(&piece.iter().collect::<String>());
                html.text(|more| text.push_str(more));
                html.values(&mut values);
            }
            html.end();
            html.text(|more| text.push_str(more));
            html.values(&mut values);
            texts.push(format!("{text:?} {values:?}"));
        }
        assert_eq!(texts[0], texts[1], "the same however it is cut");
        expected.assert_eq(&texts[0]);
    }

    #[test]
    fn a_reader_sees_words_that_tags_cut_and_blocks_that_they_part() {
        check(
            "<p>Rech<b>nung</b> 1<wbr>7<p>one<br>two<td>three",
            &expect![[r#"" Rechnung 17 one two three" []"#]],
        );
        check(
            "a &amp; b&nbsp;c &#x1F34E; &eacute;t&eacute &nothing; &lt;b&gt;",
            &expect![[r#""a & b\u{a0}c 🍎 été ¬hing; <b>" []"#]],
        );
    }

    #[test]
    fn scripts_styles_and_comments_are_not_seen() {
        check(
            "<title>T&amp;t</title><style>p { x: '</p>' }</style>a<!-- b --><script>'<b>' </scr </script>c<![CDATA[d]]>",
            &expect![[r#"" T&t   a  c" []"#]],
        );
    }

    #[test]
    fn values_say_where_it_leads() {
        check(
            "<A HREF='https://a.example/?x=1&amp;y=2' title=\"More &quot;text&quot;\" class=no>here</a><img src=data:abc alt=Logo>",
            &expect![[r#""here " ["https://a.example/?x=1&y=2", "More \"text\"", "Logo"]"#]],
        );
    }

    #[test]
    fn broken_html_is_text_as_far_as_it_is_any() {
        check("1 < 2 <b", &expect![[r#""1 < 2 " []"#]]);
        check("<div <p>x</", &expect![[r#"" x</" []"#]]);
        check("a\0b", &expect![[r#""a b" []"#]]);
    }

    #[test]
    fn the_table_is_sorted_so_that_every_name_is_found() {
        assert!(INLINE.is_sorted());
    }
}
