//! What a client of each protocol is told about an engine error: the one table.
//!
//! Promises: every [`Kind`] has exactly one answer in LMTP, IMAP and HTTP. Never: looks at an error's text.

use coldpost_engine::Kind;

use crate::imap::reply::Code;

/// The answers of the three protocols to one kind of error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// LMTP reply code (RFC 5321) and enhanced status code (RFC 3463).
    pub lmtp: (u16, &'static str),
    /// IMAP response code (RFC 5530).
    pub imap: Code,
    /// HTTP status.
    pub http: u16,
}

/// The answers to `kind`.
#[must_use]
pub fn answer(kind: Kind) -> Answer {
    let (lmtp, imap, http) = match kind {
        Kind::Invalid => ((554, "5.6.0"), Code::Cannot, 400),
        Kind::Limit => ((452, "4.3.1"), Code::Limit, 413),
        Kind::NotFound => ((550, "5.1.1"), Code::NonExistent, 404),
        Kind::Conflict => ((451, "4.3.0"), Code::AlreadyExists, 409),
        Kind::Corrupt => ((451, "4.3.0"), Code::Corruption, 500),
        Kind::Unavailable => ((451, "4.3.0"), Code::Unavailable, 503),
        Kind::Closed => ((421, "4.3.2"), Code::Unavailable, 503),
        Kind::Internal => ((451, "4.3.0"), Code::ServerBug, 500),
    };
    Answer { lmtp, imap, http }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_wrong_is_refused_for_good() {
        for kind in [
            Kind::Limit,
            Kind::Conflict,
            Kind::Corrupt,
            Kind::Unavailable,
            Kind::Closed,
            Kind::Internal,
        ] {
            let answer = answer(kind);
            assert!(
                answer.lmtp.0 < 500 && answer.lmtp.1.starts_with('4'),
                "{kind:?} must be repeated by the MTA"
            );
        }
        for kind in [Kind::Invalid, Kind::NotFound] {
            let answer = answer(kind);
            assert!(
                answer.lmtp.0 >= 500 && answer.lmtp.1.starts_with('5'),
                "{kind:?} must go back to the sender"
            );
        }
    }
}
