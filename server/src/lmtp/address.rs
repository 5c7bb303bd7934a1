//! Paths of MAIL and RCPT (RFC 5321, 4.1.2; RFC 6531, 3.3), one function per rule.
//!
//! Promises: source routes are read and ignored; a quoted local part and the same unquoted are one address; what it lets
//! through has no control characters. It is more lenient than the RFC where mail in the wild is (dots anywhere in a local part,
//! underscores in a domain, no domain at all).
//! Never: decides whether an account exists.

use winnow::Result;
use winnow::ascii::Caseless;
use winnow::combinator::{alt, delimited, eof, opt, peek, preceded, repeat, separated, terminated};
use winnow::prelude::*;
use winnow::token::{any, one_of, take_while};

/// An address of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The local part without quoting.
    pub(crate) local: String,
    /// The domain or address literal; absent in `<postmaster>`.
    pub(crate) domain: Option<String>,
    /// What was typed, without brackets and source route: for trace lines and replies.
    pub(crate) typed: String,
}

impl Address {
    /// Whether it needs SMTPUTF8.
    pub(crate) fn is_utf8(&self) -> bool {
        !self.typed.is_ascii()
    }
}

/// Reverse-path: `None` is the null path `<>`.
pub(crate) fn reverse_path(input: &mut &str) -> Result<Option<Address>> {
    alt(("<>".value(None), path.map(Some))).parse_next(input)
}

/// Path = "<" [ A-d-l ":" ] Mailbox ">"
pub(crate) fn path(input: &mut &str) -> Result<Address> {
    delimited('<', preceded(opt(source_route), mailbox), '>').parse_next(input)
}

/// A-d-l = At-domain *( "," At-domain )
fn source_route(input: &mut &str) -> Result<()> {
    let at_domain = ('@', domain).void();
    terminated(separated(1.., at_domain, ','), ':').parse_next(input)
}

fn mailbox(input: &mut &str) -> Result<Address> {
    let whole = *input;
    let local = alt((quoted_string, dot_string)).parse_next(input)?;
    let domain = opt(preceded('@', alt((address_literal, domain)))).parse_next(input)?;
    let typed = whole[..whole.len() - input.len()].to_owned();
    Ok(Address {
        local,
        domain,
        typed,
    })
}

fn dot_string(input: &mut &str) -> Result<String> {
    take_while(1.., |c| is_atext(c) || c == '.')
        .map(str::to_owned)
        .parse_next(input)
}

fn quoted_string(input: &mut &str) -> Result<String> {
    let quoted_pair = preceded('\\', any.verify(|c: &char| !c.is_control()));
    let qtext = one_of(|c: char| c != '"' && c != '\\' && !c.is_control());
    delimited('"', repeat(1.., alt((quoted_pair, qtext))), '"').parse_next(input)
}

fn domain(input: &mut &str) -> Result<String> {
    let letter =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') || is_utf8_non_ascii(c);
    take_while(1.., letter).map(str::to_owned).parse_next(input)
}

fn address_literal(input: &mut &str) -> Result<String> {
    let dcontent = |c: char| c.is_ascii_graphic() && !matches!(c, '[' | ']' | '\\');
    ('[', take_while(1.., dcontent), ']')
        .take()
        .map(str::to_owned)
        .parse_next(input)
}

/// atext of RFC 5322, 3.2.3, with what RFC 6531, 3.3 adds.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_non_ascii(c)
}

fn is_utf8_non_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}

/// `FROM:` or `TO:`; blanks after the colon are wrong but common.
pub(crate) fn keyword<'i>(
    name: &'static str,
) -> impl Parser<&'i str, (), winnow::error::ContextError> {
    (Caseless(name), ':', take_while(0.., ' ')).void()
}

/// The end of a path: a blank before parameters, or nothing more.
pub(crate) fn path_end(input: &mut &str) -> Result<()> {
    alt((peek(' ').void(), eof.void())).parse_next(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match path.parse(text) {
            Ok(a) => format!(
                "{} | {} | {}",
                a.local,
                a.domain.as_deref().unwrap_or("-"),
                a.typed
            ),
            Err(_) => "refused".to_owned(),
        }
    }

    #[test]
    fn addresses_are_read_as_rfc_5321_says() {
        for (text, expected) in [
            (
                "<anna@example.org>",
                "anna | example.org | anna@example.org",
            ),
            ("<Postmaster>", "Postmaster | - | Postmaster"),
            (
                "<@a.example,@b.example:anna@example.org>",
                "anna | example.org | anna@example.org",
            ),
            (
                r#"<"anna"@example.org>"#,
                r#"anna | example.org | "anna"@example.org"#,
            ),
            (
                r#"<"a\"b > c"@example.org>"#,
                r#"a"b > c | example.org | "a\"b > c"@example.org"#,
            ),
            (
                "<anna@[192.0.2.1]>",
                "anna | [192.0.2.1] | anna@[192.0.2.1]",
            ),
            (
                "<anna@[IPv6:2001:db8::1]>",
                "anna | [IPv6:2001:db8::1] | anna@[IPv6:2001:db8::1]",
            ),
            (
                "<jösé@bücher.example>",
                "jösé | bücher.example | jösé@bücher.example",
            ),
            (
                "<a..b.@example.org>",
                "a..b. | example.org | a..b.@example.org",
            ),
            ("<>", "refused"),
            ("anna@example.org", "refused"),
            ("<anna@example.org", "refused"),
            ("<an na@example.org>", "refused"),
            ("<anna@>", "refused"),
            ("<@example.org>", "refused"),
            ("<anna@exa\u{1}mple.org>", "refused"),
            ("<\"a\u{0}b\"@example.org>", "refused"),
            ("<a\u{85}b@example.org>", "refused"),
            ("<\"\"@example.org>", "refused"),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }
}
