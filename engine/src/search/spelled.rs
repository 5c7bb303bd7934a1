//! Words that are spelled nearly as those of a query, for people.
//!
//! Promises: each is in a message that is there. Never: lets a search fail.

use std::time::{Duration, Instant};

use coldpost_search::fold::fold_collapsed;
use coldpost_search::limits::WORDS_ASK_MAX;
use coldpost_search::words::{Ask, Fields, Fuzziness, words_of};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::blocking;
use crate::error::Result;
use crate::ids::AccountRef;
use crate::limits::{SEARCH_SECONDS_MAX, SUGGESTED_MAX};
use crate::open::Engine;
use crate::query::{Expression, Query};
use crate::text::message_id;
use crate::words::WordView;

impl Engine {
    /// Words of the query that no message of an account has, each with those that messages have and that are spelled nearly so.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub async fn suggested(
        &self,
        account: AccountRef,
        asked: &Expression,
    ) -> Result<Vec<(String, Vec<String>)>> {
        let (mut texts, mut words) = (Vec::new(), Vec::new());
        texts_of(&asked.at(self.now(), ""), &mut texts, &mut words);
        words.extend(texts.iter().flat_map(|text| words_of(text)));
        words.truncate(WORDS_ASK_MAX);
        let mut all = self.spelled_nearly(account, words).await?;
        // What is there needs nothing instead.
        all.retain(|(word, near)| !near.contains(word));
        Ok(all)
    }

    pub(super) async fn spelled_nearly(
        &self,
        account: AccountRef,
        words: Vec<String>,
    ) -> Result<Vec<(String, Vec<String>)>> {
        if words.is_empty() || !self.has_words() {
            return Ok(Vec::new());
        }
        let shard = self.shard(account.shard)?;
        let Some(store) = shard.words.clone() else {
            return Ok(Vec::new());
        };
        let view = store.view(account.number, shard.text.written().line);
        let deadline = Instant::now() + Duration::from_secs(SEARCH_SECONDS_MAX);
        let looking = move || {
            let mut is_late = || Instant::now() > deadline;
            let state = shard.hot.read()?;
            let mut all = Vec::with_capacity(words.len());
            for word in words {
                // One more than are wanted: the word itself is among them where there is one.
                let near = view.suggest(&word, SUGGESTED_MAX + 1, &mut is_late);
                let there = near.and_then(|near| {
                    let near = near.into_iter().map(|near| near.word);
                    let there =
                        near.map(|word| Ok((is_there(&view, &state, account, &word)?, word)));
                    there.collect::<coldpost_search::Result<Vec<_>>>()
                });
                match there {
                    Ok(near) => {
                        let there = near.into_iter().filter(|(is_there, _)| *is_there);
                        all.push((word, there.map(|(_, word)| word).collect()));
                    }
                    // Nobody's search fails for want of a suggestion.
                    Err(e) => {
                        if e.is_corrupt() {
                            store.set_aside(view.generation(), &e);
                        }
                        break;
                    }
                }
            }
            Ok(all)
        };
        blocking::run("looking for words", looking).await
    }
}

/// Whether a message that has the word has a row.
fn is_there(
    view: &WordView,
    state: &Snapshot,
    account: AccountRef,
    word: &str,
) -> coldpost_search::Result<bool> {
    let ask = Ask::new(word, Fields::ALL, Fuzziness::Exact);
    let having = view.scores(&ask, &mut || false)?;
    Ok(having.into_keys().rev().any(|id| {
        let key = key::message(account.number, message_id(id));
        // What cannot be looked up is not suggested.
        matches!(state.look(TableName::Places, &key, |_| ()), Ok(Some(())))
    }))
}

/// Folded texts, and words, that are looked for and not excluded.
pub(super) fn texts_of(query: &Query, texts: &mut Vec<String>, words: &mut Vec<String>) {
    match query {
        Query::And(list) | Query::Or(list) => {
            list.iter().for_each(|q| texts_of(q, texts, words));
        }
        Query::Body(text) | Query::Text(text) if !text.is_empty() => {
            texts.push(fold_collapsed(text));
        }
        Query::Fuzzy(_, text) => words.extend(words_of(&fold_collapsed(text))),
        _ => {}
    }
}
