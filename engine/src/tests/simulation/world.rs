//! Everything there is: rows, journal, local files, bucket, time, what users know, work that is going on; and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use coldpost_tiers::address::{Address, Extent, ObjectId, ObjectKind, Recode};
use coldpost_tiers::hot::row::{FrameRow, ObjectState, Place, Row, Run as UidRun};
use coldpost_tiers::hot::{TableName, key};

use super::compaction::Run;
use super::deletion::Collecting;
use super::journal::Written;
use super::mail::Mail;
use super::rows::{Dump, Rows};
use super::shipping::{Shipping, Snapping};
use super::store::{Away, Bucket, Held};
use crate::apply::invariants;
use crate::ids::{AccountId, Epoch, MailboxId, MessageId, Position};
use crate::mail::base64_text::Shape;

/// What went wrong, in words.
pub(super) type Fails = Result<(), String>;

/// What users know: numbers of mails by account, mailbox and UID.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) accounts: BTreeMap<AccountId, BTreeMap<(MailboxId, u32), usize>>,
}

/// See the module.
pub(super) struct World<'r> {
    pub(super) rows: &'r mut Rows,
    /// Seconds since 1970.
    pub(super) now: i64,
    pub(super) epoch: Epoch,
    pub(super) ids: u64,
    pub(super) open: Vec<Rc<Written>>,
    /// Local files: sealed segments, blobs, blocks, packs.
    pub(super) disk: BTreeMap<ObjectId, Held>,
    pub(super) bucket: Bucket,
    /// The rows as a kill leaves them.
    pub(super) durable: Dump,
    pub(super) mails: Vec<Mail>,
    /// Which mail a message is.
    pub(super) messages: BTreeMap<MessageId, usize>,
    pub(super) model: Model,
    /// The model behind entries.
    pub(super) history: Vec<(Position, Model)>,
    /// Objects that only entries named which were lost with a disk.
    pub(super) strays: BTreeSet<ObjectId>,
    /// Two: as if another node compacted as well.
    pub(super) runs: [Option<Run>; 2],
    pub(super) collecting: Option<Collecting>,
    pub(super) shipping: Option<Shipping>,
    /// With the time at which it began.
    pub(super) snapping: Option<(i64, Snapping)>,
}

/// Why bytes cannot be read.
#[derive(Debug)]
pub(super) enum Unread {
    Away,
    Wrong(String),
}

impl From<Away> for Unread {
    fn from(_: Away) -> Unread {
        Unread::Away
    }
}

impl<'r> World<'r> {
    pub(super) fn new(rows: &'r mut Rows) -> World<'r> {
        rows.load(&Dump::default());
        let mut world = World {
            rows,
            now: 1_700_000_000,
            epoch: Epoch(1),
            ids: 0,
            open: Vec::new(),
            disk: BTreeMap::new(),
            bucket: Bucket::default(),
            durable: Dump::default(),
            mails: Vec::new(),
            messages: BTreeMap::new(),
            model: Model::default(),
            history: Vec::new(),
            strays: BTreeSet::new(),
            runs: [None, None],
            collecting: None,
            shipping: None,
            snapping: None,
        };
        for _ in 0..3 {
            world.open_account();
        }
        world
    }

    /// Notes what users know now.
    pub(super) fn remember(&mut self) {
        self.history.push((self.position(), self.model.clone()));
    }

    pub(super) fn new_id(&mut self) -> [u8; 16] {
        self.ids += 1;
        u128::from(self.ids).to_be_bytes()
    }

    /// An object as a reader gets it: the local file, or else the bucket's.
    pub(super) fn get(&mut self, object: ObjectId) -> Result<Held, Unread> {
        if let Some(held) = self.disk.get(&object) {
            return Ok(held.clone());
        }
        let got = self.bucket.get(object)?;
        got.ok_or_else(|| Unread::Wrong(format!("{object:?} is missing")))
    }

    /// The message as its place says.
    pub(super) fn read(&mut self, address: &Address) -> Result<Vec<u8>, Unread> {
        let wrong = |what: &str| Unread::Wrong(format!("{:?}: {what}", address.object));
        let mut raw = Vec::new();
        let mut at = address.offset;
        for extent in &address.extents {
            match extent {
                Extent::Frame(frame) => {
                    let entry = self.entry(address.object, at)?;
                    let entry = entry.ok_or_else(|| wrong("no entry is there"))?;
                    let from = usize::try_from(at - entry.at.body_offset).unwrap();
                    let bytes = entry.body.get(from..from + frame.stored as usize);
                    raw.extend_from_slice(bytes.ok_or_else(|| wrong("an entry is too short"))?);
                    at += u64::from(frame.stored);
                }
                Extent::Slice {
                    frame,
                    skip,
                    length,
                } => {
                    let frame_key = key::frame(address.object, *frame);
                    let row = self.rows.state().get(TableName::Frames, &frame_key);
                    let row = row.unwrap().ok_or_else(|| wrong("a frame has no row"))?;
                    FrameRow::decode("frames", &row).unwrap();
                    let Held::Block(frames) = self.get(address.object)? else {
                        return Err(wrong("a slice of no block"));
                    };
                    let bytes = frames.get(*frame as usize);
                    let (from, many) = (*skip as usize, *length as usize);
                    let bytes = bytes.and_then(|b| b.get(from..from + many));
                    raw.extend_from_slice(bytes.ok_or_else(|| wrong("a frame is too short"))?);
                }
                Extent::Blob {
                    blob,
                    length,
                    recode,
                    ..
                } => {
                    let row = self.rows.blob(*blob);
                    let row = row.ok_or_else(|| wrong("a blob has no row"))?;
                    let bytes = self.blob_bytes(row.object, row.offset)?;
                    raw.extend(recoded(bytes, *length, *recode).ok_or_else(|| wrong("no shape"))?);
                }
            }
        }
        Ok(raw)
    }

    /// The entry of a segment, sealed or open, whose body is at an offset.
    fn entry(&mut self, object: ObjectId, at: u64) -> Result<Option<Rc<Written>>, Unread> {
        let is_it = |w: &&Rc<Written>| w.at.body_offset <= at;
        if self.open.first().is_some_and(|w| w.at.segment() == object) {
            return Ok(self.open.iter().rev().find(is_it).cloned());
        }
        Ok(match self.get(object)? {
            Held::Segment(segment) => segment.entries.iter().rev().find(is_it).cloned(),
            _ => None,
        })
    }

    pub(super) fn blob_bytes(&mut self, object: ObjectId, offset: u64) -> Result<Vec<u8>, Unread> {
        let wrong = || Unread::Wrong(format!("{object:?} has no blob at {offset}"));
        let Held::Blobs(blobs) = self.get(object)? else {
            return Err(wrong());
        };
        blobs.get(&offset).cloned().ok_or_else(wrong)
    }

    /// What must hold at any time.
    pub(super) fn check(&mut self) -> Fails {
        let violations = invariants::violations(&self.rows.state()).unwrap();
        if let Some(first) = violations.first() {
            return Err(first.clone());
        }
        let trouble = self.bucket.trouble.take();
        let checked = self.check_mail().and_then(|()| self.check_objects());
        self.bucket.trouble = trouble;
        checked
    }

    fn check_mail(&mut self) -> Fails {
        for (account, message, place) in self.rows.places() {
            self.check_place(account, message, &place)?;
        }
        for (account, mails) in &self.model.accounts {
            for ((mailbox, uid), number) in mails {
                let run_key = key::uid(*account, mailbox.0, UidRun::first_uid(*uid));
                let run = self.rows.state().get(TableName::Runs, &run_key).unwrap();
                let run = run.map(|v| UidRun::decode("runs", &v).unwrap());
                let entry = run.and_then(|run| run.entries.into_iter().find(|e| e.uid == *uid));
                let is_it = entry.is_some_and(|e| self.messages.get(&e.message) == Some(number));
                if !is_it {
                    return Err(format!(
                        "{account:?} lacks UID {uid} of {mailbox:?}, mail {number}"
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_place(&mut self, account: AccountId, message: MessageId, place: &Place) -> Fails {
        let number = self.messages[&message];
        let what = format!("mail {number} ({message:?}) of {account:?}");
        match self.read(&place.address) {
            Ok(raw) if raw == self.mails[number].raw => Ok(()),
            Ok(_) => Err(format!("{what} is not what was delivered")),
            Err(why) => Err(format!("{what} cannot be read: {why:?}")),
        }
    }

    /// What is referred to and stored is in the bucket; what a place in a block needs is stored.
    fn check_objects(&self) -> Fails {
        for (object, row) in self.rows.objects() {
            let is_there = self.bucket.objects.contains_key(&object);
            let is_of_compaction = matches!(object.kind, ObjectKind::Block | ObjectKind::Pack);
            if row.count.is_live() && row.state == ObjectState::Condemned {
                return Err(format!("{object:?} is condemned and referred to"));
            }
            if row.count.is_live() && row.state == ObjectState::Stored && !is_there {
                return Err(format!(
                    "{object:?} is called stored and is not in the bucket"
                ));
            }
            if row.count.is_live() && row.state == ObjectState::Local && is_of_compaction {
                return Err(format!("{object:?} is referred to and not stored"));
            }
        }
        Ok(())
    }
}

pub(super) fn recoded(bytes: Vec<u8>, length: u64, recode: Recode) -> Option<Vec<u8>> {
    match recode {
        Recode::Same => Some(bytes),
        Recode::Base64 { .. } => {
            let shape = Shape::of(recode, bytes.len() as u64)?;
            Some(shape.write(0..length, &bytes))
        }
    }
}
