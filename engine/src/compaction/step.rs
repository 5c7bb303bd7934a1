//! A run at work: messages go into groups, groups into blocks, attachments into packs, until there is enough to prove and send.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use coldpost_tiers::address::{AccountId, BlobId, BlobRecord, ObjectId, ObjectKind};
use coldpost_tiers::blob::{PackWriter, write_blob};
use coldpost_tiers::block::{BlockWriter, WrittenBlock};
use coldpost_tiers::cold::Key;
use coldpost_tiers::object::ObjectHeader;
use tokio::runtime::Handle;

use super::Report;
use super::gather::Item;
use super::group::{Group, Moved};
use super::pace::Pace;
use super::place_frame::Entries;
use super::source::{Decoding, Source};
use crate::error::{Error, Result};
use crate::ids::AccountRef;
use crate::limits::{BLOCK_BYTES, PACK_BLOBS_MAX, PACK_BYTES_MIN, STEP_BYTES};
use crate::local::ObjectPaths;
use crate::op::{Intent, NewBlob, Op, Outcome};
use crate::open::Engine;
use crate::settings::Settings;
use crate::shard::{Shard, random_id};
use crate::view::{BodyReader, message};

/// What went wrong, by whom it stops.
#[derive(Debug)]
pub(super) enum Trouble {
    /// This message: it stays where it is.
    Message(Error),
    /// The run.
    Run(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Run(error)
    }
}

impl From<coldpost_tiers::Error> for Trouble {
    fn from(error: coldpost_tiers::Error) -> Trouble {
        Trouble::Run(error.into())
    }
}

/// A file that is being written, or is whole.
#[derive(Debug)]
pub(super) struct ObjectAt {
    pub(super) object: ObjectId,
    pub(super) path: PathBuf,
}

/// A block that is whole, with what is in it.
#[derive(Debug)]
pub(super) struct DoneBlock {
    pub(super) at: ObjectAt,
    pub(super) written: WrittenBlock,
    pub(super) moved: Vec<Moved>,
}

/// A pack or blob that is whole: bytes and digest.
#[derive(Debug)]
pub(super) struct DoneObject {
    pub(super) at: ObjectAt,
    pub(super) bytes: u64,
    pub(super) digest: [u8; 32],
}

/// A blob of this run that no relocation named yet.
#[derive(Clone, Debug)]
pub(super) struct Fresh {
    pub(super) blob: NewBlob,
    pub(super) path: PathBuf,
}

/// See the module.
pub(super) struct Run<'a> {
    pub(super) engine: &'a Engine,
    pub(super) shard: &'a Arc<Shard>,
    pub(super) handle: &'a Handle,
    pub(super) settings: &'a Settings,
    pub(super) report: Report,
    /// Contents that were written in this run, or found and read.
    pub(super) contents: HashMap<([u8; 32], AccountId), BlobId>,
    pub(super) fresh: HashMap<BlobId, Fresh>,
    pub(super) blocks: Vec<DoneBlock>,
    pub(super) objects: Vec<DoneObject>,
    /// What was sent, until the journal knows that all in it was named.
    pub(super) whole: Vec<ObjectId>,
    /// Files that were made and are not in the bucket.
    pub(super) unsent: BTreeSet<PathBuf>,
    /// What was made and is in the bucket: its files are here still.
    pub(super) sent: Vec<ObjectId>,
    /// What was brought here to be read.
    pub(super) brought: Vec<ObjectId>,
    /// Objects in which something stays that could not be moved.
    pub(super) left_in: BTreeSet<ObjectId>,
    /// Bytes that all of it writes at most, about.
    pub(super) run_bytes: u64,
    /// Bytes that are written before they are sent: by the room that there was.
    pub(super) step_bytes_max: u64,
    pub(super) pace: Pace,
    paths: ObjectPaths,
    pub(super) block: Option<(ObjectAt, BlockWriter, Vec<Moved>)>,
    pub(super) pack: Option<(ObjectAt, PackWriter)>,
    group: Group,
    /// Raw bytes since the last rest.
    worked: u64,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        shard: &'a Arc<Shard>,
        handle: &'a Handle,
        pace: Pace,
    ) -> Result<Run<'a>> {
        let paths = ObjectPaths::of(&shard.dir);
        paths.make(&*shard.disk)?;
        Ok(Run {
            engine,
            shard,
            handle,
            settings: engine.settings(),
            report: Report::default(),
            contents: HashMap::new(),
            fresh: HashMap::new(),
            blocks: Vec::new(),
            objects: Vec::new(),
            whole: Vec::new(),
            unsent: BTreeSet::new(),
            sent: Vec::new(),
            brought: Vec::new(),
            left_in: BTreeSet::new(),
            run_bytes: 0,
            step_bytes_max: STEP_BYTES,
            pace,
            paths,
            block: None,
            pack: None,
            group: Group::default(),
            worked: 0,
        })
    }

    pub(super) fn account(&mut self, items: &[Item], tell: &dyn Fn(&Report)) -> Result<()> {
        let Some(first) = items.first() else {
            return Ok(());
        };
        let entries = Entries::of(self.shard, first.account, items)?;
        for item in items {
            if self.pace.starves() {
                break;
            }
            self.goes_on()?;
            match self.message(item, &entries) {
                Ok(()) => {}
                Err(Trouble::Run(e)) => return Err(e),
                Err(Trouble::Message(e)) if self.is_unanswered(&e) => return Err(e),
                Err(Trouble::Message(e)) => {
                    self.left_one(item.from.0);
                    tracing::warn!(
                        shard = self.shard.no.0,
                        "a message of {} stays where it is: {e}",
                        Key::of(self.shard.no, &item.from.0)
                    );
                }
            }
            self.report.messages += 1;
            if self.report.messages.is_multiple_of(64) {
                tell(&self.report);
            }
        }
        self.end_group(&entries)
    }

    fn message(&mut self, item: &Item, entries: &Entries<'_>) -> Result<(), Trouble> {
        self.make_room(item.written, entries)?;
        let Some(reader) = self.read(item).map_err(Trouble::Message)? else {
            return Ok(());
        };
        let (message, reader) = reader;
        let source = Source::new(reader, self.handle);
        let cut = self.cut(&message, &source)?;
        if !Group::may_hold(&cut) {
            // A frame cannot be taken back: whether it can be read is seen before the first is written.
            let read = source.each(0..message.size, |_| Ok(()));
            read.map_err(Trouble::Message)?;
            self.end_group(entries)?;
            self.open_block()?;
            let (_, block, moved) = self.block.as_mut().expect("it was opened");
            moved.push(Group::alone(*item, &message, cut, &source, entries, block)?);
            self.pace
                .rest(self.handle, self.engine, self.shard, message.size);
            return Ok(());
        }
        if !self.group.has_room(&cut) {
            self.end_group(entries)?;
        }
        self.worked += message.size;
        self.group
            .add(*item, message, cut, &source)
            .map_err(Trouble::Message)
    }

    /// The message and a reader of it; `None` when it went, or stands elsewhere now.
    pub(super) fn read(&self, item: &Item) -> Result<Option<(crate::view::Message, BodyReader)>> {
        let account = AccountRef {
            number: item.account,
            shard: self.shard.no,
        };
        let state = self.shard.hot.read()?;
        let place = coldpost_tiers::hot::key::message(item.account, item.message);
        let is_there = state.look(coldpost_tiers::hot::TableName::Places, &place, |_| ())?;
        if is_there.is_none() {
            return Ok(None);
        }
        let Some(message) = message::read(&state, account, &[item.message])?.pop() else {
            return Ok(None);
        };
        drop(state);
        let message = message?;
        if (message.address.object, message.address.offset) != item.from {
            return Ok(None);
        }
        let reader = self.engine.body_aside(&message)?;
        Ok(Some((message, reader)))
    }

    pub(super) fn end_group(&mut self, entries: &Entries<'_>) -> Result<()> {
        if self.group.is_empty() {
            return Ok(());
        }
        self.open_block()?;
        let (_, block, moved) = self.block.as_mut().expect("it was opened");
        moved.extend(self.group.write(entries, block)?);
        let worked = std::mem::take(&mut self.worked);
        self.pace.rest(self.handle, self.engine, self.shard, worked);
        Ok(())
    }

    /// Bytes that are written and not sent.
    pub(super) fn step_bytes(&self) -> u64 {
        let done = self.objects.iter().map(|object| object.bytes);
        let blocks = self.blocks.iter().map(|block| block.written.made.bytes);
        let open = self.block.as_ref().map_or(0, |(_, block, _)| block.bytes());
        let pack = self.pack.as_ref().map_or(0, |(_, pack)| pack.bytes());
        done.chain(blocks).sum::<u64>() + open + pack
    }

    fn open_block(&mut self) -> Result<()> {
        if self.block.is_none() {
            let at = self.named(ObjectKind::Block)?;
            let block = BlockWriter::create(&*self.shard.disk, &at.path, &self.header(at.object))?;
            self.block = Some((at, block, Vec::new()));
        }
        Ok(())
    }

    pub(super) fn end_block(&mut self) -> Result<()> {
        if let Some((at, block, moved)) = self.block.take() {
            let written = block.finish(&*self.shard.disk)?;
            self.blocks.push(DoneBlock { at, written, moved });
        }
        let pack = self.pack.as_ref().map_or(0, |(_, pack)| pack.bytes());
        if pack == 0 || pack >= PACK_BYTES_MIN || self.step_bytes() >= self.step_bytes_max {
            self.finish()?;
        }
        Ok(())
    }

    fn end_pack(&mut self) -> Result<()> {
        if let Some((at, pack)) = self.pack.take() {
            let made = pack.finish(&*self.shard.disk)?;
            self.objects.push(DoneObject {
                at,
                bytes: made.bytes,
                digest: made.digest,
            });
        }
        Ok(())
    }

    /// Ends what is open, proves it and sends it.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.write_out()?;
        self.name_whole()
    }

    /// The same, while something is to be named in what is sent.
    pub(super) fn write_out(&mut self) -> Result<()> {
        if let Some((at, block, moved)) = self.block.take() {
            let written = block.finish(&*self.shard.disk)?;
            self.blocks.push(DoneBlock { at, written, moved });
        }
        self.end_pack()?;
        let proved = self.prove()?;
        self.send(proved)
    }

    /// The open pack, or a new one.
    pub(super) fn open_pack(&mut self) -> Result<(ObjectAt, PackWriter)> {
        let is_full = |(_, pack): &(ObjectAt, PackWriter)| {
            pack.bytes() >= BLOCK_BYTES || pack.blobs() >= PACK_BLOBS_MAX
        };
        if self.pack.as_ref().is_some_and(is_full) {
            self.end_pack()?;
        }
        if let Some(pack) = self.pack.take() {
            return Ok(pack);
        }
        let at = self.named(ObjectKind::Pack)?;
        let pack = PackWriter::create(&*self.shard.disk, &at.path, &self.header(at.object))?;
        Ok((at, pack))
    }

    pub(super) fn put_back(&mut self, pack: (ObjectAt, PackWriter)) {
        self.pack = Some(pack);
    }

    /// Writes a blob into a pack.
    pub(super) fn pack_blob(
        &mut self,
        blob: BlobId,
        bytes: &[u8],
        scope: AccountId,
    ) -> Result<BlobId, Trouble> {
        let (at, mut pack) = self.open_pack()?;
        let packed = pack.add(blob, &mut &bytes[..])?;
        let blob = NewBlob {
            record: packed.record,
            object: at.object,
            offset: packed.offset,
            scope,
        };
        let path = at.path.clone();
        self.put_back((at, pack));
        Ok(self.remember(Fresh { blob, path }))
    }

    /// Writes a blob into a file of its own, which nothing names yet.
    pub(super) fn write_alone(&mut self, decoding: &mut Decoding<'_>) -> Result<BlobRecord> {
        self.has_room()?;
        let object = ObjectId::blob(BlobId(random_id()?));
        let header = self.header(object);
        let record = write_blob(&*self.shard.disk, self.paths.blobs(), &header, decoding)?;
        self.unsent.insert(self.paths.path(&object));
        Ok(record)
    }

    pub(super) fn discard_alone(&mut self, blob: BlobId) {
        let path = self.paths.path(&ObjectId::blob(blob));
        self.drop_file(&path);
        self.unsent.remove(&path);
    }

    pub(super) fn keep_alone(&mut self, record: BlobRecord, scope: AccountId) -> BlobId {
        let object = ObjectId::blob(record.blob);
        let path = self.paths.path(&object);
        self.objects.push(DoneObject {
            at: ObjectAt {
                object,
                path: path.clone(),
            },
            bytes: record.object_bytes,
            digest: record.object_digest,
        });
        let stored: u64 = record.frames.iter().map(|f| u64::from(f.stored)).sum();
        let offset = record.object_bytes.saturating_sub(stored);
        let blob = NewBlob {
            record,
            object,
            offset,
            scope,
        };
        self.remember(Fresh { blob, path })
    }

    fn remember(&mut self, fresh: Fresh) -> BlobId {
        let blob = fresh.blob.record.blob;
        let content = (fresh.blob.record.content, fresh.blob.scope);
        self.contents.insert(content, blob);
        self.fresh.insert(blob, fresh);
        blob
    }

    /// Names a new object in the journal, where there is room for it.
    fn named(&mut self, kind: ObjectKind) -> Result<ObjectAt> {
        self.has_room()?;
        let intent = Intent {
            numbered: vec![kind],
            given: Vec::new(),
        };
        let number = match self.change(Op::Intent(intent))? {
            Outcome::Counted(number) => number,
            other => return Err(crate::deliver::unexpected(&other)),
        };
        let object = ObjectId::numbered(kind, self.shard.epoch, number);
        let path = self.paths.path(&object);
        self.unsent.insert(path.clone());
        Ok(ObjectAt { object, path })
    }

    pub(super) fn change(&self, op: Op) -> Result<Outcome> {
        self.handle.block_on(self.shard.change(op))
    }

    pub(super) fn header(&self, object: ObjectId) -> ObjectHeader {
        let key = Key::of(self.shard.no, &object).to_string();
        ObjectHeader::other(
            self.shard.store,
            self.shard.no,
            self.shard.epoch,
            object,
            key,
        )
    }
}
