//! Every byte of a copy, by the digests of its objects: for who mends, as sizes tell nothing of a flipped bit.

use std::collections::VecDeque;

use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::cold::Key;
use coldpost_tiers::hot::row::ObjectState;

use super::lost::Lack;
use super::rows::{FOLDERS, Known, kinds, some};
use super::{CALLER, Going, Stop, Walk};
use crate::error::Result;
use crate::ids::ShardNo;
use crate::verify::{UNANSWERED_MAX, in_full};

/// What an object reads like.
enum Read {
    Whole(u64),
    Other,
    /// That is told by the listing, or it went meanwhile.
    Missing,
    Unanswered(String),
}

impl Walk<'_, '_> {
    /// Reads all objects that a copy must have.
    pub(super) async fn read_all(&mut self, copy: usize) -> Going<()> {
        let mut unanswered = 0;
        for subject in self.subjects {
            for (kind, _) in FOLDERS {
                let mut rows = Rows::default();
                while let Some((object, row)) = rows.next(self, subject.shard, kind)? {
                    let shard = subject.shard;
                    let is_told = self.told.contains(&(copy, shard, object));
                    if row.state != ObjectState::Stored || is_told {
                        continue;
                    }
                    let key = Key::of(shard, &object);
                    match self.read(copy, &key, row.digest).await {
                        Read::Whole(bytes) => self.progress(bytes),
                        Read::Missing => {}
                        Read::Other => self.is_other(copy, shard, object).await?,
                        Read::Unanswered(why) => {
                            unanswered += 1;
                            if unanswered >= UNANSWERED_MAX {
                                return Err(Stop::Away(key.to_string(), why));
                            }
                            self.unchecked(key.to_string(), why);
                            continue;
                        }
                    }
                    unanswered = 0;
                }
            }
        }
        Ok(())
    }

    async fn read(&mut self, copy: usize, key: &Key, digest: [u8; 32]) -> Read {
        // Nothing is concluded from one reading: it may be the answer that is wrong.
        for _ in 0..2 {
            match self.copies[copy].digest(key, CALLER).await {
                Ok((found, bytes)) if found == digest => return Read::Whole(bytes),
                Ok(_) => {}
                Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => return Read::Missing,
                Err(e) => return Read::Unanswered(in_full(&e)),
            }
        }
        Read::Other
    }

    async fn is_other(&mut self, copy: usize, shard: ShardNo, object: ObjectId) -> Going<()> {
        let Some(row) = self.stored_now(shard, object)? else {
            return Ok(());
        };
        let bytes = row.bytes;
        let what = "its bytes are not those that were put there".to_owned();
        self.found(copy, shard, (object, row), (Lack::Other, what))
            .await?;
        self.progress(bytes);
        Ok(())
    }
}

/// The rows of a folder, some at a time.
#[derive(Default)]
struct Rows {
    rows: VecDeque<([u8; 16], Known)>,
    after: Option<[u8; 16]>,
}

impl Rows {
    fn next(
        &mut self,
        walk: &Walk<'_, '_>,
        shard: ShardNo,
        kind: ObjectKind,
    ) -> Result<Option<Known>> {
        if self.rows.is_empty()
            && let Some(subject) = walk.subject(shard)
        {
            self.rows = some(subject, kinds(kind), self.after.as_ref())?.into();
            self.after = self.rows.back().map(|(id, _)| *id).or(self.after);
        }
        Ok(self.rows.pop_front().map(|(_, known)| known))
    }
}
