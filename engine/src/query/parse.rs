//! Reads the text form of a query (`docs/search.md` has its grammar).
//!
//! Promises: takes any text, looks at every byte a bounded number of times, and goes no deeper than [`QUERY_DEPTH_MAX`]; an error
//! names the place. By hand: what matters here are the words and places of errors, which a parser crate would take as much code to give.

use std::ops::Range;
use std::str::FromStr;

use super::ast::DateField;
use super::expression::{Expression, Moment, Node, Side};
use super::key::{self, OPERATORS, Takes};
use super::syntax_error::{Fault, SyntaxError};
use super::token::{Placed, Token, Tokens, in_word};
use super::value::{self, Value};
use crate::limits::{
    KEYWORD_LENGTH_MAX, MAILBOX_NAME_MAX, QUERY_DEPTH_MAX, QUERY_KEYS_MAX, QUERY_LENGTH_MAX,
};

impl FromStr for Expression {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Expression, SyntaxError> {
        query(text).map_err(|fault| SyntaxError::in_text(text, fault))
    }
}

fn query(text: &str) -> Result<Expression, Fault> {
    if text.len() > QUERY_LENGTH_MAX {
        let at = text.floor_char_boundary(QUERY_LENGTH_MAX);
        let said = format!("a query has at most {QUERY_LENGTH_MAX} bytes");
        return Err(Fault::limit(at..at, said));
    }
    let mut parser = Parser {
        tokens: Tokens::of(text),
        next: None,
        keys: 0,
    };
    parser.step()?;
    let node = parser.alternatives(0)?;
    if let Some((_, place)) = parser.next {
        // Everything else goes on with a key.
        return Err(Fault::new(place, "no parenthesis was opened for this one"));
    }
    let expression = Expression(node);
    let printed = expression.to_string().len();
    if printed > QUERY_LENGTH_MAX {
        let said = format!(
            "a query has at most {QUERY_LENGTH_MAX} bytes when it is printed, this one has {printed}"
        );
        return Err(Fault::limit(0..0, said));
    }
    Ok(expression)
}

struct Parser<'t> {
    tokens: Tokens<'t>,
    next: Option<Placed<'t>>,
    keys: usize,
}

impl<'t> Parser<'t> {
    /// The next token, and goes on.
    fn step(&mut self) -> Result<Option<Placed<'t>>, Fault> {
        let next = self.tokens.next()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// Goes on when the next token is this operator.
    fn takes(&mut self, operator: &str) -> Result<bool, Fault> {
        let is = matches!(&self.next, Some((Token::Word(word), _)) if word.eq_ignore_ascii_case(operator));
        if is {
            self.step()?;
        }
        Ok(is)
    }

    /// `query = terms *( "or" terms )`
    fn alternatives(&mut self, depth: usize) -> Result<Node, Fault> {
        let mut any = vec![self.terms(depth)?];
        while self.takes("or")? {
            any.push(self.terms(depth)?);
        }
        Ok(Node::any(any))
    }

    /// `terms = term *( [ "and" ] term )`
    fn terms(&mut self, depth: usize) -> Result<Node, Fault> {
        let mut all = vec![self.term(depth)?];
        loop {
            let and = self.takes("and")?;
            let ends = match &self.next {
                None | Some((Token::Close, _)) => true,
                Some((Token::Word(word), _)) => word.eq_ignore_ascii_case("or"),
                _ => false,
            };
            if ends && !and {
                return Ok(Node::all(all));
            }
            all.push(self.term(depth)?);
        }
    }

    /// `term = "not" term / "fuzzy" term / "(" query ")" / key`
    fn term(&mut self, depth: usize) -> Result<Node, Fault> {
        let (mut negated, mut is_fuzzy) = (false, false);
        loop {
            if self.takes("not")? {
                negated = !negated;
            } else if self.takes("fuzzy")? {
                is_fuzzy = true;
            } else {
                break;
            }
        }
        let node = match self.step()? {
            Some((Token::Open, place)) if depth < QUERY_DEPTH_MAX => {
                let inner = self.alternatives(depth + 1)?;
                if self.next.is_none() {
                    return Err(Fault::new(place, "this parenthesis is not closed"));
                }
                // Keys and operators go on until a parenthesis is closed.
                self.step()?;
                inner
            }
            Some((Token::Open, place)) => {
                let said = format!("parentheses are at most {QUERY_DEPTH_MAX} deep");
                return Err(Fault::limit(place, said));
            }
            Some((Token::Word(name), place)) => self.key(name, place)?,
            Some((Token::Quoted(_), place)) => {
                let said = "a text alone is no key; write what it is looked for in before it: text, body, subject, from …";
                return Err(Fault::new(place, said));
            }
            Some((Token::Close, place)) => return Err(Fault::new(place, "expected a key")),
            None => {
                let said = "expected a key; all finds every message";
                return Err(Fault::new(self.tokens.end(), said));
            }
        };
        let node = if is_fuzzy { node.fuzzy() } else { node };
        Ok(if negated { node.not() } else { node })
    }

    /// `key = name [ argument ]`, from behind its name.
    fn key(&mut self, name: &str, place: Range<usize>) -> Result<Node, Fault> {
        self.keys += 1;
        if self.keys > QUERY_KEYS_MAX {
            let said = format!("a query has at most {QUERY_KEYS_MAX} keys");
            return Err(Fault::limit(place, said));
        }
        if name.len() > 1 && name.starts_with('$') {
            return Ok(Node::Keyword(keyword(name, place)?));
        }
        let Some(takes) = key::named(name) else {
            return Err(no_key(name, place));
        };
        let moment = |word: &str| moment(word, value::span);
        Ok(match takes {
            Takes::Nothing(make) => make(),
            Takes::Text(make) => make(self.text("a text to look for")?.0),
            Takes::Field => {
                let (field, place) = self.text("the name of a header field")?;
                Node::Header(
                    field_name(&field, place)?,
                    self.text("a text to look for")?.0,
                )
            }
            Takes::Keyword(make) => {
                let (name, place) = self.text("a keyword")?;
                make(keyword(&name, place)?)
            }
            Takes::Mailbox => {
                let (pattern, place) = self.text("the name of a mailbox")?;
                Node::Mailbox(mailbox(pattern, place)?)
            }
            Takes::Id(make) => {
                let (id, place) = self.text("an object id")?;
                make(object_id(id, place)?)
            }
            Takes::Before(field) => Node::Date(field, Side::Before(self.value(WHEN, moment)?)),
            Takes::Since(field) => Node::Date(field, Side::Since(self.value(WHEN, moment)?)),
            Takes::On(field) => {
                Node::Date(field, Side::On(self.value(DAY, |word| on(word, field))?))
            }
            Takes::Age(make) => make(self.value(SPAN, age)?),
            Takes::Octets(bound) => {
                let octets = self.value("a size, such as 4096, 100KB or 1MiB", value::size)?;
                self.no_unit_behind()?;
                Node::Size(bound, octets)
            }
            Takes::Uids => Node::Uids(self.value("a set of UIDs, such as 1:5,9", value::uids)?),
            Takes::ModSeq => Node::ModSeq(self.value("a modseq", value::number)?),
        })
    }

    /// The argument of a key: a word or a quoted text.
    fn text(&mut self, what: &str) -> Result<(String, Range<usize>), Fault> {
        match self.step()? {
            Some((Token::Quoted(text), place)) => Ok((text.into_owned(), place)),
            Some((Token::Word(word), place)) => {
                if OPERATORS.iter().any(|name| name.eq_ignore_ascii_case(word)) {
                    let said = format!("expected {what}; if it is this word, put it in quotes");
                    return Err(Fault::new(place, said));
                }
                if !word.chars().all(in_word) {
                    let said = format!(
                        "expected {what}; put one with a backslash or a control character in quotes, where a backslash is written \\\\"
                    );
                    return Err(Fault::new(place, said));
                }
                Ok((word.to_owned(), place))
            }
            Some((Token::Open | Token::Close, place)) => {
                let said = format!("expected {what}; put one with parentheses in quotes");
                Err(Fault::new(place, said))
            }
            None => Err(Fault::new(self.tokens.end(), format!("expected {what}"))),
        }
    }

    /// The argument of a key that is no text.
    fn value<T>(&mut self, what: &str, read: impl Fn(&str) -> Value<T>) -> Result<T, Fault> {
        match self.step()? {
            Some((Token::Word(word), place)) => read(word).map_err(|said| Fault::new(place, said)),
            Some((Token::Quoted(_), place)) => Err(Fault::new(
                place,
                format!("expected {what}, without quotes"),
            )),
            Some((_, place)) => Err(Fault::new(place, format!("expected {what}"))),
            None => Err(Fault::new(self.tokens.end(), format!("expected {what}"))),
        }
    }

    /// `100 KB` would be `100` and a key that there is not.
    fn no_unit_behind(&self) -> Result<(), Fault> {
        match &self.next {
            Some((Token::Word(unit), place))
                if key::named(unit).is_none() && value::size(&format!("1{unit}")).is_ok() =>
            {
                let said = "write the unit directly behind the number, as in 100KB";
                Err(Fault::new(place.clone(), said))
            }
            _ => Ok(()),
        }
    }
}

const DAY: &str = "a day, such as 2026-11-27";
const SPAN: &str = "a span of time, such as 7d or 12h";
const WHEN: &str = "a day or a span of time, such as 2026-11-27 or 7d";

fn moment(word: &str, span: fn(&str) -> Option<Value<u32>>) -> Value<Moment> {
    match (value::day(word), span(word)) {
        (Some(day), _) => day.map(Moment::Day),
        (None, Some(span)) => span.map(Moment::Ago),
        (None, None) => Err(format!("expected {WHEN}")),
    }
}

fn age(word: &str) -> Value<u32> {
    value::age(word).unwrap_or_else(|| Err(format!("expected {SPAN}")))
}

fn on(word: &str, field: DateField) -> Value<i32> {
    let (before, since) = match field {
        DateField::Internal => ("before", "since"),
        DateField::Sent => ("sentbefore", "sentsince"),
        DateField::Saved => ("savedbefore", "savedsince"),
    };
    match value::day(word) {
        Some(day) => day,
        None if value::span(word).is_some() => Err(format!(
            "expected {DAY}; a span stands behind {before} and {since}"
        )),
        None => Err(format!("expected {DAY}")),
    }
}

/// A word where a key should be.
fn no_key(word: &str, place: Range<usize>) -> Fault {
    let alone = |operator: &str| word.eq_ignore_ascii_case(operator);
    if alone("or") || alone("and") {
        let said = format!("{word} stands between two keys, as in: seen {word} flagged");
        return Fault::new(place, said);
    }
    if word == "$" || word.starts_with(|c: char| c == '*' || c.is_ascii_digit()) {
        let said = "expected a key; numbers of messages and $ are for IMAP sessions, UIDs stand behind uid";
        return Fault::new(place, said);
    }
    if let Some((name, _)) = word.split_once([':', '='])
        && let Some(key) = key::named(name).map_or_else(|| key::nearest(name), |_| Some(name))
    {
        let said = format!("expected a key; write {key} and what it takes with a blank between");
        return Fault::new(place, said);
    }
    if let Some(name) = word
        .strip_prefix(['-', '!'])
        .filter(|name| key::named(name).is_some())
    {
        return Fault::new(place, format!("expected a key; write not {name}"));
    }
    let short = word.chars().take(40).collect::<String>();
    let said = match key::nearest(word) {
        Some(key) => format!("{short:?} is no key; did you mean {key}?"),
        None => format!("{short:?} is no key; to look for a word write text before it"),
    };
    Fault::new(place, said)
}

/// An atom of IMAP, as a keyword is.
fn keyword(name: &str, place: Range<usize>) -> Result<String, Fault> {
    let allowed = |c: char| c.is_ascii_graphic() && !r#"(){%*"\]"#.contains(c);
    if name.is_empty() || !name.chars().all(allowed) {
        let said = r#"a keyword has ASCII letters, digits and signs, but none of ( ) { % * " \ ]"#;
        return Err(Fault::new(place, said));
    }
    if name.len() > KEYWORD_LENGTH_MAX {
        let said = format!("a keyword has at most {KEYWORD_LENGTH_MAX} bytes");
        return Err(Fault::limit(place, said));
    }
    Ok(name.to_owned())
}

fn field_name(name: &str, place: Range<usize>) -> Result<String, Fault> {
    let allowed = |c: char| c.is_ascii_graphic() && c != ':';
    if name.is_empty() || !name.chars().all(allowed) {
        let said = "the name of a header field has ASCII letters, digits and signs, but no colon";
        return Err(Fault::new(place, said));
    }
    Ok(name.to_ascii_lowercase())
}

fn mailbox(pattern: String, place: Range<usize>) -> Result<String, Fault> {
    if pattern.is_empty() {
        return Err(Fault::new(place, "expected the name of a mailbox"));
    }
    if pattern.len() > MAILBOX_NAME_MAX {
        let said = format!("the name of a mailbox has at most {MAILBOX_NAME_MAX} bytes");
        return Err(Fault::limit(place, said));
    }
    Ok(pattern)
}

/// RFC 8474, 7: objectid.
fn object_id(id: String, place: Range<usize>) -> Result<String, Fault> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if (1..=255).contains(&id.len()) && id.bytes().all(allowed) {
        return Ok(id);
    }
    let said = "an object id has 1 to 255 letters, digits, _ and -";
    Err(Fault::new(place, said))
}
