//! One request: who asks, how often it is tried, what is counted, what its failure is called.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::backend::{Body, Failure};
use super::breaker::{Breaker, Weight};
use super::patience::{Patience, between_attempts};
use super::store::ColdStore;
use crate::error::{Error, Kind};
use crate::metrics;

/// Who asks: a label of every metric, and how long is waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Sealed segments and blobs on their way out.
    Upload,
    /// Somebody reads mail.
    Read,
    /// The checks at start.
    Start,
    /// Epochs claimed and looked for.
    Epoch,
    /// `verify`.
    Verify,
    /// Journal bytes fetched back.
    Recover,
    /// Blocks, packs and blobs that compaction writes, and what it reads for them.
    Compact,
    /// Snapshots on their way out, and read back.
    Snapshot,
    /// Deletes of what nobody needs any more.
    Collect,
    /// The second store, where there is one: what it is asked beside the first.
    Mirror,
}

/// What a request does; the label `kind`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    Put,
    Get,
    Head,
    List,
    Delete,
}

impl ColdStore {
    /// Tries until there is an answer, the attempts are used up, the time is over or the store is away. `name`: what it is about.
    pub(super) async fn request<T, F>(
        &self,
        verb: Verb,
        caller: Caller,
        (name, bytes): (&str, u64),
        attempt: impl Fn() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let breaker = self.inner.breaker.as_ref();
        let guard = breaker.filter(|_| caller.yields());
        if guard.is_some_and(|breaker| !breaker.admits()) {
            let words = "it is away; one request a second asks whether it is back";
            return Err(Failure::Away(words.into()));
        }
        let patience = Patience::of(caller, !self.answers()).carrying(bytes);
        let begun = Instant::now();
        let labels = [verb.label(), caller.label()];
        for number in 1.. {
            let limit = patience
                .attempt
                .min(patience.total.saturating_sub(begun.elapsed()));
            let started = Instant::now();
            self.inner.ledger.request(verb, caller);
            let (answer, weight) = match timeout(limit, attempt()).await {
                Ok(answer) => (answer, Weight::Failed),
                Err(_) => (Err(slow(limit)), Weight::TimedOut),
            };
            metrics::COLD_SECONDS
                .with_label_values(&labels)
                .observe(started.elapsed().as_secs_f64());
            let failure = match answer {
                Err(failure @ (Failure::Away(_) | Failure::Short(_))) => failure,
                answer => {
                    breaker.inspect(|breaker| breaker.answered(name));
                    return answer.inspect_err(|failure| self.count_error(verb, caller, failure));
                }
            };
            self.count_error(verb, caller, &failure);
            breaker.inspect(|breaker| breaker.heard(weight, name, &failure));
            let wait = between_attempts(number);
            let is_over = number >= patience.attempts || begun.elapsed() + wait >= patience.total;
            if is_over || guard.is_some_and(Breaker::is_open) {
                return Err(failure);
            }
            sleep(wait).await;
        }
        unreachable!("the attempts are bounded")
    }

    /// Counts a failed attempt; a 404 and an object that exists are answers.
    pub(super) fn count_error(&self, verb: Verb, caller: Caller, failure: &Failure) {
        let why = match failure {
            Failure::Missing | Failure::Exists => return,
            Failure::Refused(_) => "refused",
            Failure::Short(_) => "short",
            Failure::Away(_) => "away",
        };
        metrics::COLD_ERRORS
            .with_label_values(&[verb.label(), caller.label(), why])
            .inc();
    }

    /// A failure in words: which store, which object, what to do.
    pub(super) fn error(&self, failure: Failure, what: &str, name: &str) -> Error {
        let url = self.url();
        match failure {
            Failure::Missing => Error::new(Kind::NotFound, format!("{url}: `{name}` is not there")),
            Failure::Exists => {
                Error::new(Kind::Conflict, format!("{url}: `{name}` exists already"))
            }
            Failure::Refused(cause) => Error::with_source(
                Kind::Unavailable,
                format!(
                    "{url} refuses to {what} `{name}`: check the key and its permissions ([cold])"
                ),
                cause,
            ),
            Failure::Short(cause) | Failure::Away(cause) => Error::with_source(
                Kind::Unavailable,
                format!("{url} cannot {what} `{name}` now"),
                cause,
            ),
        }
    }
}

/// All pieces, which must be `length` bytes together.
pub(super) async fn collect(mut body: Body, length: u64) -> Result<Bytes, Failure> {
    let said = body.answer_bytes;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(piece) = body.pieces.try_next().await? {
        if first.is_empty() {
            first = piece;
            continue;
        }
        if rest.is_empty() {
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&piece);
        if u64::try_from(rest.len()).is_ok_and(|n| n > length) {
            break;
        }
    }
    let all = if rest.is_empty() {
        first
    } else {
        rest.freeze()
    };
    match u64::try_from(all.len()) {
        Ok(found) if found == length => Ok(all),
        found => Err(too_short(found.unwrap_or(u64::MAX), said, length)),
    }
}

/// An answer with another length than was asked for: whole where it has what the store `said` it would have, broken off otherwise.
pub(super) fn too_short(found: u64, said: u64, asked: u64) -> Failure {
    match found == said && found < asked {
        true => Failure::Short(format!("the object ends after {found} of {asked} bytes").into()),
        false => truncated(found, asked),
    }
}

/// An answer that is too short.
pub(super) fn truncated(found: u64, expected: u64) -> Failure {
    Failure::Away(format!("truncated: {found} bytes came of {expected}").into())
}

/// An answer that did not come.
pub(super) fn slow(limit: Duration) -> Failure {
    Failure::Away(format!("no answer within {} ms", limit.as_millis()).into())
}

impl Caller {
    /// Each of them, in the order of their numbers.
    pub(super) const ALL: [Caller; 10] = [
        Caller::Upload,
        Caller::Read,
        Caller::Start,
        Caller::Epoch,
        Caller::Verify,
        Caller::Recover,
        Caller::Compact,
        Caller::Snapshot,
        Caller::Collect,
        Caller::Mirror,
    ];

    /// Whether it fails at once while the store is away. Those who do not are few, and find out whether it is back.
    fn yields(self) -> bool {
        !matches!(
            self,
            Caller::Start | Caller::Epoch | Caller::Verify | Caller::Recover
        )
    }

    /// The value of the metrics' label.
    pub(super) fn label(self) -> &'static str {
        match self {
            Caller::Upload => "upload",
            Caller::Read => "read",
            Caller::Start => "start",
            Caller::Epoch => "epoch",
            Caller::Verify => "verify",
            Caller::Snapshot => "snapshot",
            Caller::Recover => "recover",
            Caller::Compact => "compact",
            Caller::Collect => "gc",
            Caller::Mirror => "mirror",
        }
    }
}

impl Verb {
    /// Each of them, in the order of their numbers.
    pub(super) const ALL: [Verb; 5] = [Verb::Put, Verb::Get, Verb::Head, Verb::List, Verb::Delete];

    /// The value of the metrics' label.
    pub(super) fn label(self) -> &'static str {
        match self {
            Verb::Put => "put",
            Verb::Get => "get",
            Verb::Head => "head",
            Verb::List => "list",
            Verb::Delete => "delete",
        }
    }
}
