//! Who looks at what: watchers of accounts, pictures that keep messages from being purged, shared UID sets, \Recent.
//! All of it lives in this node's memory and is gone with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use crate::ids::{AccountId, MailboxId, ModSeq, Uid};
use crate::uidset::UidSet;

type Place = (AccountId, MailboxId);

/// Registered sessions of a shard.
#[derive(Default)]
pub(crate) struct Registry {
    watchers: Mutex<HashMap<AccountId, watch::Sender<u64>>>,
    pictures: Mutex<HashMap<Place, BTreeMap<u64, ModSeq>>>,
    sets: Mutex<HashMap<Place, (ModSeq, Weak<UidSet>)>>,
    recent: Mutex<HashMap<Place, Uid>>,
    next: std::sync::atomic::AtomicU64,
    moves: std::sync::atomic::AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what a session still shows from being purged, while it lives.
pub(crate) struct Picture {
    registry: Arc<crate::shard::Shard>,
    place: Place,
    number: u64,
}

impl Registry {
    /// A receiver that changes whenever an op touches the account.
    pub(crate) fn watch(&self, account: AccountId) -> watch::Receiver<u64> {
        let mut watchers = lock(&self.watchers);
        watchers
            .entry(account)
            .or_insert_with(|| watch::channel(0).0)
            .subscribe()
    }

    /// Wakes those who watch the accounts; forgets senders that nobody listens to.
    pub(crate) fn wake(&self, accounts: impl Iterator<Item = AccountId>) {
        let mut watchers = lock(&self.watchers);
        for account in accounts {
            let Some(sender) = watchers.get(&account) else {
                continue;
            };
            if sender.receiver_count() == 0 {
                watchers.remove(&account);
            } else {
                sender.send_modify(|n| *n = n.wrapping_add(1));
            }
        }
    }

    /// How often a picture moved on or went.
    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn moved(&self) {
        self.moves
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether a session's picture may still show what was expunged with `modseq`.
    pub(crate) fn shows(&self, account: AccountId, mailbox: MailboxId, modseq: ModSeq) -> bool {
        lock(&self.pictures)
            .get(&(account, mailbox))
            .is_some_and(|p| p.values().any(|seen| *seen < modseq))
    }

    /// The UID set of a mailbox as of `modseq`, if some session has it.
    pub(crate) fn shared_set(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        modseq: ModSeq,
    ) -> Option<Arc<UidSet>> {
        let sets = lock(&self.sets);
        let (known, set) = sets.get(&(account, mailbox))?;
        if *known == modseq {
            set.upgrade()
        } else {
            None
        }
    }

    /// Lets other sessions have it too.
    pub(crate) fn share_set(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        modseq: ModSeq,
        set: &Arc<UidSet>,
    ) {
        let mut sets = lock(&self.sets);
        sets.insert((account, mailbox), (modseq, Arc::downgrade(set)));
        if sets.len() > 1024 {
            sets.retain(|_, (_, set)| set.strong_count() > 0);
        }
    }

    /// The first UID that no read-write session was told of; `first` says it for a mailbox that nobody opened yet.
    pub(crate) fn recent_from(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        first: impl FnOnce() -> Uid,
    ) -> Uid {
        *lock(&self.recent)
            .entry((account, mailbox))
            .or_insert_with(first)
    }

    /// A read-write session was told of everything below `next`.
    pub(crate) fn take_recent(&self, account: AccountId, mailbox: MailboxId, next: Uid) {
        let mut recent = lock(&self.recent);
        let from = recent.entry((account, mailbox)).or_insert(next);
        *from = (*from).max(next);
    }
}

impl Picture {
    /// A session shows the mailbox as of `modseq`.
    pub(crate) fn new(shard: &Arc<crate::shard::Shard>, place: Place, modseq: ModSeq) -> Picture {
        let number = shard
            .registry
            .next
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        lock(&shard.registry.pictures)
            .entry(place)
            .or_default()
            .insert(number, modseq);
        Picture {
            registry: Arc::clone(shard),
            place,
            number,
        }
    }

    /// It moved on: everything expunged up to `modseq` was announced.
    pub(crate) fn move_to(&self, modseq: ModSeq) {
        if let Some(pictures) = lock(&self.registry.registry.pictures).get_mut(&self.place) {
            pictures.insert(self.number, modseq);
        }
        self.registry.registry.moved();
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        let mut pictures = lock(&self.registry.registry.pictures);
        if let Some(of_mailbox) = pictures.get_mut(&self.place) {
            of_mailbox.remove(&self.number);
            if of_mailbox.is_empty() {
                pictures.remove(&self.place);
            }
        }
        drop(pictures);
        self.registry.registry.moved();
    }
}
