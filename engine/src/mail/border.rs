//! Where the frames of a message begin: large encoded parts get frames of their own, so that compaction can lift them out.

use crate::mail::part::Part;

/// Raw bytes of a full line of base64 with its CRLF, and what it decodes to (RFC 2045, 6.8).
const LINE_RAW: u64 = 78;
const LINE_DECODED: u64 = 57;

/// Raw offsets at which a new frame begins, ascending, without 0 and the end of the message. An encoded part of at least
/// `attachment_threshold` decoded bytes (estimated from its raw length) begins and ends a frame; no frame is longer than
/// `frame_max` bytes.
pub fn frame_borders(parts: &[Part], attachment_threshold: u64, frame_max: usize) -> Vec<u64> {
    let Some(root) = parts.first() else {
        return Vec::new();
    };
    let frame_max = u64::try_from(frame_max).unwrap_or(u64::MAX).max(1);
    let mut fixed = Vec::new();
    for part in parts.iter().filter(|part| part.encoded) {
        let length = part.end - part.body;
        let decoded = length / LINE_RAW * LINE_DECODED + length % LINE_RAW * 3 / 4;
        if decoded >= attachment_threshold {
            fixed.extend([part.body, part.end]);
        }
    }
    fixed.push(root.end);
    let mut borders = Vec::new();
    let mut start = root.header;
    for border in fixed {
        while border - start > frame_max {
            start += frame_max;
            borders.push(start);
        }
        if border > start {
            start = border;
            borders.push(start);
        }
    }
    borders.pop();
    borders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::part::PartKind;

    fn leaf(body: u64, end: u64, encoded: bool) -> Part {
        Part {
            parent: 0,
            kind: PartKind::Leaf,
            header: body,
            body,
            end,
            encoded,
        }
    }

    #[test]
    fn a_large_encoded_part_begins_and_ends_a_frame_and_a_small_one_does_not() {
        let parts = [
            leaf(0, 1_000, false),
            leaf(100, 300, true),
            leaf(400, 900, true),
            leaf(920, 990, false),
        ];
        assert_eq!(frame_borders(&parts, 300, 10_000), [400, 900]);
    }

    #[test]
    fn no_frame_is_longer_than_the_bound() {
        let parts = [leaf(0, 2_500, false), leaf(1_100, 2_400, true)];
        assert_eq!(
            frame_borders(&parts, 100, 1_000),
            [1_000, 1_100, 2_100, 2_400]
        );
        assert_eq!(
            frame_borders(&[leaf(0, 1_000, false)], 100, 1_000),
            [0u64; 0]
        );
        assert_eq!(frame_borders(&[leaf(0, 0, false)], 100, 1_000), [0u64; 0]);
        assert_eq!(frame_borders(&[], 100, 1_000), [0u64; 0]);
    }

    #[test]
    fn a_part_at_the_edges_of_the_message_makes_no_empty_frame() {
        assert_eq!(frame_borders(&[leaf(0, 500, true)], 100, 1_000), [0u64; 0]);
    }
}
