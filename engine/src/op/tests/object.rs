//! Drawn ops of compaction and deletion.

use coldpost_tiers::hot::row::FrameRow;

use super::*;

fn frame_row() -> impl Strategy<Value = FrameRow> {
    (any::<u64>(), frame()).prop_map(|(offset, frame)| FrameRow { offset, frame })
}

fn moved_message() -> impl Strategy<Value = MovedMessage> {
    let from = (object(), any::<u64>());
    let message = any::<(u32, u64, u16)>();
    (account(), message, from, vec(extent(), 0..4)).prop_map(|(account, id, from, extents)| {
        let message = MessageId {
            epoch: Epoch(id.0),
            position: Position(id.1),
            number: id.2,
        };
        MovedMessage {
            account,
            message,
            from,
            extents,
        }
    })
}

fn relocate() -> impl Strategy<Value = Relocate> {
    let place = || (object(), any::<u64>());
    let blob =
        (blob_record(), place(), account()).prop_map(|(record, (object, offset), scope)| NewBlob {
            record,
            object,
            offset,
            scope,
        });
    let moved_blob = (any::<[u8; 16]>(), place(), place()).prop_map(|(blob, from, to)| MovedBlob {
        blob: BlobId(blob),
        from,
        to,
    });
    (
        proptest::option::of(object()),
        vec((any::<u32>(), frame_row()), 0..4),
        vec(blob, 0..3),
        vec(moved_message(), 0..5),
        vec(moved_blob, 0..3),
    )
        .prop_map(|(block, frames, blobs, messages, moved_blobs)| Relocate {
            block,
            frames,
            blobs,
            messages,
            moved_blobs,
        })
}

fn snapshot() -> impl Strategy<Value = SnapshotTaken> {
    let range = any::<([u8; 16], u64, [u8; 32])>();
    let range = range.prop_map(|(id, bytes, digest)| RangeTaken { id, bytes, digest });
    (object(), any::<(u64, [u8; 32], u64)>(), vec(range, 0..5)).prop_map(
        |(manifest, (bytes, digest, position), ranges)| SnapshotTaken {
            manifest,
            bytes,
            digest,
            position: Position(position),
            ranges,
        },
    )
}

pub(super) fn object_op() -> impl Strategy<Value = Op> {
    let blobs = vec(any::<[u8; 16]>().prop_map(BlobId), 0..4);
    let intent = (vec(object(), 0..4), vec(object(), 0..4)).prop_map(|(numbered, given)| Intent {
        numbered: numbered.iter().map(|object| object.kind).collect(),
        given,
    });
    prop_oneof![
        intent.prop_map(Op::Intent),
        relocate().prop_map(Op::Relocate),
        snapshot().prop_map(Op::Snapshot),
        object().prop_map(Op::Condemn),
        (object(), blobs).prop_map(|(object, blobs)| Op::Gone { object, blobs }),
    ]
}
