//! Cuts the text of a query into parentheses, words and quoted texts, each with its place.
//!
//! Promises: looks at every byte once; what it gives lies in the text, in order.

use std::borrow::Cow;
use std::ops::Range;

use super::syntax_error::Fault;

/// A piece of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Open,
    Close,
    Word(&'t str),
    /// What stood in quotes, escapes undone.
    Quoted(Cow<'t, str>),
}

/// The rest of a text.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

/// A token and where it stands.
pub(super) type Placed<'t> = (Token<'t>, Range<usize>);

/// Whether a word may have this character: it means nothing else and is seen where it stands.
pub(super) fn in_word(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, '(' | ')' | '"' | '\\')
}

impl<'t> Tokens<'t> {
    pub(super) fn of(text: &'t str) -> Tokens<'t> {
        Tokens { text, at: 0 }
    }

    /// The end of the text: where what is missing would stand.
    pub(super) fn end(&self) -> Range<usize> {
        self.text.trim_end().len()..self.text.trim_end().len()
    }

    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Placed<'t>>, Fault> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        let from = self.at;
        let rest = self.rest();
        let token = match rest.chars().next() {
            None => return Ok(None),
            Some('(') => {
                self.at += 1;
                Token::Open
            }
            Some(')') => {
                self.at += 1;
                Token::Close
            }
            Some('"') => {
                let text = self.quoted()?;
                self.apart()?;
                Token::Quoted(text)
            }
            Some(_) => {
                // A backslash is in no word, but what stands around it is shown as one.
                let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"');
                let word = rest.split(ends).next().unwrap_or_default();
                self.at += word.len();
                if self.rest().starts_with('"') {
                    let said =
                        "a quote in a word; put the whole text in quotes, or a blank before it";
                    return Err(Fault::new(self.at..self.at + 1, said));
                }
                Token::Word(word)
            }
        };
        Ok(Some((token, from..self.at)))
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// From an opening quote to behind the closing one.
    fn quoted(&mut self) -> Result<Cow<'t, str>, Fault> {
        let open = self.at;
        self.at += 1;
        let mut text = Cow::Borrowed("");
        loop {
            let rest = self.rest();
            let Some(end) = rest.find(['"', '\\']) else {
                let said = "this quote is not closed; a quote in a text is written \\\"";
                return Err(Fault::new(open..open + 1, said));
            };
            let (plain, special) = rest.split_at(end);
            match &mut text {
                text if text.is_empty() => *text = Cow::Borrowed(plain),
                text => text.to_mut().push_str(plain),
            }
            self.at += plain.len();
            if special.starts_with('"') {
                self.at += 1;
                return Ok(text);
            }
            let (c, length) = escape(special).map_err(|length| {
                let said = "expected an escape: \\\" \\\\ \\n \\r \\t or \\u{hex digits}";
                Fault::new(self.at..self.at + length, said)
            })?;
            text.to_mut().push(c);
            self.at += length;
        }
    }

    /// Behind a quoted text nothing follows at once but a parenthesis.
    fn apart(&self) -> Result<(), Fault> {
        match self.rest().chars().next() {
            Some(c) if !c.is_whitespace() && c != ')' && c != '(' => {
                let said =
                    "expected a blank behind the quoted text; a quote in a text is written \\\"";
                Err(Fault::new(self.at..self.at + c.len_utf8(), said))
            }
            _ => Ok(()),
        }
    }
}

/// The character that the escape at the beginning of `text` means, and the bytes of it; else the bytes that are wrong.
fn escape(text: &str) -> Result<(char, usize), usize> {
    let Some(kind) = text.chars().nth(1) else {
        return Err(1);
    };
    Ok(match kind {
        '"' | '\\' => (kind, 2),
        'n' => ('\n', 2),
        'r' => ('\r', 2),
        't' => ('\t', 2),
        'u' => {
            let digits = text.get(2..).and_then(|rest| rest.strip_prefix('{'));
            let digits = digits.and_then(|rest| rest.get(..rest.find('}')?));
            let digits = digits.filter(|digits| digits.len() <= 6).ok_or(2_usize)?;
            let all_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
            let code = u32::from_str_radix(digits, 16).ok().filter(|_| all_hex);
            let c = code.and_then(char::from_u32).ok_or(digits.len() + 4)?;
            (c, digits.len() + 4)
        }
        other => return Err(1 + other.len_utf8()),
    })
}
