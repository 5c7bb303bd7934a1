//! Searches, as HTTP and `--json` say them.

use coldpost_engine::query::Steps;
use coldpost_engine::search::{Hit, InMailbox};
use serde::{Deserialize, Serialize};

use super::date;

/// `POST /admin/search`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Whose mail; of nobody: of all accounts.
    #[serde(default)]
    pub account: Option<String>,
    /// The query in its text form.
    pub query: String,
    /// Of each mailbox at most so many are told, the newest first.
    pub limit: usize,
    /// Whether with the words around the hit.
    pub excerpts: bool,
    /// Whether words are looked for instead of texts, and the best are told first; `limit` is of all mailboxes of an account together then.
    #[serde(default)]
    pub ranked: bool,
}

/// A line of the answer; the last is `summary` or `failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum SearchLine {
    /// A message that matches.
    Hit(Found),
    /// A mailbox in which there are some.
    Mailbox {
        /// Whose.
        account: String,
        /// Its name.
        mailbox: String,
        /// Messages that match, told or not.
        found: u32,
        /// Messages in it.
        of: u32,
        /// What finding them took.
        microseconds: u64,
    },
    /// A word of the query, of which nothing was found, and what is spelled nearly so.
    Suggestion {
        /// The word, folded.
        word: String,
        /// Words that messages have, the nearest first.
        instead: Vec<String>,
    },
    /// The end.
    Summary {
        /// Messages that match.
        found: u64,
        /// Mailboxes that were looked through.
        mailboxes: u64,
        /// What finding them took, all together.
        microseconds: u64,
    },
    /// It ended before its end.
    Failed {
        /// Why.
        error: String,
    },
}

/// A message that matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Whose.
    pub account: String,
    /// Where.
    pub mailbox: String,
    /// Its UID there.
    pub uid: u32,
    /// INTERNALDATE (RFC 3339).
    pub date: String,
    /// Octets.
    pub size: u64,
    /// From, decoded.
    pub from: String,
    /// Subject, decoded.
    pub subject: String,
    /// How well it has the words, from 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relevancy: Option<u8>,
    /// The words around the first hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Words>,
}

/// Some words of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// On one line.
    pub text: String,
    /// Where in them the hits stand: bytes, from and to.
    pub marks: Vec<(usize, usize)>,
    /// Whether more stands before and behind them.
    pub is_cut: (bool, bool),
}

impl SearchLine {
    /// Of an account's message.
    pub fn hit(account: &str, hit: Hit) -> SearchLine {
        SearchLine::Hit(Found {
            account: account.to_owned(),
            mailbox: hit.mailbox,
            uid: hit.uid,
            date: date(hit.date),
            size: hit.size,
            from: hit.from,
            subject: hit.subject,
            relevancy: hit.relevancy,
            excerpt: hit.excerpt.map(|excerpt| Words {
                marks: excerpt.marks.iter().map(|m| (m.start, m.end)).collect(),
                text: excerpt.text,
                is_cut: excerpt.is_cut,
            }),
        })
    }

    /// Of an account's mailbox.
    pub fn mailbox(account: &str, looked: InMailbox) -> SearchLine {
        SearchLine::Mailbox {
            account: account.to_owned(),
            mailbox: looked.mailbox,
            found: looked.found,
            of: looked.of,
            microseconds: u64::try_from(looked.took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// A step of a plan: `coldpost search --explain --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// What decides it.
    pub source: String,
    /// The key.
    pub key: String,
    /// Which part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
}

/// How a query is answered.
pub fn plan_steps(steps: &Steps) -> Vec<PlanStep> {
    let steps = steps.0.iter();
    let step = |step: &coldpost_engine::query::Step| PlanStep {
        source: step.source.name().to_owned(),
        key: step.key.clone(),
        share: step.share.map(str::to_owned),
    };
    steps.map(step).collect()
}
