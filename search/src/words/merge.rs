//! Which segments to make one of: pure, so that it can be tried without an index.

use crate::limits::{WORDS_MERGE_CLASS, WORDS_MERGE_SMALLEST, WORDS_MERGE_TERMS_MAX};

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Messages that are there.
    pub(super) messages: u32,
    /// Bytes of its dictionaries, which a merge has in memory.
    pub(super) terms_bytes: u64,
}

/// As many segments of one size class as a class is wide, the smallest class first; those whose dictionaries have grown large are left alone.
pub(super) fn choose(candidates: &[Candidate]) -> Option<Vec<usize>> {
    let wide = usize::try_from(WORDS_MERGE_CLASS).unwrap_or(usize::MAX);
    let is_small = |candidate: &Candidate| {
        candidate.terms_bytes <= u64::from(WORDS_MERGE_TERMS_MAX / WORDS_MERGE_CLASS)
    };
    let numbered = candidates.iter().enumerate();
    let mut small: Vec<(u32, u32, usize)> = numbered
        .filter(|(_, candidate)| is_small(candidate))
        .map(|(number, candidate)| (class(candidate.messages), candidate.messages, number))
        .collect();
    small.sort_unstable();
    let of_class = small.chunk_by(|a, b| a.0 == b.0);
    let mut enough = of_class.filter(|of_class| of_class.len() >= wide);
    let chosen = enough.next()?.iter().take(wide);
    Some(chosen.map(|(.., number)| *number).collect())
}

fn class(messages: u32) -> u32 {
    let mut class = 0;
    let mut bound = WORDS_MERGE_SMALLEST;
    while messages >= bound {
        class += 1;
        bound = bound.saturating_mul(WORDS_MERGE_CLASS);
        if bound == u32::MAX {
            break;
        }
    }
    class
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_stay_few_and_a_message_is_rewritten_once_a_class() {
        let mut segments: Vec<Candidate> = Vec::new();
        let (mut most, mut rewritten) = (0, 0_u64);
        for commit in 0..100_000_u32 {
            let messages = 1 + commit % 7;
            let terms_bytes = u64::from(messages) * 300;
            segments.push(Candidate {
                messages,
                terms_bytes,
            });
            while let Some(mut chosen) = choose(&segments) {
                chosen.sort_unstable();
                let parts = chosen
                    .iter()
                    .rev()
                    .map(|number| segments.swap_remove(*number));
                let merged = parts.fold((0, 0), |sum, part| {
                    (sum.0 + part.messages, sum.1 + part.terms_bytes)
                });
                assert!(merged.1 <= u64::from(WORDS_MERGE_TERMS_MAX));
                rewritten += u64::from(merged.0);
                segments.push(Candidate {
                    messages: merged.0,
                    terms_bytes: merged.1,
                });
            }
            most = most.max(segments.len());
        }
        let all: u64 = segments
            .iter()
            .map(|segment| u64::from(segment.messages))
            .sum();
        assert!(most <= 32, "{most} segments");
        assert!(rewritten < all * 16, "{rewritten} of {all}");
    }
}
