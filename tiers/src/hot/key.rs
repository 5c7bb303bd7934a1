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

/// Appends a number in as few bytes as it needs, so that order of bytes is order of numbers and no number begins another: as many ones as
/// the first byte begins with, so many bytes follow; the bits behind the ones are the number, seven a byte.
fn ordered(key: &mut Vec<u8>, number: u64) {
    let following = (0..8).find(|n| number >> (7 * (n + 1)) == 0).unwrap_or(8);
    let first = key.len();
    if following == 8 {
        key.push(0);
    }
    let bytes = number.to_be_bytes();
    key.extend_from_slice(&bytes[7_usize.saturating_sub(following)..]);
    key[first] |= ONES[following];
}

/// A byte that begins with so many ones.
const ONES: [u8; 9] = [0, 0x80, 0xc0, 0xe0, 0xf0, 0xf8, 0xfc, 0xfe, 0xff];

/// Reads what [`ordered`] appended, and gives what follows; `None` for what it never appends.
fn read_ordered(key: &[u8]) -> Option<(u64, &[u8])> {
    let first = *key.first()?;
    let following = ONES.iter().rposition(|ones| first & ones == *ones)?;
    let (number, rest) = key.split_at_checked(following + 1)?;
    let mut bytes = [0; 8];
    let digits = &number[usize::from(following == 8)..];
    bytes[8 - digits.len()..].copy_from_slice(digits);
    if following < 8 {
        bytes[7 - following] &= !ONES[following];
    }
    let value = u64::from_be_bytes(bytes);
    let is_shortest = following == 0 || value >> (7 * following) != 0;
    is_shortest.then_some((value, rest))
}

/// rows and places.
pub fn message(account: AccountId, id: MessageId) -> Vec<u8> {
    let mut key = Vec::with_capacity(16);
    key.extend_from_slice(&account.0.to_be_bytes());
    ordered(&mut key, u64::from(id.epoch.0));
    ordered(&mut key, id.position.0);
    ordered(&mut key, u64::from(id.number));
    key
}

/// Account and message of a key made by [`message`]; `None` for what is none.
pub fn read_message(key: &[u8]) -> Option<(AccountId, MessageId)> {
    let (account, rest) = key.split_first_chunk::<8>()?;
    let (epoch, rest) = read_ordered(rest)?;
    let (position, rest) = read_ordered(rest)?;
    let (number, rest) = read_ordered(rest)?;
    let id = MessageId {
        epoch: Epoch(u32::try_from(epoch).ok()?),
        position: Position(position),
        number: u16::try_from(number).ok()?,
    };
    rest.is_empty()
        .then_some((AccountId(u64::from_be_bytes(*account)), id))
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

/// The position of a key made by [`position`]; 0 for a key that is too short.
pub fn position_of(key: &[u8]) -> Position {
    Position(key.first_chunk::<8>().map_or(0, |b| u64::from_be_bytes(*b)))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of every length.
    fn number() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0_u32..64).prop_map(|(number, fewer)| number >> fewer)
    }

    fn id() -> impl Strategy<Value = MessageId> {
        (any::<u32>(), 0_u32..32, number(), any::<u16>(), 0_u32..16).prop_map(
            |(epoch, fewer, position, number, shorter)| MessageId {
                epoch: Epoch(epoch >> fewer),
                position: Position(position),
                number: number >> shorter,
            },
        )
    }

    proptest! {
        #[test]
        fn keys_of_messages_are_in_the_order_of_their_ids_and_give_them_back(a: u64, b: u64, c in id(), d in id()) {
            let (one, other) = ((AccountId(a), c), (AccountId(b), d));
            for same in [AccountId(a), AccountId(b)] {
                prop_assert_eq!(message(same, c).cmp(&message(same, d)), c.cmp(&d));
            }
            prop_assert_eq!(message(one.0, one.1).cmp(&message(other.0, other.1)), one.cmp(&other));
            prop_assert_eq!(read_message(&message(one.0, one.1)), Some(one));
        }

        #[test]
        fn a_key_that_is_read_is_the_one_that_is_made(mut key in prop::collection::vec(any::<u8>(), 0..40), tail in prop::collection::vec(0_u8..3, 0..6)) {
            key.truncate(9);
            key.extend(tail);
            if let Some((account, id)) = read_message(&key) {
                prop_assert_eq!(message(account, id), key);
            }
        }
    }

    #[test]
    fn a_number_takes_a_byte_for_every_seven_bits() {
        for bits in 1..=64_u32 {
            let highest = u64::MAX >> (64 - bits);
            for number in [highest, highest / 2 + 1] {
                let mut key = Vec::new();
                ordered(&mut key, number);
                let bytes = usize::try_from(bits.div_ceil(7).min(9)).unwrap();
                assert_eq!(key.len(), bytes, "{number}");
                assert_eq!(read_ordered(&key), Some((number, &[][..])), "{number}");
            }
        }
        assert_eq!(read_ordered(&[0x80, 0x7f]), None, "it has a shorter form");
    }
}
