//! Whose a store is, by the claims of epochs in it: before anything else in it is believed, and before anything is written there.

use coldpost_tiers::cold::Key;

use super::{CALLER, Object, State, Stop, Walk};
use crate::error::Result;
use crate::identity::{Claim, Said};
use crate::ids::Epoch;
use crate::local::shard_dir;
use crate::verify::in_full;

/// Whose a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Ours.
    Ours,
    /// It has no claim of ours and none of others: empty, new, or not mounted.
    Nothing,
    /// It belongs to somebody else, or does not answer. That is told.
    Unusable,
}

/// What a copy says to one claim.
enum Answer {
    Same,
    Other,
    Missing,
    Damaged,
    Away(String),
}

impl Walk<'_, '_> {
    /// Whose each copy is; a claim that one lacks is told, and put there again where the copy is ours all the same.
    pub(super) async fn claims(&mut self) -> Result<Vec<Holds>> {
        let ours = self.our_claims();
        let mut holds = Vec::new();
        let mut lacking = Vec::new();
        for copy in 0..self.copies.len() {
            let mut of_copy = None;
            for claim in &ours {
                let key = claim.key().to_string();
                match self.ask(copy, claim).await {
                    Answer::Same => of_copy = of_copy.or(Some(Holds::Ours)),
                    Answer::Other => {
                        let url = self.copies[copy].url();
                        let what = format!(
                            "{url} belongs to another store: check [cold]; it is not gone through"
                        );
                        self.damage(key, what, Vec::new());
                        of_copy = Some(Holds::Unusable);
                    }
                    Answer::Missing => lacking.push((copy, claim.clone(), "it is missing")),
                    Answer::Damaged => {
                        lacking.push((copy, claim.clone(), "it is no claim of this store"));
                    }
                    Answer::Away(why) => {
                        let why = format!("{} does not answer: {why}", self.copies[copy].url());
                        self.unchecked(key, why);
                        of_copy = Some(Holds::Unusable);
                    }
                }
                if of_copy == Some(Holds::Unusable) {
                    break;
                }
            }
            holds.push(of_copy.unwrap_or(Holds::Nothing));
        }
        for (copy, claim, what) in lacking {
            let is_ours = holds[copy] == Holds::Ours;
            let is_filled = holds[copy] == Holds::Nothing && holds.contains(&Holds::Ours);
            if holds[copy] != Holds::Unusable {
                self.claim_lacks(copy, &claim, what, is_ours || is_filled)
                    .await?;
            }
        }
        for copy in 0..holds.len() {
            if holds[copy] == Holds::Nothing && (self.engine.is_none() || holds.len() == 1) {
                let url = self.copies[copy].url();
                let then = match holds.len() {
                    1 => "check [cold] url, or whether it is mounted",
                    _ => "check whether it is mounted; one that is new is filled by --repair",
                };
                let what =
                    format!("{url} holds nothing of this store and was not gone through: {then}");
                self.unchecked(url_folder(url), what);
            }
        }
        Ok(holds)
    }

    /// The claims of this data directory; what is wrong with its files `verify` says.
    fn our_claims(&self) -> Vec<Claim> {
        let Some(store) = self.identity.store else {
            return Vec::new();
        };
        let shards = self.subjects.iter().map(|subject| subject.shard);
        let read = |shard| {
            let dir = shard_dir(&self.bench.settings.data, shard);
            Claim::read(&dir, store, shard).ok().flatten()
        };
        shards.filter_map(read).collect()
    }

    async fn ask(&mut self, copy: usize, claim: &Claim) -> Answer {
        match self.copies[copy].get(&claim.key(), CALLER).await {
            Ok(found) => match claim.compared_with(&found) {
                Said::Same => Answer::Same,
                Said::Other => Answer::Other,
                Said::Nothing => Answer::Damaged,
            },
            Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => Answer::Missing,
            Err(e) => Answer::Away(in_full(&e)),
        }
    }

    async fn claim_lacks(
        &mut self,
        copy: usize,
        claim: &Claim,
        what: &str,
        may_put: bool,
    ) -> Result<()> {
        let store = self.copies[copy].clone();
        let (key, url) = (claim.key(), store.url().to_owned());
        let mut what = format!("{what} in {url}");
        if self.engine.is_some() && may_put && claim.claimed {
            let object = claim.object();
            let bytes = u64::try_from(object.len()).unwrap_or(0);
            match store.put_again(&key, object, CALLER).await {
                Ok(()) => {
                    self.tell(Object {
                        store: url,
                        object: key.to_string(),
                        bytes,
                        modified: 0,
                        state: State::Mended,
                        what: format!("{what}; it was put there again"),
                    });
                    return Ok(());
                }
                Err(e) => what = format!("{what}, and cannot be put there: {}", in_full(&e)),
            }
        }
        self.damage(key.to_string(), what, Vec::new());
        Ok(())
    }

    /// Whether somebody else writes a shard by now: then nothing of it is mended from here.
    pub(super) async fn is_fenced(&mut self, claim: &Claim) -> super::Going<bool> {
        let next = Epoch(claim.lineage.epoch.0.saturating_add(1));
        let shard = claim.lineage.shard;
        let key = Key::Epoch { shard, epoch: next }.to_string();
        let claimed = self.bench.cold.is_claimed(shard, next, CALLER).await;
        claimed.map_err(|e| Stop::Away(key, in_full(&e)))
    }
}

/// A name for all of a store.
fn url_folder(url: &str) -> String {
    format!("{}/", url.trim_end_matches('/'))
}
