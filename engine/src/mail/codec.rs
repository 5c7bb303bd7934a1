//! The bytes of a description in a row. They begin with the parser's version, which stands for their layout too.
//!
//! Layout of version 1: version; flags; then with their lengths main fields, envelope, BODYSTRUCTURE, and BODY where it is not
//! BODYSTRUCTURE without its extension data; the parts in order; sort keys; search texts. Offsets are distances: a part's header from
//! the last offset before it, its body from its header, its end from its body.
//!
//! Version 2 leaves out the sort keys where they follow from the main fields, as they do unless these were cut (whoever writes a row has
//! tried that), but for the day of the Date field, which searches ask for.
//!
//! Promises: `decode(encode(d)) == d`; bytes that are not of this format give an error, never a panic or a large allocation.

use std::borrow::Cow;

use coldpost_tiers::codec::{Malformed, Reader, Writer};

use crate::error::{Error, Kind, Result};
use crate::limits::{PARTS_MAX, REFERENCES_MAX};
use crate::mail::body_item;
use crate::mail::describe::{Description, PARSER_VERSION, SearchField, SortKeys};
use crate::mail::envelope::Envelope;
use crate::mail::part::{Part, PartKind};
use crate::mail::sort_key::sort_keys;

const MAIN_FIELDS_COMPLETE: u8 = 1;
const BODY_IS_DERIVED: u8 = 2;
const IS_REPLY: u8 = 4;
const HAS_DATE: u8 = 8;
const HAS_SENT_DAY: u8 = 16;
const HAS_MESSAGE_ID: u8 = 32;
/// From version 2 on.
const SORT_IS_DERIVED: u8 = 64;

/// The version whose rows have everything in them.
const WHOLE: u8 = 1;

const IS_ENCODED: u8 = 4;
const SECONDS_A_DAY: i64 = 86_400;

/// The description as bytes, in the layout of its parser's version.
pub fn encode(description: &Description) -> Vec<u8> {
    let sort = &description.sort;
    let body = body_item::from_bodystructure(&description.bodystructure);
    let is_derived = body.as_ref() == Some(&description.body);
    let has_sort = description.parser == WHOLE || derived_sort(&description.main_fields) != *sort;
    let mut out = Writer::new();
    out.u8(description.parser);
    let mut flags = flag(is_derived, BODY_IS_DERIVED)
        | flag(!has_sort, SORT_IS_DERIVED)
        | flag(description.main_fields_complete, MAIN_FIELDS_COMPLETE)
        | flag(sort.sent_day.is_some(), HAS_SENT_DAY);
    if has_sort {
        flags |= flag(sort.is_reply, IS_REPLY)
            | flag(sort.date.is_some(), HAS_DATE)
            | flag(sort.message_id != 0, HAS_MESSAGE_ID);
    }
    out.u8(flags).bytes(&description.main_fields);
    out.bytes(&description.envelope);
    out.bytes(&description.bodystructure);
    if !is_derived {
        out.bytes(&description.body);
    }
    write_parts(&mut out, &description.parts);
    if has_sort {
        write_sort(&mut out, sort);
    } else if let Some(day) = sort.sent_day {
        out.zigzag(i64::from(day));
    }
    out.count(description.search.len());
    for (field, text) in &description.search {
        out.u8(*field as u8).text(text);
    }
    out.into_bytes()
}

/// The sort keys that follow from the main fields.
fn derived_sort(main_fields: &[u8]) -> SortKeys {
    sort_keys(main_fields, &Envelope::read(main_fields))
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
    let Whole {
        head,
        body,
        parts,
        sort,
        search,
    } = Whole::read(input)?;
    let sort = match sort {
        Sort::Kept(kept) => kept.into(),
        Sort::Derived(sent_day) => {
            let sort = derived_sort(head.main_fields);
            if sort.sent_day != sent_day {
                return Err(input.malformed("the day of the Date field"));
            }
            sort
        }
    };
    let own = |(field, text): (SearchField, &str)| (field, text.to_owned());
    Ok(Description {
        parser: head.parser,
        main_fields: head.main_fields.to_vec(),
        main_fields_complete: main_fields_complete(head.flags),
        envelope: head.envelope.to_vec(),
        body: body.into_owned(),
        bodystructure: head.bodystructure.to_vec(),
        parts,
        sort,
        search: search.into_iter().map(own).collect(),
    })
}

/// All that a row has, where it lies: nothing is derived yet but BODY, which may turn out to be none.
pub(super) struct Whole<'a> {
    head: Head<'a>,
    body: Cow<'a, [u8]>,
    pub(super) parts: Vec<Part>,
    sort: Sort<'a>,
    search: Vec<(SearchField, &'a str)>,
}

impl<'a> Whole<'a> {
    pub(super) fn read(input: &mut Reader<'a>) -> Result<Whole<'a>, Malformed> {
        let head = Head::read(input)?;
        let parts = read_parts(input)?;
        let sort = read_sort(input, head.flags)?;
        let mut search = Vec::new();
        for _ in 0..input.count()? {
            search.push(read_search_text(input)?);
        }
        input.end()?;
        let body = head
            .body()
            .ok_or_else(|| input.malformed("a BODYSTRUCTURE"))?;
        Ok(Whole {
            head,
            body,
            parts,
            sort,
            search,
        })
    }
}

/// What comes first: the items that listings copy.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    parser: u8,
    pub(super) flags: u8,
    pub(super) main_fields: &'a [u8],
    pub(super) envelope: &'a [u8],
    pub(super) bodystructure: &'a [u8],
    body: Option<&'a [u8]>,
}

impl<'a> Head<'a> {
    pub(super) fn read(input: &mut Reader<'a>) -> Result<Head<'a>, Malformed> {
        let parser = input.u8()?;
        if parser != WHOLE && parser != PARSER_VERSION {
            return Err(input.malformed("a parser version that this Coldpost knows"));
        }
        let mut flags = input.u8()?;
        if parser == WHOLE {
            flags &= !SORT_IS_DERIVED;
        }
        Ok(Head {
            parser,
            flags,
            main_fields: input.bytes()?,
            envelope: input.bytes()?,
            bodystructure: input.bytes()?,
            body: match flags & BODY_IS_DERIVED {
                0 => Some(input.bytes()?),
                _ => None,
            },
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
    sent_day: Option<i32>,
    is_reply: bool,
    keys: [&'a str; 6],
    message_id: u64,
    references: Vec<u64>,
}

/// What a row has of the sort keys.
pub(super) enum Sort<'a> {
    Kept(SortView<'a>),
    /// The others follow from the main fields.
    Derived(Option<i32>),
}

impl Sort<'_> {
    pub(super) fn sent_day(&self) -> Option<i32> {
        match self {
            Sort::Kept(view) => view.sent_day,
            Sort::Derived(sent_day) => *sent_day,
        }
    }
}

pub(super) fn read_sort<'a>(input: &mut Reader<'a>, flags: u8) -> Result<Sort<'a>, Malformed> {
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
    if flags & SORT_IS_DERIVED != 0 {
        return Ok(Sort::Derived(sent_day));
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
    Ok(Sort::Kept(SortView {
        date,
        sent_day,
        is_reply: flags & IS_REPLY != 0,
        keys,
        message_id,
        references,
    }))
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
