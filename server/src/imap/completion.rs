//! How a command ends: the tagged answer, or why there is none.

use std::borrow::Cow;
use std::io;

use coldpost_engine::{Error, Kind, mailbox_name};

use crate::answer::answer;
use crate::imap::reply::{self, Code, Refusal, Status};

/// A status answer (RFC 3501, 7.1) without its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) status: Status,
    code: Option<Box<Code>>,
    text: Cow<'static, str>,
}

impl Completion {
    pub(crate) fn ok(text: impl Into<Cow<'static, str>>) -> Completion {
        Completion {
            status: Status::Ok,
            code: None,
            text: text.into(),
        }
    }

    pub(crate) fn no(code: Code, text: impl Into<Cow<'static, str>>) -> Completion {
        Completion {
            status: Status::No,
            code: Some(Box::new(code)),
            text: text.into(),
        }
    }

    pub(crate) fn bad(text: impl Into<Cow<'static, str>>) -> Completion {
        Completion {
            status: Status::Bad,
            code: None,
            text: text.into(),
        }
    }

    pub(crate) fn bye(text: impl Into<Cow<'static, str>>) -> Completion {
        Completion {
            status: Status::Bye,
            code: None,
            text: text.into(),
        }
    }

    /// The same with a response code.
    pub(crate) fn with(self, code: Code) -> Completion {
        Completion {
            code: Some(Box::new(code)),
            ..self
        }
    }

    /// Writes it as the answer to the command with this tag.
    pub(crate) fn tagged(&self, buffer: &mut Vec<u8>, tag: &str) {
        reply::tagged(buffer, tag, self.status, self.code.as_deref(), &self.text);
    }

    /// Writes it as an untagged answer.
    pub(crate) fn untagged(&self, buffer: &mut Vec<u8>) {
        reply::untagged(buffer, self.status, self.code.as_deref(), &self.text);
    }

    /// The word by which metrics count it.
    pub(crate) fn word(&self) -> &'static str {
        match self.status {
            Status::Ok | Status::PreAuth => "ok",
            Status::No => "no",
            Status::Bad => "bad",
            Status::Bye => "bye",
        }
    }
}

impl From<Refusal> for Completion {
    fn from(refusal: Refusal) -> Completion {
        Completion {
            status: refusal.status,
            code: refusal.code,
            text: Cow::Owned(refusal.text),
        }
    }
}

/// Why a command did not reach its normal end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command is answered with this; the session goes on.
    Refused(Completion),
    /// The engine said no; answered by the one table, the session goes on.
    Engine(Error),
    /// The selected mailbox was deleted by another session: the command is answered and the session ends (RFC 2180, 3.3).
    MailboxDeleted,
    /// The session ends with this BYE.
    Bye(Completion),
    /// The connection is gone, or what was sent can only be ended by closing it.
    Connection(io::Error),
}

impl From<Completion> for Failure {
    fn from(completion: Completion) -> Failure {
        Failure::Refused(completion)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Engine(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Connection(error)
    }
}

/// What an executor gives.
pub(crate) type Outcome<T = Completion> = Result<T, Failure>;

/// The tagged answer to an engine error.
pub(crate) fn refusal(error: &Error) -> Completion {
    match error.kind() {
        Kind::Internal | Kind::Corrupt => {
            tracing::error!(error = error as &dyn std::error::Error, "a command failed");
        }
        _ => tracing::debug!(
            error = error as &dyn std::error::Error,
            "a command was refused"
        ),
    }
    let text = match error.kind() {
        Kind::Internal => "Internal error; the server's log has it".to_owned(),
        _ => error.to_string(),
    };
    Completion::no(answer(error.kind()).imap, text)
}

/// What an error on `mailbox` means, to which a message was to go: a missing one may be made (RFC 3501, 7.1), if it can be.
pub(crate) fn target_failure(mailbox: &str) -> impl Fn(Error) -> Failure {
    move |error| match missing(mailbox)(error) {
        Failure::Engine(error) if error.kind() == Kind::NotFound => {
            Completion::no(Code::TryCreate, "No such mailbox; it may be created").into()
        }
        failure => failure,
    }
}

/// What an error on `mailbox` means, which was to be there: of a name that cannot be, why it cannot.
pub(crate) fn missing(mailbox: &str) -> impl Fn(Error) -> Failure {
    move |error| match mailbox_name(mailbox) {
        Err(why) if error.kind() == Kind::NotFound => why.into(),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_errors_carry_the_response_code_of_their_kind_and_stay_on_one_line() {
        let mut line = Vec::new();
        refusal(&Error::new(Kind::Unavailable, "the journal\r\nis closed")).tagged(&mut line, "a1");
        assert_eq!(line, b"a1 NO [UNAVAILABLE] the journal??is closed\r\n");
    }

    #[test]
    fn a_bug_of_ours_is_not_explained_to_clients() {
        let mut line = Vec::new();
        refusal(&Error::new(Kind::Internal, "row 17 of table x")).tagged(&mut line, "a1");
        assert_eq!(
            line,
            b"a1 NO [SERVERBUG] Internal error; the server's log has it\r\n"
        );
    }
}
