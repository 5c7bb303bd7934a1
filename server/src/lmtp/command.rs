//! The commands of LMTP (RFC 2033, RFC 5321, 4.1.1): one line without its CRLF in, a command or the reply that refuses it out.
//!
//! Promises: knows the parameters of SIZE (RFC 1870), 8BITMIME (RFC 6152) and SMTPUTF8 (RFC 6531); any other is 555.
//! Never: knows what came before: the order of commands is the session's.

use winnow::Result;
use winnow::combinator::{delimited, eof, opt, preceded, repeat};
use winnow::prelude::*;
use winnow::token::{one_of, take_while};

use super::address::{Address, keyword, path, path_end, reverse_path};
use super::limits::{ADDRESS_MAX, LHLO_MAX};
use super::reply::Reply;

/// A command with what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// LHLO with the client's name.
    Lhlo(String),
    /// MAIL FROM.
    Mail(Mail),
    /// RCPT TO.
    Rcpt(Address),
    /// DATA
    Data,
    /// RSET
    Rset,
    /// NOOP
    Noop,
    /// STARTTLS (RFC 3207)
    StartTls,
    /// QUIT
    Quit,
    /// VRFY
    Vrfy,
    /// HELP
    Help,
}

impl Command {
    /// Its name, for metrics.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Command::Lhlo(_) => "LHLO",
            Command::Mail(_) => "MAIL",
            Command::Rcpt(_) => "RCPT",
            Command::Data => "DATA",
            Command::Rset => "RSET",
            Command::Noop => "NOOP",
            Command::StartTls => "STARTTLS",
            Command::Quit => "QUIT",
            Command::Vrfy => "VRFY",
            Command::Help => "HELP",
        }
    }
}

/// MAIL FROM with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    /// The sender; `None` is the null reverse-path.
    pub(crate) from: Option<Address>,
    /// SIZE=, octets.
    pub(crate) size: Option<u64>,
    /// SMTPUTF8 was given.
    pub(crate) utf8: bool,
}

const UNKNOWN_COMMAND: Reply = Reply::new(500, "5.5.2", "Unknown command");
const BAD_ARGUMENT: Reply = Reply::new(501, "5.5.4", "The arguments are wrong");
const BAD_SENDER: Reply = Reply::new(
    501,
    "5.1.7",
    "The sender's address is wrong: MAIL FROM:<user@domain>",
);
const BAD_RECIPIENT: Reply = Reply::new(
    501,
    "5.1.3",
    "The recipient's address is wrong: RCPT TO:<user@domain>",
);
const UNKNOWN_PARAMETER: Reply = Reply::new(555, "5.5.4", "Unknown parameter");
/// An address outside ASCII in a transaction without SMTPUTF8 (RFC 6531, 3.5).
pub(crate) const NEEDS_UTF8: Reply = Reply::new(
    553,
    "5.6.7",
    "An address outside ASCII needs MAIL with SMTPUTF8",
);

/// Reads a command line (without CRLF).
///
/// # Errors
/// The reply that says what is wrong with it.
pub(crate) fn parse(line: &[u8]) -> Result<Command, Reply> {
    let Ok(line) = std::str::from_utf8(line) else {
        return Err(Reply::new(500, "5.5.2", "A command is text in UTF-8"));
    };
    let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
    let bare = |command: Command| {
        if arguments.trim().is_empty() {
            Ok(command)
        } else {
            Err(BAD_ARGUMENT)
        }
    };
    match verb.to_ascii_uppercase().as_str() {
        "LHLO" => lhlo(arguments),
        "MAIL" => mail(arguments).map(Command::Mail),
        "RCPT" => rcpt(arguments).map(Command::Rcpt),
        "DATA" => bare(Command::Data),
        "RSET" => bare(Command::Rset),
        "STARTTLS" => bare(Command::StartTls),
        "QUIT" => bare(Command::Quit),
        "NOOP" => Ok(Command::Noop),
        "HELP" => Ok(Command::Help),
        "VRFY" if !arguments.trim().is_empty() => Ok(Command::Vrfy),
        "VRFY" => Err(BAD_ARGUMENT),
        "HELO" | "EHLO" => Err(Reply::new(500, "5.5.1", "This is LMTP: say LHLO")),
        "EXPN" | "TURN" => Err(Reply::new(502, "5.5.1", "Not implemented")),
        _ => Err(UNKNOWN_COMMAND),
    }
}

fn lhlo(arguments: &str) -> Result<Command, Reply> {
    let name = arguments.trim();
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"()<>\\\",;".contains(&b));
    if name.is_empty() || name.len() > LHLO_MAX || !plain {
        return Err(Reply::new(501, "5.5.4", "LHLO wants the name of your host"));
    }
    Ok(Command::Lhlo(name.to_owned()))
}

fn mail(arguments: &str) -> Result<Mail, Reply> {
    let mut rest = arguments;
    let from = (keyword("FROM"), reverse_path, path_end)
        .map(|(_, from, _)| from)
        .parse_next(&mut rest);
    let from = from.map_err(|_| BAD_SENDER)?;
    if from
        .as_ref()
        .is_some_and(|from| from.typed.len() > ADDRESS_MAX)
    {
        return Err(BAD_SENDER);
    }
    let mut mail = Mail {
        from,
        size: None,
        utf8: false,
    };
    let mut body_given = false;
    for parameter in parameters.parse(rest).map_err(|_| BAD_ARGUMENT)? {
        match (
            parameter.name.to_ascii_uppercase().as_str(),
            parameter.value,
        ) {
            ("SIZE", Some(value)) if mail.size.is_none() => mail.size = Some(size(value)?),
            ("BODY", Some(value)) if !body_given => {
                if !["7BIT", "8BITMIME"]
                    .iter()
                    .any(|known| value.eq_ignore_ascii_case(known))
                {
                    return Err(Reply::new(501, "5.5.4", "BODY is 7BIT or 8BITMIME"));
                }
                body_given = true;
            }
            ("SMTPUTF8", None) if !mail.utf8 => mail.utf8 = true,
            ("SIZE" | "BODY" | "SMTPUTF8", _) => return Err(BAD_ARGUMENT),
            _ => return Err(UNKNOWN_PARAMETER),
        }
    }
    if mail.from.as_ref().is_some_and(Address::is_utf8) && !mail.utf8 {
        return Err(NEEDS_UTF8);
    }
    Ok(mail)
}

/// size-value = 1*20DIGIT (RFC 1870, 3); more than we can count is as much as we can count.
fn size(value: &str) -> Result<u64, Reply> {
    if value.is_empty() || value.len() > 20 || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Reply::new(501, "5.5.4", "SIZE wants a number of octets"));
    }
    Ok(value.parse().unwrap_or(u64::MAX))
}

fn rcpt(arguments: &str) -> Result<Address, Reply> {
    let mut rest = arguments;
    let to = (keyword("TO"), path, path_end)
        .map(|(_, to, _)| to)
        .parse_next(&mut rest)
        .map_err(|_| BAD_RECIPIENT)?;
    if to.typed.len() > ADDRESS_MAX {
        return Err(BAD_RECIPIENT);
    }
    let given = parameters.parse(rest).map_err(|_| BAD_ARGUMENT)?;
    if given.is_empty() {
        Ok(to)
    } else {
        Err(UNKNOWN_PARAMETER)
    }
}

/// esmtp-param of RFC 5321, 4.1.2.
struct Parameter<'i> {
    name: &'i str,
    value: Option<&'i str>,
}

fn parameters<'i>(input: &mut &'i str) -> Result<Vec<Parameter<'i>>> {
    let blanks = || take_while(0.., ' ');
    let one = preceded(take_while(1.., ' '), parameter);
    delimited("", repeat(0.., one), (blanks(), eof)).parse_next(input)
}

fn parameter<'i>(input: &mut &'i str) -> Result<Parameter<'i>> {
    let keyword = (
        one_of(|c: char| c.is_ascii_alphanumeric()),
        take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '-'),
    );
    let value = take_while(1.., |c: char| c != '=' && c != ' ' && !c.is_control());
    (keyword.take(), opt(preceded('=', value)))
        .map(|(name, value)| Parameter { name, value })
        .parse_next(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let got = match parse(line.as_bytes()) {
            Ok(Command::Mail(Mail { from, size, utf8 })) => {
                format!("from {:?} size {size:?} utf8 {utf8}", from.map(|a| a.typed))
            }
            Ok(Command::Rcpt(address)) => format!("to {:?}", address.typed),
            Ok(command) => format!("{command:?}"),
            Err(reply) => {
                let mut text = Vec::new();
                reply.write(&mut text);
                String::from_utf8_lossy(&text[..9]).into_owned()
            }
        };
        assert_eq!(got, expected, "{line:?}");
    }

    #[test]
    fn mail_reads_the_parameters_of_its_extensions() {
        check("MAIL FROM:<>", "from None size None utf8 false");
        check(
            "mail from:<a@b> size=12 body=8bitmime",
            "from Some(\"a@b\") size Some(12) utf8 false",
        );
        check(
            "MAIL FROM: <a@b>",
            "from Some(\"a@b\") size None utf8 false",
        );
        check(
            "MAIL FROM:<ä@b> SMTPUTF8",
            "from Some(\"ä@b\") size None utf8 true",
        );
        check(
            "MAIL FROM:<a@b> SIZE=99999999999999999999",
            "from Some(\"a@b\") size Some(18446744073709551615) utf8 false",
        );
        check(
            "MAIL FROM:<\"a> b\"@c>  BODY=7BIT ",
            "from Some(\"\\\"a> b\\\"@c\") size None utf8 false",
        );
    }

    #[test]
    fn mail_refuses_what_it_does_not_know() {
        check("MAIL FROM:<a@b> RET=FULL", "555 5.5.4");
        check("MAIL FROM:<a@b> AUTH=<>", "555 5.5.4");
        check("MAIL FROM:<a@b> SIZE", "501 5.5.4");
        check("MAIL FROM:<a@b> SIZE=x", "501 5.5.4");
        check("MAIL FROM:<a@b> SIZE=1 SIZE=2", "501 5.5.4");
        check("MAIL FROM:<a@b> BODY=BINARYMIME", "501 5.5.4");
        check("MAIL FROM:<a@b> SMTPUTF8=1", "501 5.5.4");
        check("MAIL FROM:<a@b>SIZE=1", "501 5.1.7");
        check("MAIL FROM:a@b", "501 5.1.7");
        check("MAIL TO:<a@b>", "501 5.1.7");
        check("MAIL", "501 5.1.7");
        check("MAIL FROM:<ä@b>", "553 5.6.7");
    }

    #[test]
    fn rcpt_takes_no_parameters() {
        check("RCPT TO:<a@b>", "to \"a@b\"");
        check("rcpt to:<@x,@y:a@b> ", "to \"a@b\"");
        check("RCPT TO:<a@b> NOTIFY=NEVER", "555 5.5.4");
        check("RCPT TO:<>", "501 5.1.3");
        check("RCPT TO:<a@b> =", "501 5.5.4");
        check(&format!("RCPT TO:<{}@b>", "a".repeat(600)), "501 5.1.3");
    }

    #[test]
    fn the_other_commands_take_what_their_rule_says() {
        check("LHLO mx.example.org", "Lhlo(\"mx.example.org\")");
        check("lhlo [IPv6:::1]", "Lhlo(\"[IPv6:::1]\")");
        check("LHLO", "501 5.5.4");
        check("LHLO a(b", "501 5.5.4");
        check("EHLO mx.example.org", "500 5.5.1");
        check("HELO mx.example.org", "500 5.5.1");
        check("DATA", "Data");
        check("data now", "501 5.5.4");
        check("RSET ", "Rset");
        check("NOOP what ever", "Noop");
        check("VRFY anna", "Vrfy");
        check("VRFY", "501 5.5.4");
        check("HELP MAIL", "Help");
        check("starttls", "StartTls");
        check("STARTTLS now", "501 5.5.4");
        check("QUIT", "Quit");
        check("BDAT 5 LAST", "500 5.5.2");
        check("", "500 5.5.2");
    }
}
