//! What a copy lacks or has damaged: mended where that is asked for and can be done, else told, with the messages that nobody has any more.

use std::collections::{BTreeMap, BTreeSet};

use coldpost_tiers::address::ObjectId;
use coldpost_tiers::cold::Key;

use super::rows::Known;
use super::{CALLER, Going, Walk};
use crate::error::Result;
use crate::ids::ShardNo;
use crate::limits::VERIFY_LOST_AT_ONCE;
use crate::verify::objects::{Messages, messages_by_object};
use crate::verify::victims;

/// How an object is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// Not at all.
    Gone,
    /// With other bytes: some messages in it may be readable.
    Other,
}

/// An object that nobody has.
pub(super) struct Lost {
    shard: ShardNo,
    object: ObjectId,
    what: String,
}

impl Walk<'_, '_> {
    /// A copy does not have an object, or not as it was put there.
    pub(super) async fn found(
        &mut self,
        copy: usize,
        shard: ShardNo,
        (object, row): Known,
        (lack, what): (Lack, String),
    ) -> Going<()> {
        let url = self.copies[copy].url().to_owned();
        let mut what = format!("{what} in {url}");
        if self.engine.is_some() {
            match self.mend(copy, shard, object, &what).await? {
                None => return Ok(()),
                Some(why) => what = format!("{what}, and cannot be mended: {why}"),
            }
        }
        self.told.insert((copy, shard, object));
        let key = Key::of(shard, &object);
        let mut others = Vec::new();
        if self.is_here(shard, object, row.bytes) {
            others.push("a local file".to_owned());
        }
        for (number, other) in self.copies.iter().enumerate() {
            let head = match number == copy {
                true => Ok(None),
                // One that does not answer has nothing for anybody now.
                false => other.head(&key, CALLER).await,
            };
            if head.is_ok_and(|meta| meta.is_some_and(|meta| meta.size == row.bytes)) {
                others.push(other.url().to_owned());
            }
        }
        if !others.is_empty() {
            let what = format!("{what}; {} has it", others.join(" and "));
            self.damage(key.to_string(), what, Vec::new());
            return Ok(());
        }
        if lack == Lack::Other {
            let what = format!("{what}; coldpost verify names the messages in it");
            self.damage(key.to_string(), what, Vec::new());
            return Ok(());
        }
        self.nobody_has(shard, object, what)
    }

    /// Victims are looked for later, of many objects at once.
    pub(super) fn nobody_has(
        &mut self,
        shard: ShardNo,
        object: ObjectId,
        what: String,
    ) -> Going<()> {
        self.lost.push(Lost {
            shard,
            object,
            what,
        });
        if self.lost.len() >= VERIFY_LOST_AT_ONCE {
            self.tell_lost()?;
        }
        Ok(())
    }

    /// Tells of what nobody has, with the messages that cannot be read because of it. Their places are gone through once for all.
    pub(super) fn tell_lost(&mut self) -> Result<()> {
        let mut by_shard: BTreeMap<ShardNo, Vec<Lost>> = BTreeMap::new();
        for lost in std::mem::take(&mut self.lost) {
            by_shard.entry(lost.shard).or_default().push(lost);
        }
        for (shard, lost) in by_shard {
            let wanted: BTreeSet<ObjectId> = lost.iter().map(|l| l.object).collect();
            let messages = match self.subject(shard) {
                Some(subject) => messages_by_object(subject, |object| wanted.contains(object))?,
                None => BTreeMap::new(),
            };
            for lost in lost {
                let hit = messages.get(&lost.object).cloned().unwrap_or_default();
                self.tell_one(&lost, &hit)?;
            }
        }
        Ok(())
    }

    fn tell_one(&mut self, lost: &Lost, hit: &Messages) -> Result<()> {
        let named = self.named.entry(lost.shard).or_default();
        let news: Vec<_> = hit.difference(named).copied().collect();
        named.extend(&news);
        let victims = match self.subject(lost.shard) {
            Some(subject) if !news.is_empty() => victims::name(&subject.hot.read()?, &news)?,
            _ => Vec::new(),
        };
        let key = Key::of(lost.shard, &lost.object).to_string();
        self.damage(key, lost.what.clone(), victims);
        Ok(())
    }
}
