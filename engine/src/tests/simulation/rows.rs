//! The hot tier of the simulation: real rows, which can be taken down and put back as a whole.

use coldpost_tiers::Result;
use coldpost_tiers::address::{BlobId, ObjectId, Position};
use coldpost_tiers::hot::row::{BlobRow, ObjectRow, Place, Row};
use coldpost_tiers::hot::{CommitKind, HotTier, Snapshot, TableName, key};
use tempfile::TempDir;

use super::journal::Written;
use crate::apply::{Fold, apply};
use crate::ids::{AccountId, MessageId};
use crate::op::Outcome;

/// All rows as they stood behind an entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Dump {
    pub(super) position: Position,
    rows: Vec<(TableName, Vec<u8>, Vec<u8>)>,
}

/// See the module.
pub(super) struct Rows {
    hot: HotTier,
    pub(super) fold: Fold,
    _dir: TempDir,
}

impl Rows {
    pub(super) fn new() -> Rows {
        let dir = tempfile::tempdir().unwrap();
        let hot = HotTier::open(&dir.path().join("hot.redb"), 1 << 22).unwrap();
        let fold = Fold::load(&hot.read().unwrap()).unwrap();
        Rows {
            hot,
            fold,
            _dir: dir,
        }
    }

    pub(super) fn state(&self) -> Snapshot {
        self.hot.read().unwrap()
    }

    /// One transaction; what the last entry gave.
    pub(super) fn apply(&mut self, entries: &[std::rc::Rc<Written>]) -> Option<Outcome> {
        let fold = &mut self.fold;
        let applied = self.hot.write(CommitKind::Volatile, |batch| {
            let mut last = None;
            for w in entries {
                let effect = apply(batch, fold, w.at, &w.entry, [&w.meta, &w.body])?;
                last = Some(effect.outcome);
            }
            fold.save(batch)?;
            Ok(last)
        });
        applied.unwrap()
    }

    pub(super) fn dump(&self) -> Dump {
        let state = self.state();
        let mut rows = Vec::new();
        for table in TableName::ALL {
            let walked = state.walk(table, &[], &[], |k, v| {
                rows.push((table, k.to_vec(), v.to_vec()));
                Ok(true)
            });
            walked.unwrap();
        }
        Dump {
            position: self.fold.applied.position,
            rows,
        }
    }

    /// Goes back, or on, to what was taken down.
    pub(super) fn load(&mut self, dump: &Dump) {
        let loaded = self.hot.write(CommitKind::Volatile, |batch| {
            for table in TableName::ALL {
                let old: Vec<_> = batch.scan(table, &[], &[])?.collect::<Result<_>>()?;
                for (k, _) in old {
                    batch.remove(table, &k)?;
                }
            }
            for (table, k, v) in &dump.rows {
                batch.put(*table, k, v)?;
            }
            Ok(())
        });
        loaded.unwrap();
        self.fold = Fold::load(&self.state()).unwrap();
    }

    pub(super) fn objects(&self) -> Vec<(ObjectId, ObjectRow)> {
        let mut all = Vec::new();
        let walked = self.state().walk(TableName::Objects, &[], &[], |k, v| {
            let object = key::read_object(k).expect("a key of objects");
            all.push((object, ObjectRow::decode("objects", v)?));
            Ok(true)
        });
        walked.unwrap();
        all
    }

    pub(super) fn object(&self, object: ObjectId) -> Option<ObjectRow> {
        let value = self.state().get(TableName::Objects, &key::object(object));
        value
            .unwrap()
            .map(|v| ObjectRow::decode("objects", &v).unwrap())
    }

    pub(super) fn blobs(&self) -> Vec<BlobRow> {
        let mut all = Vec::new();
        let walked = self.state().walk(TableName::Blobs, &[], &[], |_, v| {
            all.push(BlobRow::decode("blobs", v)?);
            Ok(true)
        });
        walked.unwrap();
        all
    }

    pub(super) fn blob(&self, blob: BlobId) -> Option<BlobRow> {
        let value = self.state().get(TableName::Blobs, &key::blob(blob));
        value
            .unwrap()
            .map(|v| BlobRow::decode("blobs", &v).unwrap())
    }

    pub(super) fn places(&self) -> Vec<(AccountId, MessageId, Place)> {
        let mut all = Vec::new();
        let walked = self.state().walk(TableName::Places, &[], &[], |k, v| {
            let (account, message) = key::read_message(k).expect("a key of places");
            all.push((account, message, Place::decode(k, v)?));
            Ok(true)
        });
        walked.unwrap();
        all
    }

    pub(super) fn place(&self, account: AccountId, message: MessageId) -> Option<Place> {
        let key = key::message(account, message);
        let value = self.state().get(TableName::Places, &key);
        value.unwrap().map(|v| Place::decode(&key, &v).unwrap())
    }
}
