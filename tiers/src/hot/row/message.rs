//! Where a message of an account is and how often it is referred to, apart from its big row: small, there is one for every message.
//!
//! What follows from the key, or is as it is for nearly all messages, takes no bytes but the bit that says so.

use super::place::{read_object, write_object};
use super::versioned;
use crate::address::{
    Address, Epoch, Extent, FrameRef, MessageId, ObjectId, ObjectKind, Position, ShardNo,
};
use crate::codec::{Malformed, Reader, Writer};
use crate::error::Error;
use crate::extent::{read_extents, write_extents};
use crate::hot::key;

/// The version of a place.
const VERSION: u8 = 2;

/// A count of references stands in it; else it is 1.
const IS_COUNTED: u8 = 1;
/// EMAILID is another message than the key's.
const IS_CARRIED: u8 = 2;
/// THREADID is not EMAILID.
const IS_ANSWER: u8 = 4;
/// The zone is not UTC.
const HAS_ZONE: u8 = 8;
/// The object is named by its 16 bytes, not by epoch and number.
const IS_NAMED: u8 = 16;
/// Extents: one frame that gives the whole message.
const IS_FRAME: u8 = 32;
/// Extents: slices only, and these give the whole message.
const IS_SLICES: u8 = 64;

/// Shard and message id of a first delivery: EMAILID and THREADID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The shard.
    pub shard: ShardNo,
    /// The message there.
    pub message: MessageId,
}

impl Origin {
    /// 16 bytes: shard, epoch, position, number, big-endian.
    pub fn write(&self, w: &mut Writer) {
        w.raw(&self.shard.0.to_be_bytes())
            .raw(&self.message.epoch.0.to_be_bytes())
            .raw(&self.message.position.0.to_be_bytes())
            .raw(&self.message.number.to_be_bytes());
    }

    /// Reads what [`Origin::write`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] when bytes are missing.
    pub fn read(r: &mut Reader<'_>) -> Result<Origin, Malformed> {
        Ok(Origin {
            shard: ShardNo(u16::from_be_bytes(r.array()?)),
            message: MessageId {
                epoch: Epoch(u32::from_be_bytes(r.array()?)),
                position: Position(u64::from_be_bytes(r.array()?)),
                number: u16::from_be_bytes(r.array()?),
            },
        })
    }

    /// Shard, epoch, position and number as varints.
    fn write_short(&self, w: &mut Writer) {
        let id = self.message;
        w.varint(self.shard.0)
            .varint(id.epoch.0)
            .varint(id.position.0)
            .varint(id.number);
    }

    fn read_short(r: &mut Reader<'_>) -> Result<Origin, Malformed> {
        Ok(Origin {
            shard: ShardNo(r.number()?),
            message: MessageId {
                epoch: Epoch(r.number()?),
                position: Position(r.varint()?),
                number: r.number()?,
            },
        })
    }
}

/// A message of an account, apart from its big row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Entries and expunged entries that refer to it.
    pub references: u64,
    /// EMAILID
    pub email_id: Origin,
    /// THREADID
    pub thread_id: Origin,
    /// INTERNALDATE, seconds since 1970.
    pub date: i64,
    /// Its zone, minutes east.
    pub zone: i16,
    /// Octets.
    pub size: u64,
    /// CRC32C of the message as it came.
    pub crc: u32,
    /// Where its bytes are.
    pub address: Address,
}

/// An object that epoch and number name whole.
fn is_numbered(object: ObjectId) -> bool {
    let (epoch, number) = object.numbers();
    object == ObjectId::numbered(object.kind, epoch, number)
}

/// One frame that gives `size` bytes.
fn whole_frame(extents: &[Extent], size: u64) -> Option<FrameRef> {
    match extents {
        [Extent::Frame(frame)] if u64::from(frame.raw) == size => Some(*frame),
        _ => None,
    }
}

/// Frame, skip and length of each, where all are slices and give `size` bytes.
fn whole_slices(address: &Address, size: u64) -> Option<Vec<(u32, u32, u32)>> {
    let slice = |extent: &Extent| match extent {
        Extent::Slice {
            frame,
            skip,
            length,
        } => Some((*frame, *skip, *length)),
        _ => None,
    };
    let slices: Vec<_> = address.extents.iter().map(slice).collect::<Option<_>>()?;
    let given: u64 = slices
        .iter()
        .fold(0, |sum, (_, _, length)| sum + u64::from(*length));
    (!slices.is_empty() && given == size && address.offset == 0).then_some(slices)
}

impl Place {
    /// The value that stands at the key of `own` in the table.
    pub fn encode(&self, own: MessageId) -> Vec<u8> {
        let address = &self.address;
        let frame = whole_frame(&address.extents, self.size);
        let slices = whole_slices(address, self.size);
        let bits = [
            (self.references != 1, IS_COUNTED),
            (self.email_id.message != own, IS_CARRIED),
            (self.thread_id != self.email_id, IS_ANSWER),
            (self.zone != 0, HAS_ZONE),
            (!is_numbered(address.object), IS_NAMED),
            (frame.is_some(), IS_FRAME),
            (slices.is_some(), IS_SLICES),
        ];
        let bits = bits.iter().filter(|(is_set, _)| *is_set);
        let mut w = Writer::new();
        w.u8(VERSION).u8(bits.fold(0, |all, (_, bit)| all | bit));
        if self.references != 1 {
            w.varint(self.references);
        }
        if self.email_id.message == own {
            w.varint(self.email_id.shard.0);
        } else {
            self.email_id.write_short(&mut w);
        }
        if self.thread_id != self.email_id {
            self.thread_id.write_short(&mut w);
        }
        w.zigzag(self.date);
        if self.zone != 0 {
            w.zigzag(i64::from(self.zone));
        }
        w.varint(self.size).u32(self.crc);
        if is_numbered(address.object) {
            let (epoch, number) = address.object.numbers();
            w.u8(address.object.kind as u8)
                .varint(epoch.0)
                .varint(number);
        } else {
            write_object(&mut w, address.object);
        }
        match (frame, slices) {
            (Some(frame), _) => {
                w.varint(address.offset).varint(frame.stored).u32(frame.crc);
            }
            (None, Some(slices)) => write_slices(&mut w, &slices),
            (None, None) => {
                w.varint(address.offset);
                write_extents(&mut w, &address.extents);
            }
        }
        w.into_bytes()
    }

    /// Reads the value at a key of `places`.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not such a value, or of a newer version, or the key is none.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Place, Error> {
        let Some((_, own)) = key::read_message(key) else {
            let text = format!("expected the key of a message, not {key:02x?}");
            return Err(Error::corrupt("hot tier, table places", 0, text));
        };
        versioned("places", VERSION, value, |r| Place::read(own, r))
    }

    fn read(own: MessageId, r: &mut Reader<'_>) -> Result<Place, Malformed> {
        let bits = r.u8()?;
        let has = |bit| bits & bit != 0;
        let references = if has(IS_COUNTED) { r.varint()? } else { 1 };
        let email_id = if has(IS_CARRIED) {
            Origin::read_short(r)?
        } else {
            Origin {
                shard: ShardNo(r.number()?),
                message: own,
            }
        };
        let thread_id = if has(IS_ANSWER) {
            Origin::read_short(r)?
        } else {
            email_id
        };
        let date = r.zigzag()?;
        let at = r.malformed("a zone in minutes");
        let zone = if has(HAS_ZONE) { r.zigzag()? } else { 0 };
        let zone = i16::try_from(zone).map_err(|_| at)?;
        let (size, crc) = (r.varint()?, r.u32()?);
        let object = if has(IS_NAMED) {
            read_object(r)?
        } else {
            let at = r.malformed("a kind of object");
            let kind = ObjectKind::from_number(r.u8()?).ok_or(at)?;
            ObjectId::numbered(kind, Epoch(r.number()?), r.varint()?)
        };
        let (offset, extents) = if has(IS_FRAME) {
            let (offset, at) = (r.varint()?, r.malformed("a message that fits a frame"));
            let frame = FrameRef {
                stored: r.number()?,
                raw: u32::try_from(size).map_err(|_| at)?,
                crc: r.u32()?,
            };
            (offset, vec![Extent::Frame(frame)])
        } else if has(IS_SLICES) {
            (0, read_slices(r, size)?)
        } else {
            (r.varint()?, read_extents(r)?)
        };
        Ok(Place {
            references,
            email_id,
            thread_id,
            date,
            zone,
            size,
            crc,
            address: Address {
                object,
                offset,
                extents,
            },
        })
    }
}

/// The length of the last one follows from the size of the message.
fn write_slices(w: &mut Writer, slices: &[(u32, u32, u32)]) {
    w.count(slices.len());
    let mut before = 0;
    for (number, (frame, skip, length)) in slices.iter().enumerate() {
        w.zigzag(i64::from(*frame) - before).varint(*skip);
        if number + 1 < slices.len() {
            w.varint(*length);
        }
        before = i64::from(*frame);
    }
}

fn read_slices(r: &mut Reader<'_>, size: u64) -> Result<Vec<Extent>, Malformed> {
    let count = r.count()?;
    let mut slices = Vec::with_capacity(count.min(1024));
    let (mut before, mut left) = (0_i64, size);
    for number in 0..count {
        let at = r.malformed("the number of a frame");
        let frame = u32::try_from(before.saturating_add(r.zigzag()?)).map_err(|_| at)?;
        let skip = r.number()?;
        let at = r.malformed("lengths that add up to the size of the message");
        let length = if number + 1 < count {
            u64::from(r.number::<u32>()?)
        } else {
            left
        };
        left = left.checked_sub(length).ok_or(at)?;
        slices.push(Extent::Slice {
            frame,
            skip,
            length: u32::try_from(length).map_err(|_| at)?,
        });
        before = i64::from(frame);
    }
    Ok(slices)
}

#[cfg(test)]
mod tests;
