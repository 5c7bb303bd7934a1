//! The bytes of a description in a row. They begin with the parser's version, which stands for this layout too.
//!
//! Layout of version 1: version; flags; then with their lengths main fields, envelope, BODYSTRUCTURE, and BODY where it is not
//! BODYSTRUCTURE without its extension data; the parts in order; sort keys; search texts. Offsets are distances: a part's header from
//! the last offset before it, its body from its header, its end from its body.
//!
//! Promises: `decode(encode(d)) == d`; bytes that are not of this format give an error, never a panic or a large allocation.

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
    read(&mut Reader::new(bytes)).map_err(|malformed| {
        Error::with_source(
            Kind::Corrupt,
            format!("message description of {} bytes: {malformed}", bytes.len()),
            malformed,
        )
    })
}

fn read(input: &mut Reader<'_>) -> Result<Description, Malformed> {
    let parser = input.u8()?;
    if parser != PARSER_VERSION {
        return Err(input.malformed("a parser version that this Coldpost knows"));
    }
    let flags = input.u8()?;
    let main_fields = input.bytes()?.to_vec();
    let envelope = input.bytes()?.to_vec();
    let bodystructure = input.bytes()?.to_vec();
    let body = if flags & BODY_IS_DERIVED == 0 {
        input.bytes()?.to_vec()
    } else {
        let derived = body_item::from_bodystructure(&bodystructure);
        derived.ok_or_else(|| input.malformed("a BODYSTRUCTURE"))?
    };
    let parts = read_parts(input)?;
    let sort = read_sort(input, flags)?;
    let mut search = Vec::new();
    for _ in 0..input.count()? {
        search.push((read_search_field(input)?, input.text()?.to_owned()));
    }
    input.end()?;
    let main_fields_complete = flags & MAIN_FIELDS_COMPLETE != 0;
    Ok(Description {
        parser,
        main_fields,
        main_fields_complete,
        envelope,
        body,
        bodystructure,
        parts,
        sort,
        search,
    })
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

fn read_parts(input: &mut Reader<'_>) -> Result<Vec<Part>, Malformed> {
    let count = input.count()?;
    if count > PARTS_MAX {
        return Err(input.malformed("fewer parts"));
    }
    let mut parts = Vec::with_capacity(count);
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
        parts.push(part);
    }
    Ok(parts)
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

fn read_sort(input: &mut Reader<'_>, flags: u8) -> Result<SortKeys, Malformed> {
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
    let mut keys: [String; 6] = Default::default();
    for key in &mut keys {
        *key = input.text()?.to_owned();
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
    let [subject, from, to, cc, display_from, display_to] = keys;
    let is_reply = flags & IS_REPLY != 0;
    Ok(SortKeys {
        date,
        sent_day,
        subject,
        is_reply,
        from,
        to,
        cc,
        display_from,
        display_to,
        message_id,
        references,
    })
}

/// The day in UTC, from which the day as written differs by one at most.
fn day_of(date: Option<i64>) -> i64 {
    date.unwrap_or(0).div_euclid(SECONDS_A_DAY)
}

fn read_search_field(input: &mut Reader<'_>) -> Result<SearchField, Malformed> {
    let number = input.u8()?;
    let field = SearchField::ALL
        .into_iter()
        .find(|field| *field as u8 == number);
    field.ok_or_else(|| input.malformed("the number of a search field"))
}
