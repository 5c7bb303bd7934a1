//! The header that every object begins with: a skippable frame that says what it is, whose, and under which key.
//!
//! Promises: bytes are read only when magic, length, checksum, version, kind, codec and key id are ones that we know; what
//! is not is refused in words.

use crate::address::{Epoch, ObjectId, ObjectKind, Position, ShardNo, StoreId};
use crate::codec::{Malformed, Reader, Writer};
use crate::frame;
use crate::limits::OBJECT_KEY_MAX;
use crate::{Error, Kind, Result};

/// Bytes of a header without its key.
const FIXED: usize = 102;
/// Bytes of the longest header.
pub const HEADER_MAX: usize = FIXED + OBJECT_KEY_MAX;
/// Stands in the first bytes of every object.
pub(crate) const SIGNATURE: &[u8; 8] = b"COLDPOST";
const VERSION: u16 = 1;
const ZSTD: u8 = 1;

/// Whose it is: the store, the shard, the writer's term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The store.
    pub store: StoreId,
    /// The shard.
    pub shard: ShardNo,
    /// The writer's term.
    pub epoch: Epoch,
}

/// What an object says about itself. The kind is that of its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHeader {
    /// The store it belongs to.
    pub store: StoreId,
    /// The shard it belongs to.
    pub shard: ShardNo,
    /// The writer's term.
    pub epoch: Epoch,
    /// Kind and id.
    pub object: ObjectId,
    /// The epoch in the checksums of its records: its own, but for a copied piece of a parent's segment.
    pub record_epoch: Epoch,
    /// Segments, tails: checksum of the record before the first one here (0 before position 1). Others: 0.
    pub chain: u32,
    /// Segments, tails: first position of the segment. Others: 0.
    pub first: Position,
    /// Tails: last position in it. Others: 0.
    pub last: Position,
    /// Tails: where the bytes after this header stand in the segment. Others: 0.
    pub offset: u64,
    /// Its own key in the bucket, below the prefix; at most [`OBJECT_KEY_MAX`] bytes.
    pub key: String,
}

impl ObjectHeader {
    /// Of the segment that begins at `first`, behind the record with checksum `chain`.
    pub fn segment(whose: Lineage, first: Position, chain: u32, key: String) -> ObjectHeader {
        let Lineage {
            store,
            shard,
            epoch,
        } = whose;
        let object = ObjectId::segment(epoch, first);
        let plain = ObjectHeader::other(store, shard, epoch, object, key);
        ObjectHeader {
            chain,
            first,
            ..plain
        }
    }

    /// Of an object that is no run of the journal: a blob, a claim.
    pub fn other(
        store: StoreId,
        shard: ShardNo,
        epoch: Epoch,
        object: ObjectId,
        key: String,
    ) -> ObjectHeader {
        ObjectHeader {
            store,
            shard,
            epoch,
            object,
            record_epoch: epoch,
            chain: 0,
            first: Position(0),
            last: Position(0),
            offset: 0,
            key,
        }
    }

    /// Whose it is.
    pub fn lineage(&self) -> Lineage {
        let (store, shard, epoch) = (self.store, self.shard, self.epoch);
        Lineage {
            store,
            shard,
            epoch,
        }
    }

    /// The bytes at the beginning of the object.
    pub fn encode(&self) -> Vec<u8> {
        assert!(
            self.key.len() <= OBJECT_KEY_MAX,
            "an object key of {} bytes, at most {OBJECT_KEY_MAX}",
            self.key.len()
        );
        let key_length = u16::try_from(self.key.len()).expect("keys are bounded");
        let length = u32::from(key_length) + u32::try_from(FIXED - 8).expect("small");
        let mut w = Writer::new();
        w.u32(frame::OBJECT)
            .u32(length)
            .raw(SIGNATURE)
            .u16(VERSION)
            .u8(self.object.kind as u8)
            .u8(ZSTD)
            .u32(0);
        w.raw(&self.store.0)
            .u16(self.shard.0)
            .u16(0)
            .u32(self.epoch.0)
            .raw(&self.object.id);
        w.u32(self.record_epoch.0)
            .u32(self.chain)
            .u64(self.first.0)
            .u64(self.last.0)
            .u64(self.offset);
        w.u16(key_length).raw(self.key.as_bytes());
        let mut bytes = w.into_bytes();
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// The header at the beginning of `bytes` (the first [`HEADER_MAX`] of the object are enough) and its length.
    /// `object` says where they came from, for the error.
    ///
    /// # Errors
    /// `Corrupt` when they are not what was written, `Invalid` when they are from a version that we do not know.
    pub fn decode(bytes: &[u8], object: &str) -> Result<(ObjectHeader, usize)> {
        let corrupt = |what: &str| Error::corrupt(object, 0, format!("{object}: {what}"));
        let unknown = |what: String| Error::new(Kind::Invalid, format!("{object}: {what}"));
        let malformed = |m: Malformed| corrupt(&format!("the object header is damaged ({m})"));
        let mut r = Reader::new(bytes);
        if r.u32().map_err(malformed)? != frame::OBJECT {
            return Err(corrupt("does not begin with an object header"));
        }
        let length = usize::try_from(r.u32().map_err(malformed)?).unwrap_or(usize::MAX);
        if !(FIXED - 8..=HEADER_MAX - 8).contains(&length) {
            return Err(corrupt(&format!("an object header of {length} bytes")));
        }
        let whole = bytes
            .get(..8 + length)
            .ok_or_else(|| corrupt("ends within its object header"))?;
        let (checked, crc) = whole.split_at(whole.len() - 4);
        if crc != crc32c::crc32c(checked).to_le_bytes() {
            return Err(corrupt("the object header has a wrong checksum"));
        }
        if &r.array().map_err(malformed)? != SIGNATURE {
            return Err(corrupt("is not an object of Coldpost"));
        }
        let version = r.u16().map_err(malformed)?;
        if version != VERSION {
            return Err(unknown(format!(
                "version {version} is not known; a newer Coldpost wrote it"
            )));
        }
        let kind = r.u8().map_err(malformed)?;
        let kind = ObjectKind::from_number(kind)
            .ok_or_else(|| unknown(format!("object kind {kind} is not known")))?;
        let codec = r.u8().map_err(malformed)?;
        if codec != ZSTD {
            return Err(unknown(format!("codec {codec} is not known")));
        }
        let key_id = r.u32().map_err(malformed)?;
        if key_id != 0 {
            return Err(unknown(format!(
                "is encrypted under key {key_id}; this version reads no encrypted objects"
            )));
        }
        let header = ObjectHeader::names(&mut r, kind).map_err(malformed)?;
        if r.offset() + 4 != whole.len() {
            return Err(corrupt("the object header is longer than its key"));
        }
        if kind == ObjectKind::Segment
            && header.object != ObjectId::segment(header.epoch, header.first)
        {
            return Err(corrupt(
                "the segment's id is not its epoch and first position",
            ));
        }
        Ok((header, whole.len()))
    }

    fn names(r: &mut Reader<'_>, kind: ObjectKind) -> Result<ObjectHeader, Malformed> {
        let store = StoreId(r.array()?);
        let shard = ShardNo(r.u16()?);
        let zero = r.malformed("zero");
        if r.u16()? != 0 {
            return Err(zero);
        }
        let epoch = Epoch(r.u32()?);
        let object = ObjectId {
            kind,
            id: r.array()?,
        };
        let (record_epoch, chain) = (Epoch(r.u32()?), r.u32()?);
        let (first, last, offset) = (Position(r.u64()?), Position(r.u64()?), r.u64()?);
        let key_length = r.u16()?;
        let utf8 = r.malformed("an object key in UTF-8");
        let key = std::str::from_utf8(r.raw(key_length.into())?)
            .map_err(|_| utf8)?
            .to_owned();
        Ok(ObjectHeader {
            store,
            shard,
            epoch,
            object,
            record_epoch,
            chain,
            first,
            last,
            offset,
            key,
        })
    }

    /// Whether this is the object that `store` and `shard` know as `id`.
    ///
    /// # Errors
    /// `Conflict`, with what it is instead.
    pub fn expect(&self, store: StoreId, shard: ShardNo, id: ObjectId, object: &str) -> Result<()> {
        let wrong = |what: String| Err(Error::new(Kind::Conflict, format!("{object}: {what}")));
        if self.store != store {
            return wrong("belongs to another store".to_owned());
        }
        if self.shard != shard {
            return wrong(format!(
                "belongs to shard {}, not {}",
                self.shard.0, shard.0
            ));
        }
        if self.object != id {
            return wrong(format!(
                "has a wrong name: it says of itself that it is {}",
                self.key
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::address::BlobId;

    fn header(
        store: [u8; 16],
        shard: u16,
        epoch: u32,
        first: u64,
        chain: u32,
        key: String,
    ) -> ObjectHeader {
        let whose = Lineage {
            store: StoreId(store),
            shard: ShardNo(shard),
            epoch: Epoch(epoch),
        };
        ObjectHeader::segment(whose, Position(first), chain, key)
    }

    proptest! {
        #[test]
        fn a_header_is_read_as_it_was_written(store: [u8; 16], shard: u16, epoch: u32, first: u64, rest: [u32; 4], key in "[a-z/0-9é]{0,200}") {
            let [chain, record, last, offset] = rest;
            let header = header(store, shard, epoch, first, chain, key);
            let (record_epoch, last, offset) = (Epoch(record), Position(last.into()), offset.into());
            let header = ObjectHeader { record_epoch, last, offset, ..header };
            let mut bytes = header.encode();
            let length = bytes.len();
            prop_assert!(length <= HEADER_MAX);
            bytes.extend_from_slice(b"what follows");
            prop_assert_eq!(ObjectHeader::decode(&bytes, "o").unwrap(), (header, length));
        }

        #[test]
        fn foreign_bytes_are_no_header_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(ObjectHeader::decode(&bytes, "o").is_err());
        }
    }

    #[test]
    fn every_flipped_bit_is_named() {
        let bytes = header([7; 16], 3, 2, 9, 5, "segments/3".to_owned()).encode();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let error = ObjectHeader::decode(&bad, "journal/1.seg").unwrap_err();
            assert!(
                matches!(error.kind(), Kind::Corrupt { offset: 0, .. }),
                "bit {bit}: {error}"
            );
        }
    }

    fn refused(at: usize, value: u8) -> String {
        let mut bytes = header([7; 16], 3, 2, 9, 5, "k".to_owned()).encode();
        bytes[at] = value;
        let end = bytes.len() - 4;
        let crc = crc32c::crc32c(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&crc);
        ObjectHeader::decode(&bytes, "o").unwrap_err().to_string()
    }

    #[test]
    fn what_a_newer_version_wrote_is_refused_in_words() {
        assert_eq!(
            refused(16, 2),
            "o: version 2 is not known; a newer Coldpost wrote it"
        );
        assert_eq!(refused(18, 77), "o: object kind 77 is not known");
        assert_eq!(refused(19, 2), "o: codec 2 is not known");
        assert_eq!(
            refused(20, 1),
            "o: is encrypted under key 1; this version reads no encrypted objects"
        );
    }

    #[test]
    fn another_stores_object_is_refused_in_words() {
        let header = header([7; 16], 3, 2, 9, 5, "k".to_owned());
        let say = |store, shard, id| {
            header
                .expect(StoreId(store), ShardNo(shard), id, "o")
                .map_err(|e| e.to_string())
        };
        assert_eq!(say([7; 16], 3, header.object), Ok(()));
        assert_eq!(
            say([8; 16], 3, header.object).unwrap_err(),
            "o: belongs to another store"
        );
        assert_eq!(
            say([7; 16], 4, header.object).unwrap_err(),
            "o: belongs to shard 3, not 4"
        );
        assert!(say([7; 16], 3, ObjectId::blob(BlobId([1; 16]))).is_err());
    }
}
