//! Mailbox entries in runs of up to 128 UIDs a row: small, so that a listing of flags scans few pages.

use super::{Row, VERSION};
use crate::address::{Epoch, MessageId, Position};
use crate::codec::{Malformed, Reader, Writer};
use crate::error::Error;

/// Entries of a run.
pub const RUN_ENTRIES_MAX: usize = 128;

/// One message in one mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunEntry {
    /// Its UID.
    pub uid: u32,
    /// The message.
    pub message: MessageId,
    /// System flags as bits.
    pub flags: u8,
    /// Keywords as bits of the mailbox's table.
    pub keywords: u128,
    /// MODSEQ
    pub modseq: u64,
    /// Seconds since 1970.
    pub save_date: i64,
}

/// A run: entries in UID order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// At least one, at most [`RUN_ENTRIES_MAX`] in a row.
    pub entries: Vec<RunEntry>,
}

fn difference(a: u64, b: u64) -> i64 {
    a.wrapping_sub(b).cast_signed()
}

impl Run {
    /// The key column of the run that holds `uid`: runs are ranges of 128 UIDs, so that every replica cuts them alike.
    pub fn first_uid(uid: u32) -> u32 {
        uid.saturating_sub(1) / 128 * 128 + 1
    }

    /// Gives the UIDs of a stored run to `take`, in order, and looks at nothing else of it: a mailbox that is opened wants no more.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are no run.
    pub fn each_uid(value: &[u8], take: impl FnMut(u32)) -> Result<(), Error> {
        read_uids(value, take).map_err(|malformed| {
            let offset = u64::try_from(malformed.offset).unwrap_or(u64::MAX);
            Error::corrupt("hot tier, table runs", offset, malformed.to_string())
        })
    }

    /// The highest modseq of a stored run, without reading its entries: a run below what a session knows is skipped.
    pub fn peek_highest_modseq(value: &[u8]) -> Option<u64> {
        let mut r = Reader::new(value);
        (r.u8().ok()? == VERSION).then_some(())?;
        r.varint().ok()?;
        r.varint().ok()
    }
}

fn read_uids(value: &[u8], mut take: impl FnMut(u32)) -> Result<(), Malformed> {
    let mut r = Reader::new(value);
    if r.u8()? != VERSION {
        return Err(r.malformed("a version that is known"));
    }
    let n = r.count()?;
    r.pass_varint()?;
    let mut uid = 0_u32;
    for _ in 0..n {
        let at = r.malformed("a UID of 32 bits");
        uid = uid.checked_add(r.number()?).ok_or(at)?;
        for _ in 0..3 {
            r.pass_varint()?;
        }
        r.u8()?;
        for _ in 0..2 {
            r.pass_varint()?;
        }
        r.bytes()?;
        take(uid);
    }
    Ok(())
}

impl Row for Run {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        let highest = self.entries.iter().map(|e| e.modseq).max().unwrap_or(0);
        w.u8(VERSION).count(self.entries.len()).varint(highest);
        let (mut uid, mut position, mut modseq, mut saved) = (0, 0, 0, 0);
        for e in &self.entries {
            w.varint(e.uid - uid)
                .varint(e.message.epoch.0)
                .zigzag(difference(e.message.position.0, position));
            w.varint(e.message.number)
                .u8(e.flags)
                .zigzag(difference(e.modseq, modseq));
            w.zigzag(e.save_date.wrapping_sub(saved));
            let bits = e.keywords.to_le_bytes();
            let used = bits.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
            w.bytes(&bits[..used]);
            (uid, position, modseq, saved) = (e.uid, e.message.position.0, e.modseq, e.save_date);
        }
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<Run, Malformed> {
        let n = r.count()?;
        r.varint()?;
        let mut run = Run {
            entries: Vec::with_capacity(n.min(RUN_ENTRIES_MAX)),
        };
        let (mut uid, mut position, mut modseq, mut saved) = (0_u32, 0_u64, 0_u64, 0_i64);
        for _ in 0..n {
            let at = r.malformed("a UID of 32 bits");
            uid = uid.checked_add(r.number()?).ok_or(at)?;
            let epoch = Epoch(r.number()?);
            position = position.wrapping_add(r.zigzag()?.cast_unsigned());
            let number = r.number()?;
            let flags = r.u8()?;
            modseq = modseq.wrapping_add(r.zigzag()?.cast_unsigned());
            saved = saved.wrapping_add(r.zigzag()?);
            let at = r.malformed("at most 16 bytes of keyword bits");
            let stored = r.bytes()?;
            let mut bits = [0; 16];
            bits.get_mut(..stored.len())
                .ok_or(at)?
                .copy_from_slice(stored);
            run.entries.push(RunEntry {
                uid,
                message: MessageId {
                    epoch,
                    position: Position(position),
                    number,
                },
                flags,
                keywords: u128::from_le_bytes(bits),
                modseq,
                save_date: saved,
            });
        }
        Ok(run)
    }
}

/// Why an entry left its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// EXPUNGE
    Expunge = 1,
    /// MOVE
    Move = 2,
    /// A COPY or MULTIAPPEND that did not come to its end.
    UndoneGroup = 3,
    /// A policy.
    Policy = 4,
    /// Its mailbox was deleted.
    MailboxDeleted = 5,
}

/// An entry that left its mailbox; its reference lives until it is purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpungedRow {
    /// As it was.
    pub entry: RunEntry,
    /// The modseq of the expunge.
    pub modseq: u64,
    /// Seconds since 1970, by the shard's time.
    pub time: i64,
    /// Why.
    pub cause: Cause,
}

impl Row for ExpungedRow {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION)
            .bytes(
                &Run {
                    entries: vec![self.entry],
                }
                .encode(),
            )
            .varint(self.modseq)
            .zigzag(self.time);
        w.u8(self.cause as u8);
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<ExpungedRow, Malformed> {
        let at = r.malformed("a run of one entry");
        let mut inner = Reader::new(r.bytes()?);
        if inner.u8() != Ok(VERSION) {
            return Err(at);
        }
        let run = Run::read(&mut inner)?;
        let [entry] = run.entries[..] else {
            return Err(at);
        };
        let (modseq, time) = (r.varint()?, r.zigzag()?);
        let cause = match r.u8()? {
            1 => Cause::Expunge,
            2 => Cause::Move,
            3 => Cause::UndoneGroup,
            4 => Cause::Policy,
            5 => Cause::MailboxDeleted,
            _ => return Err(r.malformed("a cause 1 to 5")),
        };
        Ok(ExpungedRow {
            entry,
            modseq,
            time,
            cause,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = RunEntry> {
        (
            any::<u32>(),
            any::<(u32, u64, u16)>(),
            any::<u8>(),
            any::<u128>(),
            any::<u64>(),
            any::<i64>(),
        )
            .prop_map(|(uid, m, flags, keywords, modseq, save_date)| RunEntry {
                uid,
                message: MessageId {
                    epoch: Epoch(m.0),
                    position: Position(m.1),
                    number: m.2,
                },
                flags,
                keywords,
                modseq,
                save_date,
            })
    }

    proptest! {
        #[test]
        fn a_run_is_read_as_it_was_written(mut entries in proptest::collection::vec(entry(), 0..130)) {
            entries.sort_by_key(|e| e.uid);
            let run = Run { entries };
            let value = run.encode();
            prop_assert_eq!(Run::decode("runs", &value).unwrap(), run.clone());
            let mut uids = Vec::new();
            Run::each_uid(&value, |uid| uids.push(uid)).unwrap();
            prop_assert_eq!(uids, run.entries.iter().map(|e| e.uid).collect::<Vec<_>>());
            prop_assert_eq!(Run::peek_highest_modseq(&value), Some(run.entries.iter().map(|e| e.modseq).max().unwrap_or(0)));
        }

        #[test]
        fn foreign_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = Run::decode("runs", &bytes);
            let _ = Run::each_uid(&bytes, drop);
        }
    }
}
