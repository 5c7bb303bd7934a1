//! Keys of rows: big-endian columns one after the other, so that order of bytes is order of numbers.

use crate::address::{AccountId, BlobId, Epoch, MessageId, ObjectId, ObjectKind, Position};

/// accounts, and the prefix of everything that is an account's.
pub fn account(account: AccountId) -> Vec<u8> {
    account.0.to_be_bytes().to_vec()
}

/// mailboxes, and the prefix of `runs` and `expunged` of one mailbox.
pub fn mailbox(account: AccountId, mailbox: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(16);
    key.extend_from_slice(&account.0.to_be_bytes());
    key.extend_from_slice(&mailbox.to_be_bytes());
    key
}

/// runs (by first UID) and expunged (by UID).
pub fn uid(account: AccountId, mailbox_id: u32, uid: u32) -> Vec<u8> {
    let mut key = mailbox(account, mailbox_id);
    key.extend_from_slice(&uid.to_be_bytes());
    key
}

/// The UID at the end of a key made by [`uid`]; 0 for a key that is too short.
pub fn uid_of(key: &[u8]) -> u32 {
    tail(key)
}

/// The mailbox at the end of a key made by [`mailbox`]; 0 for a key that is too short.
pub fn mailbox_of(key: &[u8]) -> u32 {
    tail(key)
}

fn tail(key: &[u8]) -> u32 {
    key.last_chunk::<4>().map_or(0, |b| u32::from_be_bytes(*b))
}

/// The account at the beginning of a key; 0 for a key that is too short.
pub fn account_of(key: &[u8]) -> AccountId {
    AccountId(key.first_chunk::<8>().map_or(0, |b| u64::from_be_bytes(*b)))
}

/// mailbox_names and subscriptions.
pub fn name(account: AccountId, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + name.len());
    key.extend_from_slice(&account.0.to_be_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

/// due: what was expunged at a time, oldest first.
pub fn due(time: i64, account: AccountId, mailbox: u32, uid_value: u32) -> Vec<u8> {
    let mut key = time.max(0).to_be_bytes().to_vec();
    key.extend_from_slice(&uid(account, mailbox, uid_value));
    key
}

/// Time, account, mailbox and UID of a key made by [`due`]; zeros for what is too short.
pub fn read_due(key: &[u8]) -> (i64, AccountId, u32, u32) {
    let time = key.first_chunk::<8>().map_or(0, |b| i64::from_be_bytes(*b));
    let rest = key.get(8..).unwrap_or_default();
    (
        time,
        account_of(rest),
        mailbox_of(rest.get(..12).unwrap_or_default()),
        uid_of(rest),
    )
}

/// pending, of one kind and account: a group and position, or a mailbox, follow in `rest`.
pub fn pending(what: u8, account: AccountId, rest: &[u8]) -> Vec<u8> {
    let mut key = vec![what];
    key.extend_from_slice(&account.0.to_be_bytes());
    key.extend_from_slice(rest);
    key
}

/// A message id as 14 bytes in order.
pub fn message_id(id: MessageId) -> [u8; 14] {
    let mut key = [0; 14];
    key[..4].copy_from_slice(&id.epoch.0.to_be_bytes());
    key[4..12].copy_from_slice(&id.position.0.to_be_bytes());
    key[12..].copy_from_slice(&id.number.to_be_bytes());
    key
}

/// rows and places.
pub fn message(account: AccountId, id: MessageId) -> Vec<u8> {
    let mut key = Vec::with_capacity(22);
    key.extend_from_slice(&account.0.to_be_bytes());
    key.extend_from_slice(&message_id(id));
    key
}

/// threads.
pub fn thread(account: AccountId, hash: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(16);
    key.extend_from_slice(&account.0.to_be_bytes());
    key.extend_from_slice(&hash.to_be_bytes());
    key
}

/// snapshots: position and epoch of a manifest.
pub fn snapshot(position: Position, epoch: Epoch) -> Vec<u8> {
    let mut key = position.0.to_be_bytes().to_vec();
    key.extend_from_slice(&epoch.0.to_be_bytes());
    key
}

/// Position and epoch of a key made by [`snapshot`]; zeros for what is too short.
pub fn read_snapshot(key: &[u8]) -> (Position, Epoch) {
    let position = key.first_chunk::<8>().map_or(0, |b| u64::from_be_bytes(*b));
    let epoch = key.get(8..).and_then(<[u8]>::first_chunk::<4>);
    let epoch = epoch.map_or(0, |b| u32::from_be_bytes(*b));
    (Position(position), Epoch(epoch))
}

/// objects.
pub fn object(object: ObjectId) -> Vec<u8> {
    let mut key = Vec::with_capacity(17);
    key.push(object.kind as u8);
    key.extend_from_slice(&object.id);
    key
}

/// blobs.
pub fn blob(blob: BlobId) -> Vec<u8> {
    blob.0.to_vec()
}

/// The object of a key made by [`object`]; `None` for what is none.
pub fn read_object(key: &[u8]) -> Option<ObjectId> {
    let (kind, id) = key.split_first()?;
    Some(ObjectId {
        kind: ObjectKind::from_number(*kind)?,
        id: *id.first_chunk::<16>()?,
    })
}

/// frames, of one block by number.
pub fn frame(block: ObjectId, number: u32) -> Vec<u8> {
    let mut key = object(block);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// contents: BLAKE3 of a blob's raw bytes, and whose it may be given to (0: everybody's of the shard).
pub fn content(digest: &[u8; 32], account: AccountId) -> Vec<u8> {
    let mut key = digest.to_vec();
    key.extend_from_slice(&account.0.to_be_bytes());
    key
}

/// outcomes.
pub fn position(position: Position) -> Vec<u8> {
    position.0.to_be_bytes().to_vec()
}

/// The smallest key above everything that begins with `prefix`; `None` when there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}
