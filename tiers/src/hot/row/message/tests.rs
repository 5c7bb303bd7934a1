//! Places both ways, whatever stands in them, and what the usual ones take.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::address::{AccountId, BlobId, Recode};

const ACCOUNT: AccountId = AccountId(0xfeed_beef_0000_0001);

fn id() -> impl Strategy<Value = MessageId> {
    let number = (any::<u64>(), 0_u32..64).prop_map(|(n, fewer)| n >> fewer);
    (any::<u32>(), number, any::<u16>()).prop_map(|(epoch, position, number)| MessageId {
        epoch: Epoch(epoch),
        position: Position(position),
        number,
    })
}

fn origin() -> impl Strategy<Value = Origin> {
    (any::<u16>(), id()).prop_map(|(shard, message)| Origin {
        shard: ShardNo(shard),
        message,
    })
}

fn extent() -> impl Strategy<Value = Extent> {
    let frame = (any::<u32>(), any::<u32>(), any::<u32>())
        .prop_map(|(stored, raw, crc)| Extent::Frame(FrameRef { stored, raw, crc }));
    let blob =
        (any::<[u8; 16]>(), any::<u64>(), 0_u64..1 << 40).prop_map(|(blob, offset, length)| {
            Extent::Blob {
                blob: BlobId(blob),
                offset,
                length,
                recode: Recode::Same,
            }
        });
    prop_oneof![frame, blob, slice()]
}

fn slice() -> impl Strategy<Value = Extent> {
    (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(frame, skip, length)| Extent::Slice {
        frame,
        skip,
        length,
    })
}

fn object() -> impl Strategy<Value = ObjectId> {
    let kind = || {
        let kinds = [ObjectKind::Segment, ObjectKind::Block, ObjectKind::Blob];
        prop::sample::select(kinds.to_vec())
    };
    let numbered = (kind(), any::<u32>(), any::<u64>())
        .prop_map(|(kind, epoch, number)| ObjectId::numbered(kind, Epoch(epoch), number));
    let named = (kind(), any::<[u8; 16]>()).prop_map(|(kind, id)| ObjectId { kind, id });
    prop_oneof![numbered, named]
}

fn place() -> impl Strategy<Value = (MessageId, Place)> {
    let extents = prop_oneof![vec(extent(), 0..5), vec(slice(), 0..5), vec(extent(), 1..2)];
    let ids = (id(), any::<u16>(), origin(), origin(), 0..3);
    let numbers = (
        prop_oneof![Just(1), any::<u64>()],
        any::<i64>(),
        prop_oneof![Just(0), any::<i16>()],
        any::<u32>(),
    );
    let bytes = (object(), prop_oneof![Just(0), any::<u64>()], extents);
    (ids, numbers, bytes, any::<Option<u64>>()).prop_map(|(ids, numbers, bytes, another)| {
        let (own, shard, email, thread, like) = ids;
        let itself = Origin {
            shard: ShardNo(shard),
            message: own,
        };
        let email_id = if like == 0 { email } else { itself };
        let thread_id = if like == 1 { thread } else { email_id };
        let (references, date, zone, crc) = numbers;
        let (object, offset, extents) = bytes;
        let given = extents.iter().map(Extent::raw_len).sum();
        let place = Place {
            references,
            email_id,
            thread_id,
            date,
            zone,
            size: another.unwrap_or(given),
            crc,
            address: Address {
                object,
                offset,
                extents,
            },
        };
        (own, place)
    })
}

proptest! {
    #[test]
    fn a_place_is_read_as_it_was_written((own, place) in place()) {
        let value = place.encode(own);
        prop_assert_eq!(Place::decode(&key::message(ACCOUNT, own), &value).unwrap(), place);
    }

    #[test]
    fn bytes_that_are_a_place_keep_their_meaning_when_written_again(bits: u8, rest in vec(any::<u8>(), 0..80), small in vec(0_u8..5, 0..40)) {
        let own = MessageId { epoch: Epoch(1), position: Position(1), number: 0 };
        let key = key::message(ACCOUNT, own);
        for rest in [rest, small] {
            let value = [&[VERSION, bits][..], &rest].concat();
            if let Ok(place) = Place::decode(&key, &value) {
                prop_assert_eq!(Place::decode(&key, &place.encode(own)).unwrap(), place);
            }
        }
    }
}

#[test]
fn a_mail_as_it_usually_comes_takes_thirty_bytes_and_one_in_a_block_too() {
    let own = MessageId {
        epoch: Epoch(1),
        position: Position(5_000),
        number: 0,
    };
    let itself = Origin {
        shard: ShardNo(1),
        message: own,
    };
    let mut place = Place {
        references: 1,
        email_id: itself,
        thread_id: itself,
        date: 1_700_000_000,
        zone: 0,
        size: 5_000,
        crc: 0xfeed_beef,
        address: Address {
            object: ObjectId::segment(Epoch(1), Position(4_000)),
            offset: 3_000_000,
            extents: vec![Extent::Frame(FrameRef {
                stored: 2_000,
                raw: 5_000,
                crc: 1,
            })],
        },
    };
    assert_eq!(place.encode(own).len(), 28);
    let slice = |frame, length| Extent::Slice {
        frame,
        skip: 100_000,
        length,
    };
    place.address = Address {
        object: ObjectId::numbered(ObjectKind::Block, Epoch(1), 40),
        offset: 0,
        extents: vec![slice(130, 1_000), slice(131, 4_000)],
    };
    assert_eq!(place.encode(own).len(), 29);
}

#[test]
fn what_is_at_no_message_is_no_place() {
    let error = Place::decode(b"short", &[VERSION, 0]).unwrap_err();
    assert!(
        error.to_string().contains("the key of a message"),
        "{error}"
    );
}
