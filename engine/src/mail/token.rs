//! The tokens of structured header fields (RFC 5322, 3.2; RFC 2045, 5.1) read from raw bytes, as leniently as Dovecot reads them.
//!
//! By hand and not by mail-parser, because ENVELOPE and BODYSTRUCTURE want every string undecoded and invalid input kept in sight.
//! Promises: every call moves forward or fails; linear time. Never: decodes RFC 2047 words or charsets.

/// The input does not fit the grammar; the cursor stands where it stopped fitting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Whether there is more input after the token and the white space and comments behind it.
pub(crate) type More = Result<bool, Broken>;

/// A place in the raw value of a field.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'v> {
    value: &'v [u8],
    at: usize,
    /// The text of the comment passed last: old mail has the display name there (`a@b (Anna)`).
    pub(crate) comment: Vec<u8>,
}

impl<'v> Cursor<'v> {
    /// A cursor at the start of `value`.
    pub(crate) fn new(value: &'v [u8]) -> Cursor<'v> {
        Cursor {
            value,
            at: 0,
            comment: Vec::new(),
        }
    }

    /// The next byte.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.value.get(self.at).copied()
    }

    /// Whether nothing is left.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.value.len()
    }

    /// Where it stands, for [`Cursor::back_to`].
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// Returns to an earlier place.
    pub(crate) fn back_to(&mut self, place: usize) {
        self.at = place;
    }

    /// Passes one byte.
    pub(crate) fn pass(&mut self) {
        self.at += 1;
    }

    /// Passes `byte` if it is next.
    pub(crate) fn pass_if(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Passes white space, line ends and comments (CFWS).
    pub(crate) fn skip_cfws(&mut self) -> More {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b'(') => self.skip_comment()?,
                next => return Ok(next.is_some()),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), Broken> {
        self.comment.clear();
        self.at += 1;
        let mut level = 1;
        // What never ends counts up to its last backslash or line end, as with Dovecot.
        let mut kept = 0;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'(' => level += 1,
                b')' => level -= 1,
                b'\n' => {
                    if self.comment.last() == Some(&b'\r') {
                        self.comment.pop();
                    }
                    kept = self.comment.len();
                    continue;
                }
                b'\\' => {
                    let Some(quoted) = self.peek() else { break };
                    kept = self.comment.len();
                    self.at += 1;
                    self.comment.push(quoted);
                    continue;
                }
                _ => {}
            }
            if level == 0 {
                return Ok(());
            }
            self.comment.push(byte);
        }
        self.comment.truncate(kept);
        Err(Broken)
    }

    /// Passes the longest run of bytes that `is_part` accepts.
    fn run(&mut self, into: &mut Vec<u8>, is_part: impl Fn(u8) -> bool) {
        let rest = self.value.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|&b| !is_part(b)).unwrap_or(rest.len());
        into.extend_from_slice(&rest[..length]);
        self.at += length;
    }

    /// atom: one or more atext, then CFWS.
    pub(crate) fn atom(&mut self, into: &mut Vec<u8>) -> More {
        if !self.peek().is_some_and(is_atext) {
            return Err(Broken);
        }
        self.run(into, is_atext);
        self.skip_cfws()
    }

    /// dot-atom, with white space around the dots as RFC 822 allowed it.
    pub(crate) fn dot_atom(&mut self, into: &mut Vec<u8>) -> More {
        if !self.peek().is_some_and(is_atext) {
            return Err(Broken);
        }
        loop {
            self.run(into, is_atext);
            if !self.skip_cfws()? {
                return Ok(false);
            }
            if !self.pass_if(b'.') {
                return Ok(true);
            }
            into.push(b'.');
            if !self.skip_cfws()? || !self.peek().is_some_and(is_atext) {
                return Err(Broken);
            }
        }
    }

    /// A local part of atoms and dots, the dots anywhere: `.a..b.` is common enough.
    pub(crate) fn loose_dot_atom(&mut self, into: &mut Vec<u8>) -> More {
        let mut result = Err(Broken);
        loop {
            while self.pass_if(b'.') {
                into.push(b'.');
                if self.is_at_end() {
                    return Ok(false);
                }
                result = Ok(true);
            }
            if self.peek() == Some(b'@') {
                return result;
            }
            result = self.atom(into);
            if result != Ok(true) || self.peek() != Some(b'.') {
                return result;
            }
        }
    }

    /// token of RFC 2045, possibly empty, then CFWS.
    pub(crate) fn mime_token(&mut self, into: &mut Vec<u8>) -> More {
        self.run(into, |b| {
            (is_atext(b) && !matches!(b, b'/' | b'?' | b'=')) || b == b'.'
        });
        if self.is_at_end() {
            return Ok(false);
        }
        self.skip_cfws()
    }

    /// quoted-string without its quotes, escapes and line ends, then CFWS.
    pub(crate) fn quoted_string(&mut self, into: &mut Vec<u8>) -> More {
        self.at += 1;
        let start = into.len();
        let mut kept = start;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return self.skip_cfws(),
                b'\n' => {
                    if into.len() > start && into.last() == Some(&b'\r') {
                        into.pop();
                    }
                }
                b'\\' => {
                    let Some(quoted) = self.peek() else { break };
                    kept = into.len();
                    self.at += 1;
                    into.push(quoted);
                }
                _ => into.push(byte),
            }
        }
        into.truncate(kept);
        Err(Broken)
    }

    /// phrase: words and dots, white space between them as one space, then CFWS.
    pub(crate) fn phrase(&mut self, into: &mut Vec<u8>) -> More {
        match self.peek() {
            None => return Ok(false),
            Some(b'.') => return Err(Broken),
            Some(_) => {}
        }
        loop {
            let more = if self.peek() == Some(b'"') {
                self.quoted_string(into)?
            } else {
                self.run(into, |b| is_atext(b) || b == b'.');
                !self.is_at_end() && self.skip_cfws()?
            };
            if !more {
                return Ok(false);
            }
            if !self
                .peek()
                .is_some_and(|b| is_atext(b) || b == b'"' || b == b'.')
            {
                return self.skip_cfws();
            }
            into.push(b' ');
        }
    }

    /// `@` and the domain after it: dot-atom or domain-literal with its brackets.
    pub(crate) fn domain(&mut self, into: &mut Vec<u8>) -> More {
        self.at += 1;
        if !self.skip_cfws()? {
            return Err(Broken);
        }
        if self.peek() != Some(b'[') {
            return self.dot_atom(into);
        }
        while let Some(byte) = self.peek() {
            self.at += 1;
            into.push(byte);
            match byte {
                b'\\' => {
                    let Some(quoted) = self.peek() else {
                        return Err(Broken);
                    };
                    self.at += 1;
                    into.push(quoted);
                }
                b']' => return self.skip_cfws(),
                _ => {}
            }
        }
        Err(Broken)
    }
}

/// atext of RFC 5322, 3.2.3, and every 8-bit byte.
pub(crate) fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}
