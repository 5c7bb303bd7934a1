//! The bytes of a description in a row. They begin with the parser's version, which stands for this layout too.
//!
//! Layout of version 1: version; flags; then with their lengths main fields, envelope, BODYSTRUCTURE, and BODY where it is not
//! BODYSTRUCTURE without its extension data; the parts in order; sort keys; search texts. Offsets are distances: a part's header from
//! the last offset before it, its body from its header, its end from its body.
//!
//! Promises: `decode(encode(d)) == d`; bytes that are not of this format give an error, never a panic or a large allocation.

use std::borrow::Cow;

use coldpost_tiers::codec::{Malformed, Reader, Writer};

use crate::error::{Error, Kind, Result};
use crate::limits::{PARTS_MAX, REFERENCES_MAX};
use crate::mail::body_item;
use crate::mail::describe::{Description, PARSER_VERSION, SearchField, SortKeys};
use crate::mail::part::{Part, PartKind};

const MAIN_FIELDS_COMPLETE: u8 = 1;
const BODY_IS_DERIVED: u8 = 2;
const IS_REPLY: u8 = 4;
const HAS_DATE: u8 = 8;
const HAS_SENT_DAY: u8 = 16;
const HAS_MESSAGE_ID: u8 = 32;

const IS_ENCODED: u8 = 4;
const SECONDS_A_DAY: i64 = 86_400;

/// The description as bytes.
pub fn encode(description: &Description) -> Vec<u8> {
    let sort = &description.sort;
    let derived = body_item::from_bodystructure(&description.bodystructure);
    let is_derived = derived.as_ref() == Some(&description.body);
    let mut out = Writer::new();
    out.u8(description.parser);
    out.u8(flag(description.main_fields_complete, MAIN_FIELDS_COMPLETE)
        | flag(is_derived, BODY_IS_DERIVED)
        | flag(sort.is_reply, IS_REPLY)
        | flag(sort.date.is_some(), HAS_DATE)
        | flag(sort.sent_day.is_some(), HAS_SENT_DAY)
        | flag(sort.message_id != 0, HAS_MESSAGE_ID));
    out.bytes(&description.main_fields);
    out.bytes(&description.envelope);
    out.bytes(&description.bodystructure);
    if !is_derived {
        out.bytes(&description.body);
    }
    write_parts(&mut out, &description.parts);
    write_sort(&mut out, sort);
    out.count(description.search.len());
    for (field, text) in &description.search {
        out.u8(*field as u8).text(text);
    }
    out.into_bytes()
}

/// The description that `bytes` are.
///
/// # Errors
/// `Corrupt` when they are not of a known version or not whole.
pub fn decode(bytes: &[u8]) -> Result<Description> {
    read(&mut Reader::new(bytes)).map_err(|malformed| damaged(bytes, malformed))
}

pub(super) fn damaged(bytes: &[u8], malformed: Malformed) -> Error {
    Error::with_source(
        Kind::Corrupt,
        format!("message description of {} bytes: {malformed}", bytes.len()),
        malformed,
    )
}

fn read(input: &mut Reader<'_>) -> Result<Description, Malformed> {
    let head = Head::read(input)?;
    let parts = read_parts(input)?;
    let sort = read_sort(input, head.flags)?;
    let mut search = Vec::new();
    for _ in 0..input.count()? {
        let (field, text) = read_search_text(input)?;
        search.push((field, text.to_owned()));
    }
    input.end()?;
    let body = head
        .body()
        .ok_or_else(|| input.malformed("a BODYSTRUCTURE"))?;
    Ok(Description {
        parser: PARSER_VERSION,
        main_fields: head.main_fields.to_vec(),
        main_fields_complete: main_fields_complete(head.flags),
        envelope: head.envelope.to_vec(),
        body: body.into_owned(),
        bodystructure: head.bodystructure.to_vec(),
        parts,
        sort: sort.into(),
        search,
    })
}

/// What comes first: the items that listings copy.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) flags: u8,
    pub(super) main_fields: &'a [u8],
    pub(super) envelope: &'a [u8],
    pub(super) bodystructure: &'a [u8],
    body: Option<&'a [u8]>,
}

impl<'a> Head<'a> {
    pub(super) fn read(input: &mut Reader<'a>) -> Result<Head<'a>, Malformed> {
        let parser = input.u8()?;
        if parser != PARSER_VERSION {
            return Err(input.malformed("a parser version that this Coldpost knows"));
        }
        let flags = input.u8()?;
        let main_fields = input.bytes()?;
        let envelope = input.bytes()?;
        let bodystructure = input.bytes()?;
        let body = if flags & BODY_IS_DERIVED == 0 {
            Some(input.bytes()?)
        } else {
            None
        };
        Ok(Head {
            flags,
            main_fields,
            envelope,
            bodystructure,
            body,
        })
    }

    /// `None`: it cannot be made out of a BODYSTRUCTURE that is none.
    pub(super) fn body(&self) -> Option<Cow<'a, [u8]>> {
        match self.body {
            Some(body) => Some(Cow::Borrowed(body)),
            None => body_item::from_bodystructure(self.bodystructure).map(Cow::Owned),
        }
    }
}

pub(super) fn main_fields_complete(flags: u8) -> bool {
    flags & MAIN_FIELDS_COMPLETE != 0
}

fn flag(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

fn write_parts(out: &mut Writer, parts: &[Part]) {
    out.count(parts.len());
    let mut last = 0;
    for (index, part) in (0u64..).zip(parts) {
        let kind = match part.kind {
            PartKind::Leaf => 0,
            PartKind::Multipart => 1,
            PartKind::Message => 2,
        };
        out.u8(kind | flag(part.encoded, IS_ENCODED));
        out.zigzag(distance(u64::from(part.parent), index));
        out.zigzag(distance(last, part.header));
        out.zigzag(distance(part.header, part.body));
        out.zigzag(distance(part.body, part.end));
        last = after(part);
    }
}

pub(super) fn read_parts(input: &mut Reader<'_>) -> Result<Vec<Part>, Malformed> {
    let mut parts = Vec::new();
    each_part(input, |part| parts.push(part))?;
    Ok(parts)
}

/// Hands every part to `take`.
pub(super) fn each_part(
    input: &mut Reader<'_>,
    mut take: impl FnMut(Part),
) -> Result<(), Malformed> {
    let count = input.count()?;
    if count > PARTS_MAX {
        return Err(input.malformed("fewer parts"));
    }
    let mut last = 0u64;
    for index in (0u64..).take(count) {
        let bits = input.u8()?;
        let kind = match bits & !IS_ENCODED {
            0 => PartKind::Leaf,
            1 => PartKind::Multipart,
            2 => PartKind::Message,
            _ => return Err(input.malformed("a kind of part")),
        };
        let parent = index.wrapping_sub(input.zigzag()?.cast_unsigned());
        let parent = u32::try_from(parent).map_err(|_| input.malformed("the index of a part"))?;
        let header = last.wrapping_add_signed(input.zigzag()?);
        let body = header.wrapping_add_signed(input.zigzag()?);
        let end = body.wrapping_add_signed(input.zigzag()?);
        let part = Part {
            parent,
            kind,
            header,
            body,
            end,
            encoded: bits & IS_ENCODED != 0,
        };
        last = after(&part);
        take(part);
    }
    Ok(())
}

/// From one offset to another; negative only in descriptions that no message has.
fn distance(from: u64, to: u64) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

/// Near where the next part begins.
fn after(part: &Part) -> u64 {
    if part.kind == PartKind::Leaf {
        part.end
    } else {
        part.body
    }
}

fn write_sort(out: &mut Writer, sort: &SortKeys) {
    if let Some(date) = sort.date {
        out.zigzag(date);
    }
    if let Some(day) = sort.sent_day {
        out.zigzag(i64::from(day) - day_of(sort.date));
    }
    for key in [
        &sort.subject,
        &sort.from,
        &sort.to,
        &sort.cc,
        &sort.display_from,
        &sort.display_to,
    ] {
        out.text(key);
    }
    if sort.message_id != 0 {
        out.u64(sort.message_id);
    }
    out.count(sort.references.len());
    for reference in &sort.references {
        out.u64(*reference);
    }
}

/// Sort keys where they lie.
pub(super) struct SortView<'a> {
    date: Option<i64>,
    pub(super) sent_day: Option<i32>,
    is_reply: bool,
    keys: [&'a str; 6],
    message_id: u64,
    references: Vec<u64>,
}

pub(super) fn read_sort<'a>(input: &mut Reader<'a>, flags: u8) -> Result<SortView<'a>, Malformed> {
    let date = if flags & HAS_DATE != 0 {
        Some(input.zigzag()?)
    } else {
        None
    };
    let mut sent_day = None;
    if flags & HAS_SENT_DAY != 0 {
        let day = input.zigzag()?.wrapping_add(day_of(date));
        sent_day = Some(i32::try_from(day).map_err(|_| input.malformed("a day"))?);
    }
    let mut keys = [""; 6];
    for key in &mut keys {
        *key = input.text()?;
    }
    let message_id = if flags & HAS_MESSAGE_ID != 0 {
        input.u64()?
    } else {
        0
    };
    let mut references = Vec::new();
    let count = input.count()?;
    if count > REFERENCES_MAX {
        return Err(input.malformed("fewer references"));
    }
    for _ in 0..count {
        references.push(input.u64()?);
    }
    Ok(SortView {
        date,
        sent_day,
        is_reply: flags & IS_REPLY != 0,
        keys,
        message_id,
        references,
    })
}

impl From<SortView<'_>> for SortKeys {
    fn from(view: SortView<'_>) -> SortKeys {
        let [subject, from, to, cc, display_from, display_to] = view.keys.map(str::to_owned);
        SortKeys {
            date: view.date,
            sent_day: view.sent_day,
            subject,
            is_reply: view.is_reply,
            from,
            to,
            cc,
            display_from,
            display_to,
            message_id: view.message_id,
            references: view.references,
        }
    }
}

/// The day in UTC, from which the day as written differs by one at most.
fn day_of(date: Option<i64>) -> i64 {
    date.unwrap_or(0).div_euclid(SECONDS_A_DAY)
}

/// A search field and its decoded text.
pub(super) fn read_search_text<'a>(
    input: &mut Reader<'a>,
) -> Result<(SearchField, &'a str), Malformed> {
    let number = input.u8()?;
    let field = SearchField::ALL
        .into_iter()
        .find(|field| *field as u8 == number);
    let field = field.ok_or_else(|| input.malformed("the number of a search field"))?;
    Ok((field, input.text()?))
}
