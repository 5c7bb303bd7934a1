//! Which files count: `text/manifest`, replaced as a whole.
//!
//! Promises: what is loaded was saved as it is, by this history of the shard and these rules; else nothing is, and all text is made again.

use std::path::Path;

use coldpost_search::text::{Key, Rect, TextId};
use coldpost_tiers::codec::{Malformed, Reader, Writer};
use coldpost_tiers::disk::{Disk, failed};
use coldpost_tiers::segment::Lineage;

use crate::error::Result;
use crate::ids::Position;
use crate::shard::random_id;

/// Its name.
pub(super) const NAME: &str = "manifest";
const NEW: &str = "manifest.new";
const SIGNATURE: &[u8; 8] = b"COLDTEXT";
const VERSION: u16 = 2;

/// What it says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Drawn anew whenever files came to be lost: what was made out of them is made again as well.
    pub(super) line: u64,
    /// Up to here everything is in files, but for what is lost.
    pub(super) followed: u64,
    pub(super) lost: Vec<Rect>,
    pub(super) files: Vec<Named>,
}

/// A file that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) id: [u8; 16],
    pub(super) bytes: u64,
    pub(super) rect: Rect,
}

/// What is there; where that is nothing that can be used, everything up to `applied` is lost.
pub(super) fn load(disk: &dyn Disk, dir: &Path, lineage: Lineage, applied: Position) -> Manifest {
    let loaded = read(disk, &dir.join(NAME)).map(|bytes| decode(&bytes, lineage));
    let why = match loaded {
        Ok(Ok(manifest)) if manifest.followed <= applied.0 => return manifest,
        Ok(Ok(_)) => "it is ahead of the journal".to_owned(),
        Ok(Err(e)) => e.to_string(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "there is none".to_owned(),
        Err(e) => e.to_string(),
    };
    if applied.0 > 0 {
        tracing::info!(
            shard = lineage.shard.0,
            "the text of all messages is taken out of them anew: {}: {why}",
            dir.join(NAME).display()
        );
    }
    Manifest {
        line: draw_line(),
        followed: applied.0,
        lost: match applied.0 {
            0 => Vec::new(),
            to => vec![Rect::all(0, to)],
        },
        files: Vec::new(),
    }
}

fn read(disk: &dyn Disk, path: &Path) -> std::io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let size = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; size];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Puts it in the place of what is there.
///
/// # Errors
/// `Unavailable` when the disk refuses.
pub(super) fn save(
    disk: &dyn Disk,
    dir: &Path,
    lineage: Lineage,
    manifest: &Manifest,
) -> Result<()> {
    let (new, path) = (dir.join(NEW), dir.join(NAME));
    // What a crash left, or a disk that refused.
    match disk.remove(&new) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed("remove", &new, e).into());
        }
        _ => {}
    }
    let written = disk.create(&new).and_then(|file| {
        file.write_at(0, &encode(manifest, lineage))?;
        file.sync_data()
    });
    written.map_err(|e| failed("write", &new, e))?;
    disk.rename(&new, &path)
        .map_err(|e| failed("rename", &new, e))?;
    disk.sync_dir(dir).map_err(|e| failed("sync", dir, e))?;
    Ok(())
}

fn encode(manifest: &Manifest, lineage: Lineage) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(SIGNATURE).u16(VERSION).raw(&lineage.store.0);
    out.u16(lineage.shard.0)
        .u32(lineage.epoch.0)
        .u32(super::RULES);
    out.u64(manifest.line).varint(manifest.followed);
    put_rects(&mut out, &manifest.lost);
    out.count(manifest.files.len());
    for file in &manifest.files {
        out.raw(&file.id).varint(file.bytes);
        put_rect(&mut out, &file.rect);
    }
    let mut bytes = out.into_bytes();
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8], lineage: Lineage) -> Result<Manifest, Malformed> {
    let mut all = Reader::new(bytes);
    let body = bytes
        .len()
        .checked_sub(4)
        .and_then(|end| bytes.split_at_checked(end));
    let (body, crc) = body.ok_or_else(|| all.malformed("a checksum"))?;
    if crc32c::crc32c(body).to_le_bytes() != crc {
        return Err(all.malformed("the bytes of its checksum"));
    }
    all = Reader::new(body);
    if all.raw(8)? != SIGNATURE || all.u16()? != VERSION {
        return Err(all.malformed("a known version"));
    }
    let is_ours = all.raw(16)? == lineage.store.0 && all.u16()? == lineage.shard.0;
    if !is_ours || all.u32()? != lineage.epoch.0 {
        return Err(all.malformed("this store, shard and epoch"));
    }
    if all.u32()? != super::RULES {
        return Err(all.malformed("text by the rules of this version"));
    }
    let mut manifest = Manifest {
        line: all.u64()?,
        followed: all.varint()?,
        lost: rects(&mut all)?,
        ..Manifest::default()
    };
    for _ in 0..all.count()? {
        manifest.files.push(Named {
            id: all.array()?,
            bytes: all.varint()?,
            rect: rect(&mut all)?,
        });
    }
    all.end()?;
    Ok(manifest)
}

/// A number for what a store of text is made from now on.
pub(super) fn draw_line() -> u64 {
    let id = random_id().unwrap_or_default();
    let half = id.first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(half)
}

/// A count and these.
pub(crate) fn put_rects(out: &mut Writer, rects: &[Rect]) {
    out.count(rects.len());
    for rect in rects {
        put_rect(out, rect);
    }
}

/// Reads them.
///
/// # Errors
/// Of what is none.
pub(crate) fn rects(input: &mut Reader<'_>) -> Result<Vec<Rect>, Malformed> {
    let mut rects = Vec::new();
    for _ in 0..input.count()? {
        rects.push(rect(input)?);
    }
    Ok(rects)
}

fn put_rect(out: &mut Writer, rect: &Rect) {
    out.varint(rect.from).varint(rect.to);
    put_key(out, &rect.low);
    out.u8(rect.high.is_some().into());
    if let Some(high) = &rect.high {
        put_key(out, high);
    }
}

fn rect(input: &mut Reader<'_>) -> Result<Rect, Malformed> {
    Ok(Rect {
        from: input.varint()?,
        to: input.varint()?,
        low: key(input)?,
        high: match input.u8()? {
            0 => None,
            _ => Some(key(input)?),
        },
    })
}

fn put_key(out: &mut Writer, key: &Key) {
    out.u64(key.account).varint(key.id.epoch);
    out.varint(key.id.position).varint(key.id.number);
}

fn key(input: &mut Reader<'_>) -> Result<Key, Malformed> {
    Ok(Key {
        account: input.u64()?,
        id: TextId {
            epoch: input.number()?,
            position: input.varint()?,
            number: input.number()?,
        },
    })
}
