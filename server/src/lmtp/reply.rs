//! Replies of LMTP (RFC 5321, 4.2) with enhanced status codes (RFC 2034, RFC 3463).
//!
//! Promises: one line each, CRLF at its end, no control character inside.
//! Never: echoes what a client typed, except addresses that the grammar let through.

use std::borrow::Cow;

use coldpost_engine::write::Delivered;
use coldpost_engine::{Error, Kind};

use crate::answer::answer;

/// One reply line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The basic code.
    code: u16,
    /// The enhanced code.
    status: &'static str,
    /// What it says to people.
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply with a fixed text.
    pub(crate) const fn new(code: u16, status: &'static str, text: &'static str) -> Reply {
        Reply {
            code,
            status,
            text: Cow::Borrowed(text),
        }
    }

    /// The same with a text made for the occasion.
    pub(crate) fn with_text(self, text: String) -> Reply {
        Reply {
            text: Cow::Owned(text),
            ..self
        }
    }

    /// The basic code.
    pub(crate) fn code(&self) -> u16 {
        self.code
    }

    /// Appends the line to `output`.
    pub(crate) fn write(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(format!("{} {} ", self.code, self.status).as_bytes());
        let visible = self
            .text
            .chars()
            .filter(|c| !c.is_control())
            .collect::<String>();
        output.extend_from_slice(visible.as_bytes());
        output.extend_from_slice(b"\r\n");
    }
}

/// The recipient has no account here.
pub(crate) const UNKNOWN_RECIPIENT: Reply = Reply::new(550, "5.1.1", "No such account here");

/// What RCPT is answered when the account cannot be looked up: never "unknown", the mail would bounce.
pub(crate) fn lookup_failed(error: &Error) -> Reply {
    deferred(
        error,
        "Accounts cannot be read at the moment, try again later",
    )
}

/// What one recipient is told after DATA.
pub(crate) fn delivered(outcome: &Delivered, address: &str) -> Reply {
    match outcome {
        Delivered::Stored { .. } => {
            Reply::new(250, "2.0.0", "").with_text(format!("<{address}> Saved"))
        }
        Delivered::AccountGone => UNKNOWN_RECIPIENT,
        Delivered::NotNow { is_disk_full: true } => delivery_failed(&Error::new(Kind::Limit, "")),
        Delivered::NotNow {
            is_disk_full: false,
        } => delivery_failed(&Error::new(Kind::Unavailable, "")),
    }
}

/// What every recipient is told when the delivery as a whole failed: nothing was promised to anybody.
pub(crate) fn delivery_failed(error: &Error) -> Reply {
    if error.kind() == Kind::Invalid {
        let (code, status) = answer(Kind::Invalid).lmtp;
        return Reply::new(code, status, "The message cannot be stored");
    }
    deferred(
        error,
        "The message cannot be stored at the moment, try again later",
    )
}

/// An error that must not bounce: the table's answer where that is for now, else that of an error of ours.
fn deferred(error: &Error, text: &'static str) -> Reply {
    let text = match error.kind() {
        Kind::Limit => "Disk or memory is short, try again later",
        Kind::Closed => "Shutting down, try again later",
        _ => text,
    };
    let (code, status) = match answer(error.kind()).lmtp {
        (code @ 400..500, status) => (code, status),
        _ => answer(Kind::Internal).lmtp,
    };
    Reply::new(code, status, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_one_line_whatever_its_text_says() {
        let mut output = Vec::new();
        Reply::new(250, "2.0.0", "")
            .with_text("a\r\nb\0\u{85}c".to_owned())
            .write(&mut output);
        assert_eq!(output, b"250 2.0.0 abc\r\n");
    }

    #[test]
    fn only_a_message_that_can_never_be_stored_is_refused_for_good() {
        let kinds = [
            Kind::Invalid,
            Kind::Limit,
            Kind::NotFound,
            Kind::Conflict,
            Kind::Corrupt,
            Kind::Unavailable,
            Kind::Closed,
            Kind::Internal,
        ];
        for kind in kinds {
            let code = delivery_failed(&Error::new(kind, "")).code();
            assert_eq!(code >= 500, kind == Kind::Invalid, "{kind:?}: {code}");
            assert!(lookup_failed(&Error::new(kind, "")).code() < 500);
        }
    }
}
