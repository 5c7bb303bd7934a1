//! A FETCH answer, item by item (RFC 3501, 7.4.2).

use coldpost_engine::flags::SystemFlags;
use coldpost_engine::ids::{ModSeq, Uid};
use coldpost_engine::mail::{Section, SectionText};
use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::mailbox::list_of_flags;
use super::string::{astring, decimal, literal_mark, nstring};
use crate::imap::ast::{FetchItem, FetchSection};

/// A FETCH line under way. The buffer is handed to every call, so that it can be sent between two pieces of a literal.
#[derive(Debug)]
#[must_use = "a line ends with `end`"]
pub struct FetchLine {
    empty: bool,
}

impl FetchLine {
    /// `* n FETCH (`
    pub fn begin(out: &mut Vec<u8>, number: u32) -> FetchLine {
        out.extend_from_slice(b"* ");
        decimal(out, number.into());
        out.extend_from_slice(b" FETCH (");
        FetchLine { empty: true }
    }

    /// `UID n`
    pub fn uid(&mut self, out: &mut Vec<u8>, uid: Uid) {
        self.item(out, "UID ");
        decimal(out, uid.into());
    }

    /// `FLAGS (…)`
    pub fn flags<'k>(
        &mut self,
        out: &mut Vec<u8>,
        system: SystemFlags,
        keywords: impl Iterator<Item = &'k str>,
        recent: bool,
    ) {
        self.item(out, "FLAGS ");
        list_of_flags(out, system, keywords, recent.then_some("\\Recent"));
    }

    /// `INTERNALDATE "…"`: seconds since 1970 and the zone in minutes east.
    pub fn internal_date(&mut self, out: &mut Vec<u8>, (seconds, zone): (i64, i16)) {
        self.item(out, "INTERNALDATE \"");
        date_time(out, seconds, zone);
        out.push(b'"');
    }

    /// `SAVEDATE "…"` (RFC 8514), seconds since 1970.
    pub fn save_date(&mut self, out: &mut Vec<u8>, seconds: i64) {
        self.item(out, "SAVEDATE \"");
        date_time(out, seconds, 0);
        out.push(b'"');
    }

    /// `RFC822.SIZE n`, octets.
    pub fn size(&mut self, out: &mut Vec<u8>, size: u64) {
        self.item(out, "RFC822.SIZE ");
        decimal(out, size);
    }

    /// `MODSEQ (n)`
    pub fn modseq(&mut self, out: &mut Vec<u8>, modseq: ModSeq) {
        self.item(out, "MODSEQ (");
        decimal(out, modseq);
        out.push(b')');
    }

    /// `EMAILID (id)`
    pub fn email_id(&mut self, out: &mut Vec<u8>, id: &str) {
        self.item(out, &format!("EMAILID ({id})"));
    }

    /// `THREADID (id)`
    pub fn thread_id(&mut self, out: &mut Vec<u8>, id: &str) {
        self.item(out, &format!("THREADID ({id})"));
    }

    /// `ENVELOPE …`, as the engine keeps it.
    pub fn envelope(&mut self, out: &mut Vec<u8>, envelope: &[u8]) {
        self.raw(out, "ENVELOPE ", envelope);
    }

    /// `BODY …` without extension data, as the engine keeps it.
    pub fn body(&mut self, out: &mut Vec<u8>, body: &[u8]) {
        self.raw(out, "BODY ", body);
    }

    /// `BODYSTRUCTURE …`, as the engine keeps it.
    pub fn body_structure(&mut self, out: &mut Vec<u8>, structure: &[u8]) {
        self.raw(out, "BODYSTRUCTURE ", structure);
    }

    /// `PREVIEW "…"` (RFC 8970), NIL where there is none now.
    pub fn preview(&mut self, out: &mut Vec<u8>, preview: Option<&str>) {
        self.item(out, "PREVIEW ");
        nstring(out, preview.map(str::as_bytes));
    }

    /// The label of a text (`BODY[1]<0>`, `RFC822`) and the start of its literal: exactly `size` octets follow, by
    /// [`super::octets`].
    pub fn literal(&mut self, out: &mut Vec<u8>, item: &FetchItem, size: u64) {
        self.label(out, item);
        out.push(b' ');
        literal_mark(out, size);
    }

    /// The same as a literal8 (RFC 3516): its octets are sent as they are, NUL too.
    pub fn literal8(&mut self, out: &mut Vec<u8>, item: &FetchItem, size: u64) {
        self.label(out, item);
        out.extend_from_slice(b" ~");
        literal_mark(out, size);
    }

    /// `BINARY.SIZE[1] n` (RFC 3516)
    pub fn binary_size(&mut self, out: &mut Vec<u8>, item: &FetchItem, size: u64) {
        self.label(out, item);
        out.extend_from_slice(format!(" {size}").as_bytes());
    }

    /// The label of a text that is not there, and NIL.
    pub fn nil(&mut self, out: &mut Vec<u8>, item: &FetchItem) {
        self.label(out, item);
        out.extend_from_slice(b" NIL");
    }

    /// Whether nothing was written in it yet.
    pub fn is_empty(&self) -> bool {
        self.empty
    }

    /// `)` and the end of the line.
    pub fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b")\r\n");
    }

    fn item(&mut self, out: &mut Vec<u8>, text: &str) {
        if !self.empty {
            out.push(b' ');
        }
        self.empty = false;
        out.extend_from_slice(text.as_bytes());
    }

    fn raw(&mut self, out: &mut Vec<u8>, name: &str, value: &[u8]) {
        self.item(out, name);
        out.extend_from_slice(value);
    }

    fn label(&mut self, out: &mut Vec<u8>, item: &FetchItem) {
        match item {
            FetchItem::Section(section) => {
                self.item(out, "BODY[");
                section_label(out, section);
            }
            FetchItem::Binary(section) => {
                self.item(out, "BINARY[");
                section_label(out, section);
            }
            FetchItem::BinarySize(path) => {
                let numbers: Vec<String> = path.iter().map(u32::to_string).collect();
                self.item(out, &format!("BINARY.SIZE[{}]", numbers.join(".")));
            }
            FetchItem::Rfc822 => self.item(out, "RFC822"),
            FetchItem::Rfc822Header => self.item(out, "RFC822.HEADER"),
            FetchItem::Rfc822Text => self.item(out, "RFC822.TEXT"),
            _ => unreachable!("only sections and their old names have texts"),
        }
    }
}

/// What stands in the brackets, the closing one and the origin: `1.HEADER.FIELDS (FROM TO)]<0>`. The names of fields come back in
/// upper case, as Dovecot sends them.
fn section_label(out: &mut Vec<u8>, fetched: &FetchSection) {
    let Section { path, text } = &fetched.section;
    let mut words: Vec<String> = path.iter().map(u32::to_string).collect();
    let (word, names): (_, &[String]) = match text {
        SectionText::All => ("", &[]),
        SectionText::Header => ("HEADER", &[]),
        SectionText::HeaderFields(names) => ("HEADER.FIELDS", names),
        SectionText::HeaderFieldsNot(names) => ("HEADER.FIELDS.NOT", names),
        SectionText::Text => ("TEXT", &[]),
        SectionText::Mime => ("MIME", &[]),
    };
    if !word.is_empty() {
        words.push(word.to_owned());
    }
    out.extend_from_slice(words.join(".").as_bytes());
    for (i, name) in names.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b" (" } else { b" " });
        astring(out, name.to_ascii_uppercase().as_bytes());
    }
    out.extend_from_slice(if names.is_empty() { b"]" } else { b")]" });
    if let Some(partial) = fetched.partial {
        out.extend_from_slice(format!("<{}>", partial.origin).as_bytes());
    }
}

/// `date-time` without its quotes, in the zone in which it was given: every one that the grammar takes comes back as it was. Years that
/// four digits cannot hold, and zones of a day and more, are written as the nearest that can be.
fn date_time(out: &mut Vec<u8>, seconds: i64, zone: i16) {
    const FIRST: i64 = -62_167_219_200; // 0000-01-01 00:00:00
    const LAST: i64 = 253_402_300_799; // 9999-12-31 23:59:59
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let zone = zone.clamp(-1_439, 1_439);
    let local = seconds
        .saturating_add(i64::from(zone) * 60)
        .clamp(FIRST, LAST);
    let time =
        DateTime::constant(1970, 1, 1, 0, 0, 0, 0).saturating_add(SignedDuration::from_secs(local));
    let month = usize::from(time.month().unsigned_abs()).saturating_sub(1);
    two_digits(out, time.day().unsigned_abs());
    out.push(b'-');
    out.extend_from_slice(MONTHS.get(month).unwrap_or(&"Jan").as_bytes());
    out.push(b'-');
    let year = time.year().unsigned_abs();
    for part in [year / 100, year % 100] {
        two_digits(out, u8::try_from(part).unwrap_or(0));
    }
    for (before, part) in [
        (b' ', time.hour()),
        (b':', time.minute()),
        (b':', time.second()),
    ] {
        out.push(before);
        two_digits(out, part.unsigned_abs());
    }
    let minutes = zone.unsigned_abs();
    out.extend_from_slice(if zone < 0 { b" -" } else { b" +" });
    for part in [minutes / 60, minutes % 60] {
        two_digits(out, u8::try_from(part).unwrap_or(0));
    }
}

fn two_digits(out: &mut Vec<u8>, number: u8) {
    out.extend_from_slice(&[b'0' + number / 10 % 10, b'0' + number % 10]);
}
