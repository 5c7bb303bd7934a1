//! The listing of one copy beside the rows of the hot tier: what is missing, what has another size, what nothing refers to.

use std::collections::BTreeMap;

use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::cold::{Key, Listed};
use coldpost_tiers::hot::row::{ObjectRow, ObjectState};
use futures::TryStreamExt;

use super::lost::Lack;
use super::merge::{Id, Merge};
use super::rows::{FOLDERS, Known, kinds, some};
use super::{CALLER, Event, Going, Object, State, Stop, Totals, Walk, answered};
use crate::clock;
use crate::error::Result;
use crate::ids::{Epoch, ShardNo};
use crate::limits::{FOREIGN_TOLD_MAX, PROBE_LIFE_SECONDS};
use crate::local::shard_dir;

/// How far the listing is in the folders of all shards.
#[derive(Default)]
struct Folders {
    merges: BTreeMap<(ShardNo, ObjectKind), (Merge<Known>, Option<Id>)>,
    totals: BTreeMap<&'static str, Totals>,
    foreign: u64,
}

/// What an object of the listing turned out to be.
enum Counted {
    Referenced,
    Unknown,
    /// Neither: a probe at work, something that went meanwhile, one of a shard whose rows cannot be read.
    Else,
}

impl Folders {
    fn count(&mut self, kind: &'static str, store: &str, bytes: u64, counted: &Counted) {
        let totals = self.totals.entry(kind).or_insert_with(|| Totals {
            store: store.to_owned(),
            kind,
            ..Totals::default()
        });
        totals.objects += 1;
        totals.bytes += bytes;
        match counted {
            Counted::Referenced => {
                totals.referenced += 1;
                totals.referenced_bytes += bytes;
            }
            Counted::Unknown => {
                totals.unknown += 1;
                totals.unknown_bytes += bytes;
            }
            Counted::Else => {}
        }
    }
}

impl Walk<'_, '_> {
    /// Goes through all that a copy lists, and then through the rows that are left.
    pub(super) async fn list(&mut self, copy: usize) -> Going<()> {
        let store = self.copies[copy].clone();
        let url = store.url().to_owned();
        let mut folders = Folders::default();
        let mut listing = store.list("", CALLER);
        while let Some(listed) = answered(&url, listing.try_next().await)? {
            let (bytes, counted) = (listed.size, self.listed(copy, &listed, &mut folders).await?);
            folders.count(folder(&listed), &url, bytes, &counted);
            self.compared.summary.objects += 1;
            self.compared.summary.bytes += bytes;
            self.progress(bytes);
        }
        for subject in self.subjects {
            match self.subject(subject.shard) {
                Some(_) => self.rest(copy, subject.shard, &mut folders).await?,
                None if copy == 0 => {
                    let name = crate::verify::hot_name(subject.shard);
                    let what = "without this hot tier nothing says what the store must have; a start makes it anew";
                    self.unchecked(name, what.to_owned());
                }
                None => {}
            }
        }
        for totals in folders.totals.into_values() {
            (self.report)(Event::Totals(totals));
        }
        Ok(())
    }

    /// The rows that are left when the listing is over.
    async fn rest(&mut self, copy: usize, shard: ShardNo, folders: &mut Folders) -> Going<()> {
        for (kind, _) in FOLDERS {
            let (merge, _) = folders.merges.entry((shard, kind)).or_default();
            while let Some(known) = merge.before(None, |after| self.rows(shard, kind, after))? {
                self.not_listed(copy, shard, known).await?;
            }
        }
        Ok(())
    }

    fn rows(
        &self,
        shard: ShardNo,
        kind: ObjectKind,
        after: Option<&Id>,
    ) -> Result<Vec<(Id, Known)>> {
        match self.subject(shard) {
            Some(subject) => some(subject, kinds(kind), after),
            None => Ok(Vec::new()),
        }
    }

    async fn listed(
        &mut self,
        copy: usize,
        listed: &Listed,
        folders: &mut Folders,
    ) -> Going<Counted> {
        match listed.key {
            None => {
                folders.foreign += 1;
                self.foreign(copy, listed, folders.foreign <= FOREIGN_TOLD_MAX);
                Ok(Counted::Else)
            }
            Some(Key::Probe { .. }) => {
                let is_at_work = clock::now_s() - listed.modified < PROBE_LIFE_SECONDS;
                match is_at_work {
                    true => Ok(Counted::Else),
                    false => {
                        self.unknown(copy, listed, "a check that was broken off left it")
                            .await
                    }
                }
            }
            Some(Key::Epoch { shard, epoch }) => self.claim(copy, listed, shard, epoch).await,
            Some(key @ Key::Tail { shard, .. }) => match self.epoch_of(shard) {
                None => self.unknown(copy, listed, &strange(shard)).await,
                Some(_) => {
                    let what = format!("{}, which segments replaced", thing(&key));
                    self.unknown(copy, listed, &what).await
                }
            },
            Some(key) => match key.object() {
                Some((shard, object)) => self.one(copy, listed, (shard, object), folders).await,
                None => Ok(Counted::Else),
            },
        }
    }

    /// An object whose kind has rows.
    async fn one(
        &mut self,
        copy: usize,
        listed: &Listed,
        (shard, object): (ShardNo, ObjectId),
        folders: &mut Folders,
    ) -> Going<Counted> {
        if !self.subjects.iter().any(|s| s.shard == shard) {
            return self.unknown(copy, listed, &strange(shard)).await;
        }
        if self.subject(shard).is_none() {
            return Ok(Counted::Else);
        }
        let (merge, last) = folders.merges.entry((shard, object.kind)).or_default();
        if last
            .replace(object.id)
            .is_some_and(|last| last >= object.id)
        {
            let what = "its listing is not in the order of names: it cannot be compared";
            return Err(Stop::Away(listed.name.clone(), what.to_owned()));
        }
        let kind = object.kind;
        while let Some(known) =
            merge.before(Some(&object.id), |after| self.rows(shard, kind, after))?
        {
            self.not_listed(copy, shard, known).await?;
        }
        let mut met = None;
        while let Some(known) = merge.at(&object.id, |after| self.rows(shard, kind, after))? {
            met = Some(known);
        }
        if met.is_none() {
            // It may have been announced since these rows were read.
            for of in kinds(kind) {
                let object = ObjectId {
                    kind: *of,
                    ..object
                };
                met = met.or(self.row_now(shard, object)?.map(|row| (object, row)));
            }
        }
        match met {
            Some(known) => self.both(copy, listed, shard, known).await,
            None if object.kind == ObjectKind::Segment
                && self.is_of_journal(copy, listed, shard, object).await? =>
            {
                Ok(Counted::Referenced)
            }
            None => {
                let what = self.why_unknown(&listed.key, shard);
                self.unknown(copy, listed, &what).await
            }
        }
    }

    /// There is a row, and there is an object.
    async fn both(
        &mut self,
        copy: usize,
        listed: &Listed,
        shard: ShardNo,
        (object, row): Known,
    ) -> Going<Counted> {
        match row.state {
            ObjectState::Stored if row.bytes != listed.size => {
                self.lacks(copy, shard, object).await?;
            }
            ObjectState::Local if self.is_forgotten(shard, object, &row)? => {
                self.forgotten(copy, listed, shard, object);
            }
            _ => {}
        }
        Ok(Counted::Referenced)
    }

    /// Whether a segment without a row is one of this journal. One without mail gets its row when it is confirmed: until then its file is
    /// here, but where a disk was lost.
    async fn is_of_journal(
        &mut self,
        copy: usize,
        listed: &Listed,
        shard: ShardNo,
        object: ObjectId,
    ) -> Going<bool> {
        let is_here = self.bench.local.path_of(shard, &object).is_some();
        if is_here || self.row_now(shard, object)?.is_some() {
            return Ok(true);
        }
        let epoch = object.as_segment().map(|(epoch, _)| epoch);
        if epoch != self.epoch_of(shard) {
            return Ok(false);
        }
        let store = self.copies[copy].clone();
        let promised = self.subject(shard).map(|subject| subject.promised);
        let looked = self.look_at(&store, shard, object, listed.size).await?;
        let is_ours = looked.is_ok_and(|(stored, _)| Some(stored.last) <= promised);
        if is_ours {
            self.forgotten(copy, listed, shard, object);
        }
        Ok(is_ours)
    }

    /// It is there, and nobody will say so; of two copies that is told once.
    fn forgotten(&mut self, copy: usize, listed: &Listed, shard: ShardNo, object: ObjectId) {
        // What mends says how that ended.
        if self.forgotten.insert((shard, object)) && self.engine.is_none() {
            let what = "it is there, the journal does not say so, and no local file is left that would be sent again; --repair confirms it";
            self.tell(self.told_of(copy, listed, State::Unconfirmed, what));
        }
    }

    /// There is a row, and the listing lacks its object.
    async fn not_listed(&mut self, copy: usize, shard: ShardNo, known: Known) -> Going<()> {
        let (object, row): (ObjectId, ObjectRow) = known;
        match row.state {
            ObjectState::Stored => self.lacks(copy, shard, object).await,
            // Of two copies the second says no more than the first.
            ObjectState::Local if copy == 0 && self.is_forgotten(shard, object, &row)? => {
                self.is_nowhere(shard, object).await
            }
            ObjectState::Local | ObjectState::Condemned => Ok(()),
        }
    }

    /// Mail that was never sent, and whose file is gone: lost where no copy has it either.
    async fn is_nowhere(&mut self, shard: ShardNo, object: ObjectId) -> Going<()> {
        let key = Key::of(shard, &object);
        for store in &self.copies {
            let head = answered(&key.to_string(), store.head(&key, CALLER).await)?;
            if head.is_some() {
                return Ok(());
            }
        }
        match self.row_now(shard, object)? {
            Some(row) if self.is_forgotten(shard, object, &row)? => {
                let what = "it is neither on local disk nor in the store";
                self.nobody_has(shard, object, what.to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Looks again at an object that is missing or has another size: it may have come, or gone, meanwhile.
    async fn lacks(&mut self, copy: usize, shard: ShardNo, object: ObjectId) -> Going<()> {
        let key = Key::of(shard, &object);
        let name = key.to_string();
        let head = answered(&name, self.copies[copy].head(&key, CALLER).await)?;
        let Some(row) = self.stored_now(shard, object)? else {
            return Ok(());
        };
        let what = match head {
            Some(meta) if meta.size == row.bytes => return Ok(()),
            Some(meta) => {
                let what = format!("it has {} bytes, {} expected", meta.size, row.bytes);
                (Lack::Other, what)
            }
            None => (Lack::Gone, "it is missing".to_owned()),
        };
        self.found(copy, shard, (object, row), what).await
    }

    async fn claim(
        &mut self,
        copy: usize,
        listed: &Listed,
        shard: ShardNo,
        epoch: Epoch,
    ) -> Going<Counted> {
        match self.epoch_of(shard) {
            None => self.unknown(copy, listed, &strange(shard)).await,
            Some(ours) if epoch > ours => {
                let url = self.copies[copy].url();
                let what = format!(
                    "a writer in epoch {} has taken shard {} over in {url}: this data directory is not the store any more",
                    epoch.0, shard.0
                );
                self.damage(listed.name.clone(), what, Vec::new());
                Ok(Counted::Referenced)
            }
            Some(_) => Ok(Counted::Referenced),
        }
    }

    /// Nothing refers to an object: told when it is still there, and nothing refers to it even now.
    async fn unknown(&mut self, copy: usize, listed: &Listed, what: &str) -> Going<Counted> {
        let Some(key) = listed.key else {
            return Ok(Counted::Else);
        };
        let head = answered(&listed.name, self.copies[copy].head(&key, CALLER).await)?;
        if head.is_none() {
            return Ok(Counted::Else);
        }
        if let Some((shard, object)) = key.object() {
            for kind in kinds(object.kind) {
                let object = ObjectId {
                    kind: *kind,
                    ..object
                };
                if self.row_now(shard, object)?.is_some() {
                    return Ok(Counted::Referenced);
                }
            }
        }
        self.tell(self.told_of(copy, listed, State::Unknown, what));
        Ok(Counted::Unknown)
    }

    fn foreign(&mut self, copy: usize, listed: &Listed, is_told: bool) {
        if is_told {
            let what = "its name is none of ours: somebody else put it there, it is left alone";
            return self.tell(self.told_of(copy, listed, State::Foreign, what));
        }
        self.compared.foreign.0 += 1;
        self.compared.foreign.1 += listed.size;
    }

    fn told_of(&self, copy: usize, listed: &Listed, state: State, what: &str) -> Object {
        Object {
            store: self.copies[copy].url().to_owned(),
            object: listed.name.clone(),
            bytes: listed.size,
            modified: listed.modified,
            state,
            what: what.to_owned(),
        }
    }

    /// The epoch in which we write a shard; `None` for a shard that this store does not have.
    fn epoch_of(&self, shard: ShardNo) -> Option<Epoch> {
        self.subjects.iter().find(|s| s.shard == shard)?;
        let dir = shard_dir(&self.bench.settings.data, shard);
        let claim = crate::identity::Claim::read(&dir, self.identity.store?, shard);
        // What is wrong with the file `verify` says; nothing is concluded from it.
        let epoch = claim.ok().flatten().map(|claim| claim.lineage.epoch);
        Some(epoch.unwrap_or(Epoch(u32::MAX)))
    }

    fn why_unknown(&self, key: &Option<Key>, shard: ShardNo) -> String {
        let Some(key) = key else {
            return String::new();
        };
        let epoch = match key {
            Key::Segment { epoch, .. } | Key::Snapshot { epoch, .. } => Some(*epoch),
            _ => None,
        };
        let ours = self.epoch_of(shard);
        match epoch {
            Some(epoch) if ours.is_some_and(|ours| epoch < ours) => {
                format!(
                    "{} of an older life of this store (epoch {})",
                    thing(key),
                    epoch.0
                )
            }
            _ => format!("{} that nothing refers to: a lost disk left it", thing(key)),
        }
    }
}

/// The kind that an object is counted under.
fn folder(listed: &Listed) -> &'static str {
    match listed.key {
        None => "foreign",
        Some(Key::Epoch { .. }) => "epochs",
        Some(Key::Tail { .. }) => "tails",
        Some(Key::Probe { .. }) => "probes",
        Some(key) => {
            let kind = key.object().map(|(_, object)| object.kind);
            let found = FOLDERS.iter().find(|(of, _)| Some(*of) == kind);
            found.map_or("foreign", |(_, folder)| folder)
        }
    }
}

fn thing(key: &Key) -> &'static str {
    match key {
        Key::Segment { .. } => "a segment",
        Key::Tail { .. } => "a piece of a segment",
        Key::Block { .. } => "a block",
        Key::BlobOrPack { .. } => "a blob or pack",
        Key::TextRun { .. } => "a run of the text store",
        Key::Snapshot { .. } => "a snapshot",
        Key::SnapshotRange { .. } => "a range of a snapshot",
        Key::Epoch { .. } => "a claim",
        Key::Probe { .. } => "a probe",
    }
}

fn strange(shard: ShardNo) -> String {
    format!("it is of shard {}, which this store does not have", shard.0)
}
