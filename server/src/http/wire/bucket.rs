//! The object store in `status`: what was asked of it within the last day.

use std::fmt::Write;

use coldpost_engine::cold::Usage;
use serde::{Deserialize, Serialize};

/// What was asked of the object store, counted by the process that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// How far back this goes, seconds: a day, less after a start.
    pub seconds: u64,
    /// By kind and caller, without those that did not ask.
    pub requests: Vec<Requests>,
    /// Bytes of bodies that came from it.
    pub bytes_in: u64,
    /// Bytes of bodies that went to it.
    pub bytes_out: u64,
}

/// Requests of one kind by one caller: the labels of `coldpost_cold_requests_total`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// `put`, `get`, `head`, `list` or `delete`.
    pub kind: String,
    /// Who asked.
    pub caller: String,
    /// How many.
    pub count: u64,
}

impl From<Usage> for Bucket {
    fn from(usage: Usage) -> Bucket {
        let requests = usage.requests.into_iter().map(|requests| Requests {
            kind: requests.kind.to_owned(),
            caller: requests.caller.to_owned(),
            count: requests.count,
        });
        Bucket {
            seconds: usage.seconds,
            requests: requests.collect(),
            bytes_in: usage.bytes_in,
            bytes_out: usage.bytes_out,
        }
    }
}

impl Bucket {
    /// For people: a line in all, a line for each kind.
    pub fn text(&self) -> String {
        let (hours, minutes) = (self.seconds / 3600, self.seconds % 3600 / 60);
        let all: u64 = self.requests.iter().map(|requests| requests.count).sum();
        let mut text = format!(
            "object store, last {hours} h {minutes} min: {all} requests, {} bytes in, {} bytes out",
            self.bytes_in, self.bytes_out
        );
        for kind in self.requests.chunk_by(|a, b| a.kind == b.kind) {
            let name = kind.first().map_or("", |requests| requests.kind.as_str());
            let by = kind.iter().map(|r| format!("{} {}", r.caller, r.count));
            let by = by.collect::<Vec<_>>().join(", ");
            // Text in memory takes everything.
            let _ = write!(text, "\n  {name}: {by}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stand_by_kind_with_their_callers() {
        let requests = |kind: &str, caller: &str, count| Requests {
            kind: kind.to_owned(),
            caller: caller.to_owned(),
            count,
        };
        let bucket = Bucket {
            seconds: 2 * 3600 + 5 * 60 + 3,
            requests: vec![
                requests("put", "upload", 3),
                requests("put", "epoch", 2),
                requests("get", "read", 40),
            ],
            bytes_in: 5,
            bytes_out: 6,
        };
        let expected = "object store, last 2 h 5 min: 45 requests, 5 bytes in, 6 bytes out\n  put: upload 3, epoch 2\n  get: read 40";
        assert_eq!(bucket.text(), expected);
    }
}
