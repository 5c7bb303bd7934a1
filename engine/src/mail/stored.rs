//! A description as its row has it, read as far as it is asked for: a listing copies ENVELOPE out of it and never looks at the rest.
//!
//! Promises: gives what [`Description`] has. Bytes that are not of the format are an error, of `read` or of the first look at what is wrong.

use std::borrow::Cow;
use std::ops::Range;

use coldpost_tiers::codec::{Malformed, Reader};

use crate::error::{Error, Result};
use crate::mail::codec::{
    self, Head, Sort, Whole, damaged, each_part, read_parts, read_search_text, read_sort,
};
use crate::mail::decode;
use crate::mail::describe::{Description, SearchField, SortKeys};
use crate::mail::part::Part;
use crate::mail::sort_key::{Wanted, wanted_keys};

/// A description in its row.
#[derive(Clone, Debug)]
pub struct Stored {
    bytes: Vec<u8>,
    flags: u8,
    main_fields: Range<usize>,
    envelope: Range<usize>,
    bodystructure: Range<usize>,
    /// Where the parts begin.
    parts: usize,
}

impl Stored {
    /// Reads where the items lie.
    ///
    /// # Errors
    /// `Corrupt` when they are not of a known version or not whole.
    pub fn read(bytes: Vec<u8>) -> Result<Stored> {
        let mut input = Reader::new(&bytes);
        let head = Head::read(&mut input).map_err(|malformed| damaged(&bytes, malformed))?;
        let place = |item: &[u8]| {
            let start = item.as_ptr().addr() - bytes.as_ptr().addr();
            start..start + item.len()
        };
        let (main_fields, envelope) = (place(head.main_fields), place(head.envelope));
        let bodystructure = place(head.bodystructure);
        let (flags, parts) = (head.flags, input.offset());
        Ok(Stored {
            bytes,
            flags,
            main_fields,
            envelope,
            bodystructure,
            parts,
        })
    }

    /// All of it.
    ///
    /// # Errors
    /// `Corrupt`
    pub fn description(&self) -> Result<Description> {
        codec::decode(&self.bytes)
    }

    /// The main fields as they came.
    pub fn main_fields(&self) -> &[u8] {
        &self.bytes[self.main_fields.clone()]
    }

    /// Whether all main fields are in it.
    pub fn main_fields_complete(&self) -> bool {
        codec::main_fields_complete(self.flags)
    }

    /// ENVELOPE
    pub fn envelope(&self) -> &[u8] {
        &self.bytes[self.envelope.clone()]
    }

    /// BODYSTRUCTURE
    pub fn bodystructure(&self) -> &[u8] {
        &self.bytes[self.bodystructure.clone()]
    }

    /// BODY
    ///
    /// # Errors
    /// `Corrupt`
    pub fn body(&self) -> Result<Cow<'_, [u8]>> {
        let mut input = Reader::new(&self.bytes);
        let head = Head::read(&mut input).map_err(|malformed| self.damaged(malformed))?;
        head.body()
            .ok_or_else(|| self.damaged(input.malformed("a BODYSTRUCTURE")))
    }

    /// The parts, depth first, the message first.
    ///
    /// # Errors
    /// `Corrupt`
    pub fn parts(&self) -> Result<Vec<Part>> {
        read_parts(&mut self.after_items()).map_err(|malformed| self.damaged(malformed))
    }

    /// The parts of a row that is whole to its end.
    ///
    /// # Errors
    /// `Corrupt`, whatever of it is.
    pub fn whole_parts(&self) -> Result<Vec<Part>> {
        let whole = Whole::read(&mut Reader::new(&self.bytes));
        let whole = whole.map_err(|malformed| self.damaged(malformed))?;
        Ok(whole.parts)
    }

    /// The day of the Date field as written, as days since 1970-01-01.
    ///
    /// # Errors
    /// `Corrupt`
    pub fn sent_day(&self) -> Result<Option<i32>> {
        let mut input = self.after_items();
        each_part(&mut input, drop)
            .and_then(|()| read_sort(&mut input, self.flags))
            .map(|sort| sort.sent_day())
            .map_err(|malformed| self.damaged(malformed))
    }

    /// Those of the sort keys that are wanted; the others may be there or not.
    ///
    /// # Errors
    /// `Corrupt`
    pub(crate) fn sort_keys(&self, wanted: Wanted) -> Result<SortKeys> {
        let mut input = self.after_items();
        let sort = each_part(&mut input, drop).and_then(|()| read_sort(&mut input, self.flags));
        match sort.map_err(|malformed| self.damaged(malformed))? {
            Sort::Kept(kept) => Ok(kept.into()),
            Sort::Derived(_) => Ok(wanted_keys(self.main_fields(), wanted)),
        }
    }

    /// As [`Description::search_texts`].
    ///
    /// # Errors
    /// `Corrupt`
    pub fn search_texts(&self, field: SearchField) -> Result<Vec<String>> {
        let kept = self
            .kept_texts(field)
            .map_err(|malformed| self.damaged(malformed))?;
        if kept.is_empty() {
            Ok(decode::header_text(self.main_fields(), field.name()))
        } else {
            Ok(kept)
        }
    }

    fn kept_texts(&self, field: SearchField) -> Result<Vec<String>, Malformed> {
        let mut input = self.after_items();
        each_part(&mut input, drop)?;
        read_sort(&mut input, self.flags)?;
        let mut kept = Vec::new();
        for _ in 0..input.count()? {
            let (which, text) = read_search_text(&mut input)?;
            if which == field {
                kept.push(text.to_owned());
            }
        }
        Ok(kept)
    }

    fn after_items(&self) -> Reader<'_> {
        Reader::new(&self.bytes[self.parts..])
    }

    fn damaged(&self, malformed: Malformed) -> Error {
        damaged(&self.bytes, malformed)
    }
}
