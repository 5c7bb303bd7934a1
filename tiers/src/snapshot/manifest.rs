//! The manifest: which moment a snapshot shows, and all of its ranges with their digests.

use crate::address::{Epoch, ObjectId, ObjectKind, Position, ShardNo, StoreId};
use crate::codec::{Malformed, Reader, Writer};
use crate::cold::Key;
use crate::frame::{self, skippable};
use crate::limits::{
    SNAPSHOT_MANIFEST_MAX, SNAPSHOT_RANGE_MAX, SNAPSHOT_RANGE_RAW_MAX, SNAPSHOT_RANGES_MAX,
};
use crate::object::{Lineage, ObjectHeader};
use crate::{Error, Kind, Result};

/// How rows of messages stand in the stream: the manifest's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Version 1: as they stand in the hot tier, each packed by itself.
    Packed = 1,
    /// Version 2: unpacked.
    Unpacked = 2,
}

/// Bytes of the digest at the end.
const DIGEST: usize = 32;

/// The entry after which the rows stood as a snapshot shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Whose, and in which epoch that entry was written.
    pub lineage: Lineage,
    /// Its position.
    pub position: Position,
    /// Checksum of its record.
    pub chain: u32,
    /// The running hash over all entries up to it.
    pub hash: [u8; 32],
    /// The shard's time then, ms since 1970.
    pub time_ms: u64,
}

/// A range as the manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeRef {
    /// Its object id.
    pub id: [u8; 16],
    /// Bytes of the object.
    pub bytes: u64,
    /// Bytes of its items.
    pub raw: u64,
    /// BLAKE3 of the object.
    pub digest: [u8; 32],
}

/// A table and how many rows it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRows {
    /// Its name.
    pub table: String,
    /// Its rows, at least one.
    pub rows: u64,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// How rows of messages stand in its ranges.
    pub form: Form,
    /// What it shows.
    pub moment: Moment,
    /// Rows of all tables.
    pub rows: u64,
    /// Raw bytes of all ranges.
    pub raw_bytes: u64,
    /// BLAKE3 of the rows.
    pub digest: [u8; 32],
    /// The tables that have rows.
    pub tables: Vec<TableRows>,
    /// In order.
    pub ranges: Vec<RangeRef>,
}

impl RangeRef {
    /// Its object.
    pub fn object(&self) -> ObjectId {
        ObjectId {
            kind: ObjectKind::SnapshotRange,
            id: self.id,
        }
    }
}

impl Moment {
    /// The object of its manifest.
    pub fn object(&self) -> ObjectId {
        ObjectId::numbered(ObjectKind::Snapshot, self.lineage.epoch, self.position.0)
    }

    fn key(&self) -> Key {
        Key::of(self.lineage.shard, &self.object())
    }
}

impl Manifest {
    /// The object: the same bytes each time.
    pub fn encode(&self) -> Vec<u8> {
        let Moment {
            lineage,
            position,
            chain,
            hash,
            time_ms,
        } = self.moment;
        let mut w = Writer::new();
        w.u8(self.form as u8)
            .u32(lineage.epoch.0)
            .u64(position.0)
            .u32(chain)
            .raw(&hash)
            .u64(time_ms)
            .varint(self.rows)
            .varint(self.raw_bytes)
            .raw(&self.digest);
        w.count(self.tables.len());
        for of in &self.tables {
            w.text(&of.table).varint(of.rows);
        }
        w.count(self.ranges.len());
        for range in &self.ranges {
            w.raw(&range.id)
                .varint(range.bytes)
                .varint(range.raw)
                .raw(&range.digest);
        }
        let payload = w.raw(&[0; DIGEST]).clone().into_bytes();
        let Lineage {
            store,
            shard,
            epoch,
        } = lineage;
        let key = self.moment.key().to_string();
        let mut object =
            ObjectHeader::other(store, shard, epoch, self.moment.object(), key).encode();
        object.extend_from_slice(&skippable(frame::MANIFEST, &payload));
        let end = object.len() - DIGEST;
        let digest = blake3::hash(&object[..end]);
        object[end..].copy_from_slice(digest.as_bytes());
        object
    }

    /// Reads the manifest that a store's shard has at `key`.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not what was written, `Conflict` for another store's or shard's, `Invalid` for a version that we do not know.
    pub fn decode(bytes: &[u8], store: StoreId, shard: ShardNo, key: &Key) -> Result<Manifest> {
        let name = key.to_string();
        let corrupt = |what: &str| Error::corrupt(&name, 0, format!("{name}: {what}"));
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SNAPSHOT_MANIFEST_MAX {
            return Err(corrupt("is too long for the manifest of a snapshot"));
        }
        let (header, length) = ObjectHeader::decode(bytes, &name)?;
        let Some((_, object)) = key.object() else {
            return Err(Error::new(
                Kind::Internal,
                format!("{name} is no key of a manifest"),
            ));
        };
        header.expect(store, shard, object, &name)?;
        let (before, digest) = bytes
            .split_last_chunk::<DIGEST>()
            .ok_or_else(|| corrupt("ends too early"))?;
        if blake3::hash(before) != *digest {
            return Err(corrupt("is not what was written (its digest differs)"));
        }
        let malformed = |m: Malformed| corrupt(&m.to_string());
        let mut r = Reader::new(before.get(length..).unwrap_or_default());
        let frame = (r.u32().map_err(malformed)?, r.u32().map_err(malformed)?);
        let follows = u32::try_from(r.rest().len() + DIGEST).unwrap_or(u32::MAX);
        if frame != (frame::MANIFEST, follows) {
            return Err(corrupt("has no frame of a manifest"));
        }
        let version = r.u8().map_err(malformed)?;
        let known = [Form::Packed, Form::Unpacked].into_iter();
        let Some(form) = known.into_iter().find(|form| *form as u8 == version) else {
            let text = format!(
                "{name}: version {version} of manifests is not known; a newer Coldpost wrote it"
            );
            return Err(Error::new(Kind::Invalid, text));
        };
        let manifest = Manifest::read(&mut r, form, header.lineage()).map_err(malformed)?;
        r.end().map_err(malformed)?;
        if manifest.moment.object() != object {
            return Err(corrupt("shows another moment than its name says"));
        }
        Ok(manifest)
    }

    fn read(r: &mut Reader<'_>, form: Form, whose: Lineage) -> Result<Manifest, Malformed> {
        let moment = Moment {
            lineage: Lineage {
                epoch: Epoch(r.u32()?),
                ..whose
            },
            position: Position(r.u64()?),
            chain: r.u32()?,
            hash: r.array()?,
            time_ms: r.u64()?,
        };
        let (rows, raw_bytes, digest) = (r.varint()?, r.varint()?, r.array()?);
        let mut tables = Vec::new();
        for _ in 0..r.count()? {
            tables.push(TableRows {
                table: r.text()?.to_owned(),
                rows: r.varint()?,
            });
        }
        let many = r.malformed("fewer ranges");
        let count = r.count()?;
        if count > SNAPSHOT_RANGES_MAX {
            return Err(many);
        }
        let mut ranges = Vec::new();
        for _ in 0..count {
            let large = r.malformed("a smaller range");
            let range = RangeRef {
                id: r.array()?,
                bytes: r.varint()?,
                raw: r.varint()?,
                digest: r.array()?,
            };
            let raw_max = u64::try_from(SNAPSHOT_RANGE_RAW_MAX).unwrap_or(u64::MAX);
            if range.bytes > SNAPSHOT_RANGE_MAX || range.raw > raw_max {
                return Err(large);
            }
            ranges.push(range);
        }
        Ok(Manifest {
            form,
            moment,
            rows,
            raw_bytes,
            digest,
            tables,
            ranges,
        })
    }
}
