//! Where a segment ends: pure, so that everybody who makes it from the same entries cuts alike.

/// Whether a record of `record` bytes must go to the next segment, when `so_far` record bytes (no batch frames, no header) stand in
/// this one. The first record of a segment always fits.
pub fn would_exceed(so_far: u64, record: u64, segment_size: u64) -> bool {
    so_far > 0 && so_far.saturating_add(record) > segment_size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_cut_before_the_record_that_would_take_it_over_unless_it_is_its_first() {
        assert!(!would_exceed(0, 100, 10));
        assert!(!would_exceed(4, 6, 10));
        assert!(would_exceed(4, 7, 10));
        assert!(would_exceed(1, u64::MAX, 10));
    }
}
