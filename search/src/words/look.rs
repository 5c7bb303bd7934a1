//! Looks for words in a message that is not indexed yet.
//!
//! Promises: it matches when it will match once it is indexed, but for expansions that are cut; nearer spellings score higher, and header fields as there.

use crate::limits::WORDS_TEXT_MAX;

use super::ask::{Ask, Field};
use super::expand::{Near, Nearness};
use super::score::{closeness, weight};
use super::token::each_word;

/// How well a message with these folded texts, headers first, has what is asked for; `None` when it has not.
pub fn look(ask: &Ask, texts: &[(Field, &str)]) -> Option<f32> {
    let nears: Vec<Near> = ask
        .wanted
        .iter()
        .map(|wanted| Near::new(&wanted.word, wanted.edits))
        .collect();
    let mut best = vec![[0.0_f32; Field::ALL.len()]; nears.len()];
    let mut left = WORDS_TEXT_MAX;
    for (field, text) in texts {
        let is_asked = ask.fields.has(*field);
        let used = each_word(text, left, &mut |word| {
            if !is_asked {
                return;
            }
            for ((wanted, near), best) in ask.wanted.iter().zip(&nears).zip(&mut best) {
                let nearness = match near.distance(word.as_bytes()) {
                    Some(0) => Nearness::Same,
                    _ if wanted.is_prefix && word.starts_with(&wanted.word) => Nearness::Longer,
                    Some(edits) => Nearness::Edits(edits),
                    None => continue,
                };
                let of_field = &mut best[*field as usize];
                *of_field = of_field.max(closeness(nearness) * weight(*field));
            }
        });
        left = left.saturating_sub(used);
    }
    let words = best.iter().map(|fields| fields.iter().sum::<f32>());
    let has_all = words.clone().all(|word| word > 0.0);
    (has_all && !ask.wanted.is_empty()).then(|| words.sum())
}
