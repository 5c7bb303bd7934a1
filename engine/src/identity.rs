//! Whose data directory this is, and in which epochs it writes (`docs/format.md`, "Data directory").

mod end;

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use bytes::Bytes;
use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::codec::{Malformed, Reader, Writer};
use coldpost_tiers::cold::{Caller, ColdStore, Key};
use coldpost_tiers::disk::{Disk, RealDisk};
use coldpost_tiers::frame::{compress_message, decompress_each};
use coldpost_tiers::object::ObjectHeader;
use coldpost_tiers::segment::Lineage;

use crate::error::{Error, Kind, Result};
use crate::ids::{Epoch, Position, ShardNo, StoreId};
use crate::shard::random_id;
use crate::start::hex;

pub(crate) use end::check_end;

const SIGNATURE: &[u8; 8] = b"COLDPOST";
const VERSION: u16 = 1;

/// `DIR/store`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The store.
    pub store: StoreId,
    /// The machine on which it was made; zeros where it has no name.
    pub machine: [u8; 16],
    /// Mail shards.
    pub shards: u16,
}

impl Identity {
    /// Reads it; `None` in a directory without a store.
    ///
    /// # Errors
    /// `Corrupt`; `Invalid` for a newer version; `Unavailable` when the disk refuses.
    pub(crate) fn read(data: &Path) -> Result<Option<Identity>> {
        let path = data.join("store");
        let Some(bytes) = read_file(&path)? else {
            return Ok(None);
        };
        let read = |r: &mut Reader<'_>| {
            Ok(Identity {
                store: StoreId(r.array()?),
                machine: r.array()?,
                shards: r.u16()?,
            })
        };
        checked(&path, &bytes, read).map(Some)
    }

    /// Draws a store id and writes the file.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn make(data: &Path, shards: u16) -> Result<Identity> {
        let store = StoreId(random_id()?);
        let mut machine = [0; 16];
        if let Ok(id) = fs::read("/etc/machine-id") {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&store.0).update(&id);
            machine.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        }
        let identity = Identity {
            store,
            machine,
            shards,
        };
        let mut w = Writer::new();
        w.raw(&store.0).raw(&machine).u16(shards);
        write_file(&data.join("store"), w)?;
        Ok(identity)
    }
}

/// `DIR/shards/<n>/epoch`: the epoch in which we write a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Store, shard, epoch.
    pub lineage: Lineage,
    /// Where it comes from; 0 for the first.
    pub parent: Epoch,
    /// The last position of the parent that counts.
    pub fork: Position,
    /// Random: tells a retry of ours from somebody else's claim.
    pub opener: [u8; 16],
    /// Whether the bucket confirmed it.
    pub claimed: bool,
}

/// What an object under a claim's key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// What the claim says.
    Same,
    /// Another store's.
    Other,
    /// It is no claim that can be read.
    Nothing,
}

impl Claim {
    /// Reads it, if there is one.
    ///
    /// # Errors
    /// `Corrupt`; `Unavailable` when the disk refuses.
    pub(crate) fn read(dir: &Path, store: StoreId, shard: ShardNo) -> Result<Option<Claim>> {
        let path = dir.join("epoch");
        let read = |bytes: Vec<u8>| {
            checked(&path, &bytes, |r| {
                Ok(Claim {
                    lineage: Lineage {
                        store,
                        shard,
                        epoch: Epoch(r.u32()?),
                    },
                    parent: Epoch(r.u32()?),
                    fork: Position(r.u64()?),
                    opener: r.array()?,
                    claimed: r.u8()? == 1,
                })
            })
        };
        read_file(&path)?.map(read).transpose()
    }

    /// [`Claim::read`], or the first epoch of a shard without one, which [`check`] writes.
    ///
    /// # Errors
    /// As [`Claim::read`].
    pub(crate) fn read_or_draw(dir: &Path, store: StoreId, shard: ShardNo) -> Result<Claim> {
        if let Some(claim) = Claim::read(dir, store, shard)? {
            return Ok(claim);
        }
        Ok(Claim {
            lineage: Lineage {
                store,
                shard,
                epoch: Epoch(1),
            },
            parent: Epoch(0),
            fork: Position(0),
            opener: random_id()?,
            claimed: false,
        })
    }

    fn write(&self, dir: &Path) -> Result<()> {
        make_private(dir).map_err(|e| coldpost_tiers::disk::failed("make", dir, e))?;
        let mut w = Writer::new();
        w.u32(self.lineage.epoch.0)
            .u32(self.parent.0)
            .u64(self.fork.0)
            .raw(&self.opener);
        w.u8(u8::from(self.claimed));
        write_file(&dir.join("epoch"), w)
    }

    pub(crate) fn key(&self) -> Key {
        Key::Epoch {
            shard: self.lineage.shard,
            epoch: self.lineage.epoch,
        }
    }

    fn text(&self) -> String {
        let Lineage {
            store,
            shard,
            epoch,
        } = self.lineage;
        let opener: String = self.opener.iter().map(|b| format!("{b:02x}")).collect();
        format!(
            "store {} shard {} epoch {} parent {} fork {} opener {opener}\n",
            hex(store),
            shard.0,
            epoch.0,
            self.parent.0,
            self.fork.0
        )
    }

    /// Whether an object says what this claim says, however its frame was compressed: zstd's output differs between versions.
    pub(crate) fn compared_with(&self, object: &[u8]) -> Said {
        let name = self.key().to_string();
        let Ok((header, length)) = ObjectHeader::decode(object, &name) else {
            return Said::Nothing;
        };
        let mut text = Vec::new();
        let frames = object.get(length..).unwrap_or_default();
        let offset = u64::try_from(length).unwrap_or(0);
        let read = decompress_each(frames, &name, offset, |raw| text.extend_from_slice(raw));
        if header.store != self.lineage.store {
            Said::Other
        } else if read.is_ok() && header.key == name && text == self.text().as_bytes() {
            Said::Same
        } else {
            // Nobody else opens an epoch of this store under our number: this is damage, which frames do not always tell.
            Said::Nothing
        }
    }

    /// The object that is put: the same for every retry.
    pub(crate) fn object(&self) -> Bytes {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&self.lineage.epoch.0.to_be_bytes());
        let object = ObjectId {
            kind: ObjectKind::EpochClaim,
            id,
        };
        let Lineage {
            store,
            shard,
            epoch,
        } = self.lineage;
        let header = ObjectHeader::other(store, shard, epoch, object, self.key().to_string());
        let (frames, _) = compress_message(self.text().as_bytes(), &[]);
        let mut bytes = header.encode();
        bytes.extend_from_slice(&frames);
        Bytes::from(bytes)
    }
}

/// Compares a claim with the bucket; writes and puts one that was never confirmed.
///
/// # Errors
/// `Conflict`: the bucket is another store's, or somebody opened a later epoch. `Unavailable`: it does not answer, or not with a claim
/// where one was confirmed.
pub(crate) async fn check(cold: &ColdStore, claim: &Claim, dir: &Path) -> Result<()> {
    let Lineage { shard, epoch, .. } = claim.lineage;
    let next = Epoch(epoch.0 + 1);
    if cold.is_claimed(shard, next, Caller::Epoch).await? {
        let text = format!(
            "shard {} was taken over by a writer in epoch {} ({}): this data directory is not the store any more",
            shard.0,
            epoch.0 + 1,
            cold.url()
        );
        return Err(Error::new(Kind::Conflict, text));
    }
    if !claim.claimed {
        return first_claim(cold, claim, dir).await;
    }
    match cold.get(&claim.key(), Caller::Epoch).await {
        Ok(found) if found == claim.object() => Ok(()),
        Ok(found) => match claim.compared_with(&found) {
            Said::Same => Ok(()),
            Said::Other => Err(other(cold, claim)),
            // A page of a gateway, or damage: nothing is concluded, and nothing is written there.
            Said::Nothing => Err(unreadable(cold, claim)),
        },
        // A bucket that was lost, another one, or a directory that is not mounted: the same.
        Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => Err(Error::with_source(
            Kind::Unavailable,
            format!(
                "{} does not hold this store (no {}): check [cold] url, or whether it is mounted",
                cold.url(),
                claim.key()
            ),
            e,
        )),
        Err(e) => Err(e.into()),
    }
}

fn unreadable(cold: &ColdStore, claim: &Claim) -> Error {
    let name = claim.key().to_string();
    let text = format!(
        "{name} in {} cannot be read: the store answers wrongly, or the object is damaged (put it back from a copy)",
        cold.url()
    );
    let cause = coldpost_tiers::Error::corrupt(name, 0, "it is no claim of this store");
    Error::with_source(Kind::Unavailable, text, cause)
}

fn lost(cold: &ColdStore, dir: &Path) -> Error {
    let text = format!(
        "{} is missing, and {} has this store's shard: put the shard's directory back as it was",
        dir.join("epoch").display(),
        cold.url()
    );
    Error::new(Kind::Conflict, text)
}

fn other(cold: &ColdStore, claim: &Claim) -> Error {
    let text = format!(
        "{} belongs to another store than this data directory (store {}): check [cold] url and --data; nothing was changed",
        cold.url(),
        hex(claim.lineage.store)
    );
    Error::new(Kind::Conflict, text)
}

/// Writes a claim, then puts it: a put whose answer was lost is found again by what was written.
async fn first_claim(cold: &ColdStore, claim: &Claim, dir: &Path) -> Result<()> {
    let Lineage { store, shard, .. } = claim.lineage;
    if Claim::read(dir, store, shard)?.is_none() {
        match cold.get(&claim.key(), Caller::Epoch).await {
            Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => {}
            Err(e) => return Err(e.into()),
            Ok(found) => {
                let key = claim.key().to_string();
                return Err(match ObjectHeader::decode(&found, &key) {
                    Ok((header, _)) if header.store == store => lost(cold, dir),
                    Ok(_) => other(cold, claim),
                    Err(_) => unreadable(cold, claim),
                });
            }
        }
        claim.write(dir)?;
    }
    match cold
        .put_new(&claim.key(), claim.object(), Caller::Epoch)
        .await
    {
        Ok(_) => {}
        // An answer was lost, and another zstd has other bytes for the same claim.
        Err(e) if *e.kind() == coldpost_tiers::Kind::Conflict => {
            let found = cold.get(&claim.key(), Caller::Epoch).await?;
            if claim.compared_with(&found) != Said::Same {
                return Err(other(cold, claim));
            }
        }
        Err(e) => return Err(e.into()),
    }
    Claim {
        claimed: true,
        ..claim.clone()
    }
    .write(dir)
}

/// Makes a shard's directory and the one above it, durably and for their owner alone.
fn make_private(dir: &Path) -> io::Result<()> {
    let private = &mut DirBuilder::new();
    private.recursive(true).mode(0o700).create(dir)?;
    if let Some(shards) = dir.parent() {
        RealDisk.create_dir(shards)?;
    }
    RealDisk.create_dir(dir)
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::with_source(
            Kind::Unavailable,
            format!("cannot read {}", path.display()),
            e,
        )),
    }
}

fn checked<T>(
    path: &Path,
    bytes: &[u8],
    read: impl Fn(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<T> {
    let damaged = |what: String| {
        let text = format!(
            "{} is damaged ({what}): put it back from a backup",
            path.display()
        );
        Error::new(Kind::Corrupt, text)
    };
    let Some((body, sum)) = bytes.split_last_chunk::<4>() else {
        return Err(damaged("too short".to_owned()));
    };
    if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
        return Err(damaged("wrong checksum".to_owned()));
    }
    let mut r = Reader::new(body);
    let signed = r.array::<8>().is_ok_and(|s| s == *SIGNATURE);
    let version = r.u16().map_err(|e| damaged(e.to_string()))?;
    if !signed || version != VERSION {
        let text = format!(
            "{} is of version {version}, which this coldpost does not know: use a newer one",
            path.display()
        );
        return Err(Error::new(Kind::Invalid, text));
    }
    let value = read(&mut r).map_err(|e| damaged(e.to_string()))?;
    r.end().map_err(|e| damaged(e.to_string()))?;
    Ok(value)
}

/// Writes beside, syncs, renames, syncs the directory.
fn write_file(path: &Path, content: Writer) -> Result<()> {
    let mut w = Writer::new();
    w.raw(SIGNATURE).u16(VERSION).raw(&content.into_bytes());
    let mut bytes = w.into_bytes();
    let sum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    let beside = path.with_extension("new");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|e| {
        Error::with_source(
            Kind::Unavailable,
            format!("cannot write {}", path.display()),
            e,
        )
    })
}
