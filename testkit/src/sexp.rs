//! IMAP data as a tree: atoms, strings, NIL, lists. Enough to read FETCH, ENVELOPE and BODYSTRUCTURE.

use std::fmt;

/// A value in a response.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// NIL.
    Nil,
    /// An atom or number, as it came; `BODY[...]<n>` is one.
    Atom(String),
    /// A quoted string or literal, its bytes.
    Text(Vec<u8>),
    /// A parenthesised list.
    List(Vec<Value>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => write!(f, "NIL"),
            Value::Atom(atom) => write!(f, "{atom}"),
            Value::Text(bytes) => write!(f, "{:?}", String::from_utf8_lossy(bytes)),
            Value::List(list) => f.debug_list().entries(list).finish(),
        }
    }
}

impl Value {
    /// The elements of a list; none for anything else.
    pub fn list(&self) -> &[Value] {
        match self {
            Value::List(list) => list,
            _ => &[],
        }
    }

    /// The bytes of a string; none for anything else.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// An atom or string as text; empty for the others.
    pub fn text(&self) -> String {
        match self {
            Value::Atom(atom) => atom.clone(),
            Value::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    /// A number.
    pub fn number(&self) -> Option<u64> {
        self.text().parse().ok()
    }
}

/// Parses a row of values; none when something does not fit the grammar.
pub fn parse(bytes: &[u8]) -> Option<Vec<Value>> {
    let mut cursor = Cursor { bytes, at: 0 };
    let values = cursor.row()?;
    (cursor.at == bytes.len()).then_some(values)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn row(&mut self) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        loop {
            match self.peek() {
                None | Some(b')') => return Some(values),
                Some(b' ') => self.at += 1,
                Some(_) => values.push(self.value()?),
            }
        }
    }

    fn value(&mut self) -> Option<Value> {
        match self.peek()? {
            b'(' => {
                self.at += 1;
                let list = self.row()?;
                (self.peek()? == b')').then(|| self.at += 1)?;
                Some(Value::List(list))
            }
            b'"' => self.quoted().map(Value::Text),
            b'{' => self.literal().map(Value::Text),
            _ => self.atom(),
        }
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        self.at += 1;
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(text),
                b'\\' => {
                    text.push(self.peek()?);
                    self.at += 1;
                }
                _ => text.push(byte),
            }
        }
    }

    fn literal(&mut self) -> Option<Vec<u8>> {
        let rest = self.bytes.get(self.at..)?;
        let end = rest.windows(3).position(|window| window == b"}\r\n")?;
        let length: usize = std::str::from_utf8(rest.get(1..end)?).ok()?.parse().ok()?;
        let text = rest.get(end + 3..end + 3 + length)?.to_vec();
        self.at += end + 3 + length;
        Some(text)
    }

    fn atom(&mut self) -> Option<Value> {
        let start = self.at;
        let mut brackets = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'[' => brackets += 1,
                b']' => brackets = brackets.saturating_sub(1),
                b' ' | b'(' | b')' if brackets == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        let atom = String::from_utf8_lossy(self.bytes.get(start..self.at)?).into_owned();
        Some(if atom.eq_ignore_ascii_case("NIL") {
            Value::Nil
        } else {
            Value::Atom(atom)
        })
    }
}
