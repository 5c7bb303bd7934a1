//! Address lists of a header (RFC 5322, 3.4) as ENVELOPE wants them: raw strings, groups and source routes kept.
//!
//! Where the RFC leaves room, as Dovecot does: what is missing is `MISSING_MAILBOX` or `MISSING_DOMAIN`, what cannot be read ends
//! the list. Promises: at most `ENVELOPE_ADDRESSES_MAX` addresses, linear time. Never: decodes anything.

use crate::limits::ENVELOPE_ADDRESSES_MAX;
use crate::mail::nstring;
use crate::mail::token::{Broken, Cursor, More};

/// One address structure of RFC 3501, 7.4.2. A group begins with one that has only a mailbox (its name) and ends with an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Address {
    /// addr-name: the display name.
    pub(crate) name: Option<Vec<u8>>,
    /// addr-adl: the source route (`@a,@b`).
    pub(crate) route: Option<Vec<u8>>,
    /// addr-mailbox: the local part, unquoted, or the name of the group.
    pub(crate) mailbox: Option<Vec<u8>>,
    /// addr-host: the domain.
    pub(crate) host: Option<Vec<u8>>,
}

impl Address {
    /// Writes it as an address structure of RFC 3501.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'(');
        match &self.name {
            None => out.extend_from_slice(b"NIL"),
            Some(name) => nstring::write_text(out, name),
        }
        for text in [&self.route, &self.mailbox, &self.host] {
            out.push(b' ');
            nstring::write_optional(out, text.as_deref());
        }
        out.push(b')');
    }
}

/// Reads the address list that is the raw value of a field and adds it to `list`.
pub(crate) fn read_list(value: &[u8], list: &mut Vec<Address>) {
    read_some(value, list, ENVELOPE_ADDRESSES_MAX);
}

/// The first of the addresses that [`read_list`] gives.
pub(crate) fn first(value: &[u8]) -> Option<Address> {
    let mut list = Vec::new();
    read_some(value, &mut list, 1);
    list.into_iter().next()
}

/// Adds until there are `most`.
fn read_some(value: &[u8], list: &mut Vec<Address>, most: usize) {
    let mut reader = Reader {
        cursor: Cursor::new(value),
        list,
        most,
        draft: Address::default(),
        word: Vec::new(),
    };
    if reader.cursor.skip_cfws() == Ok(true) {
        reader.address_list();
    }
}

struct Reader<'v, 'l> {
    cursor: Cursor<'v>,
    list: &'l mut Vec<Address>,
    most: usize,
    draft: Address,
    /// The local part read last, also when it turned out to be none.
    word: Vec<u8>,
}

impl Reader<'_, '_> {
    /// address-list = address *("," address)
    fn address_list(&mut self) {
        while self.list.len() < self.most {
            if !self.address() || !self.cursor.pass_if(b',') {
                return;
            }
            match self.cursor.skip_cfws() {
                Ok(true) => {}
                Ok(false) => return,
                Err(Broken) => return self.add(),
            }
        }
    }

    /// address = group / mailbox; whether there may be more behind it.
    fn address(&mut self) -> bool {
        let start = self.cursor.place();
        match self.group() {
            Ok(more) => more,
            Err(Broken) => {
                self.cursor.back_to(start);
                self.mailbox() != Ok(false)
            }
        }
    }

    /// group = display-name ":" [mailbox-list] ";"
    fn group(&mut self) -> More {
        let mut name = Vec::new();
        if !self.cursor.phrase(&mut name)? || !self.cursor.pass_if(b':') {
            return Err(Broken);
        }
        // From here on it is a group, however broken.
        let mut state = self.cursor.skip_cfws();
        self.list.push(Address {
            mailbox: Some(name),
            ..Address::default()
        });
        if state == Ok(true) && self.cursor.peek() != Some(b';') {
            while self.list.len() < self.most {
                // A broken mailbox does not end the group by itself.
                let _ = self.mailbox();
                if !self.cursor.pass_if(b',') {
                    break;
                }
                if self.cursor.skip_cfws() != Ok(true) {
                    state = Err(Broken);
                    break;
                }
            }
        }
        if state.is_ok() {
            state = if self.cursor.pass_if(b';') {
                self.cursor.skip_cfws()
            } else {
                Err(Broken)
            };
        }
        self.list.push(Address::default());
        self.draft = Address::default();
        Ok(state != Ok(false))
    }

    /// mailbox = name-addr / addr-spec
    fn mailbox(&mut self) -> More {
        let start = self.cursor.place();
        let mut result = self.name_addr();
        if result.is_err() {
            self.cursor.back_to(start);
            result = self.addr_spec();
        }
        self.add();
        result
    }

    /// name-addr = [display-name] angle-addr
    fn name_addr(&mut self) -> More {
        let mut name = Vec::new();
        if !self.cursor.phrase(&mut name)? || self.cursor.peek() != Some(b'<') {
            return Err(Broken);
        }
        self.draft.name = (!name.is_empty()).then_some(name);
        if self.angle_addr().is_err() {
            self.draft.host = Some(b"SYNTAX_ERROR".to_vec());
        }
        Ok(!self.cursor.is_at_end())
    }

    /// angle-addr = "<" [obs-route] addr-spec ">"
    fn angle_addr(&mut self) -> More {
        self.cursor.pass();
        self.more()?;
        if self.cursor.peek() == Some(b'@') {
            if self.route() == Ok(true) && self.cursor.pass_if(b':') {
                // The route is kept.
            } else {
                self.draft.route = Some(b"INVALID_ROUTE".to_vec());
                if self.cursor.is_at_end() {
                    return Err(Broken);
                }
            }
            self.more()?;
        }
        if self.cursor.peek() != Some(b'>') {
            if !self.local_part()? {
                return Err(Broken);
            }
            if self.cursor.peek() == Some(b'@') && !self.domain()? {
                return Err(Broken);
            }
        }
        if !self.cursor.pass_if(b'>') {
            return Err(Broken);
        }
        self.cursor.skip_cfws()
    }

    /// White space; something must follow it.
    fn more(&mut self) -> Result<(), Broken> {
        if self.cursor.skip_cfws()? {
            Ok(())
        } else {
            Err(Broken)
        }
    }

    /// obs-domain-list = "@" domain *("," "@" domain)
    fn route(&mut self) -> More {
        let mut route = Vec::new();
        while self.cursor.peek() == Some(b'@') {
            if !route.is_empty() {
                route.push(b',');
            }
            route.push(b'@');
            if !self.cursor.domain(&mut route)? {
                return Ok(false);
            }
            while self.cursor.skip_cfws() == Ok(true) && self.cursor.pass_if(b',') {}
        }
        self.draft.route = Some(route);
        Ok(!self.cursor.is_at_end())
    }

    fn local_part(&mut self) -> More {
        self.word.clear();
        let more = if self.cursor.peek() == Some(b'"') {
            self.cursor.quoted_string(&mut self.word)?
        } else {
            self.cursor.loose_dot_atom(&mut self.word)?
        };
        self.draft.mailbox = Some(self.word.clone());
        Ok(more)
    }

    fn domain(&mut self) -> More {
        let mut domain = Vec::new();
        let more = self.cursor.domain(&mut domain)?;
        self.draft.host = Some(domain);
        Ok(more)
    }

    /// addr-spec = local-part "@" domain, with the display name in a comment behind it as RFC 822 had it.
    fn addr_spec(&mut self) -> More {
        self.cursor.comment.clear();
        let is_quoted = self.cursor.peek() == Some(b'"');
        let mut result = self.local_part();
        let mut has_domain = false;
        if result != Ok(false) && self.cursor.peek() == Some(b'@') {
            has_domain = true;
            let domain = self.domain();
            if domain != Ok(true) {
                result = domain;
            }
        }
        if !self.cursor.comment.is_empty() {
            self.draft.name = Some(self.cursor.comment.clone());
        } else if !has_domain {
            // One word alone is a mailbox; one with anything behind it is a display name without an address.
            let mut name = self.word.clone();
            name.push(b' ');
            let length = name.len();
            let _ = self.cursor.phrase(&mut name);
            if name.len() > length {
                self.draft.mailbox = None;
                self.draft.name = Some(name);
            } else if is_quoted {
                self.draft.name = self.draft.mailbox.take();
            }
            result = Err(Broken);
        }
        result
    }

    /// Takes the draft into the list, what is missing filled in.
    fn add(&mut self) {
        let mut address = std::mem::take(&mut self.draft);
        if address.mailbox.is_none() {
            address.mailbox = Some(b"MISSING_MAILBOX".to_vec());
        }
        if address.host.as_ref().is_none_or(|host| host.is_empty()) {
            address.host = Some(b"MISSING_DOMAIN".to_vec());
        }
        self.list.push(address);
    }
}
